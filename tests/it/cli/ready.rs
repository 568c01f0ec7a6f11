//! `echopilot serve --json --quiet`: a program that starts the daemon learns where it listens.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use super::program;
use crate::daemon::{ADMIN, Client, DASH, Daemon};

#[test]
fn a_program_reads_where_the_daemon_listens_and_a_quiet_one_says_nothing_else() {
    let home = tempfile::tempdir().expect("a folder");
    let mut child = program(home.path())
        .args(["serve", "--json", "--quiet", "--listen", "127.0.0.1:0"])
        .env("DASHBOARD_KEY", DASH)
        .env("ADMIN_TOKEN", ADMIN)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut data = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    data.read_line(&mut line).expect("a line");
    let ready: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(ready["pid"], child.id(), "{line}");
    let address = ready["address"].as_str().expect("an address");
    let mut client = Client::connect(address, Some(DASH)).expect("it listens");
    let answer = client.call("GET", "/api/flags/get", &[], b"");
    answer.expect("an answer").expect(200);
    drop(client);
    let pid = child.id().to_string();
    Command::new("kill").arg(pid).status().expect("kill runs");
    let mut rest = String::new();
    data.read_to_string(&mut rest).expect("the rest");
    let output = child.wait_with_output().expect("it ends");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*rest, &*talk), (Some(0), "", ""));
}

#[test]
fn the_first_key_is_told_even_quietly() {
    let home = tempfile::tempdir().expect("a folder");
    let daemon = Daemon::start_with(home.path(), |command| {
        command.arg("--quiet").env_remove("DASHBOARD_KEY");
    });
    let (code, rest) = daemon.stop_and_hear();
    let key = rest.iter().any(|line| line.contains("ep_dash_"));
    assert!(key && code == Some(0), "{rest:#?}");
}
