//! What the journal of incidents means now: the [`Book`] of all of them. Changed by lines only; the
//! next one is made beside the one that holds and takes its place once its lines are committed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::event::{IncidentEvent, IncidentLine, Joined, Opened, Recovery, Reopened, Resolved};
use super::model::{Entry, Found, Incident, Member, State};

/// Incidents that are kept in memory at most: the oldest that are over are given up first (our own
/// choice: years of a quiet house, and the 90 days of statistics of a busy one).
const MOST_INCIDENTS: usize = 5_000;
/// Entries of one timeline in memory at most; more are counted (our own choice).
const MOST_ENTRIES: usize = 500;
/// Alerts of one incident that are kept whole; of more only the key (our own choice: a page of
/// them tells the story, and a storm has tens of thousands).
const MOST_WHOLE: usize = 200;
/// Labels that one incident is found by at most (our own choice).
const MOST_LABELS: usize = 1_000;
/// How long tries of recovery actions are remembered: what `most_per_hour` counts, and the longest
/// cooldown.
const TRIES_KEPT: TimeDelta = TimeDelta::hours(25);
/// Labels that say nothing of what an alert concerns.
const EMPTY_LABELS: [&str; 3] = ["severity", "alertname", "source"];

/// All incidents that are remembered.
#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    /// In the order in which they were opened.
    incidents: BTreeMap<u64, Arc<Incident>>,
    /// The last incident that each alert belonged to, by its key.
    latest: HashMap<Arc<str>, u64>,
    opened: u64,
    /// The alert event that was dealt with last.
    pub(super) alert_seq: Option<u64>,
    /// When each recovery action began, by its name.
    tries: BTreeMap<String, Vec<DateTime<Utc>>>,
    /// Recovery actions that began and did not end.
    pub(super) unfinished: Vec<Recovery>,
}

impl Book {
    /// Takes a line of the journal.
    pub(super) fn fold(&mut self, line: &IncidentLine) {
        self.apply(&line.event, line.ts, line.alert_seq);
    }

