//! Verbs that are API calls: the same with a running daemon and without one.

use std::fs;
use std::path::Path;

use super::{Ran, run};
use crate::daemon::Daemon;

/// Runs `story` in a home without a daemon, then in one with a daemon.
fn both_ways(story: impl Fn(&Path)) {
    let alone = super::begun();
    story(alone.path());
    let served = tempfile::tempdir().expect("a folder");
    let daemon = Daemon::start(served.path());
    story(daemon.home());
    assert_eq!(daemon.stop(), Some(0), "the daemon stops cleanly");
}

fn flag(home: &Path, args: &[&str]) -> Ran {
    let args: Vec<_> = ["flag"].iter().chain(args).copied().collect();
    run(home, &args)
}

#[test]
fn a_flag_is_read_set_and_remembered() {
    both_ways(|home| {
        assert_eq!(
            flag(home, &["get", "ui.new_dashboard"]).expect(0).out,
            "false\n"
        );
        let set = flag(home, &["set", "ui.new_dashboard", "true"]).expect(0);
        assert_eq!(set.out, "ui.new_dashboard = true (was false)\n");
        assert!(set.err.contains("next: echopilot flag history"), "{set:#?}");
        assert_eq!(
            flag(home, &["get", "ui.new_dashboard"]).expect(0).out,
            "true\n"
        );
        let file = fs::read_to_string(home.join("configs/flags.json")).expect("the file");
        assert!(file.contains("\"ui.new_dashboard\": true"), "{file}");

        let list = flag(home, &["list", "--json"]).expect(0);
        assert_eq!(list.json()["flags"]["ui.new_dashboard"], true);
        assert_eq!(list.err, "", "machines are not talked to");
        assert!(flag(home, &["list"]).expect(0).out.starts_with("FLAG"));

        let history = flag(home, &["history", "ui.new_dashboard", "--json"])
            .expect(0)
            .json();
        let newest = history["changes"]
            .as_array()
            .and_then(|all| all.last())
            .expect("a change");
        assert_eq!(
            (&newest["before"], &newest["after"]),
            (&false.into(), &true.into()),
            "{newest}"
        );
        assert_eq!(newest["actor"], "local");
    });
}

#[test]
fn an_unknown_flag_is_made_only_when_asked_for() {
    both_ways(|home| {
        let refused = flag(home, &["set", "ui.new_dashbord", "true"]).expect(1);
        assert!(
            refused.err.contains("did you mean `ui.new_dashboard`?"),
            "{refused:#?}"
        );
        assert!(refused.err.contains("--create"), "{refused:#?}");
        assert_eq!(refused.out, "");
        let got = flag(home, &["get", "ui.new_dashbord"]).expect(1);
        assert!(
            got.err.contains("did you mean `ui.new_dashboard`?"),
            "{got:#?}"
        );

        flag(home, &["set", "limits.rate", "-2.5", "--create"]).expect(0);
        assert_eq!(flag(home, &["get", "limits.rate"]).expect(0).out, "-2.5\n");
        flag(home, &["set", "ui.colour", "blue", "--create"]).expect(0);
        assert_eq!(flag(home, &["get", "ui.colour"]).expect(0).out, "blue\n");
    });
}

#[test]
fn a_change_based_on_an_old_revision_is_refused() {
    both_ways(|home| {
        let first = flag(home, &["set", "ui.new_dashboard", "true", "--json"])
            .expect(0)
            .json();
        let old = first["revision"].as_str().expect("a revision").to_owned();
        flag(home, &["set", "payments.live", "false", "--if-match", &old]).expect(0);
        let late = flag(home, &["set", "payments.live", "true", "--if-match", &old]).expect(1);
        assert!(late.err.starts_with("error: "), "{late:#?}");
        assert_eq!(
            flag(home, &["get", "payments.live"]).expect(0).out,
            "false\n"
        );
    });
}

