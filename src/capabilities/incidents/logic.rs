//! What an alert event means for the incidents. Pure: the book and one event in, events out.
//!
//! An alert of severity error or critical belongs to the open incident that has it already; else,
//! where it ended within the reopening window, to the incident that it belonged to; else to the
//! newest open incident that it is related to; else it opens one. It is related to an incident
//! whose last alert came within the joining window and that has a label with the same value, or the
//! same watcher of ours (whoever sends alerts from elsewhere watches everything); and at any time
//! to one that has its `parent`.

use chrono::{DateTime, TimeDelta, Utc};

use super::event::{
    Act, AlertEnded, Changed, Flapped, IncidentEvent, Joined, Opened, Reopened, Resolved,
};
use super::model::{Found, Incident, State};
use super::view::{Book, tells};
use crate::platform::alerts::{Finding, Record, Severity, What};

/// Spans and counts that decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Windows {
    /// How long after its last alert an incident takes in related ones.
    pub(super) join: TimeDelta,
    /// How long after its end it is opened again instead of a new one.
    pub(super) reopen: TimeDelta,
    /// From how many returns on it is called flapping.
    pub(super) flaps: u32,
}

/// How an incident ends by itself.
pub(super) const BY_ITSELF: &str = "all its alerts have ended";
/// The least that is an incident.
const LEAST: Severity = Severity::Error;

/// What follows from `record`.
pub(super) fn decide(book: &Book, windows: &Windows, record: &Record) -> Vec<IncidentEvent> {
    let finding = &*record.finding;
    match &record.what {
        What::Fired | What::Changed => raised(book, windows, finding, record.at),
        What::Acknowledged { by } => acknowledged(book, &finding.key, by, record.at),
        What::Resolved => ended(book, finding),
    }
}

fn raised(
    book: &Book,
    windows: &Windows,
    finding: &Finding,
    at: DateTime<Utc>,
) -> Vec<IncidentEvent> {
    let is_bad = finding.severity >= LEAST;
    if let Some(incident) = book.of_alert(&finding.key)
        && let Some(member) = incident.members.get(&finding.key)
    {
        let holds = member.ended_at.is_none();
        let is_worse = finding.severity > member.found.severity;
        if incident.is_live() && holds {
            return changed(incident, finding, member.found.severity);
        }
        if incident.is_live() && is_bad {
            return again(incident, finding, windows);
        }
        let lately = incident.resolved.as_ref();
        let lately = lately.is_some_and(|(ended, ..)| at - *ended <= windows.reopen);
        if is_bad && lately && (!holds || is_worse) {
            return reopened(incident, finding, windows);
        }
        if is_bad && holds && !is_worse {
            // Somebody called it over while the alert holds: it is, until it gets worse.
            return Vec::new();
        }
    }
    if !is_bad {
        return Vec::new();
    }
    let mut live = book.newest().filter(|incident| incident.is_live());
    let alert = Found::of(finding);
    vec![
        match live.find(|incident| is_related(incident, finding, at, windows)) {
            Some(incident) => IncidentEvent::Joined(Joined {
                incident: incident.id.clone(),
                alert,
                again: false,
                suspects: None,
            }),
            None => IncidentEvent::Opened(Opened {
                incident: book.next_id(at),
                started_at: alert.started_at,
                alert,
                suspects: Vec::new(),
            }),
        },
    ]
}

fn changed(incident: &Incident, finding: &Finding, before: Severity) -> Vec<IncidentEvent> {
    if finding.severity == before {
        return Vec::new();
    }
    vec![IncidentEvent::Changed(Changed {
        incident: incident.id.clone(),
        key: finding.key.clone(),
        severity: finding.severity,
        summary: finding.summary.clone(),
    })]
}

fn again(incident: &Incident, finding: &Finding, windows: &Windows) -> Vec<IncidentEvent> {
    let joined = IncidentEvent::Joined(Joined {
        incident: incident.id.clone(),
        alert: Found::of(finding),
        again: true,
        suspects: None,
    });
    with_flap(incident, windows, joined)
}

fn reopened(incident: &Incident, finding: &Finding, windows: &Windows) -> Vec<IncidentEvent> {
    let reopened = IncidentEvent::Reopened(Reopened {
        incident: incident.id.clone(),
        alert: Some(Found::of(finding)),
        by: String::new(),
        text: String::new(),
    });
    with_flap(incident, windows, reopened)
}

fn with_flap(incident: &Incident, windows: &Windows, event: IncidentEvent) -> Vec<IncidentEvent> {
    let flaps = incident.flaps + 1;
    let mut events = vec![event];
    if flaps >= windows.flaps && !incident.is_flapping {
        events.push(IncidentEvent::Flapped(Flapped {
            incident: incident.id.clone(),
            flaps,
        }));
    }
    events
}

fn is_related(
    incident: &Incident,
    finding: &Finding,
    at: DateTime<Utc>,
    windows: &Windows,
) -> bool {
    if let Some(parent) = finding.labels.get("parent") {
        let named = |(_, value): &(String, String)| value == parent;
        if incident.members.contains_key(parent) || incident.labels.iter().any(named) {
            return true;
        }
    }
    let shares = |(name, value): (&str, &str)| {
        tells(name, value)
            && incident
                .labels
                .contains(&(name.to_owned(), value.to_owned()))
    };
    // That another program sends both tells nothing.
    let has_watcher = !finding.is_foreign() && incident.sources.contains(&finding.source);
    at - incident.joined_at <= windows.join && (has_watcher || finding.labels.iter().any(shares))
}

fn acknowledged(book: &Book, key: &str, by: &str, at: DateTime<Utc>) -> Vec<IncidentEvent> {
    let Some(incident) = book.of_alert(key) else {
        return Vec::new();
    };
    let holds = incident
        .members
        .get(key)
        .is_some_and(|one| one.ended_at.is_none());
    // Alert events that made no line come again after a restart: what was said before somebody
    // opened it again does not hold for what goes on since.
    let mut told = incident.entries.iter().rev();
    let reopened = told.find(|entry| entry.what == "reopened");
    let is_stale = reopened.is_some_and(|entry| at < entry.at);
    if incident.state != State::Open || !holds || is_stale {
        return Vec::new();
    }
    vec![IncidentEvent::Acknowledged(Act {
        incident: incident.id.clone(),
        by: by.to_owned(),
        text: String::new(),
    })]
}

fn ended(book: &Book, finding: &Finding) -> Vec<IncidentEvent> {
    let Some(incident) = book.of_alert(&finding.key) else {
        return Vec::new();
    };
    let member = incident.members.get(&finding.key);
    if member.is_none_or(|member| member.ended_at.is_some()) {
        return Vec::new();
    }
    let id = incident.id.clone();
    let mut events = vec![IncidentEvent::AlertEnded(AlertEnded {
        incident: id.clone(),
        key: finding.key.clone(),
        how: finding.summary.clone(),
    })];
    if incident.is_live() && incident.firing <= 1 {
        events.push(IncidentEvent::Resolved(Resolved {
            incident: id,
            by: String::new(),
            text: BY_ITSELF.to_owned(),
            impact: None,
        }));
    }
    events
}
