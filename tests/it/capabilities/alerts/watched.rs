//! Escalation and flapping, and the report for those who read files.

use echopilot::platform::alerts::Severity;
use serde_json::{Value, json};

use super::{MINUTE, SECOND, looked, raise, resolve, told, world};

fn escalating() -> Value {
    json!({
        "levels": { "warning": ["chat"], "error": ["chat"], "critical": ["chat"] },
        "escalate": [{ "severity": "error", "steps": [
            { "after": "15m", "channels": ["pager"] },
            { "after": "30m", "channels": ["mail"] },
        ] }],
    })
}

#[test]
fn what_nobody_takes_up_escalates_step_by_step() {
    let world = world(&escalating());
    raise(&world, "probe:a", Severity::Error);
    world.clock.advance(30 * SECOND);
    looked(&world);
    world.clock.advance(14 * MINUTE);
    looked(&world);
    assert_eq!(told(&world), ["chat first probe:a"]);
    world.clock.advance(30 * SECOND);
    looked(&world);
    assert_eq!(told(&world)[1..], ["pager escalation probe:a"]);
    world.clock.advance(15 * MINUTE);
    looked(&world);
    assert_eq!(told(&world)[2..], ["mail escalation probe:a"]);
    // Whoever heard of it hears of its end.
    resolve(&world, "probe:a");
    world.clock.advance(5 * MINUTE);
    looked(&world);
    let ends = ["chat", "mail", "pager"].map(|one| format!("{one} all_resolved -probe:a"));
    assert_eq!(told(&world)[3..], ends);
}

#[test]
fn what_somebody_takes_up_does_not_escalate() {
    let world = world(&escalating());
    raise(&world, "probe:a", Severity::Error);
    raise(&world, "probe:b", Severity::Warning);
    world.clock.advance(30 * SECOND);
    looked(&world);
    world.clock.advance(15 * MINUTE);
    looked(&world);
    let known = told(&world).len();
    assert_eq!(told(&world)[known - 1], "pager escalation probe:a");
    let body = json!({ "keys": ["probe:a"] });
    world.post("/api/alerts/acknowledge", &body).expect(200);
    let line = &world.journal_of("alerts", "alert.acknowledged")[0];
    assert_eq!(line["by"], "desk");
    world.clock.advance(20 * MINUTE);
    looked(&world);
    assert_eq!(told(&world).len(), known);
}

#[test]
fn what_comes_and_goes_is_told_once_as_flapping_until_it_is_stable() {
    let world = world(&json!({ "group_interval": "10s", "group_wait": "0s" }));
    for turn in 0..4 {
        raise(&world, "probe:a", Severity::Warning);
        world.clock.advance(10 * SECOND);
        looked(&world);
        if turn < 3 {
            resolve(&world, "probe:a");
            world.clock.advance(20 * SECOND);
            looked(&world);
        }
    }
    let all = told(&world);
    assert_eq!(
        all[..2],
        ["chat first probe:a", "chat all_resolved -probe:a"]
    );
    assert_eq!(all[6..], ["chat flapping probe:a"]);
    let notice = super::queued(&world);
    let notice = notice
        .iter()
        .find(|one| one["reason"] == "flapping")
        .unwrap();
    let summary = "flapping, 7 changes in 1 h; `probe:a` is not well";
    assert_eq!(notice["alerts"][0]["summary"], summary);
    for _ in 0..10 {
        resolve(&world, "probe:a");
        world.clock.advance(30 * SECOND);
        looked(&world);
        raise(&world, "probe:a", Severity::Warning);
        world.clock.advance(30 * SECOND);
        looked(&world);
    }
    resolve(&world, "probe:a");
    world.clock.advance(29 * MINUTE);
    looked(&world);
    assert_eq!(told(&world).len(), 7, "silence until it is stable");
    world.clock.advance(MINUTE);
    looked(&world);
    assert_eq!(told(&world)[7..], ["chat all_resolved -probe:a"]);
}

#[test]
fn the_report_shows_what_holds_the_worst_first() {
    let world = world(&json!({}));
    raise(&world, "probe:a", Severity::Warning);
    raise(&world, "probe:b", Severity::Critical);
    let read = |world: &crate::world::World| -> Value {
        let text = std::fs::read(world.home().join("logs/production_alerts.json"));
        serde_json::from_slice(&text.unwrap_or_default()).unwrap_or_default()
    };
    world.until("the report is written", |world| {
        world.clock.advance(SECOND);
        read(world)["count"] == 2
    });
    let report = read(&world);
    assert_eq!(report["ok"], true);
    let first = &report["alerts"][0];
    assert_eq!(first["level"], "critical");
    assert_eq!(first["source"], "tests");
    assert_eq!(first["summary"], "`probe:b` is not well");
    assert_eq!(first["started_at"], "2026-11-21T12:00:00.000Z");
    resolve(&world, "probe:a");
    resolve(&world, "probe:b");
    world.until("the report is empty", |world| {
        world.clock.advance(SECOND);
        read(world)["count"] == 0
    });
}
