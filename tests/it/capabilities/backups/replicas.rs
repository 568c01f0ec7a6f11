//! Replicas in a folder: what is sent, what is found damaged, what is refused, and that a home
//! comes back from nothing else.

use std::fs;
use std::time::Duration;

use echopilot::seams::files::{Files, RealFiles};
use echopilot::storage::backup::{check, restore};
use serde_json::json;

use super::lab::{ends, nas, one_replica, run, run_well, until_alert, visible, write};
use crate::world::World;

/// Short segments, so that journals rotate.
const SHORT: &str = r#"{ "journals": { "segment_bytes": 65536 } }"#;

fn rotated(world: &World) {
    let body = json!({ "event": "signup", "user": "user123", "exp": "pricing_v2", "variant": "A" });
    for _ in 0..450 {
        world.post("/api/exp/log", &body).expect(200);
    }
}

/// Restores the replica in `folder` whole and tells where its journals end.
fn back(folder: &std::path::Path, to: &std::path::Path) -> Vec<(String, u64, Vec<u8>, u64)> {
    let history = echopilot::platform::config::HISTORY;
    restore(&RealFiles, folder, to, None, &history).unwrap();
    ends(to)
}

#[test]
fn a_replica_follows_the_home_sends_only_what_is_new_and_is_restored_alone() {
    let outside = tempfile::tempdir().unwrap();
    let folder = nas(&outside);
    let world = World::with_config("echopilot.json", SHORT)
        .config("backups.json", &one_replica(&folder))
        .start();
    write(&world, true);
    let first = run_well(&world, "replica-sync");
    let first = first["output"]["replicas"][0].clone();
    assert_eq!(first["files"], first["sent_files"]);

    rotated(&world);
    let second = run_well(&world, "replica-sync")["output"]["replicas"][0].clone();
    rotated(&world);
    let third = run_well(&world, "replica-sync")["output"]["replicas"][0].clone();
    assert!(
        second["sent_files"].as_u64() < first["sent_files"].as_u64(),
        "{second}"
    );
    // Sealed segments of the second run are not sent again.
    assert!(
        third["sent_bytes"].as_u64() < Some(3 * 65536 + 65536),
        "{third}"
    );
    let sealed = visible(&folder.join("logs"));
    assert!(
        sealed
            .iter()
            .filter(|name| name.starts_with("experiments.0"))
            .count()
            > 1
    );
    check(&RealFiles, &folder).unwrap();

    // Everything but the replica is lost.
    let then = {
        let mut ends = ends(world.home());
        // The runs themselves go on record after the replica was made.
        ends.retain(|(name, ..)| !["task_runs", "backups"].contains(&&**name));
        ends
    };
    drop(world);
    let mut now = back(&folder, &outside.path().join("new"));
    now.retain(|(name, ..)| !["task_runs", "backups"].contains(&&**name));
    assert_eq!(now, then);
}

#[test]
fn a_flipped_bit_in_a_replica_is_found_by_the_next_run_and_mended() {
    let outside = tempfile::tempdir().unwrap();
    let folder = nas(&outside);
    let world = World::with_config("echopilot.json", SHORT)
        .config("backups.json", &one_replica(&folder))
        .start();
    rotated(&world);
    run_well(&world, "replica-sync");
    let names = visible(&folder.join("logs"));
    let sealed = names
        .iter()
        .find(|name| name.starts_with("experiments.0"))
        .unwrap();
    for name in [format!("logs/{sealed}"), "configs/flags.json".to_owned()] {
        let path = folder.join(&name);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[100] ^= 4;
        fs::write(&path, &bad).unwrap();
        let record = run_well(&world, "replica-sync");
        assert_eq!(record["output"]["replicas"][0]["mended"], 1, "{name}");
        assert_eq!(fs::read(&path).unwrap(), good, "{name}");
        fs::remove_file(&path).unwrap();
        run_well(&world, "replica-sync");
        assert_eq!(fs::read(&path).unwrap(), good, "{name} was missing");
    }
    let told = world.journal_of("backups", "replica.synced");
    let mended = told
        .iter()
        .filter(|line| line.get("mended").is_some())
        .count();
    assert_eq!(mended, 4);

    // What the home has given up, the replica keeps, and nobody can mend.
    let own = world.home().join("logs").join(sealed);
    fs::remove_file(&own).unwrap();
    run_well(&world, "replica-sync");
    let kept = folder.join("logs").join(sealed);
    assert!(kept.exists(), "a replica keeps what the home has given up");
    check(&RealFiles, &folder).unwrap();
    let mut bad = fs::read(&kept).unwrap();
    bad[100] ^= 4;
    fs::write(&kept, bad).unwrap();
    let record = run(&world, "replica-sync");
    assert_eq!(record["outcome"], "failed", "{record}");
    assert!(
        record["error"].as_str().unwrap().contains(sealed),
        "{record}"
    );
    world.pass(Duration::from_mins(6), Duration::from_mins(1));
    until_alert(&world, "replica:nas:lost", true);
}

