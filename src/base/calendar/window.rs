//! Windows: maintenance and quiet hours. A window opens on some days of the week at a time of day
//! on the clocks of a zone, and stays open for a span of real time, whatever clocks do meanwhile.
//! An opening that clocks leave out is not lost, as a fire time would be: it opens when they go on.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

use super::error::{CalendarError, quoted};
use super::field::WEEKDAY;
use super::span::Span;
use super::zone::Zone;

/// Seconds of the longest window, a week: longer ones of the same day would touch each other.
const LONGEST_SECS: u64 = 7 * 86_400;

/// Minutes searched for the end of a change of clocks: some have left out a whole day.
const LONGEST_CHANGE: i64 = 24 * 60;

/// Names of the days for people, Sunday first.
const NAMES: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Some days of the week, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weekdays(u8);

impl Weekdays {
    /// Every day.
    pub const ALL: Self = Self(0x7F);

    /// Reads `mon-fri`, `sat,sun`, `*`, as the last field of a schedule.
    pub fn parse(text: &str) -> Result<Self, CalendarError> {
        let set = WEEKDAY.parse(text.trim_ascii()).map_err(|fault| {
            let hint = match text {
                "" => "`*` is every day".to_owned(),
                _ => fault.hint,
            };
            CalendarError::new(quoted(text), fault.allowed, hint)
        })?;
        Ok(Self(u8::try_from(set).unwrap_or(0x7F)))
    }

    /// Whether `date` is one of them.
    pub fn has(self, date: NaiveDate) -> bool {
        self.0 & (1 << date.weekday().num_days_from_sunday()) != 0
    }
}

/// `mon-fri,sun`; every day is `*`.
impl fmt::Display for Weekdays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("*");
        }
        let mut parts: Vec<(usize, usize)> = Vec::new();
        // Sunday last, so that a weekend is one range.
        for day in (1..=7).filter(|day| self.0 & (1 << (day % 7)) != 0) {
            match parts.last_mut() {
                Some((_, last)) if *last + 1 == day => *last = day,
                _ => parts.push((day, day)),
            }
        }
        for (at, (first, last)) in parts.into_iter().enumerate() {
            let name = |day: usize| NAMES.get(day % 7).copied().unwrap_or_default();
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{}", name(first))?;
            if last > first {
                let joint = if last == first + 1 { ',' } else { '-' };
                write!(f, "{joint}{}", name(last))?;
            }
        }
        Ok(())
    }
}

/// A time of day, to the minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(NaiveTime);

impl TimeOfDay {
    /// Reads `hh:mm`, 00:00 to 23:59.
    pub fn parse(text: &str) -> Result<Self, CalendarError> {
        let part = |text: &str, places: std::ops::Range<usize>| {
            let digits = text.get(places)?;
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten()
        };
        let read = || {
            let whole = text.len() == 5 && text.get(2..3) == Some(":");
            let (hour, minute) = (part(text, 0..2)?, part(text, 3..5)?);
            whole
                .then(|| NaiveTime::from_hms_opt(hour, minute, 0))
                .flatten()
        };
        read().map(Self).ok_or_else(|| {
            let hint = match text {
                "24:00" => "midnight is 00:00 of the next day",
                _ => "two digits each, such as 07:30",
            };
            CalendarError::new(quoted(text), "a time of day, 00:00..=23:59", hint)
        })
    }

    /// This time on the clocks of `date`.
    pub fn on(self, date: NaiveDate) -> NaiveDateTime {
        date.and_time(self.0)
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%H:%M"))
    }
}

/// Maintenance or quiet hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    days: Weekdays,
    start: TimeOfDay,
    length: Span,
    zone: Zone,
}

impl Window {
    /// Opens on `days` at `start` on the clocks of `zone`, for `length` of 1 m..=7 d.
    pub fn new(
        days: Weekdays,
        start: TimeOfDay,
        length: Span,
        zone: Zone,
    ) -> Result<Self, CalendarError> {
        if !(60..=LONGEST_SECS).contains(&length.as_secs()) {
            let hint = "the length is real time from its start, such as 2h";
            return Err(CalendarError::new(
                quoted(&length.to_string()),
                "1m..=7d",
                hint,
            ));
        }
        Ok(Self {
            days,
            start,
            length,
            zone,
        })
    }

    /// Whether it is open at `at`; its end is not part of it.
    pub fn contains(&self, at: DateTime<Utc>) -> bool {
        self.open_at(at).is_some()
    }

    /// From when to when it is open, if it is open at `at`: of several, the one that ends last.
    pub fn open_at(&self, at: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let first = at.checked_sub_signed(self.length.as_delta())?;
        // A start that clocks leave out comes later, on the next date if that was a whole day.
        let oldest = self.zone.local(first)?.date().pred_opt()?;
        let newest = self.zone.high_water(at)?.date();
        let open = |start: &DateTime<Utc>| *start <= at && at < *start + self.length.as_delta();
        std::iter::successors(Some(newest), NaiveDate::pred_opt)
            .take_while(|date| *date >= oldest)
            .filter_map(|date| self.start_on(date))
            .find(open)
            .map(|start| (start, start + self.length.as_delta()))
    }

    /// When it opens next after `after`.
    pub fn next_start(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // A week and a day: the start of today may have been, and a day may be left out.
        self.zone
            .local(after)?
            .date()
            .iter_days()
            .take(9)
            .filter_map(|date| self.start_on(date))
            .find(|start| *start > after)
    }

    /// When it opens on `date`, if it does.
    fn start_on(&self, date: NaiveDate) -> Option<DateTime<Utc>> {
        let local = self.days.has(date).then(|| date.and_time(self.start.0))?;
        (0..=LONGEST_CHANGE)
            .filter_map(|minutes| local.checked_add_signed(TimeDelta::minutes(minutes)))
            .find_map(|local| self.zone.first(local))
    }
}

/// `mon-fri 22:00 for 9h Europe/London`.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            days,
            start,
            length,
            zone,
        } = self;
        write!(f, "{days} {start} for {length} {zone}")
    }
}
