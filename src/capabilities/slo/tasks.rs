//! The task `slo-guard`, also known as the watchdog: decides the alerts and writes the report.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::guard::{Scope, Slo};
use crate::platform::scheduler::{DefaultCadence, Summary, TaskError, TaskRow};

/// Other names of the task.
pub(super) const ALIASES: &[&str] = &["watchdog"];

/// The task.
pub(super) static SLO_GUARD: TaskRow<Slo> = TaskRow {
    name: "slo-guard",
    about: "burn-rate alerts and error budgets; writes logs/slo_report.json",
    cadence: DefaultCadence::every_secs(300),
    limit: Duration::from_mins(1),
    acts: false,
    run: |slo, pass| Box::pin(guard(slo, pass.now)),
};

async fn guard(slo: &Arc<Slo>, now: DateTime<Utc>) -> Result<Summary, TaskError> {
    // The report is written whatever became of the lines: what is known is told.
    let looked = slo.look(now, Scope::Minute).await;
    let report = slo.report(now);
    let open: usize = report.objectives.iter().map(|one| one.alerts.len()).sum();
    let output = json!({
        "breach": report.breach,
        "objectives": report.objectives.len(),
        "open_alerts": open,
        "success_rate": report.success_rate,
        "p95_ms": report.p95_ms,
    });
    let saved = slo.save_report(report).await;
    looked?;
    saved.map_err(anyhow::Error::new)?;
    Ok(Summary::ok(output))
}
