//! A folder that is built under a temporary name and gets its own when all of it is on the medium.
//! Dropped before, it takes everything with it that was written.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{BackupError, failed};
use crate::base::hex;
use crate::seams::files::{Access, AppendFile, Files, Hold, Make};
use crate::storage::files::reading;

/// A folder under construction.
pub(super) struct Folder<'f> {
    files: &'f dyn Files,
    path: PathBuf,
    inner: BTreeSet<PathBuf>,
    /// Held while it is built: what another process left behind is taken away, what it still
    /// writes is not.
    _hold: Box<dyn Hold>,
    placed: bool,
}

/// What was written to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) size: u64,
    pub(super) sha256: String,
}

impl<'f> Folder<'f> {
    /// Begins an empty one at `path`, where an earlier attempt may have left something.
    pub(super) fn begin(files: &'f dyn Files, path: PathBuf) -> Result<Self, BackupError> {
        files
            .create_dir_all(&path)
            .map_err(failed("make the folder", &path))?;
        let busy = || BackupError::Busy {
            folder: path.display().to_string(),
        };
        let hold = match files.lock_dir(&path) {
            Ok(hold) => hold.ok_or_else(busy)?,
            // The other process has just given it its name.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(busy()),
            Err(error) => return Err(failed("lock", &path)(error)),
        };
        let folder = Self {
            files,
            inner: BTreeSet::new(),
            _hold: hold,
            placed: false,
            path,
        };
        empty(files, &folder.path).map_err(failed("clear", &folder.path))?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where `relative` is, its folder made.
    pub(super) fn room_for(&mut self, relative: &str) -> Result<PathBuf, BackupError> {
        let path = self.path.join(relative);
        let mut above = Path::new(relative).parent();
        while let Some(one) = above.filter(|one| !one.as_os_str().is_empty()) {
            if !self.inner.insert(one.to_owned()) {
                break;
            }
            let made = self.path.join(one);
            self.files
                .create_dir_all(&made)
                .map_err(failed("make the folder", &made))?;
            above = one.parent();
        }
        Ok(path)
    }

    /// Writes a small file.
    pub(super) fn write(
        &mut self,
        relative: &str,
        body: &[u8],
        access: Access,
    ) -> Result<Written, BackupError> {
        let path = self.room_for(relative)?;
        self.files
            .write_new(&path, body, access)
            .map_err(failed("write", &path))?;
        Ok(sum_of_bytes(body))
    }

    /// Writes a file from `source`; without `tail`, up to its last end of line.
    pub(super) fn copy(
        &mut self,
        relative: &str,
        source: &mut dyn Read,
        tail: bool,
    ) -> Result<Written, BackupError> {
        let path = self.room_for(relative)?;
        write_from(self.files, &path, source, tail)
    }

    /// Gives it its name, everything in it being on the medium.
    pub(super) fn place(mut self, target: &Path) -> Result<(), BackupError> {
        for inner in &self.inner {
            let inner = self.path.join(inner);
            self.files
                .sync_dir(&inner)
                .map_err(failed("sync", &inner))?;
        }
        let synced = self.files.sync_dir(&self.path);
        synced.map_err(failed("sync", &self.path))?;
        self.files
            .rename(&self.path, target)
            .map_err(failed("give the finished folder the name", target))?;
        // From here on it is under that name that it would have to be taken away.
        target.clone_into(&mut self.path);
        let parent = target.parent().unwrap_or(target);
        self.files
            .sync_dir(parent)
            .map_err(failed("sync", parent))?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Folder<'_> {
    fn drop(&mut self) {
        if self.placed {
            return;
        }
        let gone = empty(self.files, &self.path).and_then(|()| self.files.remove_dir(&self.path));
        if let Err(error) = gone {
            let path = self.path.display();
            tracing::warn!(%error, "cannot take `{path}` away; the next attempt does");
        }
    }
}

/// Writes a new file from `source`, on the medium when it returns; without `tail`, up to its last
/// end of line.
pub(super) fn write_from(
    files: &dyn Files,
    path: &Path,
    source: &mut dyn Read,
    tail: bool,
) -> Result<Written, BackupError> {
    let mut out = files
        .open_append(path, Make::New)
        .map_err(failed("write", path))?;
    let written = pour(source, tail, &mut |bytes| write_all(&mut *out, bytes));
    let written = written.map_err(failed("write", path))?;
    out.sync_data().map_err(failed("write", path))?;
    Ok(written)
}

/// Takes everything in a folder away.
pub(super) fn empty(files: &dyn Files, folder: &Path) -> io::Result<()> {
    for name in files.list(folder)? {
        let path = folder.join(name);
        // A link is taken away, never followed: only what cannot be unlinked is a folder.
        if files.remove(&path).is_err() {
            empty(files, &path)?;
            files.remove_dir(&path)?;
        }
    }
    Ok(())
}

/// Hands what `source` gives to `sink`, and tells size and checksum of it.
pub(super) fn pour(
    source: &mut dyn Read,
    tail: bool,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Written> {
    let (mut sum, mut size, mut outcome) = (Sha256::new(), 0, Ok(()));
    let mut take = |bytes: &[u8]| {
        sum.update(bytes);
        size += bytes.len() as u64;
        sink(bytes)
    };
    let rest = reading::whole_lines(source, &mut |whole| {
        outcome = take(whole);
        match outcome {
            Ok(()) => std::ops::ControlFlow::Continue(()),
            Err(_) => std::ops::ControlFlow::Break(()),
        }
    })?;
    outcome?;
    if tail && !rest.is_empty() {
        take(&rest)?;
    }
    Ok(Written {
        size,
        sha256: hex::of(&sum.finalize()),
    })
}

/// Size and checksum of what is in memory.
pub(super) fn sum_of_bytes(body: &[u8]) -> Written {
    Written {
        size: body.len() as u64,
        sha256: hex::of(&Sha256::digest(body)),
    }
}

fn write_all(out: &mut dyn AppendFile, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
