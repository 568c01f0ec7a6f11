//! What is written to `logs/incidents.ndjson`. Version 1; old lines stay readable for ever.
//!
//! `incident.opened {incident, alert, started_at, suspects}`, `incident.joined {incident, alert,
//! again, suspects}`, `incident.changed {incident, key, severity, summary}`,
//! `incident.alert_ended {incident, key, how}`, `incident.acknowledged {incident, by, text}`,
//! `incident.resolved {incident, by, text, impact}`, `incident.reopened {incident, alert, by,
//! text}`, `incident.flapped {incident, flaps}`, `incident.noted {incident, by, text}`,
//! `incident.suspected {incident, suspects}`; `recovery.planned`, `recovery.frozen`,
//! `recovery.limited`, `recovery.started`, `recovery.done` and `recovery.failed` with `{incident,
//! action, how, detail}`. Lines that follow from an alert event end with `alert_seq`, the number of
//! its line in `logs/alerts.ndjson`: following goes on after the highest.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::model::{Found, Impact, Suspect};
use crate::base::time::as_stamp;
use crate::platform::alerts::Severity;
use crate::storage::lines::Lines;

/// Name of the journal.
pub const STREAM: &str = "incidents";

/// An alert belongs to no open incident and opens one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// The new incident.
    pub incident: String,
    /// The alert.
    pub alert: Found,
    /// The first bad sample.
    #[serde(serialize_with = "as_stamp")]
    pub started_at: DateTime<Utc>,
    /// Likely causes, likeliest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspects: Vec<Suspect>,
}

/// An alert belongs to an open incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    /// The incident.
    pub incident: String,
    /// The alert.
    pub alert: Found,
    /// Whether it belonged to it before, and had ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// Likely causes, where they are others now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspects: Option<Vec<Suspect>>,
}

/// An alert of an incident is more or less severe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The incident.
    pub incident: String,
    /// The alert.
    pub key: String,
    /// How bad it is now.
    pub severity: Severity,
    /// What it says now.
    pub summary: String,
}

/// An alert of an incident has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertEnded {
    /// The incident.
    pub incident: String,
    /// The alert.
    pub key: String,
    /// How it ended.
    pub how: String,
}

/// Somebody did or said something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// The incident.
    pub incident: String,
    /// Who.
    pub by: String,
    /// What they said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// It is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    /// The incident.
    pub incident: String,
    /// Who said so; empty where all its alerts had ended.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// How.
    pub text: String,
    /// What it cost the users, where a series of samples is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<Impact>,
}

/// It goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reopened {
    /// The incident.
    pub incident: String,
    /// The alert that fired again; left away where somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<Found>,
    /// Who said so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// What they said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// It comes and goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flapped {
    /// The incident.
    pub incident: String,
    /// How often so far.
    pub flaps: u32,
}

/// Other causes are likely now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suspected {
    /// The incident.
    pub incident: String,
    /// Likeliest first.
    pub suspects: Vec<Suspect>,
}

/// A recovery action, at one point of its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// The incident.
    pub incident: String,
    /// The action, by its name in `configs/incidents.json`.
    pub action: String,
    /// What it does: `command`, `webhook`, `set_flag` or `pause_task`.
    pub how: String,
    /// Why it was held, or what came of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind")]
