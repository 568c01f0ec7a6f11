//! What is written to `logs/upkeep.ndjson`. Version 1; old lines stay readable for ever.
//!
//! `upkeep.beat {uptime_secs, resident_bytes, status, troubles}` every minute;
//! `upkeep.health_checked {status, checks, alerts}`; `upkeep.healed {done, left}`;
//! `upkeep.snapshot_taken {numbers}`; `upkeep.governance_checked {findings}`;
//! `upkeep.audited {ok, checks}`.

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
