//! The instants of a stretch of lines in three numbers: enough to know where a line of a given
//! instant cannot be, although clocks are set back and lines carry the instant of the request or
//! run that caused them, which may have begun long before.

use chrono::DateTime;
use serde::Deserialize;

use super::chain::{Chain, Verdict};
use super::line::OwnLine;
use crate::base::time;

/// Instants are milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::storage) struct Times {
    /// The earliest of all lines.
    pub(in crate::storage) earliest: i64,
    /// The latest of all lines.
    pub(in crate::storage) latest: i64,
    /// How far, at most, a line's instant lies before that of any line in front of it, in
    /// milliseconds. Where a line is earlier than T less this, no line in front of it is of T or
    /// later; where a line is later than T plus this, no line behind it is of T or earlier.
    pub(in crate::storage) back_ms: i64,
}

impl Times {
    /// Of no line at all.
    pub(in crate::storage) const NONE: Self = Self {
        earliest: i64::MAX,
        latest: i64::MIN,
        back_ms: 0,
    };

    /// Takes in the next line.
    pub(in crate::storage) fn take(&mut self, at: i64) {
        self.back_ms = self.back_ms.max(self.latest.saturating_sub(at));
        self.latest = self.latest.max(at);
        self.earliest = self.earliest.min(at);
    }

    /// Takes in the lines that follow.
    pub(in crate::storage) fn go_on(&mut self, next: &Self) {
        if next.earliest <= next.latest {
            let back = self.latest.saturating_sub(next.earliest);
            self.back_ms = self.back_ms.max(next.back_ms).max(back);
            self.latest = self.latest.max(next.latest);
            self.earliest = self.earliest.min(next.earliest);
        }
    }

    /// Appends these times of the segment before to the line that opens the next one.
    pub(in crate::storage) fn push_members(&self, members: &mut Vec<u8>) {
        let at = DateTime::from_timestamp_millis;
        if let (Some(earliest), Some(latest)) = (at(self.earliest), at(self.latest)) {
            members.extend_from_slice(b",\"prev_earliest\":\"");
            time::push_stamp(members, earliest);
            members.extend_from_slice(b"\",\"prev_latest\":\"");
            time::push_stamp(members, latest);
            members.extend_from_slice(format!("\",\"prev_back_ms\":{}", self.back_ms).as_bytes());
        }
    }

    /// The times of the segment `file`, if the line that opens the next one is in `head` and tells
    /// them. A line that does not fit the chain value it names is not believed.
    pub(in crate::storage) fn told(head: &[u8], file: &str) -> Option<Self> {
        let plain = |line: &'_ [u8]| {
            line.strip_suffix(b"\n")
                .and_then(super::line::parse)
                .is_some()
        };
        let lines = super::files::reading::lines_of(head).filter(|line| plain(line));
        let opened = lines
            .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
            .find(|line| {
                super::line::parse(line).is_some_and(|own| own.kind == b"segment.opened")
            })?;
        if Chain::genesis().read(opened) != Verdict::Own {
            return None;
        }
        let told: Told = serde_json::from_slice(opened).ok()?;
        let read = |stamp: &str| time::read_stamp(stamp.as_bytes());
        (told.previous == file).then_some(Self {
            earliest: read(told.prev_earliest)?.timestamp_millis(),
            latest: read(told.prev_latest)?.timestamp_millis(),
            back_ms: told.prev_back_ms,
        })
    }

    /// Takes in the lines of ours in a stretch of whole lines.
    pub(in crate::storage) fn take_all(&mut self, whole: &[u8]) {
        let lines = super::files::reading::lines_of(whole);
        let own = lines.filter_map(|line| super::line::parse(line.strip_suffix(b"\n")?));
        own.filter_map(|own| of(&own)).for_each(|at| self.take(at));
    }

    /// Whether a line within the two instants may be among these.
    pub(in crate::storage) fn may_hold(&self, since: i64, until: i64) -> bool {
        self.earliest <= until && self.latest >= since
    }
}

/// What the line that opens a segment tells of the one before.
#[derive(Deserialize)]
struct Told<'a> {
    previous: &'a str,
    prev_earliest: &'a str,
    prev_latest: &'a str,
    prev_back_ms: i64,
}

/// The instant of a line; `None` where it cannot be read.
pub(in crate::storage) fn of(own: &OwnLine<'_>) -> Option<i64> {
    time::read_stamp(own.ts).map(|at| at.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_numbers_tell_where_an_instant_cannot_be() {
        let mut times = Times::NONE;
        for at in [10, 11, 30, 12, 13, 40] {
            times.take(at);
        }
        assert_eq!((times.earliest, times.latest), (10, 40));
        assert_eq!(times.back_ms, 18);
        assert!(times.may_hold(40, 99) && times.may_hold(0, 10));
        assert!(!times.may_hold(41, 99) && !times.may_hold(0, 9));
        assert!(!Times::NONE.may_hold(0, i64::MAX));
    }
}
