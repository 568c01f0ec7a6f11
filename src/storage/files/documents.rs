//! Documents in files: read whole or not at all, replaced in one step (rules C1 and C2).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::seams::files::{Access, Files, Stat, is_link, read_whole};
use crate::storage::engine::{Document, DocumentError, Revision};

/// Largest document, in bytes. Source: the architecture decision of 5 MiB for one configuration.
const DOCUMENT_MAX: u64 = 5 << 20;
/// How often a document that changes while it is read is read again.
const READ_TRIES: u32 = 5;
/// Longest file name of a document, in bytes: room for a temporary name within the 255 of most file
/// systems.
const NAME_MAX: usize = 128;

/// Permission bit of a folder in which its group may make files.
const GROUP_WRITES: u32 = 0o020;
/// Mode of a document that its group may edit.
const GROUP_EDITS: u32 = 0o660;

/// The documents of one home.
#[derive(Debug)]
pub(super) struct Documents {
    files: Arc<dyn Files>,
    configs: PathBuf,
    snapshots: PathBuf,
    derived: PathBuf,
    private: Vec<String>,
    /// Held while a document is replaced: comparing and renaming must not be torn apart.
    replacing: Mutex<()>,
    temporary: AtomicU64,
}

fn failed(name: &str) -> impl Fn(io::Error) -> DocumentError {
    let name = name.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::NotFound => DocumentError::Absent { name: name.clone() },
        _ if is_link(&source) => DocumentError::Link { name: name.clone() },
        _ => DocumentError::Io {
            name: name.clone(),
            source,
        },
    }
}

/// Whether `name` may be a file of ours in a folder of ours: never a path, never hidden.
pub(in crate::storage) fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= NAME_MAX && !name.starts_with('.') && name.bytes().all(plain)
}

fn named(folder: &Path, name: &str) -> Result<PathBuf, DocumentError> {
    if is_name(name) {
        return Ok(folder.join(name));
    }
    Err(DocumentError::Io {
        name: name.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidInput, "not a file name"),
    })
}

impl Documents {
    pub(super) fn new(
        files: Arc<dyn Files>,
        configs: PathBuf,
        snapshots: PathBuf,
        derived: PathBuf,
        private: Vec<String>,
    ) -> Self {
        Self {
            files,
            configs,
            snapshots,
            derived,
            private,
            replacing: Mutex::default(),
            temporary: AtomicU64::new(0),
        }
    }

    pub(super) fn load(&self, name: &str) -> Result<Document, DocumentError> {
        self.read(&named(&self.configs, name)?, name)
    }

    fn read(&self, path: &Path, name: &str) -> Result<Document, DocumentError> {
        read_settled(&*self.files, path, name)
    }

    pub(super) fn replace(
        &self,
        name: &str,
        expect: Option<&Revision>,
        body: &[u8],
    ) -> Result<Revision, DocumentError> {
        let path = named(&self.configs, name)?;
        let _one_at_a_time = self
            .replacing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let old = self.must_be_at(&path, name, expect)?;
        let access = self.access(&path, name, old.is_some());
        if let Some(old) = &old {
            self.keep(name, &old.body, access)?;
        }
        let temporary = self.configs.join(self.temporary_name(name));
        let placed = self
            .files
            .write_new(&temporary, body, access)
            .map_err(failed(name))
            .and_then(|()| self.must_be_at(&path, name, expect))
            .and_then(|_| self.place(&temporary, &path, name, old.is_some()));
        if placed.is_err() || old.is_none() {
            // What is left of a failed attempt, or the second name of a new file.
            let _gone_already = self.files.remove(&temporary);
        }
        placed?;
        self.files.sync_dir(&self.configs).map_err(failed(name))?;
        Ok(Revision::of(body))
    }

