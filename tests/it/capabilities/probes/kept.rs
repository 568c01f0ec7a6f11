//! What outlives a reload and a restart, and how old lines are read.

use std::time::Duration;

use echopilot::seams::outbound::FakeAnswer;
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::world::{World, config, tcp};

#[tokio::test]
async fn a_restart_keeps_what_is_down_and_alerts_nobody_twice() {
    let rules = config([
        tcp("web", &json!({})),
        tcp("shop", &json!({ "parent": "web" })),
    ]);
    let world = World::begin(&rules);
    world.pass(180).await;
    assert_eq!(world.state("shop").await, "suppressed");
    let since = world.probe("web").await["failing_since"].clone();

    let world = world.restart(&rules, Duration::from_mins(7)).await;
    let web = world.probe("web").await;
    assert_eq!(
        (&web["state"], &web["failing_since"]),
        (&json!("down"), &since)
    );
    assert_eq!(world.state("shop").await, "suppressed");
    world.pass(180).await;
    assert_eq!(world.alerts().await, ["alert.fired probe:web"]);

    let world = world.restart(&rules, Duration::from_mins(1)).await;
    world.tcp("web", FakeAnswer::open());
    world.tcp("shop", FakeAnswer::open());
    world.pass(180).await;
    assert_eq!(world.alerts().await[1..], ["alert.resolved probe:web"]);
    let closed = world.lines("probes").await;
    let closed = closed
        .iter()
        .find(|line| line["kind"] == "probe.closed")
        .unwrap();
    assert!(closed["down_secs"].as_i64().unwrap() > 8 * 60, "{closed}");
}

#[tokio::test]
async fn a_reload_keeps_probes_that_stay_the_same() {
    let before = [
        tcp("web", &json!({})),
        tcp("gone", &json!({})),
        tcp("other", &json!({})),
    ];
    let world = World::begin(&config(before));
    world.pass(120).await;
    assert_eq!(world.alerts().await.len(), 3);
    let since = world.probe("web").await["since"].clone();

    // `web` only has another pace, `gone` goes, `other` calls something else.
    let mut other = tcp("other", &json!({}));
    other.1["tcp"]["address"] = json!("elsewhere.example:1");
    world
        .reload(&config([
            tcp("web", &json!({ "interval_secs": 60 })),
            other,
        ]))
        .await;
    let web = world.probe("web").await;
    assert_eq!((&web["state"], &web["since"]), (&json!("down"), &since));
    assert_eq!(world.state("other").await, "unknown");
    let mut ended = world.alerts().await.split_off(3);
    ended.sort();
    assert_eq!(
        ended,
        ["alert.resolved probe:gone", "alert.resolved probe:other"]
    );

    // A parent that goes gives its children free.
    let child = tcp("child", &json!({ "parent": "web" }));
    let rules = config([tcp("web", &json!({})), child]);
    world.reload(&rules).await;
    world.pass(120).await;
    assert_eq!(world.state("child").await, "suppressed");
    world.reload(&config([tcp("child", &json!({}))])).await;
    world.pass(120).await;
    assert_eq!(world.state("child").await, "down");
    assert!(
        world
            .alerts()
            .await
            .contains(&"alert.fired probe:child".to_owned())
    );
}

#[tokio::test]
async fn a_probe_that_is_gone_after_a_restart_is_closed() {
    let world = World::begin(&config([tcp("web", &json!({}))]));
    world.pass(120).await;
    let world = world.restart(&config([]), Duration::from_secs(1)).await;
    world.settle().await;
    assert_eq!(world.told().await, ["probe.opened web", "probe.closed web"]);
    assert_eq!(world.alerts().await[1..], ["alert.resolved probe:web"]);
}

#[tokio::test]
async fn uptime_is_told_by_window() {
    let rules = config([tcp("web", &json!({ "failures_to_open": 100 }))]);
    let world = World::begin(&rules);
    world.tcp("web", FakeAnswer::open());
    world.pass(30 * 60).await;
    let looks = || async {
        let (_, told) = world.ask("GET", "/ops/uptime").await;
        told["probes"]["web"].clone()
    };
    let all_good = looks().await;
    assert_eq!(all_good["uptime"]["24h"], 1.0, "{all_good}");
    assert_eq!(all_good["looks"]["1h"], 60);
    world.tcp("web", FakeAnswer::refused());
    // While it fails it is looked at each 10 s.
    world.pass(10 * 60).await;
    let told = looks().await;
    let (total, uptime) = (
        &told["looks"]["90d"],
        told["uptime"]["90d"].as_f64().unwrap(),
    );
    let bad = total.as_f64().unwrap() * (1.0 - uptime);
    assert!((55.0..=62.0).contains(&bad), "{told}");

    let world = world.restart(&rules, Duration::from_mins(1)).await;
    let (_, told) = world.ask("GET", "/ops/uptime").await;
    assert_eq!(told["probes"]["web"]["looks"]["90d"], *total, "{told}");
}

