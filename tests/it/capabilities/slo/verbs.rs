//! `echopilot slo` over the folder of a daemon that is not running.

use std::fs;
use std::time::Duration;

use chrono::TimeDelta;
use echopilot::platform::samples::Rows;
use serde_json::Value;

use crate::cli::run;
use crate::world::{World, at};

/// Ten minutes of outage after a clean day, on record; the world has ended.
fn recorded() -> World {
    let mut world = World::at(at("2025-06-01T12:00:00Z")).start();
    let mut rows = Rows::new();
    for minute in 0..1500 {
        let when = world.now() - TimeDelta::minutes(1500 - minute);
        let bad = if (1440..1450).contains(&minute) {
            100
        } else {
            0
        };
        rows.add("shop", when, 100, bad, Some(20_000));
    }
    world.app().samples.add("test", rows);
    world.until("the minutes are on record", |world| {
        world.advance(Duration::from_secs(2));
        !world.journal("samples").is_empty()
    });
    world.stop();
    world
}

const EDITED: &str = r#"{ "objectives": { "checkout": {
    "series": "shop", "kind": "availability", "target_percent": TARGET
} } }"#;

#[test]
fn a_replay_needs_no_daemon_and_shows_what_an_edit_would_do() {
    let world = recorded();
    let file = world.home().join("edited.json");
    let path = file.display().to_string();
    let replay = |target: &str, more: &[&str]| {
        fs::write(&file, EDITED.replace("TARGET", target)).unwrap();
        let mut args = vec!["slo", "replay", "--config", &path];
        args.extend([
            "--from",
            "2025-05-31T00:00:00Z",
            "--to",
            "2025-06-01T12:00:00Z",
        ]);
        args.extend(more);
        run(world.home(), &args)
    };
    let strict = replay("99.9", &[]).expect(0);
    assert!(strict.out.starts_with("OBJECTIVE"), "{strict:#?}");
    let page = strict
        .out
        .lines()
        .find(|line| line.contains("page_fast page_slow"))
        .unwrap();
    assert!(
        page.contains("2025-06-01T11:00:00Z  2025-06-01T11:01:00Z"),
        "{page}"
    );

    let told = replay("99.9", &["--json"]).expect(0).json();
    assert_eq!(told["objectives"][0]["requests"], 150_000);
    assert_eq!(told["alert_count"], 2);

    let lax = replay("95", &[]).expect(0);
    assert_eq!(lax.out, "nothing would have fired\n", "{lax:#?}");

    let never = replay("90", &[]).expect(1);
    assert!(
        never.out.contains("page_fast") && never.out.contains("hint:"),
        "{never:#?}"
    );
}

#[test]
fn the_table_shows_the_worst_first_and_one_in_detail() {
    let world = recorded();
    let text = EDITED.replace("TARGET", "99.9");
    world.save("slo.json", &text);
    let list = run(world.home(), &["slo"]).expect(0);
    assert!(list.out.starts_with("OBJECTIVE"), "{list:#?}");
    assert!(list.out.contains("checkout"), "{list:#?}");
    let shown = run(world.home(), &["slo", "show", "checkout"]).expect(0);
    assert!(shown.out.contains("page_fast"), "{shown:#?}");
    let json: Value = run(world.home(), &["slo", "--json"]).expect(0).json();
    assert_eq!(json["objectives"][0]["name"], "checkout");
    let unknown = run(world.home(), &["slo", "show", "chekout"]).expect(1);
    assert!(
        unknown.err.contains("did you mean `checkout`?"),
        "{unknown:#?}"
    );
}
