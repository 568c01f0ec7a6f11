//! What is written to `logs/feature_flags.ndjson`. Version 1; old lines stay readable for ever.
//!
//! `flag.created {key, after, actor, revision}`, `flag.changed {key, before, after, actor,
//! revision}`, `flag.deleted {key, before, actor, revision}`. `revision` is the content hash of
//! `configs/flags.json` that brought the change, `actor` the caller or `file`.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::model::FlagValue;
use crate::storage::lines::Lines;

/// Name of the journal.
pub const STREAM: &str = "feature_flags";

/// One change of one flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagChange {
    /// The flag.
    pub key: String,
    /// What it was; `None` where it did not exist.
    pub before: Option<FlagValue>,
    /// What it is; `None` where it does not exist any more.
    pub after: Option<FlagValue>,
}

impl FlagChange {
    /// Event kind.
    pub const fn kind(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "flag.created",
            (_, None) => "flag.deleted",
            _ => "flag.changed",
        }
    }

    /// Adds the line for this change.
    pub fn push(&self, lines: &mut Lines, at: DateTime<Utc>, actor: &str, revision: &str) {
        let members = Members {
            key: &self.key,
            before: self.before.as_ref(),
            after: self.after.as_ref(),
            actor,
            revision,
        };
        lines.push_members(self.kind(), at, &members);
    }
}

#[derive(Serialize)]
struct Members<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<&'a FlagValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a FlagValue>,
    actor: &'a str,
    revision: &'a str,
}

/// A line as it is read back.
#[derive(Debug, Deserialize)]
pub struct FlagLine<'a> {
    /// Number of the line.
    pub seq: u64,
    /// When.
    pub ts: DateTime<Utc>,
    /// What happened.
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// The flag.
    #[serde(borrow)]
    pub key: Cow<'a, str>,
    #[serde(borrow, default)]
    before: Option<&'a RawValue>,
    #[serde(borrow, default)]
    after: Option<&'a RawValue>,
    /// Who: a caller, such as `key:alice(ab12cd34)`, or `file`.
    #[serde(borrow)]
    pub actor: Cow<'a, str>,
    /// Content hash of the file that brought the change.
    #[serde(borrow)]
    pub revision: Cow<'a, str>,
}

impl FlagLine<'_> {
    /// Reads one line; `None` for foreign lines and events of other kinds.
    pub fn parse(line: &[u8]) -> Option<FlagLine<'_>> {
        serde_json::from_slice(line).ok()
    }

    /// The change it tells of. A `null` value is read as no member by serde, so the kind decides.
    pub fn change(&self) -> FlagChange {
        let value = |raw: Option<&RawValue>| {
            raw.map_or(Some(FlagValue::Null), |raw| FlagValue::from_json(raw.get()))
        };
        let created = self.kind == "flag.created";
        let deleted = self.kind == "flag.deleted";
        FlagChange {
            key: self.key.clone().into_owned(),
            before: if created { None } else { value(self.before) },
            after: if deleted { None } else { value(self.after) },
        }
    }
}
