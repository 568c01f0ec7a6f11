//! Is there a recent backup, and was one proven by a restore? By the journal `backups` and by the
//! manifests of the folders in `backups/`.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{Around, Notes};
use crate::app::past;

/// Hours after which a nightly backup is late: a day and an evening.
const LATE_HOURS: i64 = 36;
/// Days without a backup after which too much would be lost.
const OLD_DAYS: i64 = 8;
/// Days after which the weekly drill is late.
const DRILL_DAYS: i64 = 9;
/// Bytes of the journal that are looked at: a year of it.
const MOST_OF_JOURNAL: usize = 4 << 20;

pub(super) fn look(around: &Around<'_>, notes: &mut Notes) {
    let lines = past::newest(around.files, around.home, "backups", MOST_OF_JOURNAL);
    let lines = lines.unwrap_or_default();
    let when = |kinds: &[&str]| past::last_of(&lines, kinds).as_ref().and_then(at);
    let newest = when(&["backup.taken"]).max(newest_folder(around));
    let Some(newest) = newest else {
        return notes.warn(
            "there is no backup",
            "echopilot backup --to DIR, on another disk or machine; docs/backup.md",
        );
    };
    let age = around.now - newest;
    let hours = age.num_hours();
    let told = format!("the newest backup is {hours} hours old");
    let cure = "`echopilot task list` tells how the task `backup` went; `echopilot backup` makes \
                one now";
    if age > TimeDelta::days(OLD_DAYS) {
        notes.fail(told.clone(), cure);
    } else if age > TimeDelta::hours(LATE_HOURS) {
        notes.warn(told.clone(), cure);
    }
    if let Some(failed) = when(&["backup.failed"]).filter(|failed| *failed > newest) {
        notes.fail(format!("the backup of {failed} failed"), cure);
    }
    drill(
        around,
        when(&["drill.passed"]),
        when(&["drill.failed"]),
        notes,
    );
    notes.ok_otherwise(format!("{told}, and a restore was proven lately"));
}

fn drill(
    around: &Around<'_>,
    passed: Option<DateTime<Utc>>,
    failed: Option<DateTime<Utc>>,
    notes: &mut Notes,
) {
    let cure = "echopilot task run restore-drill";
    if failed > passed {
        return notes.fail(
            "the latest restore drill failed",
            "echopilot log tail backups",
        );
    }
    match passed.map(|passed| (around.now - passed).num_days()) {
        None => notes.warn("no restore was ever proven", cure),
        Some(days) if days > DRILL_DAYS => {
            notes.warn(format!("the last proven restore is {days} days old"), cure);
        }
        Some(_) => {}
    }
}

fn at(line: &Value) -> Option<DateTime<Utc>> {
    let at = DateTime::parse_from_rfc3339(line.get("ts")?.as_str()?).ok()?;
    Some(at.to_utc())
}

/// When the newest whole backup in the home was begun: a folder with a manifest is whole.
fn newest_folder(around: &Around<'_>) -> Option<DateTime<Utc>> {
    let names = around.files.list(&around.home.join("backups")).ok()?;
    names.iter().rev().find_map(|name| {
        // Only the head is read: a manifest may be large, and `restore` checks all of it.
        let path = around.home.join("backups").join(name).join("manifest.json");
        let mut file = around.files.open_read(&path).ok()?;
        let mut head = [0; HEAD_BYTES];
        let read = file.read(&mut head).ok()?;
        let head = String::from_utf8_lossy(head.get(..read)?).into_owned();
        let (_, rest) = head.split_once("\"taken_at\": \"")?;
        let stamp = rest.split('"').next()?;
        Some(DateTime::parse_from_rfc3339(stamp).ok()?.to_utc())
    })
}

/// Bytes of a manifest that are read: `taken_at` is its third member.
const HEAD_BYTES: usize = 4096;
