//! What is told about a configuration: what is in force, since when, by whom, and what is wrong.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use crate::base::json::EditFault;
use crate::base::problems::Problems;
use crate::base::time;
use crate::storage::engine::{DocumentError, Revision};

/// State of one configuration document.
#[derive(Debug, Clone, Serialize)]
pub struct ConfigStatus {
    /// File name.
    pub file: &'static str,
    /// Revision in force.
    pub revision: Revision,
    /// Since when it is in force.
    #[serde(serialize_with = "as_stamp")]
    pub accepted_at: DateTime<Utc>,
    /// Who changed it: a caller's name, `file` or `shipped`.
    pub actor: String,
    /// Set while the file on disk is not what is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degraded: Option<Degraded>,
    /// Settings in force that differ from those the process started with and need a restart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restart_needed: Vec<&'static str>,
}

impl ConfigStatus {
    /// That the file on disk is not in force, and the first reason, in one sentence; `None` where
    /// it is.
    pub fn refusal(&self) -> Option<String> {
        let first = self.degraded.as_ref()?.problems.iter().next();
        let first = first.map_or("", |one| one.message.as_str());
        let (file, revision) = (self.file, &self.revision);
        Some(format!(
            "`{file}` on disk is not in force, running on revision {revision}: {first}"
        ))
    }
}

/// Why the file on disk is not in force.
#[derive(Debug, Clone, Serialize)]
pub struct Degraded {
    /// Since when.
    #[serde(serialize_with = "as_stamp")]
    pub since: DateTime<Utc>,
    /// Revision of the refused text, where there is a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// What is wrong with it.
    pub problems: Problems,
    /// How many problems there are.
    pub count: usize,
}

/// Why an edit was not made. `E` is the editor's own refusal.
#[derive(Debug, thiserror::Error)]
pub enum EditError<E> {
    /// The file is at another revision than the edit was based on: somebody got there first.
    #[error("`{file}` is at revision {found}, the change was based on {expected}")]
    Moved {
        /// File name.
        file: &'static str,
        /// Based on.
        expected: Revision,
        /// What is there.
        found: Revision,
    },
    /// The result would not pass the check.
    #[error("the change does not pass the check")]
    Invalid(Problems),
    /// The text cannot be edited so.
    #[error("the change does not fit the document")]
    Text(#[source] EditFault),
    /// The file could not be read or written.
    #[error("the change was not saved")]
    Document(#[source] DocumentError),
    /// The editor did not want to.
    #[error("the change was refused")]
    Refused(E),
    /// No such configuration was registered.
    #[error("there is no configuration `{file}`")]
    Unknown {
        /// What was asked for.
        file: &'static str,
    },
}

/// What to do about a document that is a link. The folder may well be one: that is how a checkout
/// is used.
pub const LINK_HINT: &str = "put the file itself there; to use a checkout, make the folder \
                             `configs` the link";

/// A document's error as a problem with the document as a whole.
pub(super) fn unreadable(named: Arc<str>, error: &DocumentError) -> Problems {
    let mut problems = Problems::new(named);
    let hint = match error {
        DocumentError::Absent { .. } => {
            "put it back; the texts that were in force are in `backups/configs`"
        }
        DocumentError::Empty { .. } => {
            "an empty document is never taken for \"no settings\"; write `{}` for that"
        }
        DocumentError::TooLarge { .. } => "split or shorten it",
        DocumentError::Link { .. } => LINK_HINT,
        _ => "check the file's owner and mode",
    };
    let mut message = error.to_string();
    if let DocumentError::Io { source, .. } = error {
        message = format!("{message}: {source}");
    }
    problems.unreadable(message, hint);
    problems
}

fn as_stamp<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time::stamp(*at))
}
