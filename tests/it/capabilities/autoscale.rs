//! Autoscale and auto-tune through HTTP, the task loop, and what they run.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use echopilot::base::secret::Secret;
use echopilot::platform::secrets::AUTOSCALE_WEBHOOK;
use echopilot::seams::clock::Clock;
use echopilot::seams::outbound::{FakeAnswer, FakeOutbound, Outbound};
use serde_json::{Value, json};

use crate::world::World;

const MINUTE: Duration = Duration::from_mins(1);
const DRYRUN: &str = "/ops/autoscale/dryrun";

/// The watch of the machine looks twice, a while apart: on a stepped clock it would never be done.
fn alone(world: World) -> World {
    world
        .post("/api/tasks/ops-sentinel/pause", &Value::Null)
        .expect(200);
    world
}

fn flag(world: &World, key: &str, on: bool) {
    world
        .post("/api/flags/set", &json!({ "key": key, "value": on }))
        .expect(200);
}

fn observe(world: &World, queue: u32) {
    let body = json!({ "queue": queue });
    world.post("/api/autoscale/observations", &body).expect(200);
}

/// Ticks once with a queue of this length.
fn tick(world: &World, queue: u32) {
    observe(world, queue);
    world.advance(MINUTE);
}

fn last_run(world: &World) -> Value {
    let task = world.get("/api/tasks/autoscale").expect(200);
    task["last"].clone()
}

#[test]
fn targets_are_suggested_and_applied_in_the_callers_name() {
    let world = alone(World::new());
    let told = world
        .get("/ops/auto_tune?current_p95=80&current_queue=1")
        .expect(200);
    assert_eq!(told["status"], "ok");
    let expected = json!({ "p95_target_ms": 64, "queue_max_depth": 10 });
    assert_eq!(told["suggestions"], expected);
    for (bad, error) in [
        ("", "missing_parameter"),
        ("?current_p95=80", "missing_parameter"),
        ("?current_p95=x&current_queue=1", "bad_parameter"),
    ] {
        let refused = world.get(&format!("/ops/auto_tune{bad}")).expect(400);
        assert_eq!(refused["error"], error, "{bad}");
        assert!(
            refused["hint"]
                .as_str()
                .is_some_and(|hint| !hint.is_empty())
        );
    }
    let before = fs::read_to_string(world.home().join("configs/autoscale.json")).expect("a file");
    let body = json!({ "current_p95": 500, "current_queue": 9.2 });
    let applied = world.post("/ops/auto_tune/apply", &body).expect(200);
    assert_eq!(applied["applied"]["p95_target_ms"], 400);
    let after = fs::read_to_string(world.home().join("configs/autoscale.json")).expect("a file");
    let edited = before.replace("\"queue_max_depth\": 10", "\"queue_max_depth\": 19");
    assert_eq!(after, edited, "nothing else is touched");
    let lines = world.journal_of("autoscale", "targets.applied");
    assert_eq!(lines[0]["actor"], "desk");
    assert_eq!(lines[0]["after"]["queue_max_depth"], 19);
    assert_eq!(lines[0]["revision"], applied["revision"]);
    let metrics = &world.get(DRYRUN).expect(200)["metrics"];
    assert_eq!(metrics["queue_max_depth"], 19);
}

#[test]
fn the_brake_answers_in_its_known_words_and_is_told_once() {
    let world = alone(World::new());
    flag(&world, "STABILIZE_MODE", true);
    flag(&world, "AUTOSCALE_ENABLED", true);
    tick(&world, 100);
    tick(&world, 100);
    let told = world.get(DRYRUN).expect(200);
    assert_eq!(told["action"], "hold");
    assert_eq!(
        told["reason"],
        "STABILIZE_MODE enabled - all scaling frozen"
    );
    assert_eq!(told["stabilize_mode"], true);
    let frozen = world.journal_of("autoscale", "scaling.frozen");
    assert_eq!(frozen.len(), 1, "{frozen:?}");
    assert_eq!(
        (&frozen[0]["action"], &frozen[0]["to"]),
        (&json!("up"), &json!(2))
    );
    assert_eq!(last_run(&world)["outcome"], "frozen");
    flag(&world, "STABILIZE_MODE", false);
    flag(&world, "AUTOSCALE_ENABLED", false);
    let told = world.get(DRYRUN).expect(200);
    assert_eq!(
        (&told["gate"], &told["action"]),
        (&json!("disabled"), &json!("hold"))
    );
    assert_eq!(told["stabilize_mode"], false);
}

