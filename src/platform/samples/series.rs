//! One series: its counts by minute, hour and day, and its durations, each kept as long as it is
//! of use.
//!
//! | kept | counts | durations |
//! |---|---|---|
//! | minutes | 2 to 3 hours; fine series 72 to 73 hours | 2 to 3 hours |
//! | hours | 35 to 36 days | 26 hours; fine series 4 to 5 days |
//! | days | 400 to 425 days | fine series 36 days |

use super::histogram::Histogram;
use super::pack::{put_text, put_varint, take_text, take_varint};
use super::ring::{Keep, Ring};
use super::rows::{Counts, Row};
use super::shelf::Shelf;
use crate::storage::view::Reader;

/// Minutes of an hour.
pub(super) const HOUR: u32 = 60;
/// Minutes of a day.
pub(super) const DAY: u32 = 24 * HOUR;

const LIGHT_MINUTES: Keep = keep(60, 3);
const FINE_MINUTES: Keep = keep(60, 73);
const HOURS: Keep = keep(24, 36);
const DAYS: Keep = keep(25, 17);
const DURATION_MINUTES: Keep = keep(60, 3);
const LIGHT_DURATION_HOURS: Keep = keep(1, 27);
const FINE_DURATION_HOURS: Keep = keep(24, 5);
const FINE_DURATION_DAYS: Keep = keep(1, 36);
const NO_DURATION_DAYS: Keep = keep(1, 0);

const fn keep(per_block: u32, blocks: u32) -> Keep {
    Keep { per_block, blocks }
}

/// How closely a series is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// Minutes for 72 hours rather than two.
    pub(super) fine: bool,
    /// Thresholds in microseconds whose slower samples are counted, sorted.
    pub(super) thresholds: Vec<u64>,
}

impl Wish {
    /// Fine, with these thresholds.
    pub(super) fn of(thresholds_us: &[u64]) -> Self {
        let mut wish = Self::default();
        wish.add(Self {
            fine: true,
            thresholds: thresholds_us.to_vec(),
        });
        wish
    }

    /// Wishes for more.
    pub(super) fn add(&mut self, more: Self) {
        self.fine |= more.fine;
        self.thresholds.extend(more.thresholds);
        self.thresholds.sort_unstable();
        self.thresholds.dedup();
    }

    /// Whether all of `other` is in this.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let known = |threshold| self.thresholds.binary_search(threshold).is_ok();
        self.fine >= other.fine && other.thresholds.iter().all(known)
    }
}

/// Counts by minute, hour and day.
#[derive(Debug, Clone)]
struct Track {
    minutes: Ring,
    hours: Ring,
    days: Ring,
}

impl Track {
    fn new(fine: bool) -> Self {
        let minutes = if fine { FINE_MINUTES } else { LIGHT_MINUTES };
        Self {
            minutes: Ring::new(minutes),
            hours: Ring::new(HOURS),
            days: Ring::new(DAYS),
        }
    }

    /// Sum over the minutes that begin in the range; earlier ones by hours and days whose middle
    /// lies in it.
    fn sum(&self, from: u32, until: u32, since: u32) -> Counts {
        let minutes_from = self.minutes.oldest().max(since);
        let hours_from = self.hours.oldest() * HOUR;
        let mut sum = self.minutes.sum(from.max(minutes_from), until);
        let (first, end) = by_middle(from, until.min(minutes_from), HOUR);
        sum.add(self.hours.sum(first, end));
        let (first, end) = by_middle(from, until.min(hours_from).min(minutes_from), DAY);
        sum.add(self.days.sum(first, end.min(hours_from / DAY)));
        sum
    }

    fn bytes(&self) -> usize {
        self.minutes.bytes() + self.hours.bytes() + self.days.bytes()
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.minutes.save(out);
        self.hours.save(out);
        self.days.save(out);
    }

    fn restore(&mut self, saved: &mut Reader<'_>) -> Option<()> {
        self.minutes.restore(saved)?;
        self.hours.restore(saved)?;
        self.days.restore(saved)
    }
}

/// Slots of `length` minutes whose middle lies in the range of minutes.
fn by_middle(from: u32, until: u32, length: u32) -> (u32, u32) {
    let first = |minute: u32| (minute + length - length / 2 - 1) / length;
    (first(from), first(until).max(first(from)))
}

