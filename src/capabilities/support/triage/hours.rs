//! Business hours: the time that counts against a deadline. Openings are local times of a zone, so
//! a day on which clocks change is as long as its clocks show.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

use crate::base::calendar::{TimeOfDay, Weekdays, Zone};

/// Days of one timetable at most (our own choice): older mails count from its first day.
const MOST_DAYS: u64 = 1_100;
/// Minutes searched for the end of a change of clocks; none has left out more than a day.
const LONGEST_CHANGE: i64 = 24 * 60;

/// One opening time on some days of the week.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    /// On which days.
    pub(super) days: Weekdays,
    /// From.
    pub(super) start: TimeOfDay,
    /// Up to; none is the end of the day.
    pub(super) end: Option<TimeOfDay>,
}

/// When answers are given.
#[derive(Debug, Clone)]
pub(super) struct Hours {
    zone: Zone,
    openings: Vec<Opening>,
    holidays: Vec<NaiveDate>,
}

impl Hours {
    /// Without any opening it is open day and night, holidays or not.
    pub(super) fn new(zone: Zone, openings: Vec<Opening>, holidays: Vec<NaiveDate>) -> Self {
        Self {
            zone,
            openings,
            holidays,
        }
    }

    /// The day on these clocks.
    pub(super) fn day_of(&self, at: DateTime<Utc>) -> NaiveDate {
        self.zone
            .local(at)
            .map_or_else(|| at.date_naive(), |local| local.date())
    }

    /// All opening times from `from` until `until`, at most three years of them.
    pub(super) fn timetable(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Timetable {
        let mut spans: Vec<(DateTime<Utc>, DateTime<Utc>)> = Vec::new();
        let oldest = until - TimeDelta::days(MOST_DAYS.cast_signed());
        let from = from.max(oldest).min(until);
        if self.openings.is_empty() {
            spans.push((from, until));
            return Timetable::new(spans);
        }
        let last = self.day_of(until);
        let days = self.day_of(from).iter_days().take_while(|day| *day <= last);
        for day in days.filter(|day| !self.holidays.contains(day)) {
            for opening in self.openings.iter().filter(|opening| opening.days.has(day)) {
                spans.extend(self.span(day, opening));
            }
        }
        Timetable::new(spans)
    }

    fn span(&self, day: NaiveDate, opening: &Opening) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let start = self.instant(opening.start.on(day))?;
        let end = match opening.end {
            Some(end) => self.instant(end.on(day))?,
            None => self.instant(day.checked_add_days(Days::new(1))?.and_time(NaiveTime::MIN))?,
        };
        (start < end).then_some((start, end))
    }

    /// When clocks show `local`, or go on where they leave it out.
    fn instant(&self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        (0..=LONGEST_CHANGE)
            .filter_map(|minutes| local.checked_add_signed(TimeDelta::minutes(minutes)))
            .find_map(|local| self.zone.first(local))
    }
}

/// Opening times in their order, with the time that each begins at if only they were counted.
#[derive(Debug)]
pub(super) struct Timetable {
    spans: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    /// Open seconds before each span.
    before: Vec<i64>,
}

impl Timetable {
    fn new(mut spans: Vec<(DateTime<Utc>, DateTime<Utc>)>) -> Self {
        spans.sort_unstable();
        // Openings that overlap count once.
        let mut merged: Vec<(DateTime<Utc>, DateTime<Utc>)> = Vec::with_capacity(spans.len());
        for (start, end) in spans {
            match merged.last_mut() {
                Some((_, last)) if start <= *last => *last = end.max(*last),
                _ => merged.push((start, end)),
            }
        }
        let mut sum = 0;
        let before = merged.iter().map(|(start, end)| {
            let here = sum;
            sum += (*end - *start).num_seconds();
            here
        });
        Self {
            before: before.collect(),
            spans: merged,
        }
    }

    /// Open seconds up to `at`.
    fn count(&self, at: DateTime<Utc>) -> i64 {
        let next = self.spans.partition_point(|(start, _)| *start <= at);
        let Some(last) = next.checked_sub(1) else {
            return 0;
        };
        match (self.spans.get(last), self.before.get(last)) {
            (Some((start, end)), Some(before)) => before + (at.min(*end) - *start).num_seconds(),
            _ => 0,
        }
    }

    /// Open time from `from` to `to`.
    pub(super) fn between(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> TimeDelta {
        TimeDelta::seconds((self.count(to) - self.count(from)).max(0))
    }

    /// When `length` of open time after `from` has passed; none where the timetable ends before.
    pub(super) fn after(&self, from: DateTime<Utc>, length: TimeDelta) -> Option<DateTime<Utc>> {
        let goal = self.count(from) + length.num_seconds();
        let next = self.before.partition_point(|before| *before < goal);
        let at = next.checked_sub(1)?;
        let (start, end) = self.spans.get(at)?;
        let due = *start + TimeDelta::seconds(goal - self.before.get(at)?);
        (due <= *end).then_some(due)
    }
}
