//! Looks begin in time, whatever others do.

use std::collections::BTreeMap;
use std::time::Duration;

use echopilot::seams::outbound::FakeAnswer;
use serde_json::json;

use super::world::{World, config, tcp};

#[tokio::test]
async fn probes_that_hang_delay_no_other() {
    let hanging = (0..100).map(|number| tcp(&format!("hangs-{number}"), &json!({})));
    let quick = (0..20).map(|number| tcp(&format!("quick-{number}"), &json!({})));
    let world = World::begin(&config(hanging.chain(quick)));
    for number in 0..100 {
        world.tcp(&format!("hangs-{number}"), FakeAnswer::hangs());
    }
    for number in 0..20 {
        world.tcp(&format!("quick-{number}"), FakeAnswer::open());
    }
    world.pass(150).await;
    let (_, all) = world.ask("GET", "/api/probes").await;
    let latest = all["latest_ms"].as_u64().unwrap();
    assert!(
        latest <= 1_000,
        "{latest} ms: the clock steps by a second, nothing else delays"
    );
    assert_eq!(all["down"], 100);
    for number in 0..20 {
        let calls = world.net.asked();
        let name = format!("tcp quick-{number}.example:1");
        assert_eq!(
            calls.iter().filter(|call| **call == name).count(),
            5,
            "{name}"
        );
    }
}

#[tokio::test]
async fn five_hundred_probes_are_spread_over_their_interval() {
    let probes = (0..500).map(|number| tcp(&format!("p{number}"), &json!({})));
    let world = World::begin(&config(probes));
    for number in 0..500 {
        world.tcp(
            &format!("p{number}"),
            FakeAnswer::open().after(Duration::from_millis(100)),
        );
    }
    let mut by_second = Vec::new();
    let mut before = 0;
    for _ in 0..90 {
        world.pass(1).await;
        let asked = world.net.asked().len();
        by_second.push(asked - before);
        before = asked;
    }
    let most = by_second.iter().max().unwrap();
    assert!(*most <= 40, "500 in 30 s are 17 a second: {by_second:?}");
    let mut times = BTreeMap::<String, usize>::new();
    for call in world.net.asked() {
        *times.entry(call).or_default() += 1;
    }
    assert_eq!(times.len(), 500);
    assert!(
        times.values().all(|times| *times == 3),
        "each once an interval"
    );
    let (_, all) = world.ask("GET", "/api/probes").await;
    assert!(all["latest_ms"].as_u64().unwrap() <= 1_000);
}

#[tokio::test]
async fn a_machine_that_slept_looks_once_and_not_for_each_slot_it_missed() {
    let world = World::begin(&config([tcp("web", &json!({}))]));
    world.tcp("web", FakeAnswer::open());
    world.pass(60).await;
    let before = world.net.asked().len();
    world.clock.advance(Duration::from_hours(5));
    world.settle().await;
    assert_eq!(world.net.asked().len(), before + 1);
    world.pass(60).await;
    assert_eq!(world.net.asked().len(), before + 3);
}
