//! What is written to `logs/samples.ndjson` and `logs/samples_tiers.ndjson`. Version 1; old lines
//! stay readable for ever.
//!
//! `samples.counted {source, position?, id?, part?, parts?, rows: [{minute, series, total, bad,
//! max_us?, buckets?}]}`; `samples.hour_closed` and `samples.day_closed {through, until, part?,
//! parts?, rows: [{start, series, source, total, bad, max_us?, buckets?}]}`. Rows are additive: a
//! reader adds all of them. A group that is larger than one line is several with `part` of
//! `parts`, one behind the other; it counts only if all of them are there.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::histogram::Histogram;
use super::rows::{Counts, Row, minute_of, minute_start};
use crate::storage::lines::Lines;

/// Name of the journal of minutes.
pub const STREAM: &str = "samples";
/// Name of the journal of hours and days.
pub const TIERS: &str = "samples_tiers";
/// Kind of a line of minutes.
pub(super) const COUNTED: &str = "samples.counted";
/// Kind of a line of hours.
pub(super) const HOUR_CLOSED: &str = "samples.hour_closed";
/// Kind of a line of days.
pub(super) const DAY_CLOSED: &str = "samples.day_closed";

/// Rows of a line at most, so that a person can still look at one (our own choice).
const ROWS_PER_LINE: usize = 200;
/// Bytes of rows of a line at most, unless a single row is larger (our own choice).
const BYTES_PER_LINE: usize = 256 << 10;

#[derive(Serialize)]
struct RowOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    minute: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    series: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    total: u64,
    bad: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_us: Option<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    buckets: BTreeMap<u16, u64>,
}

/// Rows as text, not yet in lines.
#[derive(Debug, Default)]
pub(super) struct Written {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Written {
    /// Adds a row of minutes.
    pub(super) fn minute(&mut self, row: &Row) {
        self.push(row, None);
    }

    /// Adds a row of an hour or a day, which begins with the row's minute.
    pub(super) fn tier(&mut self, row: &Row, source: &str) {
        self.push(row, Some(source));
    }

    fn push(&mut self, row: &Row, source: Option<&str>) {
        let begins = minute_start(row.minute).to_rfc3339_opts(SecondsFormat::Secs, true);
        let (minute, start) = match source {
            None => (Some(begins), None),
            Some(_) => (None, Some(begins)),
        };
        let out = RowOut {
            minute,
            start,
            series: &row.series,
            source,
            total: row.counts.total,
            bad: row.counts.bad,
            max_us: row.durations.max(),
            buckets: row.durations.buckets().collect(),
        };
        // A struct of strings and numbers always serialises.
        let text = serde_json::to_vec(&out).unwrap_or_default();
        self.text.extend_from_slice(&text);
        self.ends.push(self.text.len());
    }

    /// The rows in as many pieces as lines are needed; at least one, which may be empty.
    pub(super) fn pieces(&self) -> Vec<Vec<&[u8]>> {
        let (mut pieces, mut piece, mut bytes, mut start) = (Vec::new(), Vec::new(), 0, 0);
        for end in &self.ends {
            let row = self.text.get(start..*end).unwrap_or_default();
            start = *end;
            let full = piece.len() >= ROWS_PER_LINE || bytes + row.len() > BYTES_PER_LINE;
            if full && !piece.is_empty() {
                pieces.push(std::mem::take(&mut piece));
                bytes = 0;
            }
            bytes += row.len();
            piece.push(row);
        }
        pieces.push(piece);
        pieces
    }
}

/// Appends `"name":value,` of a value that always serialises.
fn member(out: &mut Vec<u8>, name: &str, value: &impl Serialize) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(&serde_json::to_vec(value).unwrap_or_default());
    out.push(b',');
}

fn push_rows(out: &mut Vec<u8>, part: usize, parts: usize, rows: &[&[u8]]) {
    if parts > 1 {
        member(out, "part", &part);
        member(out, "parts", &parts);
    }
    out.extend_from_slice(b"\"rows\":[");
    out.extend_from_slice(&rows.join(&b','));
    out.push(b']');
}

/// The lines of one commit.
pub(super) fn counted<'a>(
    at: DateTime<Utc>,
    source: &str,
    rows: impl Iterator<Item = &'a Row>,
    position: Option<&Value>,
    id: Option<&str>,
) -> Lines {
    let mut written = Written::default();
    rows.for_each(|row| written.minute(row));
    let (mut lines, pieces) = (Lines::new(), written.pieces());
    for (index, rows) in pieces.iter().enumerate() {
        lines.push(COUNTED, at, |out| {
            member(out, "source", &source);
            if let Some(position) = position {
                member(out, "position", position);
            }
            if let Some(id) = id {
                member(out, "id", &id);
            }
            push_rows(out, index + 1, pieces.len(), rows);
        });
    }
    lines
}

