//! Costs, running: what was used is taken in and put together with what was measured.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use serde::Serialize;
use tokio::sync::Mutex as Turn;

use super::event::{self, CostLine, REPORTS, STREAM, USED, UsageRecorded, Used};
use super::logic::{self, MonthCost};
use super::meter::Meter;
use super::model::{CostsRules, Item, Month, Source, Usage, Usages, is_item_name, midnight};
use super::view::{CostsView, Known};
use crate::base::money::{Ratio, TooLarge};
use crate::base::names;
use crate::platform::alerts::Alerts;
use crate::platform::changes::Changes;
use crate::platform::config::{ConfigStore, Live};
use crate::platform::samples::Samples;
use crate::platform::telemetry::Metrics;
use crate::platform::wiring::{Seams, Wiring};
use crate::storage::engine::{Engine, Position, StorageError};
use crate::storage::journal::Journal;
use crate::storage::lines::Lines;
use crate::storage::view::{Kept, View as _};

/// Uses of one call at most.
pub(super) const MOST_USES: usize = 1000;
/// Names that something may be used of, priced or not.
const MOST_NAMES: usize = 2000;
/// Minutes that the clock of whoever tells a use may be ahead.
const AHEAD_MINUTES: i64 = 5;
/// Days after which a use cannot be told any more: two years and a month.
const OLDEST_DAYS: u64 = 762;
/// Bytes of an id at most.
const MAX_ID: usize = 128;

/// Costs.
#[derive(Debug)]
pub(super) struct Costs {
    pub(super) live: Live<CostsRules>,
    pub(super) kept: Arc<Kept<CostsView>>,
    pub(super) reports: Journal,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) alerts: Alerts,
    pub(super) changes: Changes,
    pub(super) samples: Samples,
    pub(super) metrics: Metrics,
    pub(super) seams: Seams,
    pub(super) home: Arc<Path>,
    pub(super) configs: ConfigStore,
    /// What was last read of the daemon's own counters.
    pub(super) meter: Mutex<Option<Meter>>,
    /// Held while they are read, so that nothing is counted twice.
    pub(super) reading: Turn<()>,
    /// Held from the look at ids until the lines are committed or refused.
    turn: Arc<Turn<()>>,
}

/// Why uses were not taken in.
#[derive(Debug, thiserror::Error)]
pub(super) enum UsageError {
    /// None, or too many.
    #[error("the call tells of {found} uses, allowed are 1 to {MOST_USES}")]
    BadCount {
        /// How many.
        found: usize,
    },
    /// One of them cannot be taken.
    #[error("use {place}: {fault}")]
    Bad {
        /// Which, counted from 1.
        place: usize,
        /// Why.
        fault: UseFault,
    },
    /// Storage does not accept lines.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What is wrong with one use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UseFault {
    /// Not one that names it.
    #[error("`id` has {found} bytes, allowed are 1 to {MAX_ID}")]
    Id {
        /// How many.
        found: usize,
    },
    /// No such metered item.
    #[error("there is no metered item `{item}` in `configs/costs.json`")]
    Unknown {
        /// What was named.
        item: String,
        /// What was likely meant.
        nearest: Option<String>,
    },
    /// Its quantities are measured.
    #[error("`{item}` is measured by the daemon itself")]
    Measured {
        /// The item.
        item: String,
    },
    /// Not a name.
    #[error("`model` must be 1 to 64 letters, digits or `_.:/-`")]
    Name,
    /// Out of time.
    #[error("`at` is {at}, allowed are the last two years up to now")]
    Time {
        /// What was said.
        at: String,
    },
    /// Another use has the id.
    #[error("the id `{id}` stands for another use")]
    Conflict {
        /// The id.
        id: String,
    },
    /// Too many names.
    #[error("something was used of {MOST_NAMES} items and models already")]
    Full,
    /// The sum would not fit.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// A use that was taken in, or was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    /// What it was.
    pub(super) usage: UsageRecorded,
    /// Whether its id was known.
    pub(super) repeated: bool,
    /// Whether nothing says what it costs.
    pub(super) unpriced: bool,
}

impl Costs {
    /// Folds the journal and is ready.
    pub(super) fn open(wiring: &Wiring, live: Live<CostsRules>) -> anyhow::Result<Arc<Self>> {
        let journal = wiring.opened(STREAM)?;
        let reports = wiring.opened(REPORTS)?;
        let (kept, _) = Kept::open(journal, Arc::clone(&wiring.clock), CostsView::default)?;
        Ok(Arc::new(Self {
            live,
            kept: Arc::new(kept),
            reports,
            engine: Arc::clone(&wiring.engine),
            alerts: wiring.alerts.clone(),
            changes: wiring.changes.clone(),
            samples: wiring.samples.clone(),
            metrics: wiring.metrics.clone(),
            seams: wiring.seams.clone(),
            home: Arc::clone(&wiring.home),
            configs: wiring.configs.clone(),
            meter: Mutex::default(),
            reading: Turn::default(),
            turn: Arc::default(),
        }))
    }

