//! What can be wrong with the machine around the home.

use std::fs;

use chrono::{TimeDelta, TimeZone as _, Utc};
use echopilot::app::doctor::Status::{Fail, Warn};
use echopilot::app::doctor::UNIT;
use echopilot::app::settings::Surroundings;
use echopilot::seams::host::{ClockSync, Handles, UnitReading, UnitState};
use serde_json::json;

use super::{Lab, broken, journal};

#[test]
fn a_clock_that_cannot_be_right_runs_free_or_stepped_is_told() {
    let year = |year| Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap();
    let mut lab = Lab::healthy();
    lab.now = year(1970);
    assert!(
        lab.told("clock").contains("it is the year 1970"),
        "{}",
        lab.told("clock")
    );
    broken(
        "clock",
        Warn,
        "nothing holds the clock",
        "timedatectl",
        |lab| {
            lab.reading.clock = ClockSync::Unsynced;
        },
    );
    let stepped = |lab: &Lab, days: i64| {
        let at = lab.now - TimeDelta::days(days);
        let lines = [("clock.stepped", at, r#""by_ms":"-7200000""#)];
        fs::write(lab.home().join("logs/storage.ndjson"), journal(&lines)).unwrap();
    };
    broken("clock", Warn, "by -7200000 ms", "timedatectl", |lab| {
        stepped(lab, 2);
    });
    let lab = Lab::healthy();
    stepped(&lab, 30);
    assert!(
        lab.told("clock").contains("status: Ok"),
        "long ago: {}",
        lab.told("clock")
    );
}

#[test]
fn a_home_in_memory_in_a_container_or_read_only_is_told() {
    broken("volume", Fail, "on tmpfs, in memory", "on a disk", |lab| {
        lab.mounted("tmpfs", "rw");
    });
    broken("volume", Warn, "on overlay", "mount a volume", |lab| {
        lab.mounted("overlay", "rw");
    });
    broken("volume", Fail, "read-only at `/`", "remount,rw", |lab| {
        lab.mounted("ext4", "ro,relatime");
    });
}

#[test]
fn a_stale_unit_is_compared_line_by_line_and_drop_ins_are_named() {
    let path = format!("etc/systemd/system/{UNIT}");
    let edit = |lab: &Lab, from: &str, to: &str| {
        let text = fs::read_to_string(lab.root().join(&path)).unwrap();
        assert!(text.contains(from), "{from}");
        lab.machine(&path, &text.replace(from, to));
    };
    broken(
        "unit",
        Warn,
        "lacks `MemoryDenyWriteExecute=yes`",
        "daemon-reload",
        |lab| {
            edit(lab, "MemoryDenyWriteExecute=yes\n", "");
        },
    );
    broken(
        "unit",
        Warn,
        "differs in `ProtectSystem=full`",
        "drop-in",
        |lab| {
            edit(lab, "ProtectSystem=strict", "ProtectSystem=full");
        },
    );
    let lab = Lab::healthy();
    edit(&lab, "IPAddressDeny=any\n", "");
    edit(&lab, "ExecStart=echopilot", "ExecStart=/usr/bin/echopilot");
    lab.machine(&format!("{path}.d/lan.conf"), "[Service]\nIPAddressDeny=\n");
    let told = lab.told("unit");
    assert!(
        told.contains("status: Ok") && told.contains("lan.conf"),
        "{told}"
    );
    let lab = Lab::healthy();
    fs::remove_file(lab.root().join(&path)).unwrap();
    assert!(
        lab.told("unit").contains("status: Skip"),
        "{}",
        lab.told("unit")
    );
}

#[test]
fn a_port_of_somebody_else_and_a_daemon_that_died_are_told() {
    let head = "  sl  local_address rem_address   st\n";
    let line = "   0: 00000000:1388 00000000:0000 0A 00000000:00000000 00:00000000\n";
    broken("ports", Fail, "0.0.0.0:5000 is taken", "ss -ltnp", |lab| {
        lab.machine("proc/net/tcp", &format!("{head}{line}"));
    });
    broken(
        "ports",
        Warn,
        "left of process 4711",
        "echopilot serve",
        |lab| {
            lab.runs(&json!({}));
            lab.seen.health = None;
        },
    );
    broken(
        "ports",
        Fail,
        "no daemon of this home answers",
        "journalctl",
        |lab| {
            lab.runs(&json!({}));
            lab.seen.health = None;
            lab.machine("proc/4711/stat", "4711 (echopilot) S");
            lab.machine("proc/net/tcp", &format!("{head}{line}"));
        },
    );
}

#[test]
fn who_is_believed_and_let_in_by_accident_is_told() {
    let with = |text: &'static str| move |lab: &mut Lab| lab.own("configs/echopilot.json", text);
    broken(
        "network",
        Fail,
        "anybody may say who he is",
        "echopilot.json",
        with(r#"{ "trusted_proxies": ["0.0.0.0/0"] }"#),
    );
    broken(
        "network",
        Warn,
        "a foreign web page",
        "echopilot.json",
        with(r#"{ "allowed_hosts": ["*"] }"#),
    );
    broken(
        "network",
        Warn,
        "`trusted_proxies` is empty",
        "echopilot.json",
        with(r#"{ "listen": "0.0.0.0:5000" }"#),
    );
    broken(
        "network",
        Warn,
        "`HTTPS_PROXY` is set and has no effect",
        "outbound",
        |lab| {
            lab.given = Surroundings::of(["HTTPS_PROXY"], None);
        },
    );
}

#[test]
fn a_daemon_that_is_sick_old_or_failed_is_told() {
    let part = json!({ "storage": { "state": "failed", "reason": "journals take no lines" } });
    broken(
        "daemon",
        Fail,
        "`storage` says: journals take no lines",
        "status",
        |lab| {
            lab.runs(&json!({ "checks": part }));
        },
    );
    broken("daemon", Warn, "is version 0.0.1", "restart", |lab| {
        lab.runs(&json!({ "version": "0.0.1" }));
    });
    broken("daemon", Fail, "failed (exit-code)", "journalctl", |lab| {
        let unit = UnitReading {
            state: UnitState::Failed,
            said: "failed (exit-code)".to_owned(),
            ..UnitReading::default()
        };
        lab.reading.units.insert(UNIT.to_owned(), unit);
    });
    broken(
        "daemon",
        Fail,
        "cannot read",
        "as the daemon's user",
        |lab| {
            lab.seen.unread = Some("cannot read `.echopilot/daemon.json`".to_owned());
        },
    );
}

#[test]
fn tight_bounds_are_told() {
    broken("limits", Warn, "may open 256 files", "LimitNOFILE", |lab| {
        lab.reading.own_handles = Some(Handles { open: 3, most: 256 });
    });
    broken(
        "limits",
        Warn,
        "the daemon may open 1024 files",
        "LimitNOFILE",
        |lab| {
            lab.runs(&json!({}));
            lab.machine(
                "proc/4711/limits",
                "Max open files            1024   4096   files\n",
            );
        },
    );
    let group = |lab: &mut Lab, most: &str, used: &str| {
        lab.runs(&json!({}));
        lab.machine("proc/4711/cgroup", "0::/system.slice/echopilot.service\n");
        let folder = "sys/fs/cgroup/system.slice/echopilot.service";
        lab.machine(&format!("{folder}/memory.max"), most);
        lab.machine(&format!("{folder}/memory.current"), used);
    };
    broken("limits", Warn, "is bounded to 64 MiB", "MemoryMax", |lab| {
        group(lab, "67108864\n", "1048576\n");
    });
    broken(
        "limits",
        Warn,
        "uses 1000 of 1024 MiB",
        "MemoryMax",
        |lab| {
            group(lab, "1073741824\n", "1048576000\n");
        },
    );
    let mut lab = Lab::healthy();
    group(&mut lab, "max\n", "1048576000\n");
    assert!(
        lab.told("limits").contains("status: Ok"),
        "{}",
        lab.told("limits")
    );
}
