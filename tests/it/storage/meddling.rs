//! Files into which somebody else writes at the worst moment: right before a write of ours.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use echopilot::seams::files::{
    Access, AppendFile, Fault, FaultyFiles, Files, Hold, Make, ReadFile, RealFiles, Space, Stat,
};

use super::support::Place;

/// What somebody does, before how many of our writes, and what fails from the last of them on.
#[derive(Debug)]
struct Deed {
    words: &'static [u8],
    left: u32,
    then: Option<Fault>,
}

#[derive(Debug, Default)]
struct Plan {
    deed: Option<Deed>,
    faulty: Option<FaultyFiles>,
    /// So many reads of the active segment of `x` succeed before one fails.
    reads: Option<u32>,
}

/// Somebody at the active segment of `x`.
#[derive(Debug, Clone, Default)]
pub struct Meddler(Arc<Mutex<Plan>>);

impl Meddler {
    /// A place where nothing happens yet.
    pub fn place() -> (Self, Place) {
        let meddler = Self::default();
        let place = Place {
            folder: tempfile::tempdir().unwrap(),
            files: FaultyFiles::over(Arc::new(meddler.clone())),
        };
        meddler.0.lock().unwrap().faulty = Some(place.files.clone());
        (meddler, place)
    }

    /// Before each of the next `times` batches, `words` are written; then comes the fault.
    pub fn write(&self, words: &'static [u8], times: u32, then: Option<Fault>) {
        self.0.lock().unwrap().deed = Some(Deed {
            words,
            left: times,
            then,
        });
    }

    /// One read fails after so many that do not.
    pub fn fail_read(&self, after: u32) {
        self.0.lock().unwrap().reads = Some(after);
    }

    /// Whether everything came to pass.
    pub fn is_done(&self) -> bool {
        let plan = self.0.lock().unwrap();
        plan.deed.is_none() && plan.reads.is_none()
    }

    fn before_write(&self, path: &Path, bytes: &[u8]) {
        let ours = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        let mut plan = self.0.lock().unwrap();
        if !path.ends_with("x.ndjson") || !ours.starts_with(b"{\"seq\"") {
            return;
        }
        let Some(deed) = plan.deed.as_mut() else {
            return;
        };
        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
        io::Write::write_all(&mut file, deed.words).unwrap();
        deed.left -= 1;
        if deed.left == 0 {
            let then = plan.deed.take().and_then(|deed| deed.then);
            let faulty = plan.faulty.clone().unwrap();
            drop(plan);
            if let Some(fault) = then {
                faulty.fail(fault);
            }
        }
    }

    fn before_read(&self, path: &Path) -> io::Result<()> {
        let mut plan = self.0.lock().unwrap();
        match plan.reads.filter(|_| path.ends_with("x.ndjson")) {
            Some(0) => {
                plan.reads = None;
                Err(io::Error::from_raw_os_error(5))
            }
            Some(left) => {
                plan.reads = Some(left - 1);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[derive(Debug)]
struct Watched<F> {
    inner: F,
    path: PathBuf,
    meddler: Meddler,
}

impl AppendFile for Watched<Box<dyn AppendFile>> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.meddler.before_write(&self.path, bytes);
        self.inner.write(bytes)
    }
    fn sync_data(&mut self) -> io::Result<()> {
        self.inner.sync_data()
    }
    fn set_len(&mut self, size: u64) -> io::Result<()> {
        self.inner.set_len(size)
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }
    fn stat(&self) -> io::Result<Stat> {
        self.inner.stat()
    }
}

impl ReadFile for Watched<Box<dyn ReadFile>> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.meddler.before_read(&self.path)?;
        self.inner.read(buffer)
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }
    fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.inner.seek(offset)
    }
    fn stat(&self) -> io::Result<Stat> {
        self.inner.stat()
    }
}

impl Files for Meddler {
    fn open_append(&self, path: &Path, make: Make) -> io::Result<Box<dyn AppendFile>> {
        Ok(Box::new(Watched {
            inner: RealFiles.open_append(path, make)?,
            path: path.to_owned(),
            meddler: self.clone(),
        }))
    }
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        Ok(Box::new(Watched {
            inner: RealFiles.open_read(path)?,
            path: path.to_owned(),
            meddler: self.clone(),
        }))
    }
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        RealFiles.stat(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFiles.rename(from, to)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFiles.link(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealFiles.remove(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        RealFiles.remove_dir(path)
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealFiles.create_dir_all(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        RealFiles.list(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealFiles.sync_dir(path)
    }
    fn write_new(&self, path: &Path, body: &[u8], access: Access) -> io::Result<()> {
        RealFiles.write_new(path, body, access)
    }
    fn reserve(&self, path: &Path, size: u64) -> io::Result<()> {
        RealFiles.reserve(path, size)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        RealFiles.space(path)
    }
    fn remote_kind(&self, path: &Path) -> io::Result<Option<&'static str>> {
        RealFiles.remote_kind(path)
    }
    fn lock_dir(&self, path: &Path) -> io::Result<Option<Box<dyn Hold>>> {
        RealFiles.lock_dir(path)
    }
}
