//! Spans and instants as people write them on a command line.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// `90s`, `15m`, `2h`, `7d`; a number without a unit is refused, for it could be any.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    let seconds_per_unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return None,
    };
    Some(Duration::from_secs(number.checked_mul(seconds_per_unit)?))
}

/// A span back from `now`, or an instant: `2h`, `2026-11-21T09:15:00Z`, `2026-11-21`.
pub(super) fn instant(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if let Some(span) = parse(text) {
        return now.checked_sub_signed(chrono::TimeDelta::from_std(span).ok()?);
    }
    let whole = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_rfc3339(&format!("{text}T00:00:00Z")));
    whole.ok().map(|at| at.with_timezone(&Utc))
}

#[test]
fn spans_have_a_number_and_a_unit() {
    assert_eq!(parse("90s"), Some(Duration::from_secs(90)));
    assert_eq!(parse("2h"), Some(Duration::from_hours(2)));
    for bad in ["", "h", "90", "-1h", "1y", "99999999999999999999d", "1é"] {
        assert_eq!(parse(bad), None, "{bad}");
    }
}

#[test]
fn an_instant_is_a_span_back_or_a_date() {
    let now = DateTime::UNIX_EPOCH + chrono::TimeDelta::days(10);
    assert_eq!(instant("2h", now), Some(now - chrono::TimeDelta::hours(2)));
    assert_eq!(instant("1970-01-11", now), Some(now));
    assert_eq!(instant("1970-01-11T01:00:00+01:00", now), Some(now));
    assert_eq!(instant("yesterday", now), None);
}
