//! What an incident is: the alerts that belong to it, what is suspected, and what became of it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::labels::Labels;
use crate::base::time::as_stamp;
use crate::platform::alerts::{Finding, Severity};

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nobody has taken it up.
    Open,
    /// Somebody has.
    Acknowledged,
    /// It is over.
    Resolved,
}

impl State {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

/// An alert as an incident keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Found {
    /// Its identity among the alert events.
    pub key: String,
    /// The capability that found it.
    pub source: String,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence.
    pub summary: String,
    /// The first bad sample.
    #[serde(serialize_with = "as_stamp")]
    #[schemars(with = "String")]
    pub started_at: DateTime<Utc>,
    /// What it concerns.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Where more of it is shown; left away where nowhere.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
}

impl Found {
    /// What the watchers have said.
    pub fn of(finding: &Finding) -> Self {
        Self {
            key: finding.key.clone(),
            source: finding.source.clone(),
            severity: finding.severity,
            summary: finding.summary.clone(),
            started_at: finding.started_at,
            labels: finding.labels.clone(),
            url: finding.url.clone(),
        }
    }
}

/// A change that may have caused it, and why it is thought so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Suspect {
    /// `flag`, `rollout`, `deploy`, `config` or `task_failure`.
    pub kind: String,
    /// Which: the flag, the service, the file, the task.
    pub name: String,
    /// When it took effect.
    #[serde(serialize_with = "as_stamp")]
    #[schemars(with = "String")]
    pub at: DateTime<Utc>,
    /// What was changed, in one sentence.
    pub summary: String,
    /// Who; empty where nobody.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub actor: String,
    /// How likely, from 0 to 1: comparable within one incident only.
    pub score: f64,
    /// What the score is made of.
    pub reasons: Vec<String>,
}

impl Suspect {
    /// One sentence for whoever is told.
    pub fn sentence(&self) -> String {
        let by = if self.actor.is_empty() {
            String::new()
        } else {
            format!(", by {}", self.actor)
        };
        let why = self.reasons.first().map_or("", String::as_str);
        format!("{}{by}: {why}", self.summary)
    }
}

/// What it cost the users, by the samples of the series that its alerts name.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Impact {
    /// Requests while it lasted.
    pub requests: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Minutes of a full outage that the failures come to: the share of failed requests of each
    /// minute, added up. What an error budget in minutes has lost.
    pub burned_minutes: f64,
}

/// An alert of an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The alert.
    pub found: Found,
    /// When it opened the incident or joined it.
    pub joined_at: DateTime<Utc>,
    /// When it ended; `None` while it holds.
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub ended_how: String,
    /// How often it has fired.
    pub times: u32,
}

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Entry {
    /// When.
    #[serde(serialize_with = "as_stamp")]
    #[schemars(with = "String")]
    pub at: DateTime<Utc>,
    /// What kind of thing, such as `opened`, `change` or `note`.
    pub what: &'static str,
    /// What happened.
    pub text: String,
    /// Who; left away where nobody.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub by: String,
}

/// An incident.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// Names it: `inc-20261121-1`.
    pub id: String,
    /// Where it stands.
    pub state: State,
    /// The worst that any alert of it has been.
    pub severity: Severity,
    /// What its first alert said.
    pub title: String,
    /// The key of its first alert: whoever fires it again updates this incident.
    pub dedup_key: String,
    /// The first bad sample.
    pub started_at: DateTime<Utc>,
    /// When it was noticed.
    pub detected_at: DateTime<Utc>,
    /// When it was acknowledged first.
    pub first_acknowledged_at: Option<DateTime<Utc>>,
    /// When, and by whom, since it was opened last.
    pub acknowledged: Option<(DateTime<Utc>, String)>,
    /// When it was resolved, by whom (empty: by itself), and how.
    pub resolved: Option<(DateTime<Utc>, String, String)>,
    /// How often it was opened again or an alert of it fired again.
    pub flaps: u32,
    /// Whether that was noted as flapping.
    pub is_flapping: bool,
    /// When an alert opened or joined it last.
    pub joined_at: DateTime<Utc>,
    /// Its alerts, by key.
    pub members: BTreeMap<String, Member>,
    /// Alerts that hold.
    pub firing: usize,
    /// Who found them.
    pub sources: BTreeSet<String>,
    /// What they concern; a bounded number.
    pub labels: BTreeSet<(String, String)>,
    /// Likely causes, likeliest first.
    pub suspects: Vec<Suspect>,
    /// What it cost the users, once it is resolved.
    pub impact: Option<Impact>,
    /// What happened since it was opened.
    pub entries: Vec<Entry>,
    /// Recovery actions that were held, by how and name: each is told once.
    pub held: BTreeSet<(&'static str, String)>,
    /// Entries that were too many to be kept.
    pub more_entries: u64,
}

impl Incident {
    /// Keys of the alerts that hold.
    pub fn firing_keys(&self) -> impl Iterator<Item = &str> {
        self.members
            .iter()
            .filter(|(_, member)| member.ended_at.is_none())
            .map(|(key, _)| key.as_str())
    }

    /// Whether it goes on.
    pub fn is_live(&self) -> bool {
        self.state != State::Resolved
    }

    /// The series of samples that its alerts name.
    pub fn series(&self) -> BTreeSet<&str> {
        let named = self.labels.iter();
        named
            .filter(|(name, _)| name == "series")
            .map(|(_, series)| series.as_str())
            .collect()
    }
}
