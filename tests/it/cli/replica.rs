//! The machine is gone: a home comes back from a replica in a folder alone; and drills by hand.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{program, run};
use crate::daemon::Daemon;

#[test]
fn c08_a_home_comes_back_from_a_replica_in_a_folder_when_the_machine_is_gone() {
    let outside = tempfile::tempdir().expect("a folder");
    let home = tempfile::tempdir().expect("a folder");
    let nas = outside.path().join("nas");
    fs::create_dir_all(home.path().join("configs")).expect("a folder");
    let rows = json!({ "replicas": [{ "name": "nas", "folder": nas }] });
    fs::write(home.path().join("configs/backups.json"), rows.to_string()).expect("a file");
    let daemon = Daemon::start(home.path());
    run(home.path(), &["flag", "set", "ui.new_dashboard", "true"]).expect(0);
    run(home.path(), &["task", "run", "replica-sync"]).expect(0);
    drop(daemon);
    // Nothing is left of it.
    home.close().expect("it can go");

    let nas = nas.to_str().expect("UTF-8");
    let checked = run(outside.path(), &["backup", "check", nas, "--json"]).expect(0);
    assert_eq!(checked.json()["is_replica"], true);
    run(std::path::Path::new(nas), &["verify"]).expect(0);
    let new = outside.path().join("new");
    let to = new.to_str().expect("UTF-8");
    run(outside.path(), &["restore", nas, "--to", to]).expect(0);
    let flag = run(&new, &["flag", "get", "ui.new_dashboard"]).expect(0);
    assert_eq!(flag.out, "true\n");
    let served = Daemon::start(&new);
    served.get("/api/flags/get").expect(200);
    // The new home goes on where the replica ended, which follows it.
    run(&new, &["flag", "set", "ui.new_dashboard", "false"]).expect(0);
    run(&new, &["task", "run", "replica-sync"]).expect(0);
    drop(served);
    run(outside.path(), &["backup", "check", nas]).expect(0);
}

#[test]
fn c08_a_drill_by_hand_that_is_killed_leaves_nothing_in_the_way() {
    let home = super::begun();
    run(home.path(), &["flag", "set", "ui.new_dashboard", "true"]).expect(0);
    let lines = "{\"by\":\"hand\"}\n".repeat(40_000);
    for number in 1..20 {
        let name = format!("logs/old.{number:020}-{number:020}.ndjson");
        fs::write(home.path().join(name), &lines).expect("a segment");
    }
    let none = run(home.path(), &["backup", "drill"]).expect(1);
    assert!(none.err.contains("there is no backup"), "{none:#?}");
    run(home.path(), &["backup"]).expect(0);
    let drill = || {
        let mut command = program(home.path());
        command.args(["backup", "drill", "--quiet"]);
        command.stdout(std::process::Stdio::null());
        command
    };
    let begun = Instant::now();
    assert!(drill().status().expect("it runs").success());
    let whole = begun.elapsed();
    let scratch = |name: &str| home.path().join("backups").join(name).exists();
    let mut cut = 0;
    for round in 1..12_u32 {
        let mut child = drill().spawn().expect("it runs");
        let begun = Instant::now();
        while begun.elapsed() < whole * round / 12 {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        let left = [".drill-by-hand.tmp", "..drill-by-hand.tmp.restoring"];
        cut += usize::from(left.iter().any(|name| scratch(name)));
    }
    assert!(cut > 1, "only {cut} kills fell into the middle");
    run(home.path(), &["backup", "drill"]).expect(0);
    assert!(!scratch(".drill-by-hand.tmp"));
    assert!(!scratch("..drill-by-hand.tmp.restoring"));
    let listed = run(home.path(), &["backup", "list", "--json"])
        .expect(0)
        .json();
    assert_eq!(listed["backups"].as_array().expect("rows").len(), 1);
}
