//! `echopilot task`: the same with a running daemon and without one, as far as it can be.

use super::{begun, run};
use crate::daemon::Daemon;

#[test]
fn tasks_are_listed_and_their_due_times_told_without_a_daemon_too() {
    let home = begun();
    for served in [false, true] {
        let daemon = served.then(|| Daemon::start(home.path()));
        let list = run(home.path(), &["task", "list"]).expect(0);
        assert!(list.out.starts_with("TASK"), "{list:#?}");
        assert!(list.out.contains("heartbeat"), "{list:#?}");
        let next = run(
            home.path(),
            &["task", "next", "heartbeat", "-n", "3", "--json"],
        );
        let due = next.expect(0).json()["next"].clone();
        assert_eq!(due.as_array().map(Vec::len), Some(3), "{due}");
        let unknown = run(home.path(), &["task", "next", "hartbeat"]).expect(1);
        assert!(
            unknown.err.contains("did you mean `heartbeat`?"),
            "{unknown:#?}"
        );
        drop(daemon);
    }
}

#[test]
fn a_task_is_run_paused_and_resumed() {
    let home = begun();
    let asleep = run(home.path(), &["task", "run", "heartbeat"]).expect(1);
    assert!(
        asleep.err.contains("the task loop is not running"),
        "{asleep:#?}"
    );
    let paused = run(home.path(), &["task", "pause", "heartbeat"]).expect(0);
    assert_eq!(paused.out, "heartbeat is paused\n");

    let daemon = Daemon::start(home.path());
    let list = run(home.path(), &["task", "list"]).expect(0);
    assert!(list.out.contains("paused by local"), "{list:#?}");
    let ran = run(home.path(), &["task", "run", "heartbeat"]).expect(0);
    assert!(ran.out.starts_with("heartbeat: ok in "), "{ran:#?}");
    let begun = run(home.path(), &["task", "run", "heartbeat", "--no-wait"]).expect(0);
    assert!(begun.out.contains("has begun"), "{begun:#?}");
    let resumed = run(home.path(), &["task", "resume", "heartbeat"]).expect(0);
    assert!(
        resumed.out.starts_with("heartbeat runs next at "),
        "{resumed:#?}"
    );
    let history = run(home.path(), &["task", "history", "heartbeat"]).expect(0);
    assert!(
        history.out.starts_with("DUE") && history.out.contains("manual"),
        "{history:#?}"
    );
    assert_eq!(daemon.stop(), Some(0));
    let history = run(home.path(), &["task", "history", "heartbeat", "--json"]).expect(0);
    assert_eq!(history.json()["runs"][0]["outcome"], "ok");
}
