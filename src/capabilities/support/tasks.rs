//! The task `support-inbox`: reads the mailbox every hour.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::service::{Ran, Support};
use crate::platform::scheduler::{DefaultCadence, Summary, TaskError, TaskRow, Trigger};

/// Seconds between two visits (`product.md` §3).
const CADENCE_SECS: u64 = 3600;
/// Longest run: a visit of at most 50 s and its digest.
const LIMIT: Duration = Duration::from_secs(58);

/// The task.
pub(super) static SUPPORT_INBOX: TaskRow<Support> = TaskRow {
    name: "support-inbox",
    about: "reads the support mailbox, never changes it; writes logs/support_digest.json",
    cadence: DefaultCadence::every_secs(CADENCE_SECS),
    limit: LIMIT,
    acts: false,
    run: |support, pass| Box::pin(visit(support, pass.trigger == Trigger::Manual)),
};

async fn visit(support: &Arc<Support>, is_asked: bool) -> Result<Summary, TaskError> {
    let ran = support.run(is_asked).await;
    match ran.map_err(|fault| TaskError(fault.told()))? {
        Ran::Held(reason) => Ok(Summary::skipped(reason)),
        Ran::Dry(report, reason) => Ok(Summary::dry_run(reason, json!({ "count": report.count }))),
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
}
