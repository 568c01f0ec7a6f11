//! How people hear of an alert from elsewhere: by its name, wherever they look, and not put
//! together with others merely because one program sends them all.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use echopilot::base::secret::Secret;
use echopilot::seams::outbound::{FakeAnswer, FakeOutbound};
use serde_json::{Value, json};

use crate::cli::{begun, run};
use crate::daemon::Daemon;
use crate::world::{World, noon};

const SLACK: &str = "https://hooks.slack.com/services/T000/B000/secret";

fn disk(host: &str, summary: &str) -> Value {
    let labels = json!({
        "alertname": "DiskFull", "host": host, "job": "node", "severity": "error", "zone": "a",
        "zzz": "one too many",
    });
    json!([{ "labels": labels, "annotations": { "summary": summary } }])
}

#[test]
fn a_notice_names_it_as_its_sender_does() {
    let door: Arc<Mutex<Option<Arc<FakeOutbound>>>> = Arc::default();
    let made = Arc::clone(&door);
    let config =
        json!({ "channels": { "slack": { "slack": {} } }, "levels": { "error": ["slack"] } });
    let world = World::at(noon())
        .config("alerts.json", &config.to_string())
        .with_seams(move |seams| {
            let fake = Arc::new(FakeOutbound::new(Arc::clone(&seams.clock)));
            fake.answers(&format!("POST {SLACK}"), FakeAnswer::http(200, "ok"));
            seams.outbound = Arc::clone(&fake) as _;
            *made.lock().unwrap() = Some(fake);
            seams
                .secrets
                .give("SLACK_WEBHOOK_URL", Secret::new(SLACK.into()));
        })
        .start();
    let fake = door.lock().unwrap().clone().unwrap();
    let told = |world: &World| {
        world.advance(Duration::from_secs(1));
        let all = fake.requests().into_iter();
        let all = all.map(|one| String::from_utf8(one.body.to_vec()).unwrap());
        all.filter(|text| text.contains("DiskFull"))
            .collect::<Vec<_>>()
    };
    let name = "DiskFull (host=db1, job=node, zone=a)";
    world
        .post("/api/v2/alerts", &disk("db1", "3 % are left"))
        .expect(200);
    world.until("it is told", |world| !told(world).is_empty());
    let first = told(&world).remove(0);
    assert!(first.contains(&format!("{name}: 3 % are left")), "{first}");
    assert!(!first.contains("am:"), "{first}");
    // It is repeated by nobody, and ends.
    world.advance(Duration::from_mins(5));
    let resolved = format!("{name} resolved");
    world.until("its end is told", |world| {
        told(world).iter().any(|text| text.contains(&resolved))
    });
}

