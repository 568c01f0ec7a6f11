//! Tasks as their callers see them: over HTTP, in the journal, over restarts and edits.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{World, at, noon};

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn a_task_runs_when_it_is_due_and_each_run_is_a_record() {
    let world = World::new();
    let list = world.get("/api/tasks").expect(200);
    let of = |list: &Value| {
        let tasks = list["tasks"].as_array().unwrap();
        tasks
            .iter()
            .find(|task| task["name"] == "heartbeat")
            .unwrap()
            .clone()
    };
    let task = of(&list);
    assert_eq!(task["cadence"], "1m");
    assert_eq!(task["next"], "2026-11-21T12:01:00.000Z");
    assert_eq!(task["last"], Value::Null);

    world.pass(MINUTE * 3, MINUTE);
    let history = world
        .get("/api/tasks/heartbeat/history?limit=2")
        .expect(200);
    assert_eq!(history["count"], 2);
    let newest = &history["runs"][1];
    assert_eq!(newest["scheduled_for"], "2026-11-21T12:03:00.000Z");
    assert_eq!(
        (&newest["outcome"], &newest["trigger"]),
        (&json!("ok"), &json!("schedule"))
    );
    assert_eq!(
        (&newest["late_ms"], &newest["attempt"]),
        (&json!(0), &json!(1))
    );
    let begun = of_heartbeat(&world, "task.started");
    let ended = of_heartbeat(&world, "task.finished");
    let of =
        |lines: &[Value]| -> Vec<Value> { lines.iter().map(|line| line["run"].clone()).collect() };
    assert_eq!(of(&begun), of(&ended));
    assert_eq!(of(&begun).len(), 3);
}

/// Lines about the heartbeat; other tasks have theirs.
fn of_heartbeat(world: &World, kind: &str) -> Vec<Value> {
    let mut lines = world.journal_of("task_runs", kind);
    lines.retain(|line| line["task"] == "heartbeat");
    lines
}

fn heartbeat(world: &World) -> Value {
    world.get("/api/tasks/heartbeat").expect(200)
}

#[test]
fn a_run_may_be_asked_for_and_waited_for() {
    let world = World::new();
    let answer = world.post("/api/tasks/heartbeat/run?wait=30s", &Value::Null);
    let place = answer.headers["location"].to_str().unwrap().to_owned();
    let ended = answer.expect(200);
    assert_eq!(
        (&ended["state"], &ended["record"]["trigger"]),
        (&json!("ended"), &json!("manual"))
    );
    let told = world.get(&place).expect(200);
    assert_eq!(told["record"], ended["record"]);

    let begun = world.post("/api/tasks/heartbeat/run", &Value::Null);
    let place = begun.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(begun.expect(202)["state"], "waiting");
    world.settle();
    assert_eq!(world.get(&place).expect(200)["state"], "ended");
    // Asking takes no due time away.
    assert_eq!(heartbeat(&world)["next"], "2026-11-21T12:01:00.000Z");
}

#[test]
fn unknown_tasks_and_bad_queries_are_refused_in_words() {
    let world = World::new();
    for (method, path) in [
        ("GET", "/api/tasks/hartbeat"),
        ("GET", "/api/tasks/hartbeat/history"),
        ("GET", "/api/tasks/hartbeat/next"),
        ("POST", "/api/tasks/hartbeat/run"),
        ("POST", "/api/tasks/hartbeat/pause"),
    ] {
        let told = world.call(method, path, &Value::Null).expect(404);
        assert_eq!(told["error"], "task_not_found", "{path}");
        assert_eq!(told["nearest"], "heartbeat", "{path}");
    }
    for path in [
        "history?limit=0",
        "history?limit=9999",
        "next?count=0",
        "next?lines=1",
    ] {
        let told = world
            .get(&format!("/api/tasks/heartbeat/{path}"))
            .expect(400);
        assert_eq!(told["error"], "bad_query", "{path}");
    }
    for wait in ["10", "-1s", "1y", "2h"] {
        let path = format!("/api/tasks/heartbeat/run?wait={wait}");
        let told = world.post(&path, &Value::Null).expect(400);
        assert!(
            told["hint"].as_str().is_some_and(|hint| !hint.is_empty()),
            "{told}"
        );
    }
    let told = world.get("/api/tasks/heartbeat/runs/none-1").expect(404);
    assert_eq!(told["error"], "run_not_found");
}

