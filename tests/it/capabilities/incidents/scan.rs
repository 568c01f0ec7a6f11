//! The scan: the known words, and nothing told twice.

use std::fs;

use echopilot::platform::alerts::Severity;
use serde_json::{Value, json};

use super::{MINUTE, finding, followed, only, raise, raise_as, world};
use crate::world::World;

fn report(world: &World, name: &str, text: &str) {
    fs::write(world.home().join("logs").join(name), text).unwrap();
}

fn scan(world: &World) -> Value {
    world.post("/api/incidents/scan", &Value::Null).expect(200)
}

fn slo(world: &World) {
    let text = r#"{"ok":true,"breach":true,"objectives":[],"p95_ms":1500.0,"success_rate":0.96}"#;
    report(world, "slo_report.json", text);
}

#[test]
fn the_answer_has_its_known_shape_and_words() {
    let world = world();
    // The guard and the watch write their own reports; what is asked for is what they say.
    world
        .post("/api/tasks/slo-guard/pause", &Value::Null)
        .expect(200);
    let clean = scan(&world);
    assert_eq!(
        (
            &clean["ok"],
            &clean["breach"],
            &clean["severity"],
            &clean["details"]
        ),
        (&json!(true), &json!(false), &json!("none"), &json!([]))
    );
    assert_eq!(clean["incident_count"], 0);
    slo(&world);
    report(
        &world,
        "payout_recon.json",
        r#"{"matched":9,"missing":2,"mismatched":1,"extra":0}"#,
    );
    let two = scan(&world);
    assert_eq!(
        (&two["severity"], &two["incident_count"]),
        (&json!("MEDIUM"), &json!(2))
    );
    let host = format!(
        "{}\n",
        json!({ "ts": world.now(), "warnings": ["high_cpu", "high_ram"] })
    );
    report(&world, "ops_sentinel.ndjson", &host);
    let three = scan(&world);
    let told = json!([
        "SLO breach: P95=1500ms, Success=0.96",
        "Payout issues: 2 missing, 1 mismatched",
        "System warnings: high_cpu, high_ram",
    ]);
    assert_eq!(three["details"], told);
    assert_eq!(
        (&three["severity"], &three["breach"]),
        (&json!("HIGH"), &json!(true))
    );
}

#[test]
fn a_breach_is_told_once_and_ends_when_the_scan_is_clean() {
    let world = world();
    world
        .post("/api/tasks/slo-guard/pause", &Value::Null)
        .expect(200);
    world
        .post("/api/tasks/incident-scan/resume", &Value::Null)
        .expect(200);
    slo(&world);
    report(&world, "payout_recon.json", "{ broken");
    let first = scan(&world);
    let notes = first["notes"].to_string();
    assert!(
        notes.contains("`logs/payout_recon.json` is not JSON"),
        "{first}"
    );
    assert_eq!(first["alerted"], true);
    followed(&world);
    let lines = |world: &World| {
        let all = world.journal("alerts");
        let own = all
            .into_iter()
            .filter(|line| line["key"] == "incident:scan");
        own.map(|line| line["kind"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for _ in 0..3 {
        world.advance(MINUTE * 5);
        scan(&world);
    }
    assert_eq!(
        lines(&world),
        ["alert.fired"],
        "an unchanged breach writes nothing"
    );
    let task = world.get("/api/tasks/production-alerts").expect(200);
    assert_eq!(task["name"], "incident-scan");
    assert_eq!(task["last"]["output"]["severity"], "MEDIUM", "{task}");
    let alert = world.app().alerts.find("incident:scan").unwrap();
    assert_eq!(
        (alert.finding.severity, &*alert.finding.source),
        (Severity::Error, "incidents")
    );
    let bullet = "• SLO breach: P95=1500ms, Success=0.96";
    assert_eq!(alert.finding.annotations.get("details"), Some(bullet));
    assert_eq!(only(&world)["dedup_key"], "incident:scan");
    report(&world, "slo_report.json", r#"{"breach":false}"#);
    assert_eq!(scan(&world)["severity"], "none");
    followed(&world);
    assert_eq!(lines(&world), ["alert.fired", "alert.resolved"]);
    assert_eq!(only(&world)["state"], "resolved");
}

#[test]
fn what_the_router_lists_is_no_fault_again() {
    let world = world();
    raise(&world, "probe:web", &[]);
    let listed = |world: &World| {
        let file = world.home().join("logs/production_alerts.json");
        fs::read_to_string(file).is_ok_and(|text| text.contains("probe:web"))
    };
    world.advance(MINUTE);
    world.until("the router lists it", listed);
    let clean = scan(&world);
    assert_eq!(
        (&clean["breach"], &clean["details"]),
        (&json!(false), &json!([]))
    );
    // A report of somebody else counts, and however much it lists, little of it is quoted.
    let texts = vec!["z".repeat(300); 3000];
    report(&world, "production_alerts.json", &json!(texts).to_string());
    let told = scan(&world);
    assert_eq!(told["incident_count"], 1);
    let text = told["details"][0].as_str().unwrap();
    assert!(
        text.starts_with("Production alerts: zz") && text.len() < 5000,
        "{}",
        text.len()
    );
    assert!(text.ends_with(", and 2980 more"), "{text}");
}

#[test]
fn what_its_own_watcher_has_told_is_not_told_again() {
    let world = world();
    world
        .post("/api/tasks/slo-guard/pause", &Value::Null)
        .expect(200);
    slo(&world);
    let own = finding(
        &world,
        "slo:shop:page",
        Severity::Critical,
        &[("series", "shop")],
    );
    raise_as(&world, own);
    let told = scan(&world);
    assert_eq!(
        (&told["breach"], &told["alerted"]),
        (&json!(true), &json!(false))
    );
    assert!(world.app().alerts.find("incident:scan").is_none());
    // One fault that nobody else watches for is enough.
    report(
        &world,
        "payout_recon.json",
        r#"{"missing":1,"mismatched":0}"#,
    );
    assert_eq!(scan(&world)["alerted"], true);
}
