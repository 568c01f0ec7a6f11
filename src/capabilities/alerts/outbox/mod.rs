//! Outbox: what is to be told, kept until it is. A place holder in memory until it is built.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use super::model::{Notice, Status};
use crate::platform::alerts::Severity;
use crate::platform::wiring::Wiring;
use crate::storage::engine::StorageError;

/// What a channel knows of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// When it was last told something.
    pub(super) at: DateTime<Utc>,
    /// What it was last told of each alert, by key.
    pub(super) alerts: BTreeMap<String, (Status, Severity)>,
    /// How many more alerts the last notice counted without naming them.
    pub(super) more: u32,
}

/// The outbox.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    told: Mutex<BTreeMap<(String, String), Told>>,
}

impl Outbox {
    /// Opens the journal.
    #[expect(clippy::unnecessary_wraps, reason = "the journal may not open")]
    pub(super) fn open(_wiring: &Wiring) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::default())
    }

    /// Ends when every notice is on the medium, before any of them is sent. One whose id is there
    /// already is not taken again.
    #[expect(clippy::unused_async, reason = "the journal is waited for")]
    pub(super) async fn queue(&self, notices: Vec<Notice>) -> Result<(), StorageError> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for notice in notices {
            let place = (notice.group.clone(), notice.channel.clone());
            let known = told.entry(place.clone()).or_insert_with(|| Told {
                at: notice.at,
                alerts: BTreeMap::new(),
                more: 0,
            });
            known.at = notice.at;
            known.more = notice.more;
            for alert in notice.alerts {
                known
                    .alerts
                    .insert(alert.key, (alert.status, alert.severity));
            }
            let holds = |told: &(Status, Severity)| told.0 == Status::Firing;
            if !known.alerts.values().any(holds) {
                told.remove(&place);
            }
        }
        Ok(())
    }

    /// What `channel` was last told of `group`, queued or sent; `None` for nothing, or where
    /// everything it was told of has ended and that was told too.
    pub(super) fn told(&self, group: &str, channel: &str) -> Option<Told> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.get(&(group.to_owned(), channel.to_owned())).cloned()
    }

    /// Every group and channel that something is told of: those that [`Outbox::told`] knows.
    pub(super) fn all_told(&self) -> Vec<(String, String)> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.keys().cloned().collect()
    }
}