#[test]
fn an_experiment_is_assigned_and_logged() {
    both_ways(|home| {
        let assign = run(home, &["exp", "assign", "pricing_v2", "user123"]).expect(0);
        assert_eq!(assign.out, "A\n");
        let log = [
            "exp",
            "log",
            "pricing_v2",
            "user123",
            "A",
            "signup",
            "--id",
            "one",
            "--json",
        ];
        let first = run(home, &log).expect(0).json();
        assert_eq!(
            run(home, &log).expect(0).json(),
            first,
            "the same id is the same line"
        );
        let wrong = run(home, &["exp", "assign", "pricing_v3", "user123"]).expect(1);
        assert!(wrong.err.contains("`pricing_v3`"), "{wrong:#?}");
        let list = run(home, &["exp", "list", "--json"]).expect(0).json();
        assert_eq!(list["experiments"][0]["name"], "pricing_v2");
        let lines = run(
            home,
            &["log", "tail", "experiments", "--kind", "event.logged"],
        )
        .expect(0);
        assert_eq!(lines.out.lines().count(), 1, "{lines:#?}");
    });
}

#[test]
fn a_key_is_made_rotated_and_revoked() {
    both_ways(|home| {
        let made = run(home, &["key", "new", "reader", "--name", "board"]).expect(0);
        let key = made.out.trim();
        assert!(key.starts_with("ep_reader_"), "{made:#?}");
        assert!(made.err.contains("only time"), "{made:#?}");
        let id = key.split('_').nth(2).expect("an id").to_owned();
        let stored = fs::read_to_string(home.join("configs/keys.json")).expect("the file");
        assert!(
            stored.contains(&id) && !stored.contains(key),
            "only the hash is kept"
        );

        let listed = run(home, &["key", "list", "--json"]).expect(0);
        assert!(
            listed.out.contains(&id) && !listed.out.contains(key),
            "{listed:#?}"
        );
        let next = run(home, &["key", "rotate", &id, "--overlap", "1h"]).expect(0);
        assert!(
            next.out.starts_with("ep_reader_") && next.out.trim() != key,
            "{next:#?}"
        );
        run(home, &["key", "revoke", &id]).expect(0);
        assert!(
            run(home, &["key", "list"])
                .expect(0)
                .out
                .contains("revoked")
        );
        let unknown = run(home, &["key", "revoke", "00000000"]).expect(1);
        assert!(unknown.err.starts_with("error: "), "{unknown:#?}");
        let wrong = run(home, &["key", "new", "dash", "--expires-in", "90"]).expect(1);
        assert!(wrong.err.contains("90d"), "{wrong:#?}");
    });
}

#[test]
fn a_key_is_of_role_dash_and_ends_when_it_was_told_to() {
    both_ways(|home| {
        let made = run(home, &["key", "new", "--expires-in", "90d"]).expect(0);
        assert!(made.out.starts_with("ep_dash_"), "{made:#?}");
        let id = made.out.split('_').nth(2).expect("an id").to_owned();
        let listed = run(home, &["key", "list", "--json"]).expect(0).json();
        let keys = listed["keys"].as_array().expect("keys");
        let key = keys
            .iter()
            .find(|key| key["id"] == *id)
            .expect("it is there");
        let day = |name: &str| {
            let text = key[name].as_str().expect("an instant");
            text.parse::<chrono::DateTime<chrono::Utc>>()
                .expect("RFC 3339")
        };
        let life = day("not_after") - day("created_at");
        assert_eq!(life.num_seconds(), 90 * 86_400, "{key}");
        let shown = run(home, &["key", "list"]).expect(0).out;
        let end = key["not_after"].as_str().expect("an instant");
        assert!(shown.contains(end), "{shown}");
        for never in ["0s", "4000d", "9999999999d"] {
            let refused = run(home, &["key", "new", "--expires-in", never]).expect(1);
            assert_eq!(refused.out, "", "{never}");
        }
    });
}

