//! The watch over the machine, through its task, its journal, its alert events and HTTP.

mod world;

use std::time::Duration;

use echopilot::seams::host::{Reading, Traffic, UnitState, Volume};
use serde_json::{Value, json};

use self::world::{GIB, World, assembled, busy, well};

#[tokio::test]
async fn a_run_writes_one_line_with_the_readings() {
    let world = World::with(&json!({ "units": { "shop.service": {} } }));
    assert_eq!(world.host().await["measured_at"], Value::Null);
    let summary = world.run().await;
    assert_eq!(summary.output["warnings"], json!([]));
    let unknown = summary.output["unknown"].as_array().unwrap();
    assert!(
        unknown.contains(&json!("cpu")),
        "no time has passed: {unknown:?}"
    );
    assert_eq!(world.machine.asked(), 2, "a first run reads twice");
    world.machine.change(|reading| {
        busy(reading, 30);
        reading.pressure.io = Some(18_000_000);
        reading.network = Some(Traffic {
            inward: 180_000,
            outward: 360_000,
        });
    });
    world.run().await;
    assert_eq!(world.machine.asked(), 3, "later ones once");
    let lines = world.lines("ops_sentinel");
    assert_eq!(lines.len(), 2);
    let line = &lines[1];
    assert_eq!(line["kind"], "host.measured");
    assert_eq!(line["warnings"], json!([]));
    assert_eq!(line["cpu_percent"], 30.0);
    assert_eq!(line["pressure_io_percent"], 10.0);
    assert_eq!(line["net_in_bytes_per_sec"], 1000.0);
    assert_eq!(line["net_out_bytes_per_sec"], 2000.0);
    assert_eq!(line["ram_percent"], 25.0);
    assert_eq!(line["volumes"]["/"]["used_percent"], 40.0);
    assert_eq!(line["volumes"]["/"]["available_bytes"], 60 * GIB);
    assert_eq!(line["units"]["shop.service"]["state"], "active");
    assert_eq!(line.get("unknown"), None);
    let told = world.host().await;
    assert_eq!(told["readings"]["cpu_percent"], 30.0);
    assert_eq!(told["measured_at"], "2026-11-21T09:06:00.000Z");
    let page = world.get("/metrics").await;
    assert!(page.contains("echopilot_host_cpu_ratio 0.3\n"), "{page}");
    assert!(page.contains("echopilot_host_disk_used_ratio{mount=\"/\"} 0.4\n"));
}

#[tokio::test]
async fn a_warning_is_raised_after_n_cycles_and_cleared_below_the_other_threshold() {
    let cpu =
        json!({ "warn_percent": 80, "clear_percent": 70, "raise_cycles": 3, "clear_cycles": 2 });
    let world = World::with(&json!({ "cpu": cpu }));
    world.run().await;
    let at = |percent: u64| move |reading: &mut Reading| busy(reading, percent);
    let warned = world
        .warned(&[&at(95), &at(95), &at(79), &at(95), &at(95), &at(81)])
        .await;
    let (none, high) = (json!([]), json!(["high_cpu"]));
    let quiet = vec![none.clone(); 5];
    assert_eq!(warned, [quiet, vec![high.clone()]].concat());
    world.settled().await;
    assert_eq!(world.alerts(), ["alert.fired host:high_cpu"]);
    let told = world.lines("alerts")[0].clone();
    let expected = "processors are 81 % busy; warned from 80 % on";
    assert_eq!(told["summary"], expected);
    assert_eq!(
        told["started_at"], "2026-11-21T09:15:00.000Z",
        "the first of the three"
    );
    let told = world.host().await;
    let expected = json!([{
        "warning": "high_cpu", "of": null, "value": 81.0, "warn": 80.0, "clear": 70.0,
        "started_at": "2026-11-21T09:15:00.000Z", "since": "2026-11-21T09:21:00.000Z",
    }]);
    assert_eq!(told["active"], expected, "{told}");
    let warned = world
        .warned(&[&at(75), &at(69), &at(71), &at(69), &at(70)])
        .await;
    assert_eq!(warned, [vec![high; 4], vec![none]].concat());
    world.settled().await;
    let expected = ["alert.fired host:high_cpu", "alert.resolved host:high_cpu"];
    assert_eq!(world.alerts(), expected);
    let told = &world.lines("alerts")[1];
    assert_eq!(
        told["summary"],
        "processors are 70 % busy; well again at 70 %"
    );
}

