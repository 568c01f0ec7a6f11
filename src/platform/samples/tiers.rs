//! The journal of hours and days: read where the minutes it was made from may be gone, or where
//! their checkpoint is.
//!
//! Each closing is one group of lines that name how far it reaches: every row of the journal of
//! minutes up to line `through` whose minute lies before `until` is in this closing or an earlier
//! one. Both only grow, so the last whole closing tells of any row whether it is in.

use std::ops::ControlFlow;

use super::line::{DAY_CLOSED, HOUR_CLOSED, LineIn, Parts, Place, TIERS};
use super::rows::{Row, minute_of};
use super::series::{DAY, Wish};
use super::state::{Closed, State};
use crate::base::time::STAMP_LEN;
use crate::storage::engine::{Engine, Mark, StorageError};
use crate::storage::journal::{each_line, lines_of};
use crate::storage::line;
use crate::storage::view::{Reader, View, put_u64};

/// A row of an hour or of a day.
#[derive(Debug)]
pub(super) struct TierRow {
    pub(super) day: bool,
    pub(super) source: Box<str>,
    pub(super) row: Row,
}

/// Puts the lines of a closing together.
#[derive(Debug, Default)]
struct Group {
    parts: Parts,
    rows: Vec<TierRow>,
}

impl Group {
    /// The closing that is whole with this line. `with_rows` = its rows are wanted.
    fn take(&mut self, text: &[u8], with_rows: bool) -> Option<(Closed, Vec<TierRow>)> {
        let own = line::parse(text)?;
        let day = own.kind == DAY_CLOSED.as_bytes();
        if !day && own.kind != HOUR_CLOSED.as_bytes() {
            return None;
        }
        let read: LineIn<'_> = serde_json::from_slice(text).ok()?;
        let (place, whole) = self.parts.take(read.part, read.parts);
        match place {
            Place::First => self.rows.clear(),
            Place::Next => {}
            Place::Stray => return None,
        }
        if with_rows {
            self.rows.extend(read.rows.iter().map(|row| TierRow {
                day,
                source: row.source.as_deref().unwrap_or_default().into(),
                row: row.row(),
            }));
        }
        let closed = Closed {
            through: read.through,
            until: minute_of(read.until?),
        };
        whole.then(|| (closed, std::mem::take(&mut self.rows)))
    }
}

/// Hands over every whole closing.
fn replay(
    engine: &dyn Engine,
    mut take: impl FnMut(Closed, Vec<TierRow>),
) -> Result<(), StorageError> {
    let mut group = Group::default();
    each_line(engine, TIERS, &Mark::default(), |text| {
        if let Some((closed, rows)) = group.take(text, true) {
            take(closed, rows);
        }
    })
}

/// A state that holds all hours and days that are written down, and no line of minutes yet. `wish`
/// says how closely a series is kept, and whether it is wanted at all.
pub(super) fn seed(
    engine: &dyn Engine,
    wish: impl Fn(&str) -> Option<Wish>,
) -> Result<State, StorageError> {
    let mut state = State::default();
    state.since = first_full_minute(engine)?;
    replay(engine, |closed, rows| {
        for TierRow { day, source, row } in rows {
            let Some(wish) = wish(&row.series) else {
                continue;
            };
            let number = state.number_with(&row.series, &source, wish);
            if !day {
                state.open.add_day(number, &row);
            }
            if let Some(series) = state.series_mut(number) {
                if day {
                    series.add_day(&row);
                } else {
                    series.add_hour(&row);
                }
            }
        }
        // Days up to here stand in lines of their own; only the rest is told by its hours.
        state.open.drop_days_before(closed.until / DAY * DAY);
        state.closed = closed;
    })?;
    let today: Vec<_> = state.open.days().collect();
    for (number, row) in today {
        if let Some(series) = state.series_mut(number) {
            series.add_day(&row);
        }
    }
    state.seeded = state.closed;
    Ok(state)
}

/// The minute from which on the journal of minutes is complete: 0, unless its beginning is gone.
fn first_full_minute(engine: &dyn Engine) -> Result<u32, StorageError> {
    let mut first = 0;
    engine.scan(super::line::STREAM, &Mark::default(), &mut |chunk| {
        let own = chunk
            .bytes
            .split(|byte| *byte == b'\n')
            .find_map(line::parse);
        let Some(own) = own else {
            return ControlFlow::Continue(());
        };
        if own.seq > 1 && own.ts.len() == STAMP_LEN {
            let at = std::str::from_utf8(own.ts)
                .ok()
                .and_then(|ts| ts.parse().ok());
            first = at.map_or(0, |at| minute_of(at).saturating_add(super::series::HOUR));
        }
        ControlFlow::Break(())
    })?;
    Ok(first / super::series::HOUR * super::series::HOUR)
}

/// How far the hours are written down: the last whole closing.
#[derive(Debug, Default)]
pub(super) struct LastClosed {
    pub(super) closed: Closed,
    last_seq: u64,
}

impl LastClosed {
    /// Takes note of a closing that has been written.
    pub(super) fn set(&mut self, closed: Closed, last_seq: u64) {
        self.closed = closed;
        self.last_seq = last_seq;
    }
}

/// What a stretch of the journal tells of closings.
#[derive(Debug, Default)]
pub(super) struct LastBatch {
    closed: Option<Closed>,
    last_seq: u64,
}

/// Reads closings without their rows.
#[derive(Debug, Default)]
pub(super) struct LastParser(Group);

impl View for LastClosed {
    const NAME: &'static str = "closed";
    /// Form of the saved state; a plain count of its revisions.
    const VERSION: u32 = 1;
    type Batch = LastBatch;
    type Parser = LastParser;

    fn parser(&self) -> LastParser {
        LastParser::default()
    }

    fn parse(parser: &mut LastParser, lines: &[u8], batch: &mut LastBatch) {
        for text in lines_of(lines) {
            if let Some((closed, _)) = parser.0.take(text, false) {
                batch.closed = Some(closed);
            }
            if let Some(own) = line::parse(text) {
                batch.last_seq = own.seq;
            }
        }
    }

    fn apply(&mut self, batch: &mut LastBatch) {
        if let Some(closed) = batch.closed.take() {
            self.closed = closed;
        }
        self.reached(std::mem::take(&mut batch.last_seq));
    }

    fn last_seq(&self) -> u64 {
        self.last_seq
    }

    fn reached(&mut self, seq: u64) {
        self.last_seq = self.last_seq.max(seq);
    }

    fn save(&self, out: &mut Vec<u8>) {
        for value in [self.last_seq, self.closed.through, self.closed.until.into()] {
            put_u64(out, value);
        }
    }

    fn restore(saved: &mut Reader<'_>) -> Option<Self> {
        let last_seq = saved.u64()?;
        let closed = Closed {
            through: saved.u64()?,
            until: u32::try_from(saved.u64()?).ok()?,
        };
        Some(Self { closed, last_seq })
    }
}
