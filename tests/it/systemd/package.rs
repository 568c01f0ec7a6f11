//! The Debian package: built from the program under test, installed into a root of its own by
//! dpkg, started from there, upgraded, removed and purged.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::daemon::{ADMIN, DASH, Daemon, PATIENCE};
use crate::faults::within;
use crate::tidy::tree::repository;

/// Runs a program that must succeed; gives what it says.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().expect("it runs; `tests/run` installs it");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

fn build(folder: &Path) -> PathBuf {
    let package = folder.join("echopilot.deb");
    let program = Path::new(env!("CARGO_BIN_EXE_echopilot"));
    let target = program.parent().and_then(Path::parent).unwrap();
    run(Command::new(repository().join("packaging/package"))
        .args(["--no-strip", "--fast", "--profile", "dev", "--output"])
        .arg(&package)
        .env("ECHOPILOT_PROGRAM", program)
        .env("CARGO_TARGET_DIR", target));
    package
}

/// A root for dpkg in which nothing is installed.
struct Root(TempDir);

impl Root {
    fn new() -> Self {
        let root = Self(TempDir::new().unwrap());
        for folder in ["info", "updates", "triggers"] {
            fs::create_dir_all(root.at("var/lib/dpkg").join(folder)).unwrap();
        }
        fs::write(root.at("var/lib/dpkg/status"), "").unwrap();
        root
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// What it depends on is on the machine, not in there.
    fn dpkg(&self, words: &[&str]) -> String {
        let root = format!("--root={}", self.0.path().display());
        let mut command = Command::new("dpkg");
        command.args([&root, "--force-script-chrootless", "--force-depends"]);
        run(command.args(words).env("DEBIAN_FRONTEND", "noninteractive"))
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.at(path)).unwrap().permissions().mode() & 0o7777
    }

    /// The program that was installed, on the home that was made.
    fn start(&self) -> Daemon {
        let (program, home) = (self.at("usr/bin/echopilot"), self.at("var/lib/echopilot"));
        Daemon::start_with(&home.clone(), |command| {
            let stderr = std::process::Stdio::piped();
            *command = Command::new(program);
            command
                .args(["serve", "--listen", "127.0.0.1:0", "--home"])
                .arg(home)
                .env("DASHBOARD_KEY", DASH)
                .env("ADMIN_TOKEN", ADMIN)
                .env_remove("NOTIFY_SOCKET")
                .stdout(std::process::Stdio::null())
                .stderr(stderr);
        })
    }
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "what cannot be done here is said aloud"
)]
fn the_package_installs_runs_upgrades_and_goes_without_taking_data_along() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("package: dpkg needs root to install; only its parts are looked at");
        return look_at_parts();
    }
    look_at_parts();
    let (folder, root) = (TempDir::new().unwrap(), Root::new());
    let package = build(folder.path());
    let package = package.to_str().unwrap();
    root.dpkg(&["--install", package]);
    let users = fs::read_to_string(root.at("etc/passwd")).unwrap();
    assert!(users.contains("echopilot:"), "{users}");
    assert_eq!(root.mode("etc/echopilot"), 0o2770);
    assert_eq!(root.mode("var/lib/echopilot"), 0o750);
    let link = root.at("var/lib/echopilot/configs");
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("/etc/echopilot"));
    let wants = "etc/systemd/system/multi-user.target.wants/echopilot.service";
    assert!(
        root.at(wants).symlink_metadata().is_ok(),
        "it is not enabled"
    );
    // Nothing is chrooted here: the link must lead where it would lead there.
    fs::remove_file(&link).unwrap();
    symlink(root.at("etc/echopilot"), &link).unwrap();

    lives_on_a_linked_folder(&root);

    root.dpkg(&["--install", package]);
    assert_eq!(
        fs::read_link(&link).unwrap(),
        root.at("etc/echopilot"),
        "an upgrade leaves it"
    );
    let daemon = root.start();
    assert_eq!(flag(&daemon), true, "what was edited is still in force");
    assert_eq!(daemon.stop(), Some(0));

    let said = root.dpkg(&["--remove", "echopilot"]);
    assert!(said.contains("your data stays in"), "{said}");
    assert!(root.at("etc/echopilot/flags.json").exists());
    assert!(
        root.at("var/lib/echopilot/logs/experiments.ndjson")
            .exists()
    );
    let said = root.dpkg(&["--purge", "echopilot"]);
    assert!(said.contains("backups stay"), "{said}");
    assert!(!root.at("etc/echopilot").exists() && !root.at("etc/default/echopilot").exists());
    assert!(!root.at("var/lib/echopilot/logs").exists());
    assert!(
        fs::read_dir(root.at("var/lib/echopilot/backups"))
            .unwrap()
            .count()
            > 0
    );
}

