//! What the journal of minutes means now. Changes at commits only, on the journal's writer thread.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::line::{COUNTED, LineIn, Parts, Place, RowIn};
use super::open::Open;
use super::pack::{put_text, put_varint, take_text, take_varint};
use super::refill::Refilling;
use super::rows::Row;
use super::series::{Series, Wish};
use crate::storage::line;
use crate::storage::view::{Reader, View, put_u64};

/// Ids of the last pushes that are remembered; a repeat that comes later counts again. A push a
/// second fills it in four and a half hours, far more than a sender retries (our own choice).
pub(super) const IDS_KEPT: usize = 16_384;

/// How far hours are written down: every row of lines up to `through` whose minute lies before
/// `until`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Closed {
    /// Number of a line of the journal of minutes.
    pub(super) through: u64,
    /// A minute, the first of an hour.
    pub(super) until: u32,
}

impl Closed {
    /// Whether a row of line `seq` is written down among the hours.
    pub(super) fn holds(self, seq: u64, minute: u32) -> bool {
        seq <= self.through && minute < self.until
    }
}

/// What one commit means.
#[derive(Debug, Default)]
pub(super) struct Event {
    pub(super) seq: u64,
    pub(super) source: Box<str>,
    pub(super) position: Option<Value>,
    pub(super) id: Option<Box<str>>,
    pub(super) rows: Vec<Row>,
}

/// Everything.
#[derive(Debug, Default)]
pub(super) struct State {
    numbers: HashMap<Box<str>, u32>,
    series: Vec<Series>,
    positions: BTreeMap<Box<str>, Value>,
    ids: Ids,
    /// Not yet written down as hours and days.
    pub(super) open: Open,
    /// Taken out of `open`, on its way to the journal of hours and days.
    pub(super) closing: Option<(Closed, Open)>,
    /// Written down last.
    pub(super) closed: Closed,
    /// What the hours and days were read from, when they were not counted from the lines.
    pub(super) seeded: Closed,
    /// Minutes before this one are not known in full.
    pub(super) since: u32,
    /// How closely series are to be kept.
    pub(super) wishes: HashMap<Box<str>, Wish>,
    /// Rows that came while series are being counted anew.
    pub(super) refilling: Option<Refilling>,
    last_seq: u64,
    skipped: u64,
}

impl State {
    /// The series of this name.
    pub(super) fn find(&self, name: &str) -> Option<&Series> {
        self.series.get(*self.numbers.get(name)? as usize)
    }

    /// Every series.
    pub(super) fn series(&self) -> &[Series] {
        &self.series
    }

    /// How far `source` has read.
    pub(super) fn position(&self, source: &str) -> Option<&Value> {
        self.positions.get(source)
    }

    /// Whether a push with this id has been counted.
    pub(super) fn has_seen(&self, id: &str) -> bool {
        self.ids.known.contains(&fingerprint(id))
    }

    /// Lines that could not be read.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The number of a series, which is made if it is new.
    pub(super) fn number(&mut self, name: &str, source: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let wish = self.wishes.get(name).cloned().unwrap_or_default();
        self.number_with(name, source, wish)
    }

    /// The same, kept as closely as `wish` says if it is new.
    pub(super) fn number_with(&mut self, name: &str, source: &str, wish: Wish) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.series.len()).unwrap_or(u32::MAX);
        let mut series = Series::new(name, source, wish);
        series.since = self.since;
        self.series.push(series);
        self.numbers.insert(name.into(), number);
        number
    }

    /// The series with this number, to be changed.
    pub(super) fn series_mut(&mut self, number: u32) -> Option<&mut Series> {
        self.series.get_mut(number as usize)
    }

    /// Counts a commit.
    pub(super) fn take(&mut self, event: Event) {
        for row in event.rows {
            self.take_row(event.seq, &event.source, row);
        }
        if let Some(position) = event.position {
            self.positions.insert(event.source, position);
        }
        if let Some(id) = &event.id {
            self.ids.remember(fingerprint(id));
        }
        self.last_seq = self.last_seq.max(event.seq);
    }

    /// Counts a row of line `seq`.
    pub(super) fn take_row(&mut self, seq: u64, source: &str, row: Row) {
        let number = self.number(&row.series, source);
        let known = self.seeded.holds(seq, row.minute);
        if let Some(series) = self.series.get_mut(number as usize) {
            series.add(&row, known);
        }
        if !known {
            self.open.add(number, &row);
        }
        if let Some(refilling) = &mut self.refilling {
            refilling.push(seq, row);
        }
    }

    /// Takes out what is to be written down: all lines up to `closed.through` are counted.
    pub(super) fn begin_closing(&mut self, closed: Closed) {
        self.abort_closing();
        let taken = self.open.take_before(closed.until);
        self.closing = Some((closed, taken));
    }

    /// What was taken out is written down.
    pub(super) fn end_closing(&mut self) {
        if let Some((closed, taken)) = self.closing.take() {
            self.open.keep_hours_of(&taken, closed.until);
            self.closed = closed;
        }
    }

    /// What was taken out could not be written down.
    pub(super) fn abort_closing(&mut self) {
        if let Some((_, taken)) = self.closing.take() {
            self.open.put_back(taken);
        }
    }

    /// Bytes in use, by our own estimate.
    pub(super) fn bytes(&self) -> usize {
        let series: usize = self.series.iter().map(Series::bytes).sum();
        let names = self.numbers.keys().map(|name| name.len() + 32);
        let closing = self.closing.as_ref().map_or(0, |(_, open)| open.bytes());
        let ids = self.ids.order.capacity() * 16 + self.ids.known.capacity() * 17;
        series + names.sum::<usize>() + self.open.bytes() + closing + ids
    }
}

