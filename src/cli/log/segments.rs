//! The files of one journal, oldest first, and reading on in the active one.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::base::names;
use crate::cli::failure::Failure;
use crate::seams::files::{Files, ReadFile};
use crate::storage::engine::Seek;
use crate::storage::files::{locate, text_of};
use crate::storage::line;

/// Bytes per read.
const READ_BYTES: usize = 256 * 1024;

/// What is done with each whole line, end of line included.
pub(super) type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), Failure>;

/// One file of a journal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    /// First and last `seq` that count; the active one has no end.
    first: u64,
    last: u64,
    file: String,
}

impl Segment {
    /// Whether it is the one that is written to.
    pub(super) fn is_active(&self) -> bool {
        self.last == u64::MAX
    }
}

/// A journal's files below a folder.
#[derive(Debug)]
pub(super) struct Journal<'a> {
    files: &'a dyn Files,
    logs: &'a Path,
    name: &'a str,
    sealed: Vec<Segment>,
    active: Option<Active>,
    /// `seq` of the newest own line that was read.
    newest: u64,
}

/// The active file and how far it was read.
#[derive(Debug)]
struct Active {
    file: Box<dyn ReadFile>,
    inode: u64,
    /// Bytes read as whole lines.
    offset: u64,
}

/// The journal and the segment that a file name stands for.
fn parse(file: &str) -> Option<(&str, Segment)> {
    let (name, rest) = file.split_once('.')?;
    if !names::is_name(name) {
        return None;
    }
    let file = file.to_owned();
    if rest == "ndjson" {
        let (first, last) = (u64::MAX, u64::MAX);
        return Some((name, Segment { first, last, file }));
    }
    let (range, kind) = rest.split_once('.')?;
    let suspect = kind.starts_with("suspect") && kind.strip_suffix(".ndjson").is_some();
    if !suspect && kind != "ndjson" && kind != "ndjson.zst" {
        return None;
    }
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    Some((name, Segment { first, last, file }))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(format!("cannot read `{}`: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            failure.hint("run it as the daemon's user, or join its group")
        }
        _ => failure,
    }
}

/// Names of all journals below `logs`.
pub(super) fn journals(files: &dyn Files, logs: &Path) -> Result<BTreeSet<String>, Failure> {
    let found = files.list(logs).map_err(|error| unreadable(logs, &error))?;
    Ok(found
        .iter()
        .filter_map(|file| parse(file))
        .map(|(name, _)| name.to_owned())
        .collect())
}

impl<'a> Journal<'a> {
    /// Lists the files of `name`.
    pub(super) fn open(
        files: &'a dyn Files,
        logs: &'a Path,
        name: &'a str,
    ) -> Result<Self, Failure> {
        let mut journal = Self {
            files,
            logs,
            name,
            sealed: Vec::new(),
            active: None,
            newest: 0,
        };
        journal.list()?;
        Ok(journal)
    }

