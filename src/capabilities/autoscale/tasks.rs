//! The task `autoscale`: one tick a minute.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::logic::{Action, Gate};
use super::service::{Autoscale, Ticked};
use crate::platform::scheduler::{DefaultCadence, Pass, Summary, Task, TaskError, Work};

/// The ticking task. It measures under `STABILIZE_MODE` too, and holds by its own first gate.
#[derive(Debug)]
pub(super) struct Ticking(pub(super) Arc<Autoscale>);

impl Ticking {
    async fn tick(&self, pass: &Pass) -> Result<Summary, TaskError> {
        let Ticked {
            look,
            planned,
            carried,
        } = self.0.tick(pass.now).await?;
        let decision = look.decision;
        let output = json!({
            "action": decision.action,
            "reason": decision.reason,
            "workers": look.standing.workers,
            "target_workers": decision.to,
        });
        let blocks = matches!(decision.gate, Gate::Stabilize | Gate::Profit);
        match (planned, carried) {
            (Some(why), _) => Ok(Summary::dry_run(why, output)),
            (_, Some(Err(why))) => Err(TaskError(why)),
            _ if blocks && decision.wanted != Action::Hold => Ok(Summary::frozen(decision.reason)),
            _ => Ok(Summary::ok(output)),
        }
    }
}

impl Task for Ticking {
    fn name(&self) -> &'static str {
        "autoscale"
    }

    fn about(&self) -> &'static str {
        "decides whether a worker is added or taken away"
    }

    fn cadence(&self) -> DefaultCadence {
        DefaultCadence::every_secs(60)
    }

    fn limit(&self) -> Duration {
        // The longest bound that an executor can be given, and room to write it down.
        Duration::from_secs(630)
    }

    fn run<'a>(&'a self, pass: &'a Pass) -> Work<'a> {
        Box::pin(self.tick(pass))
    }
}
