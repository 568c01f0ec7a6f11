//! A file system that fails on demand: the k-th call of a kind, once or from then on.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Access, AppendFile, Files, Hold, Make, ReadFile, Space, Stat};

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// [`Files::open_append`].
    OpenAppend,
    /// [`Files::open_read`].
    OpenRead,
    /// [`AppendFile::write`].
    Write,
    /// [`AppendFile::sync_data`].
    Sync,
    /// [`AppendFile::set_len`].
    SetLen,
    /// [`Files::stat`].
    Stat,
    /// [`Files::rename`].
    Rename,
    /// [`Files::link`].
    Link,
    /// [`Files::remove`] and [`Files::remove_dir`].
    Remove,
    /// [`Files::write_new`].
    WriteNew,
    /// [`Files::sync_dir`].
    SyncDir,
    /// [`Files::list`].
    List,
}

/// In which way a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// `EIO`: the medium is broken.
    Eio,
    /// `ENOSPC`: the medium is full.
    Enospc,
    /// `EINTR`: a signal came in between; nothing was done.
    Eintr,
    /// A write takes only half of the bytes, and the next one fails with `ENOSPC`. Other calls do
    /// not know it and succeed.
    Short,
}

/// Which calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The kind of call.
    pub op: Op,
    /// The first call to fail, counted from 1 since the fault was set.
    pub at: u64,
    /// Whether all later ones fail too.
    pub forever: bool,
    /// In which way.
    pub how: How,
}

#[derive(Debug, Default)]
struct Plan {
    faults: Vec<(Fault, u64)>,
    counts: HashMap<Op, u64>,
    fired: u64,
    owing: bool,
    space: Option<Space>,
}

/// A file system in front of another one, with faults.
#[derive(Debug, Clone)]
pub struct FaultyFiles {
    inner: Arc<dyn Files>,
    plan: Arc<Mutex<Plan>>,
}

enum Turn {
    Pass,
    Half,
}

impl FaultyFiles {
    /// No faults yet.
    pub fn over(inner: Arc<dyn Files>) -> Self {
        Self {
            inner,
            plan: Arc::default(),
        }
    }

    /// Adds a fault; its calls are counted from here.
    pub fn fail(&self, fault: Fault) {
        self.with(|plan| plan.faults.push((fault, 0)));
    }

    /// The medium is well again.
    pub fn heal(&self) {
        self.with(|plan| {
            plan.faults.clear();
            plan.owing = false;
        });
    }

    /// How many calls of a kind there were, failed ones included.
    pub fn count(&self, op: Op) -> u64 {
        self.with(|plan| plan.counts.get(&op).copied().unwrap_or(0))
    }

    /// How many calls were made to fail.
    pub fn fired(&self) -> u64 {
        self.with(|plan| plan.fired)
    }

    /// What [`Files::space`] says from now on; `None` = the truth.
    pub fn set_space(&self, space: Option<Space>) {
        self.with(|plan| plan.space = space);
    }

    fn with<T>(&self, act: impl FnOnce(&mut Plan) -> T) -> T {
        act(&mut self.plan.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn turn(&self, op: Op) -> io::Result<Turn> {
        self.with(|plan| plan.turn(op))
    }
}

impl Plan {
    fn turn(&mut self, op: Op) -> io::Result<Turn> {
        *self.counts.entry(op).or_default() += 1;
        if op == Op::Write && std::mem::take(&mut self.owing) {
            return Err(error_of(How::Enospc));
        }
        let mut hit = None;
        for (fault, seen) in self.faults.iter_mut().filter(|(fault, _)| fault.op == op) {
            *seen += 1;
            if *seen == fault.at || (fault.forever && *seen > fault.at) {
                hit = Some(fault.how);
            }
        }
        match hit {
            Some(How::Short) if op == Op::Write => {
                self.fired += 1;
                self.owing = true;
                Ok(Turn::Half)
            }
            None | Some(How::Short) => Ok(Turn::Pass),
            Some(how) => {
                self.fired += 1;
                Err(error_of(how))
            }
        }
    }
}

fn error_of(how: How) -> io::Error {
    io::Error::from(match how {
        How::Eio => rustix::io::Errno::IO,
        How::Enospc | How::Short => rustix::io::Errno::NOSPC,
        How::Eintr => rustix::io::Errno::INTR,
    })
}

#[derive(Debug)]
struct FaultyAppend {
    inner: Box<dyn AppendFile>,
    files: FaultyFiles,
}

impl AppendFile for FaultyAppend {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.files.turn(Op::Write)? {
            Turn::Pass => self.inner.write(bytes),
            Turn::Half => {
                let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
                self.inner.write(half)
            }
        }
    }
    fn sync_data(&mut self) -> io::Result<()> {
        self.files.turn(Op::Sync)?;
        self.inner.sync_data()
    }
    fn set_len(&mut self, size: u64) -> io::Result<()> {
        self.files.turn(Op::SetLen)?;
        self.inner.set_len(size)
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }
    fn stat(&self) -> io::Result<Stat> {
        self.inner.stat()
    }
}

impl Files for FaultyFiles {
    fn open_append(&self, path: &Path, make: Make) -> io::Result<Box<dyn AppendFile>> {
        self.turn(Op::OpenAppend)?;
        Ok(Box::new(FaultyAppend {
            inner: self.inner.open_append(path, make)?,
            files: self.clone(),
        }))
    }
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        self.turn(Op::OpenRead)?;
        self.inner.open_read(path)
    }
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.turn(Op::Stat)?;
        self.inner.stat(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.turn(Op::Rename)?;
        self.inner.rename(from, to)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.turn(Op::Link)?;
        self.inner.link(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.turn(Op::Remove)?;
        self.inner.remove(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.turn(Op::Remove)?;
        self.inner.remove_dir(path)
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir_all(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.turn(Op::List)?;
        self.inner.list(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.turn(Op::SyncDir)?;
        self.inner.sync_dir(path)
    }
    fn write_new(&self, path: &Path, body: &[u8], access: Access) -> io::Result<()> {
        self.turn(Op::WriteNew)?;
        self.inner.write_new(path, body, access)
    }
    fn reserve(&self, path: &Path, size: u64) -> io::Result<()> {
        self.inner.reserve(path, size)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        if let Some(space) = self.with(|plan| plan.space) {
            return Ok(space);
        }
        self.inner.space(path)
    }
    fn remote_kind(&self, path: &Path) -> io::Result<Option<&'static str>> {
        self.inner.remote_kind(path)
    }
    fn lock_dir(&self, path: &Path) -> io::Result<Option<Box<dyn Hold>>> {
        self.inner.lock_dir(path)
    }
}
