//! What a month costs: pure reckoning over prices and what was used.
//!
//! - A fixed item costs its amount, a yearly one a twelfth of it, for each calendar month; of a
//!   month in which it begins or ends, `amount × days ÷ days of the month`, both days counted.
//! - A metered item costs the units beyond the quota, each at the price of the tier it falls in;
//!   the quota is there anew with each month.
//! - A model costs its tokens, each kind at its own price.
//!
//! Everything is exact until the line of an item is rounded; totals are sums of rounded lines.

use chrono::{Datelike as _, NaiveDate};

use super::model::{CostsRules, Item, Month, Period, Price, Proration, Source, Tier, Tokens};
use super::model::{Usage, Usages};
use crate::base::money::{Money, Ratio, TooLarge, Totals};

/// Months of a year.
const MONTHS: i64 = 12;

/// One item in one month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The item.
    pub item: String,
    /// Its cost, exact.
    pub exact: Ratio,
    /// Its cost, rounded.
    pub cost: Money,
    /// Days that it is paid for.
    pub days: u32,
    /// Units that were used; `None` for what is not metered.
    pub quantity: Option<Ratio>,
    /// Units of the month that cost nothing.
    pub included: Option<Ratio>,
    /// Units that cost something.
    pub billable: Option<Ratio>,
    /// Tokens that were used.
    pub tokens: Option<Tokens>,
}

/// A month, or the part of it that has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthCost {
    /// The month.
    pub month: Month,
    /// The last day that counts.
    pub through: NaiveDate,
    /// Its lines, by item.
    pub lines: Vec<Line>,
    /// Sums of the lines, by currency.
    pub totals: Totals,
}

/// Days from the first to `through` on which an item is paid for.
fn active_days(item: &Item, month: Month, through: NaiveDate) -> u32 {
    let last = through.min(month.last());
    let from = item.start.unwrap_or(month.first()).max(month.first());
    let to = item.end.unwrap_or(last).min(last);
    if to < from {
        return 0;
    }
    to.day() - from.day() + 1
}

/// The part of a month that `days` of it are, by an item's rule.
fn part(item: &Item, month: Month, days: u32) -> Result<Ratio, TooLarge> {
    match item.proration {
        _ if days == 0 => Ok(Ratio::ZERO),
        Proration::Full => Ok(Ratio::ONE),
        Proration::Days => Ratio::new(days.into(), month.days().into()),
    }
}

/// What `units` beyond the quota cost.
fn graduated(tiers: &[Tier], units: Ratio) -> Result<Ratio, TooLarge> {
    let (mut cost, mut from) = (Ratio::ZERO, Ratio::ZERO);
    for tier in tiers {
        let to = match tier.up_to {
            Some(bound) if bound.is_below(units) => bound,
            _ => units,
        };
        if from.is_below(to) {
            cost = cost.plus(to.minus(from)?.times(tier.price)?)?;
            from = to;
        }
    }
    Ok(cost)
}

/// Units used from the first of the month to `through`, on days that the item is paid for.
pub fn quantity(
    item: &Item,
    month: Month,
    through: NaiveDate,
    usage: &Usage,
) -> Result<Ratio, TooLarge> {
    let Price::Metered {
        source, unit_size, ..
    } = &item.price
    else {
        return Ok(Ratio::ZERO);
    };
    let mut sum = Ratio::ZERO;
    for (day, quantity) in usage.quantities.range(month.first()..=month.last()) {
        if *day <= through && item.is_active(*day) {
            sum = sum.plus(*quantity)?;
        }
    }
    if *source == Source::OwnStorage {
        // What lies there all month is one unit a month, not one a day.
        sum = sum.divided_by(Ratio::whole(month.days().into()))?;
    }
    sum.divided_by(*unit_size)
}

