//! Over every end of the process: nothing lost, nobody told twice.

use echopilot::platform::alerts::Severity;
use serde_json::json;

use super::{MINUTE, SECOND, looked, raise, resolve, told, world};

#[test]
fn what_was_told_is_not_told_again_after_a_kill() {
    let mut world = world(&json!({}));
    raise(&world, "probe:a", Severity::Error);
    world.clock.advance(30 * SECOND);
    looked(&world);
    let before = told(&world);
    assert_eq!(before, ["chat first probe:a", "pager first probe:a"]);
    for _ in 0..3 {
        world.kill();
        world = world.start();
        looked(&world);
        world.clock.advance(2 * MINUTE);
        looked(&world);
    }
    assert_eq!(told(&world), before);
}

#[test]
fn what_was_not_told_is_told_in_the_next_life() {
    let mut world = world(&json!({}));
    raise(&world, "probe:a", Severity::Error);
    world.kill();
    world.clock.advance(10 * SECOND);
    world = world.start();
    looked(&world);
    assert_eq!(told(&world), [""; 0], "it still waits for more");
    world.kill();
    world.clock.advance(MINUTE);
    world = world.start();
    looked(&world);
    assert_eq!(told(&world), ["chat first probe:a", "pager first probe:a"]);
}

#[test]
fn an_end_that_was_not_told_is_told_in_the_next_life() {
    let mut world = world(&json!({}));
    raise(&world, "probe:a", Severity::Error);
    raise(&world, "probe:b", Severity::Error);
    world.clock.advance(30 * SECOND);
    looked(&world);
    resolve(&world, "probe:a");
    resolve(&world, "probe:b");
    world.kill();
    world.clock.advance(10 * MINUTE);
    world = world.start();
    looked(&world);
    let ends = ["chat", "pager"].map(|one| format!("{one} all_resolved -probe:a -probe:b"));
    assert_eq!(told(&world)[2..], ends);
    let all = super::queued(&world);
    let last = all.iter().rfind(|one| one["channel"] == "chat").unwrap();
    assert_eq!(last["alerts"][0]["summary"], "`probe:a` is well again");
    assert_eq!(last["alerts"][0]["started_at"], "2026-11-21T12:00:00.000Z");
    world.kill();
    world = world.start();
    world.clock.advance(10 * MINUTE);
    looked(&world);
    assert_eq!(told(&world).len(), 4);
}

#[test]
fn the_end_of_what_other_routes_told_is_told_where_it_was_told() {
    let world = world(&json!({}));
    raise(&world, "probe:a", Severity::Warning);
    world.clock.advance(30 * SECOND);
    looked(&world);
    let routes = json!([{ "match": ["source=tests"], "channels": ["mail"] }]);
    world.save("alerts.json", &super::config(&json!({ "routes": routes })));
    world.until("the edit is seen", |world| {
        let fate = json!({ "labels": { "source": "tests" } });
        let fate = world.post("/api/alerts/route", &fate).expect(200);
        fate["routes"][0]["channels"] == json!(["mail"])
    });
    looked(&world);
    assert_eq!(told(&world), ["chat first probe:a", "mail first probe:a"]);
    resolve(&world, "probe:a");
    world.clock.advance(6 * MINUTE);
    looked(&world);
    let mut ends = told(&world)[2..].to_vec();
    ends.sort();
    let all = ["chat all_resolved -probe:a", "mail all_resolved -probe:a"];
    assert_eq!(ends, all);
}

#[test]
fn a_channel_with_another_name_is_told_what_the_old_one_knew() {
    let world = world(&json!({}));
    raise(&world, "probe:a", Severity::Warning);
    world.clock.advance(30 * SECOND);
    looked(&world);
    assert_eq!(told(&world), ["chat first probe:a"]);
    let mut text = super::config(&json!({}));
    text = text.replace("\"chat\"", "\"talk\"");
    world.save("alerts.json", &text);
    world.until("the edit is seen", |world| {
        let fate = json!({ "labels": { "source": "tests", "level": "warning" } });
        let fate = world.post("/api/alerts/route", &fate).expect(200);
        fate["routes"][0]["channels"] == json!(["talk"])
    });
    looked(&world);
    let both = ["chat first probe:a", "talk first probe:a"];
    assert_eq!(told(&world), both, "at once");
    resolve(&world, "probe:a");
    world.clock.advance(6 * MINUTE);
    looked(&world);
    assert_eq!(told(&world)[2..], ["talk all_resolved -probe:a"]);
}

#[test]
fn a_storm_of_twenty_thousand_is_a_handful_of_notices() {
    let world = world(&json!({}));
    let alerts = world.app().alerts.clone();
    for second in 0..20 {
        for at in 0..1000 {
            let finding = echopilot::platform::alerts::Finding {
                key: format!("probe:{second}-{at}"),
                source: "tests".into(),
                severity: Severity::Warning,
                summary: "it is not well".into(),
                started_at: world.now(),
                labels: [("host", format!("h{at}"))].into(),
                ..Default::default()
            };
            alerts.raise(finding, world.now());
        }
        world.block_on(alerts.settled()).unwrap();
        world.clock.advance(SECOND);
    }
    world.clock.advance(10 * SECOND);
    looked(&world);
    let all = super::queued(&world);
    let own: Vec<_> = all.iter().filter(|one| one["channel"] == "chat").collect();
    assert_eq!(own.len(), 1);
    assert_eq!(own[0]["more"], 19_900);
    world.clock.advance(5 * MINUTE);
    looked(&world);
    assert_eq!(told(&world).len(), 1);
}
