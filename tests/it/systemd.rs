//! What systemd sees: it finds nothing to complain about in the unit file, which stays hardened,
//! and it is told when the daemon serves and when it ends.

mod activation;
mod package;
mod reload;
mod watchdog;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

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
    let installed = "ExecStart=echopilot serve --home /var/lib/echopilot";
    assert!(text.contains(installed), "the start line is `{installed}`");
    // The program is not installed where tests run: the built one stands in for it.
    let program = concat!("ExecStart=", env!("CARGO_BIN_EXE_echopilot"));
    let here = text.replace("ExecStart=echopilot", program);
    let folder = tempfile::tempdir().expect("a folder");
    let unit = folder.path().join("echopilot.service");
    fs::write(&unit, here).expect("a unit");
    let socket = folder.path().join("echopilot.socket");
    fs::copy(repository().join("systemd/echopilot.socket"), &socket).expect("a socket");

    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args([&unit, &socket])
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

/// A service manager: the socket that it is told by.
struct Manager {
    folder: TempDir,
    socket: UnixDatagram,
}

impl Manager {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
        Self { folder, socket }
    }

    /// Has the program tell this one.
    fn told_by(&self, command: &mut Command) {
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
    }

    /// The next notice within `span`, line by line.
    fn next_within(&self, span: Duration) -> Option<Vec<String>> {
        self.socket.set_read_timeout(Some(span)).expect("a timeout");
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        Some(text.lines().map(str::to_owned).collect())
    }

    /// The next notice with that line; others may come before, as of a start on a busy machine.
    #[track_caller]
    fn until(&self, line: &str) -> Vec<String> {
        loop {
            let notice = self.next_within(PATIENCE);
            let notice = notice.unwrap_or_else(|| panic!("no `{line}` in time"));
            if notice.iter().any(|one| one == line) {
                return notice;
            }
        }
    }
}

/// Waits until the daemon says a line with `text` in it.
#[track_caller]
fn hear(daemon: &Daemon, text: &str) -> String {
    loop {
        let line = daemon.talk.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|_| panic!("it does not say `{text}`"));
        if line.contains(text) {
            return line;
        }
    }
}

#[test]
fn the_service_manager_is_told_of_the_start_and_of_the_end() {
    let (home, manager) = (TempDir::new().expect("a home"), Manager::new());
    let daemon = Daemon::start_with(home.path(), |command| manager.told_by(command));
    let ready = manager.until("READY=1");
    let status = format!("STATUS=serving http://{}", daemon.address);
    assert!(ready.contains(&status), "{ready:?}");
    daemon.get("/api/flags/get").expect(200);

    daemon.terminate();
    manager.until("STOPPING=1");
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn a_long_start_tells_how_far_it_is_and_asks_for_more_time() {
    /// Bytes of lines by hand that the start reads through.
    const BYTES: usize = 8 << 20;
    let (home, manager) = (TempDir::new().expect("a home"), Manager::new());
    let logs = home.path().join("logs");
    fs::create_dir(&logs).expect("a folder");
    let journal = logs.join("experiments.ndjson");
    fs::write(&journal, "{\"by\":\"hand\"}\n".repeat(BYTES / 14)).expect("a journal");
    let daemon = Daemon::start_with(home.path(), |command| {
        // With `-D` the program keeps the number of the process that was started.
        let mut slow = Command::new("strace");
        slow.args([
            "-D",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=read,pread64",
        ])
        .args(["-e", "inject=read,pread64:delay_exit=250000", "-P"])
        .arg(&journal)
        .arg(command.get_program())
        .args(command.get_args())
        .env("DASHBOARD_KEY", crate::daemon::DASH)
        .env("ADMIN_TOKEN", crate::daemon::ADMIN)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped());
        manager.told_by(&mut slow);
        *command = slow;
    });
    let first = manager.next_within(PATIENCE).expect("a notice");
    let status = first
        .iter()
        .find(|line| line.starts_with("STATUS=recovering: "));
    assert!(
        status.is_some_and(|line| line.contains(" MiB ")),
        "{first:?}"
    );
    let more = "EXTEND_TIMEOUT_USEC=30000000";
    assert!(first.iter().any(|line| line == more), "{first:?}");
    manager.until("READY=1");
    assert_eq!(daemon.stop(), Some(0));
}
