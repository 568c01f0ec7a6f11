//! Which lines of a journal are asked for. Judged on raw bytes: nothing is parsed that is not
//! shown.

use chrono::{DateTime, Utc};

use crate::base::time;
use crate::storage::line;

/// Kinds and the first instant asked for.
#[derive(Debug)]
pub(super) struct Filter {
    kinds: Vec<String>,
    /// In the form in which lines carry it: such stamps sort as text.
    since: Option<String>,
}

impl Filter {
    /// Lines of `kinds` (empty: of every kind) since `since`.
    pub(super) fn new(kinds: &[String], since: Option<DateTime<Utc>>) -> Self {
        Self {
            kinds: kinds.to_vec(),
            since: since.map(time::stamp),
        }
    }

    /// Whether `line`, end of line included, is asked for. A line that echopilot did not write has
    /// no kind and no instant: it is shown when neither is asked for.
    pub(super) fn passes(&self, line: &[u8]) -> bool {
        if self.kinds.is_empty() && self.since.is_none() {
            return true;
        }
        let Some(own) = line::parse(line.strip_suffix(b"\n").unwrap_or(line)) else {
            return false;
        };
        let kind = self.kinds.is_empty() || self.kinds.iter().any(|k| k.as_bytes() == own.kind);
        kind && self
            .since
            .as_ref()
            .is_none_or(|since| own.ts >= since.as_bytes())
    }

    /// Whether `line` is from before the first instant asked for.
    pub(super) fn is_older(&self, line: &[u8]) -> bool {
        let Some(since) = &self.since else {
            return false;
        };
        let own = line::parse(line.strip_suffix(b"\n").unwrap_or(line));
        own.is_some_and(|own| own.ts < since.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] =
        b"{\"seq\":1,\"ts\":\"2026-11-21T09:15:02.123Z\",\"kind\":\"flag.changed\",\
        \"h\":\"9f86d081884c7d65\"}\n";

    fn at(text: &str) -> Option<DateTime<Utc>> {
        text.parse().ok()
    }

    #[test]
    fn kinds_and_instants_are_read_from_raw_bytes() {
        let flags = ["flag.changed".to_owned()];
        let others = ["flag".to_owned()];
        assert!(Filter::new(&flags, None).passes(LINE));
        assert!(!Filter::new(&others, None).passes(LINE));
        assert!(Filter::new(&[], at("2026-11-21T09:15:02.123Z")).passes(LINE));
        assert!(!Filter::new(&[], at("2026-11-21T09:15:02.124Z")).passes(LINE));
    }

    #[test]
    fn a_foreign_line_is_shown_only_to_who_asks_for_everything() {
        assert!(Filter::new(&[], None).passes(b"a note\n"));
        assert!(!Filter::new(&["x".into()], None).passes(b"a note\n"));
        assert!(!Filter::new(&[], at("2000-01-01T00:00:00Z")).passes(b"a note\n"));
    }
}
