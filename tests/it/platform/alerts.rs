//! Alert events: one line when a finding begins, one when it ends, whatever storage does meanwhile.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use echopilot::platform::alerts::{Alerts, Finding, STREAM, Severity, What};
use echopilot::seams::clock::{Clock, ManualClock};
use echopilot::storage::engine::{Durability, Engine, Mark, StreamOptions};
use echopilot::storage::journal::read_lines;
use echopilot::storage::memory::MemoryEngine;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::capabilities::gate::Gate;

fn noon() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn down(severity: Severity) -> Finding {
    Finding {
        key: "probe:web".into(),
        source: "probes".into(),
        severity,
        summary: "`web` answers 500".into(),
        started_at: noon(),
        labels: [("probe", "web")].into(),
        ..Finding::default()
    }
}

fn store() -> (Arc<ManualClock>, Arc<Gate>, Arc<dyn Engine>) {
    let clock = Arc::new(ManualClock::at(noon()));
    let memory = MemoryEngine::new(Arc::clone(&clock) as Arc<dyn Clock>);
    let gate = Arc::new(Gate::new(Arc::new(memory)));
    let engine: Arc<dyn Engine> = Arc::clone(&gate) as _;
    let options = StreamOptions {
        durability: Durability::Always,
        segment_bytes: 1 << 20,
        segment_age: Duration::from_hours(24),
    };
    engine.open(STREAM, options).unwrap();
    (clock, gate, engine)
}

fn kinds(engine: &dyn Engine) -> Vec<String> {
    let mut kinds = Vec::new();
    read_lines(engine, STREAM, &Mark::default(), |line: Value| {
        kinds.push(line["kind"].as_str().unwrap().to_owned());
    })
    .unwrap();
    kinds
}

/// Everything said so far is on record.
async fn settled(engine: &dyn Engine) {
    let nothing = echopilot::storage::lines::Lines::new();
    let barrier = engine.append(
        STREAM,
        echopilot::storage::engine::Expect::Any,
        None,
        nothing,
        None,
    );
    drop(barrier.await);
}

#[tokio::test]
async fn a_finding_is_told_once_and_its_end_once() {
    let (_clock, _gate, engine) = store();
    let alerts = Alerts::open(&engine).unwrap();
    for _ in 0..3 {
        alerts.raise(down(Severity::Error), noon());
    }
    alerts.raise(down(Severity::Critical), noon());
    settled(&*engine).await;
    assert_eq!(kinds(&*engine), ["alert.fired", "alert.changed"]);

    let again = Alerts::open(&engine).unwrap();
    assert_eq!(again.active().len(), 1, "a restart forgets nothing");
    assert_eq!(again.active()[0].finding.severity, Severity::Critical);
    again.raise(down(Severity::Critical), noon());
    again.resolve("probe:web", noon(), "`web` answers 200 again");
    again.resolve("probe:web", noon(), "twice is once");
    again.resolve("probe:other", noon(), "never was");
    settled(&*engine).await;
    let all = ["alert.fired", "alert.changed", "alert.resolved"];
    assert_eq!(kinds(&*engine), all);
    assert!(Alerts::open(&engine).unwrap().active().is_empty());
}

#[tokio::test]
async fn what_storage_refuses_is_written_later_in_order() {
    let (clock, gate, engine) = store();
    let alerts = Alerts::open(&engine).unwrap();
    gate.refuse();
    alerts.raise(down(Severity::Error), noon());
    alerts.resolve("probe:web", noon(), "over");
    settled(&*engine).await;
    assert!(alerts.trouble().is_some(), "health says so");
    assert!(alerts.active().is_empty(), "nothing is on record");
    gate.open_up();
    let stop = CancellationToken::new();
    let trying = alerts
        .clone()
        .keep_trying(Arc::clone(&clock) as Arc<dyn Clock>, stop.clone());
    let stepping = async {
        while alerts.trouble().is_some() {
            clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    tokio::join!(trying, stepping);
    settled(&*engine).await;
    assert_eq!(kinds(&*engine), ["alert.fired", "alert.resolved"]);
}

#[tokio::test]
async fn a_follower_misses_no_line_over_restarts_and_sees_who_took_it_up() {
    let (_clock, _gate, engine) = store();
    let alerts = Alerts::open(&engine).unwrap();
    alerts.raise(down(Severity::Error), noon());
    let later = noon() + chrono::TimeDelta::minutes(3);
    assert_eq!(
        alerts.acknowledge(["probe:web", "probe:no"], "alice", later),
        1
    );
    assert_eq!(alerts.acknowledge(["probe:web"], "bob", later), 0);
    alerts.settled().await.unwrap();
    let other_words = Finding {
        summary: "`web` answers 502".into(),
        ..down(Severity::Error)
    };
    alerts.raise(other_words, later);
    let seen = alerts.since(0).unwrap();
    assert_eq!(alerts.beyond(0).await, 2);
    let again = Alerts::open(&engine).unwrap();
    assert_eq!(again.since(0).unwrap(), seen);
    let told = again.find("probe:web").unwrap();
    assert_eq!(told.acknowledged, Some((later, "alice".to_owned())));
    again.resolve("probe:web", later, "over");
    again.settled().await.unwrap();
    let rest = again.since(seen[1].seq).unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!((&rest[0].what, rest[0].fired_at), (&What::Resolved, noon()));
    let kinds = kinds(&*engine);
    assert_eq!(
        kinds,
        ["alert.fired", "alert.acknowledged", "alert.resolved"]
    );
}

#[tokio::test]
async fn who_is_far_behind_reads_the_journal() {
    let (_clock, _gate, engine) = store();
    let alerts = Alerts::open(&engine).unwrap();
    for number in 0..9_000 {
        let key = format!("probe:{number}");
        alerts.raise(
            Finding {
                key,
                ..down(Severity::Error)
            },
            noon(),
        );
    }
    alerts.settled().await.unwrap();
    for after in [0, 100, 8_999] {
        let found = alerts.since(after).unwrap();
        let seqs: Vec<_> = found.iter().map(|record| record.seq).collect();
        assert_eq!(seqs, (after + 1..=9_000).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_is_given_up_while_storage_refuses_is_heard_when_said_again() {
    let (clock, gate, engine) = store();
    let alerts = Alerts::open(&engine).unwrap();
    gate.refuse();
    let raise = |number: u32| {
        let key = format!("probe:{number}");
        let finding = Finding {
            key,
            ..down(Severity::Error)
        };
        alerts.raise(finding, noon());
    };
    // The first write takes one line and is refused; then more wait than are kept.
    (0..30_010).for_each(raise);
    assert!(alerts.settled().await.is_err());
    let lost = (0..30_010).filter(|number| !alerts.holds(&format!("probe:{number}")));
    let lost: Vec<_> = lost.collect();
    assert_eq!(lost.len(), 10);
    gate.open_up();
    let stop = CancellationToken::new();
    let trying = alerts
        .clone()
        .keep_trying(Arc::clone(&clock) as Arc<dyn Clock>, stop.clone());
    let stepping = async {
        while alerts.trouble().is_some() {
            clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
        lost.into_iter().for_each(raise);
        alerts.settled().await.unwrap();
        stop.cancel();
    };
    tokio::join!(trying, stepping);
    assert_eq!(alerts.active().len(), 30_010);
}
