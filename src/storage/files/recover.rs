//! Finding out where a stream ends, and setting its torn tail aside (rules L3 to L5).

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::names::{self, Sealed};
use super::reading::{self, Source};
use crate::seams::files::{Access, Files, Make, read_whole};
use crate::storage::chain::{Chain, Verdict};
use crate::storage::times::Times;
use crate::storage::{line, line::GENESIS};

/// What was found in the active segment.
#[derive(Debug)]
pub(in crate::storage) struct Found {
    /// Right after the last line.
    pub(in crate::storage) chain: Chain,
    /// `seq` of the first own line.
    pub(in crate::storage) first: Option<u64>,
    /// When that line was written.
    pub(in crate::storage) opened: Option<DateTime<Utc>>,
    /// Bytes up to the last end of line.
    pub(in crate::storage) size: u64,
    /// Own lines.
    pub(in crate::storage) lines: u64,
    /// Their times.
    pub(in crate::storage) times: Times,
    /// Lines that are not ours.
    pub(in crate::storage) foreign: u64,
    /// Damaged places.
    pub(in crate::storage) damage: u64,
    /// Lines that are not ours after the last one of ours, up to [`TRAILING_MAX`].
    pub(in crate::storage) trailing: Vec<u8>,
    /// What follows the last end of line.
    pub(in crate::storage) tail: Vec<u8>,
    /// The last line is damaged, and was ours by its end: where the stream goes on after it.
    lost: Option<Chain>,
    /// The highest number that the lines vouch for.
    reached: u64,
    /// The highest that only lines say which do not fit: 0 where a later line knows better.
    claimed: u64,
}

/// Bytes of others after our last line that are kept for writing them again should a sync fail.
/// More than a person writes by hand.
const TRAILING_MAX: usize = 16 << 20;

/// The chain at the end of the last sealed segment.
pub(in crate::storage) fn sealed_end(
    files: &dyn Files,
    logs: &Path,
    stream: &str,
) -> io::Result<Chain> {
    let sealed = names::segments_of(stream, &files.list(logs)?);
    match sealed.last() {
        Some(segment) => end_of(files, logs, segment),
        None => Ok(Chain::genesis()),
    }
}