#[test]
fn alerts_of_one_sender_are_not_one_incident() {
    let world = World::new();
    let post = |labels: Value| {
        let alerts = json!([{ "labels": labels, "generatorURL": "http://prometheus:9090/graph" }]);
        world.post("/api/v2/alerts", &alerts).expect(200);
    };
    post(json!({ "alertname": "DiskFull", "host": "db1", "severity": "error" }));
    post(json!({ "alertname": "CertificateEnds", "site": "shop", "severity": "error" }));
    // What they have in common besides is a reason.
    post(json!({ "alertname": "DatabaseSlow", "host": "db1", "severity": "error" }));
    let sizes = |world: &World| {
        let list = world.get("/api/incidents").expect(200);
        let all = list["incidents"].as_array().unwrap().iter();
        let ours = all.filter(|one| one["dedup_key"].as_str().unwrap().starts_with("am:"));
        let mut sizes: Vec<_> = ours
            .map(|one| one["alert_count"].as_u64().unwrap())
            .collect();
        sizes.sort_unstable();
        sizes
    };
    world.until("all three belong somewhere", |world| {
        sizes(world).iter().sum::<u64>() == 3
    });
    assert_eq!(sizes(&world), [1, 2]);
    let list = world.get("/api/incidents").expect(200);
    let all = list["incidents"].as_array().unwrap();
    let both = all.iter().find(|one| one["alert_count"] == 2).unwrap();
    let id = both["id"].as_str().unwrap();
    let whole = world.get(&format!("/api/incidents/{id}")).expect(200);
    let alerts = whole["alerts"].as_array().unwrap().iter();
    let mut names: Vec<_> = alerts.map(|one| one["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["DatabaseSlow (host=db1)", "DiskFull (host=db1)"]);
}

#[test]
fn lists_name_it_beside_its_key() {
    let home = begun();
    let daemon = Daemon::start(home.path());
    let post = |alerts: &Value| {
        daemon.post("/api/v2/alerts", &alerts.to_string());
    };
    post(&disk("db1", "3 % are left"));
    post(&json!([{ "labels": { "alertname": "Plain" } }]));
    post(&json!([{ "labels": { "host": "nameless" } }]));
    let told = daemon.get("/api/alerts").expect(200).json();
    let alerts = told["alerts"].as_array().unwrap();
    let mut names: Vec<_> = alerts
        .iter()
        .filter(|one| one["key"].as_str().unwrap().starts_with("am:"))
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    let full = "DiskFull (host=db1, job=node, zone=a)";
    let nameless = "an alert without a name (host=nameless)";
    assert_eq!(names, [full, "Plain", nameless]);
    let mut ours = alerts.iter().filter(|one| one["name"] == one["key"]);
    assert!(ours.all(|one| !one["key"].as_str().unwrap().starts_with("am:")));
    for verb in ["list", "groups"] {
        let ran = run(home.path(), &["alert", verb]).expect(0);
        assert!(
            ran.out.contains(&format!("{full}: 3 % are left")),
            "{ran:#?}"
        );
        assert!(
            ran.out.contains("Plain") && !ran.out.contains("Plain: Plain"),
            "{ran:#?}"
        );
        assert!(
            ran.out.contains("am:"),
            "what `alert ack` takes is there: {ran:#?}"
        );
    }
}

/// A daemon with so many alerts of `A`, the first hundred of them critical.
fn stormed(home: &std::path::Path, count: usize) -> Daemon {
    let daemon = Daemon::start(home);
    let level = |number: usize| if number < 100 { "critical" } else { "warning" };
    let alert = |number: usize| {
        let host = format!("h{number:04}");
        json!({ "labels": { "alertname": "A", "host": host, "severity": level(number) } })
    };
    let alerts: Value = (0..count).map(alert).collect();
    daemon
        .post("/api/v2/alerts", &alerts.to_string())
        .expect(200);
    daemon
}

#[test]
fn many_are_listed_a_page_at_a_time() {
    let home = begun();
    let daemon = stormed(home.path(), 1100);
    let page = |query: &str| {
        let told = daemon.get(&format!("/api/alerts{query}"));
        told.expect(200).json()
    };
    let keys = |page: &Value| {
        let all = page["alerts"].as_array().unwrap().iter();
        all.map(|one| one["key"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let first = page("");
    assert_eq!(first["count"], 1000);
    let total = first["total"].as_u64().unwrap();
    assert!(total >= 1100, "{total}");
    let last = keys(&first).pop().unwrap();
    assert_eq!(first["next"], *last);
    let second = page(&format!("?after={last}"));
    assert_eq!(second["next"], Value::Null);
    let mut both = [keys(&first), keys(&second)].concat();
    assert_eq!(both.len() as u64, total);
    both.dedup();
    assert!(both.is_sorted() && both.len() as u64 == total);
    assert_eq!(page("?limit=2")["count"], 2);
    for limit in ["0", "1001", "x"] {
        daemon
            .get(&format!("/api/alerts?limit={limit}"))
            .expect(400);
    }
}

#[test]
fn the_command_line_and_the_report_have_all_and_the_worst() {
    let home = begun();
    let _daemon = stormed(home.path(), 1100);
    let ran = run(home.path(), &["alert", "list", "--json"]).expect(0);
    let listed: Value = serde_json::from_str(&ran.out).unwrap();
    assert!(
        listed["count"].as_u64() >= Some(1100),
        "{}",
        listed["count"]
    );
    assert_eq!(
        listed["alerts"].as_array().unwrap().len() as u64,
        listed["count"].as_u64().unwrap()
    );
    let ran = run(home.path(), &["alert", "list"]).expect(0);
    assert_eq!(ran.out.matches("A (host=h").count(), 1100);

    // The report has the worst of them.
    let file = home.path().join("logs/production_alerts.json");
    let begun = std::time::Instant::now();
    let report = loop {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let report: Value = serde_json::from_str(&text).unwrap_or_default();
        if report["count"].as_u64() >= Some(1100) {
            break report;
        }
        assert!(
            begun.elapsed() < crate::daemon::PATIENCE,
            "{}",
            report["count"]
        );
        std::thread::park_timeout(Duration::from_millis(50));
    };
    let rows = report["alerts"].as_array().unwrap();
    assert_eq!(rows.len(), 500);
    let levels: Vec<_> = rows
        .iter()
        .map(|row| row["level"].as_str().unwrap())
        .collect();
    assert_eq!(levels.iter().filter(|one| **one == "critical").count(), 100);
    assert!(levels[..100].iter().all(|one| *one == "critical"));
}