    /// Takes uses in: all, or none where one is wrong. Ends when they are on record.
    pub(super) async fn record(
        self: &Arc<Self>,
        uses: Vec<UsageRecorded>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Taken>, UsageError> {
        if !(1..=MOST_USES).contains(&uses.len()) {
            return Err(UsageError::BadCount { found: uses.len() });
        }
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let rules = self.live.get_full();
        let taken = self.checked(uses, &rules.rules, now)?;
        let fresh = taken.iter().filter(|taken| !taken.repeated);
        let fresh: Vec<UsageRecorded> = fresh.map(|taken| taken.usage.clone()).collect();
        if fresh.is_empty() {
            return Ok(taken);
        }
        let mut lines = Lines::new();
        for usage in &fresh {
            lines.push_members(USED, now, usage);
        }
        let lines_of = fresh.into_iter().map(CostLine::Used).collect();
        self.append(lines, lines_of, Some(turn)).await?;
        Ok(taken)
    }

    fn checked(
        &self,
        uses: Vec<UsageRecorded>,
        rules: &CostsRules,
        now: DateTime<Utc>,
    ) -> Result<Vec<Taken>, UsageError> {
        let view = self.kept.lock();
        let mut seen: BTreeMap<String, UsageRecorded> = BTreeMap::new();
        let mut sums: BTreeMap<(String, NaiveDate), Ratio> = BTreeMap::new();
        let mut taken = Vec::with_capacity(uses.len());
        for (at, mut usage) in uses.into_iter().enumerate() {
            let bad = |fault| UsageError::Bad {
                place: at + 1,
                fault,
            };
            let unpriced = check(&usage, rules, now).map_err(bad)?;
            usage.late = Month::of(usage.at.date_naive()) < Month::of(now.date_naive());
            let conflict = || {
                let id = usage.id.clone();
                bad(UseFault::Conflict { id })
            };
            let repeated = match (view.known(&usage), seen.get(&usage.id)) {
                (Known::Other, _) => return Err(conflict()),
                (_, Some(first)) if first.item != usage.item || first.used != usage.used => {
                    return Err(conflict());
                }
                (Known::Same, _) | (_, Some(_)) => true,
                (Known::New, None) => false,
            };
            if !repeated {
                let known = view.state.usages.get(&usage.item);
                if known.is_none() && view.used_names() + seen.len() >= MOST_NAMES {
                    return Err(bad(UseFault::Full));
                }
                if let Used::Quantity(quantity) = &usage.used {
                    let day = usage.at.date_naive();
                    let before = || known.and_then(|known| known.quantities.get(&day).copied());
                    let sum = sums.entry((usage.item.clone(), day));
                    let sum = sum.or_insert_with(|| before().unwrap_or(Ratio::ZERO));
                    *sum = sum.plus(*quantity).map_err(|large| bad(large.into()))?;
                }
                seen.insert(usage.id.clone(), usage.clone());
            }
            taken.push(Taken {
                usage,
                repeated,
                unpriced,
            });
        }
        Ok(taken)
    }

    /// Writes lines; the view takes `said` in when they are on record.
    pub(super) async fn append(
        &self,
        lines: Lines,
        said: Vec<CostLine>,
        turn: Option<tokio::sync::OwnedMutexGuard<()>>,
    ) -> Result<(), StorageError> {
        self.appending(lines, said, turn).await.map(drop)
    }

    /// The same, handed over at once.
    pub(super) fn appending(
        &self,
        lines: Lines,
        said: Vec<CostLine>,
        turn: Option<tokio::sync::OwnedMutexGuard<()>>,
    ) -> crate::storage::engine::Appending {
        let (count, bytes) = (lines.len() as u64, lines.bytes() as u64);
        let kept = Arc::clone(&self.kept);
        let committed = move |outcome: &Result<Position, StorageError>| {
            if let Ok(position) = outcome {
                let mut view = kept.lock();
                for line in said {
                    view.take(line);
                }
                view.reached(position.last);
                drop(view);
                kept.grew(count, bytes);
            }
            drop(turn);
        };
        let journal = self.kept.journal();
        journal.append(lines, None, Some(Box::new(committed)))
    }

    /// Writes one line of `kind`.
    pub(super) async fn note<M: Serialize>(
        &self,
        kind: &'static str,
        members: &M,
        said: CostLine,
        now: DateTime<Utc>,
    ) -> Result<(), StorageError> {
        let mut lines = Lines::new();
        lines.push_members(kind, now, members);
        self.append(lines, vec![said], None).await
    }

    /// What was used from `from` to `to`: what was told, and what was measured.
    pub(super) fn usages(&self, rules: &CostsRules, from: NaiveDate, to: NaiveDate) -> Usages {
        let view = self.kept.lock();
        let state = &view.state;
        let mut usages = Usages::new();
        for item in rules.items.values() {
            let usage = match item.source() {
                None | Some(Source::Pushed) => {
                    let Some(known) = state.usages.get(&item.name) else {
                        continue;
                    };
                    let quantities = known.quantities.range(from..=to);
                    let tokens = known.tokens.range(from..=to);
                    Usage {
                        quantities: quantities.map(|(day, sum)| (*day, *sum)).collect(),
                        tokens: tokens.map(|(day, sum)| (*day, *sum)).collect(),
                    }
                }
                Some(Source::OwnBandwidth) => {
                    let days = state.meters.range(from..=to);
                    let sent = days.map(|(day, meter)| (*day, count(meter.bytes_sent)));
                    measured(sent.collect())
                }
                Some(Source::OwnStorage) => {
                    let mut days = state.stored_by_day(to);
                    days.retain(|day, _| *day >= from);
                    measured(days)
                }
                Some(Source::Requests) => measured(BTreeMap::new()),
            };
            usages.insert(item.name.clone(), usage);
        }
        drop(view);
        let asks = |item: &&Item| item.source() == Some(Source::Requests);
        for item in rules.items.values().filter(asks) {
            let days = from.iter_days().take_while(|day| *day <= to);
            let counted = days.map(|day| (day, count(self.requests(rules, day, day))));
            let counted = counted.filter(|(_, requests)| !requests.is_zero());
            usages.insert(item.name.clone(), measured(counted.collect()));
        }
        usages
    }

    /// Requests from `from` to `to`, both included.
    pub(super) fn requests(&self, rules: &CostsRules, from: NaiveDate, to: NaiveDate) -> u64 {
        let until = midnight(to + Days::new(1));
        let series = &rules.requests_series;
        self.samples.counts(series, midnight(from), until).total
    }

    /// What `month` has cost by `now`, and what was used from a month before it on.
    pub(super) fn month(
        &self,
        rules: &CostsRules,
        month: Month,
        now: DateTime<Utc>,
    ) -> Result<(MonthCost, Usages), TooLarge> {
        let through = now.date_naive().min(month.last());
        let usages = self.usages(rules, month.before().first(), month.last());
        let cost = logic::month(rules, month, through, &usages)?;
        Ok((cost, usages))
    }

    /// Saves the view, and what the counters say since they were last read.
    pub(super) fn close(&self) {
        self.last_reading();
        self.kept.close();
    }
}

fn count(number: u64) -> Ratio {
    Ratio::new(number.into(), 1).unwrap_or(Ratio::ZERO)
}

fn measured(quantities: BTreeMap<NaiveDate, Ratio>) -> Usage {
    Usage {
        quantities,
        ..Usage::default()
    }
}

/// Whether one use can be taken in; gives whether nothing says what it costs.
fn check(usage: &UsageRecorded, rules: &CostsRules, now: DateTime<Utc>) -> Result<bool, UseFault> {
    if !(1..=MAX_ID).contains(&usage.id.len()) {
        let found = usage.id.len();
        return Err(UseFault::Id { found });
    }
    let oldest = now - Days::new(OLDEST_DAYS);
    if usage.at < oldest || usage.at > now + TimeDelta::minutes(AHEAD_MINUTES) {
        let at = crate::base::time::stamp(usage.at);
        return Err(UseFault::Time { at });
    }
    let item = rules.items.get(&usage.item);
    match (&usage.used, item.and_then(Item::source)) {
        (Used::Quantity(_), Some(Source::Pushed)) => Ok(false),
        (Used::Quantity(_), Some(_)) => {
            let item = usage.item.clone();
            Err(UseFault::Measured { item })
        }
        (Used::Quantity(_), None) => {
            let metered = rules.items.values().filter(|item| item.source().is_some());
            let nearest = names::nearest(&usage.item, metered.map(|item| &*item.name));
            let item = usage.item.chars().take(64).collect();
            let nearest = nearest.map(str::to_owned);
            Err(UseFault::Unknown { item, nearest })
        }
        // A model without a price is counted all the same: it may get one later.
        (Used::Tokens(_), _) if !is_item_name(&usage.item) => Err(UseFault::Name),
        (Used::Tokens(_), _) => Ok(item.is_none_or(|item| item.kind() != "tokens")),
    }
}

/// For lines: a number with at most nine decimals.
pub(super) fn decimal(value: Ratio) -> String {
    value.to_decimal(event::DECIMALS)
}
