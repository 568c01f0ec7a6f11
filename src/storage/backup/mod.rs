//! Backups (rule C8): a folder that holds what a home consists of, and a manifest that tells what
//! each file must be.
//!
//! A backup is built under a temporary name, its manifest last, read back, and given its name when
//! all of it is on the medium: what has the name is whole. Journals are taken before documents, so
//! that no document is older than what the journals say of it. Only files are read: it does not
//! matter whether a daemon runs. A restore is the same the other way round, with the choice to end
//! the journals at an instant or a line.

mod check;
mod cut;
mod documents;
mod drill;
mod folder;
mod manifest;
mod restore;
mod shelf;
mod stoppable;
pub mod sync;
mod take;

use std::io;
use std::path::Path;

use super::verify::VerifyError;
use crate::seams::files::is_full;

pub use check::check;
pub use drill::{Drilled, drill};
pub use manifest::{FileEntry, JournalEntry, LeftOut, MANIFEST, Manifest, Range};
pub use restore::{History, Restored, RestoredDocument, RestoredJournal, TextFrom, Until, restore};
pub use shelf::{Shelved, list, newest, remove, take_away, tidy};
pub use stoppable::Stoppable;
pub use take::{Taken, take};

/// A file of a backup that is not what its manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Path within the backup.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

/// Why a backup was not made or not restored. Nothing is left behind then.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Another process builds a folder of the same name.
    #[error("another process is at work on `{folder}`")]
    Busy {
        /// The temporary folder.
        folder: String,
    },
    /// Neither journals nor documents.
    #[error("there is nothing to back up in `{home}`")]
    Nothing {
        /// The home.
        home: String,
    },
    /// Too little room for what would have to be copied.
    #[error("`{folder}` has {available} bytes free, the backup needs {needed}")]
    Room {
        /// Where the backup was to be.
        folder: String,
        /// Bytes free.
        available: u64,
        /// Bytes to copy.
        needed: u64,
    },
    /// The system refused.
    #[error("cannot {doing} `{path}`")]
    Io {
        /// The verb, such as `read`.
        doing: &'static str,
        /// Of what.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A document could not be read.
    #[error(transparent)]
    Document(#[from] super::engine::DocumentError),
    /// No manifest there.
    #[error("`{folder}` is no backup: it has no `manifest.json`")]
    NoBackup {
        /// What was named.
        folder: String,
    },
    /// Files are not what the manifest says.
    #[error("the backup `{folder}` is damaged:{}", told(faults))]
    Damaged {
        /// The backup.
        folder: String,
        /// Every file that is not as it should be.
        faults: Vec<Fault>,
    },
    /// A backup is restored into an empty or absent folder only.
    #[error("`{target}` is not an empty folder")]
    Occupied {
        /// What was named.
        target: String,
    },
    /// No journal of that name.
    #[error("the backup has no journal `{stream}`")]
    NoStream {
        /// What was named.
        stream: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The journal ends before the line asked for.
    #[error("`{stream}` ends at line {last} in this backup, there is no line {seq}")]
    NoLine {
        /// The journal.
        stream: String,
        /// What was asked for.
        seq: u64,
        /// Where it ends.
        last: u64,
    },
    /// A folder that held backups holds none.
    #[error("`{folder}` held backups and holds none now")]
    Emptied {
        /// The folder.
        folder: String,
    },
    /// A replica that was there is not.
    #[error("the replica `{target}` was there and is not now")]
    Vanished {
        /// Where it was.
        target: String,
    },
    /// A replica has lines that the home does not.
    #[error("the replica `{target}` holds another history of `{journal}`: {what}")]
    Diverged {
        /// The replica.
        target: String,
        /// The journal.
        journal: String,
        /// Where they differ.
        what: String,
    },
    /// What arrived is not what was sent.
    #[error("`{file}` did not arrive in `{target}` as it was sent")]
    Changed {
        /// Path within the home.
        file: String,
        /// The replica.
        target: String,
    },
    /// A store elsewhere could not be opened.
    #[error("{0}")]
    Unopened(String),
    /// A store elsewhere could not be worked with.
    #[error(transparent)]
    Store(#[from] super::objects::ObjectsError),
    /// What was written did not read back the same.
    #[error("`{journal}` did not come out as the manifest says: {what}")]
    Differs {
        /// The journal.
        journal: String,
        /// What was found and what was expected.
        what: String,
    },
}

impl BackupError {
    /// The cure, where there is one that does not depend on who asked.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Room { .. } => "make room there",
            Self::Io { source, .. } if is_full(source) => "make room there",
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "the daemon's user must be able to write there"
            }
            Self::Emptied { .. } => {
                "see whether it is mounted; to begin anew there, run `echopilot backup`"
            }
            Self::Vanished { .. } => {
                "see whether it is mounted; to begin anew, give the replica another name in \
                 configs/backups.json"
            }
            Self::Diverged { .. } => {
                "was the home restored, or begun anew? keep that replica, and name an empty place \
                 in configs/backups.json, under another name"
            }
            Self::Store(error) if !error.hint.is_empty() => return Some(error.hint.clone()),
            Self::Changed { .. } => "the next run sends it again",
            Self::Occupied { .. } => "name an empty folder outside of the home",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn told(faults: &[Fault]) -> String {
    let lines = faults
        .iter()
        .map(|fault| format!("\n  `{}`: {}", fault.file, fault.what));
    lines.collect()
}

/// Wraps what the system said about `path`.
fn failed(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> BackupError {
    let path = path.display().to_string();
    move |source| BackupError::Io {
        doing,
        path: path.clone(),
        source,
    }
}

impl From<VerifyError> for BackupError {
    fn from(error: VerifyError) -> Self {
        Self::Io {
            doing: "read",
            path: error.file,
            source: error.source,
        }
    }
}
