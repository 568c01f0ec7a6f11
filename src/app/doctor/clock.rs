//! Does the clock tell the truth: a year that can be, held to the world's time, no steps lately;
//! and which time zones are built in.

use chrono::{DateTime, Datelike, TimeDelta};

use super::{Around, Notes};
use crate::app::past;
use crate::seams::host::ClockSync;

/// Years that can be: this program is not older, and no unit is to be trusted for longer.
const YEARS: std::ops::RangeInclusive<i32> = 2025..=2099;
/// Days for which a step of the clock is told.
const STEPS_DAYS: i64 = 7;
/// Bytes of the journal `storage` that are looked at: some 5,000 lines.
const MOST_OF_STORAGE: usize = 1 << 20;
/// Where Debian says which time zone data it has.
const SYSTEM_ZONES: &str = "usr/share/zoneinfo/tzdata.zi";

pub(super) fn look(around: &Around<'_>, notes: &mut Notes) {
    let cure = "sudo timedatectl set-ntp true; `timedatectl` tells how it is";
    let year = around.now.year();
    if !YEARS.contains(&year) {
        notes.fail(format!("the clock says it is the year {year}"), cure);
    }
    match around.reading.clock {
        ClockSync::Unsynced => notes.warn("nothing holds the clock to the world's time", cure),
        ClockSync::Unknown => notes.skip(
            "nobody here can say whether the clock is held to the world's time: no timedatectl \
             and no mark of systemd-timesyncd",
        ),
        ClockSync::Synced => {}
    }
    steps(around, notes);
    let ours = chrono_tz::IANA_TZDB_VERSION;
    let theirs = around.machine(SYSTEM_ZONES);
    let theirs = theirs.as_deref().and_then(|text| {
        let first = text.lines().next()?;
        first.strip_prefix("# version ")
    });
    let theirs = match theirs {
        Some(version) if version != ours => format!(", the system has {version}"),
        _ => String::new(),
    };
    notes.ok_otherwise(format!(
        "it can be right; time zones {ours} are built in{theirs}"
    ));
}

/// Steps that the daemon noticed lately: schedules and windows were cut or stretched then.
fn steps(around: &Around<'_>, notes: &mut Notes) {
    let since = around.now - TimeDelta::days(STEPS_DAYS);
    let lines = past::newest(around.files, around.home, "storage", MOST_OF_STORAGE);
    let lines = lines.unwrap_or_default();
    let stepped = lines.iter().filter_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let at = DateTime::parse_from_rfc3339(line.get("ts")?.as_str()?).ok()?;
        let is_step = line.get("kind")? == "clock.stepped" && at >= since;
        is_step.then(|| (at, line.get("by_ms").map(ToString::to_string)))
    });
    let stepped: Vec<_> = stepped.collect();
    if let Some((at, by)) = stepped.last() {
        let by = by.clone().unwrap_or_default();
        let (by, count) = (by.trim_matches('"'), stepped.len());
        notes.warn(
            format!(
                "the clock stepped {count} times in {STEPS_DAYS} days, last at {} by {by} ms",
                at.format("%Y-%m-%dT%H:%M:%SZ")
            ),
            "let one program alone set the clock (`timedatectl`, chrony), and slew it",
        );
    }
}
