//! What is written to `logs/costs.ndjson`. Version 1; old lines stay readable for ever.
//!
//! - `usage.recorded {id, item, quantity, at, late?}` or `{id, model, input_tokens, output_tokens,
//!   cached_tokens, at, late?}`: something was used at `at`; `late` where that month had ended.
//! - `meter.read {from, observed_ms, cpu_ms, bytes_sent, units?, capacity?}`: what the daemon, and
//!   the units that share an item, used from `from` to the line's time.
//! - `storage.measured {disk_bytes, apparent_bytes, files}`: size of `logs/` and `backups/`.
//! - `cost.recorded {item, day, quantity?, amount, currency}`: what a day added to the cost of its
//!   month, to nine decimals; `cost.revised` with `before` when that came out otherwise later.
//! - `budget.reached {budget, month, threshold_percent, spent, amount, currency}`, once each.
//! - `ledger.synced {…}` when a key of the ledger is another.
//! - `cost.predicted {…}`: the weekly outlook.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::model::Tokens;
use crate::base::money::Ratio;
use crate::base::time::as_stamp;

/// Name of the journal.
pub const STREAM: &str = "costs";
/// Name of the journal of reports.
pub const REPORTS: &str = "cost_report";

/// Something was used.
pub const USED: &str = "usage.recorded";
/// What the daemon and units used.
pub const METERED: &str = "meter.read";
/// The size of the home.
pub const STORED: &str = "storage.measured";
/// What a day cost.
pub const COST: &str = "cost.recorded";
/// What a day cost, after all.
pub const REVISED: &str = "cost.revised";
/// A budget's threshold was reached.
pub const REACHED: &str = "budget.reached";
/// Keys of the ledger.
pub const SYNCED: &str = "ledger.synced";
/// The weekly outlook.
pub const PREDICTED: &str = "cost.predicted";
/// A daily report, in the journal of reports.
pub const REPORTED: &str = "cost.reported";

/// Decimals of quantities and daily costs in lines.
pub(super) const DECIMALS: u32 = 9;

/// What was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Used {
    /// So much of an item.
    Quantity(Ratio),
    /// So many tokens of a model.
    Tokens(Tokens),
}

/// One use of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRecorded {
    /// Names it: the same id again is the same use.
    pub id: String,
    /// The item or model.
    pub item: String,
    /// How much.
    pub used: Used,
    /// When.
    pub at: DateTime<Utc>,
    /// Whether its month had ended when it was told.
    pub late: bool,
}

/// Members of [`USED`].
#[derive(Serialize, Deserialize)]
struct UsedLine {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    item: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quantity: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cached_tokens: Option<u64>,
    #[serde(serialize_with = "as_stamp")]
    at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    late: bool,
}

/// Decimals of a quantity as it is written: as many as are read.
const QUANTITY_DECIMALS: u32 = 12;

impl Serialize for UsageRecorded {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut line = UsedLine {
            id: self.id.clone(),
            item: None,
            quantity: None,
            model: None,
            input_tokens: None,
            output_tokens: None,
            cached_tokens: None,
            at: self.at,
            late: self.late,
        };
        match &self.used {
            Used::Quantity(quantity) => {
                line.item = Some(self.item.clone());
                line.quantity = Some(quantity.to_decimal(QUANTITY_DECIMALS));
            }
            Used::Tokens(tokens) => {
                line.model = Some(self.item.clone());
                line.input_tokens = Some(tokens.input);
                line.output_tokens = Some(tokens.output);
                line.cached_tokens = Some(tokens.cached);
            }
        }
        line.serialize(to)
    }
}

impl UsedLine {
    fn event(self) -> Option<UsageRecorded> {
        let (item, used) = match (self.item, self.model) {
            (Some(item), None) => {
                let quantity = Ratio::parse(&self.quantity?).ok()?;
                (item, Used::Quantity(quantity))
            }
            (None, Some(model)) => {
                let tokens = Tokens {
                    input: self.input_tokens.unwrap_or_default(),
                    output: self.output_tokens.unwrap_or_default(),
                    cached: self.cached_tokens.unwrap_or_default(),
                };
                (model, Used::Tokens(tokens))
            }
            _ => return None,
        };
        Some(UsageRecorded {
            id: self.id,
            item,
            used,
            at: self.at,
            late: self.late,
        })
    }
}