#[test]
fn a_pause_holds_over_a_restart_and_makes_up_for_nothing() {
    let mut world = World::new();
    let paused = world
        .post("/api/tasks/heartbeat/pause", &Value::Null)
        .expect(200);
    assert_eq!(
        (&paused["paused"], &paused["paused_by"]),
        (&json!(true), &json!("desk"))
    );
    world.pass(MINUTE * 3, MINUTE);
    world.restart();
    world.pass(MINUTE * 3, MINUTE);
    assert_eq!(heartbeat(&world)["last"], Value::Null);
    // Pausing twice is one pause; by hand it runs all the same.
    world
        .post("/api/tasks/heartbeat/pause", &Value::Null)
        .expect(200);
    world
        .post("/api/tasks/heartbeat/run?wait=5s", &Value::Null)
        .expect(200);
    assert_eq!(world.journal_of("task_runs", "task.paused").len(), 1);

    let resumed = world
        .post("/api/tasks/heartbeat/resume", &Value::Null)
        .expect(200);
    assert_eq!(resumed["paused"], false);
    world.pass(MINUTE, MINUTE);
    let last = heartbeat(&world)["last"].clone();
    assert_eq!(
        (&last["trigger"], &last["missed"]),
        (&json!("schedule"), &Value::Null)
    );
    let lines = world.journal_of("task_runs", "task.resumed");
    assert_eq!(lines[0]["by"], "desk");
}

#[test]
fn what_was_missed_in_a_downtime_runs_once_and_says_so() {
    let mut world = World::new();
    world.pass(MINUTE, MINUTE);
    world.stop();
    world.clock.advance(MINUTE * 60 * 6);
    world = world.start();
    let last = heartbeat(&world)["last"].clone();
    assert_eq!(last["scheduled_for"], "2026-11-21T18:01:00.000Z");
    assert_eq!(last["missed"], 359);
    assert_eq!(of_heartbeat(&world, "task.finished").len(), 2);
}

#[test]
fn a_run_that_a_kill_cut_off_is_recorded_at_the_next_start() {
    let starts = Rc::new(Cell::new(0));
    let count = Rc::clone(&starts);
    let world = World::at(noon()).with_seams(move |_| count.set(count.get() + 1));
    let mut world = world.start();
    world
        .post("/api/tasks/heartbeat/run", &Value::Null)
        .expect(202);
    world.until("its first line is on record", |world| {
        !of_heartbeat(world, "task.started").is_empty()
    });
    world.kill();
    world = world.start();
    assert_eq!(starts.get(), 2);
    let lines = of_heartbeat(&world, "task.finished");
    assert_eq!(lines.len(), 1);
    // The run is so short that it may have ended before.
    if lines[0]["outcome"] != "ok" {
        assert_eq!(lines[0]["outcome"], "failed");
        assert_eq!(lines[0]["reason"], "the process ended during the run");
    }
}

