//! SIGHUP: everything is looked at now, and the answer is one line; the process goes on.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{Manager, hear};
use crate::daemon::{Daemon, PATIENCE};
use crate::faults::{event, within};

fn hang_up(daemon: &Daemon) {
    let pid = daemon.pid().to_string();
    let sent = Command::new("kill").args(["-HUP", &pid]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn a_hangup_reads_everything_again_and_says_what_came_of_it() {
    let home = TempDir::new().unwrap();
    let manager = Manager::new();
    let daemon = Daemon::start_with(home.path(), |command| manager.told_by(command));
    manager.until("READY=1");

    hang_up(&daemon);
    let line = hear(&daemon, "reloaded: ");
    assert!(line.contains("no configuration has changed"), "{line}");
    let reloading = manager.until("RELOADING=1");
    let since = reloading
        .iter()
        .find(|line| line.starts_with("MONOTONIC_USEC="));
    assert!(since.is_some(), "{reloading:?}");
    let ready = manager.until("READY=1");
    let status = ready
        .iter()
        .any(|line| line.starts_with("STATUS=reloaded: "));
    assert!(status, "{ready:?}");

    let configs = home.path().join("configs");
    fs::write(configs.join("flags.json"), "{ \"payments.live\": 7 \n").unwrap();
    hang_up(&daemon);
    let line = hear(&daemon, "reloaded: ");
    assert!(line.contains("`flags.json` is refused: "), "{line}");
    manager.until("RELOADING=1");
    manager.until("READY=1");
    daemon.get("/api/flags/get").expect(200);
}

#[test]
fn a_journal_that_was_moved_is_opened_again_at_once() {
    let home = TempDir::new().unwrap();
    let daemon = Daemon::start(home.path());
    daemon.post("/api/exp/log", &event("first")).expect(200);
    let logs = home.path().join("logs");
    fs::rename(logs.join("experiments.ndjson"), home.path().join("away")).unwrap();
    hang_up(&daemon);
    hear(&daemon, "reloaded: ");
    let again = fs::read_to_string(logs.join("experiments.ndjson")).unwrap();
    assert!(again.contains("\"kind\":\"segment.opened\""), "{again}");
    daemon.post("/api/exp/log", &event("second")).expect(200);
}

#[test]
fn a_hangup_while_it_starts_does_not_end_it() {
    let home = TempDir::new().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_echopilot"))
        .args(["serve", "--listen", "127.0.0.1:0", "--home"])
        .arg(home.path())
        .env_remove("NOTIFY_SOCKET")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    within(PATIENCE, "it takes the signal", || {
        let text = fs::read_to_string(&status).unwrap();
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap_or("0").trim(), 16).unwrap();
        // Bit 0 is SIGHUP: proc(5).
        caught & 1 == 1
    });
    let pid = child.id().to_string();
    let send = |signal: &str| Command::new("kill").args([signal, &pid]).status().unwrap();
    send("-HUP");
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let served = lines
        .map_while(Result::ok)
        .any(|line| line.contains("serves http://"));
    assert!(served, "it does not start");
    send("-HUP");
    send("-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
