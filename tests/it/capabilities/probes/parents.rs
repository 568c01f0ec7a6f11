//! A parent that is down speaks for its children.

use std::time::Duration;

use echopilot::seams::outbound::FakeAnswer;
use serde_json::json;

use super::world::{World, config, tcp};

/// A parent that is looked at seldom, and `count` children that are looked at often.
fn family(count: usize) -> serde_json::Value {
    let parent = tcp("router", &json!({ "interval_secs": 600 }));
    let child = |number| {
        tcp(
            &format!("child-{number:02}"),
            &json!({ "parent": "router" }),
        )
    };
    config((0..count).map(child).chain([parent]))
}

fn all(world: &World, count: usize, answer: &FakeAnswer) {
    world.tcp("router", answer.clone());
    for number in 0..count {
        world.tcp(&format!("child-{number:02}"), answer.clone());
    }
}

#[tokio::test]
async fn thirty_children_of_a_dead_parent_are_one_alert() {
    let world = World::begin(&family(30));
    all(&world, 30, &FakeAnswer::open());
    world.pass(45).await;
    // The parent's next look is ten minutes away; its children's are not.
    all(&world, 30, &FakeAnswer::hangs());
    world.pass(240).await;
    assert_eq!(world.alerts().await, ["alert.fired probe:router"]);
    for number in 0..30 {
        assert_eq!(
            world.state(&format!("child-{number:02}")).await,
            "suppressed"
        );
    }
    let told = world.told().await;
    let suppressed = told
        .iter()
        .filter(|line| line.starts_with("probe.suppressed"));
    assert_eq!(
        (told.len(), suppressed.count()),
        (31, 30),
        "recorded, not alerted"
    );
    assert_eq!(world.lines("probes").await[1]["parent"], "router");

    all(&world, 30, &FakeAnswer::open());
    world.pass(700).await;
    let alerts = world.alerts().await;
    assert_eq!(
        alerts,
        ["alert.fired probe:router", "alert.resolved probe:router"]
    );
    for number in 0..30 {
        assert_eq!(world.state(&format!("child-{number:02}")).await, "up");
    }
}

#[tokio::test]
async fn thirty_children_before_their_parent_was_ever_looked_at_are_one_alert() {
    let world = World::begin(&family(30));
    world.pass(240).await;
    assert_eq!(world.alerts().await, ["alert.fired probe:router"]);
}

#[tokio::test]
async fn a_child_that_fails_alone_is_told() {
    let world = World::begin(&family(2));
    all(&world, 2, &FakeAnswer::open());
    world.pass(45).await;
    world.tcp("child-00", FakeAnswer::refused());
    let asked = |world: &World| {
        let calls = world.net.asked();
        calls.iter().filter(|call| call.contains("router")).count()
    };
    let before = asked(&world);
    world.pass(60).await;
    assert_eq!(world.alerts().await, ["alert.fired probe:child-00"]);
    let times = asked(&world) - before;
    assert!(
        (1..=3).contains(&times),
        "the parent was looked at once a failure: {times}"
    );
    // Once it is told, its failures are no reason to look at the parent any more.
    let before = asked(&world);
    world.pass(300).await;
    assert_eq!(asked(&world), before);
}

#[tokio::test]
async fn a_child_that_stays_away_is_told_once_its_parent_is_back() {
    let world = World::begin(&family(2));
    world.pass(240).await;
    assert_eq!(world.state("child-00").await, "suppressed");
    world.tcp("router", FakeAnswer::open());
    world.tcp("child-01", FakeAnswer::open());
    let (_, told) = world.ask("POST", "/api/probes/router/check").await;
    assert_eq!(told["state"], "down", "one success is none");
    world.ask("POST", "/api/probes/router/check").await;
    assert_eq!(world.state("child-00").await, "failing", "it counts anew");
    world.pass(60).await;
    assert_eq!(world.state("child-00").await, "down");
    assert_eq!(world.state("child-01").await, "up");
    let alerts = world.alerts().await;
    assert_eq!(
        alerts[1..],
        ["alert.resolved probe:router", "alert.fired probe:child-00"]
    );
    assert!(
        world
            .told()
            .await
            .contains(&"probe.released child-00".to_owned())
    );
}

#[tokio::test]
async fn grandchildren_are_spoken_for_too() {
    let world = World::begin(&config([
        tcp("line", &json!({ "interval_secs": 600 })),
        tcp("router", &json!({ "interval_secs": 300, "parent": "line" })),
        tcp("server", &json!({ "parent": "router" })),
        tcp(
            "shop",
            &json!({ "parent": "server", "failures_to_open": 1 }),
        ),
    ]));
    world.pass(400).await;
    assert_eq!(world.alerts().await, ["alert.fired probe:line"]);
    for name in ["router", "server", "shop"] {
        assert_eq!(world.state(name).await, "suppressed", "{name}");
    }
    for name in ["line", "router", "server", "shop"] {
        world.tcp(name, FakeAnswer::open());
    }
    world.pass(700).await;
    assert_eq!(world.alerts().await.len(), 2);
    for name in ["line", "router", "server", "shop"] {
        assert_eq!(world.state(name).await, "up", "{name}");
    }
}

#[tokio::test]
async fn a_parent_in_maintenance_speaks_for_its_children() {
    let mut rules = family(3);
    rules["maintenance"] = json!([{ "probes": ["router"], "start": "12:00", "length": "5m" }]);
    let world = World::begin(&rules);
    world.pass(240).await;
    assert!(world.alerts().await.is_empty());
    world.pass(840).await;
    assert_eq!(world.alerts().await, ["alert.fired probe:router"]);
}

#[tokio::test]
async fn a_parent_that_answers_slowly_keeps_no_alert_back() {
    let slow = json!({ "interval_secs": 600, "timeout_secs": 60 });
    let world = World::begin(&config([
        tcp("router", &slow),
        tcp("child", &json!({ "parent": "router" })),
    ]));
    // Its answer is good each time, and older than the child's next failure when it comes.
    let answer = FakeAnswer::open().after(Duration::from_secs(15));
    world.tcp("router", answer);
    world.pass(180).await;
    assert_eq!(world.alerts().await, ["alert.fired probe:child"]);
}
