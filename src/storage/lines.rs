//! What is handed to an engine to be appended: the members of journal lines, not yet numbered.

use chrono::{DateTime, Utc};

use crate::base::escape::escape_steering;

/// One line to come, as offsets into [`Lines`].
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Event kind, noun.past-verb, such as `flag.changed`.
    pub kind: &'static str,
    /// When it happened, by the clock of the request or run that caused it.
    pub at: DateTime<Utc>,
    /// End of this line's members in the shared buffer; they begin where the previous line's end.
    pub end: usize,
}

/// A group of lines that is appended in one piece, in order, with consecutive `seq`.
#[derive(Debug, Default)]
pub struct Lines {
    members: Vec<u8>,
    entries: Vec<Entry>,
}

impl Lines {
    /// An empty group.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty group with room for `lines` lines of about `bytes` member bytes in all.
    pub fn with_capacity(lines: usize, bytes: usize) -> Self {
        Self {
            members: Vec::with_capacity(bytes),
            entries: Vec::with_capacity(lines),
        }
    }

    /// Adds a line. `write` appends its members as JSON without braces, `"key":"x","value":1`, and
    /// must not use the names `seq`, `ts`, `kind` and `h`, which are the engine's.
    pub fn push(
        &mut self,
        kind: &'static str,
        at: DateTime<Utc>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.members.len();
        write(&mut self.members);
        // Whoever follows a journal on a terminal must not be steered by what a client sent.
        escape_steering(&mut self.members, start);
        self.entries.push(Entry {
            kind,
            at,
            end: self.members.len(),
        });
    }

    /// Adds a line whose members are those of `members`, which must serialise as an object.
    pub fn push_members<M: serde::Serialize>(
        &mut self,
        kind: &'static str,
        at: DateTime<Utc>,
        members: &M,
    ) {
        self.push(kind, at, |out| {
            // Our own structs always serialise; the braces around are the engine's.
            let json = serde_json::to_vec(members).unwrap_or_default();
            let inner = json.get(1..json.len().saturating_sub(1));
            out.extend_from_slice(inner.unwrap_or_default());
        });
    }

    /// How many lines.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing to append.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of members in all.
    pub fn bytes(&self) -> usize {
        self.members.len()
    }

    /// The lines in order, each with its members.
    pub fn iter(&self) -> impl Iterator<Item = (&Entry, &[u8])> {
        let mut start = 0;
        self.entries.iter().map(move |entry| {
            let members = self.members.get(start..entry.end).unwrap_or_default();
            start = entry.end;
            (entry, members)
        })
    }
}
