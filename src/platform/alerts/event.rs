//! What is written to `logs/alerts.ndjson`. Version 1; old lines stay readable for ever.
//!
//! `alert.fired {key, source, severity, summary, started_at, labels}` when a finding begins,
//! `alert.changed` with the same members when its severity changes, `alert.resolved {key, source,
//! severity, summary, started_at, fired_at, labels}` when it ends; `summary` then says how.
//! `alert.acknowledged` with the members of the first and `by` when somebody has taken it up.
//! What came from elsewhere may also carry `annotations` and `url`.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::labels::Labels;
use crate::base::time::{as_maybe_stamp, as_stamp};

/// Name of the journal.
pub const STREAM: &str = "alerts";

/// What the keys of alerts begin with that other programs send; a fingerprint of their labels
/// follows.
pub const FOREIGN: &str = "am:";
/// Labels that are told with the name of such an alert. Our own choice: a line's worth.
const MOST_NAMED: usize = 3;
/// Labels that are told otherwise than with the name.
const TOLD_ELSEWHERE: [&str; 4] = ["alertname", "severity", "level", "source"];

/// Whether the alert of this key was found by another program, not by a watcher of ours.
pub fn is_foreign(key: &str) -> bool {
    key.starts_with(FOREIGN)
}

/// What people call the alert `key`, which has these labels: its key; or where another program
/// found it, whose key tells nobody anything, its name and first labels.
pub fn name_of<'a>(key: &str, labels: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> String {
    if !is_foreign(key) {
        return key.to_owned();
    }
    let mut named = labels.clone();
    let name = named.find_map(|(label, value)| (label == "alertname").then_some(value));
    let others: Vec<String> = labels
        .filter(|(label, _)| !TOLD_ELSEWHERE.contains(label))
        .take(MOST_NAMED)
        .map(|(label, value)| format!("{label}={value}"))
        .collect();
    match (name, others.as_slice()) {
        (None, []) => key.to_owned(),
        (Some(name), []) => name.to_owned(),
        (name, others) => {
            let name = name.unwrap_or("an alert without a name");
            format!("{name} ({})", others.join(", "))
        }
    }
}

/// How bad it is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    #[default]
    Info,
    /// Somebody should look within days.
    Warning,
    /// Somebody should look today.
    Error,
    /// Somebody must act now.
    Critical,
}

/// Something that a watcher found, for as long as it lasts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Finding {
    /// Its identity: whoever raises the same key again means the same thing. `probe:web`,
    /// `slo:checkout:page`, `task:cost-tracker:late`.
    pub key: String,
    /// The capability that found it.
    pub source: String,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence with the numbers that made it.
    pub summary: String,
    /// The first bad sample, which may be before it was noticed.
    pub started_at: DateTime<Utc>,
    /// What it concerns, for routing and grouping.
    #[serde(default)]
    pub labels: Labels,
    /// What else is told of it; never part of its identity.
    #[serde(default)]
    pub annotations: Labels,
    /// Where more of it is shown; empty where nowhere.
    #[serde(default)]
    pub url: String,
}

impl Finding {
    /// Whether another program found it, not a watcher of ours.
    pub fn is_foreign(&self) -> bool {
        is_foreign(&self.key)
    }

    /// What people call it.
    pub fn name(&self) -> String {
        name_of(&self.key, self.labels.iter())
    }
}

/// What became of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It began.
    Fired,
    /// Its severity is another.
    Changed,
    /// Somebody has taken it up.
    Acknowledged {
        /// Who: a caller, such as `key:alice(ab12cd34)`, or the channel and its user.
        by: String,
    },
    /// It ended; the finding's summary says how.
    Resolved,
}

impl What {
    /// Event kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Fired => "alert.fired",
            Self::Changed => "alert.changed",
            Self::Acknowledged { .. } => "alert.acknowledged",
            Self::Resolved => "alert.resolved",
        }
    }
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub seq: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// What happened.
    pub what: What,
    /// To what.
    pub finding: Arc<Finding>,
    /// When it was noticed first.
    pub fired_at: DateTime<Utc>,
}

/// Members of a line.
#[derive(Serialize)]
pub(super) struct Members<'a> {
    key: &'a str,
    source: &'a str,
    severity: Severity,
    summary: &'a str,
    #[serde(serialize_with = "as_stamp")]
    started_at: DateTime<Utc>,
    #[serde(
        serialize_with = "as_maybe_stamp",
        skip_serializing_if = "Option::is_none"
    )]
    fired_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    labels: &'a Labels,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    annotations: &'a Labels,
    #[serde(skip_serializing_if = "str::is_empty")]
    url: &'a str,
}

impl<'a> Members<'a> {
    pub(super) fn of(record: &'a Record) -> Self {
        let finding = &*record.finding;
        let by = match &record.what {
            What::Acknowledged { by } => Some(&**by),
            _ => None,
        };
        Self {
            key: &finding.key,
            source: &finding.source,
            severity: finding.severity,
            summary: &finding.summary,
            started_at: finding.started_at,
            // That of a firing line is the line's own time.
            fired_at: (record.what == What::Resolved).then_some(record.fired_at),
            by,
            labels: &finding.labels,
            annotations: &finding.annotations,
            url: &finding.url,
        }
    }
}

/// A line as it is read back; lines of other kinds do not fit.
#[derive(Debug, Deserialize)]
pub(super) struct AlertLine {
    seq: u64,
    ts: DateTime<Utc>,
    kind: String,
    #[serde(default)]
    by: Option<String>,
    #[serde(flatten)]
    finding: Finding,
}

impl AlertLine {
    /// What it tells; `None` for kinds of later versions. Whoever folds sets when it was noticed.
    pub(super) fn record(self) -> Option<Record> {
        let what = match &*self.kind {
            "alert.fired" => What::Fired,
            "alert.changed" => What::Changed,
            "alert.acknowledged" => What::Acknowledged {
                by: self.by.unwrap_or_default(),
            },
            "alert.resolved" => What::Resolved,
            _ => return None,
        };
        Some(Record {
            seq: self.seq,
            at: self.ts,
            what,
            finding: Arc::new(self.finding),
            fired_at: self.ts,
        })
    }
}
