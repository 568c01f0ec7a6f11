//! What must not be lost or mixed up: another history under the same names, folders that are not
//! there, clocks that were set, what a kill left.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use echopilot::platform::config::HISTORY;
use echopilot::seams::clock::SystemClock;
use echopilot::seams::files::{FaultyFiles, RealFiles, Space};
use echopilot::storage::backup::sync::{FolderTarget, Options, Synced, sync};
use echopilot::storage::backup::{BackupError, drill, newest, take};
use serde_json::json;

use super::lab::{run, run_well, until_alert, visible, write};
use crate::world::World;

fn synced(home: &Path, to: &Path, is_known: bool) -> Result<Synced, BackupError> {
    let options = Options {
        keeps_removed: true,
        reads_back: true,
        is_known,
    };
    let mut target = FolderTarget::open(&RealFiles, to, home, is_known)?;
    sync(&RealFiles, &SystemClock::new(), home, &mut target, options)
}

fn put(home: &Path, file: &str, text: &str) {
    let path = home.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A home with one sealed segment and nothing after it.
fn sealed_home(home: &Path, last_h: &str) -> String {
    let line = |seq: u32, h: &str| {
        let ts = "2026-11-21T09:15:02.123Z";
        format!("{{\"seq\":{seq},\"ts\":\"{ts}\",\"kind\":\"made.up\",\"h\":\"{h}\"}}\n")
    };
    let file = format!("logs/made.{:020}-{:020}.ndjson", 1, 2);
    let text = line(1, "1111111111111111") + &line(2, last_h);
    put(home, &file, &text);
    put(home, "logs/made.ndjson", "");
    put(home, "configs/flags.json", "{}");
    file
}

#[test]
fn segments_of_another_history_with_the_same_numbers_are_not_taken_for_the_same() {
    let outside = tempfile::tempdir().unwrap();
    let (home, to) = (outside.path().join("home"), outside.path().join("nas"));
    let file = sealed_home(&home, "2222222222222222");
    synced(&home, &to, false).unwrap();
    synced(&home, &to, true).unwrap();
    let before = fs::read(to.join(&file)).unwrap();

    sealed_home(&home, "3333333333333333");
    let error = synced(&home, &to, true).unwrap_err();
    assert!(matches!(error, BackupError::Diverged { .. }), "{error}");
    assert_eq!(fs::read(to.join(&file)).unwrap(), before);
}

#[test]
fn a_replica_keeps_documents_whose_folders_are_gone_from_the_home() {
    let outside = tempfile::tempdir().unwrap();
    let (home, to) = (outside.path().join("home"), outside.path().join("nas"));
    sealed_home(&home, "2222222222222222");
    let revision = "backups/configs/flags/0123456789abcdef.json";
    put(&home, revision, "{}");
    synced(&home, &to, false).unwrap();
    // To make room, or because a disk is not mounted.
    fs::remove_dir_all(home.join("backups")).unwrap();
    fs::remove_dir_all(home.join("configs")).unwrap();
    let synced = synced(&home, &to, true).unwrap();
    assert!(synced.lost.is_empty(), "{synced:?}");
    for file in [revision, "configs/flags.json"] {
        assert!(to.join(file).exists(), "{file}");
    }
}

#[test]
fn a_clock_that_was_ahead_takes_no_backup_away_and_hides_no_late_one() {
    let keep = r#"{ "keep": { "daily": 1, "weekly": 0, "monthly": 0 } }"#;
    let world = World::with_config("backups.json", keep).start();
    let folder = world.home().join("backups");
    write(&world, true);
    world.step_wall(TimeDelta::days(400));
    run_well(&world, "backup");
    world.step_wall(TimeDelta::days(-400));
    run_well(&world, "backup");
    let names = visible(&folder);
    assert_eq!(
        names.len(),
        2,
        "the one that was just made is kept: {names:?}"
    );
    let page = world.get("/api/backups").expect(200);
    let age = page["newest_age_secs"].as_i64().unwrap();
    assert!(age < 60, "{page}");

    world
        .post("/api/tasks/backup/pause", &json!(null))
        .expect(200);
    world.pass(Duration::from_hours(38), Duration::from_hours(1));
    until_alert(&world, "backup:late", true);
}

#[test]
fn backups_are_not_made_in_the_place_of_a_disk_that_is_not_mounted() {
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("disk");
    let text = json!({ "folder": folder }).to_string();
    let world = World::with_config("backups.json", &text).start();
    run_well(&world, "backup");
    let elsewhere = outside.path().join("unmounted");
    fs::rename(&folder, &elsewhere).unwrap();
    fs::create_dir(&folder).unwrap();
    let record = run(&world, "backup");
    assert_eq!(record["outcome"], "failed", "{record}");
    let error = record["error"].as_str().unwrap();
    assert!(error.contains("held backups and holds none"), "{record}");
    assert!(visible(&folder).is_empty(), "nothing is written there");

    fs::remove_dir(&folder).unwrap();
    fs::rename(&elsewhere, &folder).unwrap();
    world.advance(Duration::from_mins(1));
    run_well(&world, "backup");
}

#[test]
fn what_a_killed_drill_left_does_not_keep_the_next_one_from_its_room() {
    let world = World::new();
    write(&world, true);
    let shelf = tempfile::tempdir().unwrap();
    take(&RealFiles, &SystemClock::new(), world.home(), shelf.path()).unwrap();
    let left = shelf.path().join("..drill.tmp.restoring");
    put(&left, "logs/made.ndjson", "what takes the room");
    // Hidden, and of somebody else.
    let foreign = shelf.path().join(".own.removed");
    put(&foreign, "file", "text");

    let files = FaultyFiles::over(Arc::new(RealFiles));
    files.set_space(Some(Space {
        total: 1 << 30,
        available: 1,
    }));
    let backup = newest(&files, shelf.path()).unwrap().unwrap();
    let scratch = shelf.path().join(".drill.tmp");
    let error = drill(&files, &backup, &scratch, None, &HISTORY).unwrap_err();
    assert!(matches!(error, BackupError::Room { .. }), "{error}");
    assert!(!left.exists(), "it is taken away before room is looked for");
    echopilot::storage::backup::tidy(&files, shelf.path()).unwrap();
    assert!(foreign.join("file").exists(), "it is none of ours");
}
