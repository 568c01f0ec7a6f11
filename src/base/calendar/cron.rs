//! Schedules of five fields, and the search for the local minutes that match them. The search
//! skips by field: a day that does not match costs no look at its minutes, a month none at its
//! days.

use std::fmt;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

use super::error::{CalendarError, quoted};
use super::field::{self, Field};
use crate::base::names;

/// Bytes of a schedule at most: a list of every second minute has 90, all lists together 400.
const MAX_TEXT: usize = 512;

/// Years searched for a match. 29 February falls on a given day of the week at least once in 40
/// years, also around 2100, which has none.
const YEARS: i32 = 41;

/// Bits of the days that a month of 31 days has.
const DAYS: u32 = 0xFFFF_FFFE;

/// Names for common schedules.
const NICKNAMES: [(&str, &str); 5] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
];

/// A schedule: minute, hour, day of month, month, day of week. It matches at least one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: Box<str>,
    minutes: u64,
    hours: u32,
    /// Bits 1..=31.
    days: u32,
    /// Bits 1..=12.
    months: u16,
    /// Bits 0..=6, Sunday first.
    weekdays: u32,
    /// Both day fields are restricted: either may match.
    either_day: bool,
}

impl Cron {
    /// Reads five fields, such as `10 1 * * *`, or `@hourly`, `@daily`, `@weekly`, `@monthly`,
    /// `@yearly`. A field is a list of numbers, ranges (`1-5`), steps (`*/5`, `8-18/2`) and names
    /// (`JAN`, `MON`); 0 and 7 are Sunday. A schedule that never fires is refused.
    pub fn parse(text: &str) -> Result<Self, CalendarError> {
        let text = text.trim_ascii();
        if text.len() > MAX_TEXT {
            let allowed = format!("at most {MAX_TEXT} bytes");
            let hint = "steps such as `*/2` are shorter than lists";
            return Err(CalendarError::new(quoted(text), allowed, hint));
        }
        let spelt = match text.strip_prefix('@') {
            None => text,
            Some(_) => nickname(text)?,
        };
        let fields: Vec<&str> = spelt.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = *fields.as_slice() else {
            return Err(not_five(text, &fields));
        };
        let read = |field: &Field, part: &str| {
            field.parse(part).map_err(|fault| {
                let found = format!("{}, whose {} is {}", quoted(text), field.name, fault.found);
                CalendarError::new(found, fault.allowed, fault.hint)
            })
        };
        let narrow = |set: u64| u32::try_from(set).unwrap_or(u32::MAX);
        let cron = Self {
            text: if text.starts_with('@') {
                text.into()
            } else {
                fields.join(" ").into()
            },
            minutes: read(&field::MINUTE, minute)?,
            hours: narrow(read(&field::HOUR, hour)?),
            days: narrow(read(&field::DAY, day)?),
            months: u16::try_from(read(&field::MONTH, month)?).unwrap_or(u16::MAX),
            weekdays: narrow(read(&field::WEEKDAY, weekday)?),
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        if cron.fires() {
            return Ok(cron);
        }
        let found = format!("{}, whose day never comes in its months", quoted(text));
        let hint = "the last day of any month is not a schedule; `0 0 1 * *` is the day after it";
        Err(CalendarError::new(found, "a day that exists", hint))
    }

    /// Whether any of the months has one of the days; a leap day counts.
    fn fires(&self) -> bool {
        const LONGEST: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let has = |(month, days): (usize, &u32)| {
            self.months & (2 << month) != 0 && self.days & (DAYS >> (31 - days)) != 0
        };
        self.either_day || LONGEST.iter().enumerate().any(has)
    }

    /// The first matching minute at or after `from`, on clocks that never change.
    pub(super) fn at_or_after(&self, from: NaiveDateTime) -> Option<NaiveDateTime> {
        let date = from.date();
        if self.matches(date)
            && let Some(time) = self.time_from(from.hour(), from.minute())
        {
            return date.and_time(time).into();
        }
        let first = self.time_from(0, 0)?;
        Some(self.day_from(date.succ_opt()?)?.and_time(first))
    }

    /// The last matching minute at or before `until`, on clocks that never change.
    pub(super) fn at_or_before(&self, until: NaiveDateTime) -> Option<NaiveDateTime> {
        let date = until.date();
        if self.matches(date)
            && let Some(time) = self.time_until(until.hour(), until.minute())
        {
            return date.and_time(time).into();
        }
        let last = self.time_until(23, 59)?;
        Some(self.day_until(date.pred_opt()?)?.and_time(last))
    }

    fn matches(&self, date: NaiveDate) -> bool {
        self.months & (1 << date.month()) != 0
            && self.days_of(date.year(), date.month()) & (1 << date.day()) != 0
    }

    fn time_from(&self, hour: u32, minute: u32) -> Option<NaiveTime> {
        let minutes = self.minutes & (u64::MAX << minute);
        if self.hours & (1 << hour) != 0 && minutes != 0 {
            return NaiveTime::from_hms_opt(hour, minutes.trailing_zeros(), 0);
        }
        // Hours end at 23: a shift by 24 is none too far.
        let hours = self.hours & (u32::MAX << (hour + 1));
        NaiveTime::from_hms_opt(hours.trailing_zeros(), self.minutes.trailing_zeros(), 0)
    }

    fn time_until(&self, hour: u32, minute: u32) -> Option<NaiveTime> {
        let minutes = self.minutes & (u64::MAX >> (63 - minute));
        if self.hours & (1 << hour) != 0 && minutes != 0 {
            return NaiveTime::from_hms_opt(hour, minutes.ilog2(), 0);
        }
        let hours = self.hours & ((1 << hour) - 1);
        NaiveTime::from_hms_opt(hours.checked_ilog2()?, self.minutes.checked_ilog2()?, 0)
    }

    fn day_from(&self, start: NaiveDate) -> Option<NaiveDate> {
        let (mut year, mut month, mut day) = (start.year(), start.month(), start.day());
        let last_year = year.checked_add(YEARS)?;
        while year <= last_year {
            if self.months & (1 << month) != 0 {
                let days = self.days_of(year, month) & (u32::MAX << day);
                if days != 0 {
                    return NaiveDate::from_ymd_opt(year, month, days.trailing_zeros());
                }
            }
            (month, day) = (month + 1, 1);
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
        None
    }

    fn day_until(&self, end: NaiveDate) -> Option<NaiveDate> {
        let (mut year, mut month, mut day) = (end.year(), end.month(), end.day());
        let first_year = year.checked_sub(YEARS)?;
        while year >= first_year {
            if self.months & (1 << month) != 0 {
                let days = self.days_of(year, month) & (u32::MAX >> (31 - day));
                if days != 0 {
                    return NaiveDate::from_ymd_opt(year, month, days.ilog2());
                }
            }
            (month, day) = (month - 1, 31);
            if month < 1 {
                (year, month) = (year - 1, 12);
            }
        }
        None
    }

    /// The matching days of a month, as bits 1..=31.
    fn days_of(&self, year: i32, month: u32) -> u32 {
        let Some(first) = NaiveDate::from_ymd_opt(year, month, 1) else {
            return 0;
        };
        let length = u32::from(first.num_days_in_month());
        let start = first.weekday().num_days_from_sunday();
        // The week as it lies on the first seven days, then repeated.
        let week = ((self.weekdays >> start) | (self.weekdays << (7 - start))) & 0x7F;
        let weeks = (0..5).fold(0_u64, |days, n| days | u64::from(week) << (1 + 7 * n));
        let weekdays = u32::try_from(weeks & u64::from(DAYS)).unwrap_or_default();
        let days = if self.either_day {
            self.days | weekdays
        } else {
            self.days & weekdays
        };
        days & (DAYS >> (31 - length))
    }
}

/// The whole minute of `at`.
pub(super) fn whole_minute(at: NaiveDateTime) -> Option<NaiveDateTime> {
    at.with_nanosecond(0)?.with_second(0)
}

/// The first whole minute after `at`.
pub(super) fn minute_after(at: NaiveDateTime) -> Option<NaiveDateTime> {
    whole_minute(at)?.checked_add_signed(TimeDelta::minutes(1))
}

fn nickname(text: &str) -> Result<&'static str, CalendarError> {
    let known = NICKNAMES.iter().find(|(name, _)| *name == text);
    known.map(|(_, spelt)| *spelt).ok_or_else(|| {
        let hint = match text {
            "@reboot" => "at the start of the program nothing is due; write an interval".to_owned(),
            "@midnight" => "did you mean `@daily`?".to_owned(),
            "@annually" => "did you mean `@yearly`?".to_owned(),
            _ => match names::nearest(text, NICKNAMES.map(|(name, _)| name)) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "or write five fields: `10 1 * * *` is daily at 01:10".to_owned(),
            },
        };
        let allowed = "one of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`";
        CalendarError::new(quoted(text), allowed, hint)
    })
}

fn not_five(text: &str, fields: &[&str]) -> CalendarError {
    let found = match fields.len() {
        1 => format!("{}, one field", quoted(text)),
        count => format!("{}, {count} fields", quoted(text)),
    };
    let hint = match fields.len() {
        6 => "there is no field for seconds or years; an interval such as `30s` has seconds",
        _ => "`10 1 * * *` is daily at 01:10, `30 0 * * MON` weekly",
    };
    let allowed = "five fields: minute, hour, day of month, month, day of week";
    CalendarError::new(found, allowed, hint)
}

/// As it was written, with single spaces.
impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
