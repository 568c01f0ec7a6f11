//! Asking and training over HTTP.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::World;

const LATENCY: &str = "/api/anomalies/latency/samples";

/// Quiet values: 100 … 109.
pub(super) fn quiet(count: u32) -> Vec<f64> {
    (0..count).map(|at| 100.0 + f64::from(at % 10)).collect()
}

/// Pushes values and gives the answer.
pub(super) fn push(world: &World, path: &str, values: &[f64]) -> Value {
    world.post(path, &json!({ "values": values })).expect(200)
}

/// Pauses the watch of the machine, which looks twice, a while apart: on a stepped clock it would
/// never be done.
pub(super) fn unwatched(world: &World) {
    world
        .post("/api/tasks/ops-sentinel/pause", &Value::Null)
        .expect(200);
}

#[test]
fn the_legacy_answers_are_kept_field_for_field() {
    let world = World::new();
    let ask = "/ops/anomaly_ai?latency_ms=900";
    let untrained = world.get(ask).expect(200);
    assert_eq!(untrained["ready"], false);
    assert_eq!(untrained["reason"], "model_not_trained");
    push(&world, LATENCY, &quiet(29));
    assert_eq!(world.get(ask).expect(200)["ready"], false);
    let taken = world.post(LATENCY, &json!({ "value": 109 })).expect(200);
    assert_eq!(taken["n"], 30);
    let told = world.get(ask).expect(200);
    assert_eq!(told["ready"], true);
    assert_eq!(told["anomaly"], true);
    assert_eq!(told["latency_ms"], 900);
    assert_eq!(told["method"], "z-score+iqr");
    // 100 … 109 three times: mean 104.5, deviation √8.25, quartiles 102 and 107.
    let z = 795.5 / 8.25_f64.sqrt();
    let score = (z / 5.5).min(793.0 / (2.75 * 5.0)) - 1.0;
    for (field, expected) in [("z_score", z), ("score", score)] {
        let found = told[field].as_f64().expect("a number");
        assert!(
            (found - expected).abs() < 1e-9,
            "{field}: {found}, not {expected}"
        );
    }
    let usual = world.get("/ops/anomaly_ai?latency_ms=104.5").expect(200);
    assert_eq!(usual["anomaly"], false);
    assert_eq!(usual["score"], -1.0);
}

#[test]
fn a_question_trains_nothing() {
    let world = World::new();
    push(&world, LATENCY, &quiet(50));
    let ask = "/ops/anomaly_ai?latency_ms=900";
    let first = world.get(ask).expect(200);
    for _ in 0..200 {
        assert_eq!(world.get(ask).expect(200), first);
    }
    let listed = world.get("/api/anomalies").expect(200);
    assert_eq!(listed["series"][0]["n"], 50);
    assert_eq!(listed["series"][0]["last_anomaly"], Value::Null);
}

#[test]
fn what_cannot_be_measured_is_refused_and_leaves_nothing() {
    let world = World::new();
    for bad in ["", "?latency_ms=", "?latency_ms=NaN", "?latency_ms=1e999"] {
        let refused = world.get(&format!("/ops/anomaly_ai{bad}")).expect(400);
        let hint = refused["hint"].as_str().expect("a hint");
        assert!(!hint.is_empty(), "{refused}");
    }
    for (path, body, code) in [
        (LATENCY, json!({ "values": [1, 2, 1e200] }), "bad_value"),
        (LATENCY, json!({ "values": [] }), "bad_values"),
        (LATENCY, json!({}), "bad_values"),
        (LATENCY, json!({ "value": 1, "values": [2] }), "bad_body"),
        (LATENCY, json!({ "value": "fast" }), "bad_body"),
        (
            "/api/anomalies/-x/samples",
            json!({ "value": 1 }),
            "bad_series",
        ),
    ] {
        assert_eq!(world.post(path, &body).expect(400)["error"], code, "{body}");
    }
    assert_eq!(world.get("/api/anomalies").expect(200)["count"], 0);
}

#[test]
fn an_anomaly_is_told_written_and_alerted_and_ends() {
    let world = World::new();
    unwatched(&world);
    let path = "/api/anomalies/checkout.p95/samples";
    push(&world, path, &quiet(500));
    world.advance(Duration::from_mins(5));
    let taken = push(&world, path, &[105.0, 400.0, 400.0, 800.0]);
    let told = |field: &str| -> Vec<Value> {
        let verdicts = taken["verdicts"].as_array().expect("verdicts");
        verdicts.iter().map(|one| one[field].clone()).collect()
    };
    assert_eq!(told("anomaly"), [false, true, false, true]);
    assert_eq!(told("damped"), [false, false, true, false]);
    assert_eq!(taken["anomalies"], 2);
    let found = world.journal_of("anomalies", "anomaly.detected");
    let samples: Vec<_> = found.iter().map(|line| line["sample"].clone()).collect();
    assert_eq!(samples, [502, 504]);
    let ours = |world: &World| {
        let alerts = world.get("/api/alerts").expect(200)["alerts"].clone();
        let alerts = alerts.as_array().expect("alerts").clone();
        alerts
            .iter()
            .any(|one| one["key"] == "anomaly:checkout.p95")
    };
    world.until("the alert begins", ours);
    let listed = world.get("/api/anomalies").expect(200);
    assert_eq!(listed["series"][0]["anomalies"], 2);
    assert_eq!(listed["series"][0]["last_anomaly"]["value"], 800.0);
    // Nine calm values leave it open, the tenth ends it.
    push(&world, path, &quiet(9));
    world.settle();
    assert!(ours(&world));
    push(&world, path, &quiet(1));
    world.until("the alert ends", |world| !ours(world));
}

#[test]
fn series_are_bounded() {
    let world = World::with_config("anomalies.json", r#"{"series_max": 2}"#).start();
    for name in ["a", "b", "a"] {
        push(&world, &format!("/api/anomalies/{name}/samples"), &[1.0]);
    }
    let refused = world.post("/api/anomalies/c/samples", &json!({ "value": 1 }));
    assert_eq!(refused.expect(409)["error"], "too_many_series");
    assert_eq!(world.get("/api/anomalies").expect(200)["count"], 2);
}

#[test]
fn limits_are_the_files() {
    let rules = r#"{"z_limit": 2, "iqr_limit": 1, "ready": 5}"#;
    let world = World::with_config("anomalies.json", rules).start();
    push(&world, LATENCY, &quiet(10));
    let told = world.get("/ops/anomaly_ai?latency_ms=113").expect(200);
    assert_eq!(
        (&told["ready"], &told["anomaly"]),
        (&json!(true), &json!(true))
    );
}
