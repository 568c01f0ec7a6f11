//! A file system that begins nothing new once it is told to stop, so that work of minutes on a
//! thread of its own ends when the process does. Taking things away still works: whatever stops
//! tidies up after itself.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::seams::files::{Access, AppendFile, Files, Hold, Make, ReadFile, Space, Stat};

/// The files of `inner` until `stop`.
#[derive(Debug, Clone)]
pub struct Stoppable {
    inner: Arc<dyn Files>,
    stop: CancellationToken,
}

impl Stoppable {
    /// Files that may be used until `stop`.
    pub fn new(inner: Arc<dyn Files>, stop: CancellationToken) -> Self {
        Self { inner, stop }
    }

    fn go_on(&self) -> io::Result<()> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other("it was told to stop"));
        }
        Ok(())
    }
}

impl Files for Stoppable {
    fn open_append(&self, path: &Path, make: Make) -> io::Result<Box<dyn AppendFile>> {
        self.go_on()?;
        self.inner.open_append(path, make)
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        self.go_on()?;
        self.inner.open_read(path)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.inner.stat(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.go_on()?;
        self.inner.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.inner.list(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.sync_dir(path)
    }

    fn write_new(&self, path: &Path, body: &[u8], access: Access) -> io::Result<()> {
        self.go_on()?;
        self.inner.write_new(path, body, access)
    }

    fn reserve(&self, path: &Path, size: u64) -> io::Result<()> {
        self.go_on()?;
        self.inner.reserve(path, size)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.inner.space(path)
    }

    fn remote_kind(&self, path: &Path) -> io::Result<Option<&'static str>> {
        self.inner.remote_kind(path)
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Option<Box<dyn Hold>>> {
        self.inner.lock_dir(path)
    }
}
