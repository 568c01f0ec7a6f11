//! Up and down, planned failures, our own network, certificates.

use std::time::Duration;

use chrono::TimeDelta;
use echopilot::seams::outbound::{CertInfo, FakeAnswer, TlsFault};
use serde_json::{Value, json};

use super::world::{World, config, noon, tcp};

#[tokio::test]
async fn n_failures_open_and_m_successes_close() {
    let world = World::begin(&config([tcp(
        "web",
        &json!({ "labels": { "team": "shop" } }),
    )]));
    world.tcp("web", FakeAnswer::open());
    assert_eq!(world.state("web").await, "unknown");
    world.pass(31).await;
    assert_eq!(world.state("web").await, "up");

    world.tcp("web", FakeAnswer::refused());
    while world.state("web").await == "up" {
        world.pass(1).await;
    }
    assert_eq!(world.state("web").await, "failing");
    assert!(world.alerts().await.is_empty(), "one failure is none");
    world.pass(20).await;
    let probe = world.probe("web").await;
    assert_eq!(
        (&probe["state"], &probe["failures"]),
        (&json!("down"), &json!(3))
    );
    assert_eq!(world.alerts().await, ["alert.fired probe:web"]);
    let fired = &world.lines("alerts").await[0];
    assert_eq!(fired["severity"], "critical");
    assert_eq!(
        fired["labels"],
        json!({ "kind": "tcp", "probe": "web", "team": "shop" })
    );
    let summary = fired["summary"].as_str().unwrap();
    assert!(
        summary.contains("`web` (web.example:1) is down: failed 3 times"),
        "{summary}"
    );
    let opened = &world.lines("probes").await[0];
    assert_eq!(
        fired["started_at"], opened["failing_since"],
        "the first failure"
    );

    // One success is none.
    world.tcp("web", FakeAnswer::open());
    let calls = world.net.asked().len();
    while world.net.asked().len() == calls {
        world.pass(1).await;
    }
    assert_eq!(world.state("web").await, "down");
    world.pass(10).await;
    assert_eq!(world.state("web").await, "up");
    assert_eq!(world.told().await, ["probe.opened web", "probe.closed web"]);
    assert_eq!(
        world.alerts().await.last().unwrap(),
        "alert.resolved probe:web"
    );
}

#[tokio::test]
async fn a_single_failure_between_successes_is_forgotten() {
    let world = World::begin(&config([tcp("web", &json!({ "failures_to_open": 2 }))]));
    for _ in 0..5 {
        world.tcp("web", FakeAnswer::refused());
        let (status, told) = world.ask("POST", "/api/probes/web/check").await;
        assert_eq!((status, &told["state"]), (200, &json!("failing")), "{told}");
        world.tcp("web", FakeAnswer::open());
        let (_, told) = world.ask("POST", "/api/probes/web/check").await;
        assert_eq!(told["state"], "up");
    }
    assert!(world.told().await.is_empty());
}

#[tokio::test]
async fn a_check_now_answers_with_what_it_found() {
    let world = World::begin(&config([tcp("web", &json!({}))]));
    let slow = FakeAnswer::open().after(Duration::from_secs(2));
    world.tcp("web", slow);
    let checking = world.ask("POST", "/api/probes/web/check");
    let (told, ()) = tokio::join!(checking, world.pass(3));
    let (status, told) = told;
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["last"]["outcome"], "good");
    assert_eq!(told["last"]["timings_ms"]["total"], 2_000.0);
    let (status, told) = world.ask("POST", "/api/probes/wbe/check").await;
    assert_eq!((status, &told["nearest"]), (404, &json!("web")), "{told}");
}

#[tokio::test]
async fn planned_failures_count_for_nothing() {
    let mut rules = config([tcp("web", &json!({})), tcp("other", &json!({}))]);
    rules["maintenance"] = json!([
        { "probes": ["web"], "days": "sat", "start": "12:00", "length": "10m" }
    ]);
    let world = World::begin(&rules);
    world.pass(5 * 60).await;
    let web = world.probe("web").await;
    assert_eq!(
        (&web["state"], &web["last"]["outcome"]),
        (&json!("unknown"), &json!("planned"))
    );
    assert_eq!(web["maintained_until"], "2026-11-21T12:10:00.000Z");
    assert_eq!(web["uptime"]["1h"], Value::Null, "no sample");
    assert_eq!(world.state("other").await, "down");
    assert_eq!(world.alerts().await, ["alert.fired probe:other"]);
    // What still fails when the window ends is told then.
    world.pass(8 * 60).await;
    assert_eq!(world.state("web").await, "down");
    assert_eq!(world.alerts().await.len(), 2);
}

