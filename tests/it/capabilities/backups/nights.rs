//! The nightly run, what is kept of it, the weekly drill, and what is told when they do not come.

use std::fs;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::lab::{ends, run, run_well, until_alert, visible, write};
use crate::world::{World, at};

const DAY: Duration = Duration::from_hours(24);

/// Keeps other tasks from running through long spans of the stepped clock.
fn quiet() -> &'static str {
    r#"{ "tasks": { "heartbeat": { "every": "30d" }, "ops-sentinel": { "every": "30d" },
        "slo-guard": { "every": "30d" }, "incident-scan": { "every": "30d" },
        "support-inbox": { "every": "30d" }, "observability-snapshot": { "every": "30d" },
        "auto-governance": { "every": "30d" }, "ledger-sync": { "every": "30d" },
        "replica-sync": { "every": "30d" } } }"#
}

#[test]
fn every_night_one_is_made_that_restores_and_the_old_ones_go() {
    let world = World::at(at("2026-11-21T12:00:00Z"))
        .config("tasks.json", quiet())
        .config(
            "backups.json",
            r#"{ "keep": { "daily": 3, "weekly": 2, "monthly": 2 } }"#,
        )
        .start();
    let folder = world.home().join("backups");
    fs::create_dir_all(folder.join("not-a-backup")).unwrap();
    for night in 0..45 {
        write(&world, night % 2 == 0);
        world.advance(DAY);
    }
    let taken = world.journal_of("backups", "backup.taken");
    let mut other = world.journal_of("task_runs", "task.finished");
    other.retain(|run| run["task"] == "backup" && run["outcome"] != "ok");
    assert_eq!(taken.len(), 45, "one each night; others: {other:?}");
    // 5 January is a Monday: Sunday's backup is its week's.
    let now = visible(&folder);
    assert_eq!(
        now,
        [
            "2026-12-31T120000Z",
            "2027-01-03T120000Z",
            "2027-01-04T120000Z",
            "2027-01-05T120000Z",
            "not-a-backup",
        ]
        .map(str::to_owned)
        .to_vec()
    );
    let removed = world.journal_of("backups", "backup.removed").len();
    assert_eq!(removed, 45 - 4);
    let body = world.get("/api/backups").expect(200);
    let newest = &body["backups"][0];
    assert_eq!(newest["name"], "2027-01-05T120000Z");
    assert_eq!(
        newest["kept_as"],
        json!(["newest", "daily", "weekly", "monthly"])
    );
    assert_eq!(body["backups"].as_array().unwrap().len(), 4);

    // A drill compares it with what there is now, though more was written since.
    write(&world, true);
    let record = run_well(&world, "restore-drill");
    assert_eq!(record["output"]["backup"], "2027-01-05T120000Z");
    assert!(world.get("/api/backups").body["proven"]["lines"].as_u64() > Some(50));
    assert_eq!(visible(&folder), now, "nothing is left of the drill");
    assert!(!folder.join(".drill.tmp").exists());
}

