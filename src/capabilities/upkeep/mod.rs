//! Upkeep: what the daemon does for itself. Reads `configs/upkeep.json`; sole writer of
//! `logs/upkeep.ndjson`.
//!
//! Tasks: `heartbeat` (each minute: a line of life, and an alert for each part that is not well),
//! `health-monitor`, `self-heal`, `observability-snapshot`, `auto-governance`, `retention`,
//! `weekly-audit`.
//! Endpoints: `/api/metrics/app` and `/public/metrics`. It looks and tidies; it never changes a
//! flag, a key or a configuration.

pub mod event;

mod app_metrics;
mod audit;
mod beat;
mod config;
mod governance;
mod heal;
mod retention;
mod snapshot;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::app_metrics::AppMetrics;
use self::config::{UpkeepConfig, UpkeepRules};
use self::event::STREAM;
pub use self::governance::{KeyCare, key_care};
use crate::platform::config::{Live, kind};
use crate::platform::http::Routes;
use crate::platform::scheduler::{DefaultCadence, Pass, Task, TaskError, TaskRow};
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};
use crate::storage::journal::Journal;
use crate::storage::lines::Lines;

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "upkeep",
    about: "what the daemon does for itself: health, mending, tidiness, audits",
    config: Some(kind::<UpkeepConfig>()),
    build,
};

/// What the tasks work with.
#[derive(Debug)]
struct Upkeep {
    wiring: Wiring,
    rules: Live<UpkeepRules>,
    journal: Journal,
    metrics: Arc<AppMetrics>,
    /// Uptime in seconds at which a filling disk made us tidy last; 0 = never.
    tidied_at: AtomicU64,
}

fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    let rules = wiring.config::<UpkeepConfig>()?;
    let journal = wiring.opened(STREAM)?;
    let metrics = Arc::new(AppMetrics::new(wiring));
    Ok(Arc::new(Upkeep {
        wiring: wiring.clone(),
        rules,
        journal,
        metrics,
        tidied_at: AtomicU64::new(0),
    }))
}

impl Capability for Upkeep {
    fn routes(self: Arc<Self>) -> Routes {
        app_metrics::routes(&self.metrics)
    }

    fn tasks(self: Arc<Self>) -> Vec<Arc<dyn Task>> {
        ROWS.iter().map(|row| row.bound(&self)).collect()
    }

    fn background(self: Arc<Self>, stop: CancellationToken) -> Vec<(&'static str, Background)> {
        let metrics = Arc::clone(&self.metrics);
        vec![("app-metrics", Box::pin(metrics.run(stop)))]
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    fn close(&self) {}
}

impl Upkeep {
    /// Writes one line and waits until it is on record.
    async fn write<M: Serialize>(
        &self,
        kind: &'static str,
        pass: &Pass,
        members: &M,
    ) -> Result<(), TaskError> {
        let mut lines = Lines::new();
        lines.push_members(kind, pass.now, members);
        self.journal.append(lines, None, None).await?;
        Ok(())
    }
}

/// One row of the task loop.
type Row = TaskRow<Upkeep>;

/// How long a look at memory may take: it waits for one line of a journal at most.
const QUICK: Duration = Duration::from_secs(30);
/// How long tidying may take: 250 GB at 70 MB/s. What is left is the next night's.
const NIGHT: Duration = Duration::from_hours(1);
/// How long reading every journal may take: 100 GB at 300 MB/s.
const LONG: Duration = Duration::from_mins(6);

static ROWS: [Row; 7] = [
    Row {
        name: "heartbeat",
        about: "a line of life, a word to the service manager, an alert for each sick part",
        cadence: DefaultCadence::every_secs(60),
        limit: QUICK,
        acts: false,
        run: |upkeep, pass| {
            retention::hurry(upkeep, pass);
            Box::pin(beat::beat(upkeep, pass))
        },
    },
    Row {
        name: "health-monitor",
        about: "how every part is and how many alerts are open, for the record",
        cadence: DefaultCadence::every_secs(6 * 3600),
        limit: QUICK,
        acts: false,
        run: |upkeep, pass| Box::pin(beat::monitor(upkeep, pass)),
    },
    Row {
        name: "self-heal",
        about: "restart what failed, seal due segments, look at every file again",
        cadence: DefaultCadence::every_secs(6 * 3600),
        limit: LONG,
        acts: true,
        run: |upkeep, pass| Box::pin(heal::heal(upkeep, pass)),
    },
    Row {
        name: "observability-snapshot",
        about: "one line of every headline number",
        cadence: DefaultCadence::every_secs(3600),
        limit: QUICK,
        acts: false,
        run: |upkeep, pass| Box::pin(snapshot::take(upkeep, pass)),
    },
    Row {
        name: "auto-governance",
        about: "stale flags, old keys, refused configurations",
        cadence: DefaultCadence::every_secs(3600),
        limit: QUICK,
        acts: false,
        run: |upkeep, pass| Box::pin(governance::check(upkeep, pass)),
    },
    Row {
        name: "retention",
        about: "compress old segments of journals, mend them, remove what need not be kept",
        cadence: DefaultCadence::utc("5 0 * * *"),
        limit: NIGHT,
        acts: true,
        run: |upkeep, pass| Box::pin(retention::tidy(upkeep, pass)),
    },
    Row {
        name: "weekly-audit",
        about: "configurations, permissions, key ages and the chain of every journal",
        cadence: DefaultCadence::utc("30 0 * * MON"),
        limit: LONG,
        acts: false,
        run: |upkeep, pass| Box::pin(audit::audit(upkeep, pass)),
    },
];
