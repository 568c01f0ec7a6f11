//! The log of starts and stops: who ran, and whether it ended in order.

use std::sync::Arc;

use chrono::TimeDelta;
use echopilot::seams::clock::{Clock, ManualClock};
use echopilot::storage::engine::{Engine, Mark};
use echopilot::storage::journal::read_lines;

use super::support::{Place, read, until};

fn told(engine: &dyn Engine, kind: &str) -> Vec<serde_json::Value> {
    let mut lines = Vec::new();
    read_lines(
        engine,
        "storage",
        &Mark::default(),
        |line: serde_json::Value| {
            if line["kind"] == kind {
                lines.push(line);
            }
        },
    )
    .unwrap();
    lines
}

#[test]
fn each_start_says_which_version_and_how_the_run_before_ended() {
    let place = Place::new();
    let noon = "2026-11-21T12:00:00Z".parse().unwrap();
    let clock = Arc::new(ManualClock::at(noon));
    let first = place.engine_by(clock.clone());
    let runs = first.runs().unwrap();
    assert_eq!((runs.previous_clean, runs.last_unclean), (None, None));
    assert_eq!(runs.version, env!("CARGO_PKG_VERSION"));
    clock.advance(std::time::Duration::from_secs(90));
    first.ends_by("SIGTERM");
    first.ends_by("error");
    first.close();
    let second = place.engine_by(clock.clone());
    let runs = second.runs().unwrap();
    assert_eq!(runs.previous_clean, Some(true));
    assert_eq!(
        runs.previous_version.as_deref(),
        Some(env!("CARGO_PKG_VERSION"))
    );
    let stops = told(&second, "storage.stopped");
    assert_eq!(stops[0]["reason"], "SIGTERM", "the first word counts");
    assert_eq!(stops[0]["uptime_secs"], 90);
    // As after a kill: what was written is there, and no word of an end. Nothing waits for it.
    until("the second start is on record", || {
        told(&second, "storage.started").len() == 2
    });
    let killed = read(&place.logs().join("storage.ndjson"));
    second.close();
    std::fs::write(place.logs().join("storage.ndjson"), killed).unwrap();
    clock.advance(std::time::Duration::from_mins(1));
    let third = place.engine_by(clock.clone());
    let runs = third.runs().unwrap();
    assert_eq!(runs.previous_clean, Some(false));
    assert_eq!(runs.last_unclean, Some(clock.now()));
    third.close();
    clock.advance(std::time::Duration::from_mins(1));
    let fourth = place.engine_by(clock.clone());
    let runs = fourth.runs().unwrap();
    assert_eq!(runs.previous_clean, Some(true));
    assert_eq!(runs.last_unclean, Some(clock.now() - TimeDelta::minutes(1)));
    // Nothing waits for these lines.
    until("the start is on record", || {
        told(&fourth, "storage.started").len() == 4
    });
    let clean: Vec<_> = told(&fourth, "storage.started")
        .iter()
        .map(|line| line["clean"].clone())
        .collect();
    let wanted = serde_json::json!([null, true, false, true]);
    assert_eq!(serde_json::Value::from(clean), wanted);
    fourth.close();
}

#[test]
fn lines_of_earlier_versions_are_read() {
    let place = Place::new();
    place.engine().close();
    let golden = include_str!("../../fixtures/logs/storage.ndjson");
    std::fs::write(place.logs().join("storage.ndjson"), golden).unwrap();
    let engine = place.engine();
    let runs = engine.runs().unwrap();
    assert_eq!(runs.previous_clean, Some(true));
    assert_eq!(runs.previous_version.as_deref(), Some("0.1.0"));
    // The run that line 3 began has no end; line 4 found that out.
    let found = runs.last_unclean.map(echopilot::base::time::stamp);
    assert_eq!(found.as_deref(), Some("2026-11-21T04:15:02.123Z"));
    engine.close();
}
