//! Outbox: what is to be told, kept until it is. A place holder that only keeps it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::model::{Notice, Status};
use crate::platform::alerts::Severity;
use crate::platform::wiring::Wiring;
use crate::storage::engine::{Mark, StorageError};
use crate::storage::journal::{Journal, read_lines};
use crate::storage::lines::Lines;

/// Name of the journal.
const STREAM: &str = "notices";

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

/// A line of the journal.
#[derive(Debug, Deserialize)]
struct Queued {
    #[serde(flatten)]
    notice: Notice,
}

type ByPlace = BTreeMap<(String, String), Told>;

/// The outbox.
#[derive(Debug)]
pub(super) struct Outbox {
    journal: Journal,
    told: Mutex<ByPlace>,
}

impl Outbox {
    /// Opens the journal.
    pub(super) fn open(wiring: &Wiring) -> anyhow::Result<Arc<Self>> {
        let journal = wiring.opened(STREAM)?;
        let mut told = BTreeMap::new();
        read_lines(&*wiring.engine, STREAM, &Mark::default(), |line: Queued| {
            fold(&mut told, line.notice);
        })?;
        let told = Mutex::new(told);
        Ok(Arc::new(Self { journal, told }))
    }

    /// Ends when every notice is on the medium, before any of them is sent. One whose id is there
    /// already is not taken again.
    pub(super) async fn queue(&self, notices: Vec<Notice>) -> Result<(), StorageError> {
        let mut lines = Lines::new();
        for notice in &notices {
            lines.push_members("notice.queued", notice.at, notice);
        }
        self.journal.append(lines, None, None).await?;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for notice in notices {
            fold(&mut told, notice);
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

fn fold(told: &mut ByPlace, notice: Notice) {
    let place = (notice.group, notice.channel);
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
