//! Schedules, cadences and windows as their users see them. What systemd says of the same is asked
//! in `tests/it/platform/calendar.rs`.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Cadence, Fires};

mod refused;
mod window;
mod year;

fn at(text: &str) -> DateTime<Utc> {
    let full = if text.len() == 16 {
        format!("{text}:00Z")
    } else {
        format!("{text}Z")
    };
    full.parse().expect(text)
}

fn cadence(text: &str) -> Cadence {
    Cadence::parse(text).unwrap_or_else(|error| panic!("{text}: {error}; {}", error.hint))
}

fn next(text: &str, after: &str, count: usize) -> Vec<String> {
    let cadence = cadence(text);
    let fires = cadence.fires_after(at(after)).take(count);
    fires
        .map(|at| at.format("%Y-%m-%dT%H:%M").to_string())
        .collect()
}

#[test]
fn a_schedule_fires_at_what_its_fields_say() {
    let cases: [(&str, &str, &[&str]); 12] = [
        (
            "10 1 * * *",
            "2026-11-21T01:10",
            &["2026-11-22T01:10", "2026-11-23T01:10"],
        ),
        ("10 1 * * *", "2026-11-21T01:09:59", &["2026-11-21T01:10"]),
        (
            "30 0 * * MON",
            "2026-11-21T00:00",
            &["2026-11-23T00:30", "2026-11-30T00:30"],
        ),
        ("0 9 * * 7", "2026-11-21T00:00", &["2026-11-22T09:00"]),
        (
            "0 4 1 JAN,APR,JUL,OCT *",
            "2026-11-21T00:00",
            &["2027-01-01T04:00", "2027-04-01T04:00"],
        ),
        (
            "0 0 29 2 *",
            "2026-11-21T00:00",
            &["2028-02-29T00:00", "2032-02-29T00:00"],
        ),
        (
            "59 23 31 * *",
            "2026-11-30T00:00",
            &["2026-12-31T23:59", "2027-01-31T23:59"],
        ),
        (
            "50-59/5,1 8-18/5 * * *",
            "2026-11-21T08:01",
            &["2026-11-21T08:50", "2026-11-21T08:55", "2026-11-21T13:01"],
        ),
        (
            "0 0 13 * FRI",
            "2026-11-01T00:00",
            &["2026-11-06T00:00", "2026-11-13T00:00"],
        ),
        (
            "0 0 */2 * FRI",
            "2026-11-01T00:00",
            &["2026-11-13T00:00", "2026-11-27T00:00"],
        ),
        (
            "0 0 * * fri-sun",
            "2026-11-16T00:00",
            &["2026-11-20T00:00", "2026-11-21T00:00"],
        ),
        ("@weekly", "2026-11-16T00:00", &["2026-11-22T00:00"]),
    ];
    for (text, after, expected) in cases {
        assert_eq!(
            next(text, after, expected.len()),
            expected,
            "{text} after {after}"
        );
    }
}

#[test]
fn far_leap_days_are_found() {
    // Saturdays and Sundays; 2100 has no leap day.
    let weekends = next("0 0 29 2 */6", "2088-03-01T00:00", 2);
    assert_eq!(weekends, ["2116-02-29T00:00", "2128-02-29T00:00"]);
}

#[test]
fn a_cadence_reads_back_as_it_was_written() {
    for text in [
        "60s",
        "90m",
        "10 1 * * *",
        "@daily",
        "*/5 0-6,22 1 JAN mon Europe/Berlin",
        "@weekly America/New_York",
    ] {
        let read = cadence(text);
        assert_eq!(cadence(&read.to_string()), read, "{text}");
    }
    assert_eq!(
        cadence(" 0   9 * *  SUN   Europe/London ").to_string(),
        "0 9 * * SUN Europe/London"
    );
    assert_eq!(cadence("0 9 * * SUN UTC").to_string(), "0 9 * * SUN");
    assert_eq!(cadence("60s").to_string(), "1m");
    for (bad, hint) in [
        ("0s", "a schedule such as"),
        ("367d", "a schedule such as"),
        ("5", "write 5s"),
        ("0 9 * * SUN Europe/Londn", "did you mean `Europe/London`?"),
        ("@daily London", "did you mean `Europe/London`?"),
        ("0 0 9 * * SUN", "no field for seconds"),
        ("0 0 9 * * *", "no field for seconds"),
    ] {
        let error = Cadence::parse(bad).expect_err(bad);
        assert!(error.hint.contains(hint), "{bad}: {}", error.hint);
    }
}

#[test]
fn intervals_fire_on_the_grid_since_1970() {
    assert_eq!(
        next("7m", "1970-01-01T00:00", 2),
        ["1970-01-01T00:07", "1970-01-01T00:14"]
    );
    assert_eq!(
        next("6h", "2026-11-21T12:00", 2),
        ["2026-11-21T18:00", "2026-11-22T00:00"]
    );
    assert_eq!(next("6h", "1969-12-31T23:59", 1), ["1970-01-01T00:00"]);
    let six = cadence("6h");
    assert_eq!(
        six.last_at_or_before(at("2026-11-21T12:00")),
        Some(at("2026-11-21T12:00"))
    );
    assert_eq!(
        six.last_at_or_before(at("2026-11-21T11:59:59")),
        Some(at("2026-11-21T06:00"))
    );
    let just_before = at("2026-11-21T12:00") - TimeDelta::milliseconds(1);
    assert_eq!(six.next_after(just_before), Some(at("2026-11-21T12:00")));
    for end in [DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MIN_UTC] {
        for cadence in [
            cadence("366d"),
            cadence("0 0 29 2 * Asia/Tokyo"),
            cadence("1s"),
        ] {
            // No panic at the ends of the calendar.
            let _: (Option<_>, Option<_>) =
                (cadence.next_after(end), cadence.last_at_or_before(end));
        }
    }
}

#[test]
fn a_period_is_told_by_its_newest_fires_and_their_count() {
    let of = |text: &str, after: &str, until: &str, most| -> Fires {
        cadence(text).fires_between(at(after), at(until), most)
    };
    let day = of("0 * * * *", "2026-11-21T00:00", "2026-11-21T05:00", 2);
    assert_eq!(day.newest, [at("2026-11-21T04:00"), at("2026-11-21T05:00")]);
    assert_eq!((day.count, day.and_more), (5, false));
    let grid = of("1h", "2026-11-21T00:00", "2026-11-21T05:00", 2);
    assert_eq!(grid, day);
    let long = of("* * * * *", "2026-01-01T00:00", "2026-02-01T00:00", 3);
    assert_eq!(
        (long.newest.len(), long.count, long.and_more),
        (3, 10_080, true)
    );
    let long = of("1s", "2026-01-01T00:00", "2027-01-01T00:00", 3);
    assert_eq!(
        (long.newest.len(), long.count, long.and_more),
        (3, 31_536_000, false)
    );
    let none = of("1h", "2026-11-21T05:00", "2026-11-21T05:00", 2);
    assert_eq!(none, Fires::default());
    assert_eq!(
        of("1h", "2026-11-21T06:00", "2026-11-21T05:00", 2),
        Fires::default()
    );
}
