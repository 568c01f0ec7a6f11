//! What Alertmanager's clients ask for, and the shapes that they read.

use echopilot::platform::alerts::{Finding, Severity};
use serde_json::{Value, json};

use crate::world::World;

/// Without channels, so that nothing is told.
fn desk() -> World {
    World::with_config("alerts.json", "{}").start()
}

fn raise(world: &World, labels: &Value) {
    world
        .post("/api/v2/alerts", &json!([{ "labels": labels }]))
        .expect(200);
}

/// Names of the alerts that `query` lists, sorted.
fn names(world: &World, query: &str) -> Vec<String> {
    let list = world.get(&format!("/api/v2/alerts?{query}")).expect(200);
    let name = |alert: &Value| alert["labels"]["alertname"].as_str().unwrap().to_owned();
    let mut names: Vec<_> = list.as_array().unwrap().iter().map(name).collect();
    names.sort();
    names
}

fn silence(world: &World, id: &str, matcher: &Value) -> String {
    let body = json!({
        "id": id, "matchers": [matcher], "startsAt": "2026-11-21T11:00:00Z",
        "endsAt": "2026-11-21T14:00:00.5+01:00", "createdBy": "alice", "comment": "known",
    });
    let told = world.post("/api/v2/silences", &body).expect(200);
    told["silenceID"].as_str().unwrap().to_owned()
}

#[test]
fn alerts_are_listed_as_asked() {
    let world = desk();
    raise(
        &world,
        &json!({"alertname": "Disk", "host": "a", "severity": "critical"}),
    );
    raise(&world, &json!({"alertname": "Load", "host": "a"}));
    raise(&world, &json!({"alertname": "Load", "host": "b"}));
    let own = Finding {
        key: "probe:web".into(),
        source: "probes".into(),
        severity: Severity::Error,
        summary: "`web` answers 500".into(),
        started_at: world.now(),
        labels: [("probe", "web")].into(),
        ..Finding::default()
    };
    world.app().alerts.raise(own, world.now());
    world.until("all hold", |world| names(world, "").len() == 4);
    assert_eq!(names(&world, "filter=host%3Da"), ["Disk", "Load"]);
    assert_eq!(
        names(&world, "filter=host%3Da&filter=alertname%3D~%22L.*%22"),
        ["Load"]
    );
    assert_eq!(
        names(&world, "filter=source%3D%22probes%22&limit=7"),
        ["probe"]
    );
    assert_eq!(names(&world, "receiver=nobody"), [""; 0]);
    assert_eq!(names(&world, "receiver=lo.&active=true").len(), 4);
    assert!(names(&world, "active=false").is_empty());
    let told = world.get("/api/v2/alerts?filter=host").expect(400);
    assert!(told.as_str().unwrap().contains("`host`"), "{told}");
    let list = world
        .get("/api/v2/alerts?filter=alertname%3Dprobe")
        .expect(200);
    let probe = &list[0];
    assert_eq!(probe["annotations"]["summary"], "`web` answers 500");
    assert_eq!(probe["status"]["state"], "active");
    assert_eq!(probe["labels"]["severity"], "error");
    let groups = world.get("/api/v2/alerts/groups").expect(200);
    let counts: Vec<_> = groups.as_array().unwrap().iter().collect();
    let total: usize = counts
        .iter()
        .map(|group| group["alerts"].as_array().unwrap().len())
        .sum();
    assert_eq!(total, 4, "{groups}");
    assert_eq!(counts[0]["receiver"]["name"], "log");
}