/// One series.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) name: Box<str>,
    pub(super) source: Box<str>,
    /// First and last minute ever.
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) wish: Wish,
    /// Minutes before this one are not known in full, because the lines that tell of them are gone.
    pub(super) since: u32,
    all: Track,
    /// By threshold as in `wish`: samples of known duration, and how many were slower.
    slower: Vec<Track>,
    minutes: Shelf,
    hours: Shelf,
    days: Shelf,
}

impl Series {
    pub(super) fn new(name: &str, source: &str, wish: Wish) -> Self {
        let fine = wish.fine;
        let hours = if fine {
            FINE_DURATION_HOURS
        } else {
            LIGHT_DURATION_HOURS
        };
        let days = if fine {
            FINE_DURATION_DAYS
        } else {
            NO_DURATION_DAYS
        };
        Self {
            name: name.into(),
            source: source.into(),
            first: u32::MAX,
            last: 0,
            since: 0,
            all: Track::new(fine),
            slower: wish.thresholds.iter().map(|_| Track::new(fine)).collect(),
            wish,
            minutes: Shelf::new(DURATION_MINUTES),
            hours: Shelf::new(hours),
            days: Shelf::new(days),
        }
    }

    /// Counts a row in all its tiers, or in the minutes only where the others know it already.
    pub(super) fn add(&mut self, row: &Row, minutes_only: bool) {
        self.seen(row.minute);
        let minute = row.minute;
        self.each_track(row, |track, counts| track.minutes.add(minute, counts));
        self.minutes.add(minute, &row.durations);
        if !minutes_only {
            self.add_hour(row);
            self.add_day(row);
        }
    }

    /// Counts a row in its hour alone.
    pub(super) fn add_hour(&mut self, row: &Row) {
        self.seen(row.minute);
        let hour = row.minute / HOUR;
        self.each_track(row, |track, counts| track.hours.add(hour, counts));
        self.hours.add(hour, &row.durations);
    }

    /// Counts a row in its day alone.
    pub(super) fn add_day(&mut self, row: &Row) {
        self.seen(row.minute);
        let day = row.minute / DAY;
        self.each_track(row, |track, counts| track.days.add(day, counts));
        if self.wish.fine {
            self.days.add(day, &row.durations);
        }
    }

    fn seen(&mut self, minute: u32) {
        self.first = self.first.min(minute);
        self.last = self.last.max(minute);
    }

    fn each_track(&mut self, row: &Row, add: impl Fn(&mut Track, Counts)) {
        add(&mut self.all, row.counts);
        if self.slower.is_empty() || row.durations.is_empty() {
            return;
        }
        let total = row.durations.count();
        for (threshold, track) in self.wish.thresholds.iter().zip(&mut self.slower) {
            let bad = total - row.durations.below(*threshold);
            add(track, Counts { total, bad });
        }
    }

    /// Samples in a range of minutes.
    pub(super) fn counts(&self, from: u32, until: u32) -> Counts {
        self.all.sum(from, until, self.since)
    }

    /// Samples of known duration in a range of minutes, and those slower than the threshold, if
    /// they are counted.
    pub(super) fn slower(&self, threshold_us: u64, from: u32, until: u32) -> Option<Counts> {
        let place = self.wish.thresholds.binary_search(&threshold_us).ok()?;
        Some(self.slower.get(place)?.sum(from, until, self.since))
    }

    /// Durations in a range of minutes.
    pub(super) fn durations(&self, from: u32, until: u32, sum: &mut Histogram) {
        let minutes_from = self.minutes.oldest().max(self.since);
        self.minutes.sum(from.max(minutes_from), until, sum);
        let (first, end) = by_middle(from, until.min(minutes_from), HOUR);
        self.hours.sum(first, end, sum);
        if self.wish.fine {
            let hours_from = self.hours.oldest();
            let end = until.min(hours_from * HOUR).min(minutes_from);
            let (first, end) = by_middle(from, end, DAY);
            self.days
                .sum(first, end.min(hours_from / (DAY / HOUR)), sum);
        }
    }

    /// Minutes in a range that hold something.
    pub(super) fn minutes(&self, from: u32, until: u32) -> impl Iterator<Item = (u32, Counts)> {
        self.all.minutes.slots(from, until)
    }

