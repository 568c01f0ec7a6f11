//! Alert events of the inbox. No text names a customer or quotes a mail: alerts leave the machine.

use chrono::{DateTime, TimeDelta, Utc};

use super::imap::fault::MailFault;
use super::model::Category;
use super::triage::{Burst, Digest};
use super::view::Failures;
use crate::base::labels::Labels;
use crate::base::time::stamp;
use crate::platform::alerts::{Alerts, Finding, Severity};
use crate::platform::changes::Changes;

/// Who the alert events are from.
const SOURCE: &str = "support";
/// We are not let in.
const AUTH: &str = "support:auth";
/// The mailbox cannot be read for another reason.
const UNREACHABLE: &str = "support:unreachable";
/// Somebody waits longer than was promised.
const OVERDUE: &str = "support:overdue";
/// Many people write about the same.
const BURST: &str = "support:burst";
/// Visits that fail in a row before that is told (our own choice: three hours).
const TOLD_FROM: u32 = 3;
/// How long before a burst changes may have caused it: an hour, as with incidents.
const BEFORE_BURST: TimeDelta = TimeDelta::hours(1);
/// Changes that are named at most (our own choice).
const MOST_CHANGES: usize = 5;

fn finding(key: &str, severity: Severity, summary: String, started_at: DateTime<Utc>) -> Finding {
    Finding {
        key: key.to_owned(),
        source: SOURCE.to_owned(),
        severity,
        summary,
        started_at,
        ..Finding::default()
    }
}

/// Tells of a visit that failed.
pub(super) fn failed(alerts: &Alerts, fault: &MailFault, failures: Failures, now: DateTime<Utc>) {
    if fault.is_sign_in() {
        let summary = format!("the support mailbox cannot be opened: {}", fault.told());
        alerts.raise(finding(AUTH, Severity::Error, summary, failures.since), now);
    } else if failures.count >= TOLD_FROM {
        let count = failures.count;
        let told = fault.told();
        let summary = format!("the support mailbox was not read {count} times in a row: {told}");
        let finding = finding(UNREACHABLE, Severity::Warning, summary, failures.since);
        alerts.raise(finding, now);
    }
}

/// Tells that the mailbox was read, or that none is to be read any more.
pub(super) fn recovered(alerts: &Alerts, how: &str, now: DateTime<Utc>) {
    for key in [AUTH, UNREACHABLE] {
        alerts.resolve(key, now, how);
    }
}

/// Tells that no mailbox is to be read any more.
pub(super) fn none_to_read(alerts: &Alerts, reason: &str, now: DateTime<Utc>) {
    for key in [AUTH, UNREACHABLE, OVERDUE, BURST] {
        alerts.resolve(key, now, format!("no mailbox is read: {reason}"));
    }
}

/// Makes the alert events agree with `digest`.
pub(super) fn tell(alerts: &Alerts, changes: &Changes, digest: &Digest, now: DateTime<Utc>) {
    match overdue(digest) {
        Some(finding) => alerts.raise(finding, now),
        None => alerts.resolve(OVERDUE, now, "nobody waits longer than promised any more"),
    }
    match digest.bursts.first() {
        Some(burst) => alerts.raise(told(burst, digest.bursts.len(), changes, now), now),
        None => alerts.resolve(BURST, now, "no more mails than usual about one thing"),
    }
}

fn overdue(digest: &Digest) -> Option<Finding> {
    let waiting = &digest.waiting;
    let first = waiting.breaches.first()?;
    let since = stamp(first.since);
    let summary = match waiting.breached {
        1 => format!("a customer waits for an answer since {since}, longer than promised"),
        count => format!(
            "{count} customers wait for an answer longer than promised, the first since {since}"
        ),
    };
    Some(finding(OVERDUE, Severity::Warning, summary, first.since))
}

fn told(burst: &Burst, bursts: usize, changes: &Changes, now: DateTime<Utc>) -> Finding {
    let senders = burst.senders;
    let mut summary = vec![format!(
        "{senders} people write about {} since {}, usual are {:.1}",
        burst.category.word(),
        stamp(burst.since),
        burst.usual
    )];
    if bursts > 1 {
        summary.push(format!("{} more bursts", bursts - 1));
    }
    let from = burst.since - BEFORE_BURST;
    let before = changes.between(from, now);
    // The last ones before it began, then those since.
    let mut near: Vec<_> = before.iter().collect();
    near.sort_by_key(|change| (change.at > burst.since, (burst.since - change.at).abs()));
    near.truncate(MOST_CHANGES);
    if let Some(first) = near.first() {
        summary.push(format!("shortly before: {}", first.summary));
    }
    // An outage is what customers notice first.
    let severity = match burst.category {
        Category::Outage | Category::Security => Severity::Error,
        _ => Severity::Warning,
    };
    let mut finding = finding(BURST, severity, summary.join("; "), burst.since);
    finding.labels = Labels::from([("category".to_owned(), burst.category.word().to_owned())]);
    let named = near
        .iter()
        .map(|change| format!("{}: {}", stamp(change.at), change.summary));
    let named: Vec<String> = named.collect();
    if !named.is_empty() {
        finding.annotations = Labels::from([("changes".to_owned(), named.join("; "))]);
    }
    finding
}
