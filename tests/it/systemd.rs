//! What systemd sees: it finds nothing to complain about in the unit file, which stays hardened,
//! and it is told when the daemon serves and when it ends.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use crate::daemon::{Daemon, PATIENCE};
use crate::tidy::tree::repository;

/// Exposure that the unit may have at most, in tenths of systemd's score (0 is best, 96 is a unit
/// without hardening). The bar is 1.2.
const MOST_EXPOSURE: &str = "12";

#[test]
fn the_unit_scores_at_most_one_point_two() {
    let unit = repository().join("systemd/echopilot.service");
    let threshold = format!("--threshold={MOST_EXPOSURE}");
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", &threshold])
        .arg(&unit)
        .output()
        .expect("systemd-analyze runs; `tests/run` installs it");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "too exposed:\n{table}");
}

#[test]
fn systemd_has_nothing_to_complain_about() {
    let text = fs::read_to_string(repository().join("systemd/echopilot.service")).expect("unit");
    let installed = "ExecStart=/usr/local/bin/echopilot serve --home /var/lib/echopilot";
    assert!(text.contains(installed), "the start line is `{installed}`");
    // The program is not installed where tests run: the built one stands in for it.
    let here = text.replace("/usr/local/bin/echopilot", env!("CARGO_BIN_EXE_echopilot"));
    let folder = tempfile::tempdir().expect("a folder");
    let unit = folder.path().join("echopilot.service");
    fs::write(&unit, here).expect("a unit");

    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&unit)
        .output()
        .expect("systemd-analyze runs; `tests/run` installs it");
    let talk = String::from_utf8_lossy(&output.stderr);
    // Complaints about the machine's own units name other files.
    let ours: Vec<_> = talk
        .lines()
        .filter(|line| line.contains("echopilot"))
        .collect();
    assert!(output.status.success() && ours.is_empty(), "{talk}");
}

/// The next notice that a service manager would get, line by line.
fn notice(manager: &UnixDatagram) -> Vec<String> {
    let mut bytes = [0; 4096];
    let length = manager.recv(&mut bytes).expect("a notice in time");
    let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_service_manager_is_told_of_the_start_and_of_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let home = folder.path().join("home");
    fs::create_dir(&home).expect("a home");

    let daemon = Daemon::start_with(&home, |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    let ready = notice(&manager);
    let status = format!("STATUS=serving http://{}", daemon.address);
    assert!(ready.iter().any(|line| line == "READY=1"), "{ready:?}");
    assert!(ready.contains(&status), "{ready:?}");
    daemon.get("/api/flags/get").expect(200);

    daemon.terminate();
    let stopping = notice(&manager);
    assert!(
        stopping.iter().any(|line| line == "STOPPING=1"),
        "{stopping:?}"
    );
    assert_eq!(daemon.wait(), Some(0));
}
