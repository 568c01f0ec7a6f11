//! What is written to `logs/heartbeats.ndjson`. Version 1; old lines stay readable for ever.
//!
//! `heartbeat.pinged {name, signal, exit_code, rid, duration_ms, body, body_cut}`,
//! `heartbeat.went_down {name, cause, since, summary, rid}`, `heartbeat.came_up {name, since,
//! summary}`, `heartbeat.paused {name, actor}`, `heartbeat.resumed {name, actor}`,
//! `heartbeat.excused {name, secs, summary}` when something of ours may have kept a signal away,
//! `heartbeat.key_drawn {name, actor}`, `heartbeat.removed {name}` when the configuration does not
//! name it any more. Members that say nothing are left out. No line holds a key or an address.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{Cause, Signal};
use crate::storage::lines::Lines;

/// Name of the journal.
pub const STREAM: &str = "heartbeats";

/// What happened to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A signal came.
    Pinged,
    /// It is down from now on.
    WentDown,
    /// It is up again.
    CameUp,
    /// Somebody paused it.
    Paused,
    /// It is watched again.
    Resumed,
    /// Something of ours may have kept a signal away.
    Excused,
    /// It has a key from now on.
    KeyDrawn,
    /// The configuration does not name it any more.
    Removed,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Pinged,
        Self::WentDown,
        Self::CameUp,
        Self::Paused,
        Self::Resumed,
        Self::Excused,
        Self::KeyDrawn,
        Self::Removed,
    ];

    /// As it stands in the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pinged => "heartbeat.pinged",
            Self::WentDown => "heartbeat.went_down",
            Self::CameUp => "heartbeat.came_up",
            Self::Paused => "heartbeat.paused",
            Self::Resumed => "heartbeat.resumed",
            Self::Excused => "heartbeat.excused",
            Self::KeyDrawn => "heartbeat.key_drawn",
            Self::Removed => "heartbeat.removed",
        }
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Members of a line, of whatever kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Members {
    /// The heartbeat.
    pub name: String,
    /// What the job said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// Exit code of the job, 0..=255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
    /// Id of the run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rid: String,
    /// How long the run took, in milliseconds, where its beginning is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// What was sent with the signal, at most 10,000 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// There was more of the body.
    #[serde(default, skip_serializing_if = "is_false")]
    pub body_cut: bool,
    /// Why it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// When a sign of life was due, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub since: Option<DateTime<Utc>>,
    /// In one sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Who did it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub actor: String,
    /// How long nothing is held against it, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secs: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// An event, not yet on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// To whom, and the rest.
    pub members: Members,
}

impl Event {
    /// Something that happened to `name`.
    pub fn of(kind: Kind, name: &str) -> Self {
        let name = name.to_owned();
        let members = Members {
            name,
            ..Members::default()
        };
        Self { kind, members }
    }

    /// Something that `actor` did to `name`.
    pub fn by(kind: Kind, name: &str, actor: &str) -> Self {
        let mut event = Self::of(kind, name);
        actor.clone_into(&mut event.members.actor);
        event
    }

    /// Adds its line.
    pub fn push(&self, lines: &mut Lines, at: DateTime<Utc>) {
        lines.push_members(self.kind.name(), at, &self.members);
    }
}

/// A line as it is read back; lines of other kinds do not fit.
#[derive(Debug, Clone, Deserialize)]
pub struct Line {
    /// Number of the line.
    pub seq: u64,
    /// When.
    pub ts: DateTime<Utc>,
    /// What happened.
    pub kind: String,
    /// To whom, and the rest.
    #[serde(flatten)]
    pub members: Members,
}
