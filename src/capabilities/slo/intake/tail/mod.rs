//! A log that is followed by its name while it is written, renamed, copied and cut.
//!
//! - Renamed: the old file is read on for a minute after it last grew, beside the new one; programs
//!   go on writing to it until they are told.
//! - Copied and cut: when the bytes before our place are not what they were, the copy is looked for
//!   by those bytes, read from our place on, and the log itself from its beginning.
//! - Rotated more than once while nobody looked: files with a rotated name that were written after
//!   the one we know are read whole.
//! - Times of files are as coarse as the file system's clock: one that was changed at the instant
//!   that we know of may be unread, so a file is let go only when the next one is later than it.
//! - A copy that is being made while we look is told by its first lines from a file that was set
//!   aside: it is not read as long as the log itself holds what it holds.
//! - Compressed, or deleted, before it was read: lost, and said so.
//!
//! At first sight reading begins at the end, or at the start where the configuration says so; a log
//! that was not there at first sight is read from its beginning when it comes. A line is handed
//! over when its end is there. A read is bounded, so that a log of any size costs the same memory.
//! Never writes, and never follows a link: the name must be that of the file itself.

mod mark;
mod reader;
mod rotation;
mod siblings;

use std::fmt::Debug;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use mark::{Mark, Position};
pub use reader::MAX_LINE;

use mark::mtime;
use reader::{CHUNK, Go, Kin, Reader};

use crate::seams::files::{Files, is_link};

/// How long a file without the log's name is read on after it last grew: logrotate tells the
/// program within seconds, and the program obeys when it is idle (our own choice).
const QUIET: Duration = Duration::from_mins(1);

/// Files of one log that are open at once, at most.
const MAX_OPEN: usize = 16;

/// Whether compressed files that were not read are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packed {
    Tell,
    Told,
}

/// Where reading begins at first sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Begin {
    /// What is there already does not count.
    #[default]
    End,
    /// What is there already counts.
    Start,
}

/// How the log is to be got at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// It is read.
    #[default]
    Reading,
    /// There is no file of this name; it will be read when there is.
    Absent,
    /// It cannot be read, and why.
    Refused(String),
}

/// What one turn brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    /// Bytes that are behind us now.
    pub bytes: u64,
    /// Whether there is more to read at once.
    pub more: bool,
}

/// A log that is followed.
#[derive(Debug)]
pub struct Tail {
    files: Arc<dyn Files>,
    path: PathBuf,
    begin: Begin,
    /// Where an earlier process got to; taken at the first turn.
    known: Option<Position>,
    /// Whether the log has been looked for.
    met: bool,
    /// The oldest first.
    open: Vec<Reader>,
    /// Whether the last of `open` has the log's name.
    named: bool,
    buffer: Vec<u8>,
    state: State,
    long: u64,
    /// Parts of the log that were gone before they were read.
    lost: u64,
    lost_last: Option<String>,
}

impl Tail {
    /// Follows `path` from `known` on, if an earlier process got there.
    pub fn new(files: Arc<dyn Files>, path: &Path, begin: Begin, known: Option<Position>) -> Self {
        Self {
            files,
            path: path.to_owned(),
            begin,
            known,
            met: false,
            open: Vec::new(),
            named: false,
            buffer: Vec::new(),
            state: State::default(),
            long: 0,
            lost: 0,
            lost_last: None,
        }
    }

    /// How far it has been read, by an earlier process if this one has not looked yet; `None` where
    /// nobody has.
    pub fn position(&self) -> Option<Position> {
        if !self.met {
            return self.known.clone();
        }
        let files = self.open.iter().map(Reader::mark).collect();
        Some(Position { files })
    }

    /// How the log is to be got at.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Lines that were passed over because they were too long.
    pub fn long(&self) -> u64 {
        self.long + self.open.iter().map(|reader| reader.long).sum::<u64>()
    }

    /// How many times a part of the log was gone before it was read, and what was said the last
    /// time.
    pub fn lost(&self) -> (u64, Option<&str>) {
        (self.lost, self.lost_last.as_deref())
    }

    /// Bytes that are there and not yet read.
    pub fn behind(&self) -> u64 {
        let one = |reader: &Reader| {
            let size = reader.stat().map_or(0, |stat| stat.size);
            size.saturating_sub(reader.mark().offset)
        };
        self.open.iter().map(one).sum()
    }

    /// Hands whole lines to `each`, of about `budget` bytes at most. `now` is on the monotonic
    /// clock. Blocks on the file system.
    pub fn turn(
        &mut self,
        now: Duration,
        budget: u64,
        each: &mut impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Turn {
        match self.follow(now) {
            Ok(state) => self.state = state,
            Err(error) => {
                self.state = self.refused(&error);
                if !self.met {
                    return Turn::default();
                }
            }
        }
        match self.read(now, budget, each) {
            Ok(turn) => turn,
            Err(error) => {
                self.state = self.refused(&error);
                Turn::default()
            }
        }
    }

    /// Finds out which files are to be read now.
    fn follow(&mut self, now: Duration) -> io::Result<State> {
        if !self.met {
            if let Some(known) = self.known.clone() {
                self.restore(&known, now)?;
            } else {
                self.meet(now)?;
            }
            self.met = true;
        }
        let stat = match self.files.stat(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.named = false;
                return Ok(State::Absent);
            }
            outcome => outcome?,
        };
        if !stat.plain {
            return Err(not_plain());
        }
        if let Some(at) = self.open.iter().position(|open| open.mark().is_in(&stat)) {
            let last = self.open.len() - 1;
            self.open.swap(at, last);
            self.named = true;
            return Ok(State::Reading);
        }
        let file = self.files.open_read(&self.path)?;
        let since = match self.open.last() {
            // A place that was kept before it was more than a beginning.
            Some(last) if last.mtime_ns() == 0 => Some(mtime(&last.stat()?)),
            last => last.map(Reader::mtime_ns),
        };
        let new = Reader::from_start(file, since, now)?;
        if let Some(since) = since {
            let mark = new.mark();
            self.gather(since, Some(&mark), self.open.len(), now, Packed::Tell)?;
        }
        self.open.push(new);
        self.named = true;
        Ok(State::Reading)
    }

