//! Reading the files of a stream: big reads, whole lines, no copy but of the piece of a line that
//! straddles two reads.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;

use super::joined;
use super::names::{self, Sealed};
use super::packing;
use crate::seams::files::{Files, ReadFile, Stat};
use crate::storage::engine::{Chunk, Mark, StorageError};
use crate::storage::times::Times;
use crate::storage::{chain, line};

/// Bytes per read: large enough that system calls vanish beside the copying, small enough for the
/// second-level cache. Measured on the benchmark machine: 256 KiB to 4 MiB differ by less than 5 %.
const READ_BYTES: usize = 1 << 20;

/// A plain or compressed segment, open for reading.
pub(in crate::storage) type Source = Box<dyn Read + Send>;

struct Plain {
    file: Box<dyn ReadFile>,
    left: u64,
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let room = buffer.len().min(most);
        let read = self.file.read(buffer.get_mut(..room).unwrap_or_default())?;
        self.left -= read as u64;
        Ok(read)
    }
}

/// `file` from `offset` on, up to `limit` bytes from its start.
pub(in crate::storage) fn plain(
    mut file: Box<dyn ReadFile>,
    offset: u64,
    limit: u64,
) -> io::Result<Source> {
    file.seek(offset)?;
    let left = limit.saturating_sub(offset);
    Ok(Box::new(Plain { file, left }))
}

/// A sealed segment from `offset` on. It may have been compressed since it was listed.
pub(in crate::storage) fn open_sealed(
    files: &dyn Files,
    logs: &Path,
    segment: &Sealed,
    offset: u64,
) -> io::Result<Source> {
    let packed = if segment.packed {
        segment.file.clone()
    } else {
        match files.open_read(&logs.join(&segment.file)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                format!("{}.zst", segment.file)
            }
            opened => return plain(opened?, offset, u64::MAX),
        }
    };
    packing::open_text(files.open_read(&logs.join(packed))?, offset)
}

/// Hands stretches of whole lines to `sink`; gives back what follows the last end of line.
pub(in crate::storage) fn whole_lines(
    source: &mut dyn Read,
    sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; READ_BYTES];
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            // One line larger than the buffer.
            buffer.resize(buffer.len() * 2, 0);
        }
        let read = match source.read(buffer.get_mut(filled..).unwrap_or_default()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            outcome => outcome?,
        };
        if read == 0 {
            buffer.truncate(filled);
            return Ok(buffer);
        }
        let fresh = buffer.get(filled..filled + read).unwrap_or_default();
        let end = memchr::memrchr(b'\n', fresh).map(|at| filled + at + 1);
        filled += read;
        if let Some(end) = end {
            let (whole, _) = buffer.split_at(end);
            if sink(whole).is_break() {
                return Ok(Vec::new());
            }
            buffer.copy_within(end..filled, 0);
            filled -= end;
        }
    }
}

/// Each line of `whole`, its end of line included.
pub(in crate::storage) fn lines_of(whole: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', whole).map(move |end| {
        let line = whole.get(start..=end).unwrap_or_default();
        start = end + 1;
        line
    })
}

/// The last own line in `whole`: its `seq`, its chain value, and where it ends.
pub(in crate::storage) fn last_own(whole: &[u8]) -> Option<(u64, line::ChainValue, usize)> {
    let mut end = whole.len();
    while end > 0 {
        let before = whole.get(..end - 1)?;
        let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        if let Some(own) = line::parse(whole.get(start..end - 1)?) {
            return Some((own.seq, own.h, end));
        }
        end = start;
    }
    None
}

/// What a scan reads of the active segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::storage) struct Visible {
    /// First `seq` in it.
    pub(in crate::storage) first: u64,
    /// Bytes that are acknowledged.
    pub(in crate::storage) size: u64,
    /// Which file it is.
    pub(in crate::storage) inode: u64,
    /// The times of the lines in it, where the writer knows them.
    pub(in crate::storage) times: Option<Times>,
    /// Bytes that are on the medium.
    pub(in crate::storage) durable: u64,
}

/// A stream's files at one moment.
#[derive(Debug)]
pub(in crate::storage) struct Layout {
    pub(in crate::storage) sealed: Vec<Sealed>,
    pub(in crate::storage) active: Option<(Box<dyn ReadFile>, Stat)>,
}

/// How often listing is tried again when a rotation came in between.
const LAYOUT_TRIES: u32 = 8;

fn absent_is_none<T>(error: io::Error) -> io::Result<Option<T>> {
    match error.kind() {
        io::ErrorKind::NotFound => Ok(None),
        _ => Err(error),
    }
}