/// The lines of one closing: hours, then days.
pub(super) fn closed(
    at: DateTime<Utc>,
    (through, until): (u64, u32),
    hours: &Written,
    days: &Written,
) -> Lines {
    let until = minute_start(until).to_rfc3339_opts(SecondsFormat::Secs, true);
    let hours = hours.pieces().into_iter().map(|rows| (HOUR_CLOSED, rows));
    let days = days.pieces().into_iter().map(|rows| (DAY_CLOSED, rows));
    let mut pieces: Vec<_> = hours.chain(days).collect();
    pieces.retain(|(_, rows)| !rows.is_empty());
    let mut lines = Lines::new();
    for (index, (kind, rows)) in pieces.iter().enumerate() {
        lines.push(kind, at, |out| {
            member(out, "through", &through);
            member(out, "until", &until);
            push_rows(out, index + 1, pieces.len(), rows);
        });
    }
    lines
}

/// A row as it is read back.
#[derive(Debug, Deserialize)]
pub(super) struct RowIn<'a> {
    #[serde(alias = "start")]
    minute: DateTime<Utc>,
    #[serde(borrow)]
    series: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) source: Option<Cow<'a, str>>,
    total: u64,
    bad: u64,
    #[serde(default)]
    max_us: u64,
    #[serde(default)]
    buckets: BTreeMap<u16, u64>,
}

impl RowIn<'_> {
    /// The row it tells of.
    pub(super) fn row(&self) -> Row {
        let mut durations = Histogram::default();
        for (bucket, n) in &self.buckets {
            durations.add_bucket(*bucket, *n);
        }
        durations.raise_max(self.max_us);
        Row {
            minute: minute_of(self.minute),
            series: self.series.as_ref().into(),
            counts: Counts {
                total: self.total,
                bad: self.bad,
            },
            durations,
        }
    }
}

/// A line of either journal as it is read back.
#[derive(Debug, Deserialize)]
pub(super) struct LineIn<'a> {
    pub(super) seq: u64,
    #[serde(borrow, default)]
    pub(super) source: Cow<'a, str>,
    #[serde(default)]
    pub(super) position: Option<Value>,
    #[serde(borrow, default)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) through: u64,
    #[serde(default)]
    pub(super) until: Option<DateTime<Utc>>,
    #[serde(default = "one")]
    pub(super) part: u32,
    #[serde(default = "one")]
    pub(super) parts: u32,
    #[serde(borrow)]
    pub(super) rows: Vec<RowIn<'a>>,
}

const fn one() -> u32 {
    1
}

/// Which lines of a journal stand together as one group: all its parts, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Parts {
    next: u32,
    of: u32,
}

/// What a line is to its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It begins a group; what was there of another is void.
    First,
    /// It goes on with the group.
    Next,
    /// It belongs to no group that has begun.
    Stray,
}

impl Parts {
    /// Where a line stands, and whether its group is whole with it.
    pub(super) fn take(&mut self, part: u32, parts: u32) -> (Place, bool) {
        let place = if part == 1 {
            Place::First
        } else if part == self.next && parts == self.of {
            Place::Next
        } else {
            Place::Stray
        };
        let whole = place != Place::Stray && part >= parts;
        (self.next, self.of) = match (place, whole) {
            (Place::Stray, _) | (_, true) => (0, 0),
            _ => (part + 1, parts),
        };
        (place, whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_counts_only_with_all_its_parts_in_order() {
        let mut parts = Parts::default();
        assert_eq!(parts.take(1, 1), (Place::First, true));
        assert_eq!(parts.take(1, 3), (Place::First, false));
        assert_eq!(parts.take(2, 3), (Place::Next, false));
        assert_eq!(parts.take(3, 3), (Place::Next, true));
        assert_eq!(parts.take(3, 3), (Place::Stray, false));
        assert_eq!(parts.take(1, 3), (Place::First, false));
        // Torn here; the next group begins anew.
        assert_eq!(parts.take(1, 2), (Place::First, false));
        assert_eq!(parts.take(2, 2), (Place::Next, true));
        assert_eq!(parts.take(2, 2), (Place::Stray, false));
    }

    #[test]
    fn many_rows_make_several_lines() {
        let row = |minute: u32| Row {
            minute,
            series: "s".into(),
            counts: Counts { total: 1, bad: 0 },
            durations: Histogram::default(),
        };
        let mut written = Written::default();
        (0..450).for_each(|minute| written.minute(&row(minute)));
        let sizes: Vec<_> = written.pieces().iter().map(Vec::len).collect();
        assert_eq!(sizes, [200, 200, 50]);
        assert_eq!(Written::default().pieces(), vec![Vec::<&[u8]>::new()]);
    }
}