#[tokio::test]
async fn cycles_are_counted_over_a_restart_but_not_over_a_night() {
    let ram = json!({ "raise_cycles": 3, "clear_cycles": 2 });
    let world = World::with(&json!({ "ram": ram }));
    world
        .machine
        .change(|reading| reading.memory.as_mut().unwrap().available = 0);
    world.run().await;
    world.run().await;
    // The machine sleeps: two bad readings of yesterday and one of today are not three in a row.
    world.clock.advance(Duration::from_hours(8));
    assert_eq!(world.run().await.output["warnings"], json!([]));
    assert_eq!(world.run().await.output["warnings"], json!([]));
    let world = world.restart();
    assert_eq!(world.run().await.output["warnings"], json!(["high_ram"]));
    let world = world.restart();
    assert_eq!(world.host().await["warnings"], json!(["high_ram"]));
    assert_eq!(
        world.run().await.output["raised"],
        json!([]),
        "it was raised before"
    );
    world
        .machine
        .change(|reading| reading.memory = well().memory);
    assert_eq!(world.run().await.output["warnings"], json!(["high_ram"]));
    let world = world.restart();
    assert_eq!(world.run().await.output["warnings"], json!([]));
    world.settled().await;
    let expected = ["alert.fired host:high_ram", "alert.resolved host:high_ram"];
    assert_eq!(world.alerts(), expected);
}

#[tokio::test]
async fn a_disk_that_fills_is_foretold_over_restarts() {
    let world = World::with(&json!({}));
    let fill = |gib: u64| {
        move |reading: &mut Reading| {
            let volume = reading.volumes.get_mut("/").unwrap().as_mut().unwrap();
            volume.used += gib * GIB;
            volume.available -= gib * GIB;
        }
    };
    for _ in 0..8 {
        world.machine.change(fill(1));
        assert_eq!(
            world.run().await.output["warnings"],
            json!([]),
            "too few readings"
        );
    }
    let world = world.restart();
    for _ in 0..20 {
        world.machine.change(fill(1));
        world.run().await;
    }
    // 60 − 28 GiB are left, and 20 GiB go in an hour.
    let told = world.host().await;
    assert_eq!(told["warnings"], json!(["disk_full_soon"]), "{told}");
    let hours = told["readings"]["volumes"]["/"]["full_in_hours"]
        .as_f64()
        .unwrap();
    assert!((hours - 1.6).abs() < 0.02, "{hours}");
    world.settled().await;
    let alert = &world.lines("alerts")[0];
    assert_eq!(alert["key"], "host:disk_full_soon:/");
    assert_eq!(alert["severity"], "error");
    assert_eq!(
        alert["labels"],
        json!({ "mount": "/", "warning": "disk_full_soon" })
    );
    for _ in 0..40 {
        world.run().await;
    }
    assert_eq!(world.host().await["warnings"], json!([]));
    world.settled().await;
    let told = world.lines("alerts").pop().unwrap();
    assert_eq!(told["summary"], "the disk of `/` is not filling any more");
}

#[tokio::test]
async fn a_process_killed_for_memory_is_told_once() {
    let world = World::with(&json!({ "oom": { "clear_cycles": 3 } }));
    assert_eq!(
        world.run().await.output["warnings"],
        json!([]),
        "old ones are not news"
    );
    // It is killed while nobody looks, and so are we.
    world.machine.change(|reading| reading.oom_kills = Some(3));
    let world = world.restart();
    assert_eq!(world.run().await.output["raised"], json!(["oom_kill"]));
    for still in [true, true, false] {
        let warnings = if still {
            json!(["oom_kill"])
        } else {
            json!([])
        };
        assert_eq!(world.run().await.output["warnings"], warnings);
    }
    // The machine starts anew: its count begins at zero, and one is killed at once.
    world.machine.change(|reading| {
        reading.boot_id = Some("7e1d".into());
        reading.oom_kills = Some(1);
    });
    assert_eq!(world.run().await.output["raised"], json!(["oom_kill"]));
    world.settled().await;
    let fired = world
        .alerts()
        .iter()
        .filter(|alert| alert.contains("fired"))
        .count();
    assert_eq!(fired, 2);
    let told = &world.lines("alerts")[0];
    assert_eq!(told["summary"], "the kernel has ended 1 for want of memory");
}