#[test]
fn compressed_segments_take_the_place_of_plain_ones_and_never_the_only_copy() {
    let outside = tempfile::tempdir().unwrap();
    let folder = nas(&outside);
    let world = World::with_config("echopilot.json", SHORT)
        .config("backups.json", &one_replica(&folder))
        .start();
    rotated(&world);
    run_well(&world, "replica-sync");
    let logs = world.home().join("logs");
    let names = visible(&folder.join("logs"));
    let sealed = names
        .iter()
        .find(|name| name.starts_with("experiments.0"))
        .unwrap();
    let plain = fs::read(logs.join(sealed)).unwrap();
    let packed = format!("{sealed}.zst");
    // A form that is not the same lines does not replace them.
    let other = zstd::encode_all(&plain[..plain.len() / 2], 3).unwrap();
    fs::write(logs.join(&packed), &other).unwrap();
    fs::remove_file(logs.join(sealed)).unwrap();
    run_well(&world, "replica-sync");
    assert_eq!(fs::read(folder.join("logs").join(sealed)).unwrap(), plain);
    assert!(!folder.join("logs").join(&packed).exists());

    fs::write(logs.join(&packed), zstd::encode_all(&*plain, 3).unwrap()).unwrap();
    run_well(&world, "replica-sync");
    assert!(!folder.join("logs").join(sealed).exists());
    assert!(folder.join("logs").join(&packed).exists());
    check(&RealFiles, &folder).unwrap();
    let new = outside.path().join("new");
    let at = |all: Vec<(String, u64, Vec<u8>, u64)>| {
        let found = all.into_iter().find(|(name, ..)| name == "experiments");
        found.expect("a journal")
    };
    assert_eq!(at(back(&folder, &new)), at(ends(world.home())));
}

#[test]
fn a_home_that_lost_lines_and_a_disk_that_is_not_mounted_overwrite_nothing() {
    let outside = tempfile::tempdir().unwrap();
    let folder = nas(&outside);
    let mut world = World::with_config("backups.json", &one_replica(&folder)).start();
    for value in [true, false, true] {
        write(&world, value);
    }
    run_well(&world, "replica-sync");
    let before = ends(&folder);

    // The disk is not there: its mount point is an empty folder.
    let elsewhere = outside.path().join("unmounted");
    fs::rename(&folder, &elsewhere).unwrap();
    fs::create_dir(&folder).unwrap();
    let record = run(&world, "replica-sync");
    let error = record["error"].as_str().unwrap();
    assert!(error.contains("see whether it is mounted"), "{record}");
    assert!(RealFiles.list(&folder).unwrap().is_empty());
    fs::remove_dir(&folder).unwrap();
    fs::rename(&elsewhere, &folder).unwrap();

    // The home begins a journal anew, with as many lines as before.
    world.stop();
    let log = world.home().join("logs/feature_flags.ndjson");
    fs::remove_file(&log).unwrap();
    let world = world.start();
    for value in [false, true, false, true, false] {
        world.clock.advance(Duration::from_secs(1));
        write(&world, value);
    }
    let record = run(&world, "replica-sync");
    assert_eq!(record["outcome"], "failed", "{record}");
    let error = record["error"].as_str().unwrap();
    assert!(
        error.contains("another history of `feature_flags`"),
        "{record}"
    );
    assert_eq!(ends(&folder), before, "it is as it was");
    check(&RealFiles, &folder).unwrap();
    world.pass(Duration::from_hours(7), Duration::from_mins(30));
    until_alert(&world, "replica:nas:late", true);
    let body = world.get("/api/backups").expect(200);
    let why = body["replicas"][0]["failed"]["why"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(why.contains("another history"), "{why}");
}
