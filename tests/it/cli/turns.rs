//! Processes that want one folder at the same time: those that end soon are waited for.

use std::path::Path;
use std::process::{Child, Stdio};

use super::{Ran, begun, program};
use crate::daemon::Daemon;

fn get(home: &Path) -> Child {
    program(home)
        .args(["flag", "get", "payments.live"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs")
}

fn ended(child: Child) -> Ran {
    Ran::of(child.wait_with_output().expect("it ends"))
}

#[test]
fn verbs_without_a_daemon_take_turns() {
    let home = begun();
    let all: Vec<_> = (0..8).map(|_| get(home.path())).collect();
    for child in all {
        assert_eq!(ended(child).expect(0).out, "true\n");
    }
}

#[test]
fn a_daemon_outlasts_the_verbs_that_were_there_first_and_serves_those_that_come_after() {
    let home = begun();
    let pid_file = home.path().join(".echopilot/pid");
    for _round in 0..6 {
        let mut first = get(home.path());
        // The verb has the lock, or is quick and had it.
        while !pid_file.exists() && first.try_wait().expect("its state").is_none() {
            std::thread::yield_now();
        }
        let daemon = Daemon::start(home.path());
        ended(first).expect(0);
        ended(get(home.path())).expect(0);
        assert_eq!(daemon.stop(), Some(0));
    }
}

#[test]
fn a_verb_that_meets_a_daemon_before_it_listens_is_answered_by_it() {
    let home = begun();
    for _round in 0..4 {
        let mut verbs = Vec::new();
        let daemon = Daemon::start_with(home.path(), |_| verbs.push(get(home.path())));
        verbs.push(get(home.path()));
        for verb in verbs {
            ended(verb).expect(0);
        }
        assert_eq!(daemon.stop(), Some(0));
    }
}
