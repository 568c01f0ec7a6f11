//! What is written to `logs/alerts.ndjson`. Version 1; old lines stay readable for ever.
//!
//! `alert.fired {key, source, severity, summary, started_at, labels}` when a finding begins,
//! `alert.changed` with the same members when its severity changes, `alert.resolved {key, source,
//! severity, summary, started_at, fired_at, labels}` when it ends; `summary` then says how.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::time::{as_maybe_stamp, as_stamp};

/// Name of the journal.
pub const STREAM: &str = "alerts";

/// How bad it is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look within days.
    Warning,
    /// Somebody should look today.
    Error,
    /// Somebody must act now.
    Critical,
}

/// Something that a watcher found, for as long as it lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    pub labels: BTreeMap<String, String>,
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AlertEvent {
    /// It began.
    Fired(Finding),
    /// Its severity is another.
    Changed(Finding),
    /// It ended; the finding's summary says how.
    Resolved {
        /// What ended.
        finding: Finding,
        /// When it was noticed.
        fired_at: DateTime<Utc>,
    },
}

impl AlertEvent {
    /// Event kind.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Fired(_) => "alert.fired",
            Self::Changed(_) => "alert.changed",
            Self::Resolved { .. } => "alert.resolved",
        }
    }

    /// What it is about.
    pub(super) const fn finding(&self) -> &Finding {
        match self {
            Self::Fired(finding) | Self::Changed(finding) | Self::Resolved { finding, .. } => {
                finding
            }
        }
    }
}

/// Members of a line.
#[derive(Serialize)]
pub(super) struct Members<'a> {
    pub(super) key: &'a str,
    pub(super) source: &'a str,
    pub(super) severity: Severity,
    pub(super) summary: &'a str,
    #[serde(serialize_with = "as_stamp")]
    pub(super) started_at: DateTime<Utc>,
    #[serde(
        serialize_with = "as_maybe_stamp",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) fired_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: &'a BTreeMap<String, String>,
}

/// A line as it is read back; lines of other kinds do not fit.
#[derive(Debug, Deserialize)]
pub(super) struct AlertLine {
    pub(super) ts: DateTime<Utc>,
    pub(super) kind: String,
    #[serde(flatten)]
    pub(super) finding: Finding,
}
