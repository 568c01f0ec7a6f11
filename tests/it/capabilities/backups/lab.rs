//! A world with backups, and what is asked of it.

use std::path::{Path, PathBuf};

use echopilot::seams::files::{Files, RealFiles};
use echopilot::storage::anchors::Anchors;
use echopilot::storage::verify::verify;
use serde_json::{Value, json};

use crate::world::World;

/// Runs a task now and gives its record.
#[track_caller]
pub fn run(world: &World, task: &str) -> Value {
    let answer = world.post(&format!("/api/tasks/{task}/run?wait=30s"), &Value::Null);
    assert!(answer.status < 300, "{}", answer.body);
    world.settle();
    let runs = world.journal_of("task_runs", "task.finished");
    let mine = |run: &&Value| run["task"] == task;
    runs.iter().rfind(mine).expect("a record").clone()
}

/// Runs a task now, which must do its work.
#[track_caller]
pub fn run_well(world: &World, task: &str) -> Value {
    let record = run(world, task);
    assert_eq!(record["outcome"], "ok", "{record}");
    record
}

/// Something happens that is worth a backup.
pub fn write(world: &World, value: bool) {
    let body = json!({ "key": "ui.new_dashboard", "value": value });
    world.post("/api/flags/set", &body).expect(200);
}

/// Names in a folder that a person would see.
pub fn visible(folder: &Path) -> Vec<String> {
    let mut names = RealFiles.list(folder).unwrap();
    names.retain(|name| !name.starts_with('.') && name != "configs");
    names
}

/// Where the journals of a folder end: name, last line, chain value, lines.
pub fn ends(home: &Path) -> Vec<(String, u64, Vec<u8>, u64)> {
    let reports = verify(&RealFiles, &home.join("logs"), &Anchors::default()).unwrap();
    reports
        .into_iter()
        .inspect(|report| assert_eq!(report.bad_lines, 0, "{report:#?}"))
        .map(|report| {
            (
                report.stream,
                report.last_seq,
                report.h.to_vec(),
                report.lines,
            )
        })
        .collect()
}

/// Configuration with one replica in `folder`.
pub fn one_replica(folder: &Path) -> String {
    json!({ "replicas": [{ "name": "nas", "folder": folder }] }).to_string()
}

/// The folder of a replica in `outside`.
pub fn nas(outside: &tempfile::TempDir) -> PathBuf {
    outside.path().join("nas")
}

/// Waits until an alert of this key is open, or none is.
#[track_caller]
pub fn until_alert(world: &World, key: &str, is_open: bool) {
    let what = format!("`{key}` is open: {is_open}");
    world.until(&what, |world| {
        let body = world.get("/api/alerts").expect(200);
        let all = body["alerts"].as_array().unwrap();
        all.iter().any(|one| one["key"] == key) == is_open
    });
}
