//! A replica in a folder, laid out as a home is: `logs/`, `configs/`, `backups/configs/`, and the
//! manifest.
//!
//! What is sent is gathered in `.incoming` beside them. When all of it is on the medium the new
//! manifest goes there too: from then on the replica is what that says, and everything is moved to
//! its place. Whoever opens the folder first finishes a move that was broken off, so the folder is
//! at each moment what it was or what it became.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{FileEntry, Manifest, Target};
use crate::seams::files::{Access, Files, Hold};
use crate::storage::backup::check::sum_of;
use crate::storage::backup::folder::{Written, write_from};
use crate::storage::backup::manifest::MANIFEST;
use crate::storage::backup::shelf::take_away;
use crate::storage::backup::{BackupError, failed};

/// Where what is sent is gathered.
const INCOMING: &str = ".incoming";

/// A replica in a folder.
#[derive(Debug)]
pub struct FolderTarget<'f> {
    files: &'f dyn Files,
    root: PathBuf,
    /// What was gathered in this run.
    sent: BTreeSet<String>,
    _hold: Option<Box<dyn Hold>>,
}

/// Makes sure that the replica in `folder` is whole: finishes a move that was broken off. The
/// folder is held until the result is dropped.
pub fn settled(files: &dyn Files, folder: &Path) -> Result<Option<Box<dyn Hold>>, BackupError> {
    let hold = files.lock_dir(folder).map_err(failed("lock", folder))?;
    let Some(hold) = hold else {
        return Err(BackupError::Busy {
            folder: folder.display().to_string(),
        });
    };
    if let Ok(next) = Manifest::read(files, &folder.join(INCOMING)) {
        let before = match Manifest::read(files, folder) {
            Err(BackupError::NoBackup { .. }) => None,
            // A manifest that is damaged tells nothing of what has to go.
            before => before.ok(),
        };
        moved(files, folder, before.as_ref(), &next)?;
    }
    Ok(Some(hold))
}

/// Holds `folder` and settles it, where it is a replica; does nothing with other backups.
pub fn opened(files: &dyn Files, folder: &Path) -> Result<Option<Box<dyn Hold>>, BackupError> {
    let is_moving = files.stat(&folder.join(INCOMING)).is_ok();
    if is_moving || Manifest::read(files, folder)?.replica {
        return settled(files, folder);
    }
    Ok(None)
}

impl<'f> FolderTarget<'f> {
    /// The replica in `root`, which may still have to be made.
    pub fn open(
        files: &'f dyn Files,
        root: &Path,
        home: &Path,
        is_known: bool,
    ) -> Result<Self, BackupError> {
        let occupied = || BackupError::Occupied {
            target: root.display().to_string(),
        };
        if root.starts_with(home) || home.starts_with(root) {
            return Err(occupied());
        }
        let names = files.list(root).map_err(failed("read", root))?;
        let is_begun = files.stat(&root.join(MANIFEST)).is_ok();
        if !is_begun && is_known {
            return Err(BackupError::Vanished {
                target: root.display().to_string(),
            });
        }
        let is_stranger = |name: &String| !name.starts_with('.') && name != "lost+found";
        if !is_begun && names.iter().any(is_stranger) && files.stat(&root.join(INCOMING)).is_err() {
            return Err(occupied());
        }
        files
            .create_dir_all(root)
            .map_err(failed("make the folder", root))?;
        Ok(Self {
            files,
            root: root.to_owned(),
            sent: BTreeSet::new(),
            _hold: settled(files, root)?,
        })
    }

    fn incoming(&self, path: &str) -> PathBuf {
        self.root.join(INCOMING).join(path)
    }

    /// Whether what was gathered is what it should be.
    fn is_good(&self, entry: &FileEntry) -> bool {
        is(sum_of(self.files, &self.incoming(&entry.path)), entry)
    }
}

fn is(found: io::Result<Written>, entry: &FileEntry) -> bool {
    found.is_ok_and(|found| (found.size, &*found.sha256) == (entry.size, &*entry.sha256))
}

