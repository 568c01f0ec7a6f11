//! The door to the file system. Everything that touches a file goes through [`Files`], so that
//! tests can let any single call fail ([`FaultyFiles`]) and see what becomes of the data.

mod faulty;
mod real;

use std::fmt::Debug;
use std::io;
use std::path::Path;

pub use faulty::{Fault, FaultyFiles, How, Op};
pub use real::RealFiles;

/// What is known of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    /// Inode number; with `dev` the file's identity, whatever its name.
    pub inode: u64,
    /// Device number.
    pub dev: u64,
    /// Names the file has; 0 = deleted while open.
    pub nlink: u64,
    /// Bytes.
    pub size: u64,
    /// Last change of content, in nanoseconds since 1970.
    pub mtime_ns: i128,
    /// When the file was made, in nanoseconds since 1970; where the file system does not tell, its
    /// last change.
    pub born_ns: i128,
    /// Permission bits, such as 0o640.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Whether it is a plain file: no folder, link, pipe or device.
    pub plain: bool,
    /// Whether it is a folder.
    pub folder: bool,
    /// Bytes that it takes on the medium.
    pub allocated: u64,
}

/// Room on a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Its whole size.
    pub total: u64,
    /// What this process may still use.
    pub available: u64,
}

/// Whether a file must be new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    /// Created where it is missing.
    IfMissing,
    /// It is an error if it is there.
    New,
}

/// Who may read a new file, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Permission bits.
    pub mode: u32,
    /// Owner and group, where they should differ from the process's own. Best effort: only a
    /// privileged process can give a file away.
    pub owner: Option<(u32, u32)>,
}

impl Access {
    /// For the owner alone.
    pub const PRIVATE: Self = Self {
        mode: 0o600,
        owner: None,
    };
    /// For the owner to write and everybody whom the umask lets to read.
    pub const SHARED: Self = Self {
        mode: 0o644,
        owner: None,
    };
}

/// A file open for appending only: every write goes to its end, whatever else was written there.
pub trait AppendFile: Send + Debug {
    /// Writes some of `bytes`; may be fewer than asked.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Returns once what was written is on the medium.
    fn sync_data(&mut self) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&mut self, size: u64) -> io::Result<()>;
    /// Reads back from `offset`, also when the file has lost its name.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// State of the open file, which may have lost its name.
    fn stat(&self) -> io::Result<Stat>;
}

/// A file open for reading.
pub trait ReadFile: Send + Debug {
    /// Reads on from where the last read ended; 0 = the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Reads from `offset`.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// The next [`ReadFile::read`] begins here.
    fn seek(&mut self, offset: u64) -> io::Result<()>;
    /// State of the open file.
    fn stat(&self) -> io::Result<Stat>;
}

/// Held as long as it lives; the system lets go of it when the process ends, however it ends.
pub trait Hold: Send + Sync + Debug {}

/// The file system.
pub trait Files: Send + Sync + Debug + 'static {
    /// Opens `path` for appending. Never follows a link.
    fn open_append(&self, path: &Path, make: Make) -> io::Result<Box<dyn AppendFile>>;
    /// Opens `path` for reading. Never follows a link.
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn ReadFile>>;
    /// State of whatever has this name, links not followed.
    fn stat(&self, path: &Path) -> io::Result<Stat>;
    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name; an error if that is taken.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Takes a name away.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Takes an empty folder away.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder and those above it.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Names in a folder, sorted. A missing folder is empty.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Returns once names made, changed or removed in a folder are on the medium. The folder may be
    /// named by a link.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes a file that was not there, with this content, on the medium when it returns.
    fn write_new(&self, path: &Path, body: &[u8], access: Access) -> io::Result<()>;
    /// Makes a file that occupies `size` bytes without writing them.
    fn reserve(&self, path: &Path, size: u64) -> io::Result<()>;
    /// Room on the file system that holds `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// The name of the file system that holds `path` if change notices and locks cannot be relied
    /// on there (`nfs`, `smb`, `fuse`, …).
    fn remote_kind(&self, path: &Path) -> io::Result<Option<&'static str>>;
    /// Locks a folder against other processes; `None` when another one holds it. The folder may be
    /// named by a link.
    fn lock_dir(&self, path: &Path) -> io::Result<Option<Box<dyn Hold>>>;
}

/// Reads a file whole, up to `limit` bytes and one more, so that the caller can see it was longer.
pub fn read_whole(file: &mut dyn ReadFile, limit: u64) -> io::Result<Vec<u8>> {
    let expected = file.stat()?.size.min(limit);
    let mut body = vec![0; usize::try_from(expected).unwrap_or(0) + 1];
    let mut filled = 0;
    let most = usize::try_from(limit)
        .unwrap_or(usize::MAX)
        .saturating_add(1);
    loop {
        if filled == body.len() {
            if filled >= most {
                break;
            }
            body.resize((filled * 2).min(most), 0);
        }
        let read = file.read(body.get_mut(filled..).unwrap_or_default())?;
        if read == 0 {
            break;
        }
        filled += read;
    }
    body.truncate(filled);
    Ok(body)
}

/// Whether an error says that the medium is full.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Whether an error says that a symbolic link stands where a file should.
pub fn is_link(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP)
}
