//! The webhook of an Alertmanager as input.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::World;

fn message(status: &str, truncated: u64) -> Value {
    let alert = |instance: &str| {
        json!({
            "status": status,
            "labels": {"alertname": "Down", "instance": instance, "severity": "critical"},
            "annotations": {"summary": format!("{instance} does not answer")},
            "startsAt": "2026-11-21T11:58:00.123456789Z",
            "endsAt": if status == "firing" { "0001-01-01T00:00:00Z" } else { "2026-11-21T12:00:07Z" },
            "generatorURL": "http://prometheus:9090/graph",
            "fingerprint": "0123456789abcdef",
        })
    };
    json!({
        "version": "4", "groupKey": "{}:{alertname=\"Down\"}", "truncatedAlerts": truncated,
        "status": status, "receiver": "us", "groupLabels": {"alertname": "Down"},
        "commonLabels": {"alertname": "Down"}, "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": [alert("db1"), alert("db2")],
    })
}

fn keys(world: &World) -> Vec<String> {
    let alerts = world
        .get("/api/v2/alerts?filter=alertname%3DDown")
        .expect(200);
    let fingerprint = |alert: &Value| alert["fingerprint"].as_str().unwrap().to_owned();
    alerts.as_array().unwrap().iter().map(fingerprint).collect()
}

#[test]
fn a_message_is_taken_once_however_often_it_comes() {
    let world = World::new();
    for _again in 0..3 {
        let told = world
            .post("/api/alerts/webhook", &message("firing", 7))
            .expect(200);
        assert_eq!(
            (&told["accepted"], &told["truncated"]),
            (&json!(2), &json!(7))
        );
    }
    assert_eq!(world.journal_of("alerts", "alert.fired").len(), 2);
    let alerts = world.get("/api/v2/alerts").expect(200);
    assert_eq!(
        alerts[0]["annotations"]["group_key"],
        "{}:{alertname=\"Down\"}"
    );
    assert_eq!(alerts[0]["startsAt"], "2026-11-21T11:58:00.123Z");
    // The same alert sent by Prometheus itself is the same alert.
    let direct = json!([{ "labels": alerts[0]["labels"] }]);
    let before = keys(&world);
    world.post("/api/v2/alerts", &direct).expect(200);
    assert_eq!(keys(&world), before);
    // Its clock is ahead of ours: resolved is resolved.
    world
        .post("/api/alerts/webhook", &message("resolved", 0))
        .expect(200);
    assert!(keys(&world).is_empty());
    assert_eq!(world.journal_of("alerts", "alert.resolved").len(), 2);
}

#[test]
fn what_an_alertmanager_told_holds_for_a_day_without_a_word() {
    let mut world = World::new();
    world
        .post("/api/alerts/webhook", &message("firing", 0))
        .expect(200);
    world.restart();
    let hour = Duration::from_hours(1);
    world.pass(23 * hour, hour);
    assert_eq!(keys(&world).len(), 2);
    world.advance(hour);
    world.until("they have ended", |world| keys(world).is_empty());
    let mut ended = world.journal_of("alerts", "alert.resolved");
    ended.retain(|line| line["source"] == "alertmanager");
    assert_eq!(ended[0]["summary"], "not repeated for 24 h");
}

#[test]
fn what_is_no_such_message_is_refused() {
    let world = World::new();
    let mut old = message("firing", 0);
    old["version"] = json!("3");
    let told = world.post("/api/alerts/webhook", &old).expect(400);
    assert_eq!(told["error"], "bad_message");
    assert!(told["detail"].as_str().unwrap().contains("`3`"), "{told}");
    world.post("/api/alerts/webhook", &json!([])).expect(400);
    assert!(keys(&world).is_empty());
}