/// Lists the segments and opens the active one, so that no rotation falls in between.
pub(in crate::storage) fn layout(
    files: &dyn Files,
    logs: &Path,
    stream: &str,
) -> io::Result<Layout> {
    let path = names::active(logs, stream);
    for _ in 0..LAYOUT_TRIES {
        let active = match files.open_read(&path) {
            Ok(file) => {
                let stat = file.stat()?;
                Some((file, stat))
            }
            Err(error) => absent_is_none(error)?,
        };
        let sealed = names::segments_of(stream, &files.list(logs)?);
        let now = files.stat(&path).map(Some).or_else(absent_is_none)?;
        if now.map(|stat| stat.inode) == active.as_ref().map(|(_, stat)| stat.inode) {
            return Ok(Layout { sealed, active });
        }
    }
    Err(io::Error::other(
        "segments kept changing while they were listed",
    ))
}

/// Where a piece of a scan begins.
#[derive(Clone, Copy)]
struct Place {
    /// First `seq` of the segment.
    segment: u64,
    offset: u64,
    /// `seq` of the line before it.
    before: u64,
    is_sealed: bool,
    /// `seq` of the last line that counts.
    stop_after: Option<u64>,
}

/// A scan under way.
pub(super) struct Scan<'a> {
    pub(super) files: &'a dyn Files,
    pub(super) logs: &'a Path,
    pub(super) stream: &'a str,
    /// What is acknowledged, where this process writes the stream.
    pub(super) visible: &'a dyn Fn() -> Option<Visible>,
}

