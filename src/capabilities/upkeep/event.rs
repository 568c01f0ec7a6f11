//! What is written to `logs/upkeep.ndjson`. Version 1; old lines stay readable for ever.
//!
//! `upkeep.beat {uptime_secs, resident_bytes, status, troubles}` every minute;
//! `upkeep.health_checked {status, checks, alerts}`; `upkeep.healed {done, left}`;
//! `upkeep.snapshot_taken {numbers}`; `upkeep.governance_checked {findings}`;
//! `upkeep.audited {ok, checks}`; `upkeep.tidied {packed, packed_from_bytes, packed_to_bytes,
//! mended, removed, removed_bytes, left, is_cut_short}`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Name of the journal.
pub const STREAM: &str = "upkeep";

/// The daemon lives.
#[derive(Debug, Serialize, Deserialize)]
pub struct Beat {
    /// Seconds since the start.
    pub uptime_secs: u64,
    /// Memory of the process in RAM; `null` where the kernel does not tell.
    pub resident_bytes: Option<u64>,
    /// `ok`, `degraded` or `failed`.
    pub status: String,
    /// The parts that are not well, and why.
    pub troubles: BTreeMap<String, String>,
}

/// What became of old segments.
#[derive(Debug, Serialize, Deserialize)]
pub struct Tidied {
    /// Segments that were packed.
    pub packed: u64,
    /// Bytes they had.
    pub packed_from_bytes: u64,
    /// Bytes they have.
    pub packed_to_bytes: u64,
    /// Packed segments that were damaged and are whole again.
    pub mended: u64,
    /// Segments that were removed.
    pub removed: u64,
    /// Bytes they had.
    pub removed_bytes: u64,
    /// What was left as it is, and why; the first twenty.
    pub left: Vec<String>,
    /// It ended early: the next pass goes on.
    pub is_cut_short: bool,
}

/// How every part was.
#[derive(Debug, Serialize, Deserialize)]
pub struct HealthChecked {
    /// `ok`, `degraded` or `failed`.
    pub status: String,
    /// `ok`, or what is wrong, by part.
    pub checks: BTreeMap<String, String>,
    /// Alerts that had not ended, by severity.
    pub alerts: BTreeMap<String, usize>,
}

/// What was mended.
#[derive(Debug, Serialize, Deserialize)]
pub struct Healed {
    /// What was done, in words.
    pub done: Vec<String>,
    /// What is still wrong and wants a person.
    pub left: Vec<String>,
}

/// Every headline number at one time.
#[derive(Debug, Serialize, Deserialize)]
pub struct SnapshotTaken {
    /// By name, as on `/metrics`.
    pub numbers: BTreeMap<String, f64>,
}

/// What somebody should tidy up.
#[derive(Debug, Serialize, Deserialize)]
pub struct GovernanceChecked {
    /// What was found.
    pub findings: Vec<Tidiness>,
}

/// Something to tidy up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tidiness {
    /// `stale_flag`, `old_key`, `expiring_key` or `config_refused`.
    pub kind: String,
    /// The flag, the key's id or the file.
    pub thing: String,
    /// One sentence.
    pub text: String,
}

/// What an audit saw.
#[derive(Debug, Serialize, Deserialize)]
pub struct Audited {
    /// Whether everything was in order.
    pub ok: bool,
    /// Each question and its answer.
    pub checks: Vec<AuditCheck>,
}

/// One question of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditCheck {
    /// What was looked at: `configs`, `permissions`, `keys`, `chains`.
    pub name: String,
    /// Whether it is in order.
    pub ok: bool,
    /// What was seen.
    pub text: String,
}