/// What a unit of systemd used over a stretch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct UnitMeter {
    /// Milliseconds of processor time.
    pub cpu_ms: u64,
    /// Bytes of memory at its end.
    pub memory_bytes: u64,
}

/// What the machine had to give over a stretch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Milliseconds of processor time.
    pub cpu_ms: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

/// Members of [`METERED`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeterRead {
    /// When the stretch began.
    #[serde(serialize_with = "as_stamp")]
    pub from: DateTime<Utc>,
    /// Milliseconds that it was long, by the monotonic clock.
    pub observed_ms: u64,
    /// Processor time of the daemon and of programs it ran, in milliseconds.
    pub cpu_ms: u64,
    /// Bytes of answers sent.
    pub bytes_sent: u64,
    /// Units that share an item, by name; without those that nothing is known of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub units: BTreeMap<String, UnitMeter>,
    /// What the machine had to give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
}

/// Members of [`STORED`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageMeasured {
    /// Bytes that the files take on the disk.
    pub disk_bytes: u64,
    /// Bytes that are in them.
    pub apparent_bytes: u64,
    /// How many files.
    pub files: u64,
}

/// Members of [`COST`] and [`REVISED`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostRecorded {
    /// The item.
    pub item: String,
    /// The day, UTC.
    pub day: NaiveDate,
    /// Units used on that day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    /// What the day added to the cost of its month.
    pub amount: String,
    /// In which currency.
    pub currency: String,
    /// What was on record before, in a revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// Members of [`REACHED`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetReached {
    /// The budget.
    pub budget: String,
    /// Of which month, such as `2026-10`.
    pub month: String,
    /// Which of its thresholds.
    pub threshold_percent: u32,
    /// What was spent then.
    pub spent: String,
    /// The bound.
    pub amount: String,
    /// In which currency.
    pub currency: String,
}

/// A line as it is read back.
#[derive(Debug, Clone, PartialEq)]
pub enum CostLine {
    /// Something was used.
    Used(UsageRecorded),
    /// What the daemon and units used until then.
    Metered(MeterRead),
    /// The size of the home at a time.
    Stored(DateTime<Utc>, StorageMeasured),
    /// What a day cost.
    Cost(CostRecorded),
    /// A threshold was reached.
    Reached(BudgetReached),
    /// Keys of the ledger, without the members of the line itself.
    Synced(serde_json::Value),
    /// The weekly outlook.
    Predicted(serde_json::Value),
}

#[derive(Deserialize)]
struct Head {
    seq: u64,
    ts: DateTime<Utc>,
    kind: String,
}

impl CostLine {
    /// Reads one line: its number, and what it says; `None` for foreign lines. What it says is
    /// `None` for kinds of later versions.
    pub fn parse(line: &[u8]) -> Option<(u64, Option<Self>)> {
        let head: Head = serde_json::from_slice(line).ok()?;
        Some((head.seq, Self::members(&head, line)))
    }

    fn members(head: &Head, line: &[u8]) -> Option<Self> {
        match &*head.kind {
            USED => {
                let line: UsedLine = serde_json::from_slice(line).ok()?;
                line.event().map(Self::Used)
            }
            METERED => serde_json::from_slice(line).ok().map(Self::Metered),
            STORED => {
                let stored = serde_json::from_slice(line).ok()?;
                Some(Self::Stored(head.ts, stored))
            }
            COST | REVISED => serde_json::from_slice(line).ok().map(Self::Cost),
            REACHED => serde_json::from_slice(line).ok().map(Self::Reached),
            SYNCED => bare(line).map(Self::Synced),
            PREDICTED => bare(line).map(Self::Predicted),
            _ => None,
        }
    }
}

/// The members of a line without those that every line has.
fn bare(line: &[u8]) -> Option<serde_json::Value> {
    let mut members: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(line).ok()?;
    for own in ["seq", "ts", "kind", "h"] {
        members.remove(own);
    }
    Some(members.into())
}
