//! What was changed lately, by whom, told by the parts that own each change: what an alert, a jump
//! in costs or a burst of mail is held against. A memory of some days; each owner notes the past of
//! its own journal again when it is folded at a start, so nothing is written here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// How long a change is remembered: a week, what the widest comparison looks back.
const KEPT: TimeDelta = TimeDelta::days(7);
/// Changes that are remembered at most (our own choice: one a minute for a week).
const MOST: usize = 10_080;

/// What kind of thing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// A feature flag's value, rule or rollout by hand.
    Flag,
    /// A rollout step that was taken by itself.
    Rollout,
    /// A release of the product.
    Deploy,
    /// A configuration file.
    Config,
    /// A task that failed.
    TaskFailure,
}

impl ChangeKind {
    /// One word, as it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Rollout => "rollout",
            Self::Deploy => "deploy",
            Self::Config => "config",
            Self::TaskFailure => "task_failure",
        }
    }
}

/// Something that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When it took effect.
    pub at: DateTime<Utc>,
    /// What kind of thing.
    pub kind: ChangeKind,
    /// Which: the flag, the file, the service that was released, the task.
    pub name: String,
    /// One sentence, such as "flag `checkout.v2` went from false to true".
    pub summary: String,
    /// Who: a caller, such as `key:alice(ab12cd34)`, or `file`; empty where nobody.
    pub actor: String,
    /// What it concerns, where that is known: series, services, hosts.
    pub scope: Vec<String>,
    /// The journal that tells it, and the number of its line there; with `name` its identity.
    pub source: (&'static str, u64),
}

/// The memory of changes. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    known: Arc<Mutex<VecDeque<Change>>>,
}

impl Changes {
    /// Notes a change; one that is noted already or is too old at `now` is passed over.
    pub fn note(&self, change: Change, now: DateTime<Utc>) {
        let oldest = now - KEPT;
        let mut known = self.known();
        while known.front().is_some_and(|first| first.at < oldest) {
            known.pop_front();
        }
        if change.at < oldest {
            return;
        }
        // Mostly the latest; past ones come at a start.
        let place = known.partition_point(|other| other.at <= change.at);
        let is_same = |other: &Change| other.source == change.source && other.name == change.name;
        let same_time = known.iter().take(place).rev();
        if same_time
            .take_while(|other| other.at == change.at)
            .any(is_same)
        {
            return;
        }
        known.insert(place, change);
        if known.len() > MOST {
            known.pop_front();
        }
    }

    /// Changes from `from` to `to`, both included, in order of time.
    pub fn between(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<Change> {
        let known = self.known();
        let begin = known.partition_point(|change| change.at < from);
        let later = known.iter().skip(begin);
        later
            .take_while(|change| change.at <= to)
            .cloned()
            .collect()
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<Change>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(minute: i64, seq: u64) -> Change {
        Change {
            at: DateTime::UNIX_EPOCH + TimeDelta::minutes(minute),
            kind: ChangeKind::Flag,
            name: "a".into(),
            summary: String::new(),
            actor: String::new(),
            scope: Vec::new(),
            source: ("feature_flags", seq),
        }
    }

    #[test]
    fn changes_are_in_order_once_and_forgotten_after_a_week() {
        let changes = Changes::default();
        let at = |minute| DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
        for (minute, seq) in [(5, 2), (3, 1), (5, 2), (5, 3)] {
            changes.note(change(minute, seq), at(9));
        }
        let seqs = |from, to| -> Vec<u64> {
            let found = changes.between(at(from), at(to));
            found.iter().map(|change| change.source.1).collect()
        };
        assert_eq!(
            (seqs(0, 9), seqs(4, 5), seqs(3, 3)),
            (vec![1, 2, 3], vec![2, 3], vec![1])
        );
        let week = 7 * 24 * 60;
        changes.note(change(week + 4, 4), at(week + 4));
        changes.note(change(3, 5), at(week + 4));
        assert_eq!(seqs(0, week + 9), [2, 3, 4]);
    }
}
