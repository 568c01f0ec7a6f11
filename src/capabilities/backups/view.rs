//! What the journal means now: when a backup was made last, when one was proven to restore, and how
//! each replica is.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::event::Event;
use super::model::{Proven, Synced};

/// The view.
#[derive(Debug, Clone, Default)]
pub(super) struct BackupsView {
    /// Since when the first backup is waited for.
    pub(super) awaited: Option<DateTime<Utc>>,
    /// When a backup was made last.
    pub(super) taken: Option<DateTime<Utc>>,
    /// The folder that it was made in, where that is outside of the home.
    pub(super) outside: Option<String>,
    /// The last drill that passed.
    pub(super) proven: Option<(DateTime<Utc>, Proven)>,
    /// A drill that failed after it.
    pub(super) unproven: Option<(DateTime<Utc>, String)>,
    /// Replicas by name.
    pub(super) replicas: BTreeMap<String, ReplicaView>,
}

/// How a replica is.
#[derive(Debug, Clone, Default)]
pub(super) struct ReplicaView {
    /// When it was last brought up to date, and how that went.
    pub(super) synced: Option<(DateTime<Utc>, Synced)>,
    /// When everything in it was read back last.
    pub(super) read_back: Option<DateTime<Utc>>,
    /// Why it was not brought up to date since.
    pub(super) failed: Option<(DateTime<Utc>, String)>,
}

impl BackupsView {
    /// Takes in what happened at `at`.
    pub(super) fn take(&mut self, at: DateTime<Utc>, event: &Event) {
        match event {
            Event::Awaited(_) => self.awaited = Some(at),
            Event::Taken(taken) => {
                self.taken = Some(at);
                self.outside.clone_from(&taken.folder);
            }
            Event::Removed(_) => {}
            Event::Synced(synced) => {
                let replica = self.replicas.entry(synced.replica.clone()).or_default();
                if synced.is_read_back {
                    replica.read_back = Some(at);
                }
                replica.synced = Some((at, synced.clone()));
                replica.failed = None;
            }
            Event::SyncFailed(failed) => {
                let replica = self.replicas.entry(failed.replica.clone()).or_default();
                replica.failed = Some((at, failed.why.clone()));
            }
            Event::Proven(proven) => {
                self.proven = Some((at, proven.clone()));
                self.unproven = None;
            }
            Event::DrillFailed(failed) => self.unproven = Some((at, failed.why.clone())),
        }
    }
}
