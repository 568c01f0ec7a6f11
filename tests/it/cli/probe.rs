//! `echopilot probe`, with a daemon and without one, against a port of this machine.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use serde_json::json;

use super::run;
use crate::daemon::Daemon;

/// A home whose probe `own` calls `listener`, which the rules open or not.
fn write(home: &Path, listener: &TcpListener, is_open: bool) {
    let address = listener.local_addr().expect("an address").to_string();
    let probes = json!({
        "probes": { "own": { "tcp": { "address": address }, "interval_secs": 86_400 } }
    });
    let allow = if is_open { json!([address]) } else { json!([]) };
    let configs = home.join("configs");
    fs::create_dir_all(&configs).expect("a folder");
    fs::write(configs.join("probes.json"), probes.to_string()).expect("written");
    let daemon = json!({ "outbound": { "allow": allow } });
    fs::write(configs.join("echopilot.json"), daemon.to_string()).expect("written");
}

/// What a person does with probes in `home`.
fn story(home: &Path) {
    let checked = run(home, &["probe", "check", "own"]).expect(0);
    assert!(checked.out.contains("good"), "{checked:#?}");
    let list = run(home, &["probe", "list"]).expect(0);
    assert!(list.out.contains("own"), "{list:#?}");
    let shown = run(home, &["probe", "show", "own", "--json"])
        .expect(0)
        .json();
    assert_eq!(shown["kind"], "tcp", "{shown}");
    let missing = run(home, &["probe", "show", "onw"]).expect(1);
    assert!(missing.err.contains("did you mean `own`?"), "{missing:#?}");
    let missing = run(home, &["probe", "check", "onw"]).expect(1);
    assert!(missing.err.contains("did you mean `own`?"), "{missing:#?}");
}

#[test]
fn a_probe_is_listed_shown_and_checked_with_a_daemon_and_without() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let alone = super::begun();
    write(alone.path(), &listener, true);
    story(alone.path());
    let served = tempfile::tempdir().expect("a folder");
    write(served.path(), &listener, true);
    let daemon = Daemon::start(served.path());
    story(daemon.home());
    assert_eq!(daemon.stop(), Some(0), "the daemon stops cleanly");
}

#[test]
fn a_probe_of_this_machine_that_no_rule_opens_says_what_to_add() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let home = super::begun();
    write(home.path(), &listener, false);
    let checked = run(home.path(), &["probe", "check", "own"]).expect(1);
    assert!(
        checked.out.contains("unknown"),
        "no failure of what is probed: {checked:#?}"
    );
    let address = listener.local_addr().expect("an address");
    let cure = format!("add \"{address}\" to `outbound.allow` in `configs/echopilot.json`");
    assert!(checked.out.contains(&cure), "{checked:#?}");
}
