//! The life of an incident: opened, joined, resolved, opened again, over restarts.

use echopilot::platform::alerts::Severity;
use serde_json::json;

use super::{MINUTE, all, end, finding, id, kinds, only, raise, raise_as, world};
use crate::world::World;

#[test]
fn an_error_opens_an_incident_and_its_end_resolves_it() {
    let world = world();
    let warning = finding(&world, "host:high_cpu", Severity::Warning, &[]);
    raise_as(&world, warning);
    assert!(all(&world).is_empty(), "a warning is no incident");
    let mut bad = finding(&world, "probe:web", Severity::Critical, &[("probe", "web")]);
    bad.started_at = world.now() - MINUTE * 2;
    raise_as(&world, bad.clone());
    // The same again, in other words, is the same.
    bad.summary = "still bad".to_owned();
    raise_as(&world, bad);
    let incident = only(&world);
    assert!(id(&incident).starts_with("inc-20261121-"));
    assert_eq!(incident["state"], "open");
    assert_eq!(incident["severity"], "critical");
    assert_eq!(incident["title"], "probe:web is bad");
    assert_eq!(incident["started_at"], "2026-11-21T11:58:00.000Z");
    assert_eq!(incident["detected_at"], "2026-11-21T12:00:00.000Z");
    let id = id(&incident);
    world.advance(MINUTE * 3);
    end(&world, "probe:web");
    let incident = only(&world);
    assert_eq!(incident["state"], "resolved");
    assert_eq!(incident["resolved_by"], "");
    assert_eq!(incident["resolved_at"], "2026-11-21T12:03:00.000Z");
    let lines = [
        "incident.opened",
        "incident.alert_ended",
        "incident.resolved",
    ];
    assert_eq!(kinds(&world, &id), lines);
    let stats = world.get("/api/incidents/stats").expect(200);
    assert!(stats["stats"]["mttr"]["n"].as_u64() >= Some(1), "{stats}");
    let whole = world.get(&format!("/api/incidents/{id}")).expect(200);
    let told: Vec<_> = whole["timeline"].as_array().unwrap().iter().collect();
    assert_eq!(told[0]["what"], "started", "{whole}");
    assert_eq!(told.last().unwrap()["what"], "resolved");
}

#[test]
fn related_alerts_join_and_unrelated_ones_do_not() {
    let world = world();
    raise(
        &world,
        "rum:shop:page",
        &[("series", "shop"), ("severity", "page")],
    );
    world.advance(MINUTE);
    // By a label, by the watcher, by neither, and too late.
    raise(&world, "log:errors", &[("series", "shop")]);
    raise(
        &world,
        "rum:mail:page",
        &[("series", "mail"), ("severity", "page")],
    );
    raise(&world, "probe:dns", &[("severity", "page")]);
    let list = all(&world);
    let keys = |one: &serde_json::Value| one["dedup_key"].as_str().unwrap().to_owned();
    let opened: Vec<_> = list.iter().rev().map(keys).collect();
    assert_eq!(opened, ["rum:shop:page", "probe:dns"]);
    assert_eq!(list[1]["alert_count"], 3);
    world.advance(MINUTE * 6);
    raise(&world, "rum:late:page", &[("series", "shop")]);
    assert_eq!(all(&world).len(), 3);
    // A child goes with its parent, whenever it comes.
    raise(&world, "probe:child", &[("parent", "probe:dns")]);
    assert_eq!(all(&world).len(), 3);
    // It is over when all of it is.
    for key in ["rum:shop:page", "log:errors"] {
        end(&world, key);
    }
    let first = all(&world).pop().unwrap();
    assert_eq!(
        (&first["state"], &first["firing"]),
        (&json!("open"), &json!(1))
    );
    end(&world, "rum:mail:page");
    assert_eq!(all(&world).pop().unwrap()["state"], "resolved");
}

#[test]
fn what_comes_back_within_half_an_hour_is_the_same_incident() {
    let world = world();
    raise(&world, "probe:web", &[]);
    let first = id(&only(&world));
    for turn in 1..=4 {
        end(&world, "probe:web");
        world.advance(MINUTE * 29);
        raise(&world, "probe:web", &[]);
        let incident = only(&world);
        assert_eq!(incident["flaps"], turn);
        assert_eq!(incident["state"], "open");
        assert_eq!(incident["flapping"], turn >= 3);
    }
    let flapped = kinds(&world, &first);
    let count = |kind: &str| flapped.iter().filter(|one| *one == kind).count();
    assert_eq!(
        (count("incident.reopened"), count("incident.flapped")),
        (4, 1)
    );
    end(&world, "probe:web");
    world.advance(MINUTE * 31);
    raise(&world, "probe:web", &[]);
    assert_eq!(all(&world).len(), 2, "later it is another one");
}

#[test]
fn nothing_is_missed_or_done_twice_over_restarts() {
    let mut world = world();
    raise(&world, "probe:web", &[]);
    let first = id(&only(&world));
    // Said, on record, and not dealt with before the end.
    let late = finding(&world, "task:backup:failed", Severity::Error, &[]);
    world.app().alerts.raise(late, world.now());
    world.block_on(world.app().alerts.settled()).unwrap();
    world.kill();
    world = world.start();
    world.until("the late one is dealt with", |world| all(world).len() == 2);
    let before = world.journal("incidents").len();
    world.restart();
    world.advance(MINUTE);
    assert_eq!(world.journal("incidents").len(), before);
    assert_eq!(id(&all(&world)[1]), first);
    // What people are told knows the incident again.
    let attached = |world: &World| world.app().alerts.attachment("probe:web");
    world.until("it is attached", |world| attached(world).is_some());
    assert_eq!(attached(&world).unwrap().incident, first);
}

#[test]
fn golden_lines_are_read_and_gone_on_with() {
    let mut world = world();
    world.stop();
    let logs = world.home().join("logs");
    let incidents = include_str!("../../../fixtures/logs/incidents.ndjson");
    let deploys = include_str!("../../../fixtures/logs/deploys.ndjson");
    std::fs::write(logs.join("incidents.ndjson"), incidents).unwrap();
    std::fs::write(logs.join("deploys.ndjson"), deploys).unwrap();
    world = world.start();
    let incident = only(&world);
    assert_eq!(incident["id"], "inc-20261121-1");
    assert_eq!(
        (&incident["state"], &incident["firing"]),
        (&json!("open"), &json!(1))
    );
    assert_eq!(
        (&incident["flaps"], &incident["flapping"]),
        (&json!(1), &json!(true))
    );
    let shown = world.get("/api/incidents/inc-20261121-1").expect(200);
    assert_eq!(shown["suspects"][0]["name"], "checkout.v2");
    // Each line but those of suspects is told, and the first bad sample and the change before it.
    let lines = incidents.lines().count();
    assert_eq!(shown["timeline"].as_array().unwrap().len(), lines - 1 + 2);
    let deploys = world.get("/api/deploys").expect(200);
    assert_eq!(deploys["deploys"][0]["id"], "ci-1042");
    let verified = world.journal("incidents");
    assert_eq!(verified.len(), lines, "nothing is written for it");
}
