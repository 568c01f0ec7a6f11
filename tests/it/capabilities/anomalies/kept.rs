//! Windows survive the end of the process, however it comes.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::calls::{push, quiet, unwatched};
use crate::world::World;

const PATH: &str = "/api/anomalies/latency/samples";

/// What is known of the series; when its model was made is no state and left out.
fn known(world: &World) -> (Value, Value) {
    let mut listed = world.get("/api/anomalies").expect(200);
    let series = &mut listed["series"][0];
    series["model"]["at"] = Value::Null;
    let asked = world.get("/ops/anomaly_ai?latency_ms=250").expect(200);
    (series.take(), asked)
}

#[test]
fn a_start_finds_windows_counts_and_the_damper_as_they_were() {
    let mut world = World::new();
    unwatched(&world);
    push(&world, PATH, &quiet(600));
    world.advance(Duration::from_mins(5));
    assert_eq!(push(&world, PATH, &[250.0])["anomalies"], 1);
    world.advance(Duration::from_mins(5));
    let before = known(&world);
    assert_eq!(before.1["damped"], true, "{}", before.1);
    let checkpoint = world.home().join("logs/.views/anomalies.windows.view");
    world.kill();
    assert!(!checkpoint.exists());
    world = world.start();
    assert_eq!(known(&world), before);
    world.restart();
    assert!(checkpoint.exists());
    assert_eq!(known(&world), before);
    world.stop();
    fs::write(&checkpoint, "damaged").expect("a file");
    world = world.start();
    assert_eq!(known(&world), before);
}

#[test]
fn old_lines_are_read() {
    let mut world = World::new();
    world.stop();
    let golden = include_str!("../../../fixtures/logs/anomalies.ndjson");
    let active = world.home().join("logs/anomalies.ndjson");
    fs::write(active, golden).expect("a file");
    world = world.start();
    let listed = world.get("/api/anomalies").expect(200);
    let series = &listed["series"][0];
    assert_eq!(
        (&series["series"], &series["n"]),
        (&json!("latency"), &json!(33)),
        "{listed}"
    );
    assert_eq!(series["last_anomaly"]["sample"], 32);
    assert_eq!(series["last_anomaly"]["value"], 900.0);
}
