//! Following, with the whole program: restarts, kills, rotations, slow clients, a crowd.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::journal;
use super::sse::Follower;
use crate::daemon::{Client, Daemon};
use crate::world::noon;

const CLIENTS: usize = 100;

fn restarts() -> u32 {
    if std::env::var_os("SLOW").is_some() {
        100
    } else {
        10
    }
}

fn home_with(limits: &Value, segment_bytes: u64) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let configs = home.path().join("configs");
    std::fs::create_dir_all(&configs).unwrap();
    let settings = json!({ "limits": limits, "journals": { "segment_bytes": segment_bytes } });
    std::fs::write(configs.join("echopilot.json"), settings.to_string()).unwrap();
    home
}

/// Numbers and texts of all lines of ours in a journal's files.
fn on_disk(home: &Path, name: &str) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(home.join("logs")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        if file.split('.').next() == Some(name) && file.ends_with(".ndjson") {
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                let value: Value = serde_json::from_str(line).unwrap();
                all.push((value["seq"].as_u64().unwrap(), line.to_owned()));
            }
        }
    }
    all.sort_unstable();
    all
}

/// Where the daemon is now, and how far clients must come before they may end.
struct Shared {
    address: Mutex<String>,
    goal: AtomicU64,
    reached: AtomicU64,
}

/// A client that comes back like a browser, until it has the last line there will be.
fn follow_to_the_goal(shared: &Shared) -> Vec<(u64, String)> {
    let mut got = Vec::new();
    let mut last_id = None;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_mins(10) {
        let address = shared.address.lock().unwrap().clone();
        let path = "/api/logs/experiments?follow=1&after=0";
        let Ok(mut follower) = Follower::connect(&address, path, last_id) else {
            std::thread::park_timeout(Duration::from_millis(20));
            continue;
        };
        if follower.status != 200 {
            std::thread::park_timeout(Duration::from_millis(20));
            continue;
        }
        while let Ok(Some(event)) = follower.next() {
            got.push((event.id.expect("a line of ours"), event.data));
            shared.reached.fetch_add(1, Ordering::Relaxed);
            let seq = got.last().map_or(0, |(seq, _)| *seq);
            if seq >= shared.goal.load(Ordering::Relaxed) {
                return got;
            }
        }
        last_id = follower.last_id;
    }
    got
}

fn log_events(mut client: Client, stop: &AtomicBool, prefix: &str) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let body = format!(
            r#"{{"event":"signup","user":"user123","exp":"pricing_v2","variant":"A","value":1.5,"id":"{prefix}-{number}"}}"#
        );
        if client
            .call("POST", "/api/exp/log", &[], body.as_bytes())
            .is_err()
        {
            break;
        }
    }
}

#[test]
fn a_hundred_clients_get_every_line_once_and_in_order_through_restarts() {
    let home = home_with(&json!({}), 1 << 20);
    let shared = Arc::new(Shared {
        address: Mutex::default(),
        goal: AtomicU64::new(u64::MAX),
        reached: AtomicU64::new(0),
    });
    let mut daemon = Daemon::start(home.path());
    shared.address.lock().unwrap().clone_from(&daemon.address);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || follow_to_the_goal(&shared))
        })
        .collect();
    for round in 0..restarts() {
        let before = shared.reached.load(Ordering::Relaxed);
        let stop = AtomicBool::new(false);
        let client = daemon.client();
        std::thread::scope(|scope| {
            scope.spawn(|| log_events(client, &stop, &format!("r{round}")));
            // Lines have come through to clients before the next restart.
            let begun = Instant::now();
            while shared.reached.load(Ordering::Relaxed) < before + CLIENTS as u64 * 20 {
                assert!(
                    begun.elapsed() < Duration::from_mins(2),
                    "round {round}: no lines come"
                );
                std::thread::park_timeout(Duration::from_millis(5));
            }
            // Every third time it is killed, under load.
            if round % 3 == 2 {
                daemon.kill();
            } else {
                daemon.terminate();
                assert_eq!(daemon.wait(), Some(0));
            }
            stop.store(true, Ordering::Relaxed);
        });
        daemon = Daemon::start(home.path());
        shared.address.lock().unwrap().clone_from(&daemon.address);
    }
    let last = on_disk(home.path(), "experiments")
        .last()
        .map_or(0, |(seq, _)| *seq);
    shared.goal.store(last + 1, Ordering::Relaxed);
    let one = r#"{"event":"signup","user":"user123","exp":"pricing_v2","variant":"A","id":"end"}"#;
    daemon.post("/api/exp/log", one).expect(200);
    let expected = on_disk(home.path(), "experiments");
    for (number, client) in clients.into_iter().enumerate() {
        let got = client.join().unwrap();
        assert_eq!(got.len(), expected.len(), "client {number}");
        assert!(
            got == expected,
            "client {number}: every line once, in order"
        );
    }
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_client_that_does_not_read_costs_no_memory_and_misses_nothing() {
    let home = home_with(&json!({}), 1 << 20);
    journal(home.path(), noon(), 40_000, 1_000, 4 << 20);
    let daemon = Daemon::start(home.path());
    let resident = || {
        let text = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            / 1024
    };
    let before = resident();
    let path = "/api/logs/notes?follow=1&after=0";
    let mut slow: Vec<_> = (0..10)
        .map(|_| Follower::connect(&daemon.address, path, None).unwrap())
        .collect();
    let mut quick = Follower::connect(&daemon.address, path, None).unwrap();
    let expected = on_disk(home.path(), "notes");
    for (seq, _) in &expected {
        assert_eq!(quick.next().unwrap().unwrap().id, Some(*seq));
    }
    // Eleven times forty megabytes were asked for.
    let grown = resident().saturating_sub(before);
    assert!(grown < 60, "{grown} MB for clients that do not read");
    let mut slow = slow.remove(0);
    for (seq, text) in &expected {
        let event = slow.next().unwrap().unwrap();
        assert_eq!((event.id, &event.data), (Some(*seq), text));
    }
}

#[test]
fn the_end_of_the_daemon_is_quick_with_clients_and_a_crowd_is_refused() {
    let limits = json!({ "max_connections_per_ip": 400 });
    let home = home_with(&limits, 1 << 20);
    let daemon = Daemon::start(home.path());
    let path = "/api/logs/experiments?follow=1";
    let mut followers: Vec<_> = (0..256)
        .map(|_| Follower::connect(&daemon.address, path, None).unwrap())
        .collect();
    for follower in &followers {
        assert_eq!(follower.status, 200);
        for part in [
            "content-type: text/event-stream",
            "cache-control: no-store",
            "x-accel-buffering: no",
        ] {
            assert!(follower.head.contains(part), "{}", follower.head);
        }
    }
    let refused = daemon.get(path).expect(503);
    assert_eq!(refused.json()["error"], "too_many_followers");
    assert!(refused.header("retry-after").is_some());
    // A place that was given back is free again.
    drop(followers.pop());
    crate::storage::support::until("a place is free", || {
        Follower::connect(&daemon.address, path, None).is_ok_and(|one| one.status == 200)
    });
    let begun = Instant::now();
    assert_eq!(daemon.stop(), Some(0));
    // What is in work gets 20 s; these are told to end.
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    for mut follower in followers {
        assert!(matches!(follower.next(), Ok(None)), "it ends in order");
    }
}
