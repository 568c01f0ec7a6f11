//! Our fire times and systemd's, side by side: around every change of clocks of 2026 and 2027 in
//! some zones, and where months, years and leap years end.
//!
//! systemd is asked from an instant before a change on. Asked from *within* a repeated hour it
//! gives the second of two equal local times, which it leaves out when it comes from before; ours
//! never does (see the header of `base::calendar`). Where midnight is left out it gives up on some
//! schedules ("Resource deadlock avoided"): nothing is defined there, and nothing compared.

use std::collections::BTreeSet;
use std::process::Command;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Timelike, Utc};
use echopilot::base::calendar::{Cadence, Cron, Zone};

/// Fire times compared for each schedule: at `*/20` they reach from 3 h before a change to 3 h
/// after it.
const ITERATIONS: usize = 20;

/// Time before a change from which systemd is asked.
const BEFORE: TimeDelta = TimeDelta::hours(3);

/// Zones and the instants at which their clocks change.
const CHANGES: [(&str, [&str; 4]); 7] = [
    (
        "Europe/Berlin",
        [
            "2026-03-29T01:00",
            "2026-10-25T01:00",
            "2027-03-28T01:00",
            "2027-10-31T01:00",
        ],
    ),
    (
        "Europe/London",
        [
            "2026-03-29T01:00",
            "2026-10-25T01:00",
            "2027-03-28T01:00",
            "2027-10-31T01:00",
        ],
    ),
    (
        "America/New_York",
        [
            "2026-03-08T07:00",
            "2026-11-01T06:00",
            "2027-03-14T07:00",
            "2027-11-07T06:00",
        ],
    ),
    // Half an hour.
    (
        "Australia/Lord_Howe",
        [
            "2026-04-04T15:00",
            "2026-10-03T15:30",
            "2027-04-03T15:00",
            "2027-10-02T15:30",
        ],
    ),
    // Midnight is left out, or the hour before it comes twice.
    (
        "America/Santiago",
        [
            "2026-04-05T03:00",
            "2026-09-06T04:00",
            "2027-04-04T03:00",
            "2027-09-05T04:00",
        ],
    ),
    (
        "Asia/Beirut",
        [
            "2026-03-28T22:00",
            "2026-10-24T21:00",
            "2027-03-27T22:00",
            "2027-10-30T21:00",
        ],
    ),
    // A zone whose offset is no whole hour.
    (
        "America/St_Johns",
        [
            "2026-03-08T05:30",
            "2026-11-01T04:30",
            "2027-03-14T05:30",
            "2027-11-07T04:30",
        ],
    ),
];

/// Schedules asked about at each change: `A` is the hour on the clocks that is left out or comes
/// twice, `B` the next one.
const AROUND: [&str; 14] = [
    "*/20 * * * *",
    "30 * * * *",
    "0 * * * *",
    "0 A * * *",
    "15 A * * *",
    "30 A * * *",
    "15,45 A,B * * *",
    "10-50/20 A-B * * *",
    "0 B * * *",
    "0 */6 * * *",
    "0 0 * * *",
    "30 23 * * *",
    "30 A * * SUN",
    "30 A 8,25-31 3,4,9,10 SUN",
];

/// Schedules asked about from the end of January 2026 on.
const DATES: [(&str, &str); 22] = [
    ("0 0 31 * *", "UTC"),
    ("0 0 30 * *", "UTC"),
    ("0 0 29 2 *", "UTC"),
    ("59 23 28-31 2 *", "UTC"),
    ("0 0 1 1 *", "UTC"),
    ("59 23 31 12 *", "UTC"),
    ("30 0 * * MON", "UTC"),
    ("0 9 * * SUN", "Europe/London"),
    ("0 16 * * FRI", "Europe/London"),
    ("0 4 1 1,4,7,10 *", "UTC"),
    ("0 4 1 */3 *", "Asia/Kathmandu"),
    ("0 0 13 * FRI", "UTC"),
    ("0 12 1,15 * WED", "America/New_York"),
    ("0 0 */2 * MON", "UTC"),
    ("0 0 */30 * *", "UTC"),
    ("5 4 * * 1-5", "Pacific/Auckland"),
    ("0 8-18/5 * * MON-FRI", "Asia/Tokyo"),
    ("7-59/13 23 * 12 *", "UTC"),
    ("0 0 * 2 SUN", "Europe/Berlin"),
    ("30 2 */7 3,10 *", "Europe/Berlin"),
    ("0 0 29 2 */6", "UTC"),
    ("0 0,12 1-7 * 6,0", "Australia/Sydney"),
];

fn at(text: &str) -> DateTime<Utc> {
    format!("{text}:00Z").parse().expect(text)
}

/// What systemd writes for a field: `..` for a range, a start for a step.
fn component(field: &str) -> String {
    let parts = field.split(',').map(|part| match part.strip_prefix("*/") {
        Some(step) => format!("0/{step}"),
        None => part.replace('-', ".."),
    });
    parts.collect::<Vec<_>>().join(",")
}

/// The days of a week by name, each on its own: systemd's ranges of them begin on Monday.
fn weekdays(field: &str) -> String {
    const NAMES: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    let number = |text: &str| {
        let named = NAMES
            .iter()
            .position(|name| name.eq_ignore_ascii_case(text));
        named.unwrap_or_else(|| text.parse().expect(text))
    };
    let mut named = Vec::new();
    // The only step among the cases.
    for part in field.replace("*/6", "0,6").split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first), number(last)),
            None => (number(part), number(part)),
        };
        named.extend((first..=last).map(|day| NAMES[day % 7]));
    }
    named.join(",")
}

