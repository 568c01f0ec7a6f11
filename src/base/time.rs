//! Instants as they are written in files: UTC, RFC 3339, whole milliseconds.

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};
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

/// The instant that `stamp` tells, in the form of [`push_stamp`]; `None` for anything else.
pub fn read_stamp(stamp: &[u8]) -> Option<DateTime<Utc>> {
    let stamp: &[u8; STAMP_LEN] = stamp.try_into().ok()?;
    for (place, mark) in [
        (4, b'-'),
        (7, b'-'),
        (10, b'T'),
        (13, b':'),
        (16, b':'),
        (19, b'.'),
    ] {
        if stamp.get(place) != Some(&mark) {
            return None;
        }
    }
    if stamp.last() != Some(&b'Z') {
        return None;
    }
    let number = |from: usize, width: usize| {
        let text = stamp.get(from..from + width)?;
        text.iter().try_fold(0_u32, |sum, byte| {
            byte.is_ascii_digit()
                .then(|| sum * 10 + u32::from(byte - b'0'))
        })
    };
    let year = i32::try_from(number(0, 4)?).ok()?;
    let day = NaiveDate::from_ymd_opt(year, number(5, 2)?, number(8, 2)?)?;
    let at = day.and_hms_milli_opt(
        number(11, 2)?,
        number(14, 2)?,
        number(17, 2)?,
        number(20, 3)?,
    );
    at.map(|at| at.and_utc())
}

fn digits(out: &mut Vec<u8>, value: u32, width: u32) {
    for place in (0..width).rev() {
        out.push(b'0' + (value / 10_u32.pow(place) % 10) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back_and_nothing_else_is() {
        for text in [
            "2026-11-21T09:15:02.123Z",
            "0000-01-01T00:00:00.000Z",
            "9999-12-31T23:59:59.999Z",
            "2024-02-29T12:00:00.001Z",
        ] {
            let at = read_stamp(text.as_bytes()).unwrap();
            assert_eq!(stamp(at), text);
            assert_eq!(Some(at), text.parse().ok());
        }
        for text in [
            "2026-11-21T09:15:02Z",
            "2026-02-29T09:15:02.123Z",
            "2026-11-21 09:15:02.123Z",
            "2026-11-21T09:15:02.123z",
            "2026-11-2xT09:15:02.123Z",
            "2026-11-21T24:15:02.123Z",
        ] {
            assert_eq!(read_stamp(text.as_bytes()), None, "{text}");
        }
    }
}
