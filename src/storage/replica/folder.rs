//! A home on a disk of this machine: a primary's own folder on a mounted disk, or a replica that
//! `replica-sync` keeps. Only read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::source::{Listing, Place, Source, SourceError, list_home, read_bytes};
use crate::seams::files::Files;

/// A home in a folder.
#[derive(Debug)]
pub struct FolderSource {
    files: Arc<dyn Files>,
    home: PathBuf,
}

impl FolderSource {
    /// The home in `home`.
    pub fn new(files: Arc<dyn Files>, home: &Path) -> Self {
        let home = home.to_owned();
        Self { files, home }
    }
}

impl Source for FolderSource {
    fn name(&self) -> String {
        self.home.display().to_string()
    }

    fn list(&mut self, snapshots: bool) -> Result<Listing, SourceError> {
        let failed = |source| SourceError::Unreachable {
            what: self.home.display().to_string(),
            source,
        };
        // A missing folder lists as an empty one: a disk that is not mounted is no empty home.
        self.files.stat(&self.home.join("logs")).map_err(failed)?;
        list_home(&*self.files, &self.home, snapshots, &|_| None).map_err(failed)
    }

    fn read(
        &mut self,
        place: &Place,
        inode: Option<u64>,
        offset: u64,
        most: usize,
    ) -> Result<Vec<u8>, SourceError> {
        read_bytes(&*self.files, &self.home, place, inode, offset, most)
    }

    fn may_take_back(&self) -> bool {
        true
    }
}