    /// Puts the new text where the old one was; where there was none, only if there still is none.
    fn place(
        &self,
        from: &Path,
        to: &Path,
        name: &str,
        replaces: bool,
    ) -> Result<(), DocumentError> {
        if replaces {
            return self.files.rename(from, to).map_err(failed(name));
        }
        match self.files.link(from, to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.must_be_at(to, name, None).map(|_| ())
            }
            outcome => outcome.map_err(failed(name)),
        }
    }

    fn must_be_at(
        &self,
        path: &Path,
        name: &str,
        expect: Option<&Revision>,
    ) -> Result<Option<Document>, DocumentError> {
        let found = match self.read(path, name) {
            Ok(document) => document,
            Err(DocumentError::Absent { .. }) if expect.is_none() => return Ok(None),
            Err(DocumentError::Empty { .. }) => Document {
                body: Vec::new(),
                revision: Revision::of(&[]),
            },
            Err(error) => return Err(error),
        };
        match expect {
            Some(expected) if *expected == found.revision => Ok(Some(found)),
            _ => Err(DocumentError::Moved {
                name: name.to_owned(),
                expected: expect.cloned().unwrap_or_else(|| Revision::of(&[])),
                found: found.revision,
            }),
        }
    }

    fn access(&self, path: &Path, name: &str, exists: bool) -> Access {
        match self.files.stat(path) {
            Ok(Stat { mode, uid, gid, .. }) if exists => Access {
                mode,
                owner: Some((uid, gid)),
            },
            _ if self.private.iter().any(|private| private == name) => Access::PRIVATE,
            _ => self.access_of_new(),
        }
    }

    /// What belongs to a group that may edit here, such as `/etc/echopilot` of the package, is for
    /// that group to write, whatever the umask. The folder may be named by a link.
    fn access_of_new(&self) -> Access {
        match self.files.stat(&self.configs.join(".")) {
            Ok(Stat { mode, uid, gid, .. }) if mode & GROUP_WRITES != 0 => Access {
                mode: GROUP_EDITS,
                owner: Some((uid, gid)),
            },
            _ => Access::SHARED,
        }
    }

    fn temporary_name(&self, name: &str) -> String {
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        format!(".{name}.{}-{number}.tmp", std::process::id())
    }

    pub(super) fn keep_snapshot(&self, name: &str, body: &[u8]) -> Result<(), DocumentError> {
        let path = named(&self.configs, name)?;
        let exists = self.files.stat(&path).is_ok();
        self.keep(name, body, self.access(&path, name, exists))
    }

    fn keep(&self, name: &str, body: &[u8], access: Access) -> Result<(), DocumentError> {
        let folder = self.folder_of(name);
        let path = folder.join(format!("{}.json", Revision::of(body)));
        if self
            .files
            .stat(&path)
            .is_ok_and(|stat| stat.size == body.len() as u64)
        {
            return Ok(());
        }
        self.files.create_dir_all(&folder).map_err(failed(name))?;
        self.files.sync_dir(&self.snapshots).map_err(failed(name))?;
        self.put(&folder, &path, name, body, access)
    }

    pub(super) fn snapshot(
        &self,
        name: &str,
        revision: &Revision,
    ) -> Result<Document, DocumentError> {
        named(&self.configs, name)?;
        let path = self.folder_of(name).join(format!("{revision}.json"));
        let kept = self.read(&path, name)?;
        if kept.revision == *revision {
            return Ok(kept);
        }
        Err(DocumentError::Moved {
            name: name.to_owned(),
            expected: revision.clone(),
            found: kept.revision,
        })
    }

    fn folder_of(&self, name: &str) -> PathBuf {
        self.snapshots
            .join(name.strip_suffix(".json").unwrap_or(name))
    }

    pub(super) fn load_derived(&self, name: &str) -> Option<Vec<u8>> {
        let path = named(&self.derived, name).ok()?;
        let mut file = self.files.open_read(&path).ok()?;
        read_whole(&mut *file, u64::MAX).ok()
    }

    pub(super) fn save_derived(&self, name: &str, body: &[u8]) -> Result<(), DocumentError> {
        let path = named(&self.derived, name)?;
        self.files
            .create_dir_all(&self.derived)
            .map_err(failed(name))?;
        self.put(&self.derived, &path, name, body, Access::PRIVATE)
    }

    /// Reports stand in `logs/`, one folder above what nobody needs to read; what a crash leaves
    /// behind of them is swept from there.
    pub(super) fn save_report(&self, name: &str, body: &[u8]) -> Result<(), DocumentError> {
        let path = named(self.reports(), name)?;
        if !has_ending(name, "json") {
            // The journals are its neighbours.
            let source = io::Error::new(io::ErrorKind::InvalidInput, "a report ends in `.json`");
            return Err(failed(name)(source));
        }
        self.put(self.reports(), &path, name, body, Access::SHARED)
    }

    fn reports(&self) -> &Path {
        self.derived.parent().unwrap_or(&self.derived)
    }

    /// Puts a whole file in place of whatever is there.
    fn put(
        &self,
        folder: &Path,
        path: &Path,
        name: &str,
        body: &[u8],
        access: Access,
    ) -> Result<(), DocumentError> {
        let temporary = folder.join(self.temporary_name(name));
        let placed = self
            .files
            .write_new(&temporary, body, access)
            .and_then(|()| self.files.rename(&temporary, path));
        if placed.is_err() {
            let _gone_already = self.files.remove(&temporary);
        }
        placed
            .and_then(|()| self.files.sync_dir(folder))
            .map_err(failed(name))
    }

    /// Removes what replacements that a crash cut short have left.
    pub(super) fn sweep(&self) {
        for folder in [&self.configs, self.reports(), &self.derived] {
            for name in self.files.list(folder).unwrap_or_default() {
                if name.starts_with('.') && has_ending(&name, "tmp") {
                    // One that stays is tried again at the next start.
                    let _stays = self.files.remove(&folder.join(name));
                }
            }
        }
    }
}

/// Reads the document at `path` whole, again where somebody wrote it in between.
pub(in crate::storage) fn read_settled(
    files: &dyn Files,
    path: &Path,
    name: &str,
) -> Result<Document, DocumentError> {
    for _ in 0..READ_TRIES {
        let mut file = files.open_read(path).map_err(failed(name))?;
        let before = file.stat().map_err(failed(name))?;
        if before.size > DOCUMENT_MAX {
            return Err(DocumentError::TooLarge {
                name: name.to_owned(),
                found: before.size,
                allowed: DOCUMENT_MAX,
            });
        }
        let body = read_whole(&mut *file, DOCUMENT_MAX).map_err(failed(name))?;
        let after = files.stat(path).map_err(failed(name))?;
        if same(&before, &after) && body.len() as u64 == before.size {
            if body.is_empty() {
                return Err(DocumentError::Empty {
                    name: name.to_owned(),
                });
            }
            let revision = Revision::of(&body);
            return Ok(Document { body, revision });
        }
    }
    Err(DocumentError::Unsettled {
        name: name.to_owned(),
    })
}

/// Whether a file name ends in `.ending`, exactly so.
pub(in crate::storage) fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|found| found == ending)
}

/// Whether nobody wrote in between.
pub(super) fn same(one: &Stat, other: &Stat) -> bool {
    (one.inode, one.size, one.mtime_ns) == (other.inode, other.size, other.mtime_ns)
}