impl Target for FolderTarget<'_> {
    fn name(&self) -> String {
        self.root.display().to_string()
    }

    fn manifest(&self) -> Result<Option<Manifest>, BackupError> {
        match Manifest::read(self.files, &self.root) {
            Err(BackupError::NoBackup { .. }) => Ok(None),
            Ok(found) if !found.replica => Err(BackupError::Occupied {
                target: self.name(),
            }),
            found => found.map(Some),
        }
    }

    fn has(&mut self, entry: &FileEntry) -> Result<bool, BackupError> {
        let is_there = self.is_good(entry);
        if is_there {
            self.sent.insert(entry.path.clone());
        }
        Ok(is_there)
    }

    fn put(&mut self, entry: &FileEntry, source: &mut dyn Read) -> Result<(), BackupError> {
        let path = self.incoming(&entry.path);
        let folder = path.parent().unwrap_or(&path).to_owned();
        self.files
            .create_dir_all(&folder)
            .map_err(failed("make the folder", &folder))?;
        match self.files.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("replace", &path)(error));
            }
            _ => {}
        }
        if entry.lines.is_some() {
            write_from(self.files, &path, source, true)?;
        } else {
            let mut body = Vec::new();
            source
                .read_to_end(&mut body)
                .map_err(failed("read", Path::new(&entry.path)))?;
            let access = Access {
                mode: entry.mode_bits(),
                owner: None,
            };
            self.files
                .write_new(&path, &body, access)
                .map_err(failed("write", &path))?;
        }
        self.sent.insert(entry.path.clone());
        if self.is_good(entry) {
            return Ok(());
        }
        Err(BackupError::Changed {
            file: entry.path.clone(),
            target: self.name(),
        })
    }

    fn fault(&mut self, entry: &FileEntry, whole: bool) -> Result<Option<String>, BackupError> {
        let path = self.root.join(&entry.path);
        let size = match self.files.stat(&path) {
            Ok(stat) => stat.size,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some("it is missing in the replica".to_owned()));
            }
            Err(error) => return Err(failed("read", &path)(error)),
        };
        if size != entry.size {
            let wanted = entry.size;
            return Ok(Some(format!(
                "it has {size} bytes in the replica, not {wanted}"
            )));
        }
        if whole && !is(sum_of(self.files, &path), entry) {
            return Ok(Some("it is damaged in the replica".to_owned()));
        }
        Ok(None)
    }

    fn commit(
        &mut self,
        before: &Manifest,
        manifest: &Manifest,
    ) -> Result<Vec<String>, BackupError> {
        let incoming = self.root.join(INCOMING);
        self.files
            .create_dir_all(&incoming)
            .map_err(failed("make the folder", &incoming))?;
        for path in walk(self.files, &incoming)? {
            // What an earlier attempt gathered and nobody wants any more.
            if !self.sent.contains(&path) {
                let path = incoming.join(path);
                self.files
                    .remove(&path)
                    .map_err(failed("take away", &path))?;
            }
        }
        for folder in folders_of(self.sent.iter().map(String::as_str)) {
            let folder = incoming.join(folder);
            self.files
                .sync_dir(&folder)
                .map_err(failed("sync", &folder))?;
        }
        let text = manifest
            .render()
            .map_err(failed("write", Path::new(MANIFEST)))?;
        let path = incoming.join(MANIFEST);
        let part = incoming.join(format!(".{MANIFEST}"));
        self.files
            .write_new(&part, text.as_bytes(), Access::SHARED)
            .and_then(|()| self.files.rename(&part, &path))
            .map_err(failed("write", &path))?;
        self.files
            .sync_dir(&incoming)
            .and_then(|()| self.files.sync_dir(&self.root))
            .map_err(failed("sync", &incoming))?;
        moved(self.files, &self.root, Some(before), manifest)?;
        self.sent.clear();
        Ok(Vec::new())
    }
}

/// Moves what was gathered to its place, takes away what is no part of the replica any more, and
/// puts the manifest there last. Repeated until it is done, whatever breaks it off.
fn moved(
    files: &dyn Files,
    root: &Path,
    before: Option<&Manifest>,
    next: &Manifest,
) -> Result<(), BackupError> {
    let incoming = root.join(INCOMING);
    for folder in ["logs", "configs", "backups/configs"] {
        let folder = root.join(folder);
        files
            .create_dir_all(&folder)
            .map_err(failed("make the folder", &folder))?;
    }
    let mut paths = walk(files, &incoming)?;
    paths.retain(|path| next.file(path).is_some());
    // Sealed segments first: whoever follows the folder sees lines twice rather than not at all.
    paths.sort_by_key(|path| {
        (
            !path.starts_with("logs/") || !path.contains('-'),
            path.clone(),
        )
    });
    for path in &paths {
        let to = root.join(path);
        let folder = to.parent().unwrap_or(root);
        files
            .create_dir_all(folder)
            .map_err(failed("make the folder", folder))?;
        files
            .rename(&incoming.join(path), &to)
            .map_err(failed("give the finished file the name", &to))?;
    }
    let known: BTreeSet<&str> = next.files.iter().map(|file| &*file.path).collect();
    for old in before.map(|before| &*before.files).unwrap_or_default() {
        if !known.contains(&*old.path) {
            let path = root.join(&old.path);
            match files.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("take away", &path)(error));
                }
                _ => {}
            }
        }
    }
    for folder in folders_of(known.into_iter()) {
        let folder = root.join(folder);
        files.sync_dir(&folder).map_err(failed("sync", &folder))?;
    }
    files
        .rename(&incoming.join(MANIFEST), &root.join(MANIFEST))
        .and_then(|()| files.sync_dir(root))
        .map_err(failed(
            "give the finished file the name",
            &root.join(MANIFEST),
        ))?;
    take_away(files, &incoming)
}

/// The folders that files are in, and those above them.
fn folders_of<'a>(paths: impl Iterator<Item = &'a str>) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    for path in paths {
        let above = Path::new(path).ancestors().skip(1);
        folders.extend(
            above
                .filter(|one| !one.as_os_str().is_empty())
                .map(Path::to_owned),
        );
    }
    folders
}

/// The files below `folder` that are no manifest, by their paths in it.
fn walk(files: &dyn Files, folder: &Path) -> Result<Vec<String>, BackupError> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(inner) = folders.pop() {
        let path = folder.join(&inner);
        for name in files.list(&path).map_err(failed("read", &path))? {
            let one = if inner.is_empty() {
                name
            } else {
                format!("{inner}/{name}")
            };
            let stat = files.stat(&folder.join(&one));
            if stat.map_err(failed("read", &path))?.folder {
                folders.push(one);
            } else if one != MANIFEST {
                found.push(one);
            }
        }
    }
    Ok(found)
}
