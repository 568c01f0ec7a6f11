//! An access log as a source: its lines become rows of counts.
//!
//! A line counts in the minute that it tells. One that claims to be more than five minutes ahead of
//! our clock counts now: a clock that runs ahead must neither lose requests nor fill minutes that
//! have not begun.

use std::ops::ControlFlow;

use chrono::{DateTime, Utc};

use super::format::Format;
use super::instant::{Form, Instants};
use super::line::{Line, Parsed};
use super::ndjson::{Fields, Ndjson};
use super::select::{Selector, Verdict};
use crate::platform::samples::Rows;

/// Seconds that a line may be ahead of our clock; the store of samples takes no more.
const MAX_AHEAD_SECS: i64 = 300;

/// Rows that are gathered before they are handed on: a backlog of a quiet site has a row for every
/// line, and neither memory nor a line of the journal may grow with it. The store writes so many in
/// one line.
const MAX_ROWS: usize = 200;

/// How the lines are written.
#[derive(Debug, Clone)]
enum Reader {
    Nginx(Format),
    Ndjson(Box<Ndjson>),
}

/// What became of lines so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// They counted.
    pub counted: u64,
    /// They were left out by a rule.
    pub excluded: u64,
    /// They were no requests.
    pub other: u64,
    /// They could not be read.
    pub broken: u64,
    /// They claimed to be of the future and counted at once; among `counted`.
    pub ahead: u64,
}

/// Turns lines into rows.
#[derive(Debug, Clone)]
pub struct AccessLog {
    reader: Reader,
    instants: Instants,
    selector: Selector,
    rows: Rows,
    tally: Tally,
    /// The last instant that was made of seconds, and these seconds: most lines share theirs.
    last: (i64, DateTime<Utc>),
}

impl AccessLog {
    /// Lines of a format of nginx.
    pub fn nginx(format: Format, selector: Selector) -> Self {
        let form = format.form();
        Self::of(Reader::Nginx(format), form, selector)
    }

    /// Lines of one JSON object.
    pub fn ndjson(fields: &Fields, selector: Selector) -> Self {
        let reader = Reader::Ndjson(Box::new(Ndjson::new(fields)));
        Self::of(reader, fields.form, selector)
    }

    fn of(reader: Reader, form: Form, selector: Selector) -> Self {
        Self {
            reader,
            instants: Instants::new(form),
            selector,
            rows: Rows::new(),
            tally: Tally::default(),
            last: (0, DateTime::UNIX_EPOCH),
        }
    }

    /// Counts a line; breaks when the rows should be taken first.
    pub fn take(&mut self, line: &[u8], now: DateTime<Utc>) -> ControlFlow<()> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return ControlFlow::Continue(());
        }
        let parsed = match &mut self.reader {
            Reader::Nginx(format) => format
                .read(line, &mut self.instants)
                .map_or(Parsed::Broken, Parsed::Request),
            Reader::Ndjson(reader) => reader.read(line, &mut self.instants),
        };
        match parsed {
            Parsed::Broken => self.tally.broken += 1,
            Parsed::Other => self.tally.other += 1,
            Parsed::Request(request) => {
                let verdict = self.selector.judge(&request);
                let (at, took) = (request.at, micros(&request));
                self.count(at, took, verdict, now);
            }
        }
        if self.rows.len() >= MAX_ROWS {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn count(&mut self, at: Option<i64>, took: Option<u64>, verdict: Verdict, now: DateTime<Utc>) {
        let Verdict::Counted { series, bad } = verdict else {
            self.tally.excluded += 1;
            return;
        };
        self.tally.counted += 1;
        let at = self.instant(at, now);
        for (bit, pick) in self.selector.picks().iter().enumerate() {
            if series >> bit & 1 == 1 {
                self.rows.add(&pick.series, at, 1, u64::from(bad), took);
            }
        }
    }

    /// When a line counts.
    fn instant(&mut self, at: Option<i64>, now: DateTime<Utc>) -> DateTime<Utc> {
        let Some(secs) = at else {
            return now;
        };
        if secs > now.timestamp() + MAX_AHEAD_SECS {
            self.tally.ahead += 1;
            return now;
        }
        if self.last.0 != secs {
            self.last = (secs, DateTime::from_timestamp(secs, 0).unwrap_or(now));
        }
        self.last.1
    }

    /// What has been counted since the last time.
    pub fn take_rows(&mut self) -> Rows {
        std::mem::take(&mut self.rows)
    }

    /// Whether there is nothing to be taken.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether the rows should be taken before more is read.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= MAX_ROWS
    }

    /// What became of lines so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }
}

/// Duration of a request in whole microseconds, rounded.
fn micros(line: &Line<'_>) -> Option<u64> {
    line.took_ns.map(|ns| ns.saturating_add(500) / 1000)
}
