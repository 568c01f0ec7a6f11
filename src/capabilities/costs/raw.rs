//! `configs/costs.json` as it is written. See [`super::config`] for what is checked beyond shapes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::decimal::Decimal;
use super::model::{Period, Proration, Source};

/// What things cost: fixed and metered items, language models, budgets.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(title = "echopilot: costs")]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCosts {
    /// Currency (ISO 4217) of the ledger's keys. Default `USD`.
    pub(super) currency: Option<String>,
    /// What the daemon's own use is priced with, in US dollars.
    pub(super) pricing: RawPricing,
    /// What costs the same each month or year, by name: the machine, domains, licences.
    pub(super) fixed: BTreeMap<String, RawFixed>,
    /// What costs by quantity, by name: traffic, storage, mail.
    pub(super) metered: BTreeMap<String, RawMetered>,
    /// Language models, by the name that their usage is told with.
    pub(super) models: BTreeMap<String, RawModel>,
    /// Bounds on the cost of a calendar month, by name.
    pub(super) budgets: BTreeMap<String, RawBudget>,
    /// When a step in the daily use of an item is told.
    pub(super) step_change: RawStep,
    /// Series of samples whose requests the costs are divided by. Default `echopilot`, the
    /// daemon's own.
    pub(super) requests_series: Option<String>,
}

/// Prices of what the daemon itself uses, in US dollars.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPricing {
    /// Of 10^9 bytes kept for a month.
    pub(super) storage_gb_month: Decimal,
    /// Of an hour of processor time.
    pub(super) cpu_hour: Decimal,
    /// Of 10^9 bytes sent.
    pub(super) bandwidth_gb: Decimal,
}

/// What costs the same each period.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFixed {
    /// For people.
    #[serde(default)]
    pub(super) description: String,
    /// What a period costs, such as `"4.15"`; below zero for a credit.
    pub(super) amount: Decimal,
    /// Currency (ISO 4217), such as `EUR`.
    pub(super) currency: String,
    /// `monthly` or `yearly`; of a yearly price every month bears a twelfth.
    #[serde(default)]
    pub(super) period: Period,
    /// First day that is paid for, such as `2026-10-17`. Default: always was.
    #[serde(default)]
    pub(super) start: Option<String>,
    /// Last day that is paid for. Default: no end.
    #[serde(default)]
    pub(super) end: Option<String>,
    /// What a part of a month costs: `days` (default) as many parts of it as there are days, or
    /// `full`.
    #[serde(default)]
    pub(super) proration: Option<Proration>,
    /// Units of systemd, such as `shop.service`, that share this item by their use of processor
    /// and memory.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub(super) units: Vec<String>,
}

/// What costs by quantity.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMetered {
    /// For people.
    #[serde(default)]
    pub(super) description: String,
    /// What is counted, such as `TB`; of `own_*` sources a size: `B`, `KB` to `TB`, `KiB` to `TiB`.
    pub(super) unit: String,
    /// Currency (ISO 4217), such as `EUR`.
    pub(super) currency: String,
    /// Units of a calendar month that cost nothing. Default 0.
    #[serde(default)]
    pub(super) included: Option<Decimal>,
    /// What units beyond those cost, for each `per` of them. Or `tiers`.
    #[serde(default)]
    pub(super) price: Option<Decimal>,
    /// How many units a price is for. Default 1.
    #[serde(default)]
    pub(super) per: Option<Decimal>,
    /// Prices by quantity beyond the quota, the first units first; each unit costs the price of
    /// its own tier.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub(super) tiers: Vec<RawTier>,
    /// Where quantities come from. Default `pushed`: `POST /api/costs/usage`.
    #[serde(default)]
    pub(super) source: Source,
    /// First day that is paid for. Default: always was.
    #[serde(default)]
    pub(super) start: Option<String>,
    /// Last day that is paid for. Default: no end.
    #[serde(default)]
    pub(super) end: Option<String>,
    /// How much of the quota a part of a month brings: `full` (default) or `days`.
    #[serde(default)]
    pub(super) proration: Option<Proration>,
}

/// A price up to a quantity.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTier {
    /// Up to how many units of the month beyond the quota; left away in the last tier.
    #[serde(default)]
    pub(super) up_to: Option<Decimal>,
    /// What `per` of them cost.
    pub(super) price: Decimal,
}

/// Prices of a language model.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawModel {
    /// For people.
    #[serde(default)]
    pub(super) description: String,
    /// Currency (ISO 4217). Default `USD`.
    #[serde(default)]
    pub(super) currency: Option<String>,
    /// Of a million tokens that were read, and not from the cache.
    pub(super) input_per_million: Decimal,
    /// Of a million tokens that were written.
    pub(super) output_per_million: Decimal,
    /// Of a million tokens that were read from the provider's cache. Default: as
    /// `input_per_million`.
    #[serde(default)]
    pub(super) cached_per_million: Option<Decimal>,
}

/// A bound on the cost of a month.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBudget {
    /// The item it is for. Default: all items in its currency.
    #[serde(default)]
    pub(super) item: Option<String>,
    /// The bound on a calendar month, above zero.
    pub(super) amount: Decimal,
    /// Currency (ISO 4217).
    pub(super) currency: String,
    /// Percent of it at which an alert event begins. Default 50, 80 and 100.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub(super) thresholds_percent: Option<Vec<u32>>,
    /// Whether an alert event begins when the forecast of the month is above it. Default true.
    #[serde(default)]
    pub(super) forecast: Option<bool>,
}

/// When a step in the daily use of an item is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawStep {
    /// How many times the median of the 14 days before a day's use must be. Default 2.
    pub(super) factor: f64,
    /// Days that must be known of these 14. Default 7.
    #[schemars(range(min = 3, max = 14))]
    pub(super) days_min: u32,
}

impl Default for RawStep {
    fn default() -> Self {
        Self {
            factor: 2.0,
            days_min: 7,
        }
    }
}
