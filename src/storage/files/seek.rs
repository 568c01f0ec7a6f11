//! Finding a line without reading all lines before it.
//!
//! By number, the names of the segments tell which one holds it. By time, three numbers of each
//! segment tell (see [`Times`]); they stand in the line that opens the segment after it, and are
//! made by reading it once where they do not. Inside the segment the search goes by halves. Time
//! may go back, by as much as it likes: a segment is left out only if none of its lines is of the
//! time asked for, and the three numbers say how far a place may be trusted.
//!
//! Only reads. Nothing here is kept on disk.

use std::collections::HashMap;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::names::Sealed;
use super::packing::Packed;
use super::reading::{self, Layout, Scan};
use crate::seams::files::{Files, ReadFile};
use crate::storage::engine::{Mark, StorageError};
use crate::storage::search::{Found, Text};
use crate::storage::segments::{Seek, SegmentInfo, Wanted};
use crate::storage::times::Times;

/// Segments whose times are kept in memory: a year of daily segments of ten journals, at about
/// 150 bytes each.
const KEPT_MAX: usize = 4_096;

/// How often a search begins again because a segment was given up meanwhile.
const TRIES: u32 = 4;

/// What is known of sealed segments, which never change: their times, by file name.
#[derive(Debug, Default)]
pub(super) struct Seeker {
    kept: Mutex<HashMap<String, Times>>,
}

/// One segment, sealed or active.
enum Part<'a> {
    Sealed(&'a Sealed),
    Active {
        file: &'a dyn ReadFile,
        size: u64,
        first: u64,
        times: Option<Times>,
    },
}

impl Part<'_> {
    fn first(&self) -> u64 {
        match self {
            Self::Sealed(sealed) => sealed.first,
            Self::Active { first, .. } => *first,
        }
    }

    fn last(&self) -> u64 {
        match self {
            Self::Sealed(sealed) => sealed.last,
            Self::Active { .. } => u64::MAX,
        }
    }
}

/// What [`crate::storage::engine::Engine::locate`] does, in a folder of journals that nobody in
/// this process writes.
pub fn locate(
    files: &dyn Files,
    logs: &Path,
    stream: &str,
    seek: &Seek,
) -> Result<Mark, StorageError> {
    let scan = Scan {
        files,
        logs,
        stream,
        visible: &|| None,
    };
    Seeker::default().locate(&scan, *seek)
}

/// The segments of a stream, in order; the active one last. `last` is the last acknowledged line.
pub(super) fn list(scan: &Scan<'_>, last: Option<u64>) -> io::Result<Vec<SegmentInfo>> {
    let (layout, limit) = scan.settled()?;
    let mut found = Vec::with_capacity(layout.sealed.len() + 1);
    let mut before = 0;
    for sealed in &layout.sealed {
        let path = scan.logs.join(&sealed.file);
        let (stat, packed) = match scan.files.stat(&path) {
            Ok(stat) => (stat, sealed.packed),
            // It may have been compressed since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let packed = scan.logs.join(format!("{}.zst", sealed.file));
                match scan.files.stat(&packed) {
                    Ok(stat) => (stat, true),
                    // Or given up.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
            }
            Err(error) => return Err(error),
        };
        before = before.max(sealed.last);
        let suffix = if packed && !sealed.packed { ".zst" } else { "" };
        found.push(SegmentInfo {
            file: format!("{}{suffix}", sealed.file),
            first: sealed.first,
            last: sealed.last,
            bytes: stat.size,
            sealed: true,
            suspect: sealed.suspect,
            packed,
        });
    }
    if let Some((file, stat)) = layout.active {
        let bytes = limit.unwrap_or(stat.size);
        let last = match last {
            Some(last) => last.max(before),
            None => last_seq(&*file, bytes)?.unwrap_or(before),
        };
        found.push(SegmentInfo {
            file: format!("{}.ndjson", scan.stream),
            first: reading::first_seq(&*file).max(before + 1),
            last,
            bytes,
            sealed: false,
            suspect: false,
            packed: false,
        });
    }
    Ok(found)
}

/// Bytes at the end of a file that are looked at first for its last line, and at its head for the
/// line that opens it.
const TAIL: u64 = 64 << 10;

