//! Who is told: levels, routes, the dry run, faults of the file.

use echopilot::platform::alerts::Severity;
use serde_json::{Value, json};

use super::{MINUTE, SECOND, looked, raise, raise_with, told, world};

#[test]
fn each_level_has_its_channels() {
    let world = world(&json!({ "group_by": ["..."] }));
    raise(&world, "probe:i", Severity::Info);
    raise(&world, "probe:w", Severity::Warning);
    raise(&world, "probe:e", Severity::Error);
    raise(&world, "probe:c", Severity::Critical);
    world.clock.advance(30 * SECOND);
    looked(&world);
    let mut all = told(&world);
    all.sort();
    assert_eq!(
        all,
        [
            "chat first probe:c",
            "chat first probe:e",
            "chat first probe:w",
            "mail first probe:c",
            "pager first probe:c",
            "pager first probe:e",
        ]
    );
}

#[test]
fn the_first_route_that_fits_takes_an_alert_unless_it_goes_on() {
    let routes = json!([
        { "match": ["team=ops"], "channels": ["pager"], "continue": true, "group_by": [] },
        { "match": ["team=~\"ops|web\"", "env!=test"], "channels": ["mail"] },
        { "match": ["env=test"], "channels": ["log"] },
    ]);
    let world = world(&json!({ "routes": routes }));
    let warning = Severity::Warning;
    raise_with(&world, "probe:ops", warning, &[("team", "ops")]);
    raise_with(&world, "probe:web", warning, &[("team", "web")]);
    raise_with(
        &world,
        "probe:test",
        warning,
        &[("team", "web"), ("env", "test")],
    );
    raise(&world, "probe:other", warning);
    world.clock.advance(30 * SECOND);
    looked(&world);
    let mut all = told(&world);
    all.sort();
    assert_eq!(
        all,
        [
            "chat first probe:other",
            "mail first probe:ops probe:web",
            "pager first probe:ops"
        ]
    );
}

#[test]
fn a_dry_run_tells_where_an_alert_would_go() {
    let more = json!({
        "routes": [{ "match": ["team=ops"], "channels": ["pager"], "group_by": ["team"] }],
        "inhibit": [{ "source": ["alertname=HostDown"], "target": ["team=ops"],
                      "equal": ["host"] }],
        "quiet_hours": [{ "start": "11:00", "length": "2h", "channels": ["pager"] }],
        "escalate": [{ "severity": "error", "steps": [{ "after": "15m", "channels": ["mail"] }] }],
    });
    let world = world(&more);
    raise_with(&world, "HostDown", Severity::Critical, &[("host", "a")]);
    let body = json!({ "matchers": ["team=ops"], "for": "1h", "comment": "known" });
    let silence = world.post("/api/silences", &body).expect(201);
    let labels = json!({ "alertname": "DiskFull", "team": "ops", "host": "a", "level": "error" });
    let asked = json!({ "labels": labels });
    let fate = world.post("/api/alerts/route", &asked).expect(200);
    assert_eq!(fate["dry_run"], true);
    assert_eq!(fate["level"], "error");
    let way = &fate["routes"][0];
    assert_eq!(way["route"], "team=\"ops\"");
    assert_eq!(way["group"], "team=\"ops\":{team=\"ops\"}");
    assert_eq!(way["channels"], json!(["pager"]));
    assert_eq!(way["quiet"], json!({ "pager": "2026-11-21T13:00:00.000Z" }));
    assert_eq!(fate["silenced_by"], json!([silence["id"]]));
    assert_eq!(fate["inhibited_by"], "inhibit[0]");
    let steps = json!([{ "after_secs": 900, "channels": ["mail"] }]);
    assert_eq!(fate["escalation"], steps);
    let asked = json!({ "labels": { "alertname": "DiskFull" } });
    let fate = world.post("/api/alerts/route", &asked).expect(200);
    assert_eq!(fate["routes"][0]["route"], "default");
    assert_eq!(fate["routes"][0]["channels"], json!(["chat", "pager"]));
    assert_eq!(fate["inhibited_by"], Value::Null);
}

#[test]
fn an_edit_of_the_file_is_in_force_at_once_and_tells_nothing_twice() {
    let world = world(&json!({}));
    raise(&world, "probe:a", Severity::Warning);
    world.clock.advance(30 * SECOND);
    looked(&world);
    assert_eq!(told(&world), ["chat first probe:a"]);
    let more = json!({ "levels": { "warning": ["chat", "mail"] } });
    world.save("alerts.json", &super::config(&more));
    world.until("the edit is seen", |world| {
        let fate = json!({ "labels": { "level": "warning" } });
        let fate = world.post("/api/alerts/route", &fate).expect(200);
        fate["routes"][0]["channels"] == json!(["chat", "mail"])
    });
    world.clock.advance(5 * MINUTE);
    looked(&world);
    assert_eq!(told(&world), ["chat first probe:a", "mail first probe:a"]);
}

#[test]
fn groups_show_who_was_told_and_what_hides_what() {
    let world = world(&json!({}));
    raise(&world, "probe:a", Severity::Warning);
    world.clock.advance(30 * SECOND);
    looked(&world);
    let groups = world.get("/api/alerts/groups").expect(200);
    let all = groups["groups"].as_array().unwrap();
    let own = |group: &&Value| group["route"] == "default";
    let group = all.iter().find(own).unwrap();
    assert!(group["told_at"]["chat"].is_string(), "{group}");
    assert_eq!(group["count"], 1);
    assert_eq!(group["alerts"][0]["key"], "probe:a");
    assert_eq!(group["alerts"][0]["silenced_by"], json!([]));
}