#[test]
fn a_backup_that_does_not_come_is_told_and_never_before_the_first_is_due() {
    let world = World::at(at("2026-11-21T12:00:00Z"))
        .config("backups.json", r#"{ "alert_after_hours": 36 }"#)
        .config("tasks.json", quiet())
        .start();
    world
        .post("/api/tasks/backup/pause", &Value::Null)
        .expect(200);
    let line = |world: &World| {
        let page = world
            .get("/readyz?verbose=1")
            .body
            .as_str()
            .unwrap()
            .to_owned();
        let line = page.lines().find(|line| line.contains("] backups "));
        line.expect("a line").to_owned()
    };
    assert!(
        line(&world).starts_with("[+] backups ok: newest none yet"),
        "{}",
        line(&world)
    );
    world.pass(Duration::from_hours(35), Duration::from_hours(1));
    until_alert(&world, "backup:late", false);
    world.pass(Duration::from_hours(2), Duration::from_mins(10));
    until_alert(&world, "backup:late", true);
    assert!(line(&world).starts_with("[!] backups degraded: no backup was made yet"));

    run_well(&world, "backup");
    world.pass(Duration::from_mins(10), Duration::from_mins(5));
    until_alert(&world, "backup:late", false);
    run_well(&world, "restore-drill");
    let told = line(&world);
    assert!(
        told.contains("newest 10 min, restore proven less than a minute"),
        "{told}"
    );
    let page = world.get("/metrics").body.as_str().unwrap().to_owned();
    for family in [
        "echopilot_backup_age_seconds 600",
        "echopilot_backup_last_success_timestamp_seconds 1",
        "echopilot_restore_drill_last_success_timestamp_seconds 1",
    ] {
        assert!(page.contains(family), "{family}");
    }
    assert_eq!(world.get("/health").body["backups"]["newest_age_secs"], 600);
    world.pass(Duration::from_hours(37), Duration::from_hours(1));
    until_alert(&world, "backup:late", true);
}

#[test]
fn a_drill_finds_a_damaged_backup_and_a_home_that_was_rewritten() {
    let mut world = World::new();
    write(&world, true);
    assert_eq!(
        run(&world, "restore-drill")["outcome"],
        "skipped",
        "none yet"
    );
    run_well(&world, "backup");
    let folder = world.home().join("backups");
    let backup = folder.join(&visible(&folder)[0]);
    let file = backup.join("logs/feature_flags.ndjson");
    let good = fs::read(&file).unwrap();
    let mut bad = good.clone();
    bad[40] ^= 1;
    fs::write(&file, bad).unwrap();
    let record = run(&world, "restore-drill");
    assert_eq!(record["outcome"], "failed", "{record}");
    world.pass(Duration::from_mins(6), Duration::from_mins(1));
    until_alert(&world, "backup:drill", true);
    fs::write(&file, &good).unwrap();
    run_well(&world, "restore-drill");
    world.pass(Duration::from_mins(6), Duration::from_mins(1));
    until_alert(&world, "backup:drill", false);

    // The same number of lines with a chain that fits: only the backup knows that it was others.
    world.stop();
    let log = world.home().join("logs/feature_flags.ndjson");
    fs::remove_file(&log).unwrap();
    let world = world.start();
    for value in [true, false, true, false] {
        write(&world, value);
    }
    let record = run(&world, "restore-drill");
    assert_eq!(record["outcome"], "failed", "{record}");
    assert!(
        record["error"].as_str().unwrap().contains("feature_flags"),
        "{record}"
    );
    let last = world.journal_of("backups", "drill.failed").pop().unwrap();
    assert!(last["why"].as_str().unwrap().contains("the home"), "{last}");
}

#[test]
fn old_lines_are_read_for_ever() {
    let golden = include_str!("../../../fixtures/logs/backups.ndjson");
    let world = World::at(at("2026-11-22T12:00:00Z"));
    fs::create_dir_all(world.home().join("logs")).unwrap();
    fs::write(world.home().join("logs/backups.ndjson"), golden).unwrap();
    world.save(
        "backups.json",
        r#"{ "replicas": [{ "name": "nas", "folder": "/nowhere/nas" }] }"#,
    );
    let world = world.start();
    let body = world.get("/api/backups").expect(200);
    assert_eq!(body["proven"]["backup"], "2026-11-22T024000Z");
    assert_eq!(body["proven"]["lines"], 812);
    assert_eq!(body["drill_failed"], Value::Null);
    let nas = &body["replicas"][0];
    assert_eq!(nas["last"]["mended"], json!(["logs/flags.ndjson"]));
    assert_eq!(nas["lag_secs"], TimeDelta::minutes(90).num_seconds());
    assert_eq!(nas["failed"]["why"], "the disk is full");
    let _ends = ends(world.home());
}
