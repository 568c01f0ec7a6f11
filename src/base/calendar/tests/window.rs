//! Windows, on common days and on those on which clocks change.

use chrono::TimeDelta;

use super::super::{Span, TimeOfDay, Weekdays, Window, Zone};
use super::at;

fn window(days: &str, start: &str, length: &str, zone: &str) -> Window {
    let days = Weekdays::parse(days).expect(days);
    let start = TimeOfDay::parse(start).expect(start);
    let zone = Zone::parse(zone).expect(zone);
    Window::new(days, start, Span::parse(length).expect(length), zone).expect("a window")
}

#[test]
fn a_window_is_open_from_its_start_for_its_length() {
    let nights = window("mon-fri", "22:00", "9h", "Europe/London");
    assert_eq!(nights.to_string(), "mon-fri 22:00 for 9h Europe/London");
    for (now, open) in [
        ("2026-11-20T21:59:59", false),
        ("2026-11-20T22:00", true),
        ("2026-11-21T06:59:59", true),
        ("2026-11-21T07:00", false),
        ("2026-11-21T22:00", false),
        ("2026-11-22T23:00", false),
        ("2026-11-23T22:00", true),
    ] {
        assert_eq!(nights.contains(at(now)), open, "{now}");
    }
    let friday = at("2026-11-20T22:00");
    assert_eq!(nights.next_start(friday), Some(at("2026-11-23T22:00")));
    assert_eq!(
        nights.next_start(friday - TimeDelta::nanoseconds(1)),
        Some(friday)
    );
    let open = nights.open_at(at("2026-11-21T03:00"));
    assert_eq!(open, Some((friday, at("2026-11-21T07:00"))));
    let weekly = window("sun", "00:00", "7d", "UTC");
    assert_eq!(
        weekly.next_start(at("2026-11-22T00:00")),
        Some(at("2026-11-29T00:00"))
    );
    assert!(weekly.contains(at("2026-11-28T23:59:59")));
}

#[test]
fn a_window_keeps_its_length_when_clocks_change() {
    let night = window("*", "01:30", "2h", "Europe/Berlin");
    // 01:30 in winter time, then clocks go from 02:00 to 03:00.
    let open = night.open_at(at("2026-03-29T01:00"));
    assert_eq!(open, Some((at("2026-03-29T00:30"), at("2026-03-29T02:30"))));
    // Clocks leave 02:30 out: it opens when they go on, at 03:00 summer time.
    let lost = window("sun", "02:30", "1h", "Europe/Berlin");
    assert_eq!(
        lost.next_start(at("2026-03-28T12:00")),
        Some(at("2026-03-29T01:00"))
    );
    assert!(lost.contains(at("2026-03-29T01:59")) && !lost.contains(at("2026-03-29T02:00")));
    // 02:30 comes twice: it opens once, the first time.
    assert_eq!(
        lost.next_start(at("2026-10-24T12:00")),
        Some(at("2026-10-25T00:30"))
    );
    assert_eq!(
        lost.next_start(at("2026-10-25T00:30")),
        Some(at("2026-11-01T01:30"))
    );
    assert!(!lost.contains(at("2026-10-25T01:30")));
    // Midnight is left out.
    let midnight = window("sun", "00:00", "30m", "America/Santiago");
    assert_eq!(
        midnight.next_start(at("2026-09-05T12:00")),
        Some(at("2026-09-06T04:00"))
    );
    assert!(midnight.contains(at("2026-09-06T04:29")));
}

#[test]
fn parts_of_a_window_are_checked() {
    for (text, shown) in [
        ("*", "*"),
        ("0,6", "sat,sun"),
        ("FRI-SUN", "fri-sun"),
        ("1-5,7", "mon-fri,sun"),
    ] {
        assert_eq!(Weekdays::parse(text).expect(text).to_string(), shown);
    }
    for bad in ["", "mo", "8", "fri-mon"] {
        assert!(Weekdays::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(
        TimeOfDay::parse("07:05").expect("a time").to_string(),
        "07:05"
    );
    for bad in [
        "7:05", "24:00", "12:60", "1200", "+1:00", "é1:0", "12:00:00", "",
    ] {
        assert!(TimeOfDay::parse(bad).is_err(), "{bad}");
    }
    let start = TimeOfDay::parse("07:05").expect("a time");
    for bad in ["59s", "8d"] {
        let length = Span::parse(bad).expect(bad);
        assert!(
            Window::new(Weekdays::ALL, start, length, Zone::UTC).is_err(),
            "{bad}"
        );
    }
}
