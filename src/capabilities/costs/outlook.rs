//! What a month will cost, and what the next 30 days will: pure.
//!
//! The rest of a month is `days left × mean` of the whole days looked at, added to what was used
//! up to yesterday; that quantity is priced like any other, so that a quota counts. The interval
//! holds with 95 % if days are independent and alike: `± t(n−1) · s · √(m + m²/n)` on the quantity,
//! with `m` days left, `n` days looked at, `s` their deviation and `t` Student's quantile. Sums of
//! items add their bounds, which is rather too wide than too narrow.

use chrono::{Days, NaiveDate};

use super::logic::{between, line, metered};
use super::model::{CostsRules, Item, Month, Price, Source, Usage, Usages};
use crate::base::money::{Currency, Ratio, TooLarge};

/// Whole days without which nothing is projected (our own choice: the interval of two days is
/// twelve deviations wide).
const FEWEST_DAYS: usize = 3;
/// Days of the second way to look at it.
const WEEK: u64 = 7;
/// Days without which there is no trend (our own choice: two of each weekday).
const FEWEST_FOR_TREND: usize = 14;
/// Days that are projected from a trend (`product.md` §4).
pub(super) const HORIZON: u32 = 30;
/// Days that a trend is taken over: four of each weekday.
pub(super) const TREND_DAYS: u64 = 28;

/// Student's t, two-sided 95 %, for 1 to 30 degrees of freedom; any table has it.
const T95: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];
/// The same for more: that of the normal distribution.
const Z95: f64 = 1.960;

fn student(freedom: usize) -> f64 {
    let place = freedom.saturating_sub(1);
    T95.get(place).copied().unwrap_or(Z95)
}

/// A projected cost and its interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The likeliest.
    pub amount: Ratio,
    /// Lower bound.
    pub low: Ratio,
    /// Upper bound.
    pub high: Ratio,
}

impl Range {
    fn exactly(amount: Ratio) -> Self {
        Self {
            amount,
            low: amount,
            high: amount,
        }
    }
}

/// A projection, or why there is none.
pub type Projected = Result<Range, String>;

/// What an item will cost in the month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemOutlook {
    /// The item.
    pub item: String,
    /// In which currency.
    pub currency: Currency,
    /// By the days of this month.
    pub linear: Projected,
    /// By the last seven days.
    pub last_7_days: Projected,
}

/// What a day adds to what is projected of a month: units of a metered item, cost of a model.
fn daily(item: &Item, month: Month, day: NaiveDate, usage: &Usage) -> Result<f64, TooLarge> {
    match &item.price {
        Price::Metered {
            source, unit_size, ..
        } => {
            let none = Ratio::ZERO;
            let measured = *usage.quantities.get(&day).unwrap_or(&none);
            let units = measured.divided_by(*unit_size)?.to_f64();
            Ok(if *source == Source::OwnStorage {
                units / f64::from(month.days())
            } else {
                units
            })
        }
        Price::Fixed { .. } | Price::Tokens { .. } => {
            between(item, day, day, usage).map(Ratio::to_f64)
        }
    }
}

/// What `item` will cost in the whole of `month`, seen on `today`, by the whole days since `from`.
fn projected(
    item: &Item,
    month: Month,
    today: NaiveDate,
    from: NaiveDate,
    usage: &Usage,
) -> Result<Projected, TooLarge> {
    let so_far = line(item, month, today, usage)?;
    if matches!(item.price, Price::Fixed { .. }) {
        let whole = line(item, month, month.last(), usage)?;
        return Ok(Ok(Range::exactly(whole.exact)));
    }
    let left = today
        .iter_days()
        .take_while(|day| *day <= month.last())
        .filter(|day| item.is_active(*day))
        .count();
    let Some(first) = usage.first().filter(|_| left > 0) else {
        return Ok(Ok(Range::exactly(so_far.exact)));
    };
    let first = from.max(first).max(item.start.unwrap_or(from));
    let days = first.iter_days().take_while(|day| *day < today);
    let values = days
        .map(|day| daily(item, month, day, usage))
        .collect::<Result<Vec<f64>, _>>()?;
    if values.len() < FEWEST_DAYS {
        let known = values.len();
        return Ok(Err(format!(
            "whole days known: {known}, needed: {FEWEST_DAYS}"
        )));
    }
    let yesterday = today.pred_opt().unwrap_or(today);
    let before = if month.first() < today {
        line(item, month, yesterday, usage)?
    } else {
        let mut none = so_far.clone();
        (none.exact, none.quantity) = (Ratio::ZERO, Some(Ratio::ZERO));
        none
    };
    let base = before.quantity.unwrap_or(before.exact);
    let (mean, half) = spread(&values, left as f64);
    let rest = left as f64 * mean;
    let at = |more: f64| -> Result<Ratio, TooLarge> {
        let sum = base.plus(Ratio::estimated(more.max(0.0))?)?;
        if before.quantity.is_some() {
            return metered(item, month, sum).map(|(cost, ..)| cost);
        }
        Ok(sum)
    };
    let at_least = |cost: Ratio| {
        if cost.is_below(so_far.exact) {
            so_far.exact
        } else {
            cost
        }
    };
    Ok(Ok(Range {
        amount: at_least(at(rest)?),
        low: at_least(at(rest - half)?),
        high: at_least(at(rest + half)?),
    }))
}