#[test]
fn as_shipped_a_step_is_only_planned() {
    let world = alone(World::new());
    flag(&world, "AUTOSCALE_ENABLED", true);
    observe(&world, 3);
    let told = world.get(DRYRUN).expect(200);
    assert_eq!(
        (&told["action"], &told["target_workers"]),
        (&json!("up"), &json!(2))
    );
    assert!(told["planned_only"].is_string(), "{told}");
    assert_eq!(told["metrics"]["profit_margin_pct"], Value::Null);
    assert_eq!(told["metrics"]["profit_frozen"], false);
    assert!(told["metrics"]["profit_note"].is_string());
    world.advance(MINUTE);
    let planned = world.journal_of("autoscale", "scaling.planned");
    assert_eq!(planned.len(), 1);
    assert_eq!(last_run(&world)["outcome"], "dry_run");
    // A plan adds no worker, and is not made again before the cooldown has passed.
    tick(&world, 3);
    assert_eq!(world.get(DRYRUN).expect(200)["workers"], 1);
    assert_eq!(world.journal_of("autoscale", "scaling.planned").len(), 1);
    // What was told three minutes ago is not known any more.
    world.advance(MINUTE * 3);
    let told = world.get(DRYRUN).expect(200);
    assert_eq!(told["metrics"]["queue"], Value::Null);
    assert_eq!(told["action"], "hold");
}

/// A configuration with this executor that acts.
fn acting(executor: &Value) -> String {
    json!({ "dry_run": false, "cooldown_secs": 60, "executor": executor }).to_string()
}

#[test]
fn a_command_is_run_without_a_shell_and_each_end_is_written_down() {
    let home = tempfile::tempdir().expect("a folder");
    let made = home.path().join("2 up; $(x)");
    let touched = home.path().join("{workers} {action}; $(x)");
    let argv = json!(["/usr/bin/touch", touched]);
    let rules = acting(&json!({ "command": { "argv": argv } }));
    let mut world = alone(World::with_config("autoscale.json", &rules).start());
    flag(&world, "AUTOSCALE_ENABLED", true);
    tick(&world, 3);
    assert!(made.exists(), "the words are filled in and nothing else");
    let done = world.journal_of("autoscale", "scaling.done");
    assert_eq!((&done[0]["from"], &done[0]["to"]), (&json!(1), &json!(2)));
    assert_eq!(world.get(DRYRUN).expect(200)["workers"], 2);
    world.restart();
    assert_eq!(world.get(DRYRUN).expect(200)["workers"], 2);
    // Ten idle ticks take it away again; one that fails changes nothing.
    for _ in 0..10 {
        tick(&world, 0);
    }
    assert_eq!(world.get(DRYRUN).expect(200)["workers"], 1);
    let failing = json!({ "command": { "argv": ["/bin/false"] } });
    world.save("autoscale.json", &acting(&failing));
    world.until("the file is in force", |world| {
        let accepted = world.journal_of("configs", "config.accepted");
        accepted
            .iter()
            .filter(|line| line["file"] == "autoscale.json")
            .count()
            > 1
    });
    world.advance(MINUTE);
    tick(&world, 3);
    assert_eq!(world.journal_of("autoscale", "scaling.failed").len(), 1);
    assert_eq!(world.get(DRYRUN).expect(200)["workers"], 1);
    assert_eq!(last_run(&world)["outcome"], "failed");
}

#[test]
fn a_command_that_says_much_or_leaves_a_worker_behind_is_not_cut_off() {
    let home = tempfile::tempdir().expect("a folder");
    let made = home.path().join("made");
    let run = |script: String| {
        let argv = json!(["/bin/sh", "-c", script]);
        let rules = acting(&json!({ "command": { "argv": argv } }));
        let world = alone(World::with_config("autoscale.json", &rules).start());
        flag(&world, "AUTOSCALE_ENABLED", true);
        tick(&world, 3);
        world.until("the step ends", |world| {
            let ends = ["scaling.done", "scaling.failed"];
            let ended = |kind: &&str| !world.journal_of("autoscale", kind).is_empty();
            ends.iter().any(ended)
        });
        let done = world.journal_of("autoscale", "scaling.done");
        assert_eq!(done.len(), 1, "{:?}", world.journal("autoscale"));
        done[0]["detail"].as_str().expect("what it said").to_owned()
    };
    // Far more than a pipe holds; what is kept is the end.
    let said = run(format!(
        "i=0; while [ $i -lt 4000 ]; do echo line $i of what is told here; i=$((i+1)); done; \
         touch {}",
        made.display()
    ));
    assert!(made.exists());
    assert!(said.ends_with("line 3999 of what is told here"), "{said}");
    assert!(said.len() <= 2048);
    // The worker holds on to the output for as long as it lives.
    assert_eq!(run("sleep 20 & echo begun".to_owned()), "begun");
}