/// `seq` of the last line of ours in a file that nobody in this process writes.
fn last_seq(file: &dyn ReadFile, size: u64) -> io::Result<Option<u64>> {
    let mut length = TAIL;
    loop {
        let from = size.saturating_sub(length);
        let mut tail = Vec::new();
        Stretch {
            file,
            offset: from,
            limit: size,
        }
        .read_to_end(&mut tail)?;
        let end = memchr::memrchr(b'\n', &tail).map_or(0, |at| at + 1);
        if let Some((seq, ..)) = reading::last_own(tail.get(..end).unwrap_or_default()) {
            return Ok(Some(seq));
        }
        if from == 0 {
            return Ok(None);
        }
        length = length.saturating_mul(8);
    }
}

/// A file from a place on, up to a bound, without a second handle.
struct Stretch<'a> {
    file: &'a dyn ReadFile,
    offset: u64,
    limit: u64,
}

impl Read for Stretch<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = read_within(self.file, self.limit, buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

fn read_within(file: &dyn ReadFile, limit: u64, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let room = usize::try_from(limit.saturating_sub(at)).unwrap_or(usize::MAX);
    let most = buffer.len().min(room);
    file.read_at(buffer.get_mut(..most).unwrap_or_default(), at)
}

/// One search in the files as they are now.
struct Search<'a> {
    scan: &'a Scan<'a>,
    seeker: &'a Seeker,
    parts: Vec<Part<'a>>,
}

impl Seeker {
    /// A mark in front of what `seek` asks for, as near as can be told; the end of the stream where
    /// there is nothing of that kind.
    pub(super) fn locate(&self, scan: &Scan<'_>, seek: Seek) -> Result<Mark, StorageError> {
        let wanted = seek.wanted();
        for _ in 1..TRIES {
            match self.search(scan, &wanted) {
                // A segment was given up since they were listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                found => return Self::told(scan, found),
            }
        }
        Self::told(scan, self.search(scan, &wanted))
    }

    fn told(scan: &Scan<'_>, found: io::Result<Option<Mark>>) -> Result<Mark, StorageError> {
        let found = found.map_err(|error| scan.unreadable(error))?;
        found.ok_or_else(|| StorageError::NoStream {
            stream: scan.stream.to_owned(),
        })
    }

    /// `None` where there are no files.
    fn search(&self, scan: &Scan<'_>, wanted: &Wanted) -> io::Result<Option<Mark>> {
        let (layout, limit) = scan.settled()?;
        if layout.sealed.is_empty() && layout.active.is_none() {
            return Ok(None);
        }
        let search = Search {
            scan,
            seeker: self,
            parts: parts(scan, &layout, limit),
        };
        search.run(wanted).map(Some)
    }

    fn known(&self, file: &str) -> Option<Times> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(file.strip_suffix(".zst").unwrap_or(file)).copied()
    }

    fn keep(&self, file: &str, times: Times) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        let plain = file.strip_suffix(".zst").unwrap_or(file);
        kept.insert(plain.to_owned(), times);
    }
}

fn parts<'a>(scan: &Scan<'_>, layout: &'a Layout, limit: Option<u64>) -> Vec<Part<'a>> {
    let mut parts: Vec<Part<'a>> = layout.sealed.iter().map(Part::Sealed).collect();
    if let Some((file, stat)) = &layout.active {
        let visible = (scan.visible)().filter(|seen| seen.inode == stat.inode);
        parts.push(Part::Active {
            file: &**file,
            size: limit.unwrap_or(stat.size),
            // As a scan that goes on from a mark in it takes it.
            first: reading::first_seq(&**file),
            times: visible.and_then(|seen| seen.times),
        });
    }
    parts
}