/// Mean of `values`, and half the interval of the sum of `more` further ones.
fn spread(values: &[f64], more: f64) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let deviation = (squares / (n - 1.0)).sqrt();
    let half = student(values.len() - 1) * deviation * (more + more * more / n).sqrt();
    (mean, half)
}

/// What each item will cost in the month of `today`.
pub fn outlook(
    rules: &CostsRules,
    today: NaiveDate,
    usages: &Usages,
) -> Result<Vec<ItemOutlook>, TooLarge> {
    let month = Month::of(today);
    let none = Usage::default();
    let items = rules.items.values();
    let here = items.filter(|item| month.each_day().any(|day| item.is_active(day)));
    here.map(|item| {
        let usage = usages.get(&item.name).unwrap_or(&none);
        Ok(ItemOutlook {
            item: item.name.clone(),
            currency: item.currency,
            linear: projected(item, month, today, month.first(), usage)?,
            last_7_days: projected(item, month, today, today - Days::new(WEEK), usage)?,
        })
    })
    .collect()
}

/// Where daily values are going.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// How much more each day.
    pub slope_per_day: f64,
    /// Sum of the next `HORIZON` days.
    pub sum: f64,
    /// Lower bound of it.
    pub low: f64,
    /// Upper bound of it.
    pub high: f64,
    /// Days that it was taken over.
    pub days: usize,
}

/// A line of least squares through daily values, the oldest first, drawn on over the next 30 days.
/// The interval: `± t(n−2) · s · √(m + m²·(1/n + d²/S))`, with `d` from the middle of the days
/// looked at to the middle of those to come, and `S` the squares of the days around their middle.
pub fn trend(values: &[f64]) -> Result<Trend, String> {
    let count = values.len();
    if count < FEWEST_FOR_TREND {
        return Err(format!(
            "whole days known: {count}, needed: {FEWEST_FOR_TREND}"
        ));
    }
    let (n, m) = (count as f64, f64::from(HORIZON));
    let middle = (n - 1.0) / 2.0;
    let mean = values.iter().sum::<f64>() / n;
    let (mut around, mut both) = (0.0, 0.0);
    for (at, value) in values.iter().enumerate() {
        let away = at as f64 - middle;
        around += away * away;
        both += away * (value - mean);
    }
    let slope = both / around;
    let line = |at: f64| mean + slope * (at - middle);
    let errors = values.iter().enumerate();
    let squares: f64 = errors
        .map(|(at, value)| (value - line(at as f64)).powi(2))
        .sum();
    let deviation = (squares / (n - 2.0)).sqrt();
    let ahead = n + (m - 1.0) / 2.0 - middle;
    let half =
        student(count - 2) * deviation * (m + m * m * (1.0 / n + ahead * ahead / around)).sqrt();
    let sum = (m * line(n + (m - 1.0) / 2.0)).max(0.0);
    Ok(Trend {
        slope_per_day: slope,
        sum,
        low: (sum - half).max(0.0),
        high: sum + half,
        days: count,
    })
}

/// What an item cost on each of the `TREND_DAYS` before `today` that are known, oldest first.
pub fn daily_costs(item: &Item, today: NaiveDate, usage: &Usage) -> Result<Vec<f64>, TooLarge> {
    let first = item.start.into_iter().chain(usage.first()).max();
    let from = (today - Days::new(TREND_DAYS)).max(first.unwrap_or(NaiveDate::MIN));
    let days = from.iter_days().take_while(|day| *day < today);
    days.map(|day| between(item, day, day, usage).map(Ratio::to_f64))
        .collect()
}
