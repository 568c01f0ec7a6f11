//! What is new: samples counted by minute and series, on their way into the store.
//!
//! A minute is named by its number since 1970-01-01 00:00 UTC; leap seconds do not exist there.

use std::hash::{BuildHasher, RandomState};

use chrono::{DateTime, Utc};
use hashbrown::HashTable;

use super::histogram::Histogram;

/// How many samples there were, and how many of them were bad.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub total: u64,
    /// Those that count as failed.
    pub bad: u64,
}

impl Counts {
    /// Adds `more`, up to the greatest number there is.
    pub fn add(&mut self, more: Self) {
        self.total = self.total.saturating_add(more.total);
        self.bad = self.bad.saturating_add(more.bad);
    }

    /// Share of bad ones; `None` without any sample.
    pub fn bad_ratio(self) -> Option<f64> {
        (self.total > 0).then(|| self.bad as f64 / self.total as f64)
    }
}

/// Samples of one series in one minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Minutes since 1970-01-01 00:00 UTC.
    pub minute: u32,
    /// What was sampled, such as `nginx` or `probe:home`.
    pub series: Box<str>,
    /// How many.
    pub counts: Counts,
    /// How long those took whose duration is known.
    pub durations: Histogram,
}

/// The minute that an instant lies in; instants before 1970 lie in the first.
pub fn minute_of(at: DateTime<Utc>) -> u32 {
    let minute = at.timestamp().div_euclid(60).max(0);
    u32::try_from(minute).unwrap_or(u32::MAX)
}

/// When a minute begins.
pub fn minute_start(minute: u32) -> DateTime<Utc> {
    DateTime::from_timestamp(i64::from(minute) * 60, 0).unwrap_or_default()
}

/// Rows, at most one for each minute of a series.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    list: Vec<Row>,
    index: HashTable<u32>,
    hasher: RandomState,
    last: usize,
}

impl Rows {
    /// No rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts `n` samples of `series` at `at`, `bad` of them bad, each of which took `duration_us`
    /// microseconds if that is known. More bad ones than samples are as many as samples.
    pub fn add(
        &mut self,
        series: &str,
        at: DateTime<Utc>,
        n: u64,
        bad: u64,
        duration_us: Option<u64>,
    ) {
        if n == 0 {
            return;
        }
        let row = self.row(minute_of(at), series);
        row.counts.add(Counts {
            total: n,
            bad: bad.min(n),
        });
        if let Some(micros) = duration_us {
            row.durations.add(micros, n);
        }
    }

    /// Adds a whole row.
    pub fn add_row(&mut self, more: &Row) {
        let row = self.row(more.minute, &more.series);
        row.counts.add(more.counts);
        row.durations.merge(&more.durations);
    }

    /// Adds all that `other` counts.
    pub fn merge(&mut self, other: &Self) {
        for row in &other.list {
            self.add_row(row);
        }
    }

    /// Whether there is nothing new.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The rows, in the order in which they began.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Row> {
        self.list.iter()
    }

    /// The rows themselves.
    pub fn into_list(self) -> Vec<Row> {
        self.list
    }

    /// Gives up the oldest minutes until at most `most` rows are left, and says how many samples
    /// they held.
    pub(super) fn keep_newest(&mut self, most: usize) -> u64 {
        let mut minutes: Vec<u32> = self.list.iter().map(|row| row.minute).collect();
        minutes.sort_unstable_by_key(|minute| std::cmp::Reverse(*minute));
        let Some(first_gone) = minutes.get(most).copied() else {
            return 0;
        };
        self.refuse(|row| row.minute <= first_gone)
    }

    /// Takes out the rows that `unwanted` names, and says how many samples they held.
    pub fn refuse(&mut self, unwanted: impl Fn(&Row) -> bool) -> u64 {
        if !self.list.iter().any(&unwanted) {
            return 0;
        }
        let mut refused = 0_u64;
        for row in std::mem::take(self).list {
            if unwanted(&row) {
                refused = refused.saturating_add(row.counts.total);
            } else {
                self.add_row(&row);
            }
        }
        refused
    }

    fn row(&mut self, minute: u32, series: &str) -> &mut Row {
        let same = |row: &Row| row.minute == minute && *row.series == *series;
        if !self.list.get(self.last).is_some_and(same) {
            self.last = self.slot(minute, series);
        }
        &mut self.list[self.last]
    }

    fn slot(&mut self, minute: u32, series: &str) -> usize {
        let (rows, hasher) = (&self.list, &self.hasher);
        let hash = hasher.hash_one((minute, series));
        let same = |at: &u32| {
            let row = &rows[*at as usize];
            row.minute == minute && *row.series == *series
        };
        if let Some(found) = self.index.find(hash, same) {
            return *found as usize;
        }
        let place = self.list.len();
        self.list.push(Row {
            minute,
            series: series.into(),
            counts: Counts::default(),
            durations: Histogram::default(),
        });
        let rows = &self.list;
        let rehash = |at: &u32| {
            let row = &rows[*at as usize];
            hasher.hash_one((row.minute, &*row.series))
        };
        let number = u32::try_from(place).unwrap_or(u32::MAX);
        self.index.insert_unique(hash, number, rehash);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("an instant")
    }

    #[test]
    fn samples_fall_into_their_minute_and_series() {
        let mut rows = Rows::new();
        let (early, late) = (at("2026-11-21T09:15:59.999Z"), at("2026-11-21T09:16:00Z"));
        rows.add("a", early, 1, 0, Some(10));
        rows.add("b", early, 2, 5, None);
        rows.add("a", late, 1, 1, Some(20));
        rows.add("a", early, 3, 1, Some(30));
        rows.add("a", early, 0, 0, Some(99));
        let found: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    &*row.series,
                    row.counts.total,
                    row.counts.bad,
                    row.durations.max(),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("a", 4, 1, Some(30)),
                ("b", 2, 2, None),
                ("a", 1, 1, Some(20))
            ]
        );
        assert_eq!(
            minute_start(rows.iter().next().expect("a row").minute),
            at("2026-11-21T09:15:00Z")
        );
    }

    #[test]
    fn merged_rows_count_as_if_they_had_been_added_to_one() {
        let (mut one, mut left, mut right) = (Rows::new(), Rows::new(), Rows::new());
        for step in 0..1000_i64 {
            let when = at("2026-11-21T09:15:00Z") + chrono::TimeDelta::seconds(step * 7 % 600);
            let series = ["x", "y", "z"][usize::try_from(step % 3).expect("small")];
            let (bad, took) = (u64::from(step % 11 == 0), Some(step.unsigned_abs() * 31));
            one.add(series, when, 1, bad, took);
            let half = if step % 2 == 0 { &mut left } else { &mut right };
            half.add(series, when, 1, bad, took);
        }
        left.merge(&right);
        let sorted = |rows: &Rows| {
            let mut all: Vec<Row> = rows.iter().cloned().collect();
            all.sort_by(|a, b| (a.minute, &a.series).cmp(&(b.minute, &b.series)));
            all
        };
        assert_eq!(sorted(&left), sorted(&one));
        assert_eq!(left.refuse(|row| &*row.series == "x"), 334);
        assert!(left.iter().all(|row| &*row.series != "x"));
    }
}