#[test]
fn every_route_is_listed_with_an_example() {
    both_ways(|home| {
        let all = run(home, &["api"]).expect(0);
        assert!(
            all.out.contains("GET /api/flags/get") && all.out.contains("curl"),
            "{all:#?}"
        );
        let admin = r#"-H "Authorization: Bearer $ADMIN_TOKEN""#;
        let examples = |text: &str| text.lines().filter(|line| line.contains(admin)).count();
        assert_eq!(examples(&all.out), all.out.matches("  (admin)\n").count());
        assert!(all.err.contains("key new admin"), "{all:#?}");
        let some = run(home, &["api", "/exp/"]).expect(0);
        assert_eq!((examples(&some.out), &*some.err), (0, ""), "{some:#?}");
        let some = run(home, &["api", "exp", "--json"]).expect(0).json();
        let routes = some["routes"].as_array().expect("routes");
        assert!(routes.len() >= 3, "{some}");
        run(home, &["api", "nothing-like-this"]).expect(1);
    });
}

#[test]
fn status_says_whether_a_daemon_runs() {
    let home = tempfile::tempdir().expect("a folder");
    let down = run(home.path(), &["status"]).expect(69);
    assert!(
        down.out.contains("not running") && down.err.contains("echopilot serve"),
        "{down:#?}"
    );
    assert_eq!(
        run(home.path(), &["status", "--json"]).expect(69).json()["running"],
        false
    );

    let daemon = Daemon::start(home.path());
    let up = run(home.path(), &["status"]).expect(0);
    assert!(
        up.out.contains("running, ready") && up.out.contains(&daemon.address),
        "{up:#?}"
    );
    assert!(up.out.contains("storage"), "its parts are told: {up:#?}");
    let told = run(home.path(), &["status", "--json"]).expect(0).json();
    assert_eq!(
        (&told["running"], &told["ready"]),
        (&true.into(), &true.into()),
        "{told}"
    );
    daemon.kill();
    run(home.path(), &["status"]).expect(69);
    // What a killed daemon left behind is in nobody's way.
    assert_eq!(
        flag(home.path(), &["get", "payments.live"]).expect(0).out,
        "true\n"
    );
}

#[test]
fn a_second_daemon_names_the_first_and_exits_75() {
    let home = tempfile::tempdir().expect("a folder");
    let daemon = Daemon::start(home.path());
    let second = run(home.path(), &["serve", "--listen", "127.0.0.1:0"]).expect(75);
    assert!(
        second.err.contains(&daemon.pid().to_string()),
        "{second:#?}"
    );
    assert!(second.err.contains("hint:"), "{second:#?}");
}

#[test]
fn a_daemon_elsewhere_is_spoken_to_by_url_and_key() {
    let served = tempfile::tempdir().expect("a folder");
    let daemon = Daemon::start(served.path());
    let elsewhere = tempfile::tempdir().expect("a folder");
    let url = format!("http://{}", daemon.address);
    let remote = |key: &str, args: &[&str]| {
        let mut command = super::program(elsewhere.path());
        command
            .env("ECHOPILOT_URL", &url)
            .env("ECHOPILOT_KEY", key)
            .args(args);
        Ran::of(super::bounded(command, super::BOUND))
    };
    let got = remote(crate::daemon::DASH, &["flag", "get", "payments.live"]).expect(0);
    assert_eq!(got.out, "true\n");
    let wrong = remote("not-the-key", &["flag", "list"]).expect(1);
    assert!(
        wrong.err.starts_with("error: ") && !wrong.err.contains("not-the-key"),
        "{wrong:#?}"
    );
    daemon.kill();
    let gone = remote(crate::daemon::DASH, &["flag", "list"]).expect(69);
    assert!(gone.err.contains("cannot be reached"), "{gone:#?}");
    let tls = run(elsewhere.path(), &["--url", "https://x", "flag", "list"]).expect(1);
    assert!(
        tls.err.contains("TLS") && tls.err.contains("ssh -L"),
        "{tls:#?}"
    );
}

#[test]
fn what_is_found_is_listed_with_and_without_a_daemon() {
    both_ways(|home| {
        let listed = run(home, &["alert", "list"]).expect(0);
        assert!(listed.out.is_empty(), "{listed:#?}");
        assert!(listed.err.contains("nothing is wrong"), "{listed:#?}");
    });
}
