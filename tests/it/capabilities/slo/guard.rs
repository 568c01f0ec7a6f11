//! Burn alerts, budgets and planned work on the stepped clock: over HTTP, in the journals, in the
//! report, over restarts.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use echopilot::platform::samples::Rows;
use echopilot::seams::files::{Fault, How, Op};
use serde_json::{Value, json};

use crate::world::{World, at};

/// One availability objective on the series `shop`.
fn availability(more: &Value) -> String {
    let mut objective = json!({
        "series": "shop", "kind": "availability", "target_percent": 99.9,
    });
    let members = objective.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    json!({ "objectives": { "checkout": objective } }).to_string()
}

fn world(config: &str) -> World {
    World::with_config("slo.json", config).start()
}

/// `minutes` of samples from `from` on, `n` a minute, `bad` of them bad, each of `took_ms`.
fn samples(world: &World, from: DateTime<Utc>, minutes: i64, (n, bad): (u64, u64), took_ms: u64) {
    let mut rows = Rows::new();
    for minute in 0..minutes {
        let when = from + TimeDelta::minutes(minute);
        rows.add("shop", when, n, bad, Some(took_ms * 1000));
    }
    world.app().samples.add("test", rows);
}

/// Lets time pass without waiting for the task loop to rest: what other tasks do is not ours.
fn step(world: &World, span: Duration) {
    world.clock.advance(span);
}

/// Lets minutes pass in each of which `n` samples come in, `bad` of them bad.
fn live(world: &World, minutes: i64, n: u64, bad: u64) {
    for _ in 0..minutes {
        samples(world, world.now(), 1, (n, bad), 20);
        step(world, Duration::from_mins(1));
        let minute = world.now().timestamp() / 60;
        world.until("the guard has looked", |world| {
            let report = world.get("/api/slo").body;
            let looked = report["evaluated_at"].as_str();
            looked.is_some_and(|looked| at(looked).timestamp() / 60 == minute)
        });
    }
}

/// Three clean days until now, and the world a second and a half into a minute, so that each
/// minute that passes is judged right after it.
fn clean(world: &World) {
    samples(
        world,
        world.now() - TimeDelta::days(3),
        3 * 1440,
        (100, 0),
        20,
    );
    step(world, Duration::from_millis(1500));
}

fn kinds(world: &World) -> Vec<String> {
    let lines = world.journal("slo");
    let kind = |line: &Value| format!("{} {}", line["kind"].as_str().unwrap(), line["severity"]);
    lines.iter().map(kind).collect()
}

#[test]
fn an_outage_pages_within_its_minute_and_says_why_it_stays() {
    let world = world(&availability(&json!({})));
    clean(&world);
    let began = world.now();
    live(&world, 1, 100, 100);
    let report = world.get("/api/slo").expect(200);
    let found = &report["objectives"][0];
    assert_eq!(
        (&report["breach"], &found["state"]),
        (&json!(true), &json!("page")),
        "{report}"
    );
    let alert = &found["alerts"][0];
    assert_eq!(alert["severity"], "page");
    assert_eq!(alert["rules"], json!(["page_fast"]));
    assert_eq!(
        at(alert["started_at"].as_str().unwrap()).timestamp() / 60,
        began.timestamp() / 60
    );

    // Ten minutes in all; then the half hour of the slow page holds it, as the text says.
    live(&world, 9, 100, 100);
    live(&world, 15, 100, 0);
    let report = world.get("/api/slo").expect(200);
    let still = report["objectives"][0]["alerts"][0]["open_still"]
        .as_str()
        .unwrap();
    assert!(
        still.contains("30m window of `page_slow` still holds the outage"),
        "{still}"
    );
    assert!(
        still.contains("expected to close at 2026-11-21 12:40 UTC"),
        "{still}"
    );
    live(&world, 14, 100, 0);
    assert_eq!(world.journal_of("slo", "slo.alert_resolved").len(), 0);
    live(&world, 1, 100, 0);
    let resolved = world.journal_of("slo", "slo.alert_resolved");
    assert_eq!(resolved.len(), 1, "{:?}", kinds(&world));
    assert_eq!(resolved[0]["severity"], "page");
    assert_eq!(
        at(resolved[0]["ts"].as_str().unwrap()).timestamp() / 60,
        began.timestamp() / 60 + 40
    );
    let text = resolved[0]["text"].as_str().unwrap();
    assert!(
        text.contains("30m window of `page_slow` held the alert for 30 minutes"),
        "{text}"
    );

    // One alert event at its beginning, one at its end, from the first bad request on.
    let told: Vec<Value> = world.journal("alerts");
    let page: Vec<_> = told
        .iter()
        .filter(|line| line["key"] == "slo:checkout:page")
        .map(|line| line["kind"].as_str().unwrap())
        .collect();
    assert_eq!(page, ["alert.fired", "alert.resolved"]);
    let fired = told
        .iter()
        .find(|line| line["key"] == "slo:checkout:page")
        .unwrap();
    assert_eq!(fired["severity"], "critical");
    assert_eq!(
        at(fired["started_at"].as_str().unwrap()).timestamp() / 60,
        began.timestamp() / 60
    );
}

