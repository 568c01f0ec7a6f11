//! What is written to `logs/backups.ndjson`. Version 1; old lines stay readable for ever.
//!
//! `backup.awaited {}` once, when nothing is there yet; `backup.taken {name, folder, files, lines,
//! bytes, copied_bytes, left_out}`; `backup.removed {name, taken_at}`; `replica.synced {replica,
//! taken_at, files, bytes, sent_files, sent_bytes, is_read_back, mended, lost}`; `replica.failed
//! {replica, why}`; `drill.passed {backup, taken_at, journals, lines, bytes}`; `drill.failed
//! {backup, why}`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::model::{Proven, Synced};
use crate::base::time::as_stamp;
use crate::storage::lines::Lines;

/// Name of the journal.
pub const STREAM: &str = "backups";

/// The first backup is waited for from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {}

/// A backup was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Its name in the folder of backups.
    pub name: String,
    /// That folder, where it is outside of the home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Its files.
    pub files: u64,
    /// Lines of its journals.
    pub lines: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// Bytes of them that were written; the others it shares with the backup before.
    pub copied_bytes: u64,
    /// Documents that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// A backup was old enough to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Its name.
    pub name: String,
    /// When it was made.
    #[serde(serialize_with = "as_stamp")]
    pub taken_at: DateTime<Utc>,
}

/// A replica could not be brought up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncFailed {
    /// The replica.
    pub replica: String,
    /// Why.
    pub why: String,
}

/// A drill failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillFailed {
    /// The backup; empty where there was none.
    pub backup: String,
    /// Why.
    pub why: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind")]
pub enum Event {
    /// The first backup is waited for.
    #[serde(rename = "backup.awaited")]
    Awaited(Awaited),
    /// A backup was made.
    #[serde(rename = "backup.taken")]
    Taken(Taken),
    /// A backup has gone.
    #[serde(rename = "backup.removed")]
    Removed(Removed),
    /// A replica is up to date.
    #[serde(rename = "replica.synced")]
    Synced(Synced),
    /// A replica is not.
    #[serde(rename = "replica.failed")]
    SyncFailed(SyncFailed),
    /// A restore is proven.
    #[serde(rename = "drill.passed")]
    Proven(Proven),
    /// A restore is not.
    #[serde(rename = "drill.failed")]
    DrillFailed(DrillFailed),
}

impl Event {
    /// Adds its line.
    pub fn push(&self, lines: &mut Lines, at: DateTime<Utc>) {
        match self {
            Self::Awaited(members) => lines.push_members("backup.awaited", at, members),
            Self::Taken(members) => lines.push_members("backup.taken", at, members),
            Self::Removed(members) => lines.push_members("backup.removed", at, members),
            Self::Synced(members) => lines.push_members("replica.synced", at, members),
            Self::SyncFailed(members) => lines.push_members("replica.failed", at, members),
            Self::Proven(members) => lines.push_members("drill.passed", at, members),
            Self::DrillFailed(members) => lines.push_members("drill.failed", at, members),
        }
    }
}

/// A line as it is read back.
#[derive(Debug, Clone, Deserialize)]
pub struct Line {
    /// When.
    pub ts: DateTime<Utc>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}
