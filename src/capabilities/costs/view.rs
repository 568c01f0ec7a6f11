//! What `logs/costs.ndjson` means now: what was used by item and day, what the daemon itself used,
//! which days are on record, which thresholds were told, and which ids are known.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::event::{Capacity, CostLine, MeterRead, UnitMeter, UsageRecorded, Used};
use super::model::Month;
use super::model::Usages;
use crate::base::money::Ratio;
use crate::storage::view::{LineBatch, Reader, View, put_bytes};

/// Ids that are known, the newest: 12 MB. An older one that comes again is counted again.
pub(super) const MOST_IDS: usize = 262_144;
/// Days of which the recorded costs are kept, to see whether late usage changes them.
const KEPT_DAYS: u64 = 100;
/// Bytes of one id as it is saved: its key, and what it stood for.
const SAVED_ID: usize = 24;

/// What the daemon used on a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MeterDay {
    /// Milliseconds that were looked at.
    pub(super) observed_ms: u64,
    /// Milliseconds of processor time.
    pub(super) cpu_ms: u64,
    /// Bytes of answers sent.
    pub(super) bytes_sent: u64,
}

/// What units used in a month, beside what there was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SharedMonth {
    /// Milliseconds that were looked at.
    pub(super) observed_ms: u64,
    /// Of the machine.
    pub(super) capacity_cpu_ms: f64,
    /// Of the machine: bytes times milliseconds.
    pub(super) capacity_memory: f64,
    /// By unit: milliseconds of processor time, and bytes times milliseconds.
    pub(super) units: BTreeMap<String, (f64, f64)>,
}

impl SharedMonth {
    fn add(&mut self, read: &MeterRead, capacity: Capacity) {
        let span = read.observed_ms as f64;
        self.observed_ms = self.observed_ms.saturating_add(read.observed_ms);
        self.capacity_cpu_ms += capacity.cpu_ms as f64;
        self.capacity_memory += capacity.memory_bytes as f64 * span;
        for (
            unit,
            UnitMeter {
                cpu_ms,
                memory_bytes,
            },
        ) in &read.units
        {
            let sums = self.units.entry(unit.clone()).or_default();
            sums.0 += *cpu_ms as f64;
            sums.1 += *memory_bytes as f64 * span;
        }
    }
}

/// The part that is saved as JSON: maps with text keys and plain values.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct State {
    last_seq: u64,
    /// What was told to be used, by item.
    pub(super) usages: Usages,
    /// Late uses by month and item.
    pub(super) late: BTreeMap<String, BTreeMap<String, u64>>,
    /// What the daemon used.
    pub(super) meters: BTreeMap<NaiveDate, MeterDay>,
    /// Bytes of the home on the disk.
    pub(super) stored: BTreeMap<NaiveDate, u64>,
    /// What units used, by month.
    pub(super) shared: BTreeMap<String, SharedMonth>,
    /// Daily costs on record, by item.
    pub(super) recorded: BTreeMap<String, BTreeMap<NaiveDate, String>>,
    /// The last day whose costs are on record.
    pub(super) collected: Option<NaiveDate>,
    /// Thresholds that were told: budget, month, percent, and the bound then.
    pub(super) reached: BTreeSet<(String, String, u32, String)>,
    /// Keys of the ledger as they were last written.
    pub(super) ledger: Option<serde_json::Value>,
    /// The last weekly outlook.
    pub(super) predicted: Option<serde_json::Value>,
}

/// The view.
#[derive(Debug, Default)]
pub(super) struct CostsView {
    /// Everything but ids.
    pub(super) state: State,
    ids: HashMap<u128, u64>,
    order: VecDeque<u128>,
}

/// What is known of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing.
    New,
    /// It stands for the same use.
    Same,
    /// It stands for another use.
    Other,
}

fn id_key(id: &str) -> u128 {
    let digest = Sha256::digest(id.as_bytes());
    let (head, _) = digest.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
    u128::from_be_bytes(*head)
}

/// What a use says, without its id and without the time, which a repetition may leave away.
fn content(usage: &UsageRecorded) -> u64 {
    let used = match &usage.used {
        Used::Quantity(quantity) => quantity.to_decimal(12),
        Used::Tokens(tokens) => format!("{} {} {}", tokens.input, tokens.output, tokens.cached),
    };
    let digest = Sha256::digest(format!("{}\n{used}", usage.item));
    let (head, _) = digest.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    u64::from_be_bytes(*head)
}

impl CostsView {
    /// What is known of the id of `usage`.
    pub(super) fn known(&self, usage: &UsageRecorded) -> Known {
        match self.ids.get(&id_key(&usage.id)) {
            None => Known::New,
            Some(found) if *found == content(usage) => Known::Same,
            Some(_) => Known::Other,
        }
    }

    /// Names of items and models that something was used of.
    pub(super) fn used_names(&self) -> usize {
        self.state.usages.len()
    }