/// Lets so many seconds pass, and waits for the guard to look.
fn seconds(world: &World, seconds: u64) {
    step(world, Duration::from_secs(seconds));
    let now = world.now();
    world.until("the guard has looked", |world| {
        let report = world.get("/api/slo").body;
        report["evaluated_at"]
            .as_str()
            .is_some_and(|looked| at(looked) == now)
    });
}

#[test]
fn an_outage_pages_before_its_minute_is_over_and_nothing_closes_within_one() {
    for known in [false, true] {
        let world = world(&availability(&json!({})));
        if known {
            let from = world.now() - TimeDelta::days(3);
            samples(&world, from, 3 * 1440, (100, 0), 20);
        }
        step(&world, Duration::from_millis(500));
        seconds(&world, 1);
        let began = world.now();
        samples(&world, began, 1, (100, 100), 20);
        seconds(&world, 5);
        let fired = world.journal_of("slo", "slo.alert_fired");
        let page: Vec<_> = fired
            .iter()
            .filter(|line| line["severity"] == "page")
            .collect();
        assert_eq!(page.len(), 1, "known: {known}, {:?}", kinds(&world));
        let minute = |text: &Value| at(text.as_str().unwrap()).timestamp() / 60;
        assert_eq!(minute(&page[0]["started_at"]), began.timestamp() / 60);
        // Further looks repeat nothing, and good requests of a minute that has begun close nothing.
        let lines = kinds(&world);
        samples(&world, world.now(), 1, (100_000, 0), 20);
        for _ in 0..9 {
            seconds(&world, 5);
            assert_eq!(kinds(&world), lines);
        }
        assert_eq!(world.now().timestamp() / 60, began.timestamp() / 60);
        assert!(world.app().alerts.holds("slo:checkout:page"));
    }
}

#[test]
fn an_open_alert_and_its_rules_outlive_a_restart() {
    let mut world = world(&availability(&json!({})));
    clean(&world);
    live(&world, 3, 100, 100);
    let before = world.get("/api/slo").expect(200)["objectives"][0]["alerts"].clone();
    assert_eq!(before[0]["severity"], "page");
    world.restart();
    let after = world.get("/api/slo").expect(200)["objectives"][0]["alerts"].clone();
    assert_eq!(before[0]["fired_at"], after[0]["fired_at"]);
    assert_eq!(before[0]["rules"], after[0]["rules"]);
    assert_eq!(
        world.journal_of("slo", "slo.alert_fired").len(),
        before.as_array().unwrap().len()
    );
}

