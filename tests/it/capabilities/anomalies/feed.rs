//! A series that feeds itself from what is measured anyway.

use std::time::Duration;

use echopilot::platform::samples::Rows;

use super::calls::unwatched;
use crate::world::World;

const RULES: &str = r#"{"feeds": [
    {"series": "latency", "samples": "shop", "measure": "p95_ms"},
    {"series": "faults", "samples": "shop", "measure": "bad_percent", "samples_min": 50}
]}"#;

fn begin() -> World {
    let world = World::with_config("anomalies.json", RULES).start();
    unwatched(&world);
    world
}

/// Adds requests of this minute that took `millis`, half of them bad.
fn serve(world: &World, count: u64, millis: u64) {
    let mut rows = Rows::new();
    rows.add("shop", world.now(), count, count / 2, Some(millis * 1000));
    world.app().samples.add("tests", rows);
}

fn values(world: &World, series: &str) -> Vec<f64> {
    let lines = world.journal_of("anomalies", "anomaly.sampled");
    let own = lines.iter().filter(|line| line["series"] == series);
    own.flat_map(|line| line["values"].as_array().expect("values").clone())
        .map(|value| value.as_f64().expect("a number"))
        .collect()
}

#[test]
fn each_whole_minute_with_samples_enough_becomes_one_value_once() {
    let world = begin();
    let minute = Duration::from_mins(1);
    for (count, millis) in [(50, 80), (5, 9000), (50, 90), (30, 95), (0, 0), (0, 0)] {
        serve(&world, count, millis);
        world.advance(minute);
    }
    let found = values(&world, "latency");
    assert_eq!(found.len(), 3, "{found:?}");
    for (found, near) in found.iter().zip([80.0, 90.0, 95.0]) {
        assert!((found - near).abs() <= near * 0.02, "{found}, not {near}");
    }
    assert_eq!(values(&world, "faults"), [50.0, 50.0]);
}

#[test]
fn minutes_without_a_daemon_are_made_up_for_once() {
    let mut world = begin();
    serve(&world, 50, 80);
    world.advance(Duration::from_mins(1));
    world.advance(Duration::from_mins(1));
    assert_eq!(values(&world, "latency").len(), 1);
    serve(&world, 50, 80);
    world.restart();
    world.advance(Duration::from_mins(10));
    world.advance(Duration::from_mins(1));
    assert_eq!(values(&world, "latency").len(), 2);
}

/// Keys of the detector's alert events that hold.
fn alerts(world: &World) -> Vec<String> {
    let all = world.get("/api/alerts").expect(200)["alerts"].clone();
    let all = all.as_array().expect("alerts").clone();
    let own = all.iter().filter(|one| one["source"] == "anomalies");
    own.map(|one| one["key"].as_str().expect("a key").to_owned())
        .collect()
}

#[test]
fn an_alert_does_not_outlive_what_it_is_about() {
    let mut world = begin();
    let pushed = "/api/anomalies/pushed/samples";
    super::calls::push(&world, pushed, &super::calls::quiet(50));
    super::calls::push(&world, pushed, &[9000.0]);
    let minute = Duration::from_mins(1);
    for at in 0..50 {
        serve(&world, 60, 100 + at % 10);
        world.advance(minute);
    }
    serve(&world, 60, 90_000);
    world.advance(minute);
    world.advance(minute);
    let both = ["anomaly:latency", "anomaly:pushed"];
    world.until("both alerts begin", |world| alerts(world) == both);
    // Nothing has come for `pushed` for an hour, and the feed of `latency` is taken out.
    for _ in 0..9 {
        world.advance(minute);
    }
    world.until("the first alert ends", |world| {
        alerts(world) == ["anomaly:latency"]
    });
    world.save("anomalies.json", r#"{"feeds": []}"#);
    world.restart();
    world.advance(minute);
    world.until("the alert ends", |world| alerts(world).is_empty());
}

#[test]
fn a_feed_that_finds_no_room_keeps_no_other_from_being_fed() {
    let rules = RULES.replacen('{', r#"{"series_max": 2, "#, 1);
    let world = World::with_config("anomalies.json", &rules).start();
    unwatched(&world);
    super::calls::push(&world, "/api/anomalies/one/samples", &[1.0]);
    super::calls::push(&world, "/api/anomalies/faults/samples", &[1.0]);
    for _ in 0..3 {
        serve(&world, 60, 80);
        world.advance(Duration::from_mins(1));
    }
    assert!(values(&world, "latency").is_empty());
    assert_eq!(values(&world, "faults"), [1.0, 50.0, 50.0]);
}