#[test]
fn an_edit_of_the_file_changes_a_cadence_without_a_restart() {
    let world = World::with_config(
        "tasks.json",
        r#"{"tasks":{"heartbeat":{"every":"10m","jitter_secs":60}}}"#,
    )
    .start();
    let task = heartbeat(&world);
    assert_eq!(task["cadence"], "10m");
    let jitter = task["rules"]["jitter_ms"].as_i64().unwrap();
    assert!((0..60_000).contains(&jitter), "{task}");
    world.pass(MINUTE * 11, MINUTE);
    let last = &heartbeat(&world)["last"];
    assert_eq!(last["scheduled_for"], "2026-11-21T12:10:00.000Z");

    let zoned = r#"{"tasks":{"heartbeat":{"cron":"0 9 * * SUN","zone":"Europe/London"}}}"#;
    world.save("tasks.json", zoned);
    world.until("the edit is in force", |world| {
        heartbeat(world)["zone"] == "Europe/London"
    });
    let next = world.get("/api/tasks/heartbeat/next?count=20").expect(200);
    let due: Vec<&str> = next["next"]
        .as_array()
        .unwrap()
        .iter()
        .map(|due| due["at"].as_str().unwrap())
        .collect();
    assert_eq!(due[0], "2026-11-22T09:00:00.000Z");
    assert_eq!(
        due[18], "2027-03-28T08:00:00.000Z",
        "the clocks went forward at 01:00"
    );
    assert_eq!(next["next"][18]["local"], "2027-03-28 09:00:00");

    world.save("tasks.json", r#"{"tasks":{"heartbeat":{"paused":true}}}"#);
    world.until("the pause is in force", |world| {
        heartbeat(world)["paused"] == true
    });
    assert_eq!(heartbeat(&world)["paused_by"], "configs/tasks.json");
    let before = of_heartbeat(&world, "task.finished").len();
    world.pass(MINUTE * 3, MINUTE);
    assert_eq!(of_heartbeat(&world, "task.finished").len(), before);
}

#[test]
fn a_name_that_is_no_task_is_told_with_the_nearest() {
    let world = World::with_config("tasks.json", r#"{"tasks":{"hartbeat":{"every":"10m"}}}"#);
    let world = world.start();
    let list = world.get("/api/tasks").expect(200);
    assert_eq!(list["unknown"], json!({ "hartbeat": "heartbeat" }));
    let health = world.get("/health").expect(200);
    let told = health["checks"]["tasks"]["reason"].as_str().unwrap();
    assert!(
        told.contains("`hartbeat`") && told.contains("`heartbeat`"),
        "{told}"
    );
}

#[test]
fn a_bad_file_is_refused_with_every_fault_at_its_place() {
    let bad = r#"{"max_running":0,"tasks":{
      "a":{"every":"3x"},"b":{"every":"1h","cron":"* * * * *"},
      "c":{"cron":"61 * * * *"},"d":{"zone":"Europe/London"},"e":{"cron":"0 9 * * *","zone":"Europe/Londn"},
      "f":{"missed":"twice"},"g":{"timeout_secs":0},"H":{}}}"#;
    let (shape, rest) = (
        ["max_running", "tasks.f.missed", "tasks.g.timeout_secs"],
        [
            "tasks.a.every",
            "tasks.b",
            "tasks.c.cron",
            "tasks.d.zone",
            "tasks.e.zone",
            "tasks.H",
        ],
    );
    let paths = |text: &str| -> Vec<String> {
        let kinds = echopilot::app::assemble::config_kinds();
        let kind = kinds.iter().find(|kind| kind.file == "tasks.json").unwrap();
        let problems = (kind.check)("tasks.json", text.as_bytes());
        problems
            .iter()
            .map(|problem| problem.path.clone())
            .collect()
    };
    let found = paths(bad);
    assert!(
        shape.iter().all(|path| found.contains(&(*path).to_owned())),
        "{found:?}"
    );
    let good_shape = bad
        .replace("\"max_running\":0,", "")
        .replace("\"twice\"", "\"once\"")
        .replace("\"timeout_secs\":0", "\"timeout_secs\":1");
    let found = paths(&good_shape);
    assert!(
        rest.iter().all(|path| found.contains(&(*path).to_owned())),
        "{found:?}"
    );
}

#[test]
fn a_machine_that_slept_runs_once_and_the_step_is_on_record() {
    let world = World::new();
    world.pass(MINUTE, MINUTE);
    world.step_wall(chrono::TimeDelta::hours(6));
    let newest = heartbeat(&world)["last"].clone();
    assert_eq!(newest["scheduled_for"], "2026-11-21T18:01:00.000Z");
    assert_eq!(newest["started"], echopilot::base::time::stamp(world.now()));
    let steps = world.journal_of("task_runs", "clock.stepped");
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0]["by_ms"], 21_600_000);
}

#[test]
fn lines_of_earlier_versions_are_read() {
    let world = World::at(at("2026-11-21T12:30:00Z"));
    let logs = world.home().join("logs");
    std::fs::create_dir_all(&logs).unwrap();
    let golden = include_str!("../../fixtures/logs/task_runs.ndjson");
    std::fs::write(logs.join("task_runs.ndjson"), golden).unwrap();
    let world = world.start();
    let task = heartbeat(&world);
    // Four good ones of which three are in the file, and one that was cut off.
    assert_eq!(task["stats"]["runs"]["ok"], 4, "{task}");
    assert_eq!(task["stats"]["runs"]["failed"], 1);
    assert_eq!(task["paused"], false);
    let told = world.get("/api/tasks/heartbeat/history").expect(200);
    let cut_off = &told["runs"][3];
    assert_eq!(cut_off["run"], "55f8d5c3-5");
    assert_eq!(cut_off["reason"], "the process ended during the run");
    assert_eq!(cut_off["started"], "2026-11-21T12:03:10.000Z");
    // The clock had gone back behind 12:12; from there on it is due again.
    assert_eq!(told["runs"][4]["scheduled_for"], "2026-11-21T12:30:00.000Z");
    assert_eq!(told["runs"][4]["missed"], 17);
}