#[test]
fn a_config_with_a_rule_that_can_never_fire_is_refused_with_the_cure() {
    let good = availability(&json!({}));
    let world = world(&good);
    let text = availability(&json!({ "target_percent": 90.0 }));
    let answer = world
        .post("/api/slo/replay", &json!({ "config": text }))
        .expect(422);
    let problem = &answer["problems"][0];
    let message = problem["message"].as_str().unwrap();
    assert!(
        message.contains("page_fast") && message.contains("14.4"),
        "{answer}"
    );
    assert!(message.contains("below 10"), "{answer}");
    let hint = problem["hint"].as_str().unwrap();
    assert!(
        hint.contains(r#""alerts": {"page_fast": false}"#),
        "{answer}"
    );
    assert!(hint.contains("93.06 %"), "{answer}");
    assert_eq!(answer["problems"].as_array().unwrap().len(), 1, "{answer}");
    let cured = availability(&json!({ "target_percent": 90.0, "alerts": { "page_fast": false } }));
    world
        .post("/api/slo/replay", &json!({ "config": cured }))
        .expect(200);
}

#[test]
fn work_that_was_planned_before_does_not_count_and_later_is_no_excuse() {
    let config = |windows: Value| {
        let mut config: Value = serde_json::from_str(&availability(&json!({}))).unwrap();
        config["maintenance"] = windows;
        config.to_string()
    };
    let window = json!([{
        "from": "2026-11-21T12:10:00Z", "until": "2026-11-21T12:20:00Z", "reason": "new disk",
    }]);
    let planned = world(&config(window.clone()));
    clean(&planned);
    live(&planned, 10, 100, 0);
    live(&planned, 10, 100, 100);
    live(&planned, 10, 100, 0);
    assert_eq!(kinds(&planned), ["slo.maintenance_declared null"]);
    let detail = planned.get("/api/slo/checkout").expect(200);
    assert_eq!(detail["maintenance"][0]["reason"], "new disk");
    assert_eq!(detail["budget"]["bad"], 0);

    let afterwards = world(&config(json!([])));
    clean(&afterwards);
    live(&afterwards, 10, 100, 0);
    live(&afterwards, 5, 100, 100);
    let mut late: Value = serde_json::from_str(&config(window)).unwrap();
    late["objectives"]["other"] = late["objectives"]["checkout"].clone();
    afterwards.save("slo.json", &late.to_string());
    afterwards.until("the file is in force", |world| {
        let report = world.get("/api/slo").expect(200);
        report["objectives"].as_array().unwrap().len() == 2
    });
    live(&afterwards, 5, 100, 100);
    let detail = afterwards.get("/api/slo/checkout").expect(200);
    // The running minute of 12:15 had begun when the window was written down.
    assert_eq!(detail["budget"]["bad"], 600, "{detail}");
}

#[test]
fn quantiles_are_told_only_of_enough_samples() {
    let world = world(&availability(&json!({})));
    let latency = |n: u64| {
        samples(&world, world.now(), 1, (n, 0), 40);
        let report = world.get("/api/slo").expect(200);
        let of = &report["objectives"][0]["latency"];
        assert_eq!((&report["p95_ms"], &report["n"]), (&of["p95_ms"], &of["n"]));
        of.clone()
    };
    let few = latency(99);
    assert_eq!(
        (&few["p95_ms"], &few["max_ms"], &few["n"]),
        (&Value::Null, &json!(40.0), &json!(99))
    );
    let more = latency(1);
    let p95 = more["p95_ms"].as_f64().unwrap();
    assert!((39.6..=40.0).contains(&p95), "{more}");
    assert_eq!(more["p99_ms"], Value::Null);
    assert!(latency(400)["p99_ms"].is_number());
}

#[test]
fn a_latency_objective_counts_what_took_too_long() {
    let config = json!({ "objectives": { "speed": {
        "series": "shop", "kind": "latency", "threshold_ms": 250, "target_percent": 99,
    }}});
    let world = world(&config.to_string());
    samples(
        &world,
        world.now() - TimeDelta::hours(2),
        60,
        (100, 100),
        20,
    );
    samples(&world, world.now() - TimeDelta::hours(1), 30, (10, 0), 600);
    let found = &world.get("/api/slo").expect(200)["objectives"][0];
    assert_eq!(
        (&found["budget"]["requests"], &found["budget"]["bad"]),
        (&json!(6300), &json!(300))
    );
}

#[test]
fn an_exhausted_budget_is_told_and_the_worst_objective_comes_first() {
    let config = json!({ "objectives": {
        "a": { "series": "quiet", "kind": "availability", "target_percent": 99.9 },
        "b": { "series": "shop", "kind": "availability", "target_percent": 99.9 },
    }});
    let world = world(&config.to_string());
    samples(
        &world,
        world.now() - TimeDelta::days(20),
        10,
        (100, 100),
        20,
    );
    clean(&world);
    live(&world, 1, 100, 0);
    let report = world.get("/api/slo").expect(200);
    let states: Vec<_> = report["objectives"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["state"].clone())
        .collect();
    assert_eq!(states, ["exhausted", "no_data"], "{report}");
    assert_eq!(report["breach"], false);
    let told = world.journal_of("slo", "slo.budget_changed");
    assert_eq!(told[0]["level"], "exhausted");
    let alerts = world.get("/api/alerts").expect(200);
    let mut active = alerts["alerts"].as_array().unwrap().iter();
    let budget = active.find(|alert| alert["key"] == "slo:b:budget").unwrap();
    assert_eq!(budget["severity"], "error");
}

#[test]
fn an_objective_that_is_taken_out_takes_its_alerts_along() {
    let world = world(&availability(&json!({})));
    clean(&world);
    live(&world, 3, 100, 100);
    world.save("slo.json", r#"{ "objectives": {} }"#);
    world.until("its page has ended", |world| {
        step(world, Duration::from_mins(1));
        let active = world.get("/api/alerts").expect(200)["alerts"].clone();
        let mut active = active.as_array().unwrap().iter();
        active.all(|alert| alert["source"] != "slo")
    });
    assert!(kinds(&world).contains(&"slo.objective_removed null".to_owned()));
}

#[test]
fn a_replay_tells_what_other_rules_would_have_fired() {
    let world = world(r#"{ "objectives": {} }"#);
    let begin = world.now() - TimeDelta::days(2);
    samples(&world, begin, 2880, (100, 0), 20);
    samples(&world, begin + TimeDelta::hours(30), 10, (100, 100), 20);
    let ask = |more: Value| {
        let mut body = json!({ "config": availability(&json!({})) });
        let members = body.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        world.post("/api/slo/replay", &body).expect(200)
    };
    world.until("the minutes are on record", |world| {
        step(world, Duration::from_secs(2));
        !world.journal("samples").is_empty()
    });
    let found = ask(json!({}));
    let alerts = found["objectives"][0]["alerts"].as_array().unwrap();
    let page = alerts.iter().find(|one| one["severity"] == "page").unwrap();
    assert_eq!(
        at(page["fired_at"].as_str().unwrap()),
        begin + TimeDelta::minutes(1801)
    );
    assert_eq!(page["rules"], json!(["page_fast", "page_slow"]));
    assert_eq!(page["minutes"], 39);
    let later = ask(json!({ "from": (begin + TimeDelta::hours(40)).to_rfc3339() }));
    let pages = later["objectives"][0]["alerts"].as_array().unwrap();
    assert!(pages.iter().all(|one| one["severity"] != "page"), "{later}");
    assert!(world.journal("slo").is_empty(), "a replay writes nothing");
}

#[test]
fn days_tell_where_the_budget_went() {
    let world = world(&availability(&json!({})));
    samples(&world, at("2026-11-21T00:00:00Z"), 700, (10, 0), 20);
    samples(&world, at("2026-11-21T03:00:00Z"), 1, (7, 7), 20);
    let detail = world.get("/api/slo/checkout").expect(200);
    let days = detail["days"].as_array().unwrap();
    let last = days.last().unwrap();
    assert_eq!(last["from"], "2026-11-21T00:00:00Z");
    assert_eq!((&last["requests"], &last["bad"]), (&json!(7007), &json!(7)));
    assert_eq!(
        last["remaining_percent"],
        detail["budget"]["remaining_percent"]
    );
    world.get("/api/slo/chekout").expect(404)["hint"]
        .as_str()
        .filter(|hint| hint.contains("`checkout`"))
        .unwrap();
}

#[test]
fn the_task_writes_the_report_in_the_legacy_shape() {
    let world = world(&availability(&json!({})));
    samples(
        &world,
        world.now() - TimeDelta::minutes(30),
        30,
        (100, 4),
        1500,
    );
    let run = world.post("/api/tasks/watchdog/run?wait=30s", &Value::Null);
    assert!(run.status < 300, "{run:?}");
    let path = world.home().join("logs/slo_report.json");
    let report: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(
        (&report["ok"], &report["breach"]),
        (&json!(true), &json!(true)),
        "{report}"
    );
    assert_eq!(report["success_rate"], 0.96);
    let p95 = report["p95_ms"].as_f64().unwrap();
    assert!((p95 - 1500.0).abs() <= 15.0, "{p95}");
    assert_eq!(report["objectives"][0]["name"], "checkout");
    let answer = world.get("/api/slo").expect(200);
    assert_eq!(report["objectives"], answer["objectives"]);
}

#[test]
fn an_outage_is_judged_though_storage_takes_no_line_of_what_the_file_says() {
    let world = world(&availability(&json!({})));
    clean(&world);
    live(&world, 1, 100, 0);
    world.files.fail(Fault {
        op: Op::Write,
        at: 1,
        forever: true,
        how: How::Enospc,
    });
    let mut file: Value = serde_json::from_str(&availability(&json!({}))).unwrap();
    file["maintenance"] = json!([{
        "from": "2026-12-01T02:00:00Z", "until": "2026-12-01T03:00:00Z", "reason": "new disk",
    }]);
    world.save("slo.json", &file.to_string());
    world.until("the edit is in force", |world| {
        let configs = world.app().configs.status();
        let slo = configs.iter().find(|one| one.file == "slo.json").unwrap();
        slo.actor == "file"
    });
    samples(&world, world.now(), 3, (100, 100), 20);
    step(&world, Duration::from_mins(3));
    world.until("the outage is found", |world| {
        world.app().alerts.holds("slo:checkout:page")
    });
}
