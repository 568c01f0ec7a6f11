//! One page of a journal: a bounded stretch of lines as they are on disk, and where the next page
//! begins. Blocks while it reads.

use std::ops::ControlFlow;

use chrono::{DateTime, Utc};

use crate::storage::engine::{Chunk, Engine, Seek, StorageError};
use crate::storage::filter::Filter;
use crate::storage::numbering::Numbering;

/// Bytes of a page, unless one line alone is larger.
const PAGE_MAX: usize = 4 << 20;
/// Bytes that are read for one page at most: a fraction of a second. A rare kind is looked for in
/// steps of this size.
const READ_MAX: u64 = 64 << 20;
/// Bytes read in vain after which lines of the time asked for are sought elsewhere.
const JUMP_AFTER: u64 = 1 << 20;

/// How often reading begins again because a segment was given up meanwhile.
const TRIES: u32 = 3;

/// A place between two lines: after the line `after`, and after as many lines of others that stand
/// behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) after: u64,
    pub(super) skip: u64,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) from: Place,
    pub(super) since: Option<DateTime<Utc>>,
    pub(super) until: Option<DateTime<Utc>>,
    /// Lines at most.
    pub(super) limit: usize,
    pub(super) filter: Filter,
}

/// What is given.
#[derive(Debug)]
pub(super) struct Page {
    /// Whole lines.
    pub(super) body: Vec<u8>,
    /// Everything up to here was looked at.
    pub(super) end: Place,
    /// Whether there may be more.
    pub(super) more: bool,
}

/// Why a scan was ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The journal ended.
    End,
    /// The page is full, or enough was read for it.
    Full,
    /// Nothing was found for a while.
    InVain,
}

struct Reading<'a> {
    ask: &'a Ask,
    page: Page,
    lines: usize,
    read: u64,
    in_vain: u64,
    jump_after: u64,
    why: Why,
}

/// Reads the page of `stream` that `ask` tells.
pub(super) fn read(engine: &dyn Engine, stream: &str, ask: &Ask) -> Result<Page, StorageError> {
    let mut reading = Reading {
        ask,
        page: Page {
            body: Vec::new(),
            end: ask.from,
            more: false,
        },
        lines: 0,
        read: 0,
        in_vain: 0,
        jump_after: JUMP_AFTER,
        why: Why::End,
    };
    let mut tries = TRIES;
    let timed = ask.since.is_some() || ask.until.is_some();
    loop {
        let after = reading.page.end.after;
        let seek = Seek::Within {
            after,
            since: ask.since,
            until: ask.until,
        };
        let mark = engine.locate(stream, &seek)?;
        if mark.seq <= after && reading.why == Why::InVain {
            // Nothing was gained by seeking: it is tried more rarely.
            reading.jump_after = reading.jump_after.saturating_mul(4);
        }
        reading.page.end.after = after.max(mark.seq);
        let mut numbering = Numbering::after(mark.seq, mark.h);
        reading.why = Why::End;
        let mut foreign = 0;
        let scanned = engine.scan(stream, &mark, &mut |chunk| {
            reading.take(&chunk, &mut numbering, &mut foreign, timed)
        });
        match scanned {
            // Segments were given up in this moment, before anything was read.
            Err(StorageError::BadMark { .. }) if tries > 0 => {
                tries -= 1;
                continue;
            }
            scanned => scanned?,
        }
        match reading.why {
            Why::End => return Ok(reading.page),
            Why::Full => {
                reading.page.more = true;
                return Ok(reading.page);
            }
            Why::InVain => reading.in_vain = 0,
        }
    }
}

impl Reading<'_> {
    fn take(
        &mut self,
        chunk: &Chunk<'_>,
        numbering: &mut Numbering,
        foreign: &mut u64,
        timed: bool,
    ) -> ControlFlow<()> {
        for line in chunk.bytes.split_inclusive(|byte| *byte == b'\n') {
            let number = numbering.take(line);
            let place = if let Some(seq) = number {
                *foreign = 0;
                Place {
                    after: seq,
                    skip: 0,
                }
            } else {
                *foreign += 1;
                Place {
                    after: numbering.seq(),
                    skip: *foreign,
                }
            };
            if place.after < self.page.end.after {
                continue;
            }
            if place.after == self.ask.from.after && place.skip <= self.ask.from.skip {
                continue;
            }
            if self.offer(line, place, timed).is_break() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn offer(&mut self, line: &[u8], place: Place, timed: bool) -> ControlFlow<()> {
        let passes = self.ask.filter.passes(line);
        let size = self.page.body.len() + line.len();
        if passes && size > PAGE_MAX && !self.page.body.is_empty() {
            self.why = Why::Full;
            return ControlFlow::Break(());
        }
        self.page.end = place;
        self.read += line.len() as u64;
        self.in_vain += line.len() as u64;
        if passes {
            self.page.body.extend_from_slice(line);
            self.lines += 1;
            self.in_vain = 0;
        }
        if self.lines >= self.ask.limit || self.read >= READ_MAX {
            self.why = Why::Full;
            return ControlFlow::Break(());
        }
        if timed && self.in_vain >= self.jump_after {
            self.why = Why::InVain;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
