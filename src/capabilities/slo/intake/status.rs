//! How each source is doing: what has come of it and what is wrong with it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

/// One source, as it is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SourceStatus {
    /// `access_log`, `scrape`, `pushed` or `own`.
    pub kind: &'static str,
    /// The series that it feeds.
    pub series: Vec<String>,
    /// Samples that were counted since the start of the daemon.
    pub counted: u64,
    /// Requests that a rule left out.
    pub excluded: u64,
    /// Lines that are no requests.
    pub other: u64,
    /// Lines that could not be read.
    pub broken: u64,
    /// Lines over 64 KiB, passed over.
    pub too_long: u64,
    /// Lines that claimed to be of the future and counted at once.
    pub ahead: u64,
    /// Times that a part of a log was gone before it was read.
    pub lost: u64,
    /// What was said of it the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_note: Option<String>,
    /// Bytes of a log that are there and not yet read.
    pub behind_bytes: u64,
    /// When something was last counted, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<String>,
    /// What is wrong now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// All sources, by name.
#[derive(Debug, Default)]
pub struct Board {
    all: Mutex<BTreeMap<String, SourceStatus>>,
}

impl Board {
    /// Puts a source on the board.
    pub(super) fn set(&self, name: &str, status: SourceStatus) {
        self.with(|all| all.insert(name.to_owned(), status));
    }

    /// Takes one off.
    pub(super) fn remove(&self, name: &str) {
        self.with(|all| all.remove(name));
    }

    /// Changes what is told of one that is there.
    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut SourceStatus)) {
        self.with(|all| all.get_mut(name).map(change));
    }

    /// All of them.
    pub fn all(&self) -> BTreeMap<String, SourceStatus> {
        self.with(|all| all.clone())
    }

    /// What is wrong, in one sentence.
    pub fn trouble(&self) -> Option<String> {
        let all = self.all();
        let mut told = all
            .iter()
            .filter_map(|(name, status)| Some((name, status.trouble.as_ref()?)));
        let (name, why) = told.next()?;
        let more = told.count();
        Some(match more {
            0 => format!("source `{name}`: {why}"),
            _ => format!("source `{name}`: {why}; and {more} more sources"),
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, SourceStatus>) -> T) -> T {
        act(&mut self.all.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