pub enum IncidentEvent {
    /// See [`Opened`].
    #[serde(rename = "incident.opened")]
    Opened(Opened),
    /// See [`Joined`].
    #[serde(rename = "incident.joined")]
    Joined(Joined),
    /// See [`Changed`].
    #[serde(rename = "incident.changed")]
    Changed(Changed),
    /// See [`AlertEnded`].
    #[serde(rename = "incident.alert_ended")]
    AlertEnded(AlertEnded),
    /// Somebody has taken it up.
    #[serde(rename = "incident.acknowledged")]
    Acknowledged(Act),
    /// See [`Resolved`].
    #[serde(rename = "incident.resolved")]
    Resolved(Resolved),
    /// See [`Reopened`].
    #[serde(rename = "incident.reopened")]
    Reopened(Reopened),
    /// See [`Flapped`].
    #[serde(rename = "incident.flapped")]
    Flapped(Flapped),
    /// Somebody wrote something down.
    #[serde(rename = "incident.noted")]
    Noted(Act),
    /// See [`Suspected`].
    #[serde(rename = "incident.suspected")]
    Suspected(Suspected),
    /// It would have been done, but for `dry_run` or a missing secret.
    #[serde(rename = "recovery.planned")]
    Planned(Recovery),
    /// `STABILIZE_MODE` holds it.
    #[serde(rename = "recovery.frozen")]
    Frozen(Recovery),
    /// It was done too often, or too lately.
    #[serde(rename = "recovery.limited")]
    Limited(Recovery),
    /// It begins.
    #[serde(rename = "recovery.started")]
    Started(Recovery),
    /// It is done.
    #[serde(rename = "recovery.done")]
    Done(Recovery),
    /// It was not.
    #[serde(rename = "recovery.failed")]
    Failed(Recovery),
}

#[derive(Serialize)]
struct Written<'a, M> {
    #[serde(flatten)]
    members: &'a M,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert_seq: Option<u64>,
}

impl IncidentEvent {
    /// Adds the line. `alert_seq` is the alert event that it follows from.
    pub fn push(&self, lines: &mut Lines, at: DateTime<Utc>, alert_seq: Option<u64>) {
        fn put<M: Serialize>(
            lines: &mut Lines,
            kind: &'static str,
            at: DateTime<Utc>,
            members: &M,
            alert_seq: Option<u64>,
        ) {
            lines.push_members(kind, at, &Written { members, alert_seq });
        }
        let seq = alert_seq;
        match self {
            Self::Opened(one) => put(lines, "incident.opened", at, one, seq),
            Self::Joined(one) => put(lines, "incident.joined", at, one, seq),
            Self::Changed(one) => put(lines, "incident.changed", at, one, seq),
            Self::AlertEnded(one) => put(lines, "incident.alert_ended", at, one, seq),
            Self::Acknowledged(one) => put(lines, "incident.acknowledged", at, one, seq),
            Self::Resolved(one) => put(lines, "incident.resolved", at, one, seq),
            Self::Reopened(one) => put(lines, "incident.reopened", at, one, seq),
            Self::Flapped(one) => put(lines, "incident.flapped", at, one, seq),
            Self::Noted(one) => put(lines, "incident.noted", at, one, seq),
            Self::Suspected(one) => put(lines, "incident.suspected", at, one, seq),
            Self::Planned(one) => put(lines, "recovery.planned", at, one, seq),
            Self::Frozen(one) => put(lines, "recovery.frozen", at, one, seq),
            Self::Limited(one) => put(lines, "recovery.limited", at, one, seq),
            Self::Started(one) => put(lines, "recovery.started", at, one, seq),
            Self::Done(one) => put(lines, "recovery.done", at, one, seq),
            Self::Failed(one) => put(lines, "recovery.failed", at, one, seq),
        }
    }

    /// The incident it belongs to.
    pub fn incident(&self) -> &str {
        match self {
            Self::Opened(one) => &one.incident,
            Self::Joined(one) => &one.incident,
            Self::Changed(one) => &one.incident,
            Self::AlertEnded(one) => &one.incident,
            Self::Acknowledged(one) | Self::Noted(one) => &one.incident,
            Self::Resolved(one) => &one.incident,
            Self::Reopened(one) => &one.incident,
            Self::Flapped(one) => &one.incident,
            Self::Suspected(one) => &one.incident,
            Self::Planned(one)
            | Self::Frozen(one)
            | Self::Limited(one)
            | Self::Started(one)
            | Self::Done(one)
            | Self::Failed(one) => &one.incident,
        }
    }
}

/// A line as it is read back.
#[derive(Debug, Deserialize)]
pub struct IncidentLine {
    /// When.
    pub ts: DateTime<Utc>,
    /// The alert event that it follows from.
    #[serde(default)]
    pub alert_seq: Option<u64>,
    /// What happened.
    #[serde(flatten)]
    pub event: IncidentEvent,
}
