//! What is written to `logs/silences.ndjson`. Version 1; old lines stay readable for ever.
//!
//! `silence.created {id, by, comment, matchers, starts_at, ends_at, replaces}`, `silence.changed`
//! with the same members when the same alerts are silenced for another time or reason, and
//! `silence.expired {id, by}` when it ends before its time. `matchers` are as Alertmanager writes
//! them, `job="web"`; `replaces` is the silence whose edit this one is, where it is one.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::model::Silence;
use crate::base::time::as_maybe_stamp;
use crate::storage::lines::Lines;

/// Name of the journal.
pub(super) const STREAM: &str = "silences";

/// What happened to a silence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// There is another one.
    Created {
        /// The silence.
        silence: Silence,
        /// The silence whose edit it is.
        replaces: String,
    },
    /// Its time or its comment is another.
    Changed(Silence),
    /// It ends now.
    Expired {
        /// Which.
        id: String,
        /// Who ended it.
        by: String,
    },
}

/// Members of a line, of whatever kind.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Members {
    id: String,
    by: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    comment: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    matchers: Vec<String>,
    #[serde(
        default,
        serialize_with = "as_maybe_stamp",
        skip_serializing_if = "Option::is_none"
    )]
    starts_at: Option<DateTime<Utc>>,
    #[serde(
        default,
        serialize_with = "as_maybe_stamp",
        skip_serializing_if = "Option::is_none"
    )]
    ends_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    replaces: String,
}

/// A line as it is read back; lines of other kinds do not fit.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub(super) seq: u64,
    pub(super) ts: DateTime<Utc>,
    kind: String,
    #[serde(flatten)]
    members: Members,
}

const CREATED: &str = "silence.created";
const CHANGED: &str = "silence.changed";
const EXPIRED: &str = "silence.expired";

impl Event {
    /// Adds its line.
    pub(super) fn push(&self, lines: &mut Lines, at: DateTime<Utc>) {
        let whole = |silence: &Silence, replaces: &str| Members {
            id: silence.id.clone(),
            by: silence.by.clone(),
            comment: silence.comment.clone(),
            matchers: silence.matchers.iter().map(ToString::to_string).collect(),
            starts_at: Some(silence.starts_at),
            ends_at: Some(silence.ends_at),
            replaces: replaces.to_owned(),
        };
        let (kind, members) = match self {
            Self::Created { silence, replaces } => (CREATED, whole(silence, replaces)),
            Self::Changed(silence) => (CHANGED, whole(silence, "")),
            Self::Expired { id, by } => {
                let (id, by) = (id.clone(), by.clone());
                let members = Members {
                    id,
                    by,
                    ..Members::default()
                };
                (EXPIRED, members)
            }
        };
        lines.push_members(kind, at, &members);
    }
}

impl Line {
    /// What it tells; `None` for kinds of later versions and for what makes no sense.
    pub(super) fn event(self) -> Option<Event> {
        let Members {
            id,
            by,
            comment,
            matchers,
            starts_at,
            ends_at,
            replaces,
        } = self.members;
        if self.kind == EXPIRED {
            return Some(Event::Expired { id, by });
        }
        let matchers = matchers.iter().map(|text| super::Matcher::parse(text).ok());
        let silence = Silence {
            id,
            by,
            comment,
            matchers: matchers.collect::<Option<_>>()?,
            starts_at: starts_at?,
            ends_at: ends_at?,
            changed_at: self.ts,
        };
        match &*self.kind {
            CREATED => Some(Event::Created { silence, replaces }),
            CHANGED => Some(Event::Changed(silence)),
            _ => None,
        }
    }
}
