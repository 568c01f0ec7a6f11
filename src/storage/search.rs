//! Finding a line in the text of one segment: by halves where the text can be read at any place,
//! else from its beginning.
//!
//! A place in the text is judged by lines whose chain value fits the line before, so that neither a
//! damaged line nor a copy that a person made can lead the search past what is wanted.

use std::io::{self, Read};
use std::ops::ControlFlow;

use super::chain::{Chain, Verdict};
use super::engine::Mark;
use super::files::reading;
use super::line::{self, ChainValue, GENESIS, OwnLine};
use super::numbering::Numbering;
use super::segments::{Seek, Wanted};
use super::times::{self, Times};

/// Bytes read at one place: a few hundred lines, so that some of them are whole and follow each
/// other; reading less costs a disk as much.
const BLOCK: u64 = 64 << 10;
/// Bytes read at one place at most, where no two lines of ours are found in less: longer lines, or
/// zeros that a power cut left.
const BLOCK_MAX: u64 = 8 << 20;

/// A segment's text.
pub(super) struct Text<'a> {
    /// Its bytes, where it can be read at any place; `None` where only from a place on.
    pub(super) size: Option<u64>,
    /// Reads at a place.
    pub(super) read_at: &'a dyn Fn(&mut [u8], u64) -> io::Result<usize>,
    /// Reads from a place on.
    pub(super) open: &'a dyn Fn(u64) -> io::Result<Box<dyn Read + 'a>>,
    /// First `seq` in it.
    pub(super) first: u64,
    /// Last `seq` that counts.
    pub(super) last: u64,
    /// How far back an instant may lie behind those in front of it; see [`super::times::Times`].
    pub(super) back_ms: i64,
}

/// What the search came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// The last line of ours in front of what is wanted; `None` where there is none in this text.
    /// Where nothing that is wanted is here: the last line of ours that was read.
    pub(super) before: Option<Mark>,
    /// Whether what is wanted may be in this text.
    pub(super) here: bool,
}

/// A place right after a line of ours, or the beginning.
#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    line: Option<(u64, ChainValue)>,
}

