//! Recovery actions: only when they are switched on, never under the brake, each on record.

use serde_json::{Value, json};

use super::{MINUTE, all, end, id, quiet, raise};
use crate::world::World;

fn flag(world: &World, key: &str, on: bool) {
    let body = json!({ "key": key, "value": on });
    world.post("/api/flags/set", &body).expect(200);
}

/// A world whose actions act, and the file that its command makes.
fn world(dry_run: bool) -> (World, tempfile::TempDir) {
    let made = tempfile::tempdir().unwrap();
    let argv = json!(["/usr/bin/touch", made.path().join("{incident} {key}")]);
    let config = json!({ "dry_run": dry_run, "actions": {
        "kill-switch": { "labels": { "series": "shop" },
            "set_flag": { "key": "payments.live", "value": false } },
        "hold": { "severity": "critical", "pause_task": "slo-guard" },
        "mark": { "source": "probe", "command": { "argv": argv } },
    } });
    let world = World::with_config("incidents.json", &config.to_string()).start();
    (quiet(world), made)
}

fn recovery(world: &World) -> Vec<(String, Value)> {
    let journal = world.journal("incidents");
    let own = journal.into_iter().filter_map(|line| {
        let kind = line["kind"].as_str()?.strip_prefix("recovery.")?.to_owned();
        // Markers of these tests are critical, and therefore hold the guard.
        (line["action"] != "hold").then(|| (kind, line["action"].clone()))
    });
    own.collect()
}

fn words(world: &World) -> Vec<String> {
    recovery(world).into_iter().map(|(kind, _)| kind).collect()
}

#[test]
fn nothing_is_done_unless_it_is_switched_on_and_the_brake_is_off() {
    let (world, made) = world(false);
    raise(&world, "rum:shop:page", &[("series", "shop")]);
    world.advance(MINUTE);
    assert!(
        recovery(&world).is_empty(),
        "switched off it is not even written down"
    );
    flag(&world, "INCIDENT_AUTORECOVER", true);
    flag(&world, "STABILIZE_MODE", true);
    for _ in 0..2 {
        raise(&world, "probe:web", &[]);
        end(&world, "probe:web");
    }
    world.until("it is told", |world| !recovery(world).is_empty());
    assert_eq!(
        recovery(&world),
        [("frozen".to_owned(), json!("mark"))],
        "told once"
    );
    assert_eq!(std::fs::read_dir(made.path()).unwrap().count(), 0);
    let flags = world.get("/api/flags/get").expect(200);
    assert_eq!(flags["flags"]["payments.live"], true);
}

#[test]
fn what_is_done_is_on_record_and_limited() {
    let (world, made) = world(false);
    flag(&world, "INCIDENT_AUTORECOVER", true);
    raise(&world, "rum:shop:page", &[("series", "shop")]);
    world.until("it is done", |world| words(world) == ["started", "done"]);
    let flags = world.get("/api/flags/get").expect(200);
    assert_eq!(flags["flags"]["payments.live"], false);
    let history = world
        .get("/api/flags/history?key=payments.live&limit=1")
        .expect(200);
    assert_eq!(history["changes"][0]["actor"], "incident-recovery");
    // Again within its cooldown it is not done.
    end(&world, "rum:shop:page");
    raise(&world, "rum:shop:page", &[("series", "shop")]);
    world.until("it is held", |world| words(world).len() == 3);
    assert_eq!(words(&world)[2], "limited");
    world.advance(MINUTE * 11);
    raise(&world, "probe:web", &[]);
    world.until("the command is done", |world| words(world).len() == 5);
    let name = id(&all(&world)[0]);
    assert!(made.path().join(format!("{name} probe:web")).exists());
    let shown = world.get(&format!("/api/incidents/{name}")).expect(200);
    let told = shown["timeline"].to_string();
    assert!(
        told.contains("recovery_started") && told.contains("recovery_done"),
        "{told}"
    );
    let task = world.get("/api/tasks/slo-guard").expect(200);
    assert!(
        task["paused"].is_object() || task["paused"] == true,
        "{task}"
    );
}

#[test]
fn as_shipped_everything_is_only_planned() {
    let (world, made) = world(true);
    flag(&world, "INCIDENT_AUTORECOVER", true);
    raise(&world, "probe:web", &[]);
    world.until("it is planned", |world| words(world) == ["planned"]);
    let line = world.journal_of("incidents", "recovery.planned");
    let own = line.iter().find(|line| line["action"] == "mark").unwrap();
    assert_eq!(
        own["detail"],
        "`dry_run` is true in `configs/incidents.json`"
    );
    assert_eq!(std::fs::read_dir(made.path()).unwrap().count(), 0);
}