fn tokens(item: &Item, month: Month, through: NaiveDate, usage: &Usage) -> Tokens {
    let days = usage.tokens.range(month.first()..=month.last());
    let counted = days.filter(|(day, _)| **day <= through && item.is_active(**day));
    counted.fold(Tokens::default(), |sum, (_, more)| sum.plus(*more))
}

/// What `used` units of a metered item cost in a month.
pub fn metered(item: &Item, month: Month, used: Ratio) -> Result<(Ratio, Ratio, Ratio), TooLarge> {
    let Price::Metered {
        included, tiers, ..
    } = &item.price
    else {
        return Ok((Ratio::ZERO, Ratio::ZERO, Ratio::ZERO));
    };
    // The quota of a month is there from its first day on.
    let days = active_days(item, month, month.last());
    let included = included.times(part(item, month, days)?)?;
    let billable = if included.is_below(used) {
        used.minus(included)?
    } else {
        Ratio::ZERO
    };
    Ok((graduated(tiers, billable)?, included, billable))
}

/// What an item costs from the first of the month to `through`.
pub fn line(
    item: &Item,
    month: Month,
    through: NaiveDate,
    usage: &Usage,
) -> Result<Line, TooLarge> {
    let days = active_days(item, month, through);
    let mut line = Line {
        item: item.name.clone(),
        exact: Ratio::ZERO,
        cost: Money {
            minor: 0,
            currency: item.currency,
        },
        days,
        quantity: None,
        included: None,
        billable: None,
        tokens: None,
    };
    match &item.price {
        Price::Fixed { amount, period } => {
            let monthly = match period {
                Period::Monthly => *amount,
                Period::Yearly => amount.divided_by(Ratio::whole(MONTHS))?,
            };
            line.exact = monthly.times(part(item, month, days)?)?;
        }
        Price::Metered { .. } => {
            let used = quantity(item, month, through, usage)?;
            let (cost, included, billable) = metered(item, month, used)?;
            line.exact = cost;
            line.quantity = Some(used);
            line.included = Some(included);
            line.billable = Some(billable);
        }
        Price::Tokens {
            input,
            output,
            cached,
        } => {
            let used = tokens(item, month, through, usage);
            for (price, count) in [
                (input, used.input),
                (output, used.output),
                (cached, used.cached),
            ] {
                let cost = price.times(Ratio::new(count.into(), 1)?)?;
                line.exact = line.exact.plus(cost)?;
            }
            line.tokens = Some(used);
        }
    }
    line.cost = Money::rounded(line.exact, item.currency)?;
    Ok(line)
}

/// What a month costs from its first day to `through`.
pub fn month(
    rules: &CostsRules,
    month: Month,
    through: NaiveDate,
    usages: &Usages,
) -> Result<MonthCost, TooLarge> {
    let none = Usage::default();
    let mut lines = Vec::new();
    let mut totals = Totals::default();
    for item in rules.items.values() {
        let usage = usages.get(&item.name).unwrap_or(&none);
        // An item that was not there in this month has no line in it.
        if active_days(item, month, month.last()) == 0 {
            continue;
        }
        let line = line(item, month, through, usage)?;
        totals.add(line.cost)?;
        lines.push(line);
    }
    Ok(MonthCost {
        month,
        through,
        lines,
        totals,
    })
}

/// What an item costs from `from` to `to`, both included, exact: the sum of what each month came
/// to more over these days. A day's part of a month with a quota is what it adds to that month.
pub fn between(
    item: &Item,
    from: NaiveDate,
    to: NaiveDate,
    usage: &Usage,
) -> Result<Ratio, TooLarge> {
    let mut sum = Ratio::ZERO;
    let mut month = Month::of(from);
    while month.first() <= to {
        let until = line(item, month, to.min(month.last()), usage)?.exact;
        sum = sum.plus(until)?;
        if month.first() < from {
            let before = line(item, month, from.pred_opt().unwrap_or(from), usage)?;
            sum = sum.minus(before.exact)?;
        }
        month = month.next();
    }
    Ok(sum)
}