#[derive(Debug, Default)]
struct Ids {
    order: VecDeque<u128>,
    known: HashSet<u128>,
}

impl Ids {
    fn remember(&mut self, print: u128) {
        if !self.known.insert(print) {
            return;
        }
        self.order.push_back(print);
        if self.order.len() > IDS_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// 128 bits of an id stand for it: no two different ones will ever meet.
fn fingerprint(id: &str) -> u128 {
    let sum = Sha256::digest(id.as_bytes());
    u128::from_le_bytes(sum.first_chunk().copied().unwrap_or_default())
}

/// Commits read from the journal, not yet counted.
#[derive(Debug, Default)]
pub(super) struct Batch {
    events: Vec<Event>,
    skipped: u64,
    last_seq: u64,
}

/// Puts the parts of a commit together.
#[derive(Debug, Default)]
pub(super) struct Parser {
    parts: Parts,
    rows: Vec<Row>,
}

impl Parser {
    /// The commit that is whole with this line, if one is; `Err` for a line that is none of ours.
    pub(super) fn take(&mut self, text: &[u8]) -> Result<Option<Event>, ()> {
        let own = line::parse(text).ok_or(())?;
        if own.kind != COUNTED.as_bytes() {
            return Ok(None);
        }
        let read: LineIn<'_> = serde_json::from_slice(text).map_err(|_| ())?;
        let (place, whole) = self.parts.take(read.part, read.parts);
        match place {
            Place::First => self.rows.clear(),
            Place::Next => {}
            Place::Stray => return Ok(None),
        }
        self.rows.extend(read.rows.iter().map(RowIn::row));
        Ok(whole.then(|| Event {
            seq: read.seq,
            source: read.source.as_ref().into(),
            position: read.position,
            id: read.id.map(|id| id.as_ref().into()),
            rows: std::mem::take(&mut self.rows),
        }))
    }
}

impl View for State {
    const NAME: &'static str = "counts";
    /// Form of the saved state; a plain count of its revisions.
    const VERSION: u32 = 1;
    type Batch = Batch;
    type Parser = Parser;

    fn parser(&self) -> Parser {
        Parser::default()
    }

    fn parse(parser: &mut Parser, lines: &[u8], batch: &mut Batch) {
        let texts = lines.split(|byte| *byte == b'\n');
        for text in texts.filter(|text| !text.is_empty()) {
            match parser.take(text) {
                Ok(event) => batch.events.extend(event),
                Err(()) => batch.skipped += 1,
            }
            if let Some(own) = line::parse(text) {
                batch.last_seq = own.seq;
            }
        }
    }

    fn apply(&mut self, batch: &mut Batch) {
        for event in batch.events.drain(..) {
            self.take(event);
        }
        self.skipped += std::mem::take(&mut batch.skipped);
        self.reached(std::mem::take(&mut batch.last_seq));
    }

    fn last_seq(&self) -> u64 {
        self.last_seq
    }

    fn reached(&mut self, seq: u64) {
        self.last_seq = self.last_seq.max(seq);
    }

    fn save(&self, out: &mut Vec<u8>) {
        put_u64(out, self.last_seq);
        put_u64(out, self.skipped);
        for closed in [self.closed, self.seeded] {
            put_varint(out, closed.through);
            put_varint(out, closed.until.into());
        }
        put_varint(out, self.since.into());
        put_varint(out, self.series.len() as u64);
        for series in &self.series {
            series.save(out);
        }
        put_varint(out, self.positions.len() as u64);
        for (source, position) in &self.positions {
            put_text(out, source);
            put_text(out, &position.to_string());
        }
        put_varint(out, self.ids.order.len() as u64);
        for print in &self.ids.order {
            out.extend_from_slice(&print.to_le_bytes());
        }
        self.open.save(out);
        put_varint(out, u64::from(self.closing.is_some()));
        if let Some((closed, open)) = &self.closing {
            put_varint(out, closed.through);
            put_varint(out, closed.until.into());
            open.save(out);
        }
    }

    fn restore(saved: &mut Reader<'_>) -> Option<Self> {
        let mut state = Self {
            last_seq: saved.u64()?,
            skipped: saved.u64()?,
            closed: take_closed(saved)?,
            seeded: take_closed(saved)?,
            since: u32::try_from(take_varint(saved)?).ok()?,
            ..Self::default()
        };
        for number in 0..take_varint(saved)? {
            let series = Series::restore(saved)?;
            let number = u32::try_from(number).ok()?;
            state.numbers.insert(series.name.clone(), number);
            state.series.push(series);
        }
        for _ in 0..take_varint(saved)? {
            let source = take_text(saved)?.into();
            let position = serde_json::from_str(take_text(saved)?).ok()?;
            state.positions.insert(source, position);
        }
        for _ in 0..take_varint(saved)? {
            let print = u128::from_le_bytes(*saved.take(16)?.first_chunk()?);
            state.ids.remember(print);
        }
        state.open = Open::restore(saved)?;
        if take_varint(saved)? == 1 {
            state.closing = Some((take_closed(saved)?, Open::restore(saved)?));
        }
        Some(state)
    }
}

fn take_closed(saved: &mut Reader<'_>) -> Option<Closed> {
    Some(Closed {
        through: take_varint(saved)?,
        until: u32::try_from(take_varint(saved)?).ok()?,
    })
}
