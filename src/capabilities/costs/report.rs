//! `GET /api/costs` and `GET /api/costs/forecast`: a month as it is answered.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::config::CostsConfig;
use super::logic::{Line, MonthCost};
use super::model::{CostsRules, Item, Month, Price, Usages};
use super::outlook::{ItemOutlook, Projected, outlook};
use super::service::Costs;
use super::view::SharedMonth;
use super::watch;
use crate::base::money::{Currency, Money, Ratio, TooLarge};
use crate::base::time::stamp;

/// Decimals of quantities in answers.
const QUANTITY_DECIMALS: u32 = 9;
/// Decimals of the cost of a thousand requests.
const UNIT_DECIMALS: u32 = 6;

/// An amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Amount {
    /// As a decimal, such as `12.34`.
    #[serde(rename = "amount")]
    decimal: String,
    /// In whole minor units, such as cents.
    #[serde(rename = "amount_minor")]
    minor: i64,
    /// Currency, ISO 4217.
    currency: String,
}

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        Self {
            decimal: money.amount(),
            minor: money.minor,
            currency: money.currency.to_string(),
        }
    }
}

/// One item in the month.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LineReply {
    /// The item, or the model.
    item: String,
    /// For people.
    description: String,
    /// `fixed`, `metered` or `tokens`.
    kind: &'static str,
    /// Its cost, rounded once.
    #[serde(flatten)]
    cost: Amount,
    /// Days of the month that it was paid for so far.
    days: u32,
    /// Units that were used; null where nothing is counted.
    quantity: Option<String>,
    /// What is counted.
    unit: Option<String>,
    /// Units of the month that cost nothing.
    included: Option<String>,
    /// Units that cost something.
    billable: Option<String>,
    /// Tokens read, and not from the cache.
    input_tokens: Option<u64>,
    /// Tokens written.
    output_tokens: Option<u64>,
    /// Tokens read from the cache.
    cached_tokens: Option<u64>,
    /// Uses that were told after the month had ended; they count in it.
    late: u64,
}

/// A share of an item.
#[derive(Debug, Serialize, JsonSchema)]
struct ShareReply {
    /// The unit of systemd; null for what nobody used.
    unit: Option<String>,
    /// Part of the item, in percent.
    percent: f64,
    /// What that comes to.
    #[serde(flatten)]
    cost: Amount,
}

/// How an item is divided.
#[derive(Debug, Serialize, JsonSchema)]
struct AllocationReply {
    /// The item.
    item: String,
    /// By unit, and what is idle last; they add up to the item. Null where nothing was measured.
    shares: Option<Vec<ShareReply>>,
    /// Seconds of the month that were looked at.
    observed_secs: u64,
    /// Why there are no shares.
    reason: Option<&'static str>,
}

/// How a budget is.
#[derive(Debug, Serialize, JsonSchema)]
struct BudgetReply {
    /// Its name.
    budget: String,
    /// The item it is for; null for all in its currency.
    item: Option<String>,
    /// What was spent in the month.
    spent: Amount,
    /// The bound.
    bound: Amount,
    /// Thresholds that are reached, in percent.
    reached_percent: Vec<u32>,
}

/// Answer of `GET /api/costs`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct MonthReply {
    /// The month, such as `2026-10`.
    month: String,
    /// Whether it has ended.
    closed: bool,
    /// The last day that counts, UTC.
    through: String,
    /// When this was worked out, UTC.
    ts_iso: String,
    /// Why `configs/costs.json` as it is on disk is not what this was worked out with; left away
    /// where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// By item.
    lines: Vec<LineReply>,
    /// Sums of the lines, one for each currency; they are never added up.
    totals: Vec<Amount>,
    /// Uses that were told after the month had ended.
    late: u64,
    /// Models that were used and have no price: they are in no line.
    unpriced: Vec<String>,
    /// Items that are divided among units of systemd.
    allocation: Vec<AllocationReply>,
    /// Bounds, as this month stands to them.
    budgets: Vec<BudgetReply>,
    /// Requests in the month.
    requests: u64,
    /// Cost of a thousand requests by currency; empty without requests.
    per_1000_requests: BTreeMap<String, String>,
}

fn line_reply(line: &Line, item: Option<&Item>, late: u64) -> LineReply {
    let decimal = |value: Ratio| value.to_decimal(QUANTITY_DECIMALS);
    let unit = item.and_then(|item| match &item.price {
        Price::Metered { unit, .. } => Some(unit.clone()),
        _ => None,
    });
    LineReply {
        item: line.item.clone(),
        description: item.map_or_else(String::new, |item| item.description.clone()),
        kind: item.map_or("", Item::kind),
        cost: line.cost.into(),
        days: line.days,
        quantity: line.quantity.map(decimal),
        unit,
        included: line.included.map(decimal),
        billable: line.billable.map(decimal),
        input_tokens: line.tokens.map(|tokens| tokens.input),
        output_tokens: line.tokens.map(|tokens| tokens.output),
        cached_tokens: line.tokens.map(|tokens| tokens.cached),
        late,
    }
}

