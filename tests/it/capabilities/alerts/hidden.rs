//! What is not told for now: silences, inhibitions, quiet hours.

use std::time::Duration;

use echopilot::platform::alerts::Severity;
use serde_json::{Value, json};

use super::{MINUTE, SECOND, looked, raise, raise_with, resolve, told, world};
use crate::world::World;

fn silence(world: &World, body: &Value) -> String {
    let made = world.post("/api/silences", body).expect(201);
    made["id"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_silenced_is_told_when_that_ends_if_it_still_holds() {
    let world = world(&json!({}));
    let body = json!({ "matchers": ["probe=a"], "for": "1h", "comment": "moving it" });
    let id = silence(&world, &body);
    raise_with(&world, "probe:a", Severity::Error, &[("probe", "a")]);
    raise_with(&world, "probe:b", Severity::Error, &[("probe", "b")]);
    world.clock.advance(30 * SECOND);
    looked(&world);
    assert_eq!(told(&world), ["chat first probe:b", "pager first probe:b"]);
    let groups = world.get("/api/alerts/groups").expect(200);
    assert!(groups.to_string().contains(&id));
    world.clock.advance(30 * MINUTE);
    looked(&world);
    assert_eq!(told(&world).len(), 2);
    let path = format!("/api/silences/{id}/expire");
    assert_eq!(
        world.post(&path, &json!({})).expect(200)["phase"],
        "expired"
    );
    world.post(&path, &json!({})).expect(409);
    world.clock.advance(5 * MINUTE);
    looked(&world);
    assert_eq!(told(&world)[2], "chat new_alerts probe:a probe:b");
}

#[test]
fn the_end_of_what_was_told_is_told_though_it_is_silenced() {
    let world = world(&json!({}));
    raise(&world, "probe:a", Severity::Warning);
    world.clock.advance(30 * SECOND);
    looked(&world);
    silence(
        &world,
        &json!({ "matchers": ["alertname=probe"], "for": "5h", "comment": "x" }),
    );
    world.clock.advance(Duration::from_hours(4) + 5 * MINUTE);
    looked(&world);
    assert_eq!(told(&world), ["chat first probe:a"], "no repeat");
    resolve(&world, "probe:a");
    world.clock.advance(5 * MINUTE);
    looked(&world);
    assert_eq!(told(&world)[1..], ["chat all_resolved -probe:a"]);
}

#[test]
fn a_silence_is_edited_and_refused_as_with_alertmanager() {
    let world = world(&json!({}));
    let first = silence(
        &world,
        &json!({ "matchers": ["a=b"], "for": "1h", "comment": "x" }),
    );
    assert_eq!(first.len(), 36);
    assert_eq!(
        first.split('-').map(str::len).collect::<Vec<_>>(),
        [8, 4, 4, 4, 12]
    );
    let starts = world.get("/api/silences").expect(200)["silences"][0]["starts_at"].clone();
    // Another end: the same silence.
    let body = json!({ "matchers": ["a=b"], "for": "2h", "comment": "longer",
                       "edits": first, "starts_at": starts });
    assert_eq!(silence(&world, &body), first);
    // Other alerts: another silence in its place.
    let body = json!({ "matchers": ["a=c"], "for": "2h", "comment": "y", "edits": first });
    let second = silence(&world, &body);
    assert_ne!(second, first);
    let all = world.get("/api/silences").expect(200);
    assert_eq!(all["count"], 2);
    assert_eq!(all["silences"][0]["id"], json!(second));
    assert_eq!(all["silences"][1]["phase"], "expired");
    assert_eq!(all["silences"][0]["by"], "desk");
    for (matchers, lasts, found) in [
        (json!([]), "1h", "without conditions"),
        (json!(["a=~.*"]), "1h", "without any label"),
        (json!(["a"]), "1h", "`a` is not allowed"),
        (json!(["a=~("]), "1h", "a regular expression"),
        (json!(["a=b"]), "1 hour", "`for`"),
        (json!(["a=b"]), "0s", "before its start"),
    ] {
        let body = json!({ "matchers": matchers, "for": lasts, "comment": "" });
        let refused = world.post("/api/silences", &body).expect(400);
        assert!(
            refused["detail"].as_str().unwrap().contains(found),
            "{refused}"
        );
    }
    world
        .post("/api/silences/absent/expire", &json!({}))
        .expect(404);
}

#[test]
fn silences_outlive_every_end_of_the_process_and_old_lines_are_read() {
    let mut world = world(&json!({}));
    let id = silence(
        &world,
        &json!({ "matchers": ["a=\"b c\""], "for": "1h", "comment": "x" }),
    );
    world.kill();
    world = world.start();
    let all = world.get("/api/silences").expect(200);
    assert_eq!(all["silences"][0]["id"], json!(id));
    assert_eq!(all["silences"][0]["matchers"], json!(["a=\"b c\""]));
    world.restart();
    assert_eq!(world.get("/api/silences").expect(200), all);
    world.stop();
    std::fs::remove_dir_all(world.home().join("logs/.views")).unwrap();
    let golden = include_str!("../../../fixtures/logs/silences.ndjson");
    std::fs::write(world.home().join("logs/silences.ndjson"), golden).unwrap();
    let world = world.start();
    let all = world.get("/api/silences").expect(200);
    let rows = all["silences"].as_array().unwrap();
    let row = |row: &Value| {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        let matchers = row["matchers"].as_array().unwrap().len();
        format!(
            "{} {} {} {matchers}",
            text("phase"),
            text("by"),
            text("ends_at")
        )
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    assert_eq!(
        rows,
        [
            "active key:alice(ab12cd34) 2026-11-21T20:00:00.000Z 2",
            "expired key:bob(0000cafe) 2026-11-21T09:30:00.000Z 1",
        ]
    );
}

#[test]
fn what_is_worse_hides_what_follows_from_it() {
    let more = json!({
        "group_by": ["..."],
        "inhibit": [{ "source": ["alertname=HostDown"], "target": ["alertname!=HostDown"],
                      "equal": ["host"] }],
    });
    let world = world(&more);
    let warning = Severity::Warning;
    raise_with(&world, "HostDown:a", warning, &[("host", "a")]);
    raise_with(&world, "DiskFull:a", warning, &[("host", "a")]);
    raise_with(&world, "DiskFull:b", warning, &[("host", "b")]);
    world.clock.advance(30 * SECOND);
    looked(&world);
    let mut all = told(&world);
    all.sort();
    assert_eq!(all, ["chat first DiskFull:b", "chat first HostDown:a"]);
    resolve(&world, "HostDown:a");
    world.clock.advance(5 * MINUTE);
    looked(&world);
    let mut all = told(&world)[2..].to_vec();
    all.sort();
    assert_eq!(
        all,
        ["chat all_resolved -HostDown:a", "chat first DiskFull:a"]
    );
}

#[test]
fn quiet_hours_hold_back_what_is_not_critical() {
    // It is Saturday noon in UTC and one o'clock in Berlin.
    let quiet = json!([{ "days": "sat", "start": "13:00", "length": "2h",
                         "zone": "Europe/Berlin" }]);
    let world = world(&json!({ "quiet_hours": quiet, "group_by": ["..."] }));
    raise(&world, "probe:a", Severity::Error);
    raise(&world, "probe:b", Severity::Error);
    raise(&world, "probe:c", Severity::Critical);
    world.clock.advance(30 * SECOND);
    looked(&world);
    let night = [
        "chat first probe:c",
        "mail first probe:c",
        "pager first probe:c",
    ];
    assert_eq!(told(&world), night);
    world.clock.advance(MINUTE);
    looked(&world);
    resolve(&world, "probe:b");
    world.clock.advance(100 * MINUTE);
    looked(&world);
    assert_eq!(told(&world), night);
    while world.now() < crate::world::at("2026-11-21T14:00:00Z") {
        world.clock.advance(SECOND);
    }
    looked(&world);
    assert_eq!(
        told(&world)[3..],
        ["chat first probe:a", "pager first probe:a"]
    );
}
