//! The copy of one journal. Every byte is read against the chain of what is there before it is
//! written, so that a line that fits proves that the whole past is the same; a segment gets its
//! sealed name when it is complete.

use std::io::{self, Cursor, Read as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::source::{LogFile, Place, Source, SourceError};
use crate::seams::files::{Access, AppendFile, Files, Make};
use crate::storage::chain::Chain;
use crate::storage::files::names::{self, Sealed};
use crate::storage::files::reading::{self, lines_of};
use crate::storage::files::recover::{self, Found};
use crate::storage::files::segment::put_all;
use crate::storage::line;

/// Bytes that are asked for at once: enough that asking costs little, few enough to hold.
const PIECE_BYTES: usize = 4 << 20;
/// Bytes that a line may have at most, to be copied: far more than any that echopilot writes.
const LINE_MAX: usize = 256 << 20;
/// Bytes at the head of a segment in which its first line is looked for.
const HEAD_BYTES: u64 = 1 << 20;
/// How many files of one journal are set aside under names of their own.
const ASIDE_MAX: u32 = 1_000;

/// Why a journal could not be brought up to date.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The source's doing.
    Source(SourceError),
    /// Our own disk's.
    Own(io::Error),
    /// What is there and what the source has are not the same journal.
    Apart(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Own(error)
    }
}

impl From<SourceError> for Trouble {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

/// What a copy is made with.
pub(super) struct Means<'a> {
    pub(super) files: &'a dyn Files,
    pub(super) logs: &'a Path,
    /// Where a segment is kept until it is checked.
    pub(super) staging: &'a Path,
    pub(super) source: &'a mut dyn Source,
    /// Takes segments over as they are, damage included.
    pub(super) takes_damaged: bool,
    /// Also what was not yet there at the look before.
    pub(super) everything: bool,
}

#[derive(Debug)]
struct Growing {
    file: Box<dyn AppendFile>,
    first: Option<u64>,
    size: u64,
}

/// The copy of one journal.
#[derive(Debug)]
pub(super) struct Copy {
    stream: String,
    /// At the end of the sealed segments.
    base: Chain,
    /// At the end of everything.
    chain: Chain,
    active: Option<Growing>,
    /// Inode and size of the source's active segment at the look before.
    seen: Option<(u64, u64)>,
}

