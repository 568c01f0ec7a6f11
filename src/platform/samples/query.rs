//! The store as those see it who ask.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::histogram::Histogram;
use super::pending::Pending;
use super::rows::{Counts, Row, minute_of, minute_start};
use super::state::{Parser, State};
use super::store::Samples;
use crate::storage::engine::{Mark, StorageError};

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

/// The store in numbers, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Series that are known.
    pub series: usize,
    /// Rows that wait to be written.
    pub pending_rows: usize,
    /// Samples that were not taken since the start: too far ahead, or of one series too many.
    pub refused: u64,
    /// Samples given up since the start, because storage refused them for too long.
    pub dropped: u64,
    /// Lines of the journal that could not be read.
    pub skipped_lines: u64,
    /// Bytes of memory, by our own estimate.
    pub bytes: usize,
}

impl Samples {
    /// How far `source` had read at its last commit.
    pub fn position(&self, source: &str) -> Option<Value> {
        self.inner.kept.lock().position(source).cloned()
    }

    /// Whether a push with this id has been counted; the last 16,384 ids are remembered.
    pub fn seen(&self, id: &str) -> bool {
        self.inner.kept.lock().has_seen(id)
    }

    /// Samples in the minutes that begin in the span. Where minutes are not kept any more, in the
    /// hours or days that lie in it by their middle.
    pub fn counts(&self, series: &str, from: DateTime<Utc>, until: DateTime<Utc>) -> Counts {
        let span = span(from, until);
        self.look(|state, pending| {
            let counts = |one: &super::series::Series| one.counts(span.start, span.end);
            let mut sum = state.find(series).map(counts).unwrap_or_default();
            for row in in_span(pending, series, &span) {
                sum.add(row.counts);
            }
            sum
        })
    }

    /// Samples of known duration in the span, like [`Samples::counts`], the bad ones being those
    /// that took longer than `threshold_us`. For a threshold that was not named to
    /// [`Samples::keep_fine`], as far as durations are kept.
    pub fn slower(
        &self,
        series: &str,
        threshold_us: u64,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Counts {
        let slower = |durations: &Histogram| {
            let total = durations.count();
            let bad = total - durations.below(threshold_us);
            Counts { total, bad }
        };
        let span = span(from, until);
        self.look(|state, pending| {
            let counted = state.find(series).map(|one| {
                let counted = one.slower(threshold_us, span.start, span.end);
                counted.unwrap_or_else(|| {
                    let mut durations = Histogram::default();
                    one.durations(span.start, span.end, &mut durations);
                    slower(&durations)
                })
            });
            let mut sum = counted.unwrap_or_default();
            for row in in_span(pending, series, &span) {
                sum.add(slower(&row.durations));
            }
            sum
        })
    }

    /// Durations in the span, like [`Samples::counts`]: by minutes for two hours, by hours for 26
    /// hours (fine series four days), by days for 35 days (fine series only).
    pub fn durations(&self, series: &str, from: DateTime<Utc>, until: DateTime<Utc>) -> Histogram {
        let span = span(from, until);
        self.look(|state, pending| {
            let mut sum = Histogram::default();
            if let Some(series) = state.find(series) {
                series.durations(span.start, span.end, &mut sum);
            }
            for row in in_span(pending, series, &span) {
                sum.merge(&row.durations);
            }
            sum
        })
    }

    /// Every series, by name.
    pub fn series(&self) -> Vec<SeriesInfo> {
        let mut all: BTreeMap<Box<str>, (Box<str>, u32, u32)> = BTreeMap::new();
        self.look(|state, pending| {
            for one in state.series() {
                all.insert(one.name.clone(), (one.source.clone(), one.first, one.last));
            }
            for (source, row) in pending.rows() {
                let fresh = || (source.into(), row.minute, row.minute);
                let (_, first, last) = all.entry(row.series.clone()).or_insert_with(fresh);
                (*first, *last) = (row.minute.min(*first), row.minute.max(*last));
            }
        });
        let info = |(name, (source, first, last))| SeriesInfo {
            name,
            source,
            first: minute_start(first),
            last: minute_start(last),
        };
        all.into_iter().map(info).collect()
    }

    /// The first minute ever of a series.
    pub fn first_minute(&self, series: &str) -> Option<DateTime<Utc>> {
        self.look(|state, pending| {
            let waiting = pending.rows().filter(|(_, row)| *row.series == *series);
            let waiting = waiting.map(|(_, row)| row.minute);
            let counted = state.find(series).map(|one| one.first);
            counted.into_iter().chain(waiting).min().map(minute_start)
        })
    }

    /// The minutes of a series that begin in the span and hold something, in order, as far as
    /// minutes are kept.
    pub fn minutes(&self, series: &str, from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Minute> {
        let span = span(from, until);
        let mut all: BTreeMap<u32, Counts> = BTreeMap::new();
        self.look(|state, pending| {
            if let Some(series) = state.find(series) {
                all.extend(series.minutes(span.start, span.end));
            }
            for row in in_span(pending, series, &span) {
                all.entry(row.minute).or_default().add(row.counts);
            }
        });
        let minute = |(minute, counts)| Minute {
            at: minute_start(minute),
            counts,
        };
        all.into_iter().map(minute).collect()
    }

    /// Hands over all rows on record whose minute begins in the span, in the order in which they
    /// were written: rows of one minute may come more than once and add up. Reads the journal from
    /// its beginning and therefore takes its time; not for the thread that serves.
    pub fn recorded(
        &self,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        mut take: impl FnMut(&Row),
    ) -> Result<(), StorageError> {
        let span = span(from, until);
        let mut parser = Parser::default();
        let journal = self.inner.kept.journal();
        journal.scan(&Mark::default(), &mut |chunk| {
            for text in chunk.bytes.split(|byte| *byte == b'\n') {
                let event = parser.take(text).ok().flatten();
                let rows = event.into_iter().flat_map(|event| event.rows);
                rows.filter(|row| span.contains(&row.minute))
                    .for_each(|row| take(&row));
            }
            ControlFlow::Continue(())
        })
    }

    /// The store in numbers.
    pub fn gauges(&self) -> Gauges {
        self.look(|state, pending| Gauges {
            series: state.series().len(),
            pending_rows: pending.rows().count(),
            refused: pending.refused,
            dropped: pending.dropped,
            skipped_lines: state.skipped(),
            bytes: state.bytes(),
        })
    }

    /// Both at once: what is counted, and what is on its way.
    fn look<T>(&self, ask: impl FnOnce(&State, &Pending) -> T) -> T {
        let pending = self.inner.pending();
        let state = self.inner.kept.lock();
        ask(&state, &pending)
    }
}

fn in_span<'a>(
    pending: &'a Pending,
    series: &'a str,
    span: &'a Range<u32>,
) -> impl Iterator<Item = &'a Row> {
    let rows = pending.rows().map(|(_, row)| row);
    rows.filter(move |row| *row.series == *series && span.contains(&row.minute))
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
