//! `echopilot serve`: what the command line and HTTP clients see is one thing.

use std::fs;
use std::path::Path;
use std::time::Instant;

use super::{begun, run};
use crate::daemon::{Daemon, PATIENCE};

#[test]
fn a_change_over_http_is_seen_by_the_command_line_and_the_other_way_round() {
    let home = tempfile::tempdir().expect("a folder");
    let daemon = Daemon::start(home.path());
    let body = r#"{"key":"ui.new_dashboard","value":true}"#;
    daemon.post("/api/flags/set", body).expect(200);
    let got = run(home.path(), &["flag", "get", "ui.new_dashboard"]).expect(0);
    assert_eq!(got.out, "true\n");
    run(home.path(), &["flag", "set", "ui.new_dashboard", "false"]).expect(0);
    let flags = daemon.get("/api/flags/get").expect(200).json();
    assert_eq!(flags["flags"]["ui.new_dashboard"], false);
    let faults: Vec<_> = daemon
        .talk
        .try_iter()
        .filter(|line| line.contains("ERROR"))
        .collect();
    assert!(faults.is_empty(), "{faults:?}");
    let left = home.path().join(".echopilot/daemon.json");
    assert!(left.exists());
    assert_eq!(daemon.stop(), Some(0));
    assert!(!left.exists(), "the way in goes with the daemon");
}

/// Waits until `configs/schema` of `home` holds what the program itself says it should.
#[track_caller]
fn schemas_are_laid_out(home: &Path) {
    let wanted = begun();
    run(wanted.path(), &["schema", "--write"]).expect(0);
    let all = |home: &Path| -> Vec<(String, String)> {
        let Ok(listed) = fs::read_dir(home.join("configs/schema")) else {
            return Vec::new();
        };
        let mut found: Vec<_> = listed
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let text = fs::read_to_string(entry.path()).ok()?;
                Some((entry.file_name().into_string().ok()?, text))
            })
            .collect();
        found.sort();
        found
    };
    let (wanted, begun) = (all(wanted.path()), Instant::now());
    assert!(!wanted.is_empty());
    while all(home) != wanted {
        assert!(begun.elapsed() < PATIENCE, "they are not laid out");
        std::thread::yield_now();
    }
}

#[test]
fn the_schemas_that_a_new_home_refers_to_are_there_and_kept_up_to_date() {
    let home = tempfile::tempdir().expect("a folder");
    let daemon = Daemon::start(home.path());
    schemas_are_laid_out(home.path());
    for entry in fs::read_dir(home.path().join("configs")).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|ending| ending == "json") {
            let text = fs::read_to_string(&path).expect("a text");
            let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let named = document["$schema"].as_str().expect("a schema is named");
            let schema = home.path().join("configs").join(named);
            assert!(schema.exists(), "{} names {named}", path.display());
        }
    }
    assert_eq!(daemon.stop(), Some(0));

    // As an older version, or a slip of the hand, left them.
    let accepted = || fs::read(home.path().join("logs/configs.ndjson")).expect("a journal");
    let before = accepted();
    let folder = home.path().join("configs/schema");
    fs::write(folder.join("flags.schema.json"), "{}").expect("a file");
    fs::remove_file(folder.join("keys.schema.json")).expect("it was there");
    let daemon = Daemon::start(home.path());
    schemas_are_laid_out(home.path());
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(accepted(), before, "no configuration was loaded for it");
}

#[test]
fn schemas_that_cannot_be_written_stop_nothing() {
    let home = begun();
    fs::write(home.path().join("configs/schema"), "in the way").expect("a file");
    let (daemon, begun) = (Daemon::start(home.path()), Instant::now());
    daemon.get("/api/flags/get").expect(200);
    let told = loop {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        let line = daemon.talk.recv_timeout(left).expect("it is told");
        if line.contains("schemas") {
            break line;
        }
    };
    assert!(!told.contains("ERROR") && !told.contains("WARN"), "{told}");
    daemon.get("/readyz").expect(200);
    assert_eq!(daemon.stop(), Some(0));
}