impl Copy {
    /// What is there, by its files; a torn tail is cut off.
    pub(super) fn open(files: &dyn Files, logs: &Path, stream: &str) -> io::Result<Self> {
        let base = recover::sealed_end(files, logs, stream)?;
        let mut copy = Self {
            stream: stream.to_owned(),
            chain: base.clone(),
            base,
            active: None,
            seen: None,
        };
        let path = names::active(logs, stream);
        let file = match files.open_read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(copy),
            opened => opened?,
        };
        let size = file.stat()?.size;
        let found = recover::walk(&mut reading::plain(file, 0, size)?, copy.chain.clone())?;
        if found.damage > 0 {
            // Left by a crash between two steps, or by a disk: the source has it right.
            set_aside(files, logs, &format!("{stream}.ndjson"))?;
            return Ok(copy);
        }
        let mut file = files.open_append(&path, Make::IfMissing)?;
        if found.size < size {
            file.set_len(found.size)?;
            file.sync_data()?;
        }
        copy.active = Some(Growing {
            file,
            first: found.first,
            size: found.size,
        });
        copy.chain = found.chain;
        Ok(copy)
    }

    /// `seq` of the last line.
    pub(super) fn seq(&self) -> u64 {
        self.chain.seq()
    }

    /// Fetches what is missing of `listed`, the source's files of this journal.
    pub(super) fn ship(
        &mut self,
        means: &mut Means<'_>,
        listed: &[LogFile],
    ) -> Result<(), Trouble> {
        let mut sealed: Vec<(Sealed, &LogFile)> = Vec::new();
        let mut active = None;
        for entry in listed {
            match names::parse(&entry.file) {
                Some((_, Some(segment))) if segment.last >= segment.first => {
                    sealed.push((segment, entry));
                }
                Some((_, None)) => active = Some(entry),
                _ => {}
            }
        }
        sealed.sort_by(|one, other| one.0.cmp(&other.0));
        for (segment, entry) in sealed {
            // A compressed form of what is there is the same segment.
            if segment.last > self.base.seq() {
                self.seal(means, &segment, entry)?;
            }
        }
        match active {
            Some(entry) => self.grow(means, entry),
            None => Ok(()),
        }
    }

    /// Completes the active segment and gives it its sealed name.
    fn seal(
        &mut self,
        means: &mut Means<'_>,
        segment: &Sealed,
        entry: &LogFile,
    ) -> Result<(), Trouble> {
        let first = self.active.as_ref().and_then(|active| active.first);
        if let Some(first) = first.filter(|first| *first != segment.first) {
            return Err(Trouble::Apart(format!(
                "the source has no lines after {} up to {}, here they begin at {first}",
                self.chain.seq(),
                segment.first - 1,
            )));
        }
        if !segment.packed && !segment.suspect {
            let pulled = self.pull(means, &entry.file, entry.inode, entry.size);
            let whole = self.chain.seq() == segment.last
                && self
                    .active
                    .as_ref()
                    .is_some_and(|one| one.size == entry.size);
            match pulled {
                Ok(()) if whole => return self.rename(means, &segment.file),
                // Looked at as a whole below: it may be damaged, or another one.
                Ok(()) | Err(Trouble::Apart(_)) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        self.fetch(means, segment, entry)
    }

    fn rename(&mut self, means: &Means<'_>, sealed: &str) -> Result<(), Trouble> {
        let from = names::active(means.logs, &self.stream);
        means.files.rename(&from, &means.logs.join(sealed))?;
        means.files.sync_dir(means.logs)?;
        self.active = None;
        self.base = self.chain.clone();
        Ok(())
    }

    /// Appends what is new in the source's active segment.
    fn grow(&mut self, means: &mut Means<'_>, entry: &LogFile) -> Result<(), Trouble> {
        let before = self.seen.replace((entry.inode, entry.size));
        let settled = match before {
            Some((inode, size)) if inode == entry.inode => size.min(entry.size),
            _ => 0,
        };
        let all = means.everything || !means.source.may_take_back();
        let limit = if all { entry.size } else { settled };
        let here = self.active.as_ref().map_or(0, |active| active.size);
        if entry.size < here {
            return Err(Trouble::Apart(format!(
                "`logs/{}` of the source has {} bytes, {here} of it were copied before",
                entry.file, entry.size,
            )));
        }
        self.pull(means, &entry.file, entry.inode, limit)
    }

    /// Appends whole lines of the file up to `limit`, each read against the chain first.
    fn pull(
        &mut self,
        means: &mut Means<'_>,
        file: &str,
        inode: u64,
        limit: u64,
    ) -> Result<(), Trouble> {
        let place = Place::Log(file.to_owned());
        let mut piece = PIECE_BYTES;
        let mut wrote = false;
        loop {
            let here = self.active.as_ref().map_or(0, |active| active.size);
            let left = usize::try_from(limit.saturating_sub(here)).unwrap_or(usize::MAX);
            if left == 0 {
                break;
            }
            let most = piece.min(left);
            let bytes = means.source.read(&place, Some(inode), here, most)?;
            if bytes.len() > most {
                return Err(odd(&place, "more bytes than were asked for"));
            }
            match memchr::memrchr(b'\n', &bytes) {
                Some(end) => {
                    self.take(means, bytes.get(..=end).unwrap_or_default())?;
                    wrote = true;
                }
                None if bytes.len() < most => return Err(odd(&place, "fewer bytes than it lists")),
                // Its end of line is not there yet.
                None if most == left => break,
                None if piece >= LINE_MAX => return Err(odd(&place, "a line without an end")),
                None => piece *= 2,
            }
        }
        if wrote && let Some(active) = &mut self.active {
            active.file.sync_data()?;
        }
        Ok(())
    }

    /// Appends whole lines that continue what is there.
    fn take(&mut self, means: &Means<'_>, bytes: &[u8]) -> Result<(), Trouble> {
        if let Some(why) = elsewhere(&self.chain, bytes, means.takes_damaged) {
            return Err(Trouble::Apart(why));
        }
        let found = read(bytes.to_vec(), self.chain.clone())?;
        if found.damage > 0 {
            return Err(Trouble::Apart(format!(
                "what the source has after line {} does not fit the chain",
                self.chain.seq(),
            )));
        }
        if self.active.is_none() {
            let path = names::active(means.logs, &self.stream);
            let file = means.files.open_append(&path, Make::New)?;
            means.files.sync_dir(means.logs)?;
            self.active = Some(Growing {
                file,
                first: None,
                size: 0,
            });
        }
        if let Some(active) = &mut self.active {
            if let Err(error) = put_all(&mut *active.file, bytes) {
                // What is left of it is cut off now, or when the copy is opened again.
                let _cut_later = active.file.set_len(active.size);
                return Err(error.into());
            }
            active.size += bytes.len() as u64;
            active.first = active.first.or(found.first);
        }
        self.chain = found.chain;
        Ok(())
    }

    /// Takes a segment over as a file: one that is compressed, suspect, or not what was expected.
    fn fetch(
        &mut self,
        means: &mut Means<'_>,
        segment: &Sealed,
        entry: &LogFile,
    ) -> Result<(), Trouble> {
        let staged = means.staging.join(&entry.file);
        download(means, entry, &staged)?;
        let outcome = self.check(means, segment, &staged);
        if let Err(trouble) = outcome {
            let _swept_later = means.files.remove(&staged);
            return Err(trouble);
        }
        means
            .files
            .rename(&staged, &means.logs.join(&segment.file))?;
        if self.active.take().is_some() {
            // Its bytes are the beginning of the segment.
            means
                .files
                .remove(&names::active(means.logs, &self.stream))?;
        }
        means.files.sync_dir(means.logs)?;
        self.base = recover::sealed_end(means.files, means.logs, &self.stream)?;
        self.chain = self.base.clone();
        Ok(())
    }

    fn check(&self, means: &Means<'_>, segment: &Sealed, staged: &Path) -> Result<(), Trouble> {
        let open = || {
            let file = means.files.open_read(staged)?;
            let raw = reading::plain(file, 0, u64::MAX)?;
            if segment.packed {
                let unpacked = zstd::stream::read::Decoder::new(raw)?;
                return Ok(Box::new(unpacked) as reading::Source);
            }
            Ok::<_, io::Error>(raw)
        };
        let broken = |why: &str| {
            Trouble::Apart(format!(
                "the segment `logs/{}` of the source {why}",
                segment.file
            ))
        };
        self.begins_with_ours(means, open()?)
            .map_err(|same| same.unwrap_or_else(|| broken("is not what was copied before")))?;
        let mut head = Vec::new();
        open()?
            .take(HEAD_BYTES)
            .read_to_end(&mut head)
            .map_err(|error| broken(&format!("cannot be read: {error}")))?;
        if let Some(why) = elsewhere(&self.base, &head, means.takes_damaged) {
            return Err(Trouble::Apart(why));
        }
        if means.takes_damaged {
            return Ok(());
        }
        let found = if segment.suspect {
            let mut counted = Vec::new();
            let mut source = open()?;
            reading::whole_lines(&mut source, &mut |whole| {
                let (bytes, over) = reading::up_to(whole, segment.last);
                counted.extend_from_slice(bytes);
                if over {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })?;
            read(counted, self.base.clone())?
        } else {
            recover::walk(&mut open()?, self.base.clone())
                .map_err(|error| broken(&format!("cannot be read: {error}")))?
        };
        if found.damage > 0 || found.chain.seq() != segment.last {
            return Err(broken("does not fit its chain"));
        }
        Ok(())
    }

    /// Whether `theirs` begins with the bytes of our active segment. `Err(None)` where it does not.
    fn begins_with_ours(
        &self,
        means: &Means<'_>,
        mut theirs: reading::Source,
    ) -> Result<(), Option<Trouble>> {
        let Some(active) = &self.active else {
            return Ok(());
        };
        let own = |error: io::Error| Some(Trouble::Own(error));
        let path = names::active(means.logs, &self.stream);
        let file = means.files.open_read(&path).map_err(own)?;
        let mut ours = reading::plain(file, 0, active.size).map_err(own)?;
        let mut left = active.size;
        let mut pair = (vec![0; 64 << 10], vec![0; 64 << 10]);
        while left > 0 {
            let most = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(pair.0.len());
            let one = pair.0.get_mut(..most).unwrap_or_default();
            let other = pair.1.get_mut(..most).unwrap_or_default();
            ours.read_exact(one).map_err(own)?;
            // What cannot be unpacked, or is shorter, is not the same.
            theirs.read_exact(other).map_err(|_| None)?;
            if one != other {
                return Err(None);
            }
            left -= most as u64;
        }
        Ok(())
    }
}

/// Reads whole lines against the chain before them.
fn read(bytes: Vec<u8>, before: Chain) -> io::Result<Found> {
    let mut source: reading::Source = Box::new(Cursor::new(bytes));
    recover::walk(&mut source, before)
}

/// Why the first own line in `bytes` cannot come after `chain`, if it cannot: a line that opens a
/// segment names its past itself, and must name ours, unless what is here may be damaged.
fn elsewhere(chain: &Chain, bytes: &[u8], may_be_damaged: bool) -> Option<String> {
    let mut lines = lines_of(bytes);
    let own = lines.find_map(|whole| line::parse(whole.strip_suffix(b"\n")?))?;
    if chain.seq() == 0 {
        return None;
    }
    if own.seq <= chain.seq() {
        return Some(format!(
            "the source goes on with line {} where line {} is here",
            own.seq,
            chain.seq(),
        ));
    }
    let mut named = b"\"prev_h\":\"".to_vec();
    named.extend_from_slice(chain.h());
    let names_another = !may_be_damaged
        && own.kind == b"segment.opened"
        && memchr::memmem::find(own.members, &named).is_none();
    names_another.then(|| {
        let (here, there) = (chain.seq(), own.seq);
        format!("the source's segment from line {there} on does not follow line {here} of here")
    })
}

fn odd(place: &Place, found: &str) -> Trouble {
    Trouble::Source(SourceError::Odd {
        what: place.path(),
        found: found.to_owned(),
    })
}

/// Fetches a file whole into the staging folder; on the medium when it returns.
fn download(means: &mut Means<'_>, entry: &LogFile, to: &Path) -> Result<(), Trouble> {
    let _left_behind = means.files.remove(to);
    means.files.create_dir_all(means.staging)?;
    means.files.write_new(to, b"", Access::SHARED)?;
    let mut file = means.files.open_append(to, Make::IfMissing)?;
    let place = Place::Log(entry.file.clone());
    let mut at = 0;
    while at < entry.size {
        let left = usize::try_from(entry.size - at).unwrap_or(usize::MAX);
        let most = left.min(PIECE_BYTES);
        let bytes = means.source.read(&place, Some(entry.inode), at, most)?;
        if bytes.is_empty() || bytes.len() > most {
            return Err(odd(&place, "another number of bytes than it lists"));
        }
        put_all(&mut *file, &bytes)?;
        at += bytes.len() as u64;
    }
    file.sync_data()?;
    Ok(())
}

/// Gives a file of a journal a name that nothing reads; gives that name.
pub(super) fn set_aside(files: &dyn Files, logs: &Path, file: &str) -> io::Result<PathBuf> {
    for attempt in 1..=ASIDE_MAX {
        let to = logs.join(format!("{file}.aside-{attempt}"));
        match files.stat(&to) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                files.rename(&logs.join(file), &to)?;
                files.sync_dir(logs)?;
                return Ok(to);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
