//! The task `incident-scan`, also known as `production-alerts`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::service::Incidents;
use crate::platform::scheduler::{DefaultCadence, Pass, Summary, Task, TaskError, Work};

/// The task.
#[derive(Debug)]
pub(super) struct Scanning(pub(super) Arc<Incidents>);

impl Task for Scanning {
    fn name(&self) -> &'static str {
        "incident-scan"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["production-alerts"]
    }

    fn about(&self) -> &'static str {
        "looks into the reports for what is wrong, and tells of what nobody told"
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

impl Scanning {
    async fn pass(&self, pass: &Pass) -> Result<Summary, TaskError> {
        let scan = self.0.scan(pass.now).await;
        Ok(Summary::ok(json!({
            "breach": scan.breach,
            "incident_count": scan.incident_count,
            "severity": scan.severity,
            "details": scan.details,
            "alerted": scan.alerted,
        })))
    }
}
