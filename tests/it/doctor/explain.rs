//! `echopilot config`: what holds, from where, and what it hides.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::cli::{Ran, begun, program, run};
use crate::daemon::Daemon;

fn home() -> tempfile::TempDir {
    let home = begun();
    run(home.path(), &["flag", "set", "payments.live", "true"]).expect(0);
    home
}

#[test]
fn a_setting_has_a_value_a_source_a_default_and_a_meaning() {
    let home = home();
    let text = "{\n  \"limits\": { \"max_connections\": 77, \"max_connections_per_ip\": 7 }\n}\n";
    fs::write(home.path().join("configs/echopilot.json"), text).unwrap();
    let explain = |key: &str| run(home.path(), &["config", "explain", key, "--json"]);
    for key in [
        "limits.max_connections",
        "echopilot.json:limits.max_connections",
        "max_connections",
    ] {
        let told = explain(key).expect(0).json();
        assert_eq!(told["value"], 77, "{told}");
        assert_eq!(
            told["source"], "configs/echopilot.json, line 2, column 15",
            "{told}"
        );
        assert_eq!(
            told["shadows"],
            json!([{ "source": "default, built in", "value": 4096 }])
        );
        assert_eq!(told["allowed"], "integer, 1 to 65536");
        assert!(
            told["about"].as_str().unwrap().contains("Open connections"),
            "{told}"
        );
    }
    let told = explain("journals.segment_bytes").expect(0).json();
    assert_eq!(
        (&told["value"], &told["source"]),
        (&json!(67_108_864), &json!("default, built in"))
    );
    let shown = run(
        home.path(),
        &["config", "explain", "journals.segment_bytes"],
    )
    .expect(0);
    assert!(
        shown
            .out
            .contains("value    67108864\nsource   default, built in"),
        "{shown:#?}"
    );
    // Names with dots, and what any name may be.
    let told = explain("flags.json:payments.live").expect(0).json();
    assert_eq!(
        (&told["key"], &told["value"]),
        (&json!("payments.live"), &json!(true)),
        "{told}"
    );
}

#[test]
fn an_unknown_setting_has_a_nearest_name_and_a_common_one_all_of_them() {
    let home = home();
    let ran = run(home.path(), &["config", "explain", "limits.max_conections"]).expect(1);
    assert!(
        ran.err
            .contains("did you mean `echopilot.json:limits.max_connections`?"),
        "{ran:#?}"
    );
    let ran = run(home.path(), &["config", "explain", "reserve_byte"]).expect(1);
    assert!(
        ran.err
            .contains("did you mean `echopilot.json:reserve_bytes`?"),
        "{ran:#?}"
    );
    let ran = run(home.path(), &["config", "explain", "retention_days"]);
    if ran.code != 0 {
        assert!(
            ran.err.contains("is the name of") && ran.err.contains(".json:"),
            "{ran:#?}"
        );
    }
    let ran = run(home.path(), &["config", "explain", "timeout_secs"]).expect(1);
    assert!(
        ran.err.contains("is the name of") && ran.err.contains("support.json:"),
        "{ran:#?}"
    );
}

#[test]
fn the_environment_and_a_running_daemon_go_before_the_file() {
    let home = home();
    let mut command = program(home.path());
    command
        .args(["config", "explain", "listen", "--json"])
        .env("ECHOPILOT_LISTEN", "127.0.0.1:7");
    let told = Ran::of(command.output().unwrap()).expect(0).json();
    assert_eq!(told["value"], "127.0.0.1:7", "{told}");
    assert_eq!(
        told["shadows"].as_array().unwrap().len(),
        2,
        "file and default: {told}"
    );

    let daemon = Daemon::start(home.path());
    let told = run(home.path(), &["config", "explain", "listen", "--json"])
        .expect(0)
        .json();
    assert_eq!(told["value"], daemon.address.as_str(), "{told}");
    assert!(
        told["source"].as_str().unwrap().contains("running daemon"),
        "{told}"
    );
}

#[test]
fn a_refused_file_does_not_hold_and_the_last_good_revision_does() {
    let home = home();
    let file = home.path().join("configs/upkeep.json");
    let daemon = Daemon::start(home.path());
    fs::write(&file, r#"{ "stale_flag_days": 0 }"#).unwrap();
    let told = run(
        home.path(),
        &["config", "explain", "stale_flag_days", "--json"],
    )
    .expect(0)
    .json();
    assert_eq!(told["value"], 90, "{told}");
    assert!(
        told["source"]
            .as_str()
            .unwrap()
            .starts_with("the last good revision"),
        "{told}"
    );
    let refused = &told["shadows"][0];
    assert_eq!(refused["value"], 0, "{told}");
    assert!(
        refused["source"].as_str().unwrap().ends_with("is refused"),
        "{told}"
    );
    drop(daemon);
    let list = run(home.path(), &["config", "list"]).expect(0);
    assert!(list.out.contains("REFUSED"), "{list:#?}");
    let all = run(home.path(), &["config", "list", "--json"])
        .expect(0)
        .json();
    let rows = all["files"].as_array().unwrap();
    let bad: Vec<_> = rows.iter().filter(|row| row["good"] == false).collect();
    assert_eq!(bad.len(), 1, "{all}");
}

#[test]
fn a_secret_is_told_by_its_place_and_never_by_its_value() {
    let home = home();
    let explain = |key: &str| {
        let mut command = program(home.path());
        command
            .args(["config", "explain", key])
            .env("IMAP_USER", "hunter2-from-outside");
        Ran::of(command.output().unwrap())
    };
    let absent = explain("SLACK_WEBHOOK_URL").expect(0);
    assert!(
        absent.out.contains("not given") && absent.out.contains("alerts.json"),
        "{absent:#?}"
    );
    let file = home.path().join("secrets/slack_webhook_url");
    fs::create_dir(home.path().join("secrets")).unwrap();
    fs::write(&file, "hunter2-from-a-file").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let open = explain("SLACK_WEBHOOK_URL").expect(1);
    assert!(open.out.contains("has mode 644"), "{open:#?}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let given = explain("SLACK_WEBHOOK_URL").expect(0);
    assert!(
        given.out.contains("in secrets/slack_webhook_url"),
        "{given:#?}"
    );
    let env = explain("IMAP_USER").expect(0);
    assert!(env.out.contains("in the environment"), "{env:#?}");
    let unknown = explain("SLACK_WEBHOK_URL").expect(1);
    assert!(
        unknown.err.contains("did you mean `SLACK_WEBHOOK_URL`?"),
        "{unknown:#?}"
    );
    for ran in [absent, open, given, env, unknown] {
        assert!(!format!("{ran:?}").contains("hunter2"), "{ran:#?}");
    }
}
