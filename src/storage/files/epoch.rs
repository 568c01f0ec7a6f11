//! Which of several copies of one home may write: the one with the highest epoch.
//!
//! A home begins at epoch 1. Whoever takes over from it writes a higher number into its own
//! `.echopilot/epoch.json`, and a `.echopilot/fence.json` into the home it took over from. A home
//! whose fence is higher than its epoch takes no lines any more: its writers look for the fence
//! before they write and again before they acknowledge. A fence is never lifted by itself.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::notices::Notices;
use crate::seams::files::{Access, Files, read_whole};
use crate::storage::engine::Barred;

/// The epoch of a home that nobody ever took over from another one.
pub const FIRST: u64 = 1;
/// Bytes of these files that are read: they hold a few short values.
const MOST_BYTES: u64 = 64 << 10;

/// What a home knows of its own right to write: `.echopilot/epoch.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its number; the highest of all copies may write.
    pub epoch: u64,
    /// Since when.
    pub taken_at: DateTime<Utc>,
    /// Where it was taken over from: a folder or a URL.
    pub from: String,
    /// Who asked for it.
    pub by: String,
    /// The id it followed under: by it the old primary knows who answers.
    #[serde(default)]
    pub id: String,
    /// Whether the journal `storage` knows of it.
    #[serde(default)]
    pub noted: bool,
}

/// That somebody else took over: `.echopilot/fence.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// The epoch of whoever took over.
    pub epoch: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// Where it is: a URL or a folder.
    pub by: String,
}

fn epoch_path(home: &Path) -> PathBuf {
    home.join(".echopilot/epoch.json")
}

fn fence_path(home: &Path) -> PathBuf {
    home.join(".echopilot/fence.json")
}

/// A small file of ours; `None` where there is none.
pub(in crate::storage) fn read_small<T: DeserializeOwned>(
    files: &dyn Files,
    path: &Path,
) -> io::Result<Option<T>> {
    let mut file = match files.open_read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let text = read_whole(&mut *file, MOST_BYTES)?;
    let value = serde_json::from_slice(&text);
    value.map(Some).map_err(|error| {
        let name = path.display();
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("`{name}` is not as we write it: {error}"),
        )
    })
}

/// Replaces a small file of ours in one step; on the medium when it returns.
pub(in crate::storage) fn write_small(
    files: &dyn Files,
    path: &Path,
    value: &impl Serialize,
) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    files.create_dir_all(folder)?;
    let fresh = path.with_extension("json.new");
    // What a broken-off attempt left behind.
    let _absent = files.remove(&fresh);
    let text = serde_json::to_vec(value)?;
    files.write_new(&fresh, &text, Access::PRIVATE)?;
    files.rename(&fresh, path)?;
    files.sync_dir(folder)
}

/// What the home knows of its epoch; `None` where it never took over.
pub fn own(files: &dyn Files, home: &Path) -> io::Result<Option<Epoch>> {
    read_small(files, &epoch_path(home))
}

/// The home's epoch as a number.
pub fn number(files: &dyn Files, home: &Path) -> io::Result<u64> {
    Ok(own(files, home)?.map_or(FIRST, |epoch| epoch.epoch))
}

/// The epoch of who takes over here: above this home's own, above any that fenced it, and above
/// `seen`, the highest that the source was seen at.
pub fn next(files: &dyn Files, home: &Path, seen: u64) -> io::Result<u64> {
    let fence = fence(files, home)?.map_or(0, |fence| fence.epoch);
    Ok(number(files, home)?.max(fence).max(seen) + 1)
}

/// Writes the home's epoch.
pub fn set_own(files: &dyn Files, home: &Path, epoch: &Epoch) -> io::Result<()> {
    write_small(files, &epoch_path(home), epoch)
}

/// Puts a new epoch on record, once.
pub(super) fn note(files: &dyn Files, home: &Path, notices: &Notices) {
    let Ok(Some(mut epoch)) = own(files, home) else {
        return;
    };
    if std::mem::replace(&mut epoch.noted, true) {
        return;
    }
    let number = epoch.epoch.to_string();
    let (from, by) = (epoch.from.as_str(), epoch.by.as_str());
    let members = [("epoch", number.as_str()), ("from", from), ("by", by)];
    notices.write("epoch.opened", "storage", &members);
    if let Err(error) = set_own(files, home, &epoch) {
        tracing::warn!(%error, "the epoch will be put on record once more");
    }
}

/// The fence in a home, if there is one.
pub fn fence(files: &dyn Files, home: &Path) -> io::Result<Option<Fence>> {
    read_small(files, &fence_path(home))
}

/// Fences a home, unless it is fenced as high already.
pub fn set_fence(files: &dyn Files, home: &Path, wanted: &Fence) -> io::Result<()> {
    match fence(files, home) {
        Ok(Some(there)) if there.epoch >= wanted.epoch => Ok(()),
        _ => write_small(files, &fence_path(home), wanted),
    }
}

/// Why the home takes no lines; `None` where it may.
pub fn barred(files: &dyn Files, home: &Path) -> io::Result<Option<Arc<Barred>>> {
    let own = number(files, home)?;
    Ok(fence(files, home)?
        .filter(|fence| fence.epoch > own)
        .map(|fence| {
            let Fence { epoch, by, .. } = fence;
            Arc::new(Barred::Fenced { epoch, by })
        }))
}

/// What the writers of one home look at: cheap enough for every batch.
#[derive(Debug)]
pub(super) struct Lookout {
    files: Arc<dyn Files>,
    home: PathBuf,
    fence: PathBuf,
    is_up: AtomicBool,
    why: Mutex<Option<Arc<Barred>>>,
}

impl Lookout {
    pub(super) fn new(files: Arc<dyn Files>, home: &Path) -> Self {
        Self {
            files,
            home: home.to_owned(),
            fence: fence_path(home),
            is_up: AtomicBool::new(false),
            why: Mutex::default(),
        }
    }

    /// The home.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// Why the home is fenced, as far as is known. Asks nobody, and takes no lock where it is not.
    pub(super) fn why_if_up(&self) -> Option<Arc<Barred>> {
        if !self.is_up.load(Ordering::Acquire) {
            return None;
        }
        let why = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        why.clone()
    }

    /// Looks: one `stat(2)` while there is no fence. A medium that does not answer changes nothing:
    /// it takes no lines either.
    pub(super) fn look(&self) -> Option<Arc<Barred>> {
        if let Some(why) = self.why_if_up() {
            return Some(why);
        }
        self.files.stat(&self.fence).ok()?;
        let why = match barred(&*self.files, &self.home) {
            Ok(why) => why?,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                // Somebody meant to stop us, and who it was cannot be read.
                let (epoch, by) = (u64::MAX, "somebody whose name cannot be read".to_owned());
                Arc::new(Barred::Fenced { epoch, by })
            }
            Err(_) => return None,
        };
        let mut known = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            tracing::error!(reason = %why, "this home takes no lines any more: {}", why.hint());
        }
        *known = Some(Arc::clone(&why));
        self.is_up.store(true, Ordering::Release);
        Some(why)
    }
}