#[tokio::test]
async fn a_unit_that_fails_is_named() {
    let world = World::with(&json!({ "units": { "shop.service": {} } }));
    world.run().await;
    world.machine.change(|reading| {
        let unit = reading.units.get_mut("shop.service").unwrap();
        unit.state = UnitState::Failed;
        unit.said = "failed (failed, exit-code)".into();
    });
    let warned = world.run().await.output["warnings"].take();
    assert_eq!(warned, json!(["unit_failed:shop.service"]));
    // systemd cannot be asked any more: that is no word of health.
    world.machine.change(|reading| {
        reading.units.clear();
    });
    for _ in 0..5 {
        let summary = world.run().await.output;
        assert_eq!(summary["warnings"], json!(["unit_failed:shop.service"]));
        assert_eq!(summary["unknown"], json!(["cpu", "unit:shop.service"]));
    }
    let health = world.get("/health").await;
    assert!(
        health.contains("nothing is known of `shop.service`"),
        "{health}"
    );
    world.machine.change(|reading| reading.units = well().units);
    world.run().await;
    assert_eq!(
        world.run().await.output["cleared"],
        json!(["unit_failed:shop.service"])
    );
    world.settled().await;
    let told = world.lines("alerts");
    assert_eq!(
        told[0]["summary"],
        "`shop.service` does not run: failed (failed, exit-code)"
    );
    assert_eq!(told[0]["severity"], "error");
    assert_eq!(told[1]["summary"], "`shop.service` runs again");
}

#[tokio::test]
async fn two_mounts_are_one_word_and_two_alerts() {
    let world = World::with(&json!({ "mounts": ["/", "/srv"] }));
    world.machine.change(|reading| {
        let full = Volume {
            used: 90 * GIB,
            available: 10 * GIB,
            ..Volume::default()
        };
        reading.volumes = [("/", full), ("/srv", full)]
            .map(|(mount, volume)| (mount.to_owned(), Some(volume)))
            .into();
    });
    assert_eq!(world.run().await.output["warnings"], json!(["high_disk"]));
    world.settled().await;
    let expected = [
        "alert.fired host:high_disk:/",
        "alert.fired host:high_disk:/srv",
    ];
    assert_eq!(world.alerts(), expected);
}

/// A line of version 1 stays readable: what it says is in force after a start.
#[tokio::test]
async fn golden_line_of_the_watch() {
    let golden = include_str!("../../fixtures/logs/ops_sentinel.ndjson");
    let world = World::with(&json!({ "mounts": ["/"], "units": { "shop.service": {} } }));
    let World {
        app,
        home,
        clock,
        machine,
    } = world;
    app.close();
    std::fs::write(home.path().join("logs/ops_sentinel.ndjson"), golden).unwrap();
    let view = home.path().join("logs/.views/ops_sentinel.latest.view");
    assert!(!view.exists(), "nothing was folded before");
    let app = assembled(home.path(), &clock, &machine);
    let world = World {
        app,
        home,
        clock,
        machine,
    };
    let told = world.host().await;
    assert_eq!(told["measured_at"], "2026-11-21T08:57:00.000Z");
    assert_eq!(
        told["warnings"],
        json!(["high_ram", "unit_failed:shop.service"])
    );
    assert_eq!(told["active"][0]["value"], 93.75);
    assert_eq!(told["readings"]["volumes"]["/"]["full_in_hours"], 51.5);
    // `high_load` was bad twice before; the third time raises it.
    world
        .machine
        .change(|reading| reading.load.as_mut().unwrap().five = 9.0);
    let raised = world.run().await.output["raised"].take();
    assert_eq!(
        raised,
        json!(["high_load", "oom_kill"]),
        "and two were killed since"
    );
}