    /// All, the newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = &Arc<Incident>> {
        self.incidents.values().rev()
    }

    /// The incident `id`.
    pub(super) fn find(&self, id: &str) -> Option<&Arc<Incident>> {
        self.newest().find(|incident| incident.id == id)
    }

    /// The last incident that the alert `key` belonged to.
    pub(super) fn of_alert(&self, key: &str) -> Option<&Arc<Incident>> {
        let number = self.latest.get(key)?;
        self.incidents.get(number)
    }

    /// The name of the next incident, were it opened at `at`.
    pub(super) fn next_id(&self, at: DateTime<Utc>) -> String {
        let day = at.format("inc-%Y%m%d-").to_string();
        let last = self.newest().find_map(|incident| {
            let number = incident.id.strip_prefix(&day)?;
            number.parse::<u64>().ok()
        });
        format!("{day}{}", last.unwrap_or(0) + 1)
    }

    /// When the recovery action `action` began lately, in order.
    pub(super) fn tries(&self, action: &str) -> &[DateTime<Utc>] {
        self.tries.get(action).map_or(&[], Vec::as_slice)
    }

    /// Takes what happened at `at`.
    pub(super) fn apply(
        &mut self,
        event: &IncidentEvent,
        at: DateTime<Utc>,
        alert_seq: Option<u64>,
    ) {
        // The last one, not the highest: the journal of alert events may have begun again.
        self.alert_seq = alert_seq.or(self.alert_seq);
        if let IncidentEvent::Opened(opened) = event {
            self.open(opened, at);
            return;
        }
        self.note_try(event, at);
        let id = event.incident();
        let found = self.incidents.iter().rev().find(|(_, one)| one.id == id);
        let Some(number) = found.map(|(number, _)| *number) else {
            return;
        };
        if let Some(key) = joining(event) {
            self.latest.insert(key.into(), number);
        }
        if let Some(incident) = self.incidents.get_mut(&number) {
            Arc::make_mut(incident).apply(event, at);
        }
    }

    fn open(&mut self, opened: &Opened, at: DateTime<Utc>) {
        self.opened += 1;
        let found = &opened.alert;
        let mut incident = Incident {
            id: opened.incident.clone(),
            state: State::Open,
            severity: found.severity,
            title: found.summary.clone(),
            dedup_key: found.key.clone(),
            started_at: opened.started_at,
            detected_at: at,
            first_acknowledged_at: None,
            acknowledged: None,
            resolved: None,
            flaps: 0,
            is_flapping: false,
            joined_at: at,
            members: BTreeMap::new(),
            firing: 0,
            sources: std::collections::BTreeSet::new(),
            labels: std::collections::BTreeSet::new(),
            suspects: opened.suspects.clone(),
            impact: None,
            entries: Vec::new(),
            held: std::collections::BTreeSet::new(),
            more_entries: 0,
        };
        incident.join(found, at);
        incident.told(at, "opened", told_of(found), "");
        self.latest.insert(found.key.as_str().into(), self.opened);
        self.incidents.insert(self.opened, Arc::new(incident));
        if self.incidents.len() > MOST_INCIDENTS {
            self.forget_one();
        }
    }

    fn forget_one(&mut self) {
        let over = self.incidents.iter().find(|(_, one)| !one.is_live());
        if let Some(number) = over.map(|(number, _)| *number) {
            self.incidents.remove(&number);
            self.latest.retain(|_, latest| *latest != number);
        }
    }

    fn note_try(&mut self, event: &IncidentEvent, at: DateTime<Utc>) {
        match event {
            IncidentEvent::Started(one) => {
                let tries = self.tries.entry(one.action.clone()).or_default();
                tries.retain(|then| at - *then < TRIES_KEPT);
                tries.push(at);
                self.unfinished.push(one.clone());
            }
            IncidentEvent::Done(one) | IncidentEvent::Failed(one) => {
                let same =
                    |other: &Recovery| other.incident == one.incident && other.action == one.action;
                self.unfinished.retain(|other| !same(other));
            }
            _ => {}
        }
    }
}

/// The alert that belongs to the incident from now on.
fn joining(event: &IncidentEvent) -> Option<&str> {
    match event {
        IncidentEvent::Joined(Joined { alert, .. })
        | IncidentEvent::Reopened(Reopened {
            alert: Some(alert), ..
        }) => Some(&alert.key),
        _ => None,
    }
}

fn told_of(found: &Found) -> String {
    format!("`{}`: {}", found.key, found.summary)
}

impl Incident {
    fn apply(&mut self, event: &IncidentEvent, at: DateTime<Utc>) {
        match event {
            IncidentEvent::Opened(_) => {}
            IncidentEvent::Joined(one) => {
                self.flaps += u32::from(one.again);
                self.join(&one.alert, at);
                if let Some(suspects) = &one.suspects {
                    self.suspects.clone_from(suspects);
                }
                let what = if one.again { "fired_again" } else { "joined" };
                self.told(at, what, told_of(&one.alert), "");
            }
            IncidentEvent::Changed(one) => {
                if let Some(member) = self.members.get_mut(&one.key) {
                    member.found.severity = one.severity;
                    member.found.summary.clone_from(&one.summary);
                }
                self.severity = self.severity.max(one.severity);
                let text = format!("`{}`: {}", one.key, one.summary);
                self.told(at, "changed", text, "");
            }
            IncidentEvent::AlertEnded(one) => {
                if let Some(member) = self.members.get_mut(&one.key)
                    && member.ended_at.is_none()
                {
                    member.ended_at = Some(at);
                    member.ended_how.clone_from(&one.how);
                    self.firing = self.firing.saturating_sub(1);
                }
                let text = format!("`{}`: {}", one.key, one.how);
                self.told(at, "alert_ended", text, "");
            }
            IncidentEvent::Acknowledged(one) => {
                self.state = State::Acknowledged;
                self.acknowledged = Some((at, one.by.clone()));
                self.first_acknowledged_at.get_or_insert(at);
                self.told(at, "acknowledged", one.text.clone(), &one.by);
            }
            IncidentEvent::Resolved(one) => self.resolve(one, at),
            IncidentEvent::Reopened(one) => self.reopen(one, at),
            IncidentEvent::Flapped(one) => {
                self.is_flapping = true;
                let text = format!("flapping: it came back {} times", one.flaps);
                self.told(at, "flapping", text, "");
            }
            IncidentEvent::Noted(one) => self.told(at, "note", one.text.clone(), &one.by),
            IncidentEvent::Suspected(one) => self.suspects.clone_from(&one.suspects),
            IncidentEvent::Planned(one) => self.tried(at, "recovery_planned", one),
            IncidentEvent::Frozen(one) => self.tried(at, "recovery_frozen", one),
            IncidentEvent::Limited(one) => self.tried(at, "recovery_limited", one),
            IncidentEvent::Started(one) => self.tried(at, "recovery_started", one),
            IncidentEvent::Done(one) => self.tried(at, "recovery_done", one),
            IncidentEvent::Failed(one) => self.tried(at, "recovery_failed", one),
        }
    }