fn allocation(rules: &CostsRules, cost: &MonthCost, seen: &SharedMonth) -> Vec<AllocationReply> {
    let mut all = Vec::new();
    for line in &cost.lines {
        let item = rules.items.get(&line.item);
        let Some(item) = item.filter(|item| !item.units.is_empty()) else {
            continue;
        };
        let measured = seen.capacity_cpu_ms > 0.0 && seen.capacity_memory > 0.0;
        let shares = measured.then(|| {
            let parts = watch::shares(seen, &item.units);
            let idle = 1.0 - parts.values().sum::<f64>();
            let divided = watch::allocate(line.cost, &parts);
            let percent = |share: f64| (share * 10_000.0).round() / 100.0;
            let units = divided.units.into_iter().map(|(unit, cost)| ShareReply {
                percent: percent(parts.get(&unit).copied().unwrap_or_default()),
                unit: Some(unit),
                cost: cost.into(),
            });
            let idle = ShareReply {
                unit: None,
                percent: percent(idle.max(0.0)),
                cost: divided.idle.into(),
            };
            units.chain([idle]).collect()
        });
        all.push(AllocationReply {
            item: item.name.clone(),
            reason: (!measured).then_some(
                "no unit's use was measured in this month: it needs systemd with version 2 of \
                 control groups, and half an hour",
            ),
            shares,
            observed_secs: seen.observed_ms / 1000,
        });
    }
    all
}

fn budgets(rules: &CostsRules, cost: &MonthCost) -> Result<Vec<BudgetReply>, TooLarge> {
    let reply = |budget: &super::model::Budget| {
        let state = watch::judge(budget, cost, &[])?;
        Ok(BudgetReply {
            budget: budget.name.clone(),
            item: match &budget.of {
                super::model::BudgetOf::Item(item) => Some(item.clone()),
                super::model::BudgetOf::Total => None,
            },
            spent: state.spent.into(),
            bound: Money::rounded(budget.amount, budget.currency)?.into(),
            reached_percent: state.reached,
        })
    };
    rules.budgets.iter().map(reply).collect()
}

impl Costs {
    /// A month as it stands at `now`.
    pub(super) fn month_reply(
        &self,
        month: Month,
        now: DateTime<Utc>,
    ) -> Result<MonthReply, TooLarge> {
        let rules = self.live.get_full();
        let rules = &rules.rules;
        let (cost, _) = self.month(rules, month, now)?;
        let (late, unpriced, shared) = {
            let view = self.kept.lock();
            let late = view.state.late.get(&month.to_string());
            let used = view.state.usages.iter().filter(|(name, usage)| {
                let mut days = usage.tokens.range(month.first()..=month.last());
                days.next().is_some() && rules.items.get(*name).is_none_or(|i| i.kind() != "tokens")
            });
            let shared = view.state.shared.get(&month.to_string());
            (
                late.cloned().unwrap_or_default(),
                used.map(|(name, _)| name.clone()).collect(),
                shared.cloned().unwrap_or_default(),
            )
        };
        let refused = self.configs.status_of::<CostsConfig>();
        let lines = cost.lines.iter().map(|line| {
            let late = late.get(&line.item).copied().unwrap_or_default();
            line_reply(line, rules.items.get(&line.item), late)
        });
        let requests = self.requests(rules, month.first(), cost.through);
        let mut per_1000_requests = BTreeMap::new();
        if requests > 0 {
            let thousands = Ratio::new(requests.into(), 1000)?;
            for total in cost.totals.iter() {
                let each = total.units().divided_by(thousands)?;
                let each = each.to_decimal(UNIT_DECIMALS);
                per_1000_requests.insert(total.currency.to_string(), each);
            }
        }
        Ok(MonthReply {
            month: month.to_string(),
            closed: month.last() < now.date_naive(),
            through: cost.through.to_string(),
            ts_iso: stamp(now),
            refused: refused.and_then(|status| status.refusal()),
            lines: lines.collect(),
            totals: cost.totals.iter().map(Amount::from).collect(),
            late: late.values().sum(),
            unpriced,
            allocation: allocation(rules, &cost, &shared),
            budgets: budgets(rules, &cost)?,
            requests,
            per_1000_requests,
        })
    }
}