#[test]
fn a_command_that_takes_too_long_is_ended_with_all_it_began() {
    let home = tempfile::tempdir().expect("a folder");
    let pids = home.path().join("pids");
    let script = format!("sleep 300 & echo $! > {0}; wait", pids.display());
    let argv = json!(["/bin/sh", "-c", script]);
    let rules = acting(&json!({ "command": { "argv": argv, "timeout_secs": 5 } }));
    let world = alone(World::with_config("autoscale.json", &rules).start());
    flag(&world, "AUTOSCALE_ENABLED", true);
    observe(&world, 3);
    // The task waits for its command, so the loop does not come to rest.
    world.clock.advance(MINUTE);
    let begun = || fs::read_to_string(&pids).unwrap_or_default();
    world.until("it has begun", |_| begun().ends_with('\n'));
    world.clock.advance(Duration::from_secs(6));
    world.until("the step ends", |world| {
        !world.journal_of("autoscale", "scaling.failed").is_empty()
    });
    let stat = format!("/proc/{}/stat", begun().trim());
    world.until("the grandchild is gone", |_| {
        // One that nobody has waited for yet is dead all the same.
        fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))
    });
}

#[test]
fn a_call_is_signed_and_without_a_secret_only_planned() {
    let rules = acting(&json!({ "webhook": { "url": "https://hooks.example.com/scale" } }));
    let world = alone(World::with_config("autoscale.json", &rules).start());
    flag(&world, "AUTOSCALE_ENABLED", true);
    tick(&world, 3);
    let planned = world.journal_of("autoscale", "scaling.planned");
    assert_eq!(planned[0]["detail"], "no AUTOSCALE_WEBHOOK_SECRET");
    drop(world);

    let world = World::with_config("autoscale.json", &rules);
    let fake = Arc::new(FakeOutbound::new(Arc::clone(&world.clock) as Arc<dyn Clock>));
    let call = "POST https://hooks.example.com/scale";
    fake.answers(call, FakeAnswer::http(204, ""));
    let door = Arc::clone(&fake);
    let world = world
        .with_seams(move |seams| {
            seams.outbound = Arc::clone(&door) as Arc<dyn Outbound>;
            let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
            seams
                .secrets
                .give(AUTOSCALE_WEBHOOK, Secret::new(secret.to_owned()));
        })
        .start();
    let world = alone(world);
    flag(&world, "AUTOSCALE_ENABLED", true);
    tick(&world, 3);
    assert!(
        fake.asked().iter().any(|asked| asked == call),
        "{:?}",
        fake.asked()
    );
    let done = world.journal_of("autoscale", "scaling.done");
    assert_eq!(done[0]["detail"], "answered 204");
    fake.answers(call, FakeAnswer::http(500, ""));
    tick(&world, 30);
    let failed = world.journal_of("autoscale", "scaling.failed");
    assert_eq!(failed[0]["detail"], "answered 500, 2xx is needed");
    assert_eq!(world.get(DRYRUN).expect(200)["workers"], 2);
}

#[test]
fn old_lines_are_read_and_a_step_that_was_cut_off_is_closed() {
    let mut world = alone(World::new());
    world.stop();
    let golden = include_str!("../../fixtures/logs/autoscale.ndjson");
    fs::write(world.home().join("logs/autoscale.ndjson"), golden).expect("a file");
    world = world.start();
    assert_eq!(world.get(DRYRUN).expect(200)["workers"], 2);
    world.advance(MINUTE);
    let failed = world.journal_of("autoscale", "scaling.failed");
    assert_eq!(failed[0]["step"], "step-1795262341123");
    let detail = failed[0]["detail"].as_str().expect("a detail");
    assert!(detail.contains("outcome is not known"), "{detail}");
    world.advance(MINUTE);
    assert_eq!(world.journal_of("autoscale", "scaling.failed").len(), 1);
}