    fn resolve(&mut self, one: &Resolved, at: DateTime<Utc>) {
        self.state = State::Resolved;
        self.resolved = Some((at, one.by.clone(), one.text.clone()));
        self.impact = one.impact;
        self.told(at, "resolved", one.text.clone(), &one.by);
    }

    fn reopen(&mut self, one: &Reopened, at: DateTime<Utc>) {
        self.state = State::Open;
        self.acknowledged = None;
        self.resolved = None;
        self.impact = None;
        let text = match &one.alert {
            Some(alert) => {
                self.flaps += 1;
                self.join(alert, at);
                told_of(alert)
            }
            None => one.text.clone(),
        };
        self.told(at, "reopened", text, &one.by);
    }

    fn tried(&mut self, at: DateTime<Utc>, what: &'static str, one: &Recovery) {
        if matches!(
            what,
            "recovery_planned" | "recovery_frozen" | "recovery_limited"
        ) {
            self.held.insert((what, one.action.clone()));
        }
        let text = match one.detail.as_str() {
            "" => format!("`{}` ({})", one.action, one.how),
            detail => format!("`{}` ({}): {detail}", one.action, one.how),
        };
        self.told(at, what, text, "");
    }

    fn join(&mut self, found: &Found, at: DateTime<Utc>) {
        self.joined_at = at;
        self.severity = self.severity.max(found.severity);
        self.started_at = self.started_at.min(found.started_at);
        self.sources.insert(found.source.clone());
        for (name, value) in &found.labels {
            if self.labels.len() < MOST_LABELS && tells(name, value) {
                self.labels.insert((name.to_owned(), value.to_owned()));
            }
        }
        let is_whole = self.members.len() < MOST_WHOLE;
        let times = self.members.get(&found.key).map_or(0, |known| known.times);
        let held = |known: &Member| known.ended_at.is_none();
        self.firing += usize::from(!self.members.get(&found.key).is_some_and(held));
        let found = if is_whole || times > 0 {
            found.clone()
        } else {
            Found {
                summary: String::new(),
                labels: crate::base::labels::Labels::default(),
                url: String::new(),
                ..found.clone()
            }
        };
        let member = Member {
            joined_at: at,
            ended_at: None,
            ended_how: String::new(),
            times: times + 1,
            found,
        };
        self.members.insert(member.found.key.clone(), member);
    }

    fn told(&mut self, at: DateTime<Utc>, what: &'static str, text: String, by: &str) {
        if self.entries.len() >= MOST_ENTRIES {
            self.more_entries += 1;
            return;
        }
        let by = by.to_owned();
        self.entries.push(Entry { at, what, text, by });
    }
}

/// Whether a label says what an alert concerns.
pub(super) fn tells(name: &str, value: &str) -> bool {
    !value.is_empty() && !EMPTY_LABELS.contains(&name)
}
