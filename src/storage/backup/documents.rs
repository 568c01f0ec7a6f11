//! Which documents of a home are backed up, and reading them.

use std::io;
use std::path::Path;

use super::{BackupError, failed};
use crate::seams::files::{Access, Files, Stat};
use crate::storage::engine::{Document, DocumentError};
use crate::storage::files::documents::{is_name, read_settled};

/// The folder of kept revisions, a folder for each document in it.
const REVISIONS: &str = "backups/configs";

/// A document as it is on disk.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) document: Document,
    stat: Stat,
}

impl Found {
    /// Permission bits.
    pub(super) fn mode(&self) -> u32 {
        self.stat.mode
    }

    /// Who may read it, and whose it is.
    pub(super) fn access(&self) -> Access {
        Access {
            mode: self.stat.mode,
            owner: Some((self.stat.uid, self.stat.gid)),
        }
    }
}

/// The folders of `home` that hold kept revisions; what is in them never changes under its name.
pub(super) fn revisions(files: &dyn Files, home: &Path) -> Result<Vec<String>, BackupError> {
    let mut names = names_in(files, home, REVISIONS)?;
    names.retain(|name| is_name(name));
    Ok(names
        .into_iter()
        .map(|name| format!("{REVISIONS}/{name}"))
        .collect())
}

/// The folders of `home` that hold the documents in force, and their schemas.
pub(super) const CURRENT: [&str; 2] = ["configs", "configs/schema"];

/// Names of the documents in `folder` of `home`.
pub(super) fn listed(
    files: &dyn Files,
    home: &Path,
    folder: &str,
) -> Result<Vec<String>, BackupError> {
    let mut names = names_in(files, home, folder)?;
    names.retain(|name| {
        Path::new(name)
            .extension()
            .is_some_and(|kind| kind == "json")
    });
    Ok(names)
}

fn names_in(files: &dyn Files, home: &Path, folder: &str) -> Result<Vec<String>, BackupError> {
    let path = home.join(folder);
    match files.list(&path) {
        // A file in a place of folders.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(Vec::new()),
        listed => listed.map_err(failed("read", &path)),
    }
}

/// The document at `path` of `home`, or why it is left out.
pub(super) fn read(
    files: &dyn Files,
    home: &Path,
    path: &str,
) -> Result<Result<Found, String>, BackupError> {
    const GONE: &str = "it was taken away meanwhile";
    let source = home.join(path);
    let stat = match files.stat(&source) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err(GONE.to_owned())),
        found => found.map_err(failed("read", &source))?,
    };
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    if !is_name(name) {
        return Ok(Err("nothing reads a file of this name".to_owned()));
    }
    if !stat.plain {
        return Ok(Err("it is no plain file".to_owned()));
    }
    match read_settled(files, &source, path) {
        Ok(document) => Ok(Ok(Found { document, stat })),
        Err(DocumentError::Empty { .. }) => Ok(Err("it is empty".to_owned())),
        Err(DocumentError::Absent { .. }) => Ok(Err(GONE.to_owned())),
        Err(error @ DocumentError::TooLarge { .. }) => Ok(Err(error.to_string())),
        Err(error) => Err(error.into()),
    }
}
