//! `echopilot doctor`: walks an installation and says what is wrong, each with its cure. Only
//! reads; works while the daemon runs and while it is down; never uses the network beyond asking
//! the daemon of this home how it is, which its caller does.
//!
//! Each check is a file of its own and adds what it finds to `Notes`. What belongs to the machine
//! is read below [`Around::root`], so that tests can lay out a machine of their own. No value of a
//! secret, nor its length, gets into a finding.

mod backups;
mod chain;
mod clock;
mod configs;
mod credentials;
mod daemon;
mod disk;
mod keys;
mod limits;
mod network;
mod permissions;
mod ports;
mod unit;
mod volume;

use std::net::SocketAddr;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::daemon_file::DaemonFile;
use super::settings::Surroundings;
use crate::platform::config::{ConfigKind, DaemonConfig, DaemonRules, read};
use crate::seams::files::{Files, read_whole};
use crate::seams::host::Reading;

pub use credentials::{Asked, asked};

/// How a check came out, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// In order.
    Ok,
    /// Not looked at; the text says why.
    Skip,
    /// Works, and wants a look.
    Warn,
    /// Broken, or about to be.
    Fail,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Name of the check.
    pub check: &'static str,
    /// How it came out.
    pub status: Status,
    /// What was found, in one sentence.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

/// What is looked at.
#[derive(Debug)]
pub struct Around<'a> {
    /// The home folder.
    pub home: &'a Path,
    /// The machine's root: `/`, or a folder that stands for it.
    pub root: &'a Path,
    /// The file system.
    pub files: &'a dyn Files,
    /// Every configuration file there is.
    pub kinds: &'a [ConfigKind],
    /// When it is done.
    pub now: DateTime<Utc>,
    /// Whether every line of every journal is walked.
    pub deep: bool,
    /// What the environment has for us.
    pub given: &'a Surroundings,
    /// The machine's figures; its unit is `echopilot.service`, its volume the home.
    pub reading: &'a Reading,
    /// The daemon, as far as it was found.
    pub seen: &'a Seen,
}

/// What is known of a running daemon.
#[derive(Debug, Default)]
pub struct Seen {
    /// What it left in `.echopilot/daemon.json`.
    pub file: Option<DaemonFile>,
    /// Why that file could not be read.
    pub unread: Option<String>,
    /// What it says at `/health`; `None` while it does not answer.
    pub health: Option<Value>,
}

/// Name of the unit that is looked at.
pub const UNIT: &str = "echopilot.service";
/// Bytes of a text of the machine that are read at most: a table of some ten thousand sockets.
const MOST_TEXT: u64 = 2 << 20;

impl Around<'_> {
    /// A text of the machine, such as `proc/net/tcp`.
    fn machine(&self, name: &str) -> Option<String> {
        self.text(&self.root.join(name))
    }

    /// A text of the home, such as `configs/keys.json`.
    fn own(&self, name: &str) -> Option<String> {
        self.text(&self.home.join(name))
    }

    fn text(&self, path: &Path) -> Option<String> {
        let mut file = self.files.open_read(path).ok()?;
        let bytes = read_whole(&mut *file, MOST_TEXT).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The daemon's settings as they are on disk; the shipped ones where they cannot be used, which
    /// another check tells.
    fn rules(&self) -> Option<DaemonRules> {
        let text = self.own("configs/echopilot.json");
        let text = text.unwrap_or_else(|| "{}".to_owned());
        read::<DaemonConfig>("echopilot.json", text.as_bytes())
            .or_else(|_| read::<DaemonConfig>("echopilot.json", b"{}"))
            .ok()
    }

    /// Where the daemon listens, or would.
    fn listens(&self) -> Option<SocketAddr> {
        let running = self.seen.file.as_ref().filter(|_| self.runs());
        running
            .map(|file| file.address)
            .or_else(|| self.rules().map(|rules| rules.listen))
    }

    /// The process of the running daemon, if there is one.
    fn pid(&self) -> Option<u32> {
        let file = self.seen.file.as_ref()?;
        let lives = self.runs() || self.machine(&format!("proc/{}/stat", file.pid)).is_some();
        lives.then_some(file.pid)
    }

    /// Whether the daemon answers.
    const fn runs(&self) -> bool {
        self.seen.health.is_some()
    }
}

/// Takes in what one check finds.
#[derive(Debug)]
struct Notes {
    check: &'static str,
    found: Vec<Finding>,
}

impl Notes {
    fn add(&mut self, status: Status, found: impl Into<String>, cure: Option<String>) {
        let (check, found) = (self.check, found.into());
        self.found.push(Finding {
            check,
            status,
            found,
            cure,
        });
    }

    fn ok(&mut self, found: impl Into<String>) {
        self.add(Status::Ok, found, None);
    }

    fn skip(&mut self, why: impl Into<String>) {
        self.add(Status::Skip, why, None);
    }

    fn warn(&mut self, found: impl Into<String>, cure: impl Into<String>) {
        self.add(Status::Warn, found, Some(cure.into()));
    }

    fn fail(&mut self, found: impl Into<String>, cure: impl Into<String>) {
        self.add(Status::Fail, found, Some(cure.into()));
    }

    /// Says that all is well, where nothing was complained of.
    fn ok_otherwise(&mut self, found: impl Into<String>) {
        if self.found.iter().all(|one| one.status < Status::Warn) {
            self.ok(found);
        }
    }
}

/// A check: looks, and adds what it finds.
type Look = fn(&Around<'_>, &mut Notes);

/// All checks, in the order in which they are told.
const CHECKS: [(&str, Look); 14] = [
    ("daemon", daemon::look),
    ("configs", configs::look),
    ("permissions", permissions::look),
    ("keys", keys::look),
    ("clock", clock::look),
    ("disk", disk::look),
    ("volume", volume::look),
    ("chain", chain::look),
    ("backups", backups::look),
    ("unit", unit::look),
    ("ports", ports::look),
    ("network", network::look),
    ("credentials", credentials::look),
    ("limits", limits::look),
];

/// Looks at everything. Each check gives one finding at least.
pub fn examine(around: &Around<'_>) -> Vec<Finding> {
    let mut all = Vec::new();
    for (check, look) in CHECKS {
        let mut notes = Notes {
            check,
            found: Vec::new(),
        };
        look(around, &mut notes);
        if notes.found.is_empty() {
            notes.skip("there was nothing to look at");
        }
        all.append(&mut notes.found);
    }
    all
}

/// How many findings came out in each way: ok, skip, warn, fail.
pub fn counts(findings: &[Finding]) -> [usize; 4] {
    [Status::Ok, Status::Skip, Status::Warn, Status::Fail]
        .map(|status| findings.iter().filter(|one| one.status == status).count())
}
