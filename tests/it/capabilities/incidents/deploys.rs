//! Releases that are told, and what incidents make of them.

use serde_json::{Value, json};

use super::{MINUTE, id, only, raise, world};

#[test]
fn a_release_is_written_once_and_suspected() {
    let mut world = world();
    let body = json!({ "service": "shop", "version": "1.4.2", "id": "ci-1042",
        "url": "https://ci.example.com/1042" });
    let made = world.post("/api/deploys", &body).expect(201);
    assert_eq!(
        (&made["recorded"], &made["deploy"]["actor"]),
        (&json!(true), &json!("desk"))
    );
    let again = world.post("/api/deploys", &body).expect(200);
    assert_eq!(
        (&again["recorded"], &again["deploy"]),
        (&json!(false), &made["deploy"])
    );
    world.restart();
    world.post("/api/deploys", &body).expect(200);
    assert_eq!(world.journal_of("deploys", "deploy.recorded").len(), 1);
    world.advance(MINUTE * 3);
    raise(&world, "slo:shop:page", &[("series", "shop")]);
    let path = format!("/api/incidents/{}", id(&only(&world)));
    let first = |path: &str| world.get(path).expect(200)["suspects"][0].clone();
    assert_eq!(first(&path)["name"], "shop");
    assert_eq!(first(&path)["kind"], "deploy");
    // One that is told late, but took effect before, is ranked again.
    let late = json!({ "service": "shop", "version": "1.4.3", "actor": "ci",
        "at": world.now() - MINUTE });
    world.post("/api/deploys", &late).expect(201);
    let first = first(&path);
    assert!(
        first["summary"].as_str().unwrap().contains("1.4.3"),
        "{first}"
    );
    let told = world.app().alerts.attachment("slo:shop:page").unwrap();
    assert!(told.causes[0].contains("1.4.3"), "{told:?}");
    let list = world.get("/api/deploys?service=shop&limit=1").expect(200);
    assert_eq!(list["deploys"][0]["version"], "1.4.3");
}

#[test]
fn what_is_no_release_is_refused_with_the_cure() {
    let world = world();
    let ahead = world.now() + MINUTE * 10;
    for body in [
        json!({ "service": "", "version": "1" }),
        json!({ "service": "a\nb", "version": "1" }),
        json!({ "service": "a", "version": "x".repeat(201) }),
        json!({ "service": "a", "version": "1", "url": "javascript:x" }),
        json!({ "service": "a", "version": "1", "at": ahead }),
        json!({ "service": "a", "version": "1", "more": 1 }),
    ] {
        let refused = world.post("/api/deploys", &body).expect(400);
        assert!(refused["hint"].is_string(), "{refused}");
    }
    assert!(
        world
            .journal("deploys")
            .iter()
            .all(|line: &Value| line["kind"] != "deploy.recorded")
    );
}