impl Search<'_> {
    fn run(&self, wanted: &Wanted) -> io::Result<Mark> {
        for (index, part) in self.parts.iter().enumerate() {
            if part.last() <= wanted.after {
                continue;
            }
            let back_ms = if wanted.is_timed() {
                let times = self.times(index)?;
                if !times.may_hold(wanted.since, wanted.until) {
                    continue;
                }
                times.back_ms
            } else {
                0
            };
            let found = self.within(part, wanted, back_ms)?;
            if found.here {
                return match found.before {
                    Some(mark) => Ok(mark),
                    None => self.end_before(index),
                };
            }
        }
        self.end_before(self.parts.len())
    }

    /// The end of the last line of ours in the parts before number `index`.
    fn end_before(&self, index: usize) -> io::Result<Mark> {
        let all = Wanted {
            after: u64::MAX,
            since: i64::MIN,
            until: i64::MAX,
        };
        for part in self.parts.iter().take(index).rev() {
            if let Some(mark) = self.within(part, &all, 0)?.before {
                return Ok(mark);
            }
        }
        Ok(Mark::default())
    }

    fn within(&self, part: &Part<'_>, wanted: &Wanted, back_ms: i64) -> io::Result<Found> {
        let (first, last) = (part.first(), part.last());
        let (files, logs) = (self.scan.files, self.scan.logs);
        match part {
            Part::Active { file, size, .. } => Text {
                size: Some(*size),
                read_at: &|buffer, at| read_within(*file, *size, buffer, at),
                open: &|at| {
                    let (file, limit) = (*file, *size);
                    Ok(Box::new(Stretch {
                        file,
                        offset: at,
                        limit,
                    }))
                },
                first,
                last,
                back_ms,
            }
            .search(wanted),
            Part::Sealed(sealed) => {
                let opened = open_plain(files, logs, sealed)?;
                // A compressed one that can be read at any place gives its size here, and reads
                // there; until then it is read from its beginning.
                let size = match &opened {
                    Some(file) => Some(file.stat()?.size),
                    None => None,
                };
                Text {
                    size,
                    read_at: &|buffer, at| match &opened {
                        Some(file) => file.read_at(buffer, at),
                        None => Err(io::ErrorKind::Unsupported.into()),
                    },
                    open: &|at| Ok(reading::open_sealed(files, logs, sealed, at)?),
                    first,
                    last,
                    back_ms,
                }
                .search(wanted)
            }
        }
    }

    /// The times of part number `index`.
    fn times(&self, index: usize) -> io::Result<Times> {
        match self.parts.get(index) {
            Some(Part::Sealed(sealed)) => {
                if let Some(times) = self.seeker.known(&sealed.file) {
                    return Ok(times);
                }
                let times = match self.told_times(index, sealed)? {
                    Some(times) => times,
                    None => self.read_times(sealed)?,
                };
                self.seeker.keep(&sealed.file, times);
                Ok(times)
            }
            Some(Part::Active {
                times: Some(times), ..
            }) => Ok(*times),
            Some(Part::Active { file, size, .. }) => {
                let (file, limit) = (*file, *size);
                gather(
                    &mut Stretch {
                        file,
                        offset: 0,
                        limit,
                    },
                    None,
                )
            }
            None => Ok(Times::NONE),
        }
    }

    /// As the segment after it tells them.
    fn told_times(&self, index: usize, sealed: &Sealed) -> io::Result<Option<Times>> {
        let mut head = Vec::new();
        match self.parts.get(index + 1) {
            Some(Part::Sealed(next)) => {
                let source = reading::open_sealed(self.scan.files, self.scan.logs, next, 0)?;
                source.take(TAIL).read_to_end(&mut head)?;
            }
            Some(Part::Active { file, size, .. }) => {
                let (file, limit) = (*file, TAIL.min(*size));
                let mut stretch = Stretch {
                    file,
                    offset: 0,
                    limit,
                };
                stretch.read_to_end(&mut head)?;
            }
            None => {}
        }
        let plain = sealed.file.strip_suffix(".zst").unwrap_or(&sealed.file);
        Ok(Times::told(&head, plain))
    }

    fn read_times(&self, sealed: &Sealed) -> io::Result<Times> {
        let mut source = reading::open_sealed(self.scan.files, self.scan.logs, sealed, 0)?;
        gather(&mut source, sealed.suspect.then_some(sealed.last))
    }
}

/// The times of all lines of ours in a text, those up to `last` where there is a bound.
fn gather(source: &mut dyn Read, last: Option<u64>) -> io::Result<Times> {
    let mut times = Times::NONE;
    reading::whole_lines(source, &mut |whole| {
        let (counts, over) = last.map_or((whole, false), |last| reading::up_to(whole, last));
        times.take_all(counts);
        if over {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    Ok(times)
}

/// The text of the file, where it can be read at any place: of a compressed one if its table says
/// where.
fn open_plain(
    files: &dyn Files,
    logs: &Path,
    sealed: &Sealed,
) -> io::Result<Option<Box<dyn ReadFile>>> {
    if sealed.packed {
        let packed = Packed::open(files.open_read(&logs.join(&sealed.file))?)?;
        return packed.map(Packed::into_text).transpose();
    }
    match files.open_read(&logs.join(&sealed.file)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