    /// First sight.
    fn meet(&mut self, now: Duration) -> io::Result<()> {
        let file = match self.files.open_read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            outcome => outcome?,
        };
        self.open.push(match self.begin {
            Begin::End => Reader::from_end(file, now)?,
            Begin::Start => Reader::from_start(file, None, now)?,
        });
        Ok(())
    }

    /// Reads all open files, the oldest first. A piece of the log itself comes before them: what
    /// has been read of it is what it is known by when it is cut.
    fn read(
        &mut self,
        now: Duration,
        budget: u64,
        each: &mut impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<Turn> {
        self.buffer.resize(CHUNK, 0);
        let mut turn = Turn::default();
        self.emptied(now)?;
        let mut at = self.open.len().saturating_sub(1);
        let mut piece = at > 0;
        while at < self.open.len() {
            if turn.bytes >= budget {
                turn.more = true;
                return Ok(turn);
            }
            let mut done = piece;
            match self.doubt(at)? {
                Kin::Other => {}
                Kin::Copy => {
                    self.open.remove(at);
                    continue;
                }
                Kin::Unclear => {
                    at += 1;
                    continue;
                }
                Kin::Later => {
                    self.mend(self.open.len() - 1, now)?;
                    (at, piece) = (self.open.len() - 1, true);
                    continue;
                }
            }
            let (begun, since) = (self.open[at].is_begun(), self.open[at].mtime_ns());
            match self.open[at].go(&mut self.buffer, each) {
                Ok(go @ (Go::Enough(bytes) | Go::On(bytes))) => {
                    turn.bytes += bytes as u64;
                    self.open[at].moved = now;
                    let fresh = !begun && at + 1 == self.open.len() && self.copied(since, now)?;
                    if matches!(go, Go::Enough(_)) {
                        turn.more = true;
                        return Ok(turn);
                    }
                    piece |= fresh;
                    done |= self.open[at].at_end;
                }
                Ok(Go::AtEnd) => done = true,
                Ok(Go::Cut) => {
                    piece = at + 1 == self.open.len();
                    self.mend(at, now)?;
                    at = if piece { self.open.len() - 1 } else { at };
                    continue;
                }
                // The others are read all the same.
                Err(error) => {
                    self.state = self.refused(&error);
                    done = true;
                }
            }
            if std::mem::take(&mut piece) {
                at = 0;
            } else {
                at += usize::from(done);
            }
        }
        self.let_go(now, each)?;
        Ok(turn)
    }

    /// Closes files that lost the name and have long not grown.
    fn let_go(
        &mut self,
        now: Duration,
        each: &mut impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let mut at = 0;
        let mut written = i64::MAX;
        if let Some(last) = self.open.last() {
            if self.named {
                written = last.mtime_ns();
            }
            // Nobody writes to the new file yet, or there is none: the old one is still in use.
            if (self.named && !last.is_begun()) || (!self.named && last.stat()?.nlink > 0) {
                return Ok(());
            }
        }
        while at + usize::from(self.named) < self.open.len() {
            let crowded = self.open.len() > MAX_OPEN;
            let reader = &self.open[at];
            // Whatever is found with the log's last change or a later one was never read.
            let quiet = now.saturating_sub(reader.moved) >= QUIET && reader.mtime_ns() < written;
            if !reader.at_end || !(crowded || quiet) {
                at += 1;
                continue;
            }
            // A last line without an end: nobody will finish it.
            let rest = reader.rest(&mut self.buffer)?;
            if let Some(line) = self.buffer.get(..rest).filter(|line| !line.is_empty()) {
                let _last_anyway = each(line);
            }
            self.long += self.open.remove(at).long;
        }
        Ok(())
    }

    fn refused(&self, error: &io::Error) -> State {
        let name = self.path.display();
        State::Refused(match error.kind() {
            io::ErrorKind::PermissionDenied => format!(
                "cannot read `{name}`: permission denied; hint: add the user that echopilot runs \
                 as to the group that may read it (often `adm`)"
            ),
            _ if is_link(error) || !self.is_plain() => format!(
                "cannot read `{name}`: it is no plain file; hint: name the file itself, not a link"
            ),
            _ => format!("cannot read `{name}`: {error}"),
        })
    }

    fn is_plain(&self) -> bool {
        self.files.stat(&self.path).is_ok_and(|stat| stat.plain)
    }
}

fn not_plain() -> io::Error {
    io::Error::other("not a plain file")
}
