//! What the daemon itself uses: the report in its known shape, counted over restarts, and the
//! division of a machine among units of systemd.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use echopilot::seams::host::{FakeHost, Memory, Reading, UnitReading};
use serde_json::{Value, json};

use crate::daemon::{Client, DASH, Daemon};
use crate::world::{World, at};

/// An amount of six decimals as a whole number of millionths.
fn millionths(value: &Value) -> i64 {
    let text = format!("{:.6}", value.as_f64().unwrap());
    text.replace('.', "").parse().unwrap()
}

fn adds_up(report: &Value) {
    let parts = ["storage", "compute", "bandwidth"];
    let sum: i64 = parts
        .iter()
        .map(|part| millionths(&report[*part]["monthly_usd"]))
        .sum();
    assert_eq!(millionths(&report["total_monthly_usd"]), sum, "{report}");
}

#[test]
fn the_report_has_its_known_shape_and_its_total_is_the_sum_of_its_parts() {
    let world = World::new();
    let report = world.get("/api/costs/report").expect(200);
    assert_eq!(report["ok"], true);
    assert_eq!(report["ts_iso"], "2026-11-21T12:00:00.000Z");
    assert_eq!(report["pricing"]["storage_gb_month"], 0.023);
    assert_eq!(report["pricing"]["cpu_hour"], 0.05);
    assert_eq!(report["pricing"]["bandwidth_gb"], 0.09);
    adds_up(&report);
    let before = report["storage"]["apparent_bytes"].as_u64().unwrap();
    // Three million bytes more, in a backup; one of them under two names.
    let folder = world.home().join("backups/one");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("a"), vec![7; 2_000_000]).unwrap();
    fs::write(folder.join("b"), vec![7; 1_000_000]).unwrap();
    fs::hard_link(folder.join("a"), folder.join("c")).unwrap();
    let report = world.get("/api/costs/report").expect(200);
    let storage = &report["storage"];
    let grown = storage["apparent_bytes"].as_u64().unwrap() - before;
    assert!((3_000_000..3_100_000).contains(&grown), "{grown}");
    assert!(storage["bytes"].as_u64().unwrap() >= 3_000_000);
    let gb = storage["bytes"].as_u64().unwrap() as f64 / 1e9;
    assert!((storage["gb"].as_f64().unwrap() - gb).abs() < 1e-6);
    adds_up(&report);
}

#[test]
fn the_daily_report_is_a_file_and_a_line() {
    let world = World::at(at("2026-11-21T01:09:00Z")).start();
    world.pass(Duration::from_mins(3), Duration::from_mins(1));
    let saved = fs::read_to_string(world.home().join("logs/cost_report.json")).unwrap();
    let saved: Value = serde_json::from_str(&saved).unwrap();
    assert_eq!(
        (&saved["ok"], &saved["ts_iso"]),
        (&json!(true), &json!("2026-11-21T01:10:00.000Z"))
    );
    adds_up(&saved);
    let lines = world.journal_of("cost_report", "cost.reported");
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["total_monthly_usd"], saved["total_monthly_usd"]);
    assert_eq!(world.journal_of("costs", "storage.measured").len(), 1);
}

#[test]
fn bytes_and_processor_time_are_counted_over_restarts() {
    let home = tempfile::tempdir().unwrap();
    let mut sent = 0;
    for life in 0..3 {
        let daemon = Daemon::start(home.path());
        let mut client = Client::connect(&daemon.address, Some(DASH)).unwrap();
        let report = client
            .call("GET", "/api/costs/report", &[], b"")
            .unwrap()
            .json();
        let bytes = report["bandwidth"]["bytes"].as_u64().unwrap();
        assert!(bytes >= sent, "life {life}: {bytes} after {sent}");
        for _call in 0..20 {
            client.call("GET", "/openapi.json", &[], b"").unwrap();
        }
        let report = client
            .call("GET", "/api/costs/report", &[], b"")
            .unwrap()
            .json();
        let after = report["bandwidth"]["bytes"].as_u64().unwrap();
        // The description alone has tens of kilobytes; heads count too.
        assert!(
            after > bytes + 20 * 10_000,
            "life {life}: {after} after {bytes}"
        );
        adds_up(&report);
        sent = after;
        assert_eq!(daemon.stop(), Some(0));
    }
}

fn unit(cpu_secs: u64, memory: u64) -> UnitReading {
    UnitReading {
        cpu_micros: Some(cpu_secs * 1_000_000),
        memory: Some(memory),
        ..UnitReading::default()
    }
}