#[tokio::test]
async fn lines_of_version_1_are_read_for_ever() {
    let golden = include_str!("../../../fixtures/logs/probes.ndjson");
    let rules = config([
        tcp("web", &json!({})),
        tcp("shop", &json!({ "parent": "web" })),
        tcp("well", &json!({})),
    ]);
    let home = TempDir::new().unwrap();
    std::fs::create_dir_all(home.path().join("logs")).unwrap();
    std::fs::write(home.path().join("logs/probes.ndjson"), golden).unwrap();
    let world = World::reopen(home, &rules);
    assert_eq!(world.state("web").await, "down");
    assert_eq!(world.state("shop").await, "suppressed");
    assert_eq!(world.state("well").await, "unknown");
    let since = &world.probe("web").await["failing_since"];
    assert_eq!(since, "2026-11-21T11:00:00.000Z");
    let kinds: Vec<Value> = golden
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].clone())
        .collect();
    assert!(kinds.len() >= 8, "every kind has its line: {kinds:?}");
}

#[tokio::test]
async fn who_waits_for_a_look_is_let_go_at_the_end() {
    let world = World::begin(&config([tcp("web", &json!({}))]));
    world.tcp("web", FakeAnswer::hangs());
    let ask = || Box::pin(world.ask("POST", "/api/probes/web/check"));
    let mut asking = ask();
    let mut answer = None;
    for turn in 0..200 {
        if turn == 100 {
            assert!(answer.is_none(), "the look hangs: {answer:?}");
            let stopping = world.app.tasks.stop(&*world.clock, Duration::from_secs(5));
            assert!(stopping.await, "everything stops");
        }
        tokio::task::yield_now().await;
        answer = answer.or_else(|| asking.as_mut().now_or_never());
    }
    let (status, told) = answer.expect("an answer");
    assert_eq!(
        (status, &told["error"]),
        (503, &json!("stopping")),
        "{told}"
    );
    let mut late = ask();
    let mut answer = None;
    for _ in 0..100 {
        tokio::task::yield_now().await;
        answer = answer.or_else(|| late.as_mut().now_or_never());
    }
    assert_eq!(answer.expect("an answer").0, 503);
}

#[tokio::test]
async fn a_certificate_is_told_again_when_its_probe_comes_back_after_restarts() {
    let (name, mut probe) = tcp("app", &json!({}));
    probe.as_object_mut().unwrap().remove("tcp");
    probe["tls"] = json!({ "address": "app.example:443" });
    let rules = config([(name, probe)]);
    let show = |world: &World| {
        let cert = super::state::cert(5);
        let answer = FakeAnswer::open().cert(cert);
        world.net.answers("tls app.example:443", answer);
    };
    let world = World::begin(&rules);
    show(&world);
    world.pass(31).await;
    let fired = "alert.fired probe:app:certificate";
    assert_eq!(world.alerts().await, [fired]);
    let world = world.restart(&config([]), Duration::from_secs(1)).await;
    world.settle().await;
    assert_eq!(
        world.alerts().await[1..],
        ["alert.resolved probe:app:certificate"]
    );
    let world = world.restart(&rules, Duration::from_secs(1)).await;
    show(&world);
    world.pass(31).await;
    assert_eq!(world.alerts().await[2..], [fired]);
    // Taken out while the daemon runs, it does not come back by a restart either.
    world.reload(&config([])).await;
    let world = world.restart(&rules, Duration::from_secs(1)).await;
    show(&world);
    world.pass(31).await;
    assert_eq!(world.alerts().await[4..], [fired]);
}

#[tokio::test]
async fn a_restart_brings_no_reminder_forward() {
    let more = json!({ "reminder_minutes": 30, "failures_to_open": 1 });
    let rules = config([tcp("web", &more)]);
    let world = World::begin(&rules);
    world.pass(35 * 60).await;
    let told = ["probe.opened web", "probe.reminded web"];
    assert_eq!(world.told().await, told);
    let world = world.restart(&rules, Duration::from_secs(1)).await;
    world.pass(20 * 60).await;
    assert_eq!(world.told().await, told);
    world.pass(10 * 60).await;
    assert_eq!(world.told().await.len(), 3);
}
