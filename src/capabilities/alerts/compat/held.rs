//! How long each alert from elsewhere is taken to hold: until its sender says that it has ended, or
//! has not repeated it in time. In memory only: after a restart each alert gets its time anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

use crate::base::time::stamp;

/// Until when an alert holds unless it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    /// Until when.
    pub(super) until: DateTime<Utc>,
    /// When its sender last spoke of it.
    pub(super) said_at: DateTime<Utc>,
    /// Whether the sender named the end; otherwise it is our own patience.
    pub(super) named: bool,
}

impl Hold {
    /// How it ended when nothing more was heard.
    pub(super) fn how(&self) -> String {
        if self.named {
            let until = stamp(self.until);
            return format!("not repeated by {until}, the end that its sender gave");
        }
        let patience = self.until - self.said_at;
        if patience < TimeDelta::hours(1) {
            format!("not repeated for {} min", patience.num_minutes())
        } else {
            format!("not repeated for {} h", patience.num_hours())
        }
    }
}

/// What holds, by fingerprint.
#[derive(Debug, Default)]
pub(super) struct Held {
    known: Mutex<Known>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Known {
    holds: HashMap<u64, Hold>,
    /// The end that is waited for.
    awaited: Option<DateTime<Utc>>,
}

impl Held {
    /// Takes the word of a sender.
    pub(super) fn put(&self, fingerprint: u64, hold: Hold) {
        let mut known = self.lock();
        known.holds.insert(fingerprint, hold);
        if known.awaited.is_none_or(|awaited| hold.until < awaited) {
            self.changed.notify_one();
        }
    }

    /// It has ended.
    pub(super) fn remove(&self, fingerprint: u64) {
        self.lock().holds.remove(&fingerprint);
    }

    /// How many hold, and whether `fingerprint` is one of them.
    pub(super) fn count(&self, fingerprint: u64) -> (usize, bool) {
        let known = self.lock();
        (known.holds.len(), known.holds.contains_key(&fingerprint))
    }

    /// What is known of `fingerprint`.
    pub(super) fn find(&self, fingerprint: u64) -> Option<Hold> {
        self.lock().holds.get(&fingerprint).copied()
    }

    /// Takes out what has not been repeated in time.
    pub(super) fn take_due(&self, now: DateTime<Utc>) -> Vec<(u64, Hold)> {
        let due = |_: &u64, hold: &mut Hold| hold.until <= now;
        self.lock().holds.extract_if(due).collect()
    }

    /// The next end, which is waited for from now on.
    pub(super) fn await_next(&self) -> Option<DateTime<Utc>> {
        let mut known = self.lock();
        known.awaited = known.holds.values().map(|hold| hold.until).min();
        known.awaited
    }

    /// Ends when an end is nearer than the one waited for.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
