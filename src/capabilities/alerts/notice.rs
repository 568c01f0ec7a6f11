//! Puts a notice together: what a channel is told, in full.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::groups::{Entry, Group, Groups};
use super::judge::Saying;
use super::labels;
use super::model::{Notice, NoticeAlert, Status};
use super::rules::AlertsRules;
use crate::platform::alerts::{Alerts, Attachment, Finding, Severity};
use chrono::{DateTime, Utc};

/// Alerts that one notice names at most; more are counted. Our own choice: more than any channel
/// shows, and a line of some 50 kB.
const MOST_ALERTS: usize = 100;
/// Likely causes that one notice tells at most.
const MOST_CAUSES: usize = 5;

/// The notice that `saying` asks for, of the group `id`.
pub(super) fn notice(
    saying: &Saying,
    id: &str,
    groups: &Groups,
    alerts: &Alerts,
    rules: &AlertsRules,
    now: DateTime<Utc>,
) -> Notice {
    let firing = saying.firing.iter().take(MOST_ALERTS);
    let ended = saying.ended.iter();
    let mut told = Vec::new();
    let mut worst = Severity::Info;
    for key in firing.clone() {
        if let Some(entry) = groups.entries.get(key) {
            told.push(holding(key, entry, alerts, rules));
            worst = worst.max(entry.finding.severity);
        }
    }
    for key in ended {
        if let Some(entry) = groups.entries.get(key) {
            told.push(over(key, entry));
            if saying.firing.is_empty() {
                worst = worst.max(entry.finding.severity);
            }
        }
    }
    let more = saying.firing.len().saturating_sub(MOST_ALERTS);
    let known = known_beside(firing, alerts);
    Notice {
        id: saying.id.clone(),
        channel: saying.channel.to_string(),
        group: id.to_owned(),
        reason: saying.reason,
        severity: worst,
        at: now,
        group_labels: labels_of(groups.get(id), saying, groups),
        alerts: told,
        more: u32::try_from(more).unwrap_or(u32::MAX),
        incident: known.incident,
        causes: known.causes,
        ack_url: known.ack_url,
        via: Vec::new(),
    }
}

/// The labels that the group is made by; where no route leads to it any more, those of an alert.
fn labels_of(group: Option<&Group>, saying: &Saying, groups: &Groups) -> BTreeMap<String, String> {
    let known = group.filter(|group| group.route.is_some());
    if let Some(group) = known {
        return group.labels.clone();
    }
    let first = saying.ended.first().and_then(|key| groups.entries.get(key));
    first.map_or_else(BTreeMap::new, |entry| {
        let mut all = labels::all(&entry.finding);
        all.retain(|name, _| name == "alertname" || name == "source");
        all
    })
}

fn holding(key: &str, entry: &Entry, alerts: &Alerts, rules: &AlertsRules) -> NoticeAlert {
    // Other words for the same are no line of the journal, but they are the latest.
    let latest = alerts.find(key).map(|active| active.finding);
    let finding = latest.as_ref().unwrap_or(&entry.finding);
    let summary = if entry.changes.is_flapping() {
        format!(
            "{}; {}",
            entry.changes.words(&rules.flapping),
            finding.summary
        )
    } else {
        finding.summary.clone()
    };
    of(key, Status::Firing, finding, summary, None)
}

fn over(key: &str, entry: &Entry) -> NoticeAlert {
    let finding = &entry.finding;
    of(
        key,
        Status::Resolved,
        finding,
        finding.summary.clone(),
        entry.ended_at,
    )
}

fn of(
    key: &str,
    status: Status,
    finding: &Arc<Finding>,
    summary: String,
    ended_at: Option<DateTime<Utc>>,
) -> NoticeAlert {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    NoticeAlert {
        key: key.to_owned(),
        status,
        severity: finding.severity,
        summary,
        started_at: finding.started_at,
        ended_at,
        labels: labels::all(finding),
        annotations: finding.annotations.iter().map(owned).collect(),
        url: finding.url.clone(),
    }
}

/// What other parts know of the alerts: the first incident, the causes in order, the first page.
fn known_beside<'k>(keys: impl Iterator<Item = &'k Arc<str>>, alerts: &Alerts) -> Attachment {
    let mut all = Attachment::default();
    for key in keys {
        let Some(one) = alerts.attachment(key) else {
            continue;
        };
        if all.incident.is_empty() {
            all.incident.clone_from(&one.incident);
        }
        for cause in &one.causes {
            if all.causes.len() < MOST_CAUSES && !all.causes.contains(cause) {
                all.causes.push(cause.clone());
            }
        }
        all.ack_url = all.ack_url.or_else(|| one.ack_url.clone());
    }
    all
}
