//! How long an alert from elsewhere holds, and what is written of it.

use std::time::Duration;

use echopilot::seams::files::{Fault, How, Op};
use serde_json::{Value, json};

use crate::world::World;

fn down(more: &Value) -> Value {
    let mut alert = json!({
        "labels": {"alertname": "Down", "instance": "db1", "severity": "page"},
        "annotations": {"summary": "db1 does not answer"},
        "generatorURL": "http://prometheus:9090/graph?g0.expr=up",
    });
    let members = alert.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    json!([alert])
}

fn post(world: &World, alerts: &Value) {
    let answer = world.post("/api/v2/alerts", alerts).expect(200);
    assert_eq!(answer, "", "as Alertmanager: nothing");
    // It is taken, and told of when its line is on the medium.
    world.drain(1);
}

/// Kinds of the lines that alerts from elsewhere have made, with how each ended.
fn lines(world: &World) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = world.journal("alerts");
    lines.retain(|line| text(&line["key"]).starts_with("am:"));
    let of = |line: &Value| (text(&line["kind"]), text(&line["summary"]));
    lines.iter().map(of).collect()
}

fn held(world: &World) -> usize {
    let list = world
        .get("/api/v2/alerts?filter=alertname%3DDown")
        .expect(200);
    list.as_array().unwrap().len()
}

fn until_over(world: &World, how: &str) {
    world.until("it has ended", |world| held(world) == 0);
    let lines = lines(world);
    let (kind, summary) = lines.last().unwrap();
    assert_eq!((&**kind, &**summary), ("alert.resolved", how));
}

#[test]
fn a_repeat_writes_nothing_and_silence_of_five_minutes_ends_it() {
    let world = World::new();
    post(&world, &down(&json!({})));
    for _minute in 0..10 {
        world.advance(Duration::from_mins(4));
        post(&world, &down(&json!({})));
        // Other words for the same are no event either.
        post(
            &world,
            &down(&json!({"annotations": {"summary": "for longer"}})),
        );
    }
    assert_eq!(lines(&world).len(), 1, "{:?}", lines(&world));
    let alert = &world.get("/api/alerts").expect(200)["alerts"][0];
    assert_eq!(alert["summary"], "for longer");
    assert_eq!(
        (&alert["severity"], &alert["source"]),
        (&json!("critical"), &json!("prometheus"))
    );
    assert_eq!(
        alert["labels"]["severity"], "page",
        "labels stay as they were sent"
    );
    world.advance(Duration::from_secs(299));
    assert_eq!(held(&world), 1);
    world.advance(Duration::from_secs(1));
    until_over(&world, "not repeated for 5 min");
    assert_eq!(lines(&world).len(), 2);
}

#[test]
fn the_sender_says_when_it_ends() {
    let world = World::new();
    post(&world, &down(&json!({"endsAt": "2026-11-21T12:01:00Z"})));
    world.advance(Duration::from_secs(59));
    assert_eq!(held(&world), 1);
    world.advance(Duration::from_secs(1));
    let given = "not repeated by 2026-11-21T12:01:00.000Z, the end that its sender gave";
    until_over(&world, given);
    post(&world, &down(&json!({"startsAt": "2026-11-21T11:00:00Z"})));
    assert_eq!(held(&world), 1);
    let ended = json!({"startsAt": "2026-11-21T11:00:00Z", "endsAt": "2026-11-21T11:30:00Z"});
    post(&world, &down(&ended));
    until_over(&world, "its sender says that it has ended");
    post(&world, &down(&ended));
    assert_eq!(lines(&world).len(), 4, "what is over ends once");
    // Other parts of the daemon may have found something of their own, such as a filling disk.
    let mut fired = world.journal_of("alerts", "alert.fired");
    fired.retain(|line| line["key"].as_str().unwrap().starts_with("am:"));
    assert_eq!(fired[1]["started_at"], "2026-11-21T11:00:00.000Z");
}

#[test]
fn after_a_restart_it_has_its_time_anew() {
    let mut world = World::new();
    post(&world, &down(&json!({"endsAt": "2026-11-21T12:01:00Z"})));
    world.restart();
    world.advance(Duration::from_secs(299));
    assert_eq!(held(&world), 1);
    world.advance(Duration::from_secs(1));
    until_over(&world, "not repeated for 5 min");
}

#[test]
fn what_is_good_is_taken_whatever_is_wrong_with_the_rest() {
    let world = World::new();
    let mut alerts = down(&json!({}));
    let rest = alerts.as_array_mut().unwrap();
    rest.insert(0, json!({"labels": {}}));
    rest.push(json!({"labels": {"a": "b"}, "endsAt": "soon"}));
    let told = world.post("/api/v2/alerts", &alerts).expect(400);
    let told = told
        .as_str()
        .expect("a JSON string, as Alertmanager answers");
    assert!(
        told.contains("alert 1: ") && told.contains("alert 3: `endsAt`"),
        "{told}"
    );
    assert_eq!(held(&world), 1);
    let odd = [
        json!({}),
        json!([1]),
        json!("x"),
        json!([{"labels": {"a": 1}}]),
    ];
    for body in odd {
        let told = world.post("/api/v2/alerts", &body).expect(400);
        assert!(told.as_str().unwrap().contains("cannot be read"), "{told}");
    }
}

#[test]
fn what_is_not_on_record_is_not_acknowledged() {
    let world = World::new();
    world.files.fail(Fault {
        op: Op::Write,
        at: 1,
        forever: true,
        how: How::Enospc,
    });
    let refused = world.post("/api/v2/alerts", &down(&json!({})));
    assert_eq!(
        refused.status, 503,
        "the sender tries again: {}",
        refused.body
    );
    assert_eq!(held(&world), 0);
    world.files.heal();
    world.until("it is written after all", |world| {
        world.clock.advance(Duration::from_secs(1));
        held(world) == 1
    });
    post(&world, &down(&json!({})));
    assert_eq!(lines(&world).len(), 1);
}