#[tokio::test]
async fn failures_of_our_own_network_are_unknown() {
    let mut rules = config([
        tcp("web", &json!({})),
        (
            "home".to_owned(),
            json!({
                "tcp": { "address": "127.0.0.1:9" }, "interval_secs": 30, "retry_secs": 10,
            }),
        ),
    ]);
    rules["connectivity"]["targets"] = json!(["1.1.1.1:443", "8.8.8.8:443"]);
    let world = World::begin(&rules);
    world.tcp("web", FakeAnswer::open());
    world.pass(35).await;
    assert!(
        !world.net.asked().iter().any(|call| call.contains(":443")),
        "nobody is asked while all is well"
    );
    // Everything is silent: it is us.
    world.tcp("web", FakeAnswer::hangs());
    world.pass(240).await;
    let web = world.probe("web").await;
    assert_eq!(
        (&web["state"], &web["last"]["outcome"]),
        (&json!("unknown"), &json!("unknown"))
    );
    assert_eq!(
        world.state("home").await,
        "down",
        "what is on this machine needs no network"
    );
    assert_eq!(world.alerts().await, ["alert.fired probe:home"]);
    let (_, all) = world.ask("GET", "/api/probes").await;
    assert!(all["offline_since"].is_string());
    let uptime = world.probe("web").await["uptime"]["1h"].clone();
    assert_eq!(uptime, 1.0, "no sample of what is not known");

    // We are back, and `web` is not: now it is told.
    world.net.answers("tcp 8.8.8.8:443", FakeAnswer::open());
    world.pass(120).await;
    assert_eq!(world.state("web").await, "down");
    let told = world.told().await;
    assert_eq!(told[0], "probe.opened home");
    assert_eq!(
        told[1..],
        [
            "connectivity.lost web",
            "connectivity.restored",
            "probe.opened web"
        ]
    );
}

pub fn cert(days: i64) -> CertInfo {
    CertInfo {
        subject: "app.example".into(),
        issuer: "Test Authority".into(),
        names: vec!["app.example".into()],
        not_before: noon() - TimeDelta::days(80),
        not_after: noon() + TimeDelta::days(days) + TimeDelta::hours(1),
    }
}

#[tokio::test]
async fn the_end_of_a_certificate_is_told_in_time() {
    let probe = json!({ "tls": { "address": "app.example:443" }, "interval_secs": 30 });
    let world = World::begin(&config([("app".to_owned(), probe)]));
    let show = |days| {
        let answer = FakeAnswer::open().cert(cert(days));
        world.net.answers("tls app.example:443", answer);
    };
    for (days, level) in [(30, "fine"), (13, "warning"), (2, "critical"), (90, "fine")] {
        show(days);
        world.pass(31).await;
        let told = world.probe("app").await;
        assert_eq!(told["state"], "up", "{told}");
        assert_eq!(told["certificate"]["level"], level, "{told}");
        assert_eq!(told["certificate"]["days_left"], days);
    }
    let alerts = world.alerts().await;
    assert_eq!(
        alerts,
        [
            "alert.fired probe:app:certificate",
            "alert.changed probe:app:certificate",
            "alert.resolved probe:app:certificate"
        ]
    );
    let changed = &world.lines("alerts").await[1];
    assert_eq!(changed["severity"], "critical");
    let summary = changed["summary"].as_str().unwrap();
    assert!(
        summary.contains("ends in 2 days, on 2026-11-23"),
        "{summary}"
    );

    // One that has ended is known although nobody trusts it.
    let expired = FakeAnswer::untrusted(TlsFault::Expired).cert(cert(-1));
    world.net.answers("tls app.example:443", expired);
    world.pass(90).await;
    let told = world.probe("app").await;
    assert_eq!(
        (&told["state"], &told["certificate"]["days_left"]),
        (&json!("down"), &json!(-1))
    );
    assert!(
        told["last"]["reason"]
            .as_str()
            .unwrap()
            .contains("has expired"),
        "{told}"
    );
}

#[tokio::test]
async fn what_stays_down_is_told_again_where_that_is_wanted() {
    let more = json!({ "reminder_minutes": 30, "failures_to_open": 1 });
    let world = World::begin(&config([tcp("web", &more)]));
    world.pass(95 * 60).await;
    let told = world.told().await;
    assert_eq!(told[0], "probe.opened web");
    assert_eq!(told[1..], ["probe.reminded web"; 3]);
    assert_eq!(
        world.alerts().await.len(),
        1,
        "whether to repeat is the router's choice"
    );
}

#[tokio::test]
async fn targets_that_our_own_rules_forbid_do_not_make_this_machine_offline() {
    let mut rules = config([tcp("web", &json!({}))]);
    rules["connectivity"] = json!({ "targets": ["192.168.1.1:53", "10.0.0.1:53"] });
    let world = World::begin(&rules);
    for target in ["192.168.1.1:53", "10.0.0.1:53"] {
        let call = format!("tcp {target}");
        world.net.answers(&call, FakeAnswer::forbidden());
    }
    world.pass(120).await;
    assert_eq!(world.alerts().await, ["alert.fired probe:web"]);
    // One that could be tried tells.
    world.net.answers("tcp 10.0.0.1:53", FakeAnswer::hangs());
    world.tcp("web", FakeAnswer::open());
    world.pass(60).await;
    world.tcp("web", FakeAnswer::refused());
    world.pass(120).await;
    let (_, told) = world.ask("GET", "/api/probes").await;
    assert!(told["offline_since"].is_string(), "{told}");
    assert_eq!(world.alerts().await.len(), 2, "fired and resolved");
}
