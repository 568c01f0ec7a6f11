//! Properties, by enumeration: the search by fields finds what a look at every minute finds.

use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, Timelike, Utc};

use super::super::{Cadence, Cron, Zone};
use super::at;

/// Zones with a year in which their clocks change in an uncommon way, or often.
const PROPERTIES: [(&str, &str, i32); 14] = [
    ("* * * * *", "Europe/Berlin", 2026),
    ("*/7 * * * *", "Europe/London", 2026),
    ("30 2 * * *", "Europe/Berlin", 2027),
    ("30 1,2,3 * * *", "America/New_York", 2026),
    ("15,45 1-2 * * *", "Australia/Lord_Howe", 2026),
    ("*/10 23,0,1 * * *", "America/Santiago", 2026),
    ("0 0 * * *", "Asia/Beirut", 2026),
    ("30 0 * * SUN", "America/Santiago", 2027),
    ("0 12 31 * *", "Asia/Kathmandu", 2026),
    ("0 */6 13 * FRI", "America/St_Johns", 2026),
    ("59 23 28-31 2,12 *", "Pacific/Auckland", 2028),
    ("*/30 * 30,31 12 *", "Pacific/Apia", 2011),
    ("0 2 */2 * MON", "Africa/Casablanca", 2026),
    ("5 4 * * 1-5", "Africa/Cairo", 2026),
];

/// The numbers that a field of numbers, lists, ranges and steps names, read anew from its text.
fn numbers(field: &str, low: usize, high: usize) -> Vec<bool> {
    let number = |text: &str| match text {
        "SUN" => 0,
        "MON" => 1,
        "FRI" => 5,
        _ => text.parse().expect(text),
    };
    let named = |value: usize, part: &str| {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (number(first), number(last)),
            None if range == "*" => (low, high),
            None => (number(range), number(range)),
        };
        (first..=last).contains(&value) && (value - first).is_multiple_of(number(step))
    };
    let any = |value| field.split(',').any(|part| named(value, part));
    (0..=high).map(any).collect()
}

/// All fire times of a year, found by looking at every minute: one counts if its local time
/// matches and is later than all that clocks have shown before.
fn by_scan(text: &str, zone: Zone, year: i32) -> Vec<DateTime<Utc>> {
    let [minute, hour, day, month, weekday] = text.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{text}")
    };
    let either = !day.starts_with('*') && !weekday.starts_with('*');
    let on_minute = numbers(minute, 0, 59);
    let on_hour = numbers(hour, 0, 23);
    let on_day = numbers(day, 1, 31);
    let in_month = numbers(month, 1, 12);
    let of_week = numbers(weekday, 0, 6);
    let matches = |at: NaiveDateTime| {
        let by_day = on_day[at.day() as usize];
        let by_week = of_week[at.weekday().num_days_from_sunday() as usize];
        on_minute[at.minute() as usize]
            && on_hour[at.hour() as usize]
            && in_month[at.month() as usize]
            && if either {
                by_day || by_week
            } else {
                by_day && by_week
            }
    };
    let mut now = at(&format!("{year}-01-01T00:00"));
    let mut shown = zone.local(now - TimeDelta::minutes(1)).expect("a time");
    let mut fires = Vec::new();
    while now.year() == year {
        let local = zone.local(now).expect("a time");
        if local > shown {
            shown = local;
            if matches(local) {
                fires.push(now);
            }
        }
        now += TimeDelta::minutes(1);
    }
    fires
}

#[test]
fn a_year_agrees_with_a_look_at_every_minute() {
    for (text, zone, year) in PROPERTIES {
        let zone = Zone::parse(zone).expect(zone);
        let cadence = Cadence::cron(Cron::parse(text).expect(text), zone);
        let scanned = by_scan(text, zone, year);
        let (first, last) = (scanned[0], scanned[scanned.len() - 1]);
        let found = cadence.fires_after(first - TimeDelta::seconds(1));
        let found: Vec<_> = found.take_while(|at| *at <= last).collect();
        assert!(found.is_sorted_by(|a, b| a < b), "{text} {zone}");
        assert_eq!(found, scanned, "{text} {zone} {year}");
        let mut now = first;
        while now < last {
            let index = scanned.partition_point(|at| *at <= now);
            assert_eq!(
                cadence.next_after(now),
                Some(scanned[index]),
                "{text} {zone} {now}"
            );
            let before = cadence.last_at_or_before(now);
            assert_eq!(before, Some(scanned[index - 1]), "{text} {zone} {now}");
            now += step(zone, now);
        }
    }
}

/// Closer looks around a change of clocks, never on whole minutes only.
fn step(zone: Zone, now: DateTime<Utc>) -> TimeDelta {
    let near = TimeDelta::hours(14);
    let shown = |at| zone.local(at).expect("a time");
    if shown(now + near) - shown(now - near) == near * 2 {
        TimeDelta::seconds(11 * 3600 + 7 * 60 + 1)
    } else {
        TimeDelta::seconds(4 * 60 + 1)
    }
}
