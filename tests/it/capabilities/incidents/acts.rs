//! What people do to incidents, and what becomes of it.

use echopilot::platform::alerts::Severity;
use serde_json::Value;

use super::{MINUTE, end, finding, followed, id, kinds, only, raise, raise_as, say, world};

#[test]
fn acknowledging_goes_both_ways() {
    let world = world();
    raise(&world, "probe:web", &[]);
    let name = id(&only(&world));
    let path = format!("/api/incidents/{name}/acknowledge");
    let done = world.post(&path, &say("on it")).expect(200);
    assert_eq!(
        (&done["changed"], &done["incident"]["state"]),
        (&true.into(), &"acknowledged".into())
    );
    let again = world.post(&path, &Value::Null).expect(200);
    assert_eq!(again["changed"], false);
    followed(&world);
    let alert = world.app().alerts.find("probe:web").unwrap();
    assert_eq!(alert.acknowledged.unwrap().1, "desk");
    let lines = ["incident.opened", "incident.acknowledged"];
    assert_eq!(
        kinds(&world, &name),
        lines,
        "once, though the alert says it too"
    );
    // From the alert: a button in a chat.
    world.advance(MINUTE * 60);
    raise(&world, "cost:over", &[]);
    world
        .app()
        .alerts
        .acknowledge(["cost:over"], "telegram:7", world.now());
    followed(&world);
    let list = world.get("/api/incidents?state=acknowledged").expect(200);
    assert_eq!(list["count"], 2);
    assert_eq!(list["incidents"][0]["acknowledged_by"], "telegram:7");
}

#[test]
fn resolved_by_hand_it_stays_so_until_it_is_worse_or_somebody_says_otherwise() {
    let world = world();
    raise(&world, "probe:web", &[]);
    let name = id(&only(&world));
    let path = |verb: &str| format!("/api/incidents/{name}/{verb}");
    world
        .post(&path("resolve"), &say("rolled back"))
        .expect(200);
    let again = world.post(&path("resolve"), &say("again")).expect(200);
    assert_eq!(again["changed"], false);
    world.post(&path("acknowledge"), &Value::Null).expect(409);
    let mut worse = finding(&world, "probe:web", Severity::Error, &[]);
    worse.summary = "other words".to_owned();
    raise_as(&world, worse.clone());
    assert_eq!(only(&world)["state"], "resolved");
    worse.severity = Severity::Critical;
    raise_as(&world, worse);
    assert_eq!(only(&world)["state"], "open");
    world.post(&path("resolve"), &Value::Null).expect(200);
    world.post(&path("reopen"), &say("still there")).expect(200);
    world
        .post(&path("notes"), &say("the disk | was *full*"))
        .expect(201);
    world.post(&path("notes"), &say(" ")).expect(400);
    end(&world, "probe:web");
    let whole = world
        .get(&path("export").replace("/export", ""))
        .expect(200);
    assert_eq!(whole["state"], "resolved");
    let text = world.get(&path("export")).expect(200);
    let text = text.as_str().unwrap();
    for part in [
        "## Summary",
        "## Impact",
        "## Timeline",
        "## Changes in the 60 minutes before",
        "## What helped",
        "## Follow-ups",
        "the disk \\| was \\*full\\*",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_is_not_there_is_told_as_such() {
    let world = world();
    for path in ["", "/export"] {
        let path = format!("/api/incidents/inc-20990101-1{path}");
        assert_eq!(world.get(&path).expect(404)["error"], "incident_not_found");
    }
    for verb in ["acknowledge", "resolve", "reopen", "notes"] {
        let path = format!("/api/incidents/inc-20990101-1/{verb}");
        world.post(&path, &say("x")).expect(404);
    }
    for query in ["state=closed", "limit=0", "limit=501", "other=1"] {
        world.get(&format!("/api/incidents?{query}")).expect(400);
    }
}
