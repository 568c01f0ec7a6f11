//! The watchdog: the test is the service manager. It waits for notices of life, kills a process
//! that gives none, and starts another on the same folder.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Manager;
use crate::daemon::{Client, DASH, Daemon, PATIENCE};
use crate::faults::{event, kept, verify, within};

/// What the service manager waits for a notice: `WatchdogSec=` of these tests.
const WAITS: Duration = Duration::from_secs(3);
/// How long each sync hangs: far longer than the service manager waits.
const HANGS: Duration = Duration::from_mins(1);

fn start(home: &std::path::Path, manager: &Manager) -> Daemon {
    Daemon::start_with(home, |command| {
        manager.told_by(command);
        command.env("WATCHDOG_USEC", WAITS.as_micros().to_string());
    })
}

/// Makes every sync of the process hang, as a dying disk does. It ends with the process.
fn hang_syncs(daemon: &Daemon) -> Child {
    let inject = format!("inject=fdatasync:delay_enter={}", HANGS.as_micros());
    let strace = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=fdatasync",
            "-e",
            &inject,
        ])
        .args(["-p", &daemon.pid().to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("strace runs; `tests/run` installs it");
    let status = format!("/proc/{}/status", daemon.pid());
    within(PATIENCE, "strace has attached", || {
        let text = std::fs::read_to_string(&status).unwrap();
        text.lines()
            .any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    });
    strace
}

/// Waits for notices of life as systemd does. `true` when one came in time.
fn lives(manager: &Manager) -> bool {
    let begun = Instant::now();
    while let Some(left) = WAITS.checked_sub(begun.elapsed()) {
        let Some(notice) = manager.next_within(left.max(Duration::from_millis(1))) else {
            return false;
        };
        if notice.iter().any(|line| line == "WATCHDOG=1") {
            return true;
        }
    }
    false
}

#[test]
fn a_writer_that_is_stuck_is_restarted_once_and_nothing_acknowledged_is_lost() {
    let (home, manager) = (TempDir::new().unwrap(), Manager::new());
    let daemon = start(home.path(), &manager);
    manager.until("READY=1");
    for _ in 0..3 {
        assert!(lives(&manager), "it lives");
    }
    let mut acked = BTreeMap::new();
    for number in 0..20 {
        let id = format!("event-{number}");
        let answer = daemon.post("/api/exp/log", &event(&id)).expect(200);
        acked.insert(id, answer.json()["seq"].as_u64().unwrap());
    }
    let mut strace = hang_syncs(&daemon);
    // Nobody is told that it is stored, because it is not.
    let mut hanging = Client::connect(&daemon.address, Some(DASH)).unwrap();
    let waiting = std::thread::spawn(move || {
        let body = event("hanging");
        hanging.call("POST", "/api/exp/log", &[], body.as_bytes())
    });
    within(PATIENCE, "storage says that it is stuck or slow", || {
        daemon
            .talk
            .try_iter()
            .any(|line| line.contains("has been at one write or sync"))
    });
    let mut notices = 0;
    while lives(&manager) {
        notices += 1;
        assert!(notices < 10, "told of life while a writer is stuck");
    }
    // Flags are served all the same until then.
    daemon.get("/api/flags/get").expect(200);
    let pid = daemon.pid().to_string();
    Command::new("kill").args(["-ABRT", &pid]).status().unwrap();
    // What it holds up would end with the minute only.
    strace.kill().unwrap();
    strace.wait().unwrap();
    assert_eq!(daemon.wait(), None, "it was killed");
    assert!(
        waiting.join().unwrap().is_err(),
        "what hung was acknowledged"
    );

    let daemon = start(home.path(), &manager);
    manager.until("READY=1");
    for _ in 0..5 {
        assert!(lives(&manager), "one restart is enough");
    }
    assert_eq!(daemon.stop(), Some(0));
    kept(home.path()).assert_holds(&acked);
    assert_eq!(verify(home.path()).0, 0);
}

#[test]
fn storage_that_refuses_is_not_stuck() {
    let (home, manager) = (TempDir::new().unwrap(), Manager::new());
    let daemon = start(home.path(), &manager);
    manager.until("READY=1");
    let mut strace = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"])
        .args(["-e", "inject=fdatasync:error=EIO", "-p"])
        .arg(daemon.pid().to_string())
        .stderr(Stdio::null())
        .spawn()
        .expect("strace runs; `tests/run` installs it");
    let mut number = 0;
    // Each under an id of its own: one that was stored before would be answered from memory.
    let mut refuses = || {
        number += 1;
        let id = format!("refused-{number}");
        daemon.post("/api/exp/log", &event(&id)).status == 503
    };
    within(PATIENCE, "storage refuses", &mut refuses);
    for _ in 0..4 {
        assert!(lives(&manager), "a refusal is no reason to be killed");
        assert!(refuses(), "it refuses still");
    }
    let pid = strace.id().to_string();
    Command::new("kill").arg(pid).status().unwrap();
    strace.wait().unwrap();
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_runtime_that_stands_still_is_not_told_to_live() {
    let (home, manager) = (TempDir::new().unwrap(), Manager::new());
    let daemon = start(home.path(), &manager);
    manager.until("READY=1");
    assert!(lives(&manager));
    // The one thread that serves is the first; the watchdog's goes on.
    let first = daemon.pid().to_string();
    let mut strace = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "-e", "trace=epoll_wait"])
        .args(["-e", "inject=epoll_wait:delay_exit=60000000", "-p", &first])
        .stderr(Stdio::null())
        .spawn()
        .expect("strace runs; `tests/run` installs it");
    let mut notices = 0;
    while lives(&manager) {
        notices += 1;
        assert!(notices < 10, "told of life while the runtime stands still");
    }
    let told = daemon
        .talk
        .try_iter()
        .any(|line| line.contains("has not turned for"));
    assert!(told, "it says what stands still");
    Command::new("kill")
        .args(["-KILL", &first])
        .status()
        .unwrap();
    strace.kill().unwrap();
    strace.wait().unwrap();
}