impl Text<'_> {
    /// Looks for the first line that is wanted. What it finds is never behind that line.
    pub(super) fn search(&self, wanted: &Wanted) -> io::Result<Found> {
        let from = self.narrow(wanted)?;
        self.walk(from, wanted)
    }

    /// A place such that nothing wanted stands in front of it, near the first line that is.
    fn narrow(&self, wanted: &Wanted) -> io::Result<Place> {
        let mut low = Place {
            offset: 0,
            line: None,
        };
        let Some(mut high) = self.size else {
            return Ok(low);
        };
        if wanted.after >= self.last {
            // The end is wanted, most of the time: one look is enough.
            let near = high.saturating_sub(BLOCK);
            match self.judge(near, high, wanted)? {
                Some(place) => low = place,
                None => high = near,
            }
        }
        while high.saturating_sub(low.offset) > BLOCK {
            let middle = low.offset + (high - low.offset) / 2;
            match self.judge(middle, high, wanted)? {
                Some(place) => low = place,
                None => high = middle,
            }
        }
        Ok(low)
    }

    /// The end of the last of some lines at `at`, if all of them are in front of what is wanted;
    /// `None` where they are not, or where there is nothing to judge by before `high`.
    fn judge(&self, at: u64, high: u64, wanted: &Wanted) -> io::Result<Option<Place>> {
        let mut size = BLOCK.min(high - at);
        loop {
            let mut block = vec![0; usize::try_from(size).unwrap_or(0)];
            let read = read_fully(self.read_at, &mut block, at)?;
            block.truncate(read);
            // The line at hand has begun before.
            let start = match at {
                0 => Some(0),
                _ => memchr::memchr(b'\n', &block).map(|end| end + 1),
            };
            if let Some(start) = start {
                let whole = block.get(start..).unwrap_or_default();
                match self.weigh(whole, at + start as u64, wanted) {
                    Weight::Unknown => {}
                    Weight::NotBefore => return Ok(None),
                    Weight::Before(place) => return Ok(Some(place)),
                }
            }
            if size >= BLOCK_MAX || at + size >= high {
                return Ok(None);
            }
            size = (size * 4).min(BLOCK_MAX).min(high - at);
        }
    }

    /// What whole lines tell of themselves and of everything in front of them.
    fn weigh(&self, whole: &[u8], at: u64, wanted: &Wanted) -> Weight {
        let mut chain: Option<Chain> = None;
        let (mut offset, mut weight) = (at, Weight::Unknown);
        for line in reading::lines_of(whole) {
            offset += line.len() as u64;
            let Some(chain) = &mut chain else {
                let own = line::parse(line.strip_suffix(b"\n").unwrap_or(line));
                chain = own.map(|own| Chain::after(own.seq, own.h));
                continue;
            };
            if !matches!(chain.read(line), Verdict::Own | Verdict::OwnAfterDamage) {
                continue;
            }
            let Some(own) = line::parse(line.strip_suffix(b"\n").unwrap_or(line)) else {
                continue;
            };
            if !self.is_before(&own, wanted) {
                return Weight::NotBefore;
            }
            weight = Weight::Before(Place {
                offset,
                line: Some((own.seq, own.h)),
            });
        }
        weight
    }

    /// Whether neither this line nor one in front of it is wanted.
    fn is_before(&self, own: &OwnLine<'_>, wanted: &Wanted) -> bool {
        let since = wanted.since.saturating_sub(self.back_ms);
        let early = || times::of(own).is_some_and(|at| at < since);
        own.seq <= self.last && (own.seq <= wanted.after || early())
    }

    /// Goes on line by line.
    fn walk(&self, from: Place, wanted: &Wanted) -> io::Result<Found> {
        let (seq, h) = from.line.unwrap_or((self.first.saturating_sub(1), GENESIS));
        let mut numbering = Numbering::after(seq, h);
        let mark = |(seq, h): (u64, ChainValue), offset: u64| Mark {
            seq,
            h,
            segment: self.first,
            offset,
        };
        let mut found = Found {
            before: from.line.map(|line| mark(line, from.offset)),
            here: false,
        };
        let mut offset = from.offset;
        reading::whole_lines(&mut *(self.open)(from.offset)?, &mut |whole| {
            for line in reading::lines_of(whole) {
                offset += line.len() as u64;
                let number = numbering.take(line);
                let Some(own) = line::parse(line.strip_suffix(b"\n").unwrap_or(line)) else {
                    continue;
                };
                match self.meet(&own, number, numbering.seq(), wanted) {
                    Meeting::Wanted => {
                        found.here = true;
                        return ControlFlow::Break(());
                    }
                    Meeting::Past => return ControlFlow::Break(()),
                    Meeting::Before => {
                        if number.is_some() {
                            found.before = Some(mark((own.seq, own.h), offset));
                        }
                    }
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    fn meet(
        &self,
        own: &OwnLine<'_>,
        number: Option<u64>,
        last_number: u64,
        wanted: &Wanted,
    ) -> Meeting {
        let Some(seq) = number else {
            // It is not what it says: whatever it was, it is not skipped.
            return if last_number >= wanted.after {
                Meeting::Wanted
            } else {
                Meeting::Before
            };
        };
        if seq > self.last {
            return Meeting::Past;
        }
        let at = times::of(own);
        let timely = at.is_none_or(|at| (wanted.since..=wanted.until).contains(&at));
        if seq > wanted.after && timely {
            return Meeting::Wanted;
        }
        let late = wanted.until.saturating_add(self.back_ms);
        if seq > wanted.after && at.is_some_and(|at| at > late) {
            return Meeting::Past;
        }
        Meeting::Before
    }
}

/// Some lines beside what is wanted.
enum Weight {
    /// There is no line to judge by.
    Unknown,
    /// They and what is in front of them are not wanted, up to this place.
    Before(Place),
    /// One of them may be wanted, or what is in front of it.
    NotBefore,
}

/// A line beside what is wanted.
enum Meeting {
    Before,
    Wanted,
    /// Nothing that is wanted follows in this text.
    Past,
}

/// [`Text::search`] in a stream that is one text in memory.
pub(super) fn in_memory(bytes: &[u8], seek: Seek) -> Mark {
    let mut known = Times::NONE;
    known.take_all(bytes);
    let text = Text {
        size: Some(bytes.len() as u64),
        read_at: &|buffer, at| {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            let mut rest = bytes.get(at..).unwrap_or_default();
            rest.read(buffer)
        },
        open: &|at| {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            Ok(Box::new(bytes.get(at..).unwrap_or_default()))
        },
        first: 1,
        last: u64::MAX,
        back_ms: known.back_ms,
    };
    let end = Wanted {
        after: u64::MAX,
        since: i64::MIN,
        until: i64::MAX,
    };
    let found = match text.search(&seek.wanted()) {
        Ok(found) if found.here => Ok(found),
        _ => text.search(&end),
    };
    // Reading memory does not fail; what begins at the beginning is right in any case.
    found.map_or_else(
        |_never| Mark::default(),
        |found| found.before.unwrap_or_default(),
    )
}

fn read_fully(
    read_at: &dyn Fn(&mut [u8], u64) -> io::Result<usize>,
    block: &mut [u8],
    at: u64,
) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        let rest = block.get_mut(filled..).unwrap_or_default();
        match read_at(rest, at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
