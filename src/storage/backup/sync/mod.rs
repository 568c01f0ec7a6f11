//! Bringing a replica up to date: a copy of the home elsewhere that is kept in place.
//!
//! Sealed segments are sent once; the active one up to its last line and documents when they have
//! changed; nothing of it counts before the manifest does, which comes last. What is sent is
//! checked there; what is there already is looked at each time and read back when that is due, and
//! what is damaged is sent again. A replica holds one history: a home that has lost lines, or has
//! others in their place, never overwrites it. The home itself is only read.

mod bucket;
mod folder;
mod journals;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use super::check::sum_of;
use super::folder::Written;
use super::manifest::{FORMAT, FileEntry, LeftOut, Manifest};
use super::{BackupError, documents, failed};
use crate::base::time;
use crate::seams::clock::Clock;
use crate::seams::files::Files;
use crate::storage::files::{names, reading};

pub use bucket::BucketTarget;
pub use folder::{FolderTarget, opened, settled};

/// Where a replica is kept.
pub trait Target {
    /// Its name for people.
    fn name(&self) -> String;

    /// What it consists of; `None` where it was never brought up to date.
    fn manifest(&self) -> Result<Option<Manifest>, BackupError>;

    /// Whether an attempt that was broken off has sent this file already, and it is good.
    fn has(&mut self, entry: &FileEntry) -> Result<bool, BackupError>;

    /// Takes a file in and checks that it has arrived. It is no part of the replica yet.
    fn put(&mut self, entry: &FileEntry, source: &mut dyn Read) -> Result<(), BackupError>;

    /// What is wrong with a file of the replica, by a look from outside or, with `whole`, by
    /// reading it back; `None` where nothing is.
    fn fault(&mut self, entry: &FileEntry, whole: bool) -> Result<Option<String>, BackupError>;

    /// From here on the replica is what `manifest` says, whatever is killed; what it was before and
    /// is not any more is taken away. Gives what could not be taken away.
    fn commit(
        &mut self,
        before: &Manifest,
        manifest: &Manifest,
    ) -> Result<Vec<String>, BackupError>;
}

/// How a replica is kept.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Segments that the home has given up stay.
    pub keeps_removed: bool,
    /// Everything in it is read back.
    pub reads_back: bool,
    /// It was brought up to date before: an empty place is a fault, such as a disk that is not
    /// mounted.
    pub is_known: bool,
}

/// A replica that was brought up to date.
#[derive(Debug, Clone)]
pub struct Synced {
    /// What it consists of.
    pub manifest: Manifest,
    /// Files that were sent.
    pub sent_files: u64,
    /// Bytes of them.
    pub sent_bytes: u64,
    /// Files that were damaged or missing and were sent again.
    pub mended: Vec<String>,
    /// Files that are damaged or missing and that the home does not have.
    pub lost: Vec<String>,
    /// What somebody should look at.
    pub notes: Vec<String>,
}

/// A replica being brought up to date.
struct Syncing<'a> {
    files: &'a dyn Files,
    home: &'a Path,
    target: &'a mut dyn Target,
    options: Options,
    /// What it was, by path.
    before: BTreeMap<String, FileEntry>,
    synced: Synced,
}

/// Brings `target` up to date with `home`. Whether a daemon runs does not matter.
pub fn sync(
    files: &dyn Files,
    clock: &dyn Clock,
    home: &Path,
    target: &mut dyn Target,
    options: Options,
) -> Result<Synced, BackupError> {
    let before = target.manifest()?;
    if before.is_none() && options.is_known {
        return Err(BackupError::Vanished {
            target: target.name(),
        });
    }
    let before = before.unwrap_or_else(|| fresh(String::new()));
    let by_path = before.files.iter();
    let mut syncing = Syncing {
        files,
        home,
        options,
        before: by_path.map(|one| (one.path.clone(), one.clone())).collect(),
        synced: Synced {
            manifest: fresh(time::stamp(clock.now())),
            sent_files: 0,
            sent_bytes: 0,
            mended: Vec::new(),
            lost: Vec::new(),
            notes: Vec::new(),
        },
        target,
    };
    syncing.journals(&before)?;
    for folder in syncing.revisions()? {
        syncing.documents(&folder, true)?;
    }
    for folder in documents::CURRENT {
        syncing.documents(folder, false)?;
    }
    syncing.look_back()?;
    let Syncing {
        target, mut synced, ..
    } = syncing;
    if synced.manifest.files.is_empty() {
        return Err(BackupError::Nothing {
            home: home.display().to_string(),
        });
    }
    let left = target.commit(&before, &synced.manifest)?;
    synced.notes.extend(left);
    Ok(synced)
}

fn fresh(taken_at: String) -> Manifest {
    Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        taken_at,
        journals: Vec::new(),
        files: Vec::new(),
        left_out: Vec::new(),
        replica: true,
    }
}

