//! Hours and days that have not been written to their journal yet.

use std::collections::BTreeMap;

use super::histogram::Histogram;
use super::pack::{put_histogram, put_varint, take_histogram, take_varint};
use super::rows::{Counts, Row};
use super::series::{DAY, HOUR};
use crate::storage::view::Reader;

/// By slot and number of the series.
type Tallies = BTreeMap<(u32, u32), Tally>;

#[derive(Debug, Clone, Default)]
struct Tally {
    counts: Counts,
    durations: Histogram,
}

/// What is not closed.
#[derive(Debug, Clone, Default)]
pub(super) struct Open {
    hours: Tallies,
    days: Tallies,
}

impl Open {
    /// Counts a row of the series with this number.
    pub(super) fn add(&mut self, series: u32, row: &Row) {
        add(
            &mut self.hours,
            (row.minute / HOUR, series),
            row.counts,
            &row.durations,
        );
        self.add_day(series, row);
    }

    /// Counts a row in its day alone.
    pub(super) fn add_day(&mut self, series: u32, row: &Row) {
        add(
            &mut self.days,
            (row.minute / DAY, series),
            row.counts,
            &row.durations,
        );
    }

    /// Whether an hour that ends by minute `until` is open.
    pub(super) fn is_due(&self, until: u32) -> bool {
        let first = self.hours.first_key_value();
        first.is_some_and(|((hour, _), _)| *hour < until / HOUR)
    }

    /// Takes out what ends by minute `until`, the beginning of an hour.
    pub(super) fn take_before(&mut self, until: u32) -> Self {
        let later = self.hours.split_off(&(until / HOUR, 0));
        let hours = std::mem::replace(&mut self.hours, later);
        let days = self.take_days_before(until);
        Self { hours, days }
    }

    fn take_days_before(&mut self, until: u32) -> Tallies {
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
            add(&mut self.hours, key, tally.counts, &tally.durations);
        }
        for (key, tally) in taken.days {
            add(&mut self.days, key, tally.counts, &tally.durations);
        }
    }

    /// The hours as rows, with the number of their series.
    pub(super) fn hours(&self) -> impl Iterator<Item = (u32, Row)> {
        rows(&self.hours, HOUR)
    }

    /// The days as rows, with the number of their series.
    pub(super) fn days(&self) -> impl Iterator<Item = (u32, Row)> {
        rows(&self.days, DAY)
    }

    /// Bytes in use, for the estimate of memory.
    pub(super) fn bytes(&self) -> usize {
        let one = |tally: &Tally| size_of::<((u32, u32), Tally)>() + tally.durations.bytes();
        self.hours.values().chain(self.days.values()).map(one).sum()
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        for tallies in [&self.hours, &self.days] {
            put_varint(out, tallies.len() as u64);
            for ((slot, series), tally) in tallies {
                put_varint(out, u64::from(*slot));
                put_varint(out, u64::from(*series));
                put_varint(out, tally.counts.total);
                put_varint(out, tally.counts.bad);
                put_histogram(out, &tally.durations);
            }
        }
    }

    pub(super) fn restore(saved: &mut Reader<'_>) -> Option<Self> {
        let mut open = Self::default();
        for tallies in [&mut open.hours, &mut open.days] {
            for _ in 0..take_varint(saved)? {
                let slot = u32::try_from(take_varint(saved)?).ok()?;
                let series = u32::try_from(take_varint(saved)?).ok()?;
                let mut tally = Tally::default();
                tally.counts.total = take_varint(saved)?;
                tally.counts.bad = take_varint(saved)?;
                take_histogram(saved, &mut tally.durations)?;
                tallies.insert((slot, series), tally);
            }
        }
        Some(open)
    }
}

fn add(tallies: &mut Tallies, key: (u32, u32), counts: Counts, durations: &Histogram) {
    let tally = tallies.entry(key).or_default();
    tally.counts.add(counts);
    tally.durations.merge(durations);
}

/// The name of a row's series is known by its number only.
fn rows(tallies: &Tallies, length: u32) -> impl Iterator<Item = (u32, Row)> {
    tallies.iter().map(move |((slot, series), tally)| {
        let row = Row {
            minute: slot * length,
            series: Box::default(),
            counts: tally.counts,
            durations: tally.durations.clone(),
        };
        (*series, row)
    })
}
