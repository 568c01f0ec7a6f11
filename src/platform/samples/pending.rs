//! What has been handed over and is not in the journal yet: visible at once, written by source
//! when its age has come, kept when storage refuses it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::rows::{Row, Rows};

/// How long rows wait before they are written: what a kill may take. Source: issue 3, part 2.
const FLUSH_AGE: Duration = Duration::from_secs(1);

/// Rows that wait at most, when storage refuses them: five hundred series for forty minutes (our
/// own choice, some 4 MB). The oldest are given up first.
const MOST_ROWS: usize = 20_000;

/// Rows of one source.
#[derive(Debug, Default)]
struct Waiting {
    rows: Rows,
    /// Uptime at which the first of them came.
    since: Duration,
}

/// Everything that is on its way.
#[derive(Debug, Default)]
pub(super) struct Pending {
    waiting: BTreeMap<Box<str>, Waiting>,
    writing: BTreeMap<u64, (Box<str>, Rows)>,
    ages: HashMap<Box<str>, Duration>,
    next_ticket: u64,
    /// Ids of commits on their way.
    ids: HashSet<Box<str>>,
    /// Samples given up because storage refused for too long.
    pub(super) dropped: u64,
    /// Samples that were not taken.
    pub(super) refused: u64,
}

impl Pending {
    /// Takes rows in.
    pub(super) fn add(&mut self, source: &str, rows: Rows, uptime: Duration) {
        if rows.is_empty() {
            return;
        }
        let waiting = self.waiting.entry(source.into()).or_default();
        if waiting.rows.is_empty() {
            *waiting = Waiting {
                rows,
                since: uptime,
            };
        } else {
            waiting.rows.merge(&rows);
        }
        if waiting.rows.len() > MOST_ROWS {
            let given_up = waiting.rows.keep_newest(MOST_ROWS);
            self.dropped = self.dropped.saturating_add(given_up);
        }
    }

    /// Rows of `source` are written when they are this old.
    pub(super) fn set_age(&mut self, source: &str, age: Duration) {
        self.ages.insert(source.into(), age);
    }

    /// Sources whose rows are due, or all that have some.
    pub(super) fn due(&self, uptime: Duration, all: bool) -> Vec<Box<str>> {
        let is_due = |source: &str, waiting: &Waiting| {
            let age = self.ages.get(source).copied().unwrap_or(FLUSH_AGE);
            !waiting.rows.is_empty() && (all || uptime.saturating_sub(waiting.since) >= age)
        };
        let due = self
            .waiting
            .iter()
            .filter(|(source, one)| is_due(source, one));
        due.map(|(source, _)| source.clone()).collect()
    }

    /// Moves the rows of `source` to those being written.
    pub(super) fn begin(&mut self, source: &str) -> Option<(u64, &Rows)> {
        let rows = std::mem::take(&mut self.waiting.get_mut(source)?.rows);
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let (_, rows) = self.writing.entry(ticket).or_insert((source.into(), rows));
        Some((ticket, rows))
    }

    /// The rows that were being written: they are counted by now, or have to be added again.
    pub(super) fn end(&mut self, ticket: u64) -> Option<(Box<str>, Rows)> {
        self.writing.remove(&ticket)
    }

    /// Takes note of a commit with this id; `false` when one is on its way already.
    pub(super) fn begin_id(&mut self, id: &str) -> bool {
        self.ids.insert(id.into())
    }

    /// A commit with this id has ended.
    pub(super) fn end_id(&mut self, id: &str) {
        self.ids.remove(id);
    }

    /// All rows that no view knows yet, with their source.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, &Row)> {
        let here = self
            .waiting
            .iter()
            .map(|(source, one)| (&**source, &one.rows));
        let under_way = self
            .writing
            .values()
            .map(|(source, rows)| (&**source, rows));
        here.chain(under_way)
            .flat_map(|(source, rows)| rows.iter().map(move |row| (source, row)))
    }
}
