//! The doctor: a healthy home on a healthy machine, and the same with exactly one thing broken.
//! The machine is a folder that stands for `/`.

mod bugreport;
mod explain;
mod home;
mod machine;
mod program;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, TimeDelta, Utc};
use echopilot::app::assemble::config_kinds;
use echopilot::app::daemon_file::DaemonFile;
use echopilot::app::doctor::{Around, Finding, Seen, Status, UNIT, examine};
use echopilot::app::settings::Surroundings;
use echopilot::seams::files::{Files, RealFiles};
use echopilot::seams::host::{ClockSync, Handles, Reading, Volume};
use echopilot::storage::line::{self, GENESIS};
use echopilot::storage::lines::Entry;
use serde_json::json;

use crate::tidy::tree::repository;

/// A home, a machine around it, and what else the doctor is told.
pub struct Lab {
    folder: tempfile::TempDir,
    pub files: Arc<dyn Files>,
    pub given: Surroundings,
    pub reading: Reading,
    pub seen: Seen,
    pub now: DateTime<Utc>,
    pub deep: bool,
}

/// A home that the program itself has begun, made once.
fn begun() -> &'static Path {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    MADE.get_or_init(|| {
        let home = crate::cli::begun();
        crate::cli::run(home.path(), &["flag", "set", "ui.new_dashboard", "true"]).expect(0);
        crate::cli::run(home.path(), &["key", "new", "dash", "--name", "alice"]).expect(0);
        home
    })
    .path()
}

/// Lines of one journal, chained as the daemon does it.
pub fn journal(lines: &[(&'static str, DateTime<Utc>, &str)]) -> Vec<u8> {
    let (mut text, mut h) = (Vec::new(), GENESIS);
    for (seq, (kind, at, members)) in (1..).zip(lines) {
        let (kind, at, from) = (*kind, *at, text.len());
        let entry = Entry { kind, at, end: 0 };
        h = line::compose(&mut text, from, &h, seq, &entry, members.as_bytes());
        if text.last() != Some(&b'\n') {
            text.push(b'\n');
        }
    }
    text
}

impl Lab {
    /// Nothing to complain of.
    pub fn healthy() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = Utc::now();
        let mut lab = Self {
            folder,
            files: Arc::new(RealFiles),
            given: Surroundings::default(),
            reading: Reading::default(),
            seen: Seen::default(),
            now,
            deep: false,
        };
        let copied = Command::new("cp")
            .arg("-a")
            .arg(begun())
            .arg(lab.home())
            .status();
        assert!(copied.unwrap().success());
        lab.chmod(".", 0o755);
        lab.own(
            "secrets/slack_webhook_url",
            "https://hooks.example.com/services/T0/B0/x",
        );
        lab.chmod("secrets", 0o700);
        lab.chmod("secrets/slack_webhook_url", 0o600);
        let proven = [
            ("backup.taken", now - TimeDelta::hours(9), ""),
            ("drill.passed", now - TimeDelta::days(3), ""),
        ];
        fs::write(lab.home().join("logs/backups.ndjson"), journal(&proven)).unwrap();
        lab.mounted("ext4", "rw,relatime");
        lab.machine(
            "proc/net/tcp",
            "  sl  local_address rem_address   st tx_queue rx_queue\n",
        );
        let unit = repository().join("systemd").join(UNIT);
        lab.machine(
            &format!("etc/systemd/system/{UNIT}"),
            &fs::read_to_string(unit).unwrap(),
        );
        lab.reading.clock = ClockSync::Synced;
        lab.reading.own_handles = Some(Handles {
            open: 9,
            most: 65_536,
        });
        let volume = Volume {
            used: 1 << 30,
            available: 1 << 33,
            inodes_used: 9,
            inodes_free: 999,
        };
        let home = lab.home().display().to_string();
        lab.reading.volumes.insert(home, Some(volume));
        lab
    }

    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("machine")
    }

    /// Writes a file of the home.
    pub fn own(&self, name: &str, text: &str) {
        put(&self.home().join(name), text);
    }

    /// Writes a file of the machine.
    pub fn machine(&self, name: &str, text: &str) {
        put(&self.root().join(name), text);
    }

    pub fn chmod(&self, name: &str, mode: u32) {
        let path = self.home().join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The home's file system is of this kind.
    pub fn mounted(&self, kind: &str, options: &str) {
        let dev = fs::metadata(self.home()).unwrap().dev();
        let (major, minor) = (rustix::fs::major(dev), rustix::fs::minor(dev));
        let line = format!("36 35 {major}:{minor} / / {options} master:1 - {kind} /dev/x rw\n");
        self.machine("proc/self/mountinfo", &line);
    }

    /// A daemon of this home answers that all is well, but for `more`.
    pub fn runs(&mut self, more: &serde_json::Value) {
        self.seen.file = Some(DaemonFile {
            pid: 4711,
            address: "127.0.0.1:5000".parse().unwrap(),
            started_at: self.now,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            token: "the-local-token".to_owned(),
        });
        let mut health = json!({
            "ok": true, "status": "ok", "version": env!("CARGO_PKG_VERSION"),
            "checks": { "daemon": { "state": "ok" }, "configs": { "state": "ok" } },
        });
        for (name, value) in more.as_object().unwrap() {
            health[name] = value.clone();
        }
        self.seen.health = Some(health);
    }

    pub fn findings(&self) -> Vec<Finding> {
        let (home, root, kinds) = (self.home(), self.root(), config_kinds());
        examine(&Around {
            home: &home,
            root: &root,
            files: &*self.files,
            kinds: &kinds,
            now: self.now,
            deep: self.deep,
            given: &self.given,
            reading: &self.reading,
            seen: &self.seen,
        })
    }

    /// The text of all findings of one check.
    pub fn told(&self, check: &str) -> String {
        let all = self.findings();
        let mine = all.iter().filter(|one| one.check == check);
        let mine: Vec<String> = mine.map(|one| format!("{one:?}")).collect();
        mine.join("\n")
    }
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// What is complained of once a healthy lab was broken by `harm`.
fn complaints(harm: impl FnOnce(&mut Lab)) -> Vec<Finding> {
    let mut lab = Lab::healthy();
    harm(&mut lab);
    let found = lab.findings().into_iter();
    found.filter(|one| one.status >= Status::Warn).collect()
}

/// Breaks one thing: only `check` complains, as `status`, with these words in text and cure.
#[track_caller]
pub fn broken(check: &str, status: Status, text: &str, cure: &str, harm: impl FnOnce(&mut Lab)) {
    let found = complaints(harm);
    let others: Vec<_> = found.iter().filter(|one| one.check != check).collect();
    assert!(others.is_empty(), "others complain too: {others:#?}");
    let fits = |one: &Finding| {
        let told = one.cure.as_deref().unwrap_or_default();
        one.status == status && one.found.contains(text) && told.contains(cure)
    };
    assert!(found.iter().any(fits), "`{text}` with `{cure}`: {found:#?}");
}

#[test]
fn a_healthy_home_on_a_healthy_machine_has_no_complaint() {
    for deep in [false, true] {
        let mut lab = Lab::healthy();
        lab.deep = deep;
        for up in [false, true] {
            if up {
                lab.runs(&json!({}));
            }
            let found = lab.findings();
            let bad: Vec<_> = found
                .iter()
                .filter(|one| one.status >= Status::Warn)
                .collect();
            assert!(bad.is_empty(), "{bad:#?}");
            let mut checks: Vec<&str> = found.iter().map(|one| one.check).collect();
            checks.dedup();
            assert_eq!(checks.len(), 14, "each check says something: {found:#?}");
        }
    }
}
