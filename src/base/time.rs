//! Instants as they are written in files: UTC, RFC 3339, whole milliseconds.

use chrono::{DateTime, Datelike, Timelike, Utc};
use serde::{Serialize as _, Serializer};

/// Bytes of a written instant: `2026-11-21T09:15:02.123Z`.
pub const STAMP_LEN: usize = 24;

/// Appends `at` as `2026-11-21T09:15:02.123Z`; years outside 0..=9999 are clamped,
/// which keeps the width.
pub fn push_stamp(out: &mut Vec<u8>, at: DateTime<Utc>) {
    let year = u32::try_from(at.year().clamp(0, 9999)).unwrap_or(0);
    digits(out, year, 4);
    for (mark, value) in [(b'-', at.month()), (b'-', at.day()), (b'T', at.hour())] {
        out.push(mark);
        digits(out, value, 2);
    }
    for value in [at.minute(), at.second()] {
        out.push(b':');
        digits(out, value, 2);
    }
    out.push(b'.');
    // A leap second is written as the last millisecond before it: the width must not change.
    digits(out, at.timestamp_subsec_millis().min(999), 3);
    out.push(b'Z');
}

/// `at` as text, in the form of [`push_stamp`].
pub fn stamp(at: DateTime<Utc>) -> String {
    let mut out = Vec::with_capacity(STAMP_LEN);
    push_stamp(&mut out, at);
    String::from_utf8(out).unwrap_or_default()
}

/// For `serialize_with`: an instant in the form of [`push_stamp`].
pub fn as_stamp<S: Serializer>(at: &DateTime<Utc>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&stamp(*at))
}

/// For `serialize_with`: the same, or nothing.
pub fn as_maybe_stamp<S: Serializer>(at: &Option<DateTime<Utc>>, to: S) -> Result<S::Ok, S::Error> {
    at.map(stamp).serialize(to)
}

fn digits(out: &mut Vec<u8>, value: u32, width: u32) {
    for place in (0..width).rev() {
        out.push(b'0' + (value / 10_u32.pow(place) % 10) as u8);
    }
}
