//! The machine's file system.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, Gid, Mode, OFlags, Uid};

use super::{Access, AppendFile, Files, Hold, Make, ReadFile, Space, Stat};

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFiles;

/// File systems on which locks and change notices cannot be relied on, by the number `statfs(2)`
/// gives. Source: the table in the manual page statfs(2) and linux/magic.h.
const REMOTE: [(u64, &str); 8] = [
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "ceph"),
    (0x5346_414f, "afs"),
];

#[derive(Debug)]
struct RealFile(File);

#[derive(Debug)]
struct DirLock(File);

impl Hold for DirLock {}

impl Drop for DirLock {
    fn drop(&mut self) {
        // Closing alone would leave it held while a child of this process, forked and not yet
        // executing its own program, still has the file open.
        let _closing_does_too = self.0.unlock();
    }
}

fn stat_from(found: &Metadata) -> Stat {
    let mtime_ns = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
    let born = found.created().ok().and_then(|born| {
        let since = born.duration_since(std::time::UNIX_EPOCH).ok()?;
        i128::try_from(since.as_nanos()).ok()
    });
    Stat {
        inode: found.ino(),
        dev: found.dev(),
        nlink: found.nlink(),
        size: found.len(),
        mtime_ns,
        born_ns: born.unwrap_or(mtime_ns),
        mode: found.mode() & 0o7777,
        uid: found.uid(),
        gid: found.gid(),
        plain: found.is_file(),
        folder: found.is_dir(),
        // Always counted in 512 bytes, whatever the file system's blocks are: stat(2).
        allocated: found.blocks().saturating_mul(512),
    }
}

fn stat_of(file: &File) -> io::Result<Stat> {
    Ok(stat_from(&file.metadata()?))
}

fn open(path: &Path, flags: OFlags, mode: u32) -> io::Result<File> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let opened = rustix::fs::open(path, flags, Mode::from_raw_mode(mode))?;
    Ok(File::from(opened))
}

/// A folder may be reached by a link, as homes and checkouts are; a file may not.
fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

impl AppendFile for RealFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn sync_data(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn set_len(&mut self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
    fn stat(&self) -> io::Result<Stat> {
        stat_of(&self.0)
    }
}

impl ReadFile for RealFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
    fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(offset)).map(|_| ())
    }
    fn stat(&self) -> io::Result<Stat> {
        stat_of(&self.0)
    }
}

impl Files for RealFiles {
    fn open_append(&self, path: &Path, make: Make) -> io::Result<Box<dyn AppendFile>> {
        let exclusive = match make {
            Make::IfMissing => OFlags::empty(),
            Make::New => OFlags::EXCL,
        };
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | exclusive;
        Ok(Box::new(RealFile(open(path, flags, Access::SHARED.mode)?)))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        // Without NONBLOCK, opening a pipe that somebody put there would hang for ever.
        let file = open(path, OFlags::RDONLY | OFlags::NONBLOCK, 0)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a plain file"));
        }
        Ok(Box::new(RealFile(file)))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        Ok(stat_from(&std::fs::symlink_metadata(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(rustix::fs::rename(from, to)?)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(rustix::fs::link(from, to)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::unlink(path)?)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::rmdir(path)?)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the door to the file system"
    )]
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the door to the file system"
    )]
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            outcome => outcome?,
        };
        let mut names = Vec::new();
        for entry in entries {
            // A name that is not text is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        open_folder(path)?.sync_all()
    }

    fn write_new(&self, path: &Path, body: &[u8], access: Access) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let mut file = open(path, flags, access.mode)?;
        if let Some((uid, gid)) = access.owner {
            let ours = file.metadata()?;
            if (ours.uid(), ours.gid()) != (uid, gid) {
                // Refused without privilege, and then the file stays the process's own.
                let _refused =
                    rustix::fs::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            }
            // The umask may have taken bits away that the old file had.
            rustix::fs::fchmod(&file, Mode::from_raw_mode(access.mode))?;
        }
        file.write_all(body)?;
        file.sync_all()
    }

    fn reserve(&self, path: &Path, size: u64) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE;
        let file = open(path, flags, Access::PRIVATE.mode)?;
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, size)?;
        Ok(())
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let found = rustix::fs::statvfs(path)?;
        Ok(Space {
            total: found.f_blocks.saturating_mul(found.f_frsize),
            available: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }

    fn remote_kind(&self, path: &Path) -> io::Result<Option<&'static str>> {
        let found = rustix::fs::statfs(path)?.f_type;
        // The field is signed on some systems: only its low 32 bits name the kind.
        let number = u64::from_ne_bytes(found.to_ne_bytes()) & 0xffff_ffff;
        let known = REMOTE.iter().find(|(magic, _)| *magic == number);
        Ok(known.map(|(_, name)| *name))
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Option<Box<dyn Hold>>> {
        let folder = open_folder(path)?;
        match folder.try_lock() {
            Ok(()) => Ok(Some(Box::new(DirLock(folder)))),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }
}
