//! When each key was last used, kept across restarts: a report beside the checkpoints that is
//! replaced whole now and then and at the stop. It decides nothing; without it the times begin
//! anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::base::time;
use crate::platform::auth::Gate;
use crate::seams::clock::Clock;
use crate::storage::engine::Engine;

/// Name of the report.
const REPORT: &str = "key_usage.json";

/// Time between two looks (our own choice): what a crash may take from a last use.
const LOOK: Duration = Duration::from_mins(1);

/// The report: by identity, UTC.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Report {
    last_used: BTreeMap<String, String>,
}

/// The keeper of the report.
#[derive(Debug)]
pub(super) struct Usage {
    engine: Arc<dyn Engine>,
    gate: Arc<Gate>,
    saved: Mutex<Report>,
}

impl Usage {
    /// Tells `gate` what an earlier run has seen.
    pub(super) fn recall(engine: &Arc<dyn Engine>, gate: &Arc<Gate>) -> Arc<Self> {
        let bytes = engine.load_derived(REPORT);
        // A damaged report is as good as none: times are noted from now on.
        let saved: Report = bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let ring = gate.ring();
        for (id, at) in &saved.last_used {
            if let Ok(at) = at.parse::<DateTime<Utc>>() {
                ring.recall_use(id, at);
            }
        }
        drop(ring);
        Arc::new(Self {
            engine: Arc::clone(engine),
            gate: Arc::clone(gate),
            saved: Mutex::new(saved),
        })
    }

    /// Replaces the report if it is no longer true. Blocks on the disk.
    pub(super) fn save(&self) {
        let used = self.gate.ring().last_used();
        let stamped = used.into_iter().map(|(id, at)| (id, time::stamp(at)));
        let report = Report {
            last_used: stamped.collect(),
        };
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        if *saved == report {
            return;
        }
        let body = serde_json::to_vec(&report).unwrap_or_default();
        match self.engine.save_derived(REPORT, &body) {
            Ok(()) => *saved = report,
            Err(error) => tracing::debug!(%error, "when keys were last used is not saved"),
        }
    }

    /// Saves now and then until `stop`.
    pub(super) async fn keep(self: Arc<Self>, clock: Arc<dyn Clock>, stop: CancellationToken) {
        while stop.run_until_cancelled(clock.sleep(LOOK)).await.is_some() {
            let usage = Arc::clone(&self);
            let saved = tokio::task::spawn_blocking(move || usage.save());
            if let Err(error) = saved.await {
                tracing::error!(%error, "the report on the use of keys died");
            }
        }
    }
}