/// The chain at the end of a sealed segment.
pub(in crate::storage) fn end_of(
    files: &dyn Files,
    logs: &Path,
    segment: &Sealed,
) -> io::Result<Chain> {
    let mut source = reading::open_sealed(files, logs, segment, 0)?;
    let mut end = Chain::after(segment.last, GENESIS);
    // Damage in a sealed segment is for `verify` to tell; here only its last line counts, and what
    // somebody wrote after it, which the next line of ours covers.
    let tail = reading::whole_lines(&mut source, &mut |whole| {
        let (counts, over) = if segment.suspect {
            reading::up_to(whole, segment.last)
        } else {
            (whole, false)
        };
        let mut rest = counts;
        if let Some((seq, h, at)) = reading::last_own(counts) {
            end = Chain::after(seq, h);
            rest = counts.get(at..).unwrap_or_default();
        }
        end.foreign(rest);
        if over {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    end.foreign(&tail);
    if end.seq() != segment.last {
        // Its last line is damaged: the number is the one that the name tells.
        end.skip_to(segment.last);
    }
    Ok(end)
}

/// Reads a segment against the chain before it.
pub(in crate::storage) fn walk(source: &mut Source, before: Chain) -> io::Result<Found> {
    let mut found = Found {
        reached: before.seq(),
        claimed: 0,
        chain: before,
        first: None,
        opened: None,
        size: 0,
        lines: 0,
        times: Times::NONE,
        foreign: 0,
        damage: 0,
        trailing: Vec::new(),
        tail: Vec::new(),
        lost: None,
    };
    let tail = reading::whole_lines(source, &mut |whole| {
        for line in reading::lines_of(whole) {
            found.take(line);
        }
        ControlFlow::Continue(())
    })?;
    found.tail = tail;
    if let Some(chain) = found.lost.take() {
        found.chain = chain;
        // They count where they are: there is no line of ours to count up to.
        found.trailing.clear();
        found.foreign -= 1;
        found.damage += 1;
    }
    found.go_on_above();
    Ok(found)
}

impl Found {
    /// The number of a damaged line of ours: its own, where only what stands before it is zeros.
    fn lost_seq(&self, body: &[u8]) -> u64 {
        let after = memchr::memrchr(0, body).and_then(|at| body.get(at + 1..));
        let own = after.and_then(line::parse);
        let known = self.lost.as_ref().unwrap_or(&self.chain).seq();
        let next = known.max(self.reached).max(self.claimed) + 1;
        own.map_or(next, |own| own.seq.max(next))
    }

    /// No number is ever given twice (rule L11), whatever the last line says it is.
    fn go_on_above(&mut self) {
        let highest = self.reached.max(self.claimed);
        if self.chain.seq() < highest {
            self.chain.skip_to(highest);
        }
    }

    /// Notes the number of a line of our form; whether it was there before.
    fn note_number(&mut self, verdict: Verdict) -> bool {
        let seq = self.chain.seq();
        let was_there = seq <= self.reached;
        if verdict == Verdict::Broken {
            self.claimed = self.claimed.max(seq);
        } else if !was_there {
            (self.reached, self.claimed) = (seq, 0);
        }
        was_there
    }

    fn take(&mut self, line: &[u8]) {
        self.size += line.len() as u64;
        let expected = self.chain.seq() + 1;
        let verdict = self.chain.read(line);
        let was_there = verdict != Verdict::Foreign && self.note_number(verdict);
        match verdict {
            Verdict::Foreign => {
                self.foreign += 1;
                if self.trailing.len() + line.len() <= TRAILING_MAX {
                    self.trailing.extend_from_slice(line);
                }
                // A run of zeros is what a file system leaves of a write that a power cut took.
                // Where the end of a line of ours is left, the next line tells.
                let body = line.strip_suffix(b"\n").unwrap_or(line);
                if let Some(h) = line::ending(body) {
                    self.lost = Some(Chain::after(self.lost_seq(body), h));
                } else if let Some(chain) = &mut self.lost {
                    chain.foreign(line);
                }
                let zeros = memchr::memchr(0, line).is_some();
                self.damage += u64::from(zeros && line::ending(body).is_none());
                return;
            }
            Verdict::OwnAfterDamage => {
                self.foreign -= 1;
                self.damage += 1;
            }
            // Where the first segments were given up, the first line left cannot be checked.
            Verdict::Broken if expected == 1 && self.chain.seq() > 1 => {}
            Verdict::Broken => self.damage += 1,
            Verdict::Own => {
                // A gap that the line itself tells of is no damage to this file.
                let kind =
                    line::parse(line.strip_suffix(b"\n").unwrap_or(line)).map(|own| own.kind);
                let announced = matches!(kind, Some(b"log.truncated" | b"segment.opened"));
                if was_there || self.chain.seq() != expected && !announced {
                    self.damage += 1;
                }
            }
        }
        self.lost = None;
        self.trailing.clear();
        self.lines += 1;
        self.times.take_all(line);
        if self.first.is_none() && !was_there {
            self.first = Some(self.chain.seq());
            let own = line::parse(line.strip_suffix(b"\n").unwrap_or(line));
            let stamp = own.and_then(|own| std::str::from_utf8(own.ts).ok());
            self.opened = stamp.and_then(|ts| ts.parse().ok());
        }
    }
}

/// What became of a tail without end of line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::storage) enum Repair {
    /// Nothing to repair.
    None,
    /// It was a whole line: its end of line was added.
    Completed,
    /// It was a piece of one: kept in the file of this name, and cut off.
    SetAside(String),
}

/// What a tail may turn out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::storage) enum Tail {
    /// A line that only lacks its end.
    MayBeWhole,
    /// Not one of ours: the views have read the stream without it, and nobody was told of it.
    IsNotOurs,
}

/// Sees to it that the active segment ends with an end of line.
pub(in crate::storage) fn mend_tail(
    files: &dyn Files,
    logs: &Path,
    stream: &str,
    found: &mut Found,
    tail: Tail,
) -> io::Result<Repair> {
    if found.tail.is_empty() {
        return Ok(Repair::None);
    }
    let path = names::active(logs, stream);
    if is_whole(found, tail) {
        let mut file = files.open_append(&path, Make::IfMissing)?;
        if file.write(b"\n")? != 1 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        file.sync_data()?;
        let mut line = std::mem::take(&mut found.tail);
        line.push(b'\n');
        found.take(&line);
        return Ok(Repair::Completed);
    }
    let kept = keep_aside(files, logs, stream, found)?;
    // The copy must be there before the original goes.
    files.sync_dir(logs)?;
    let mut file = files.open_append(&path, Make::IfMissing)?;
    file.set_len(found.size)?;
    file.sync_data()?;
    found.tail.clear();
    Ok(Repair::SetAside(kept))
}

/// Whether the tail only lacks its end of line: a line of ours that fits, or JSON of somebody
/// else's.
fn is_whole(found: &Found, tail: Tail) -> bool {
    if line::parse(&found.tail).is_some() {
        return tail == Tail::MayBeWhole
            && found.chain.clone().read(&found.tail) != Verdict::Broken;
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(&found.tail).is_ok()
}

fn read_file(files: &dyn Files, path: &Path) -> io::Result<Vec<u8>> {
    read_whole(&mut *files.open_read(path)?, u64::MAX)
}

/// How many torn tails of one line are kept apart: more than this need a person anyway.
const TORN_MAX: u32 = 1_000;

fn keep_aside(files: &dyn Files, logs: &Path, stream: &str, found: &Found) -> io::Result<String> {
    for attempt in 1..=TORN_MAX {
        let name = names::torn(stream, found.chain.seq() + 1, attempt);
        match files.write_new(&logs.join(&name), &found.tail, Access::SHARED) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Left by an attempt that failed after it: once is enough.
                if read_file(files, &logs.join(&name)).is_ok_and(|kept| kept == found.tail) {
                    return Ok(name);
                }
            }
            outcome => return outcome.map(|()| name),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
