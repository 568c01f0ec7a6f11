//! The sign of life of echopilot itself: a watcher elsewhere is called as long as the task loop
//! goes round and every journal takes lines. When the calls stop, the watcher alarms.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::config::HeartbeatsRules;
use crate::platform::config::{DaemonRules, Live};
use crate::platform::scheduler::{DefaultCadence, Pass, Retries, Summary, Task, TaskError, Work};
use crate::platform::wiring::Wiring;
use crate::seams::outbound::{Limits, Outbound, Request};
use crate::storage::engine::Engine;

/// Bytes of the watcher's answer that are read: only its status counts.
const MOST_BODY: usize = 1024;
/// How long a call may take.
const CALL: Duration = Duration::from_secs(10);
/// Calls tried again within one run, so that one lost packet is no alarm.
const RETRIES: Retries = Retries {
    most: 2,
    pause: Duration::from_secs(2),
};
/// How long a run may take with all its tries: less than the minute to the next.
const LIMIT: Duration = Duration::from_secs(50);

/// The task. That it runs at all shows that the task loop goes round.
#[derive(Debug)]
pub(super) struct OutgoingHeartbeat {
    live: Live<HeartbeatsRules>,
    daemon: Live<DaemonRules>,
    outbound: Arc<dyn Outbound>,
    engine: Arc<dyn Engine>,
}

impl OutgoingHeartbeat {
    /// The task, not yet running.
    pub(super) fn new(wiring: &Wiring, live: Live<HeartbeatsRules>) -> Self {
        Self {
            live,
            daemon: wiring.daemon.clone(),
            outbound: Arc::clone(&wiring.seams.outbound),
            engine: Arc::clone(&wiring.engine),
        }
    }

    async fn call(&self) -> Result<Summary, TaskError> {
        let Some(url) = self.live.get().rules.outgoing.clone() else {
            let reason = "no `outgoing` in `configs/heartbeats.json`";
            return Ok(Summary::skipped(reason));
        };
        // Silence is how the watcher learns that something is wrong here.
        if let Some(code) = self.engine.medium().refusing {
            let text = format!("the watcher is not called: journals take no lines ({code})");
            return Err(TaskError(text));
        }
        let origin = url.origin();
        let mut request = Request::get(url);
        request.limits = Limits::of(CALL);
        request.most_body = MOST_BODY;
        let allow = Arc::clone(&self.daemon.get().rules.outbound);
        let answer = self.outbound.http(&allow, &request).await;
        let answer = answer.map_err(|error| TaskError::from(anyhow::Error::new(error)))?;
        // The path is the watcher's key for us, so that records name its host only.
        if (200..300).contains(&answer.status) {
            return Ok(Summary::ok(
                json!({ "status": answer.status, "watcher": origin }),
            ));
        }
        let text = format!("the watcher at `{origin}` answered with {}", answer.status);
        Err(TaskError(text))
    }
}

impl Task for OutgoingHeartbeat {
    fn name(&self) -> &'static str {
        "outgoing-heartbeat"
    }

    fn about(&self) -> &'static str {
        "calls a watcher elsewhere as long as echopilot is well"
    }

    fn cadence(&self) -> DefaultCadence {
        DefaultCadence::every_secs(60)
    }

    fn limit(&self) -> Duration {
        LIMIT
    }

    fn retries(&self) -> Retries {
        RETRIES
    }

    fn run<'a>(&'a self, _pass: &'a Pass) -> Work<'a> {
        Box::pin(self.call())
    }
}