    /// Bytes in use, for the estimate of memory.
    pub(super) fn bytes(&self) -> usize {
        let tracks = self.all.bytes() + self.slower.iter().map(Track::bytes).sum::<usize>();
        let shelves = self.minutes.bytes() + self.hours.bytes() + self.days.bytes();
        size_of::<Self>() + self.name.len() + self.source.len() + tracks + shelves
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        put_text(out, &self.name);
        put_text(out, &self.source);
        put_varint(out, u64::from(self.wish.fine));
        put_varint(out, self.wish.thresholds.len() as u64);
        for threshold in &self.wish.thresholds {
            put_varint(out, *threshold);
        }
        put_varint(out, u64::from(self.since));
        put_varint(out, u64::from(self.first));
        put_varint(out, u64::from(self.last));
        self.all.save(out);
        for track in &self.slower {
            track.save(out);
        }
        for shelf in [&self.minutes, &self.hours, &self.days] {
            shelf.save(out);
        }
    }

    pub(super) fn restore(saved: &mut Reader<'_>) -> Option<Self> {
        let (name, source) = (take_text(saved)?, take_text(saved)?);
        let mut wish = Wish {
            fine: take_varint(saved)? == 1,
            thresholds: Vec::new(),
        };
        for _ in 0..take_varint(saved)? {
            wish.thresholds.push(take_varint(saved)?);
        }
        let mut series = Self::new(name, source, wish);
        series.since = u32::try_from(take_varint(saved)?).ok()?;
        series.first = u32::try_from(take_varint(saved)?).ok()?;
        series.last = u32::try_from(take_varint(saved)?).ok()?;
        series.all.restore(saved)?;
        for track in &mut series.slower {
            track.restore(saved)?;
        }
        for shelf in [&mut series.minutes, &mut series.hours, &mut series.days] {
            shelf.restore(saved)?;
        }
        Some(series)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_belongs_to_a_range_by_its_middle() {
        assert_eq!(by_middle(0, 120, HOUR), (0, 2));
        assert_eq!(by_middle(30, 89, HOUR), (0, 1));
        assert_eq!(by_middle(31, 91, HOUR), (1, 2));
        assert_eq!(by_middle(91, 31, HOUR), (2, 2));
        assert_eq!(by_middle(DAY / 2 + 1, 2 * DAY, DAY), (1, 2));
    }

    #[test]
    fn a_span_is_counted_once_whatever_tiers_it_takes() {
        for fine in [false, true] {
            let wish = Wish {
                fine,
                thresholds: vec![500],
            };
            let mut series = Series::new("s", "x", wish);
            let end = 500 * DAY + 700;
            for minute in (end - 60 * DAY..end).step_by(7) {
                let mut durations = Histogram::default();
                durations.add(u64::from(minute % 1000), 2);
                let row = Row {
                    minute,
                    series: "s".into(),
                    counts: Counts { total: 3, bad: 1 },
                    durations,
                };
                series.add(&row, false);
            }
            let all = series.counts(0, u32::MAX);
            assert_eq!(all.total, (60 * u64::from(DAY)).div_ceil(7) * 3);
            // Any cut in two parts gives the whole, and near now it is exact.
            for cut in (end - 55 * DAY..end).step_by(977) {
                let mut sum = series.counts(0, cut);
                sum.add(series.counts(cut, u32::MAX));
                assert_eq!(sum, all, "cut {} minutes before the end", end - cut);
                let slow = series.slower(500, cut, u32::MAX).expect("counted");
                assert_eq!(slow.total * 3, series.counts(cut, u32::MAX).total * 2);
            }
            let exact = if fine { 72 * HOUR } else { 2 * HOUR };
            for span in (0..exact).step_by(13) {
                let truth = (end - 60 * DAY..end)
                    .step_by(7)
                    .filter(|m| *m >= end - span);
                assert_eq!(
                    series.counts(end - span, end).total,
                    truth.count() as u64 * 3
                );
            }
            let mut durations = Histogram::default();
            series.durations(end - 24 * HOUR, end, &mut durations);
            assert!(durations.count().abs_diff(24 * 60 * 2 / 7) < 30);
        }
    }
}
