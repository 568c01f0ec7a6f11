//! What can be wrong with the home itself.

use std::fs;
use std::sync::Arc;

use chrono::TimeDelta;
use echopilot::app::doctor::Status::{Fail, Warn};
use echopilot::app::settings::Surroundings;
use echopilot::seams::files::{FaultyFiles, RealFiles, Space};
use serde_json::json;

use super::{Lab, broken, journal};

#[test]
fn configurations_that_are_bad_misnamed_or_not_in_force_are_named() {
    broken(
        "configs",
        Fail,
        "`configs/slo.json`, line 1, column 3",
        "did you mean",
        |lab| {
            lab.own("configs/slo.json", r#"{ "objectivs": {} }"#);
        },
    );
    broken(
        "configs",
        Fail,
        "`configs/flags.json` is a symbolic link",
        "configs",
        |lab| {
            let flags = lab.home().join("configs/flags.json");
            fs::rename(&flags, lab.home().join("elsewhere.json")).unwrap();
            std::os::unix::fs::symlink("../elsewhere.json", &flags).unwrap();
        },
    );
    broken(
        "configs",
        Warn,
        "`configs/flag.json` is not read",
        "did you mean `flags.json`",
        |lab| {
            lab.own("configs/flag.json", "{}");
        },
    );
    broken(
        "configs",
        Warn,
        "`configs/upkeep.json` on disk is not in force",
        "status",
        |lab| {
            lab.runs(&json!({}));
            lab.own("configs/upkeep.json", r#"{ "stale_flag_days": 60 }"#);
        },
    );
}

#[test]
fn a_refusal_of_the_running_daemon_is_passed_on() {
    let mut lab = Lab::healthy();
    let state = json!({ "state": "degraded", "reason": "`flags.json` is refused" });
    lab.runs(&json!({ "checks": { "configs": state } }));
    let told = lab.told("configs");
    assert!(
        told.contains("the daemon says: `flags.json` is refused"),
        "{told}"
    );
}

#[test]
fn whoever_may_read_or_write_too_much_is_named_with_the_command_that_ends_it() {
    let cases = [
        (
            "configs/keys.json",
            0o644,
            Fail,
            "chmod g-r,o-r configs/keys.json",
        ),
        (
            "configs/keys.json",
            0o640,
            Warn,
            "chmod g-r configs/keys.json",
        ),
        (
            "configs/flags.json",
            0o666,
            Fail,
            "chmod o-w configs/flags.json",
        ),
        ("configs", 0o777, Fail, "chmod o-w configs"),
        ("logs", 0o775, Warn, "chmod g-w logs"),
        ("secrets", 0o770, Fail, "chmod g-w secrets"),
        (".", 0o777, Fail, "chmod g-w,o-w ."),
    ];
    for (path, mode, status, cure) in cases {
        broken(
            "permissions",
            status,
            &format!("`{path}` has mode"),
            cure,
            |lab| {
                lab.chmod(path, mode);
            },
        );
    }
    // The group may edit configurations: docs/systemd.md says how to let it.
    let lab = Lab::healthy();
    lab.chmod("configs", 0o2770);
    lab.chmod("configs/flags.json", 0o660);
    assert!(
        lab.told("permissions").contains("status: Ok"),
        "{}",
        lab.told("permissions")
    );
}

#[test]
fn files_of_another_user_are_named() {
    broken(
        "permissions",
        Fail,
        "belongs to user 4711",
        "chown -R --reference",
        |lab| {
            // Whoever runs the tests may give files away: `tests/run` is run as root.
            let file = lab.home().join("logs/feature_flags.ndjson");
            std::os::unix::fs::chown(file, Some(4711), None).unwrap();
        },
    );
}

#[test]
fn old_keys_ending_keys_and_no_keys_are_told() {
    let key = |lab: &mut Lab, made: i64, more: &str| {
        let at = echopilot::base::time::stamp(lab.now - TimeDelta::days(made));
        let text = format!(
            r#"{{"keys":{{"ab":{{"role":"dash","sha256":"{}","created_at":"{at}"{more}}}}}}}"#,
            "0".repeat(64)
        );
        lab.own("configs/keys.json", &text);
    };
    broken(
        "keys",
        Warn,
        "is 400 days old",
        "echopilot key rotate ab",
        |lab| key(lab, 400, ""),
    );
    broken(
        "keys",
        Warn,
        "ends in 3 days",
        "echopilot key rotate ab",
        |lab| {
            let end = echopilot::base::time::stamp(lab.now + TimeDelta::hours(80));
            key(lab, 9, &format!(r#","not_after":"{end}""#));
        },
    );
    broken(
        "keys",
        Warn,
        "no key is valid",
        "echopilot key new",
        |lab| {
            key(lab, 9, r#","revoked_at":"2026-01-01T00:00:00.000Z""#);
        },
    );
    // One given from outside is a key too.
    let mut lab = Lab::healthy();
    key(&mut lab, 9, r#","revoked_at":"2026-01-01T00:00:00.000Z""#);
    lab.given = Surroundings::of(["DASHBOARD_KEY"], None);
    assert!(
        lab.told("keys").contains("status: Ok"),
        "{}",
        lab.told("keys")
    );
}

#[test]
fn a_changed_line_and_a_missing_segment_break_the_chain() {
    let forged = |lab: &mut Lab, name: &str| {
        let path = lab.home().join("logs").join(name);
        let text = fs::read_to_string(&path).unwrap();
        let other = text.replacen("ui.new_dashboard", "ui.old_dashboard", 1);
        assert_ne!(text, other);
        fs::write(path, other).unwrap();
    };
    let active = "feature_flags.ndjson";
    broken(
        "chain",
        Fail,
        active,
        "echopilot verify feature_flags",
        |lab| forged(lab, active),
    );

    // Two sealed segments and an active one: what is sealed is walked by `--deep` alone.
    let split = |lab: &Lab| {
        let at = lab.now;
        let lines: Vec<_> = (0..6)
            .map(|_| ("flag.changed", at, r#""key":"ui.new_dashboard""#))
            .collect();
        let text = String::from_utf8(journal(&lines)).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let name = |first: u64, last: u64| format!("logs/made.{first:020}-{last:020}.ndjson");
        lab.own(&name(1, 2), &lines[..2].concat());
        lab.own(&name(3, 4), &lines[2..4].concat());
        lab.own("logs/made.ndjson", &lines[4..].concat());
    };
    let sealed = format!("made.{:020}-{:020}.ndjson", 1, 2);
    let mut lab = Lab::healthy();
    split(&lab);
    forged(&mut lab, &sealed);
    assert!(
        lab.told("chain").contains("status: Ok"),
        "{}",
        lab.told("chain")
    );
    broken("chain", Fail, &sealed, "echopilot verify made", |lab| {
        split(lab);
        forged(lab, &sealed);
        lab.deep = true;
    });
    broken(
        "chain",
        Fail,
        "made.ndjson",
        "echopilot verify made",
        |lab| {
            split(lab);
            forged(lab, "made.ndjson");
        },
    );
    broken(
        "chain",
        Fail,
        "a segment is gone",
        "echopilot verify made",
        |lab| {
            split(lab);
            let last = lab
                .home()
                .join(format!("logs/made.{:020}-{:020}.ndjson", 3, 4));
            let moved = lab
                .home()
                .join(format!("logs/made.{:020}-{:020}.ndjson", 4, 4));
            let text = fs::read_to_string(&last).unwrap();
            fs::write(moved, text.split_inclusive('\n').nth(1).unwrap()).unwrap();
            fs::remove_file(last).unwrap();
        },
    );
}

#[test]
fn late_failed_and_unproven_backups_are_told() {
    let past = |lab: &Lab, lines: &[(&'static str, i64)]| {
        let lines: Vec<_> = lines
            .iter()
            .map(|(kind, hours)| (*kind, lab.now - TimeDelta::hours(*hours), ""))
            .collect();
        fs::write(lab.home().join("logs/backups.ndjson"), journal(&lines)).unwrap();
    };
    broken(
        "backups",
        Warn,
        "there is no backup",
        "echopilot backup",
        |lab| {
            fs::remove_file(lab.home().join("logs/backups.ndjson")).unwrap();
        },
    );
    broken(
        "backups",
        Warn,
        "is 50 hours old",
        "echopilot backup",
        |lab| {
            past(lab, &[("drill.passed", 60), ("backup.taken", 50)]);
        },
    );
    broken("backups", Fail, "is 240 hours old", "task list", |lab| {
        past(lab, &[("backup.taken", 240), ("drill.passed", 60)]);
    });
    broken(
        "backups",
        Warn,
        "no restore was ever proven",
        "restore-drill",
        |lab| {
            past(lab, &[("backup.taken", 3)]);
        },
    );
    broken("backups", Fail, "restore drill failed", "log tail", |lab| {
        past(
            lab,
            &[
                ("drill.passed", 30),
                ("backup.taken", 3),
                ("drill.failed", 1),
            ],
        );
    });
    // A backup made by hand is told by its manifest alone.
    let lab = Lab::healthy();
    fs::remove_file(lab.home().join("logs/backups.ndjson")).unwrap();
    crate::cli::run(&lab.home(), &["backup"]).expect(0);
    assert!(lab.told("backups").contains("no restore was ever proven"));
    assert!(!lab.told("backups").contains("there is no backup"));
}

#[test]
fn secrets_that_are_open_empty_or_misspelt_are_told_and_never_shown() {
    let secret = "hunter2-is-the-password";
    let put = |lab: &Lab, name: &str, text: &str, mode: u32| {
        lab.own(&format!("secrets/{name}"), text);
        lab.chmod(&format!("secrets/{name}"), mode);
    };
    let mut lab = Lab::healthy();
    put(&lab, "imap_pass", secret, 0o640);
    put(&lab, "telegram_bot_token", "\n", 0o600);
    put(&lab, "slack_webhok_url", secret, 0o600);
    lab.given = Surroundings::of(["IMAP_USER", "RESEND_API_KEY"], None);
    let told = lab.told("credentials") + &lab.told("permissions");
    for words in [
        "`IMAP_PASS`, which support.json asks for, is not used: secrets/imap_pass has mode 640",
        "chmod 600 secrets/imap_pass",
        "`TELEGRAM_BOT_TOKEN`, which alerts.json asks for, is empty in secrets/telegram_bot_token",
        "did you mean `slack_webhook_url`",
        "`IMAP_USER` in the environment",
        "`SLACK_WEBHOOK_URL` in secrets/slack_webhook_url",
        "`IMAP_HOST` (support.json)",
        "`TELEGRAM_CHAT_ID` (alerts.json)",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!told.contains("hunter2") && !told.contains("23"), "{told}");

    broken(
        "credentials",
        Warn,
        "no way to people has its secret",
        "alert test",
        |lab| {
            fs::remove_file(lab.home().join("secrets/slack_webhook_url")).unwrap();
        },
    );
}

#[test]
fn every_name_that_a_configuration_gives_is_asked_for() {
    let lab = Lab::healthy();
    lab.own(
        "configs/alerts.json",
        r#"{ "channels": { "mine": { "webhook": { "signing_secret": "MINE" } }, "p": { "pagerduty": {} } } }"#,
    );
    lab.own(
        "configs/support.json",
        r#"{ "connection": { "host": "imap.example.com", "password_secret": "BOX" } }"#,
    );
    let told = lab.told("credentials");
    for name in [
        "MINE",
        "ALERT_WEBHOOK_URL",
        "PAGERDUTY_ROUTING_KEY",
        "BOX",
        "IMAP_USER",
    ] {
        assert!(told.contains(&format!("`{name}`")), "{name}: {told}");
    }
    for name in [
        "IMAP_HOST",
        "IMAP_PASS",
        "TELEGRAM_BOT_TOKEN",
        "IMAP_CLIENT_SECRET",
    ] {
        assert!(!told.contains(&format!("`{name}`")), "{name}: {told}");
    }
}

#[test]
fn a_filling_disk_is_told() {
    let with = |available: u64| {
        move |lab: &mut Lab| {
            let files = FaultyFiles::over(Arc::new(RealFiles));
            files.set_space(Some(Space {
                total: 100 << 30,
                available,
            }));
            lab.files = Arc::new(files);
        }
    };
    broken(
        "disk",
        Warn,
        "5120 of 102400 MiB are free",
        "make room",
        with(5 << 30),
    );
    broken(
        "disk",
        Fail,
        "journals are about to stop",
        "make room",
        with(1 << 20),
    );
    broken(
        "disk",
        Warn,
        "8 of 100 inodes are free",
        "du --inodes",
        |lab| {
            let home = lab.home().display().to_string();
            let volume = lab
                .reading
                .volumes
                .get_mut(&home)
                .unwrap()
                .as_mut()
                .unwrap();
            (volume.inodes_used, volume.inodes_free) = (92, 8);
        },
    );
}
