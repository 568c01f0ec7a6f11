//! Keys of the ledger, hourly, and the weekly outlook that its `_forecast` keys come from.
//!
//! `openai_cost_30d` is what language models cost in the 30 days up to now, whoever runs them: the
//! name is an old one. `infra_cost_30d` is everything else. A key is a number in the ledger's
//! currency, or null with a reason: amounts in other currencies are told beside it and never added.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, Utc};
use serde_json::{Map, Value, json};

use super::event::{CostLine, PREDICTED, SYNCED};
use super::legacy::{is_projected, number, own_cost};
use super::logic::between;
use super::model::{CostsRules, Item, Month, Price, Usage, Usages};
use super::outlook::{HORIZON, TREND_DAYS, Trend, daily_costs, trend};
use super::service::{Costs, decimal};
use super::view::MeterDay;
use crate::base::money::{Currency, Money, Ratio, TooLarge, Totals};
use crate::base::time::stamp;
use crate::platform::scheduler::{Summary, TaskError};

/// Name of the report of keys.
const KEYS: &str = "ledger_keys.json";
/// Name of the weekly outlook.
const OUTLOOK: &str = "cost_prediction.json";
/// Days that keys are for, today included.
const WINDOW_DAYS: u64 = 30;
/// Both sums of costs.
const OPENAI: &str = "openai_cost_30d";
/// See [`OPENAI`].
const INFRA: &str = "infra_cost_30d";

fn key_of(item: &Item) -> &'static str {
    match item.price {
        Price::Tokens { .. } => OPENAI,
        Price::Fixed { .. } | Price::Metered { .. } => INFRA,
    }
}

/// A sum as a key: the number in `currency`, or why there is none.
fn keyed(totals: &Totals, currency: Currency) -> Result<Value, String> {
    let other = totals
        .iter()
        .find(|sum| sum.currency != currency && sum.minor != 0);
    match other {
        Some(sum) => Err(format!(
            "part of it is in {}, the ledger is in {currency}; see `by_currency`",
            sum.currency
        )),
        None => Ok(Value::Number(number(&totals.of(currency).amount()))),
    }
}

fn sums(
    rules: &CostsRules,
    usages: &Usages,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<BTreeMap<&'static str, Totals>, TooLarge> {
    let none = Usage::default();
    let mut sums = BTreeMap::from([(OPENAI, Totals::default()), (INFRA, Totals::default())]);
    for item in rules.items.values() {
        let usage = usages.get(&item.name).unwrap_or(&none);
        let cost = Money::rounded(between(item, from, to, usage)?, item.currency)?;
        sums.entry(key_of(item)).or_default().add(cost)?;
    }
    Ok(sums)
}

impl Costs {
    /// Replaces `logs/ledger_keys.json`, and writes a line where a key is another.
    pub(super) async fn sync(&self, now: DateTime<Utc>) -> Result<Summary, TaskError> {
        let rules = self.live.get_full();
        let rules = &rules.rules;
        let today = now.date_naive();
        let from = today - Days::new(WINDOW_DAYS - 1);
        let usages = self.usages(rules, Month::of(from).first(), today);
        let sums = sums(rules, &usages, from, today).map_err(anyhow::Error::new)?;
        let (mut keys, mut reasons) = (Map::new(), Map::new());
        let mut by_currency = Map::new();
        for (key, totals) in &sums {
            let value = keyed(totals, rules.currency);
            if let Err(why) = &value {
                reasons.insert((*key).to_owned(), json!(why));
            }
            keys.insert((*key).to_owned(), value.unwrap_or(Value::Null));
            let each = totals.iter();
            let each = each.map(|sum| (sum.currency.to_string(), json!(sum.amount())));
            by_currency.insert((*key).to_owned(), Value::Object(each.collect()));
        }
        keys.insert("stripe_revenue_30d".to_owned(), Value::Null);
        reasons.insert(
            "stripe_revenue_30d".to_owned(),
            json!("no connection to Stripe"),
        );
        let predicted = self.kept.lock().state.predicted.clone();
        for key in [OPENAI, INFRA] {
            let (value, why) = forecast_key(predicted.as_ref(), key, rules.currency);
            let key = format!("{key}_forecast");
            keys.insert(key.clone(), value);
            if let Some(why) = why {
                reasons.insert(key, json!(why));
            }
        }
        let mut members = keys;
        members.insert("currency".to_owned(), json!(rules.currency.to_string()));
        members.insert("by_currency".to_owned(), Value::Object(by_currency));
        members.insert("reasons".to_owned(), Value::Object(reasons));
        let members = Value::Object(members);
        let changed = self.kept.lock().state.ledger.as_ref() != Some(&members);
        if changed {
            let said = CostLine::Synced(members.clone());
            self.note(SYNCED, &members, said, now).await?;
        }
        let mut report = members;
        if let Some(report) = report.as_object_mut() {
            report.insert("ts_iso".to_owned(), json!(stamp(now)));
            report.insert("from".to_owned(), json!(from.to_string()));
        }
        let saved = self.save(KEYS, &report).await;
        saved.map_err(anyhow::Error::new)?;
        Ok(Summary::ok(json!({ "changed": changed })))
    }