/// A schedule as systemd writes it; two, of which either may match, if both days are restricted.
fn on_calendar(cron: &str, zone: &str) -> Vec<String> {
    let fields: Vec<&str> = cron.split(' ').collect();
    let [minute, hour, day, month, weekday] = fields[..] else {
        panic!("`{cron}` has no five fields")
    };
    let days_of = |field: &str| component(field).replace("0/", "1/");
    let write = |weekday: &str, day: &str| {
        let week = if weekday == "*" {
            String::new()
        } else {
            weekdays(weekday) + " "
        };
        let (month, day) = (days_of(month), days_of(day));
        let (hour, minute) = (component(hour), component(minute));
        format!("{week}*-{month}-{day} {hour}:{minute}:00 {zone}")
    };
    if day.starts_with('*') || weekday.starts_with('*') {
        vec![write(weekday, day)]
    } else {
        vec![write("*", day), write(weekday, "*")]
    }
}

/// The next fire times after `base` by systemd, for each expression; none if it gives up.
fn asked(base: DateTime<Utc>, expressions: &[String]) -> Vec<Option<Vec<DateTime<Utc>>>> {
    let output = Command::new("systemd-analyze")
        .args(["calendar", &format!("--iterations={ITERATIONS}")])
        .arg(base.format("--base-time=%Y-%m-%d %H:%M:%S UTC").to_string())
        .args(expressions)
        .env("TZ", "UTC")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("systemd-analyze runs; `tests/run` installs it");
    let talk = String::from_utf8_lossy(&output.stderr);
    let gave_up =
        |expression: &String| talk.contains(&format!("'{expression}': Resource deadlock avoided"));
    let undefined = expressions.iter().filter(|text| gave_up(text)).count();
    assert!(
        output.status.success() || undefined > 0,
        "{expressions:?}: {talk}"
    );
    let mut answers: Vec<Vec<DateTime<Utc>>> = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((label, rest)) = line.trim().split_once(": ") else {
            continue;
        };
        if label == "Normalized form" {
            answers.push(Vec::new());
        } else if label == "Next elapse" || label.starts_with("Iter. #") {
            let time = rest.split_once(' ').map_or(rest, |(_weekday, time)| time);
            let time = NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S UTC").expect(line);
            answers
                .last_mut()
                .expect("a form first")
                .push(time.and_utc());
        }
    }
    assert_eq!(answers.len(), expressions.len() - undefined, "{talk}");
    let mut answers = answers.into_iter();
    let mut answer = |text| if gave_up(text) { None } else { answers.next() };
    expressions.iter().map(&mut answer).collect()
}

/// Compares all of `cases` from `base` on, with one question, and tells all differences.
fn differences(base: DateTime<Utc>, cases: &[(String, &str)]) -> Vec<String> {
    let expressions: Vec<Vec<String>> = cases
        .iter()
        .map(|(cron, zone)| on_calendar(cron, zone))
        .collect();
    let mut answers = asked(base, &expressions.concat()).into_iter();
    let mut faults = Vec::new();
    for ((cron, zone), expressions) in cases.iter().zip(&expressions) {
        let of_each: Vec<_> = answers.by_ref().take(expressions.len()).collect();
        let Some(of_each) = of_each.into_iter().collect::<Option<Vec<_>>>() else {
            let known = ["America/Santiago", "Asia/Beirut"].contains(zone);
            assert!(known, "`{cron}` {zone} after {base}: systemd gave up");
            continue;
        };
        // Of two answers together, only what both have reached is known.
        let reached = of_each.iter().filter_map(|times| times.last()).min();
        let theirs: BTreeSet<_> = of_each.iter().flatten().copied().collect();
        let theirs: Vec<_> = theirs
            .into_iter()
            .filter(|at| Some(at) <= reached)
            .collect();
        let zone = Zone::parse(zone).expect(zone);
        let cadence = Cadence::cron(Cron::parse(cron).expect(cron), zone);
        let ours: Vec<_> = cadence.fires_after(base).take(theirs.len()).collect();
        assert!(theirs.len() > 1, "`{cron}` has something to compare");
        if let Some((we, they)) = ours.iter().zip(&theirs).find(|(we, they)| we != they) {
            faults.push(format!(
                "`{cron}` {zone} after {base}: {we}, systemd {they}"
            ));
        }
        if ours.len() != theirs.len() {
            faults.push(format!("`{cron}` {zone} after {base}: too few"));
        }
    }
    faults
}

#[test]
fn we_fire_when_systemd_fires_around_changes_of_clocks() {
    let mut faults = Vec::new();
    for (zone, instants) in CHANGES {
        let known = Zone::parse(zone).expect(zone);
        for instant in instants.map(at) {
            let shown = |at| known.local(at).expect("a time");
            let (old, new) = (shown(instant - TimeDelta::seconds(1)), shown(instant));
            let change = new - old - TimeDelta::seconds(1);
            assert!(!change.is_zero(), "clocks of {zone} change at {instant}");
            // Left out is what begins when clocks go on, twice comes what they go back to.
            let first = if change < TimeDelta::zero() {
                new
            } else {
                new - change
            };
            let hour = first.hour();
            let (a, b) = (hour.to_string(), ((hour + 1) % 24).to_string());
            let usable = |cron: &&&str| hour < 23 || !cron.contains("A-B");
            let cases: Vec<_> = AROUND
                .iter()
                .filter(usable)
                .map(|cron| (cron.replace('A', &a).replace('B', &b), zone))
                .collect();
            faults.extend(differences(instant - BEFORE, &cases));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn we_fire_when_systemd_fires_at_the_ends_of_months_and_years() {
    let cases = DATES.map(|(cron, zone)| (cron.to_owned(), zone));
    let mut faults = differences(at("2026-01-30T12:00"), &cases);
    faults.extend(differences(at("2027-12-31T23:59"), &cases));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
