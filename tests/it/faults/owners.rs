//! Rules C6 and L14: one owner per home, and an owner that is killed right after a rotation.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Load, kept, log, rounds, verify, within};
use crate::daemon::Daemon;

/// The second daemon must be gone within this time. Source: rule C6.
const EXIT_WITHIN: Duration = Duration::from_secs(1);

fn racer(home: &Path) -> std::process::Child {
    Command::new(env!("CARGO_BIN_EXE_echopilot"))
        .args(["serve", "--listen", "127.0.0.1:0", "--home"])
        .arg(home)
        .env("DASHBOARD_KEY", crate::daemon::DASH)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn c6_of_two_daemons_started_at_once_one_owns_the_home_and_the_other_says_who() {
    let home = tempfile::tempdir().unwrap();
    for round in 0..rounds(50, 500) {
        let begun = Instant::now();
        let mut racers = [racer(home.path()), racer(home.path())];
        let mut loser = None;
        within(EXIT_WITHIN * 5, "one of them ends", || {
            loser = racers
                .iter_mut()
                .position(|one| one.try_wait().unwrap().is_some());
            loser.is_some()
        });
        let took = begun.elapsed();
        let [first, second] = racers;
        let (loser, mut owner) = if loser == Some(0) {
            (first, second)
        } else {
            (second, first)
        };
        let owner_pid = owner.id();
        let output = loser.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(75), "round {round}: {told}");
        assert!(
            told.contains(&format!("process {owner_pid}")),
            "round {round}: {told}"
        );
        assert!(took < EXIT_WITHIN, "round {round}: {took:?}");
        assert_eq!(owner.try_wait().unwrap(), None, "the other one runs");
        if round % 10 == 0 {
            // Whoever deletes the file for people has not deleted the lock.
            let pid_file = home.path().join(".echopilot/pid");
            within(EXIT_WITHIN, "the owner leaves its number", || {
                pid_file.exists()
            });
            std::fs::remove_file(pid_file).unwrap();
            let third = racer(home.path()).wait_with_output().unwrap();
            let told = String::from_utf8_lossy(&third.stderr).into_owned();
            assert_eq!(third.status.code(), Some(75), "{told}");
            assert!(told.contains(&format!("process {owner_pid}")), "{told}");
        }
        owner.kill().unwrap();
        owner.wait().unwrap();
    }
}

#[test]
fn l14_killed_right_after_a_rotation_nothing_acknowledged_is_lost() {
    let home = tempfile::tempdir().unwrap();
    Daemon::start(home.path()).kill();
    let path = home.path().join("configs/echopilot.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let small = text.replace("67108864", "65536");
    assert_ne!(small, text);
    std::fs::write(&path, small).unwrap();
    let mut acked = std::collections::BTreeMap::new();
    for round in 0..rounds(12, 200) {
        let daemon = Daemon::start(home.path());
        let load = Load::start(&daemon, 8, &format!("r{round}"));
        let before = sealed(home.path());
        within(crate::daemon::PATIENCE, "a segment is sealed", || {
            sealed(home.path()) > before
        });
        daemon.kill();
        acked.append(&mut load.end().acked);
    }
    let daemon = Daemon::start(home.path());
    log(&daemon, "the-end").expect(200);
    assert_eq!(daemon.stop(), Some(0));
    let found = kept(home.path());
    found.assert_holds(&acked);
    found.assert_gapless();
    let (code, report) = verify(home.path());
    assert_eq!(code, 0, "{report:#}");
}

fn sealed(home: &Path) -> usize {
    let entries = std::fs::read_dir(home.join("logs")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names
        .filter(|name| name.starts_with("experiments.0"))
        .count()
}
