//! What is written to `logs/notices.ndjson`. Version 1; old lines stay readable for ever.
//!
//! `notice.queued` with the whole notice, on the medium before anything is sent;
//! `notice.sent {id, channel, attempt, reference}`; `notice.failed {id, channel, attempt, found,
//! retry_at}` where it is tried again; `notice.dry_run {id, channel, reason}` where a secret is
//! missing; `notice.dead {id, channel, attempt, why, fallback, disables}` where it never arrives
//! there: `fallback` has it instead, `disables` is the configuration that wants no more calls;
//! `notice.superseded {id, channel, by}` where what it tells was over before it was sent;
//! `notice.expired {id, channel, by}` where it came too late and is summed up. Members that say
//! nothing are left out. No line holds a secret.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::base::time::as_maybe_stamp;
use crate::capabilities::alerts::model::Notice;
use crate::storage::lines::Lines;

/// Name of the journal.
pub const STREAM: &str = "notices";

/// What became of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The channel has it.
    Sent,
    /// It is tried again.
    Failed,
    /// Nothing was sent, because a secret is missing.
    DryRun,
    /// It never arrives there.
    Dead,
    /// What it tells was over before it was sent.
    Superseded,
    /// It came too late and is summed up.
    Expired,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Sent,
        Self::Failed,
        Self::DryRun,
        Self::Dead,
        Self::Superseded,
        Self::Expired,
    ];

    /// As it stands in the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "notice.sent",
            Self::Failed => "notice.failed",
            Self::DryRun => "notice.dry_run",
            Self::Dead => "notice.dead",
            Self::Superseded => "notice.superseded",
            Self::Expired => "notice.expired",
        }
    }
}

/// Members of a line that tells what became of a notice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fate {
    /// The notice.
    pub id: String,
    /// Its channel.
    pub channel: String,
    /// Which try it was, counted from 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// What the channel calls it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// Why a try failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub found: String,
    /// The cure.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// When it is tried again, UTC.
    #[serde(
        default,
        serialize_with = "as_maybe_stamp",
        skip_serializing_if = "Option::is_none"
    )]
    pub retry_at: Option<DateTime<Utc>>,
    /// Why nothing was sent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why it never arrives.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The channel that has it instead.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fallback: String,
    /// The configuration of the channel that wants no more calls.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub disables: String,
    /// The notice that tells it instead.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Fate {
    /// Of `notice`, without anything yet.
    pub fn of(notice: &Notice) -> Self {
        Self {
            id: notice.id.clone(),
            channel: notice.channel.clone(),
            ..Self::default()
        }
    }
}

/// An event, to be written or read.
#[derive(Debug, Clone)]
pub enum Event {
    /// A notice is on record from now on.
    Queued(Box<Notice>),
    /// Something became of one.
    Became(Kind, Box<Fate>),
}

impl Event {
    /// Adds its line.
    pub fn push(&self, lines: &mut Lines, at: DateTime<Utc>) {
        match self {
            Self::Queued(notice) => lines.push_members("notice.queued", at, notice),
            Self::Became(kind, fate) => lines.push_members(kind.name(), at, fate),
        }
    }
}

/// A line as it is read back: number, time and kind; the rest depends on the kind.
#[derive(Debug, Deserialize)]
struct Head {
    seq: u64,
    ts: DateTime<Utc>,
    kind: String,
}

/// A line of the journal: its number, when it was written, and what it says. `None` for what does
/// not fit, such as kinds of later versions.
pub fn read(line: &[u8]) -> Option<(u64, DateTime<Utc>, Event)> {
    let head: Head = serde_json::from_slice(line).ok()?;
    let event = if head.kind == "notice.queued" {
        Event::Queued(Box::new(serde_json::from_slice(line).ok()?))
    } else {
        let named = |kind: &&Kind| kind.name() == head.kind;
        let kind = *Kind::ALL.iter().find(named)?;
        Event::Became(kind, Box::new(serde_json::from_slice(line).ok()?))
    };
    Some((head.seq, head.ts, event))
}
