//! Tells the memory of changes of every edit of a configuration, as its line is on record: what was
//! in force and is another text now. The first text of a file changes nothing.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::record::STREAM;
use crate::platform::changes::{Change, ChangeKind, Changes};
use crate::storage::engine::Revision;

/// The file whose owner tells each change of a flag by itself: what was changed is told once.
const TOLD_BY_ITS_OWNER: &str = "flags.json";

/// What was in force last, by file.
#[derive(Debug)]
pub(super) struct Edits {
    changes: Changes,
    known: HashMap<String, Revision>,
}

impl Edits {
    /// Nothing is known yet.
    pub(super) fn new(changes: Changes) -> Self {
        Self {
            changes,
            known: HashMap::new(),
        }
    }

    /// Line `seq` put `revision` of `file` in force at `at`, in the name of `actor`.
    pub(super) fn accepted(
        &mut self,
        file: &str,
        revision: &Revision,
        actor: &Arc<str>,
        (seq, at): (u64, DateTime<Utc>),
        now: DateTime<Utc>,
    ) {
        let before = self.known.insert(file.to_owned(), revision.clone());
        if before.is_none_or(|before| before == *revision) || file == TOLD_BY_ITS_OWNER {
            return;
        }
        let change = Change {
            at,
            kind: ChangeKind::Config,
            name: file.to_owned(),
            summary: format!("`configs/{file}` was edited, to revision {revision}"),
            actor: actor.to_string(),
            scope: Vec::new(),
            source: (STREAM, seq),
        };
        self.changes.note(change, now);
    }
}