impl Scan<'_> {
    pub(super) fn run(
        &self,
        from: &Mark,
        sink: &mut dyn FnMut(Chunk<'_>) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        let (layout, limit) = self.settled().map_err(|error| self.unreadable(error))?;
        if layout.sealed.is_empty() && layout.active.is_none() {
            return Err(StorageError::NoStream {
                stream: self.stream.to_owned(),
            });
        }
        let mut begun = from.seq == 0;
        for segment in &layout.sealed {
            let mut offset = 0;
            if !begun {
                if segment.first == from.seq + 1 && segment.first != from.segment {
                    // The segment of the mark is gone, up to its last line.
                    begun =
                        self.continues(from, || open_sealed(self.files, self.logs, segment, 0))?;
                }
                if !begun && segment.first != from.segment {
                    continue;
                }
            }
            if !begun {
                if segment.last < from.seq {
                    return Err(self.bad_mark());
                }
                begun = true;
                offset = from.offset;
                self.check(from, |at| open_sealed(self.files, self.logs, segment, at))?;
            }
            let stop_after = segment.suspect.then_some(segment.last);
            let mut source = match open_sealed(self.files, self.logs, segment, offset) {
                // Removed since it was listed, by whoever removes what is old.
                Err(error) if offset == 0 && self.is_gone(segment, &error) => continue,
                opened => opened.map_err(|error| self.unreadable(error))?,
            };
            let place = Place {
                segment: segment.first,
                offset,
                before: if offset > 0 {
                    from.seq
                } else {
                    segment.first.saturating_sub(1)
                },
                is_sealed: true,
                stop_after,
            };
            if self.pour(&mut source, place, sink)? {
                return Ok(());
            }
        }
        let Some((file, stat)) = layout.active else {
            return if begun { Ok(()) } else { Err(self.bad_mark()) };
        };
        self.run_active(file, limit.unwrap_or(stat.size), begun, from, sink)
    }

    /// The files, and how much of the active one is acknowledged, if this process knows.
    pub(super) fn settled(&self) -> io::Result<(Layout, Option<u64>)> {
        for _ in 0..LAYOUT_TRIES {
            let layout = layout(self.files, self.logs, self.stream)?;
            let Some(seen) = (self.visible)() else {
                return Ok((layout, None));
            };
            match &layout.active {
                Some((_, stat)) if stat.inode == seen.inode => {
                    let limit = seen.size.min(stat.size);
                    return Ok((layout, Some(limit)));
                }
                // The next segment has begun, and nothing in it is acknowledged yet.
                Some((file, _)) if first_seq(&**file) > seen.first => {
                    return Ok((layout, Some(0)));
                }
                None => return Ok((layout, None)),
                // It was sealed since it was opened.
                Some(_) => std::thread::yield_now(),
            }
        }
        Ok((layout(self.files, self.logs, self.stream)?, Some(0)))
    }

    fn run_active(
        &self,
        file: Box<dyn ReadFile>,
        limit: u64,
        begun: bool,
        from: &Mark,
        sink: &mut dyn FnMut(Chunk<'_>) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        let first = first_seq(&*file);
        let mut offset = 0;
        let begun = begun
            || first == from.seq + 1
                && first != from.segment
                && self.continues(from, || {
                    let path = names::active(self.logs, self.stream);
                    plain(self.files.open_read(&path)?, 0, limit)
                })?;
        if !begun {
            if first != from.segment || from.offset > limit {
                return Err(self.bad_mark());
            }
            offset = from.offset;
            self.check(from, |at| {
                let again = self
                    .files
                    .open_read(&names::active(self.logs, self.stream))?;
                plain(again, at, limit)
            })?;
        }
        let mut source = plain(file, offset, limit).map_err(|error| self.unreadable(error))?;
        let place = Place {
            segment: first,
            offset,
            before: 0,
            is_sealed: false,
            stop_after: None,
        };
        self.pour(&mut source, place, sink)?;
        Ok(())
    }

    /// Whether what `open` gives begins with a line that names the mark's line as the one before.
    fn continues(
        &self,
        from: &Mark,
        open: impl FnOnce() -> io::Result<Source>,
    ) -> Result<bool, StorageError> {
        let mut past = None;
        let read = open().and_then(|mut source| {
            whole_lines(&mut source, &mut |whole| {
                let own = lines_of(whole).find_map(|line| line::parse(line.strip_suffix(b"\n")?));
                past = own.and_then(|own| chain::past_of(&own));
                ControlFlow::Break(())
            })
        });
        read.map_err(|error| self.unreadable(error))?;
        Ok(past == Some((from.seq, from.h)))
    }

    /// Whether a segment that could not be opened is not there any more under any name.
    fn is_gone(&self, segment: &Sealed, error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::NotFound
            && self.files.list(self.logs).is_ok_and(|listed| {
                let left = names::segments_of(self.stream, &listed);
                left.iter().all(|one| one.first > segment.last)
            })
    }

    /// Whether the mark's line ends where the mark says it does.
    fn check(
        &self,
        from: &Mark,
        open: impl FnOnce(u64) -> io::Result<Source>,
    ) -> Result<(), StorageError> {
        let mut wanted = Vec::with_capacity(32);
        wanted.extend_from_slice(b",\"h\":\"");
        wanted.extend_from_slice(&from.h);
        wanted.extend_from_slice(b"\"}\n");
        let at = from.offset.checked_sub(wanted.len() as u64);
        let mut found = vec![0; wanted.len()];
        let read = match at {
            None => return Err(self.bad_mark()),
            Some(at) => open(at).and_then(|mut source| source.read_exact(&mut found)),
        };
        match read {
            Ok(()) if found == wanted => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                Err(self.unreadable(error))
            }
            _ => Err(self.bad_mark()),
        }
    }

    /// Gives `true` when the sink has had enough.
    fn pour(
        &self,
        source: &mut dyn Read,
        place: Place,
        sink: &mut dyn FnMut(Chunk<'_>) -> ControlFlow<()>,
    ) -> Result<bool, StorageError> {
        let Place {
            segment,
            offset,
            before,
            is_sealed,
            stop_after,
        } = place;
        let (mut at, mut seq) = (offset, before);
        let mut enough = false;
        let mut hand_over = |bytes: &[u8], at: &mut u64| {
            let end = last_own(bytes).map(|(seq, h, end)| Mark {
                seq,
                h,
                segment,
                offset: *at + end as u64,
            });
            *at += bytes.len() as u64;
            enough = !bytes.is_empty() && sink(Chunk { bytes, end }).is_break();
            enough
        };
        let rest = whole_lines(source, &mut |whole| {
            let (bytes, over) = match stop_after {
                None => (whole, false),
                Some(last) => up_to(whole, last),
            };
            let last = last_own(bytes).map_or(seq, |(seq, ..)| seq);
            let numbers = last.checked_sub(std::mem::replace(&mut seq, last));
            let apart = (is_sealed && joined::is_suspicious(bytes, numbers))
                .then(|| joined::split(bytes))
                .flatten();
            if hand_over(apart.as_deref().unwrap_or(bytes), &mut at) || over {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        let rest = rest.map_err(|error| self.unreadable(error))?;
        // A sealed segment ends with an end of line, or with what a flipped bit has made of it.
        let ended = is_sealed.then(|| joined::ended(&rest)).flatten();
        if let Some(ended) = ended.filter(|_| stop_after.is_none()) {
            hand_over(&ended, &mut at);
        }
        Ok(enough)
    }

    pub(super) fn unreadable(&self, error: io::Error) -> StorageError {
        StorageError::Unreadable {
            stream: self.stream.to_owned(),
            source: error.into(),
        }
    }

    fn bad_mark(&self) -> StorageError {
        StorageError::BadMark {
            stream: self.stream.to_owned(),
        }
    }
}

/// The part of `whole` up to the own line `last`, and whether that line was in it.
pub(in crate::storage) fn up_to(whole: &[u8], last: u64) -> (&[u8], bool) {
    let mut end = 0;
    for line in lines_of(whole) {
        let own = line::parse(line.strip_suffix(b"\n").unwrap_or(line));
        match own {
            Some(own) if own.seq > last => {
                return (whole.get(..end).unwrap_or_default(), true);
            }
            Some(own) if own.seq == last => {
                end += line.len();
                return (whole.get(..end).unwrap_or_default(), true);
            }
            _ => end += line.len(),
        }
    }
    (whole, false)
}

/// `seq` of the first own line among the first bytes of a file; 1 where there is none.
pub(in crate::storage) fn first_seq(file: &dyn ReadFile) -> u64 {
    let mut head = vec![0; 1 << 16];
    let read = file.read_at(&mut head, 0).unwrap_or(0);
    head.truncate(read);
    lines_of(&head)
        .find_map(|line| line::parse(line.strip_suffix(b"\n")?))
        .map_or(1, |own| own.seq)
}
