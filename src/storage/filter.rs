//! Which lines of a journal are asked for. Judged on raw bytes: nothing is parsed that is not
//! shown.

use chrono::{DateTime, Utc};

use super::line;
use crate::base::time;

/// One kind, or all that begin with a word.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// `flag.changed`.
    Exactly(String),
    /// `flag.*`: kept with its dot.
    Prefix(String),
}

/// Kinds and instants asked for.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    kinds: Vec<Kind>,
    /// In the form in which lines carry it: such stamps sort as text.
    since: Option<String>,
    until: Option<String>,
}

impl Filter {
    /// Lines of `kinds` (empty: of every kind; `flag.*`: of all that begin with `flag.`), not
    /// before `since` and not after `until`.
    pub fn new(
        kinds: &[String],
        since: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
    ) -> Self {
        let kind = |text: &String| match text.strip_suffix('*') {
            Some(prefix) => Kind::Prefix(prefix.to_owned()),
            None => Kind::Exactly(text.clone()),
        };
        Self {
            kinds: kinds.iter().map(kind).collect(),
            since: since.map(time::stamp),
            until: until.map(time::stamp),
        }
    }

    /// Whether every line is asked for.
    pub fn is_open(&self) -> bool {
        self.kinds.is_empty() && self.since.is_none() && self.until.is_none()
    }

    /// Whether `line`, end of line included, is asked for. A line that echopilot did not write has
    /// no kind and no instant: it is shown when neither is asked for.
    pub fn passes(&self, line: &[u8]) -> bool {
        if self.is_open() {
            return true;
        }
        let Some(own) = line::parse(line.strip_suffix(b"\n").unwrap_or(line)) else {
            return false;
        };
        let named = |kind: &Kind| match kind {
            Kind::Exactly(name) => name.as_bytes() == own.kind,
            Kind::Prefix(prefix) => own.kind.starts_with(prefix.as_bytes()),
        };
        (self.kinds.is_empty() || self.kinds.iter().any(named))
            && self.since.as_ref().is_none_or(|at| own.ts >= at.as_bytes())
            && self.until.as_ref().is_none_or(|at| own.ts <= at.as_bytes())
    }

    /// Whether `line` is from before the first instant asked for.
    pub fn is_older(&self, line: &[u8]) -> bool {
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

    fn of(kind: &str) -> Filter {
        Filter::new(&[kind.to_owned()], None, None)
    }

    #[test]
    fn kinds_and_instants_are_read_from_raw_bytes() {
        assert!(of("flag.changed").passes(LINE));
        assert!(of("flag.*").passes(LINE));
        assert!(of("*").passes(LINE));
        assert!(!of("flag").passes(LINE));
        assert!(!of("fla.*").passes(LINE));
        let since = |text| Filter::new(&[], at(text), None).passes(LINE);
        assert!(since("2026-11-21T09:15:02.123Z") && !since("2026-11-21T09:15:02.124Z"));
        let until = |text| Filter::new(&[], None, at(text)).passes(LINE);
        assert!(until("2026-11-21T09:15:02.123Z") && !until("2026-11-21T09:15:02.122Z"));
    }

    #[test]
    fn a_foreign_line_is_shown_only_to_who_asks_for_everything() {
        assert!(Filter::default().passes(b"a note\n"));
        assert!(!of("x").passes(b"a note\n"));
        assert!(!Filter::new(&[], at("2000-01-01T00:00:00Z"), None).passes(b"a note\n"));
    }
}
