//! The home folder: its shape, and the lock by which one daemon owns it (rule C6).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::seams::files::{Access, Files, Hold, is_full, read_whole};
use crate::storage::engine::Barred;

/// Bytes of the file with the holder's process id that are read: more than any number has.
const PID_BYTES: u64 = 32;
/// The system's table of locks. Source: the manual page proc(5), `/proc/locks`.
const LOCKS: &str = "/proc/locks";
/// Bytes of that table that are read: some ten thousand locks.
const LOCKS_BYTES: u64 = 1 << 20;
/// The system's name for the current boot. Source: the manual page proc(5).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Time between two tries to take the lock. Source: a verb of the command line holds it for some
/// ten milliseconds.
const RETRY_EVERY: Duration = Duration::from_millis(10);
/// Tries to take the lock: 0.4 s of them. Source: rule C6 gives a second process one second to end,
/// and verbs that work without a daemon take turns in less.
const TRIES: u32 = 40;

/// Why a home cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process owns it.
    #[error("`{home}` is in use by {}", pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}")
    ))]
    Held {
        /// The folder, as it was given.
        home: String,
        /// The holder, if it left its number.
        pid: Option<u32>,
    },
    /// Another copy of it took over.
    #[error("`{home}` takes no changes")]
    Barred {
        /// The folder, as it was given.
        home: String,
        /// Why.
        #[source]
        why: Arc<Barred>,
    },
    /// The system refused.
    #[error("cannot prepare `{what}` in the home folder")]
    Io {
        /// The folder or file within it.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A home that is ours.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) path: PathBuf,
    files: Arc<dyn Files>,
    _lock: Box<dyn Hold>,
}

fn cannot(what: &str) -> impl Fn(io::Error) -> OpenError {
    let what = what.to_owned();
    move |source| OpenError::Io {
        what: what.clone(),
        source,
    }
}

/// Folders that a home consists of.
const FOLDERS: [&str; 6] = [
    "configs",
    "logs",
    "logs/.views",
    "backups",
    "backups/configs",
    ".echopilot",
];

impl Home {
    /// Takes the home for this process.
    pub(super) fn take(files: Arc<dyn Files>, path: &Path) -> Result<Self, OpenError> {
        files.create_dir_all(path).map_err(cannot("."))?;
        let pid_path = path.join(".echopilot/pid");
        let Some(lock) = lock(&*files, path).map_err(cannot("."))? else {
            return Err(OpenError::Held {
                home: path.display().to_string(),
                pid: holder(&*files, path).or_else(|| read_pid(&*files, &pid_path)),
            });
        };
        prepare(&*files, path)?;
        write_pid(&*files, &pid_path);
        if let Ok(Some(kind)) = files.remote_kind(path) {
            tracing::warn!(
                kind,
                "the home folder is on a {kind} file system: its lock may not keep another host out"
            );
        }
        Ok(Self {
            path: path.to_owned(),
            files,
            _lock: lock,
        })
    }
}

/// The lock, waited for: who holds it may be a verb that is done in a moment, and a daemon that
/// ended for that would not be started again.
fn lock(files: &dyn Files, path: &Path) -> io::Result<Option<Box<dyn Hold>>> {
    for _try in 1..TRIES {
        if let Some(lock) = files.lock_dir(path)? {
            return Ok(Some(lock));
        }
        std::thread::sleep(RETRY_EVERY);
    }
    files.lock_dir(path)
}

/// Makes the folders that are missing. A full or read-only disk is no reason not to start, nor is a
/// home in use that was locked up: what is in it is served, and what cannot be written is refused.
/// A new home that cannot be made is somebody's mistake.
fn prepare(files: &dyn Files, path: &Path) -> Result<(), OpenError> {
    let in_use = files.stat(&path.join("configs")).is_ok();
    for folder in FOLDERS {
        match files.create_dir_all(&path.join(folder)) {
            Err(error) if in_use || is_lasting(&error) => {
                tracing::error!(%error, "cannot make the folder `{folder}`");
            }
            outcome => outcome.map_err(cannot(folder))?,
        }
    }
    if let Err(error) = files.sync_dir(path) {
        tracing::error!(%error, "cannot sync the home folder");
    }
    Ok(())
}

/// Whether an error is the medium's and not the caller's.
fn is_lasting(error: &io::Error) -> bool {
    is_full(error) || error.kind() == io::ErrorKind::ReadOnlyFilesystem
}

impl Drop for Home {
    fn drop(&mut self) {
        // For people only: the lock is what counts.
        let _stays = self.files.remove(&self.path.join(".echopilot/pid"));
    }
}

/// Who holds the lock, by the system's own table: the file with the number may not be written yet,
/// or be deleted.
fn holder(files: &dyn Files, home: &Path) -> Option<u32> {
    let stat = files.stat(home).ok()?;
    let mut file = files.open_read(Path::new(LOCKS)).ok()?;
    let text = read_whole(&mut *file, LOCKS_BYTES).ok()?;
    let end = format!(":{}", stat.inode);
    // `1: FLOCK  ADVISORY  WRITE 4711 08:01:131074 0 EOF`. Inodes repeat across devices, and how a
    // device is told here differs between file systems: one match alone is good enough.
    let mut found = std::str::from_utf8(&text).ok()?.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let kind = words.next()?;
        let (pid, file) = (words.nth(2)?, words.next()?);
        let ours = kind == "FLOCK" && file.ends_with(&end);
        ours.then(|| pid.parse().ok()).flatten()
    });
    let first = found.next()?;
    (first > 0 && found.all(|other| other == first)).then_some(first)
}

fn read_pid(files: &dyn Files, path: &Path) -> Option<u32> {
    let mut file = files.open_read(path).ok()?;
    let text = read_whole(&mut *file, PID_BYTES).ok()?;
    std::str::from_utf8(&text).ok()?.trim().parse().ok()
}

fn write_pid(files: &dyn Files, path: &Path) {
    // Left by a process that was killed.
    let _absent = files.remove(path);
    let text = format!("{}\n", std::process::id());
    if let Err(error) = files.write_new(path, text.as_bytes(), Access::SHARED) {
        tracing::warn!(%error, "cannot write `.echopilot/pid`");
    }
}

/// The name of the current boot, empty where the system does not tell.
pub fn boot_id(files: &dyn Files) -> String {
    let read = files
        .open_read(Path::new(BOOT_ID))
        .and_then(|mut file| read_whole(&mut *file, 64));
    let text = read.ok().and_then(|text| String::from_utf8(text).ok());
    text.map(|text| text.trim().to_owned()).unwrap_or_default()
}
