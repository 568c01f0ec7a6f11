//! The task `slo-guard`, also known as the watchdog: decides the alerts and writes the report.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::guard::{Scope, Slo};
use crate::platform::scheduler::{DefaultCadence, Pass, Summary, Task, TaskError, Work};

/// The task.
#[derive(Debug)]
pub(super) struct SloGuard(pub(super) Arc<Slo>);

impl Task for SloGuard {
    fn name(&self) -> &'static str {
        "slo-guard"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["watchdog"]
    }

    fn about(&self) -> &'static str {
        "burn-rate alerts and error budgets; writes logs/slo_report.json"
    }

    fn cadence(&self) -> DefaultCadence {
        DefaultCadence::every_secs(300)
    }

    fn limit(&self) -> Duration {
        Duration::from_mins(1)
    }

    fn run<'a>(&'a self, pass: &'a Pass) -> Work<'a> {
        Box::pin(self.pass(pass))
    }
}

impl SloGuard {
    async fn pass(&self, pass: &Pass) -> Result<Summary, TaskError> {
        // The report is written whatever became of the lines: what is known is told.
        let looked = self.0.look(pass.now, Scope::Minute).await;
        let report = self.0.report(pass.now);
        let open: usize = report.objectives.iter().map(|one| one.alerts.len()).sum();
        let output = json!({
            "breach": report.breach,
            "objectives": report.objectives.len(),
            "open_alerts": open,
            "success_rate": report.success_rate,
            "p95_ms": report.p95_ms,
        });
        let saved = self.0.save_report(report).await;
        looked?;
        saved.map_err(anyhow::Error::new)?;
        Ok(Summary::ok(output))
    }
}
