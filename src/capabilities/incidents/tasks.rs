//! The task `incident-scan`, also known as `production-alerts`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::service::Incidents;
use crate::platform::scheduler::{DefaultCadence, Summary, TaskError, TaskRow};

/// Other names of the task.
pub(super) const ALIASES: &[&str] = &["production-alerts"];

/// The task.
pub(super) static SCANNING: TaskRow<Incidents> = TaskRow {
    name: "incident-scan",
    about: "looks into the reports for what is wrong, and tells of what nobody told",
    cadence: DefaultCadence::every_secs(300),
    limit: Duration::from_mins(1),
    acts: false,
    run: |incidents, pass| Box::pin(scan(incidents, pass.now)),
};

async fn scan(incidents: &Incidents, now: DateTime<Utc>) -> Result<Summary, TaskError> {
    let scan = incidents.scan(now).await;
    Ok(Summary::ok(json!({
        "breach": scan.breach,
        "incident_count": scan.incident_count,
        "severity": scan.severity,
        "details": scan.details,
        "alerted": scan.alerted,
    })))
}
