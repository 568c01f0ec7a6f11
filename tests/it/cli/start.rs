//! Starting and stopping, as somebody meets it who does it for the first time: what is wrong is
//! named, with the cure, and nothing is made by mistake.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use super::{begun, run};
use crate::daemon::{Daemon, PATIENCE};

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

/// What the daemon says until a line holds `end`.
#[track_caller]
fn said_until(daemon: &Daemon, end: &str) -> String {
    let mut said = String::new();
    while !said.contains(end) {
        let line = daemon.talk.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|_| panic!("`{end}` never came; it said:\n{said}"));
        said.push_str(&line);
        said.push('\n');
    }
    said
}

fn keyless(home: &Path) -> Daemon {
    Daemon::start_with(home, |command| {
        command
            .env_remove("DASHBOARD_KEY")
            .env_remove("ADMIN_TOKEN");
    })
}

#[test]
fn a_mistyped_home_is_named_and_nothing_is_made_there() {
    let place = tempfile::tempdir().expect("a folder");
    let missing = place.path().join("ecopilot");
    let nowhere = missing.join("deeper");
    for (home, verb) in [
        (&nowhere, &SERVE[..]),
        (&missing, &["flag", "list"]),
        (&missing, &["key", "new", "dash"]),
    ] {
        let ran = run(home, verb).expect(1);
        assert!(ran.err.contains("there is no folder"), "{ran:#?}");
        assert!(ran.err.contains("hint: `mkdir -p"), "{ran:#?}");
        assert!(!missing.exists(), "{verb:?} makes no folder");
    }
    // With the folder above it there, a new home is what was meant.
    assert_eq!(Daemon::start(&missing).stop(), Some(0));
    assert!(missing.join("configs/flags.json").exists());
    let file = place.path().join("file");
    fs::write(&file, "").expect("a file");
    let ran = run(&file, &SERVE).expect(1);
    assert!(ran.err.contains("is not a folder"), "{ran:#?}");
    let empty = tempfile::tempdir().expect("a folder");
    let ran = run(empty.path(), &["flag", "list"]).expect(1);
    assert!(ran.err.contains("no home of echopilot"), "{ran:#?}");
    assert_eq!(fs::read_dir(empty.path()).expect("the folder").count(), 0);
}

#[test]
fn a_port_that_is_taken_is_named_with_the_way_out() {
    let home = begun();
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("its number").to_string();
    let ran = run(home.path(), &["serve", "--listen", &address]).expect(1);
    assert!(
        ran.err.contains(&format!("cannot listen on {address}")),
        "{ran:#?}"
    );
    assert!(ran.err.contains("--listen 127.0.0.1:0"), "{ran:#?}");
}

#[test]
fn without_a_verb_the_environment_tells_where_to_listen() {
    let home = begun();
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("its number").to_string();
    let mut command = super::program(home.path());
    command.env("ECHOPILOT_LISTEN", &address);
    let ran = super::Ran::of(command.output().expect("the program runs")).expect(1);
    let told = format!("cannot listen on {address}");
    assert!(ran.err.contains(&told), "{ran:#?}");
    command.env("ECHOPILOT_LISTEN", "localhost:0");
    let ran = super::Ran::of(command.output().expect("the program runs")).expect(2);
    assert!(ran.err.contains("127.0.0.1:5000"), "{ran:#?}");
}

#[test]
fn a_second_daemon_is_told_whom_it_met_and_what_to_do() {
    let home = begun();
    let first = Daemon::start(home.path());
    let ran = run(home.path(), &SERVE).expect(75);
    assert!(
        ran.err
            .contains(&format!("in use by process {}", first.pid())),
        "{ran:#?}"
    );
    assert!(
        ran.err.contains(&format!("`kill {}`", first.pid())),
        "{ran:#?}"
    );
}

#[test]
fn bad_files_at_the_start_are_told_loudly_and_served_around() {
    let home = begun();
    let bad = "{ \"listn\": \"127.0.0.1:1\", \"limits\": { \"max_connections\": 0 } }";
    fs::write(home.path().join("configs/echopilot.json"), bad).expect("a file");
    let daemon = Daemon::start(home.path());
    let faults = [
        "line 1, column 3",
        "`listn`",
        "did you mean `listen`",
        "max_connections",
    ];
    let status = run(home.path(), &["status"]).expect(0);
    for fault in faults {
        assert!(
            daemon.heard().contains(fault),
            "{fault}: {}",
            daemon.heard()
        );
        assert!(status.out.contains(fault), "{fault}: {status:#?}");
    }
    assert!(
        daemon.heard().contains("running on revision"),
        "{}",
        daemon.heard()
    );
}

#[test]
fn the_first_key_is_shown_once_and_how_to_make_another_is_said_at_every_start() {
    let home = tempfile::tempdir().expect("a folder");
    let daemon = keyless(home.path());
    let said = said_until(&daemon, "Everything the API can do");
    assert!(
        said.contains("ep_dash_") && said.contains("key new dash"),
        "{said}"
    );
    assert_eq!(daemon.stop(), Some(0));
    let daemon = keyless(home.path());
    let said = daemon.heard().to_owned() + &said_until(&daemon, "key new dash");
    assert!(!said.contains("ep_dash_"), "{said}");
}

#[test]
fn an_empty_credential_was_not_given() {
    let (home, folder) = (begun(), tempfile::tempdir().expect("a folder"));
    fs::write(folder.path().join("dash_key"), "\n").expect("a file");
    let daemon = Daemon::start_with(home.path(), |command| {
        command
            .env_remove("DASHBOARD_KEY")
            .env("CREDENTIALS_DIRECTORY", folder.path());
    });
    said_until(&daemon, "ep_dash_");
}

#[test]
fn a_stop_is_said_when_it_begins_and_when_it_is_done() {
    let home = begun();
    let daemon = Daemon::start(home.path());
    daemon.terminate();
    let said = said_until(&daemon, "stopped; all journals are closed");
    assert!(said.contains("stopping: "), "{said}");
}
