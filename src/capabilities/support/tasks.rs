//! The task `support-inbox`: reads the mailbox every hour.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::service::{Ran, Support};
use crate::platform::scheduler::{DefaultCadence, Pass, Summary, Task, TaskError, Trigger, Work};

/// Seconds between two visits (`product.md` §3).
const CADENCE_SECS: u64 = 3600;
/// Longest run: a visit of at most 50 s and its digest.
const LIMIT: Duration = Duration::from_secs(58);

/// The task.
#[derive(Debug)]
pub(super) struct SupportInbox(pub(super) Arc<Support>);

impl Task for SupportInbox {
    fn name(&self) -> &'static str {
        "support-inbox"
    }

    fn about(&self) -> &'static str {
        "reads the support mailbox, never changes it; writes logs/support_digest.json"
    }

    fn cadence(&self) -> DefaultCadence {
        DefaultCadence::every_secs(CADENCE_SECS)
    }

    fn limit(&self) -> Duration {
        LIMIT
    }

    fn run<'a>(&'a self, pass: &'a Pass) -> Work<'a> {
        Box::pin(async move {
            let is_asked = pass.trigger == Trigger::Manual;
            let ran = self.0.run(is_asked).await;
            match ran.map_err(|fault| TaskError(fault.told()))? {
                Ran::Held(reason) => Ok(Summary::skipped(reason)),
                Ran::Dry(report, reason) => {
                    Ok(Summary::dry_run(reason, json!({ "count": report.count })))
                }
                Ran::Made(report) => {
                    let read: u32 = report.mailboxes.iter().map(|one| one.read).sum();
                    Ok(Summary::ok(json!({
                        "count": report.count,
                        "read": read,
                        "unread": report.rest.get("unread"),
                        "waiting": report.rest.get("waiting").and_then(|it| it.get("count")),
                        "is_complete": report.mailboxes.iter().all(|one| one.is_complete),
                    })))
                }
            }
        })
    }
}
