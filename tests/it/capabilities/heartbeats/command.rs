//! Heartbeats over a socket and on the command line.

use std::process::Command;

use crate::daemon::{Client, Daemon};

fn echopilot(home: &std::path::Path, words: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_echopilot"))
        .args(words)
        .arg("--home")
        .arg(home)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

const CONFIG: &str = r#"{ "heartbeats": { "watchdog": { "every": "5m", "grace": "2m" } } }"#;

/// As Alertmanager sends its always-firing alert.
const WATCHDOG: &str = r#"{"version":"4","groupKey":"{}:{alertname=\"Watchdog\"}","status":"firing",
"receiver":"echopilot","groupLabels":{"alertname":"Watchdog"},"commonLabels":{"alertname":"Watchdog",
"severity":"none"},"alerts":[{"status":"firing","labels":{"alertname":"Watchdog"},
"startsAt":"2026-11-21T09:00:00Z","endsAt":"0001-01-01T00:00:00Z"}]}"#;

#[test]
fn an_address_is_drawn_called_by_all_kinds_of_clients_and_looked_at() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("configs")).unwrap();
    std::fs::write(home.path().join("configs/heartbeats.json"), CONFIG).unwrap();
    let daemon = Daemon::start(home.path());
    let words = [
        "heartbeat",
        "url",
        "watchdog",
        "--base",
        "https://ops.example.com/",
    ];
    let (done, told) = echopilot(home.path(), &words);
    assert!(done, "{told}");
    let url = told.lines().next().unwrap();
    let path = url
        .strip_prefix("https://ops.example.com")
        .unwrap()
        .to_owned();
    let (done, told) = echopilot(home.path(), &["heartbeat", "url", "watchdog"]);
    assert!(!done && told.contains("--renew"), "{told}");

    let call = |method: &str, path: &str, kind: &str, body: &[u8]| {
        let mut client = Client::connect(&daemon.address, None).unwrap();
        let headers = [("Content-Type", kind)];
        client.call(method, path, &headers, body).unwrap()
    };
    let form = "application/x-www-form-urlencoded";
    let answer = call("POST", &path, "application/json", WATCHDOG.as_bytes()).expect(200);
    assert_eq!(answer.body, b"OK");
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
    assert_eq!(call("POST", &path, form, b"rows=3").expect(200).body, b"OK");
    assert_eq!(call("HEAD", &path, form, b"").expect(200).body, b"");
    let long = [b"x".repeat(9_999), "\u{e9}".repeat(50_000).into_bytes()].concat();
    call("POST", &format!("{path}/log"), "text/plain", &long).expect(200);
    // More than callers without a key have for anything else.
    for _call in 0..30 {
        call("GET", &path, form, b"").expect(200);
    }
    let shown = daemon
        .get("/api/heartbeats/watchdog?limit=200")
        .expect(200)
        .json();
    assert_eq!(shown["state"], "up");
    let history = shown["history"].as_array().unwrap();
    let bodies: Vec<_> = history
        .iter()
        .filter_map(|line| line["body"].as_str())
        .collect();
    assert_eq!(bodies[0], WATCHDOG);
    assert_eq!(bodies[1], "rows=3");
    assert_eq!(bodies[2], "x".repeat(9_999), "no half character");
    assert!(history.iter().any(|line| line["body_cut"] == true));

    look_and_switch(home.path(), daemon);
}

/// The verbs, with a daemon and without.
fn look_and_switch(home: &std::path::Path, daemon: Daemon) {
    let (done, told) = echopilot(home, &["heartbeat", "list"]);
    assert!(
        done && told.contains("watchdog") && told.contains("up"),
        "{told}"
    );
    let (done, told) = echopilot(home, &["heartbeat", "pause", "watchdog"]);
    assert!(done && told.contains("is paused"), "{told}");
    let (done, told) = echopilot(home, &["heartbeat", "show", "watchdog", "-n", "50"]);
    assert!(
        done && told.contains("rows=3") && told.contains("paused"),
        "{told}"
    );
    daemon.kill();
    let (done, told) = echopilot(home, &["heartbeat", "list"]);
    assert!(
        done && told.contains("paused"),
        "it outlives a kill: {told}"
    );
    let (done, told) = echopilot(home, &["heartbeat", "resume", "watchdog"]);
    assert!(done && told.contains("is up"), "{told}");
}
