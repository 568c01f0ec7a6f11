//! The task `heartbeat`: once a minute a line that says the loop turns, storage takes lines and the
//! process is well. Who watches `logs/task_runs.ndjson`, or its copy elsewhere, sees a minute's
//! silence as what it is.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::platform::health::{Health, State};
use crate::platform::lifecycle::Tasks;
use crate::platform::scheduler::{DefaultCadence, Pass, Summary, Task, Work};
use crate::seams::clock::Clock;

/// Bound of a run: it only looks at what is in memory.
const LIMIT: Duration = Duration::from_secs(20);

/// The task.
#[derive(Debug)]
pub(super) struct Heartbeat {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) health: Arc<Health>,
    pub(super) tasks: Tasks,
}

impl Task for Heartbeat {
    fn name(&self) -> &'static str {
        "heartbeat"
    }

    fn about(&self) -> &'static str {
        "a line a minute that the loop turns, and what is not well"
    }

    fn cadence(&self) -> DefaultCadence {
        DefaultCadence::every_secs(60)
    }

    fn limit(&self) -> Duration {
        LIMIT
    }

    fn run<'a>(&'a self, _pass: &'a Pass) -> Work<'a> {
        let checks = self.health.checks();
        let unwell = checks.iter().filter(|(_, state)| *state != State::Ok);
        let unwell: Vec<&str> = unwell.map(|(name, _)| *name).collect();
        let mut said = json!({
            "uptime_secs": self.clock.uptime().as_secs(),
            "in_work": self.tasks.running(),
        });
        if !unwell.is_empty() {
            said["unwell"] = json!(unwell);
        }
        Box::pin(std::future::ready(Ok(Summary::ok(said))))
    }
}
