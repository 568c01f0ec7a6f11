//! Hours and days that have not been written to their journal yet.
//!
//! An hour is open until it is closed. A day that is open holds the hours of it that are closed
//! already; those are many and seldom touched, so they are kept packed.

use std::collections::BTreeMap;

use super::histogram::Histogram;
use super::pack::{put_histogram, put_varint, take_histogram, take_varint};
use super::rows::{Counts, Row};
use super::series::{DAY, HOUR};
use crate::storage::view::Reader;

/// A slot, and the number of a series.
type Key = (u32, u32);

#[derive(Debug, Clone, Default)]
struct Tally {
    counts: Counts,
    durations: Histogram,
}

#[derive(Debug, Clone, Default)]
struct Packed {
    counts: Counts,
    durations: Box<[u8]>,
}

impl Packed {
    fn durations(&self) -> Histogram {
        let mut durations = Histogram::default();
        // Nothing but what was packed here, or nothing at all.
        let _whole = take_histogram(&mut Reader::new(&self.durations), &mut durations);
        durations
    }

    fn add(&mut self, counts: Counts, durations: &Histogram) {
        let mut sum = self.durations();
        sum.merge(durations);
        let mut bytes = Vec::new();
        put_histogram(&mut bytes, &sum);
        self.durations = bytes.into();
        self.counts.add(counts);
    }
}

/// What is not closed.
#[derive(Debug, Clone, Default)]
pub(super) struct Open {
    hours: BTreeMap<Key, Tally>,
    days: BTreeMap<Key, Packed>,
}

impl Open {
    /// Counts a row of the series with this number in its hour.
    pub(super) fn add(&mut self, series: u32, row: &Row) {
        let tally = self.hours.entry((row.minute / HOUR, series)).or_default();
        tally.counts.add(row.counts);
        tally.durations.merge(&row.durations);
    }

    /// Counts a closed hour in its day.
    pub(super) fn add_day(&mut self, series: u32, row: &Row) {
        let packed = self.days.entry((row.minute / DAY, series)).or_default();
        packed.add(row.counts, &row.durations);
    }

    /// Whether an hour that ends by minute `until` is open.
    pub(super) fn is_due(&self, until: u32) -> bool {
        let first = self.hours.first_key_value();
        first.is_some_and(|((hour, _), _)| *hour < until / HOUR)
    }

    /// Takes out what ends by minute `until`, the beginning of an hour.
    pub(super) fn take_before(&mut self, until: u32) -> Self {
        let later = self.hours.split_off(&(until / HOUR, 0));
        Self {
            hours: std::mem::replace(&mut self.hours, later),
            days: self.take_days_before(until),
        }
    }

    fn take_days_before(&mut self, until: u32) -> BTreeMap<Key, Packed> {
        let later = self.days.split_off(&(until / DAY, 0));
        std::mem::replace(&mut self.days, later)
    }

    /// Forgets the days that end by minute `until`.
    pub(super) fn drop_days_before(&mut self, until: u32) {
        drop(self.take_days_before(until));
    }

    /// Puts back what was taken out.
    pub(super) fn put_back(&mut self, taken: Self) {
        for (key, tally) in taken.hours {
            let mine = self.hours.entry(key).or_default();
            mine.counts.add(tally.counts);
            mine.durations.merge(&tally.durations);
        }
        for (key, packed) in taken.days {
            let mine = self.days.entry(key).or_default();
            mine.add(packed.counts, &packed.durations());
        }
    }

    /// Counts the hours of `closed`, taken out before minute `until`, in days that stay open.
    pub(super) fn keep_hours_of(&mut self, closed: &Self, until: u32) {
        let open_from = until / DAY * DAY;
        for (series, row) in closed.hours().filter(|(_, row)| row.minute >= open_from) {
            self.add_day(series, &row);
        }
    }

    /// The hours as rows, with the number of their series; its name is not known here.
    pub(super) fn hours(&self) -> impl Iterator<Item = (u32, Row)> {
        let rows = self.hours.iter();
        rows.map(|((hour, series), tally)| {
            (
                *series,
                row(hour * HOUR, tally.counts, tally.durations.clone()),
            )
        })
    }

    /// The days as rows, like [`Open::hours`].
    pub(super) fn days(&self) -> impl Iterator<Item = (u32, Row)> {
        let rows = self.days.iter();
        rows.map(|((day, series), packed)| {
            (*series, row(day * DAY, packed.counts, packed.durations()))
        })
    }

    /// The days that end by minute `until` as they are to be closed: with the hours of them that
    /// are here.
    pub(super) fn whole_days(&self, until: u32) -> Self {
        let mut days = Self::default();
        let here = self.hours().chain(self.days());
        for (series, row) in here.filter(|(_, row)| row.minute < until / DAY * DAY) {
            days.add_day(series, &row);
        }
        days
    }

    /// Bytes in use, for the estimate of memory.
    pub(super) fn bytes(&self) -> usize {
        let hour = |tally: &Tally| size_of::<(Key, Tally)>() + tally.durations.bytes();
        let day = |packed: &Packed| size_of::<(Key, Packed)>() + packed.durations.len();
        let hours: usize = self.hours.values().map(hour).sum();
        hours + self.days.values().map(day).sum::<usize>()
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        let hours: Vec<_> = self.hours().collect();
        let days: Vec<_> = self.days().collect();
        for rows in [hours, days] {
            put_varint(out, rows.len() as u64);
            for (series, row) in rows {
                put_varint(out, u64::from(row.minute));
                put_varint(out, u64::from(series));
                put_varint(out, row.counts.total);
                put_varint(out, row.counts.bad);
                put_histogram(out, &row.durations);
            }
        }
    }

    pub(super) fn restore(saved: &mut Reader<'_>) -> Option<Self> {
        let mut open = Self::default();
        for add in [Self::add, Self::add_day] {
            for _ in 0..take_varint(saved)? {
                let minute = u32::try_from(take_varint(saved)?).ok()?;
                let series = u32::try_from(take_varint(saved)?).ok()?;
                let (total, bad) = (take_varint(saved)?, take_varint(saved)?);
                let mut durations = Histogram::default();
                take_histogram(saved, &mut durations)?;
                let row = row(minute, Counts { total, bad }, durations);
                add(&mut open, series, &row);
            }
        }
        Some(open)
    }
}

fn row(minute: u32, counts: Counts, durations: Histogram) -> Row {
    Row {
        minute,
        series: Box::default(),
        counts,
        durations,
    }
}
