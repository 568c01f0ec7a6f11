//! Upkeep: what the daemon does for itself leaves a line, and tells a person only what wants one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use echopilot::platform::alerts::{Finding, Severity};
use serde_json::{Value, json};

use crate::world::World;

/// Runs a task now and gives its record.
#[track_caller]
fn run(world: &World, task: &str) -> Value {
    let record = world.post(&format!("/api/tasks/{task}/run?wait=30s"), &Value::Null);
    assert!(record.status < 300, "{}", record.body);
    world.settle();
    let runs = world.journal_of("task_runs", "task.finished");
    let mine = |run: &&Value| run["task"] == task;
    runs.iter().rfind(mine).expect("a record").clone()
}

/// Waits until an alert of this key is open, or none is.
#[track_caller]
fn until_alert(world: &World, key: &str, is_open: bool) {
    let what = format!("`{key}` is open: {is_open}");
    world.until(&what, |world| {
        let body = world.get("/api/alerts").expect(200);
        let all = body["alerts"].as_array().unwrap();
        all.iter().any(|one| one["key"] == key) == is_open
    });
}

#[test]
fn a_line_of_life_each_minute_and_an_alert_for_a_sick_part() {
    let world = World::new();
    world.pass(Duration::from_mins(3), Duration::from_secs(30));
    let beats = world.journal_of("upkeep", "upkeep.beat").len();
    assert!(
        (2..=4).contains(&beats),
        "{beats} lines of life in 3 minutes"
    );

    world.save("flags.json", "{ \"x\": [] }");
    world.until("the bad file is noticed", |world| {
        world.get("/health").body["checks"]["configs"]["state"] == "degraded"
    });
    world.pass(Duration::from_mins(2), Duration::from_secs(30));
    until_alert(&world, "health:configs", true);
    let last = world.journal_of("upkeep", "upkeep.beat").pop().unwrap();
    assert_eq!(last["status"], "degraded");

    world.save("flags.json", "{ \"x\": true }");
    world.until("the good file is noticed", |world| {
        world.get("/health").body["checks"]["configs"]["state"] == "ok"
    });
    world.pass(Duration::from_mins(2), Duration::from_secs(30));
    until_alert(&world, "health:configs", false);
    let told = world.journal("alerts");
    let about = |line: &&Value| line["key"] == "health:configs";
    assert_eq!(
        told.iter().filter(about).count(),
        2,
        "one beginning, one end"
    );
}

#[test]
fn old_keys_and_stale_flags_are_found_and_only_keys_are_alerts() {
    let world = World::new();
    let made = world.post("/api/admin/keys", &json!({ "role": "dash", "name": "app" }));
    let id = made.expect(201)["id"].as_str().unwrap().to_owned();
    run(&world, "auto-governance");
    let first = world
        .journal_of("upkeep", "upkeep.governance_checked")
        .pop();
    assert_eq!(first.unwrap()["findings"], json!([]), "all is new");

    world.advance(Duration::from_hours(24 * 200));
    run(&world, "auto-governance");
    let line = world
        .journal_of("upkeep", "upkeep.governance_checked")
        .pop();
    let findings = line.unwrap()["findings"].as_array().unwrap().clone();
    let has = |kind: &str, thing: &str| {
        findings
            .iter()
            .any(|one| one["kind"] == kind && one["thing"] == thing)
    };
    assert!(has("old_key", &id), "{findings:?}");
    assert!(has("stale_flag", "ui.new_dashboard"), "{findings:?}");
    assert!(
        !has("stale_flag", "STABILIZE_MODE"),
        "a switch is never stale"
    );
    until_alert(&world, &format!("governance:old_key:{id}"), true);

    world
        .post(&format!("/api/admin/keys/{id}/revoke"), &Value::Null)
        .expect(200);
    run(&world, "auto-governance");
    until_alert(&world, &format!("governance:old_key:{id}"), false);
}

#[test]
fn an_audit_names_loose_permissions_and_broken_chains() {
    let world = World::new();
    run(&world, "weekly-audit");
    let good = world.journal_of("upkeep", "upkeep.audited").pop().unwrap();
    assert_eq!(good["ok"], true, "{good}");

    let keys = world.home().join("configs/keys.json");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).unwrap();
    let log = world.home().join("logs/feature_flags.ndjson");
    let text = fs::read_to_string(&log).unwrap();
    fs::write(
        &log,
        text.replacen("ui.new_dashboard", "ui.old_dashboard", 1),
    )
    .unwrap();
    run(&world, "weekly-audit");
    let bad = world.journal_of("upkeep", "upkeep.audited").pop().unwrap();
    assert_eq!(bad["ok"], false);
    let answer = |name: &str| {
        let checks = bad["checks"].as_array().unwrap();
        checks
            .iter()
            .find(|one| one["name"] == name)
            .unwrap()
            .clone()
    };
    assert!(
        answer("permissions")["text"]
            .as_str()
            .unwrap()
            .contains("keys.json")
    );
    assert!(
        answer("chains")["text"]
            .as_str()
            .unwrap()
            .contains("feature_flags")
    );
    assert_eq!(answer("configs")["ok"], true);
    until_alert(&world, "audit:chains", true);
}

#[test]
fn stabilize_mode_holds_self_heal_and_nothing_that_only_looks() {
    let world = World::new();
    world
        .post(
            "/api/flags/set",
            &json!({ "key": "STABILIZE_MODE", "value": true }),
        )
        .expect(200);
    assert_eq!(run(&world, "self-heal")["outcome"], "frozen");
    assert_eq!(run(&world, "health-monitor")["outcome"], "ok");
    world
        .post(
            "/api/flags/set",
            &json!({ "key": "STABILIZE_MODE", "value": false }),
        )
        .expect(200);
    assert_eq!(run(&world, "self-heal")["outcome"], "ok");
    let healed = world.journal_of("upkeep", "upkeep.healed");
    assert_eq!(healed.len(), 1);
}

#[test]
fn a_snapshot_has_the_headline_numbers() {
    let world = World::new();
    run(&world, "observability-snapshot");
    let line = world.journal_of("upkeep", "upkeep.snapshot_taken").pop();
    let numbers = line.unwrap()["numbers"].clone();
    for name in [
        "echopilot_uptime_seconds",
        "process_resident_memory_bytes",
        "echopilot_alerts",
        "app_errors_last_5m",
    ] {
        assert!(numbers[name].is_number(), "{name}: {numbers}");
    }
}

#[test]
fn the_public_numbers_have_the_old_names() {
    let world = World::new();
    for path in ["/api/metrics/app", "/public/metrics"] {
        let body = world.get(path).expect(200);
        for name in [
            "uptime_seconds",
            "ai_requests_last_5m",
            "ai_requests_total",
            "errors_last_5m",
            "errors_total",
        ] {
            assert!(body[name].is_u64(), "{path}: {name}: {body}");
        }
        assert_eq!(body["status"], "ok");
        assert_eq!(body["metrics_type"], "rolling_window");
    }
}

#[test]
fn an_alert_of_a_part_that_is_no_more_ends() {
    let world = World::new();
    let gone = Finding {
        key: "health:gone".into(),
        source: "upkeep".into(),
        severity: Severity::Warning,
        summary: "`gone`: a part of an older version".into(),
        started_at: world.now(),
        ..Finding::default()
    };
    world.app().alerts.raise(gone, world.now());
    until_alert(&world, "health:gone", true);
    run(&world, "heartbeat");
    until_alert(&world, "health:gone", false);
}
