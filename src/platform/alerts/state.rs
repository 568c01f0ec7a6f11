//! What holds and what has happened, in memory: as the watchers have said it, and as the journal
//! has it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Attachment;
use super::event::{Finding, Members, Record, What};
use crate::storage::engine::{Position, StorageError};
use crate::storage::lines::Lines;

/// Lines that wait for storage at most; beyond them the oldest are given up, and that is said. Our
/// own choice: an alert storm of some minutes.
const MOST_WAITING: usize = 30_000;
/// Lines in one group.
const MOST_AT_ONCE: usize = 500;
/// Records that are kept in memory for those who follow: a storm of some seconds. Who is further
/// behind reads the journal.
const MOST_RECENT: usize = 8_192;

/// A finding that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// What was found.
    pub finding: Arc<Finding>,
    /// When it was noticed.
    pub fired_at: DateTime<Utc>,
    /// Who has taken it up, and when.
    pub acknowledged: Option<(DateTime<Utc>, String)>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// As the journal has it.
    pub(super) active: BTreeMap<String, Active>,
    /// As the watchers have said, written or not.
    pub(super) said: BTreeMap<String, Active>,
    /// What is known beside of findings, by key.
    pub(super) attached: HashMap<String, Arc<Attachment>>,
    /// Lines to be written, in order.
    pub(super) waiting: VecDeque<Record>,
    /// The last lines of the journal, in order.
    recent: VecDeque<Record>,
    /// Number of the last line that is not in `recent`.
    before_recent: u64,
    writing: bool,
    pub(super) refused: Option<StorageError>,
    given_up: u64,
}

impl State {
    /// Takes a line of the journal.
    pub(super) fn fold(&mut self, mut record: Record) {
        let key = &record.finding.key;
        if let Some(known) = self.active.get(key) {
            record.fired_at = known.fired_at;
        }
        match &record.what {
            What::Fired | What::Changed => {
                let known = self.active.remove(key);
                let active = Active {
                    finding: Arc::clone(&record.finding),
                    fired_at: record.fired_at,
                    acknowledged: known.and_then(|known| known.acknowledged),
                };
                self.active.insert(key.clone(), active);
            }
            What::Acknowledged { by } => {
                if let Some(active) = self.active.get_mut(key) {
                    active.acknowledged = Some((record.at, by.clone()));
                }
            }
            What::Resolved => {
                self.active.remove(key);
                // What is said again meanwhile may be attached to anew.
                if !self.said.contains_key(key) {
                    self.attached.remove(key);
                }
            }
        }
        self.recent.push_back(record);
        if self.recent.len() > MOST_RECENT
            && let Some(oldest) = self.recent.pop_front()
        {
            self.before_recent = oldest.seq;
        }
    }

    /// The records after `seq`; `None` where they are not all in memory any more.
    pub(super) fn since(&self, seq: u64) -> Option<Vec<Record>> {
        (seq >= self.before_recent).then(|| {
            // In order: a follower that is near costs what is new, however many are kept.
            let begin = self.recent.partition_point(|record| record.seq <= seq);
            self.recent.range(begin..).cloned().collect()
        })
    }

    /// All records that are in memory.
    pub(super) fn recent(&self) -> Vec<Record> {
        self.recent.iter().cloned().collect()
    }

    /// Queues a line.
    pub(super) fn put(&mut self, what: What, finding: &Active, at: DateTime<Utc>) {
        // Lines under way are at the front; they are never the ones given up.
        let busy = if self.writing { MOST_AT_ONCE } else { 0 };
        if self.waiting.len() >= MOST_WAITING
            && let Some(lost) = self.waiting.remove(busy)
        {
            self.given_up += 1;
            if lost.what == What::Fired {
                // Whoever says it again is heard again.
                self.said.remove(&lost.finding.key);
            }
            if self.given_up == 1 {
                tracing::error!("alert events are lost: storage takes none and too many wait");
            }
        }
        self.waiting.push_back(Record {
            seq: 0,
            at,
            what,
            finding: Arc::clone(&finding.finding),
            fired_at: finding.fired_at,
        });
    }

    /// The next group to write, if none is under way; none while storage refuses, until a new try
    /// is due: each attempt costs a group's lines.
    pub(super) fn next_lines(&mut self) -> Option<(Lines, usize)> {
        if self.writing || self.waiting.is_empty() || self.refused.is_some() {
            return None;
        }
        let mut lines = Lines::new();
        for record in self.waiting.iter().take(MOST_AT_ONCE) {
            lines.push_members(record.what.kind(), record.at, &Members::of(record));
        }
        self.writing = true;
        let count = lines.len();
        Some((lines, count))
    }

    /// The group under way, of `count` lines, was written or refused.
    pub(super) fn committed(&mut self, outcome: &Result<Position, StorageError>, count: usize) {
        self.writing = false;
        match outcome {
            Err(refused) => self.refused = Some(refused.clone()),
            Ok(position) => {
                self.refused = None;
                let count = count.min(self.waiting.len());
                let written: Vec<_> = self.waiting.drain(..count).collect();
                for (mut record, seq) in written.into_iter().zip(position.first..) {
                    record.seq = seq;
                    self.fold(record);
                }
            }
        }
    }
}