fn flag(daemon: &Daemon) -> serde_json::Value {
    let flags = daemon.get("/api/flags/get").expect(200).json();
    flags["flags"]["ui.new_dashboard"].clone()
}

/// Saves, watches, snapshots and backups all work through `configs` being a link.
fn lives_on_a_linked_folder(root: &Root) {
    let daemon = root.start();
    let flags = root.at("etc/echopilot/flags.json");
    assert_eq!(
        root.mode("etc/echopilot/flags.json"),
        0o660,
        "its group may edit"
    );
    assert_eq!(
        root.mode("etc/echopilot/keys.json") & 0o077,
        0,
        "keys are the daemon's"
    );
    let folder = fs::metadata(root.at("etc/echopilot")).unwrap();
    assert_eq!(fs::metadata(&flags).unwrap().gid(), folder.gid());
    let edit = r#"{"key":"ui.new_dashboard","value":true}"#;
    daemon.post("/api/flags/set", edit).expect(200);
    assert_eq!(
        root.mode("etc/echopilot/flags.json"),
        0o660,
        "an edit keeps the mode"
    );
    // By hand, as an editor saves it.
    let text = fs::read_to_string(&flags).unwrap();
    let new = root.at("etc/echopilot/.flags.json.new");
    fs::write(
        &new,
        text.replace("\"ui.new_dashboard\": true", "\"ui.new_dashboard\": false"),
    )
    .unwrap();
    fs::rename(&new, &flags).unwrap();
    within(PATIENCE, "an edit by hand is seen", || {
        flag(&daemon) == false
    });
    daemon.post("/api/flags/set", edit).expect(200);
    let home = root.at("var/lib/echopilot");
    let snapshots = home.join("backups/configs/flags");
    within(PATIENCE, "texts that were in force are kept", || {
        fs::read_dir(&snapshots).is_ok_and(|kept| kept.count() >= 2)
    });
    let backup = home.join("backups/by-hand");
    run(Command::new(root.at("usr/bin/echopilot"))
        .args(["backup", "--home"])
        .arg(&home)
        .arg("--to")
        .arg(&backup)
        .env_remove("ECHOPILOT_URL"));
    assert!(backup.join("configs/flags.json").exists() || has(&backup, "flags.json"));
    assert_eq!(daemon.stop(), Some(0));
}

/// Whether a file of that name is somewhere below.
fn has(folder: &Path, name: &str) -> bool {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.into_iter().any(|entry| {
        let is_folder = entry.file_type().unwrap().is_dir();
        entry.file_name() == name || is_folder && has(&entry.path(), name)
    })
}

/// What is in it, by dpkg's own tool.
fn look_at_parts() {
    let folder = TempDir::new().unwrap();
    let package = build(folder.path());
    let contents = run(Command::new("dpkg-deb").arg("--contents").arg(&package));
    for wanted in [
        "-rwxr-xr-x 0/0",
        "./usr/bin/echopilot",
        "./usr/lib/systemd/system/echopilot.service",
        "./usr/lib/systemd/system/echopilot.socket",
        "./usr/lib/sysusers.d/echopilot.conf",
        "./usr/lib/tmpfiles.d/echopilot.conf",
        "./usr/share/doc/echopilot/systemd.md",
        "./usr/share/doc/echopilot/copyright",
        "./usr/share/man/man1/echopilot.1.gz",
        "./usr/share/bash-completion/completions/echopilot",
    ] {
        assert!(contents.contains(wanted), "no `{wanted}` in\n{contents}");
    }
    let configs = run(Command::new("dpkg-deb")
        .arg("--info")
        .arg(&package)
        .arg("conffiles"));
    assert_eq!(
        configs.trim(),
        "/etc/default/echopilot",
        "only what a person alone edits"
    );
    let control = run(Command::new("dpkg-deb")
        .arg("--info")
        .arg(&package)
        .arg("control"));
    let version = format!("Version: {}", env!("CARGO_PKG_VERSION"));
    for wanted in [&*version, "Package: echopilot", "systemd (>= 252)"] {
        assert!(control.contains(wanted), "no `{wanted}` in\n{control}");
    }
}