#[test]
fn a_machine_is_divided_among_its_units_and_what_is_idle() {
    let host = Arc::new(FakeHost::saying(Reading {
        boot_id: Some("b".into()),
        cpus: Some(2),
        memory: Some(Memory {
            total: 1000,
            available: 500,
            ..Memory::default()
        }),
        ..Reading::default()
    }));
    let config = json!({ "fixed": { "vm": {
        "amount": "30.00", "currency": "EUR", "units": ["shop.service", "db.service"],
    } } });
    let door = Arc::clone(&host);
    let world = World::at(at("2026-11-30T00:00:00Z"))
        .config("costs.json", &config.to_string())
        .with_seams(move |seams| seams.host = Arc::clone(&door) as _);
    let mut world = world.start();
    world
        .post("/api/tasks/ops-sentinel/pause", &Value::Null)
        .expect(200);
    let before = world.get("/api/costs").expect(200);
    assert_eq!(before["allocation"][0]["shares"], Value::Null);
    assert!(before["allocation"][0]["reason"].is_string());
    // In each quarter of an hour of two processors, 1,800 s: shop uses 180 s and 300 of 1,000
    // bytes, db 90 s and 100.
    for quarter in 0..5_u64 {
        host.change(|reading| {
            reading
                .units
                .insert("shop.service".into(), unit(100 + 180 * quarter, 300));
            reading
                .units
                .insert("db.service".into(), unit(90 * quarter, 100));
        });
        world.advance(Duration::from_mins(15));
        world.until("the counters are read", |world| {
            world.journal_of("costs", "meter.read").len() as u64 > quarter
        });
    }
    for turn in ["as measured", "after a restart"] {
        let month = world.get("/api/costs").expect(200);
        let allocation = &month["allocation"][0];
        let shares = allocation["shares"].as_array().unwrap();
        let shown: Vec<_> = shares
            .iter()
            .map(|share| {
                (
                    share["unit"].clone(),
                    share["percent"].clone(),
                    share["amount"].clone(),
                )
            })
            .collect();
        // shop (10 % + 30 %) / 2 = 20 %, db (5 % + 10 %) / 2 = 7.5 %, and 72.5 % of 30.00 idle.
        let expected = [
            (json!("db.service"), json!(7.5), json!("2.25")),
            (json!("shop.service"), json!(20.0), json!("6.00")),
            (Value::Null, json!(72.5), json!("21.75")),
        ];
        assert_eq!(shown, expected, "{turn}");
        assert_eq!(allocation["observed_secs"], 3600);
        world.restart();
        world
            .post("/api/tasks/ops-sentinel/pause", &Value::Null)
            .expect(200);
    }
}

#[test]
fn own_traffic_requests_and_storage_can_be_items() {
    let config = json!({ "metered": {
        "disk": {"unit": "MB", "currency": "USD", "price": 30, "source": "own_storage"},
        "calls": {"unit": "request", "currency": "USD", "price": 1, "per": 2, "source": "requests"},
    }, "requests_series": "shop" });
    let world = World::at(at("2026-11-30T01:00:00Z"));
    let world = world.config("costs.json", &config.to_string()).start();
    fs::create_dir_all(world.home().join("backups")).unwrap();
    fs::write(world.home().join("backups/big"), vec![1; 10_000_000]).unwrap();
    world.advance(Duration::from_mins(10));
    let measured = &world.journal_of("costs", "storage.measured")[0];
    let megabytes = measured["disk_bytes"].as_u64().unwrap() as f64 / 1e6;
    assert!(megabytes >= 10.0, "{measured}");
    let sample = json!({"series": "shop", "good": 7, "id": "s"});
    world
        .post("/api/slo/samples?create_series=true", &sample)
        .expect(200);
    let month = world.get("/api/costs").expect(200);
    let amount = |at: usize| -> f64 {
        let amount = month["lines"][at]["amount"].as_str().unwrap();
        amount.parse().unwrap()
    };
    // Seven calls at a half each; one of thirty days, at thirty a month and megabyte.
    assert_eq!(amount(0).to_string(), "3.5");
    assert!((amount(1) - megabytes).abs() < 0.006, "{month}");
    assert_eq!(month["requests"], 7);
    let each: f64 = month["per_1000_requests"]["USD"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let total: f64 = month["totals"][0]["amount"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((each - total / 7.0 * 1000.0).abs() < 1e-5, "{month}");
    let refused = json!({"item": "disk", "quantity": 1, "id": "d"});
    let refused = world.post("/api/costs/usage", &refused).expect(409);
    assert_eq!(refused["error"], "measured");
}

#[test]
fn a_month_is_not_projected_from_seconds() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    for _call in 0..20 {
        daemon.get("/openapi.json");
    }
    let report = daemon.get("/api/costs/report").expect(200).json();
    let (compute, bandwidth) = (&report["compute"], &report["bandwidth"]);
    assert_eq!(
        (&compute["projected"], &bandwidth["projected"]),
        (&json!(false), &json!(false))
    );
    // What is there so far, and no more.
    let sent = bandwidth["bytes"].as_f64().unwrap();
    assert!(sent > 100_000.0, "{bandwidth}");
    let gb = bandwidth["gb"].as_f64().unwrap();
    assert!((gb - sent / 1e9).abs() < 1e-6, "{bandwidth}");
    let hours = compute["cpu_secs"].as_f64().unwrap() / 3600.0;
    let told = compute["estimated_hours"].as_f64().unwrap();
    assert!((told - hours).abs() < 1e-5, "{compute}");
    adds_up(&report);
    drop(daemon);
    let world = World::new();
    world.pass(Duration::from_mins(61), Duration::from_mins(10));
    let report = world.get("/api/costs/report").expect(200);
    assert_eq!(report["compute"]["projected"], true, "{report}");
    let used = report["compute"]["cpu_secs"].as_f64().unwrap();
    let observed = report["compute"]["observed_secs"].as_f64().unwrap();
    let told = report["compute"]["estimated_hours"].as_f64().unwrap();
    assert!((told - used / observed * 720.0).abs() < 0.01, "{report}");
    adds_up(&report);
}
