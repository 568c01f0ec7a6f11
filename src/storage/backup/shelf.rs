//! A folder of backups: what is in it, and taking one away.
//!
//! What is to go first gets a hidden name, so that a removal that is killed leaves no half backup
//! with a name; the next removal takes away what was left.

use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDateTime, Utc};

use super::folder::empty;
use super::manifest::Manifest;
use super::{BackupError, failed};
use crate::seams::files::Files;

/// Form of the names that backups are given.
pub(super) const NAME_FORM: &str = "%Y-%m-%dT%H%M%SZ";
/// What the hidden name of a backup that is being removed ends in.
const REMOVED: &str = ".removed";

/// A whole backup in a folder of backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelved {
    /// Its name in the folder.
    pub name: String,
    /// When it was begun.
    pub taken_at: DateTime<Utc>,
    /// Version of the program that made it.
    pub version: String,
    /// Its files.
    pub files: u64,
    /// Bytes of them. What it shares with others is counted in each.
    pub bytes: u64,
    /// Lines of ours in its journals.
    pub lines: u64,
    /// Whether it has a name as we give them; what a person named, a person keeps.
    pub is_ours: bool,
}

impl Shelved {
    fn of(name: String, manifest: &Manifest) -> Option<Self> {
        Some(Self {
            taken_at: manifest.taken_at.parse().ok()?,
            version: manifest.version.clone(),
            files: manifest.files.len() as u64,
            bytes: manifest.files.iter().map(|file| file.size).sum(),
            lines: manifest.journals.iter().map(|one| one.lines).sum(),
            is_ours: is_given(&name),
            name,
        })
    }
}

/// Whether `name` is one that a backup is given: its time, and a number where that was taken.
fn is_given(name: &str) -> bool {
    let (stamp, number) = match name.split_once("Z-") {
        Some((stamp, number)) => (format!("{stamp}Z"), Some(number)),
        None => (name.to_owned(), None),
    };
    NaiveDateTime::parse_from_str(&stamp, NAME_FORM).is_ok()
        && number.is_none_or(|number| number.parse::<u32>().is_ok())
}

/// The backups in `shelf` whose manifests are good, the oldest first. A replica is none.
pub fn list(files: &dyn Files, shelf: &Path) -> Result<Vec<Shelved>, BackupError> {
    let names = files.list(shelf).map_err(failed("read", shelf))?;
    let mut found: Vec<Shelved> = names
        .into_iter()
        .filter(|name| !name.starts_with('.'))
        .filter_map(|name| {
            let manifest = Manifest::read(files, &shelf.join(&name)).ok()?;
            (!manifest.replica).then(|| Shelved::of(name, &manifest))?
        })
        .collect();
    found.sort_by(|a, b| (a.taken_at, &a.name).cmp(&(b.taken_at, &b.name)));
    Ok(found)
}

/// The newest backup in `shelf`.
pub fn newest(files: &dyn Files, shelf: &Path) -> Result<Option<PathBuf>, BackupError> {
    let last = list(files, shelf)?.pop();
    Ok(last.map(|backup| shelf.join(backup.name)))
}

/// Takes the backup `name` away.
pub fn remove(files: &dyn Files, shelf: &Path, name: &str) -> Result<(), BackupError> {
    let (path, hidden) = (shelf.join(name), shelf.join(format!(".{name}{REMOVED}")));
    files
        .rename(&path, &hidden)
        .and_then(|()| files.sync_dir(shelf))
        .map_err(failed("take away", &path))?;
    take_away(files, &hidden)
}

/// Takes away what removals that were killed have left.
pub fn tidy(files: &dyn Files, shelf: &Path) -> Result<(), BackupError> {
    let names = files.list(shelf).map_err(failed("read", shelf))?;
    let left = names.iter().filter(|name| {
        // The folder may be a person's own: what is hidden there for other reasons stays.
        let inner = name.strip_prefix('.');
        let inner = inner.and_then(|name| name.strip_suffix(REMOVED));
        inner.is_some_and(is_given)
    });
    for name in left {
        take_away(files, &shelf.join(name))?;
    }
    Ok(())
}

/// Takes a folder away with all that is in it.
pub fn take_away(files: &dyn Files, folder: &Path) -> Result<(), BackupError> {
    empty(files, folder)
        .and_then(|()| files.remove_dir(folder))
        .map_err(failed("take away", folder))
}

#[test]
fn only_names_of_ours_are_ours() {
    for name in ["2026-11-21T091502Z", "2026-11-21T091502Z-2"] {
        assert!(is_given(name), "{name}");
    }
    for name in [
        "before-upgrade",
        "2026-11-21",
        "2026-11-21T091502Z-",
        "2026-11-21T091502Z-old",
        "2026-13-21T091502Z",
        "2026-11-21T091502Z-2-3",
    ] {
        assert!(!is_given(name), "{name}");
    }
}
