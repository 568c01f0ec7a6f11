//! What has been counted, as it is kept in memory.

use std::collections::{BTreeMap, HashSet, VecDeque};

use serde_json::Value;

use super::histogram::Histogram;
use super::rows::{Counts, Row, Rows};

/// Ids of the last pushes that are remembered; a repeat that comes later counts again.
pub(super) const IDS_KEPT: usize = 16_384;

/// One series.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// Who handed its first row over.
    pub(super) source: Box<str>,
    /// Rows by minute.
    pub(super) minutes: BTreeMap<u32, (Counts, Histogram)>,
}

/// Everything.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) series: BTreeMap<Box<str>, Series>,
    pub(super) positions: BTreeMap<Box<str>, Value>,
    seen: HashSet<Box<str>>,
    ids: VecDeque<Box<str>>,
}

impl State {
    pub(super) fn apply(&mut self, source: &str, rows: &Rows) {
        rows.iter().for_each(|row| self.apply_row(source, row));
    }

    fn apply_row(&mut self, source: &str, row: &Row) {
        let series = self.series.entry(row.series.clone()).or_default();
        if series.source.is_empty() {
            series.source = source.into();
        }
        let (counts, durations) = series.minutes.entry(row.minute).or_default();
        counts.add(row.counts);
        durations.merge(&row.durations);
    }

    pub(super) fn remember(&mut self, id: &str) {
        if self.seen.insert(id.into()) {
            self.ids.push_back(id.into());
        }
        if self.ids.len() > IDS_KEPT
            && let Some(oldest) = self.ids.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }

    pub(super) fn seen(&self, id: &str) -> bool {
        self.seen.contains(id)
    }
}
