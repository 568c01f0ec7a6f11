//! What people are told: notices, one for each channel that is to hear of a group of alerts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::time::{as_maybe_stamp, as_stamp};
use crate::platform::alerts::Severity;

/// Why a notice is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The group is new.
    First,
    /// Alerts have joined a group that was told of before.
    NewAlerts,
    /// Some alerts of the group have ended.
    NewResolved,
    /// All alerts of the group have ended.
    AllResolved,
    /// Nothing has changed for the whole repeat interval.
    Repeat,
    /// Nobody has acknowledged it in time.
    Escalation,
    /// It became more severe.
    Worse,
    /// It comes and goes; told once until it is stable.
    Flapping,
    /// What could not be told in time, summed up.
    Digest,
    /// Somebody asked for a test.
    Test,
}

/// Whether an alert still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It holds.
    Firing,
    /// It has ended.
    Resolved,
}

/// An alert as a notice tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeAlert {
    /// Its identity among the alert events, such as `probe:web`.
    pub key: String,
    /// Whether it holds.
    pub status: Status,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence; of a resolved one how it ended.
    pub summary: String,
    /// The first bad sample.
    #[serde(serialize_with = "as_stamp")]
    pub started_at: DateTime<Utc>,
    /// When it ended.
    #[serde(
        default,
        serialize_with = "as_maybe_stamp",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<DateTime<Utc>>,
    /// Its labels, with `alertname`, `severity` and `source`.
    pub labels: BTreeMap<String, String>,
    /// What else is told of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Where more of it is shown; empty where nowhere.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
}

/// What one channel is to tell of one group of alerts, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its identity, the same in every try: the idempotency key where the channel has one.
    pub id: String,
    /// The channel's name in `configs/alerts.json`.
    pub channel: String,
    /// The group's identity, stable over restarts: what threads, edits and incidents of the
    /// channel's service go by.
    pub group: String,
    /// Why it is sent.
    pub reason: Reason,
    /// The worst of its alerts that hold, or that held where none does any more.
    pub severity: Severity,
    /// When it was decided.
    #[serde(serialize_with = "as_stamp")]
    pub at: DateTime<Utc>,
    /// The labels that the group is made by.
    pub group_labels: BTreeMap<String, String>,
    /// Its alerts, firing ones first, the worst of them first.
    pub alerts: Vec<NoticeAlert>,
    /// Alerts of the group that are not told here, because there are too many.
    #[serde(default)]
    pub more: u32,
    /// The open incident that some of them belong to; empty where none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub incident: String,
    /// Likely causes, likeliest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// A page on which it can be acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack_url: Option<String>,
    /// Channels that it was meant for and that could not take it, the last one last. Its own is
    /// among them where somebody asked for another try.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub via: Vec<String>,
}

impl Notice {
    /// Whether it never arrived and somebody asked for another try: it tells what was once so.
    pub fn is_again(&self) -> bool {
        self.via.contains(&self.channel)
    }

    /// Whether it tells that all is over, so that what was not sent before need not be.
    pub fn ends_all(&self) -> bool {
        self.reason == Reason::AllResolved && !self.is_firing() && !self.is_again()
    }

    /// Whether it need not be sent once all of its group is over.
    pub fn is_overtaken(&self) -> bool {
        self.is_firing() && !matches!(self.reason, Reason::Digest | Reason::Test)
    }

    /// Whether anything in it still holds.
    pub fn is_firing(&self) -> bool {
        self.alerts
            .iter()
            .any(|alert| alert.status == Status::Firing)
    }
}