    /// The weekly outlook: trend and 30 days ahead, part by part.
    pub(super) async fn predict(&self, now: DateTime<Utc>) -> Result<Summary, TaskError> {
        let rules = self.live.get_full();
        let rules = &rules.rules;
        let today = now.date_naive();
        let from = Month::of(today - Days::new(TREND_DAYS)).first();
        let usages = self.usages(rules, from, today);
        let none = Usage::default();
        let mut parts = Vec::new();
        for (part, values) in self.own_days(rules, today).map_err(anyhow::Error::new)? {
            parts.push(part_of(part, "own", "USD", &trend(&values)));
        }
        for item in rules.items.values() {
            let usage = usages.get(&item.name).unwrap_or(&none);
            let outlook = item_trend(item, today, usage).map_err(anyhow::Error::new)?;
            let currency = item.currency.to_string();
            parts.push(part_of(&item.name, key_of(item), &currency, &outlook));
            tokio::task::yield_now().await;
        }
        let known = parts.iter().filter(|part| !part["projected_30d"].is_null());
        let (known, all) = (known.count(), parts.len());
        let members = json!({ "horizon_days": HORIZON, "parts": parts });
        let said = CostLine::Predicted(members.clone());
        self.note(PREDICTED, &members, said, now).await?;
        let mut report = members;
        report["ts_iso"] = json!(stamp(now));
        let saved = self.save(OUTLOOK, &report).await;
        saved.map_err(anyhow::Error::new)?;
        Ok(Summary::ok(json!({ "parts": all, "projected": known })))
    }

    /// What the daemon itself cost on each of the last days that are known, oldest first, by part.
    fn own_days(
        &self,
        rules: &CostsRules,
        today: NaiveDate,
    ) -> Result<[(&'static str, Vec<f64>); 3], TooLarge> {
        let view = self.kept.lock();
        let from = today - Days::new(TREND_DAYS);
        let yesterday = today - Days::new(1);
        let stored = view.state.stored_by_day(yesterday);
        let mut days = [
            ("storage", vec![]),
            ("compute", vec![]),
            ("bandwidth", vec![]),
        ];
        let monthly = f64::from(HORIZON);
        for bytes in stored.range(from..).map(|(_, bytes)| bytes.to_f64()) {
            let price = rules.pricing.storage_gb_month.to_f64();
            days[0].1.push(bytes / 1e9 * price / monthly);
        }
        let whole = |meter: &&MeterDay| is_projected(meter);
        for meter in view
            .state
            .meters
            .range(from..today)
            .map(|(_, day)| day)
            .filter(whole)
        {
            let cost = own_cost(0, *meter, &rules.pricing)?;
            days[1].1.push(cost.compute.to_f64() / monthly);
            days[2].1.push(cost.bandwidth.to_f64() / monthly);
        }
        Ok(days)
    }
}

/// The outlook of an item; that of a fixed one is known.
fn item_trend(
    item: &Item,
    today: NaiveDate,
    usage: &Usage,
) -> Result<Result<Trend, String>, TooLarge> {
    if let Price::Fixed { .. } = item.price {
        let last = today + Days::new(u64::from(HORIZON) - 1);
        let sum = between(item, today, last, usage)?.to_f64();
        return Ok(Ok(Trend {
            slope_per_day: 0.0,
            sum,
            low: sum,
            high: sum,
            days: 0,
        }));
    }
    let values = daily_costs(item, today, usage)?;
    // What was never used will not be, as far as anybody knows.
    if usage.first().is_none() {
        return Ok(Ok(Trend {
            slope_per_day: 0.0,
            sum: 0.0,
            low: 0.0,
            high: 0.0,
            days: 0,
        }));
    }
    Ok(trend(&values))
}

fn part_of(part: &str, group: &str, currency: &str, outlook: &Result<Trend, String>) -> Value {
    let shown = |value: f64| {
        let ratio = Ratio::estimated(value);
        ratio.map_or(Value::Null, |ratio| json!(decimal(ratio)))
    };
    match outlook {
        Ok(found) => json!({
            "part": part,
            "group": group,
            "currency": currency,
            "trend_per_day": shown(found.slope_per_day),
            "projected_30d": shown(found.sum),
            "low": shown(found.low),
            "high": shown(found.high),
            "days": found.days,
        }),
        Err(why) => json!({
            "part": part,
            "group": group,
            "currency": currency,
            "projected_30d": Value::Null,
            "reason": why,
        }),
    }
}

/// The sum of what the last outlook says of a group, and why there is none.
fn forecast_key(
    predicted: Option<&Value>,
    group: &str,
    currency: Currency,
) -> (Value, Option<String>) {
    let none = |why: &str| (Value::Null, Some(why.to_owned()));
    let Some(parts) = predicted.and_then(|outlook| outlook["parts"].as_array()) else {
        return none("no weekly outlook yet, `cost-prediction` makes it");
    };
    let mut sum = Ratio::ZERO;
    for part in parts.iter().filter(|part| part["group"] == group) {
        let name = part["part"].as_str().unwrap_or_default();
        if part["currency"] != currency.code() {
            return none(&format!("`{name}` is not in {currency}"));
        }
        let value = part["projected_30d"].as_str().map(Ratio::parse);
        let Some(Ok(value)) = value else {
            return none(&format!("nothing can be said of `{name}` yet"));
        };
        let Ok(more) = sum.plus(value) else {
            return none("the sum is too large");
        };
        sum = more;
    }
    let shown = Money::rounded(sum, currency).map(|sum| number(&sum.amount()));
    (shown.map_or(Value::Null, Value::Number), None)
}
