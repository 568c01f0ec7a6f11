//! `echopilot doctor`, `completions` and `man` as people and scripts use them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cli::{Ran, begun, program, run};
use crate::daemon::Daemon;

/// Every file of a home with its bytes.
fn content(home: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let listed = Command::new("find")
        .arg(home)
        .args(["-type", "f"])
        .output()
        .unwrap();
    let mut names: Vec<String> = String::from_utf8(listed.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    names.sort();
    let read = |name: String| {
        let bytes = fs::read(&name).unwrap();
        (name, bytes)
    };
    names.into_iter().map(read).collect()
}

#[test]
fn the_doctor_looks_and_changes_nothing() {
    let home = begun();
    run(home.path(), &["flag", "set", "ui.new_dashboard", "true"]).expect(0);
    let before = content(home.path());
    let ran = run(home.path(), &["doctor"]);
    assert!(before == content(home.path()), "nothing was changed");
    let last = ran.out.lines().last().unwrap();
    assert!(
        last.contains(" ok, ") && last.ends_with(" failures"),
        "{ran:#?}"
    );
    for check in [
        "configs",
        "permissions",
        "chain",
        "backups",
        "credentials",
        "limits",
    ] {
        assert!(ran.out.contains(check), "{check}: {ran:#?}");
    }
    assert!(ran.out.contains("hint: "), "{ran:#?}");
}

#[test]
fn a_failure_exits_1_a_warning_only_when_strict() {
    let home = begun();
    run(home.path(), &["flag", "set", "ui.new_dashboard", "true"]).expect(0);
    let of = |ran: &Ran, check: &str| -> Vec<Value> {
        let all = ran.json()["findings"].as_array().unwrap().clone();
        all.into_iter()
            .filter(|one| one["check"] == check)
            .collect()
    };
    let told = run(home.path(), &["doctor", "--json"]);
    // The machine that runs the tests may itself deserve failures; the home must not.
    for check in ["configs", "permissions", "keys", "chain"] {
        assert!(
            of(&told, check).iter().all(|one| one["status"] != "fail"),
            "{told:#?}"
        );
    }
    run(home.path(), &["doctor", "--json", "--strict"]).expect(1);

    let keys = home.path().join("configs/keys.json");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o604)).unwrap();
    let told = run(home.path(), &["doctor", "--json"]).expect(1);
    let found = of(&told, "permissions");
    assert_eq!(found[0]["status"], "fail", "{told:#?}");
    assert!(
        found[0]["cure"].as_str().unwrap().contains("chmod o-r"),
        "{told:#?}"
    );
    assert_eq!(told.json()["ok"], false);
}

#[test]
fn a_running_daemon_is_asked_and_its_environment_counts() {
    let home = tempfile::tempdir().unwrap();
    let secret = "hunter2-of-the-daemon-alone";
    let daemon = Daemon::start_with(home.path(), |command| {
        command
            .env("TELEGRAM_BOT_TOKEN", secret)
            .env("HTTPS_PROXY", "http://proxy:1");
    });
    let ran = run(home.path(), &["doctor"]);
    let runs = format!("version {} runs", env!("CARGO_PKG_VERSION"));
    assert!(
        ran.out.contains(&runs) && ran.out.contains("the daemon answers at"),
        "{ran:#?}"
    );
    assert!(
        ran.out.contains("`TELEGRAM_BOT_TOKEN` in the environment"),
        "{ran:#?}"
    );
    assert!(
        ran.out.contains("`HTTPS_PROXY` is set and has no effect"),
        "{ran:#?}"
    );
    assert!(!ran.out.contains("hunter2"), "{ran:#?}");
    let address = daemon.address.clone();
    daemon.kill();
    let ran = run(home.path(), &["doctor"]);
    assert!(
        ran.out.contains("is left of process"),
        "{address}: {ran:#?}"
    );
}

#[test]
fn a_folder_that_is_not_there_is_no_patient() {
    let home = tempfile::tempdir().unwrap();
    let ran = run(&home.path().join("nowhere"), &["doctor"]).expect(1);
    assert!(ran.err.contains("there is no home at"), "{ran:#?}");
    let mut command = program(home.path());
    command.args(["doctor", "--url", "http://127.0.0.1:1"]);
    let ran = Ran::of(command.output().unwrap()).expect(1);
    assert!(
        ran.err.contains("hint: run it on the machine itself"),
        "{ran:#?}"
    );
}

#[test]
fn bash_takes_the_completions_and_completes_a_verb() {
    let home = begun();
    let script = run(home.path(), &["completions", "bash"]).expect(0).out;
    let file = home.path().join("complete.bash");
    fs::write(&file, script).unwrap();
    let ask = |line: &str, words: &str, at: usize| {
        let text = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={at}; COMP_LINE='{line}'; \
             _echopilot echopilot \"${{COMP_WORDS[{at}]}}\" x; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            file.display()
        );
        let ran = Command::new("bash")
            .args(["--norc", "-u", "-c", &text])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let err = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success() && err.is_empty(), "{err}");
        String::from_utf8(ran.stdout).unwrap()
    };
    assert_eq!(ask("echopilot doc", "echopilot doc", 1), "doctor\n");
    assert_eq!(ask("echopilot flag s", "echopilot flag s", 2), "set\n");
    assert!(ask("echopilot doctor --d", "echopilot doctor --d", 2).contains("--deep"));
    for shell in ["zsh", "fish"] {
        let script = run(home.path(), &["completions", shell]).expect(0).out;
        assert!(
            script.contains("doctor") && script.contains("if-match"),
            "{shell}"
        );
    }
    run(home.path(), &["completions", "csh"]).expect(2);
}

#[test]
fn every_manual_page_renders_without_a_word() {
    let home = begun();
    let folder = home.path().join("man");
    let to = folder.to_str().unwrap();
    run(home.path(), &["man", "--to", to]).expect(0);
    let pages: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|one| one.unwrap().path())
        .collect();
    assert!(pages.len() > 40, "{}", pages.len());
    for page in &pages {
        let ran = Command::new("groff")
            .args(["-man", "-Tutf8", "-ww", "-z"])
            .arg(page)
            .output()
            .expect("groff runs; `tests/run` installs it");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(
            ran.status.success() && said.is_empty(),
            "{}: {said}",
            page.display()
        );
    }
    let shown = Command::new("man")
        .arg("-l")
        .arg(folder.join("echopilot-flag-set.1"))
        .env("MANPAGER", "cat")
        .env("LC_ALL", "C.UTF-8")
        .output();
    let shown = shown.expect("man runs; `tests/run` installs it");
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(
        text.contains("echopilot-flag-set") && text.contains("--if-match"),
        "{text}"
    );
    let own = run(home.path(), &["man"]).expect(0);
    assert!(own.out.contains(".TH echopilot 1"), "{}", own.out);
}