/// A projected amount.
#[derive(Debug, Serialize, JsonSchema)]
struct RangeReply {
    /// The likeliest.
    amount: Amount,
    /// Lower bound, 95 %.
    low: Amount,
    /// Upper bound, 95 %.
    high: Amount,
}

/// A projection by two ways.
#[derive(Debug, Serialize, JsonSchema)]
struct OutlookReply {
    /// The item; null for a sum.
    item: Option<String>,
    /// Currency, ISO 4217.
    currency: String,
    /// By the days of this month; null where too few are known.
    linear: Option<RangeReply>,
    /// Why it is null.
    linear_reason: Option<String>,
    /// By the last seven days; null where too few are known.
    last_7_days: Option<RangeReply>,
    /// Why it is null.
    last_7_days_reason: Option<String>,
}

/// Answer of `GET /api/costs/forecast`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ForecastReply {
    /// The month, such as `2026-10`.
    month: String,
    /// When this was worked out, UTC.
    ts_iso: String,
    /// Days of the month that are over.
    days_over: u32,
    /// Days it has.
    days: u32,
    /// How it is reckoned.
    formula: &'static str,
    /// By item.
    items: Vec<OutlookReply>,
    /// Sums by currency.
    totals: Vec<OutlookReply>,
}

/// How forecasts are reckoned, for whoever reads one.
const FORMULA: &str = "used up to yesterday + days left * mean of the whole days looked at, \
    priced as a month; interval: 95 %, t(n-1) * s * sqrt(m + m^2/n) on the quantity, for m days \
    left and n days looked at; sums add the bounds of their items";

fn range_reply(range: &Projected, currency: Currency) -> Result<Option<RangeReply>, TooLarge> {
    let Ok(range) = range else {
        return Ok(None);
    };
    let amount = |units| Money::rounded(units, currency).map(Amount::from);
    Ok(Some(RangeReply {
        amount: amount(range.amount)?,
        low: amount(range.low)?,
        high: amount(range.high)?,
    }))
}

fn outlook_reply(
    item: Option<&str>,
    currency: Currency,
    linear: &Projected,
    last_7_days: &Projected,
) -> Result<OutlookReply, TooLarge> {
    Ok(OutlookReply {
        item: item.map(str::to_owned),
        currency: currency.to_string(),
        linear: range_reply(linear, currency)?,
        linear_reason: linear.as_ref().err().cloned(),
        last_7_days: range_reply(last_7_days, currency)?,
        last_7_days_reason: last_7_days.as_ref().err().cloned(),
    })
}

/// The same by one of both ways alone, so that sums can be made of it.
fn only(items: &[ItemOutlook], currency: Currency, weekly: bool) -> Result<Projected, TooLarge> {
    let here = items.iter().filter(|one| one.currency == currency);
    let one_way: Vec<ItemOutlook> = here
        .map(|one| {
            let way = if weekly {
                &one.last_7_days
            } else {
                &one.linear
            };
            // Each is rounded as it is shown, so that the sum is that of what is shown.
            let way = way.as_ref().map_err(Clone::clone).map(|range| {
                let shown = |units| Money::rounded(units, currency).map_or(units, Money::units);
                super::outlook::Range {
                    amount: shown(range.amount),
                    low: shown(range.low),
                    high: shown(range.high),
                }
            });
            ItemOutlook {
                linear: way.clone(),
                last_7_days: way,
                ..one.clone()
            }
        })
        .collect();
    watch::sum(one_way.iter())
}

impl Costs {
    /// What the month of `now` will cost.
    pub(super) fn forecast_reply(&self, now: DateTime<Utc>) -> Result<ForecastReply, TooLarge> {
        let rules = self.live.get_full();
        let rules = &rules.rules;
        let today = now.date_naive();
        let month = Month::of(today);
        let usages: Usages = self.usages(rules, month.before().first(), month.last());
        let all = outlook(rules, today, &usages)?;
        let items = all
            .iter()
            .map(|one| outlook_reply(Some(&one.item), one.currency, &one.linear, &one.last_7_days));
        let currencies: std::collections::BTreeSet<Currency> =
            all.iter().map(|one| one.currency).collect();
        let totals = currencies.into_iter().map(|currency| {
            let (linear, weekly) = (only(&all, currency, false)?, only(&all, currency, true)?);
            outlook_reply(None, currency, &linear, &weekly)
        });
        Ok(ForecastReply {
            month: month.to_string(),
            ts_iso: stamp(now),
            days_over: today.day0(),
            days: month.days(),
            formula: FORMULA,
            items: items.collect::<Result<_, _>>()?,
            totals: totals.collect::<Result<_, _>>()?,
        })
    }
}
