//! The store as its users see it.

use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::histogram::Histogram;
use super::rows::{Counts, Rows, minute_of, minute_start};
use super::state::State;
use crate::seams::clock::Clock;
use crate::storage::engine::{Engine, StorageError, StreamOptions};

/// Minutes that a sample may be ahead of our clock: clocks of one machine and its neighbours agree
/// far better, and a row of next year would push real ones out (our own choice).
const MINUTES_AHEAD: u32 = 5;

/// How often the store looks whether something is due.
const TICK: Duration = Duration::from_secs(1);

/// What became of a commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// Samples that were not taken, because they lie too far in the future.
    pub refused: u64,
    /// Whether the id was known: nothing has been counted again.
    pub repeated: bool,
}

/// The outcome of a commit, to be awaited. Dropping it does not take the commit back.
pub type Committing = Pin<Box<dyn Future<Output = Result<Committed, StorageError>> + Send>>;

/// One minute of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minute {
    /// When it begins.
    pub at: DateTime<Utc>,
    /// What was counted in it.
    pub counts: Counts,
}

/// What is known of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesInfo {
    /// Its name.
    pub name: Box<str>,
    /// Who handed its first row over, such as `push` or `tail:nginx`.
    pub source: Box<str>,
    /// Its first minute ever.
    pub first: DateTime<Utc>,
    /// Its last minute so far.
    pub last: DateTime<Utc>,
}

/// The one store for samples. Cloning it gives another handle of the same.
#[derive(Debug, Clone)]
pub struct Samples {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

impl Samples {
    /// Opens the journals of samples, each with `options` of its name, and works out what they
    /// mean.
    pub fn open(
        _engine: &Arc<dyn Engine>,
        clock: &Arc<dyn Clock>,
        _options: impl Fn(&str) -> StreamOptions,
    ) -> Result<Self, StorageError> {
        Ok(Self {
            clock: Arc::clone(clock),
            state: Arc::default(),
        })
    }

    /// The store's own work: writes what is due, closes hours and days. To be run as a task.
    pub async fn run(self, stop: CancellationToken) {
        while stop
            .run_until_cancelled(self.clock.sleep(TICK))
            .await
            .is_some()
        {
            self.flush();
        }
    }

    /// Counts rows that may be lost when the machine dies within seconds. They are visible at once
    /// and in the journal with the next flush of `source`. Gives the samples that were refused
    /// because they lie more than five minutes ahead of our clock.
    pub fn add(&self, source: &str, mut rows: Rows) -> u64 {
        let refused = self.refuse(&mut rows);
        self.state().apply(source, &rows);
        refused
    }

    /// Counts rows together with how far `source` has read, and with the id of the push: all of it
    /// or nothing, visible once it is in the journal. An id that is known counts nothing again.
    pub fn commit(
        &self,
        source: &str,
        mut rows: Rows,
        position: Option<Value>,
        id: Option<&str>,
    ) -> Committing {
        let refused = self.refuse(&mut rows);
        let mut state = self.state();
        let repeated = id.is_some_and(|id| state.seen(id));
        if !repeated {
            state.apply(source, &rows);
            if let Some(id) = id {
                state.remember(id);
            }
            if let Some(position) = position {
                state.positions.insert(source.into(), position);
            }
        }
        let committed = Committed { refused, repeated };
        Box::pin(std::future::ready(Ok(committed)))
    }

    /// How far `source` had read at its last commit.
    pub fn position(&self, source: &str) -> Option<Value> {
        self.state().positions.get(source).cloned()
    }

    /// Whether a push with this id has been counted; the last 16,384 ids are remembered.
    pub fn seen(&self, id: &str) -> bool {
        self.state().seen(id)
    }

    /// Keeps minutes of `series` for 72 hours rather than two, and for each threshold in
    /// microseconds how many samples took longer, for as long as counts are kept. Known ones stay.
    pub fn keep_fine(&self, _series: &str, _thresholds_us: &[u64]) {}

    /// Samples in the minutes that begin in the span. Where minutes are not kept any more, in the
    /// hours or days that lie in it by their middle.
    pub fn counts(&self, series: &str, from: DateTime<Utc>, until: DateTime<Utc>) -> Counts {
        let mut sum = Counts::default();
        if let Some(series) = self.state().series.get(series) {
            let minutes = series.minutes.range(span(from, until));
            minutes.for_each(|(_, (counts, _))| sum.add(*counts));
        }
        sum
    }

    /// Samples of known duration in the span, the bad ones being those that took longer than
    /// `threshold_us`. Exact to the minute only for thresholds named to [`Samples::keep_fine`].
    pub fn slower(
        &self,
        series: &str,
        threshold_us: u64,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Counts {
        let durations = self.durations(series, from, until);
        let total = durations.count();
        Counts {
            total,
            bad: total - durations.below(threshold_us),
        }
    }

    /// Durations in the span, like [`Samples::counts`].
    pub fn durations(&self, series: &str, from: DateTime<Utc>, until: DateTime<Utc>) -> Histogram {
        let mut sum = Histogram::default();
        if let Some(series) = self.state().series.get(series) {
            let minutes = series.minutes.range(span(from, until));
            minutes.for_each(|(_, (_, durations))| sum.merge(durations));
        }
        sum
    }

    /// Every series, by name.
    pub fn series(&self) -> Vec<SeriesInfo> {
        let state = self.state();
        let mut all = Vec::with_capacity(state.series.len());
        for (name, one) in &state.series {
            let (first, last) = (one.minutes.first_key_value(), one.minutes.last_key_value());
            if let (Some((first, _)), Some((last, _))) = (first, last) {
                all.push(SeriesInfo {
                    name: name.clone(),
                    source: one.source.clone(),
                    first: minute_start(*first),
                    last: minute_start(*last),
                });
            }
        }
        all
    }

    /// The first minute ever of a series.
    pub fn first_minute(&self, series: &str) -> Option<DateTime<Utc>> {
        let state = self.state();
        let first = state.series.get(series)?.minutes.first_key_value()?;
        Some(minute_start(*first.0))
    }

    /// The minutes of a series that begin in the span and hold something, in order, as far as
    /// minutes are kept.
    pub fn minutes(&self, series: &str, from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Minute> {
        let state = self.state();
        let Some(series) = state.series.get(series) else {
            return Vec::new();
        };
        let minutes = series.minutes.range(span(from, until));
        let minute = |(minute, (counts, _)): (&u32, &(Counts, Histogram))| Minute {
            at: minute_start(*minute),
            counts: *counts,
        };
        minutes.map(minute).collect()
    }

    /// Hands everything that has been added to the journal now.
    pub fn flush(&self) {}

    /// Writes what is left and saves what makes the next start quick.
    pub fn close(&self) {
        self.flush();
    }

    fn refuse(&self, rows: &mut Rows) -> u64 {
        let newest = minute_of(self.clock.now()).saturating_add(MINUTES_AHEAD);
        rows.refuse(|row| row.minute > newest)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The minutes that begin in the span.
fn span(from: DateTime<Utc>, until: DateTime<Utc>) -> Range<u32> {
    let first_from = |at: DateTime<Utc>| {
        let minute = minute_of(at);
        minute.saturating_add(u32::from(minute_start(minute) < at))
    };
    let (from, until) = (first_from(from), first_from(until));
    from..until.max(from)
}
