//! What may be done to the old part of journals, and what was done: packing sealed segments,
//! mending packed ones, removing those that are older than anybody wants them.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

/// What a pass may do.
#[derive(Debug, Clone, Default)]
pub struct TidyPlan {
    /// When the pass is made.
    pub now: DateTime<Utc>,
    /// Sealed segments whose last line is older are packed; `None` = never.
    pub pack_after: Option<Duration>,
    /// By journal: sealed segments all of whose lines were written before may be removed. A journal
    /// that is not named loses nothing.
    pub remove_before: BTreeMap<String, DateTime<Utc>>,
    /// Only tells what would be done.
    pub is_dry_run: bool,
}

/// What a pass did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
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
    /// What was left as it is, and why.
    pub left: Vec<String>,
    /// It ended early: the next pass goes on.
    pub is_cut_short: bool,
}

impl Tidied {
    /// Bytes that are free by this pass.
    pub fn won_bytes(&self) -> u64 {
        let packed = self.packed_from_bytes.saturating_sub(self.packed_to_bytes);
        packed + self.removed_bytes
    }
}
