//! One open file of a log: hands over its whole lines, and knows when what it has read before is
//! not what stands there now.

use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use super::mark::{ENOUGH, Mark, PRINT, mtime, print};
use crate::seams::files::{ReadFile, Stat};

/// Bytes of a line at most; nginx and Caddy cut requests well below it. Longer ones are passed over
/// and counted.
pub const MAX_LINE: usize = 64 * 1024;

/// Bytes that are read in one go: several of the longest lines, few enough for every source to have
/// a buffer of its own.
pub(super) const CHUNK: usize = 4 * MAX_LINE;

/// What one go brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Go {
    /// So many bytes are behind us; there may be more.
    On(usize),
    /// The taker of lines has had enough for now.
    Enough(usize),
    /// There is no further whole line for now.
    AtEnd,
    /// What was read is gone: the file was cut, and perhaps filled anew.
    Cut,
}

/// What one file is to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kin {
    /// It holds other lines.
    Other,
    /// It is a copy, perhaps one that is still being made.
    Copy,
    /// Too little of it is there to tell.
    Unclear,
    /// It cannot be told before the log itself, which was cut, is begun anew.
    Later,
}

/// One open file.
#[derive(Debug)]
pub(super) struct Reader {
    file: Box<dyn ReadFile>,
    mark: Mark,
    /// The first bytes of the file, as they were read.
    first: Vec<u8>,
    /// The last bytes before the mark, as they were read.
    recent: Vec<u8>,
    /// When it last gave something, on the monotonic clock.
    pub(super) moved: Duration,
    /// Whether its end was reached the last time.
    pub(super) at_end: bool,
    /// Whether it may be a copy of another open file and is not read until that is clear.
    pub(super) doubtful: bool,
    /// Last change of the file when it was not begun and copies of it were looked for.
    pub(super) looked: Option<i64>,
    /// Lines that were too long.
    pub(super) long: u64,
}

impl Reader {
    /// Reads `file` from its beginning. What else was set aside since `since` belongs before it;
    /// where that is not known, what is set aside from now on.
    pub(super) fn from_start(
        file: Box<dyn ReadFile>,
        since: Option<i64>,
        now: Duration,
    ) -> io::Result<Self> {
        let stat = file.stat()?;
        let mut mark = Mark::start(&stat);
        mark.mtime_ns = since.unwrap_or_else(|| mtime(&stat));
        Ok(Self::at(file, mark, Vec::new(), Vec::new(), now))
    }

    /// Reads on from the end of `file`, from the next whole line.
    pub(super) fn from_end(file: Box<dyn ReadFile>, now: Duration) -> io::Result<Self> {
        let stat = file.stat()?;
        let mut mark = Mark::start(&stat);
        mark.offset = stat.size;
        mark.mtime_ns = mtime(&stat);
        let first = head(&*file, stat.size)?;
        let recent = before(&*file, stat.size, PRINT)?;
        mark.skipping = recent.last().is_some_and(|last| *last != b'\n');
        Ok(Self::at(file, mark, first, recent, now))
    }

    /// Reads on from `mark`; `None` if the file is another one, or was cut.
    pub(super) fn resume(
        file: Box<dyn ReadFile>,
        mark: &Mark,
        now: Duration,
    ) -> io::Result<Option<Self>> {
        let stat = file.stat()?;
        if stat.size < mark.offset {
            return Ok(None);
        }
        // Before the fingerprint is compared, so that both are of the same file.
        let first = head(&*file, mark.offset)?;
        let recent = before(&*file, mark.offset, usize::from(mark.print_bytes))?;
        if recent.len() != usize::from(mark.print_bytes) || print(&recent) != mark.print {
            return Ok(None);
        }
        let mark = Mark {
            dev: stat.dev,
            inode: stat.inode,
            ..*mark
        };
        Ok(Some(Self::at(file, mark, first, recent, now)))
    }

    fn at(
        file: Box<dyn ReadFile>,
        mark: Mark,
        first: Vec<u8>,
        recent: Vec<u8>,
        now: Duration,
    ) -> Self {
        Self {
            file,
            mark,
            first,
            recent,
            moved: now,
            at_end: false,
            doubtful: false,
            looked: None,
            long: 0,
        }
    }

    /// Whether something of it is behind us.
    pub(super) fn is_begun(&self) -> bool {
        self.mark.offset > 0
    }

    /// Last change of the file when it was read. Of one that is not begun: what was set aside
    /// before is known.
    pub(super) fn mtime_ns(&self) -> i64 {
        self.mark.mtime_ns
    }

    /// What this file, not begun, is to `other`, of which something was read.
    pub(super) fn kin_to(&self, other: &Self) -> io::Result<Kin> {
        let size = self.file.stat()?.size;
        let head = head(&*self.file, size.min(other.first.len() as u64))?;
        if !other.first.starts_with(&head) {
            return Ok(Kin::Other);
        }
        if head.len() < ENOUGH {
            return Ok(Kin::Unclear);
        }
        if size < other.mark.offset {
            return Ok(Kin::Copy);
        }
        let found = before(&*self.file, other.mark.offset, other.recent.len())?;
        Ok(if found == other.recent {
            Kin::Copy
        } else {
            Kin::Other
        })
    }

