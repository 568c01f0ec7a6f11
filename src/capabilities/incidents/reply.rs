//! Incidents as they are answered.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::model::{Entry, Found, Impact, Incident, Member, State, Suspect};
use super::timeline::timeline;
use crate::base::time::stamp;
use crate::platform::alerts::{Severity, name_of};

/// Alerts that are told of one incident at most.
const MOST_ALERTS: usize = 200;

/// An incident in a list.
#[derive(Serialize, JsonSchema)]
pub(super) struct Brief {
    /// Names it.
    id: String,
    /// `open`, `acknowledged` or `resolved`.
    state: State,
    /// The worst that any alert of it has been.
    severity: Severity,
    /// What its first alert said.
    title: String,
    /// The key of its first alert.
    dedup_key: String,
    /// The first bad sample, UTC.
    started_at: String,
    /// When it was noticed, UTC.
    detected_at: String,
    /// When it was acknowledged, UTC; null while nobody has.
    acknowledged_at: Option<String>,
    /// By whom.
    acknowledged_by: Option<String>,
    /// When it was resolved, UTC; null while it goes on.
    resolved_at: Option<String>,
    /// By whom; empty where it ended by itself.
    resolved_by: Option<String>,
    /// How.
    resolved_how: Option<String>,
    /// Alerts that belong to it.
    alert_count: usize,
    /// Those of them that hold.
    firing: usize,
    /// How often it came back.
    flaps: u32,
    /// Whether it came back so often that it was noted.
    flapping: bool,
    /// The likeliest cause in one sentence; null where none is known.
    cause: Option<String>,
}

impl Brief {
    pub(super) fn of(incident: &Incident) -> Self {
        let acknowledged = incident.acknowledged.as_ref();
        let resolved = incident.resolved.as_ref();
        Self {
            id: incident.id.clone(),
            state: incident.state,
            severity: incident.severity,
            title: incident.title.clone(),
            dedup_key: incident.dedup_key.clone(),
            started_at: stamp(incident.started_at),
            detected_at: stamp(incident.detected_at),
            acknowledged_at: acknowledged.map(|(at, _)| stamp(*at)),
            acknowledged_by: acknowledged.map(|(_, by)| by.clone()),
            resolved_at: resolved.map(|(at, ..)| stamp(*at)),
            resolved_by: resolved.map(|(_, by, _)| by.clone()),
            resolved_how: resolved.map(|(.., how)| how.clone()),
            alert_count: incident.members.len(),
            firing: incident.firing,
            flaps: incident.flaps,
            flapping: incident.is_flapping,
            cause: incident.suspects.first().map(Suspect::sentence),
        }
    }
}

/// An alert of an incident.
#[derive(Serialize, JsonSchema)]
struct AlertReply {
    /// The alert.
    #[serde(flatten)]
    found: Found,
    /// What people call it: its key, or where another program found it its name and first labels.
    name: String,
    /// When it opened the incident or joined it, UTC.
    joined_at: String,
    /// When it ended, UTC; null while it holds.
    ended_at: Option<String>,
    /// How it ended.
    #[serde(skip_serializing_if = "String::is_empty")]
    ended_how: String,
    /// How often it has fired.
    times: u32,
}

impl AlertReply {
    fn of(member: &Member) -> Self {
        Self {
            found: member.found.clone(),
            name: name_of(&member.found.key, member.found.labels.iter()),
            joined_at: stamp(member.joined_at),
            ended_at: member.ended_at.map(stamp),
            ended_how: member.ended_how.clone(),
            times: member.times,
        }
    }
}

/// Everything about one incident.
#[derive(Serialize, JsonSchema)]
pub(super) struct Whole {
    /// As in the list.
    #[serde(flatten)]
    brief: Brief,
    /// Its alerts, by key; the first 200.
    alerts: Vec<AlertReply>,
    /// Likely causes, likeliest first, with what speaks for each.
    suspects: Vec<Suspect>,
    /// What it has cost the users; null where no series of samples is known.
    impact: Option<Impact>,
    /// What happened, in order.
    timeline: Vec<Entry>,
}

impl Whole {
    pub(super) fn of(incident: &Incident, impact: Option<Impact>) -> Self {
        let alerts = incident.members.values().take(MOST_ALERTS);
        Self {
            brief: Brief::of(incident),
            alerts: alerts.map(AlertReply::of).collect(),
            suspects: incident.suspects.clone(),
            impact,
            timeline: timeline(incident),
        }
    }
}

/// What it has cost so far: as it was written down, or as it is measured now.
pub(super) fn impact_of(
    incident: &Incident,
    samples: &crate::platform::samples::Samples,
    now: DateTime<Utc>,
) -> Option<Impact> {
    let measured = || super::service::impact(samples, incident, now);
    match incident.resolved {
        Some(_) => incident.impact,
        None => measured(),
    }
}
