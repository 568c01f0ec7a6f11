//! `echopilot serve`: what the command line and HTTP clients see is one thing.

use super::run;
use crate::daemon::Daemon;

#[test]
fn a_change_over_http_is_seen_by_the_command_line_and_the_other_way_round() {
    let home = tempfile::tempdir().expect("a folder");
    let daemon = Daemon::start(home.path());
    let body = r#"{"key":"ui.new_dashboard","value":true}"#;
    daemon.post("/api/flags/set", body).expect(200);
    let got = run(home.path(), &["flag", "get", "ui.new_dashboard"]).expect(0);
    assert_eq!(got.out, "true\n");
    run(home.path(), &["flag", "set", "ui.new_dashboard", "false"]).expect(0);
    let flags = daemon.get("/api/flags/get").expect(200).json();
    assert_eq!(flags["flags"]["ui.new_dashboard"], false);
    let faults: Vec<_> = daemon
        .talk
        .try_iter()
        .filter(|line| line.contains("ERROR"))
        .collect();
    assert!(faults.is_empty(), "{faults:?}");
    let left = home.path().join(".echopilot/daemon.json");
    assert!(left.exists());
    assert_eq!(daemon.stop(), Some(0));
    assert!(!left.exists(), "the way in goes with the daemon");
}