    /// Opens the active file first and lists the sealed ones after it: what a rotation in between
    /// seals is then read twice, which `newest` notices, and never missed.
    fn list(&mut self) -> Result<(), Failure> {
        self.active = None;
        let path = self.path(&format!("{}.ndjson", self.name));
        match self.files.open_read(&path) {
            Ok(file) => {
                let inode = file
                    .stat()
                    .map_err(|error| unreadable(&path, &error))?
                    .inode;
                self.active = Some(Active {
                    file,
                    inode,
                    offset: 0,
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&path, &error)),
        }
        let found = self
            .files
            .list(self.logs)
            .map_err(|error| unreadable(self.logs, &error))?;
        let segments = found.iter().filter_map(|file| parse(file));
        self.sealed = segments
            .filter(|(name, segment)| *name == self.name && !segment.is_active())
            .map(|(_, segment)| segment)
            .collect();
        self.sealed.sort();
        // A plain and a compressed form of the same lines: one is enough.
        self.sealed
            .dedup_by(|b, a| (a.first, a.last) == (b.first, b.last));
        Ok(())
    }

    fn path(&self, file: &str) -> PathBuf {
        self.logs.join(file)
    }

    /// All segments, the active one first.
    pub(super) fn newest_first(&self) -> Vec<Segment> {
        let active = Segment {
            first: u64::MAX,
            last: u64::MAX,
            file: format!("{}.ndjson", self.name),
        };
        let active = self.active.is_some().then_some(active);
        active
            .into_iter()
            .chain(self.sealed.iter().rev().cloned())
            .collect()
    }

    /// Number of the first sealed segment that may hold a line of `since` or later.
    pub(super) fn first_since(&self, since: DateTime<Utc>) -> Result<usize, Failure> {
        let sought = locate(self.files, self.logs, self.name, &Seek::Since(since));
        let mark = sought.map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let failure = Failure::new(format!("{error}: {}", cause.unwrap_or_default()));
            failure.hint("run it as the daemon's user, or join its group")
        })?;
        let holds = |segment: &Segment| segment.last >= mark.segment;
        Ok(self
            .sealed
            .iter()
            .position(holds)
            .unwrap_or(self.sealed.len()))
    }

    /// All lines of the sealed segments from number `from` on, then of the active one.
    pub(super) fn lines_from(&mut self, from: usize, sink: Sink<'_>) -> Result<(), Failure> {
        for segment in self.sealed.clone().into_iter().skip(from) {
            self.lines_of(&segment, sink)?;
        }
        self.read_on(sink)
    }

    /// All lines of one segment.
    pub(super) fn lines_of(&mut self, segment: &Segment, sink: Sink<'_>) -> Result<(), Failure> {
        if segment.is_active() {
            return self.read_on(sink);
        }
        let mut newest = self.newest;
        self.read_sealed(segment, &mut |line| {
            if let Some(own) = own(line) {
                newest = newest.max(own);
            }
            sink(line)
        })?;
        self.newest = newest;
        Ok(())
    }

    fn read_sealed(&self, segment: &Segment, sink: Sink<'_>) -> Result<(), Failure> {
        let path = self.path(&segment.file);
        let failed = |error: io::Error| unreadable(&path, &error);
        let (mut file, packed) = match self.files.open_read(&path) {
            Ok(file) => (file, segment.file.strip_suffix(".zst").is_some()),
            // It may have been compressed since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let packed = self.path(&format!("{}.zst", segment.file));
                (
                    self.files.open_read(&packed).map_err(|_| failed(error))?,
                    true,
                )
            }
            Err(error) => return Err(failed(error)),
        };
        // Lines after `last` in a suspect segment stand again in the next one.
        let mut counted = |line: &[u8]| match own(line) {
            Some(seq) if seq > segment.last => Ok(()),
            _ => sink(line),
        };
        let read = if packed {
            text_of(file).map(|unpacked| whole_lines(unpacked, &mut counted))
        } else {
            Ok(whole_lines(Reader(&mut *file), &mut counted))
        };
        match read {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(Stop::Sink(failure))) => Err(failure),
            Ok(Err(Stop::Read(error))) | Err(error) => Err(failed(error)),
        }
    }

    /// What was added to the active file since it was last read, up to the last whole line.
    pub(super) fn read_on(&mut self, sink: Sink<'_>) -> Result<(), Failure> {
        let path = self.path(&format!("{}.ndjson", self.name));
        let newest = &mut self.newest;
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        let offset = active.offset;
        active
            .file
            .seek(offset)
            .map_err(|error| unreadable(&path, &error))?;
        let outcome = whole_lines(Reader(&mut *active.file), &mut |line| {
            if let Some(seq) = own(line) {
                *newest = seq.max(*newest);
            }
            sink(line)
        });
        match outcome {
            Ok(read) => {
                active.offset += read;
                Ok(())
            }
            Err(Stop::Sink(failure)) => Err(failure),
            Err(Stop::Read(error)) => Err(unreadable(&path, &error)),
        }
    }

    /// Takes note of what happened to the active file's name since: after a rotation, the lines of
    /// segments sealed meanwhile and of the new file that were not read yet.
    pub(super) fn catch_up(&mut self, sink: Sink<'_>) -> Result<Change, Failure> {
        let path = self.path(&format!("{}.ndjson", self.name));
        let named = match self.files.stat(&path) {
            Ok(stat) => stat,
            // Between the two halves of a rotation, or gone: it will come back or it will not.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Change::None),
            Err(error) => return Err(unreadable(&path, &error)),
        };
        match &mut self.active {
            Some(active) if active.inode == named.inode => {
                if named.size >= active.offset {
                    return Ok(Change::None);
                }
                active.offset = 0;
                return Ok(Change::Cut);
            }
            _ => {}
        }
        // The rest of the old file first: it was written before the name changed hands.
        self.read_on(sink)?;
        let seen = self.newest;
        self.list()?;
        for segment in self.sealed.clone() {
            if segment.last > seen {
                self.lines_of(&segment, &mut |line| match own(line) {
                    Some(seq) if seq > seen => sink(line),
                    _ => Ok(()),
                })?;
            }
        }
        Ok(Change::Rotated)
    }
}

/// What happened to the name of the active file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// It stands for another file.
    Rotated,
    /// The file became shorter under our hands.
    Cut,
}

/// `seq` of an own line.
fn own(line: &[u8]) -> Option<u64> {
    line::parse(line.strip_suffix(b"\n").unwrap_or(line)).map(|own| own.seq)
}

/// An open file as a source of bytes.
struct Reader<'a>(&'a mut dyn ReadFile);

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// Why reading ended early.
enum Stop {
    Read(io::Error),
    Sink(Failure),
}

/// Hands each whole line to `sink`; gives the bytes they had. What follows the last end of line is
/// a line being written, or a torn one: not read (rule L17 of the reliability notes).
fn whole_lines(
    mut source: impl Read,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<u64, Stop> {
    let mut buffer = vec![0; READ_BYTES];
    let (mut filled, mut total) = (0, 0);
    loop {
        if filled == buffer.len() {
            buffer.resize(buffer.len() * 2, 0);
        }
        let read = match source.read(buffer.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => return Ok(total),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Stop::Read(error)),
        };
        let seen = filled;
        filled += read;
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', buffer.get(seen..filled).unwrap_or_default()) {
            let end = seen + end + 1;
            sink(buffer.get(start..end).unwrap_or_default()).map_err(Stop::Sink)?;
            start = end;
        }
        total += start as u64;
        buffer.copy_within(start..filled, 0);
        filled -= start;
    }
}