    /// How far it has been read.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            print_bytes: u16::try_from(self.recent.len()).unwrap_or(0),
            print: print(&self.recent),
            ..self.mark
        }
    }

    /// State of the open file.
    pub(super) fn stat(&self) -> io::Result<Stat> {
        self.file.stat()
    }

    /// Hands whole lines to `each`, as many as `buffer` holds.
    pub(super) fn go(
        &mut self,
        buffer: &mut [u8],
        each: &mut impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<Go> {
        // Before the reading: what comes later is of a later time than the mark tells.
        let stat = self.file.stat()?;
        if stat.size < self.mark.offset {
            return Ok(Go::Cut);
        }
        let read = read_at(&*self.file, buffer, self.mark.offset)?;
        // After the reading: had the file been cut in between, these bytes would be gone too.
        if !self.unchanged()? {
            return Ok(Go::Cut);
        }
        let data = buffer.get(..read).unwrap_or_default();
        let (used, flow) = self.lines(data, each);
        self.advance(data.get(..used).unwrap_or_default());
        if self.is_begun() {
            self.mark.mtime_ns = self.mark.mtime_ns.max(mtime(&stat));
        }
        Ok(match flow {
            ControlFlow::Break(()) => Go::Enough(used),
            ControlFlow::Continue(()) => {
                self.at_end = used == 0 || read < buffer.len();
                if used == 0 { Go::AtEnd } else { Go::On(used) }
            }
        })
    }

    /// Reads the same file from its beginning; `since` as for [`Self::from_start`].
    pub(super) fn begin_anew(&mut self, since: i64, now: Duration) {
        let Mark { dev, inode, .. } = self.mark;
        let fresh = Stat {
            inode,
            dev,
            ..Stat::default()
        };
        self.mark = Mark::start(&fresh);
        self.mark.mtime_ns = since;
        self.first.clear();
        self.recent.clear();
        self.at_end = false;
        self.moved = now;
    }

    /// The unfinished line at the end of a file that nobody writes to any more.
    pub(super) fn rest(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.mark.skipping || self.doubtful {
            return Ok(0);
        }
        read_at(&*self.file, buffer, self.mark.offset)
    }

    /// Whether what was read of it is not there any more.
    pub(super) fn is_cut(&self) -> io::Result<bool> {
        Ok(self.file.stat()?.size < self.mark.offset || !self.unchanged()?)
    }

    /// Whether the bytes before the mark are still those that were read.
    fn unchanged(&self) -> io::Result<bool> {
        let now = before(&*self.file, self.mark.offset, self.recent.len())?;
        Ok(now == self.recent)
    }

    /// Hands over the whole lines in `data`; how many bytes they take.
    fn lines(
        &mut self,
        data: &[u8],
        each: &mut impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> (usize, ControlFlow<()>) {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', data) {
            let line = data.get(start..end).unwrap_or_default();
            start = end + 1;
            if std::mem::take(&mut self.mark.skipping) {
                continue;
            }
            if line.len() > MAX_LINE {
                self.long += 1;
            } else if each(line).is_break() {
                return (start, ControlFlow::Break(()));
            }
        }
        let rest = data.len() - start;
        if rest > MAX_LINE || (self.mark.skipping && rest > 0) {
            self.long += u64::from(!self.mark.skipping);
            self.mark.skipping = true;
            start = data.len();
        }
        (start, ControlFlow::Continue(()))
    }

    /// Moves the mark over `used`.
    fn advance(&mut self, used: &[u8]) {
        if self.first.len() as u64 == self.mark.offset {
            let room = PRINT - self.first.len();
            let start = used.get(..room.min(used.len())).unwrap_or_default();
            self.first.extend_from_slice(start);
        }
        self.mark.offset += used.len() as u64;
        let kept = used.get(used.len().saturating_sub(PRINT)..);
        let kept = kept.unwrap_or_default();
        let surplus = (self.recent.len() + kept.len()).saturating_sub(PRINT);
        self.recent.drain(..surplus.min(self.recent.len()));
        self.recent.extend_from_slice(kept);
    }
}

/// The first bytes of a file, of `size` bytes at most.
fn head(file: &dyn ReadFile, size: u64) -> io::Result<Vec<u8>> {
    let end = size.min(PRINT as u64);
    before(file, end, PRINT)
}

/// Up to `count` bytes that end at `offset`.
fn before(file: &dyn ReadFile, offset: u64, count: usize) -> io::Result<Vec<u8>> {
    let count = usize::try_from(offset).unwrap_or(usize::MAX).min(count);
    let mut bytes = vec![0; count];
    let read = read_at(file, &mut bytes, offset - count as u64)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Fills `buffer` as far as the file goes.
fn read_at(file: &dyn ReadFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read_at(room, offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
