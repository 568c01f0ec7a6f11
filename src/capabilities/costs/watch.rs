//! What is told of costs: budgets and steps in daily use. Pure.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};

use super::logic::{MonthCost, between};
use super::model::{Budget, BudgetOf, Item, Price, StepRules, Usage};
use super::outlook::{ItemOutlook, Projected};
use crate::base::money::{Money, Ratio, TooLarge};

/// Days that a day's use is compared with.
const COMPARED: u64 = 14;
/// Mean absolute deviations beyond the median that a step must be too, so that a weekly rhythm is
/// none. With the usual factor to standard deviations.
const DEVIATIONS: f64 = 3.0 * 1.4826;
/// Percent of a budget under which a forecast ends its alert: it does not come and go daily.
const CALM_PERCENT: i64 = 95;

/// How a budget is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BudgetState {
    /// What was spent in the month.
    pub(super) spent: Money,
    /// What will be spent; why not where that is unknown.
    pub(super) forecast: Projected,
    /// Thresholds that are reached, in percent.
    pub(super) reached: Vec<u32>,
    /// Whether the forecast is above the bound and what was spent is not.
    pub(super) over: bool,
    /// Whether the forecast is so far below that an alert of it ends.
    pub(super) calm: bool,
}

fn percent_of(amount: Ratio, percent: i64) -> Result<Ratio, TooLarge> {
    amount.times(Ratio::new(percent.into(), 100)?)
}

/// How `budget` is, in a month that has come to `cost` and is expected to come to `outlook`.
pub(super) fn judge(
    budget: &Budget,
    cost: &MonthCost,
    outlook: &[ItemOutlook],
) -> Result<BudgetState, TooLarge> {
    let spent = match &budget.of {
        BudgetOf::Total => cost.totals.of(budget.currency),
        BudgetOf::Item(name) => {
            let line = cost.lines.iter().find(|line| line.item == *name);
            line.map_or(
                Money {
                    minor: 0,
                    currency: budget.currency,
                },
                |line| line.cost,
            )
        }
    };
    let concerned = |one: &&ItemOutlook| match &budget.of {
        BudgetOf::Total => one.currency == budget.currency,
        BudgetOf::Item(name) => one.item == *name,
    };
    let forecast = sum(outlook.iter().filter(concerned))?;
    let mut reached = Vec::new();
    for percent in &budget.thresholds {
        let bound = percent_of(budget.amount, i64::from(*percent))?;
        if !spent.units().is_below(bound) {
            reached.push(*percent);
        }
    }
    let known = forecast.as_ref().ok();
    let above = known.is_some_and(|range| budget.amount.is_below(range.amount));
    let calm_bound = percent_of(budget.amount, CALM_PERCENT)?;
    Ok(BudgetState {
        over: above && !budget.amount.is_below(spent.units()),
        calm: known.is_some_and(|range| range.amount.is_below(calm_bound)),
        spent,
        forecast,
        reached,
    })
}

/// The sum of what items will cost: by their last seven days, or else by the month.
pub(super) fn sum<'a>(items: impl Iterator<Item = &'a ItemOutlook>) -> Result<Projected, TooLarge> {
    let mut all = super::outlook::Range {
        amount: Ratio::ZERO,
        low: Ratio::ZERO,
        high: Ratio::ZERO,
    };
    for one in items {
        match one.last_7_days.as_ref().or(one.linear.as_ref()) {
            Ok(range) => {
                all.amount = all.amount.plus(range.amount)?;
                all.low = all.low.plus(range.low)?;
                all.high = all.high.plus(range.high)?;
            }
            Err(why) => return Ok(Err(format!("`{}`: {why}", one.item))),
        }
    }
    Ok(Ok(all))
}

/// A day that was unlike those before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    /// What was used on it, or cost.
    pub(super) value: f64,
    /// The median of the days before.
    pub(super) median: f64,
}

/// Whether the use of `item` on `day` is a step against the 14 days before; `None` where it is not
/// or too little is known. Metered items are compared by quantity, which moves while a quota still
/// covers it; models by their cost.
pub(super) fn step(
    item: &Item,
    day: NaiveDate,
    usage: &Usage,
    rules: StepRules,
) -> Result<Option<Step>, TooLarge> {
    let value = |day: NaiveDate| -> Result<f64, TooLarge> {
        match item.price {
            Price::Fixed { .. } => Ok(0.0),
            Price::Metered { .. } => {
                let used = usage.quantities.get(&day).copied();
                Ok(used.unwrap_or(Ratio::ZERO).to_f64())
            }
            Price::Tokens { .. } => between(item, day, day, usage).map(Ratio::to_f64),
        }
    };
    let Some(first) = usage.first() else {
        return Ok(None);
    };
    let from = (day - Days::new(COMPARED)).max(first);
    let days = from.iter_days().take_while(|one| *one < day);
    let mut before = days.map(value).collect::<Result<Vec<f64>, _>>()?;
    if before.len() < rules.days_min {
        return Ok(None);
    }
    let (value, median) = (value(day)?, median(&mut before));
    let mut away: Vec<f64> = before.iter().map(|one| (one - median).abs()).collect();
    let spread = self::median(&mut away);
    let is_step =
        median > 0.0 && value >= rules.factor * median && value - median >= DEVIATIONS * spread;
    Ok(is_step.then_some(Step { value, median }))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or_default();
    let half = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(at(half.saturating_sub(1)), at(half))
    } else {
        at(half)
    }
}

/// A cost, divided by what units used; what nobody used is idle, and all of it adds up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Allocation {
    /// By unit.
    pub(super) units: Vec<(String, Money)>,
    /// What is left.
    pub(super) idle: Money,
}

/// Shares of a machine by unit: half by processor, half by memory, each of what there was.
pub(super) fn shares(seen: &super::view::SharedMonth, units: &[String]) -> BTreeMap<String, f64> {
    let part = |used: f64, of: f64| if of > 0.0 { used / of } else { 0.0 };
    let of_unit = |unit: &String| {
        let (cpu, memory) = seen.units.get(unit).copied().unwrap_or_default();
        let cpu = part(cpu, seen.capacity_cpu_ms);
        let memory = part(memory, seen.capacity_memory);
        (unit.clone(), f64::midpoint(cpu, memory))
    };
    let mut shares: BTreeMap<String, f64> = units.iter().map(of_unit).collect();
    let sum: f64 = shares.values().sum();
    if sum > 1.0 {
        // Readings of two moments may come to a little more than there is.
        for part in shares.values_mut() {
            *part /= sum;
        }
    }
    shares
}

/// Divides `cost` by `shares`. Running sums are rounded, so that all parts add up to the cost.
pub(super) fn allocate(cost: Money, shares: &BTreeMap<String, f64>) -> Allocation {
    let (mut upto, mut given) = (0.0, 0);
    let mut units = Vec::new();
    for (unit, share) in shares {
        upto += share;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a part of an amount that fits"
        )]
        let sum = (cost.minor as f64 * upto.min(1.0)).round() as i64;
        let minor = sum - given;
        given = sum;
        units.push((unit.clone(), Money { minor, ..cost }));
    }
    let minor = cost.minor - given;
    Allocation {
        units,
        idle: Money { minor, ..cost },
    }
}