    /// Takes a line in.
    pub(super) fn take(&mut self, line: CostLine) {
        let state = &mut self.state;
        match line {
            CostLine::Used(usage) => self.used(&usage),
            CostLine::Metered(read) => state.metered(&read),
            CostLine::Stored(at, stored) => {
                state.stored.insert(at.date_naive(), stored.disk_bytes);
            }
            CostLine::Cost(cost) => {
                state.collected = state.collected.max(Some(cost.day));
                let oldest = cost.day - Days::new(KEPT_DAYS);
                let days = state.recorded.entry(cost.item).or_default();
                days.insert(cost.day, cost.amount);
                while days.first_key_value().is_some_and(|(day, _)| *day < oldest) {
                    days.pop_first();
                }
            }
            CostLine::Reached(told) => {
                let month = told.month;
                let kept = Month::parse(&month).map(|month| month.before().to_string());
                state
                    .reached
                    .retain(|one| kept.as_ref().is_none_or(|kept| one.1 >= *kept));
                let (percent, amount) = (told.threshold_percent, told.amount);
                state.reached.insert((told.budget, month, percent, amount));
            }
            CostLine::Synced(keys) => state.ledger = Some(keys),
            CostLine::Predicted(outlook) => state.predicted = Some(outlook),
        }
    }

    fn used(&mut self, usage: &UsageRecorded) {
        let key = id_key(&usage.id);
        if self.ids.insert(key, content(usage)).is_none() {
            self.order.push_back(key);
            while self.order.len() > MOST_IDS {
                if let Some(oldest) = self.order.pop_front() {
                    self.ids.remove(&oldest);
                }
            }
        }
        let day = usage.at.date_naive();
        let of_item = self.state.usages.entry(usage.item.clone()).or_default();
        match &usage.used {
            Used::Quantity(quantity) => {
                // What would not fit was refused before it was written.
                let _fits = of_item.add(day, *quantity);
            }
            Used::Tokens(tokens) => {
                let sum = of_item.tokens.entry(day).or_default();
                *sum = sum.plus(*tokens);
            }
        }
        if usage.late {
            let month = Month::of(day).to_string();
            let items = self.state.late.entry(month).or_default();
            *items.entry(usage.item.clone()).or_default() += 1;
        }
    }
}

impl State {
    fn metered(&mut self, read: &MeterRead) {
        let day = self.meters.entry(read.from.date_naive()).or_default();
        day.observed_ms = day.observed_ms.saturating_add(read.observed_ms);
        day.cpu_ms = day.cpu_ms.saturating_add(read.cpu_ms);
        day.bytes_sent = day.bytes_sent.saturating_add(read.bytes_sent);
        if let Some(capacity) = read.capacity {
            let month = Month::of(read.from.date_naive()).to_string();
            self.shared.entry(month).or_default().add(read, capacity);
        }
    }

    /// Bytes of the home on each day up to `last`: where it was not measured, as it was before.
    pub(super) fn stored_by_day(&self, last: NaiveDate) -> BTreeMap<NaiveDate, Ratio> {
        let Some((first, _)) = self.stored.first_key_value() else {
            return BTreeMap::new();
        };
        let mut bytes = 0;
        let days = first.iter_days().take_while(|day| *day <= last);
        days.map(|day| {
            bytes = self.stored.get(&day).copied().unwrap_or(bytes);
            let bytes = i128::from(bytes);
            (day, Ratio::new(bytes, 1).unwrap_or(Ratio::ZERO))
        })
        .collect()
    }
}

impl View for CostsView {
    const NAME: &'static str = "costs";
    /// Form of the saved state; a plain count of its revisions.
    const VERSION: u32 = 1;
    type Batch = LineBatch<CostLine>;
    type Parser = ();

    fn parser(&self) {}

    fn parse((): &mut (), lines: &[u8], batch: &mut Self::Batch) {
        batch.read(lines, CostLine::parse);
    }

    fn apply(&mut self, batch: &mut Self::Batch) {
        let last = batch.take(|line| self.take(line));
        self.reached(last);
    }

    fn last_seq(&self) -> u64 {
        self.state.last_seq
    }

    fn reached(&mut self, seq: u64) {
        self.state.last_seq = self.state.last_seq.max(seq);
    }

    fn save(&self, out: &mut Vec<u8>) {
        // Maps with text keys and plain values always serialise.
        put_bytes(out, &serde_json::to_vec(&self.state).unwrap_or_default());
        let mut ids = Vec::with_capacity(self.order.len() * SAVED_ID);
        for key in &self.order {
            ids.extend_from_slice(&key.to_be_bytes());
            let content = self.ids.get(key).copied().unwrap_or_default();
            ids.extend_from_slice(&content.to_be_bytes());
        }
        put_bytes(out, &ids);
    }

    fn restore(saved: &mut Reader<'_>) -> Option<Self> {
        let state = serde_json::from_slice(saved.bytes()?).ok()?;
        let mut view = Self {
            state,
            ..Self::default()
        };
        for saved in saved.bytes()?.as_chunks::<SAVED_ID>().0 {
            let (key, content) = saved.split_first_chunk::<16>()?;
            let key = u128::from_be_bytes(*key);
            let content = u64::from_be_bytes(content.try_into().ok()?);
            view.ids.insert(key, content);
            view.order.push_back(key);
        }
        Some(view)
    }
}