#[test]
fn a_silence_hides_is_shown_and_ends() {
    let world = desk();
    raise(&world, &json!({"alertname": "Disk", "host": "a"}));
    raise(&world, &json!({"alertname": "Load", "host": "b"}));
    let matcher = json!({"name": "host", "value": "a|c", "isRegex": true});
    let id = silence(&world, "", &matcher);
    assert_eq!(names(&world, "silenced=false"), ["Load"]);
    assert_eq!(names(&world, "active=false"), ["Disk"]);
    let list = world.get("/api/v2/alerts?filter=host%3Da").expect(200);
    let suppressed = json!({
        "state": "suppressed", "silencedBy": [id], "inhibitedBy": [], "mutedBy": [],
    });
    assert_eq!(list[0]["status"], suppressed);
    let one = world.get(&format!("/api/v2/silence/{id}")).expect(200);
    let expected = json!({
        "id": id, "status": {"state": "active"}, "comment": "known", "createdBy": "alice",
        "startsAt": "2026-11-21T12:00:00.000Z", "endsAt": "2026-11-21T13:00:00.500Z",
        "updatedAt": "2026-11-21T12:00:00.000Z",
        "matchers": [{"name": "host", "value": "a|c", "isRegex": true, "isEqual": true}],
    });
    assert_eq!(one, expected);
    for (query, count) in [
        ("", 1),
        ("?creator=alice&creator=bob", 1),
        ("?creator=bob", 0),
        ("?filter=host%3D%22a%7Cc%22", 1),
        ("?filter=host%3Db", 0),
    ] {
        let list = world.get(&format!("/api/v2/silences{query}")).expect(200);
        assert_eq!(list.as_array().unwrap().len(), count, "{query}");
    }
    let deleted = world.call("DELETE", &format!("/api/v2/silence/{id}"), &Value::Null);
    assert_eq!(deleted.expect(200), "");
    assert_eq!(names(&world, "silenced=false").len(), 2);
    let one = world.get(&format!("/api/v2/silence/{id}")).expect(200);
    assert_eq!(one["status"]["state"], "expired");
}

#[test]
fn a_bad_silence_is_refused_in_a_string() {
    let world = desk();
    let gone = "/api/v2/silence/0b4f4ba4-3f2c-4c0e-9a6b-000000000000";
    assert!(world.get(gone).expect(404).is_string());
    assert!(
        world
            .call("DELETE", gone, &Value::Null)
            .expect(404)
            .is_string()
    );
    let post = |body: &Value| world.post("/api/v2/silences", body).expect(400);
    assert!(
        post(&json!({"matchers": []}))
            .as_str()
            .unwrap()
            .contains("cannot be read")
    );
    let mut body = json!({
        "matchers": [{"name": "a", "value": "(", "isRegex": true}],
        "startsAt": "2026-11-21T12:00:00Z", "endsAt": "2026-11-21T13:00:00Z",
        "createdBy": "alice", "comment": "",
    });
    assert!(post(&body).as_str().unwrap().contains("regular expression"));
    body["matchers"] = json!([{"name": "a", "value": "b", "isRegex": false}]);
    body["endsAt"] = json!("2026-11-21T11:00:00Z");
    assert!(post(&body).as_str().unwrap().contains("end"));
    body["id"] = json!("0b4f4ba4-3f2c-4c0e-9a6b-000000000000");
    body["endsAt"] = json!("2026-11-21T13:00:00Z");
    let unknown = world.post("/api/v2/silences", &body).expect(404);
    assert!(unknown.is_string(), "{unknown}");
}

#[test]
fn what_hides_something_else_is_named() {
    let rules = r#"{"inhibit":[{"source":["alertname=HostDown"],
        "target":["alertname!=HostDown"],"equal":["host"]}]}"#;
    let world = World::with_config("alerts.json", rules).start();
    raise(&world, &json!({"alertname": "HostDown", "host": "a"}));
    raise(&world, &json!({"alertname": "Disk", "host": "a"}));
    raise(&world, &json!({"alertname": "Disk", "host": "b"}));
    assert_eq!(names(&world, "inhibited=false"), ["Disk", "HostDown"]);
    let hidden = world.get("/api/v2/alerts?active=false").expect(200);
    assert_eq!(hidden.as_array().unwrap().len(), 1);
    assert_eq!(hidden[0]["labels"]["host"], "a");
    let source = world
        .get("/api/v2/alerts?filter=alertname%3DHostDown")
        .expect(200);
    assert_eq!(
        hidden[0]["status"]["inhibitedBy"],
        json!([source[0]["fingerprint"]])
    );
}

#[test]
fn what_runs_is_told() {
    let world = desk();
    let status = world.get("/api/v2/status").expect(200);
    assert_eq!(status["cluster"]["status"], "disabled");
    assert_eq!(status["uptime"], "2026-11-21T12:00:00.000Z");
    assert!(status["versionInfo"]["version"].is_string());
    let yaml = status["config"]["original"].as_str().unwrap();
    assert!(yaml.contains("receivers:\n- name: \"log\"\n"), "{yaml}");
    let receivers = world.get("/api/v2/receivers").expect(200);
    assert_eq!(receivers, json!([{"name": "log"}]));
}