impl Syncing<'_> {
    /// The folders of kept revisions on either side: one that the home has lost stays in the
    /// replica.
    fn revisions(&self) -> Result<BTreeSet<String>, BackupError> {
        let own = documents::revisions(self.files, self.home)?;
        let known = self.before.keys().filter_map(|path| path.rsplit_once('/'));
        let known = known.map(|(above, _)| above.to_owned());
        let known = known.filter(|above| above.starts_with("backups/configs/"));
        Ok(own.into_iter().chain(known).collect())
    }

    fn documents(&mut self, folder: &str, never_change: bool) -> Result<(), BackupError> {
        let names = documents::listed(self.files, self.home, folder)?;
        for name in &names {
            let path = format!("{folder}/{name}");
            let known = self.before.get(&path).cloned();
            if let Some(known) = known.as_ref().filter(|_| never_change) {
                self.keep(known.clone());
                continue;
            }
            let found = match documents::read(self.files, self.home, &path)? {
                Ok(found) => found,
                Err(why) => {
                    self.leave_out(&path, why);
                    // What the replica has is better than nothing.
                    self.synced.manifest.files.extend(known);
                    continue;
                }
            };
            let mut body = &*found.document.body;
            let Written { size, sha256 } = super::folder::sum_of_bytes(body);
            let entry = entry(path, size, sha256, found.mode());
            if known.as_ref() == Some(&entry) {
                self.keep(entry);
            } else {
                self.send(entry, &mut body)?;
            }
        }
        if never_change || names.is_empty() {
            // Nothing takes revisions away but a person; the replica is not told to follow. Nor is
            // it where all are gone at once: that is a folder that is not mounted.
            let is_here = |one: &&FileEntry| match one.path.rsplit_once('/') {
                Some((above, name)) => above == folder && !names.iter().any(|known| known == name),
                None => false,
            };
            let gone = self.before.values().filter(is_here).cloned();
            self.synced.manifest.files.extend(gone);
        }
        Ok(())
    }

    fn leave_out(&mut self, path: &str, why: String) {
        let note = format!("`{path}` is left out: {why}");
        self.synced.notes.push(note);
        let path = path.to_owned();
        self.synced.manifest.left_out.push(LeftOut { path, why });
    }

    /// The file stays as it is.
    fn keep(&mut self, entry: FileEntry) {
        self.synced.manifest.files.push(entry);
    }

    /// The file is sent, unless it has been.
    fn send(&mut self, entry: FileEntry, source: &mut dyn Read) -> Result<(), BackupError> {
        if !self.target.has(&entry)? {
            self.target.put(&entry, source)?;
            self.synced.sent_files += 1;
            self.synced.sent_bytes += entry.size;
        }
        self.synced.manifest.files.push(entry);
        Ok(())
    }

    /// Looks at what was there before, and sends again what is not as it was.
    fn look_back(&mut self) -> Result<(), BackupError> {
        let whole = self.options.reads_back;
        let mut files = std::mem::take(&mut self.synced.manifest.files);
        let mut missing = Vec::new();
        for entry in &files {
            if self.before.get(&entry.path) != Some(entry) {
                continue;
            }
            let Some(what) = self.target.fault(entry, whole)? else {
                continue;
            };
            let path = entry.path.clone();
            self.synced.notes.push(format!("`{path}`: {what}"));
            if self.again(entry)? {
                self.synced.mended.push(path);
            } else {
                // What is damaged stays: most of its lines may be good.
                if self.target.fault(entry, false)?.is_some() {
                    missing.push(path.clone());
                }
                self.synced.lost.push(path);
            }
        }
        for gone in files.iter().filter(|one| missing.contains(&one.path)) {
            let stream = gone.path.strip_prefix("logs/").and_then(names::parse);
            let journals = &mut self.synced.manifest.journals;
            let journal = journals
                .iter_mut()
                .find(|one| stream.as_ref().is_some_and(|(name, _)| one.name == *name));
            if let (Some(journal), Some(range)) = (journal, &gone.lines) {
                journal.lines -= range.count;
            }
        }
        files.retain(|one| !missing.contains(&one.path));
        self.synced.manifest.files = files;
        Ok(())
    }

    /// Sends a file again, if the home still has it as it was.
    fn again(&mut self, entry: &FileEntry) -> Result<bool, BackupError> {
        let source = self.home.join(&entry.path);
        let name = entry.path.strip_prefix("logs/").and_then(names::parse);
        let is_active = name.is_some_and(|(_, sealed)| sealed.is_none());
        let limit = if is_active { entry.size } else { u64::MAX };
        let opened = || {
            let opened = self.files.open_read(&source);
            opened.and_then(|file| reading::plain(file, 0, limit))
        };
        let found =
            opened().and_then(|mut source| super::folder::pour(&mut source, true, &mut |_| Ok(())));
        let is_same =
            found.is_ok_and(|found| (found.size, &*found.sha256) == (entry.size, &*entry.sha256));
        if !is_same {
            return Ok(false);
        }
        let mut source = opened().map_err(failed("read", &source))?;
        self.target.put(entry, &mut source)?;
        self.synced.sent_files += 1;
        self.synced.sent_bytes += entry.size;
        Ok(true)
    }
}

/// A file of a replica.
fn entry(path: String, size: u64, sha256: String, mode: u32) -> FileEntry {
    FileEntry {
        path,
        size,
        sha256,
        mode: format!("{:04o}", mode & 0o777),
        lines: None,
    }
}

/// Size and checksum of a file of the home.
fn sum_at(files: &dyn Files, path: &Path) -> Result<Written, BackupError> {
    sum_of(files, path).map_err(failed("read", path))
}
