//! When something recurs: every span, or by a schedule on the clocks of a zone. See the module's
//! header for what happens on the days on which clocks change.

use std::fmt;

use chrono::{DateTime, Datelike, TimeDelta, Utc};

use super::cron::{Cron, minute_after, whole_minute};
use super::error::{CalendarError, quoted};
use super::span::Span;
use super::zone::Zone;

/// Seconds of the longest interval, a leap year.
const LONGEST_SECS: u64 = 366 * 86_400;

/// Fire times of a schedule that are counted at most: a week of every minute.
const MOST_COUNTED: usize = 10_080;

/// Years after or before an instant in which a fire time is looked for: see `cron::YEARS`.
const YEARS: i32 = 41;

/// When something recurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cadence(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// 1 s..=366 d.
    Every(Span),
    Cron {
        cron: Cron,
        zone: Zone,
    },
}

/// The fire times of some period.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fires {
    /// The newest ones, in order of time.
    pub newest: Vec<DateTime<Utc>>,
    /// How many there are in all.
    pub count: u64,
    /// There are more than `count`: counting stopped.
    pub and_more: bool,
}

impl Cadence {
    /// Every `span`, of 1 s..=366 d, on its multiples since 1970-01-01T00:00Z.
    pub fn every(span: Span) -> Result<Self, CalendarError> {
        if (1..=LONGEST_SECS).contains(&span.as_secs()) {
            return Ok(Self(Kind::Every(span)));
        }
        let hint = "a schedule such as `0 4 1 1 *` recurs yearly";
        Err(CalendarError::new(
            quoted(&span.to_string()),
            "1s..=366d",
            hint,
        ))
    }

    /// By `cron` on the clocks of `zone`.
    pub fn cron(cron: Cron, zone: Zone) -> Self {
        Self(Kind::Cron { cron, zone })
    }

    /// Reads an interval, `5m`, or a schedule with or without its zone: `10 1 * * *`,
    /// `0 9 * * SUN Europe/London`. Without one it is UTC.
    pub fn parse(text: &str) -> Result<Self, CalendarError> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let fields = match words.first() {
            Some(first) if first.starts_with('@') => 1,
            _ => 5,
        };
        match words.as_slice() {
            [span] if fields == 5 => Self::every(Span::parse(span).map_err(|mut error| {
                error.allowed = "an interval such as `5m` or a schedule of five fields".into();
                error
            })?),
            [cron @ .., zone] if words.len() == fields + 1 && !looks_like_field(zone) => {
                let (cron, zone) = (Cron::parse(&cron.join(" "))?, Zone::parse(zone)?);
                Ok(Self::cron(cron, zone))
            }
            _ => Ok(Self::cron(Cron::parse(text)?, Zone::UTC)),
        }
    }

    /// Reads a text that is part of the program.
    ///
    /// # Panics
    /// If [`Cadence::parse`] refuses it: only a bug writes one.
    pub fn fixed(text: &'static str) -> Self {
        let read = Self::parse(text);
        assert!(read.is_ok(), "the program's own cadence `{text}`: {read:?}");
        read.unwrap_or(Self(Kind::Every(Span::secs(LONGEST_SECS))))
    }

    /// The first fire time after `after`. None only at the end of the calendar.
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.0 {
            Kind::Every(span) => on_grid(*span, grid(*span, after).checked_add(1)?),
            Kind::Cron { cron, zone } => {
                let local = zone.local(after)?;
                let last_year = local.year().checked_add(YEARS)?;
                let mut from = minute_after(local)?;
                loop {
                    from = cron.at_or_after(from).filter(|at| at.year() <= last_year)?;
                    // Left out by the clocks, or within a repeated hour and had already.
                    if let Some(at) = zone.first(from).filter(|at| *at > after) {
                        return Some(at);
                    }
                    from = minute_after(from)?;
                }
            }
        }
    }

    /// The last fire time at or before `at`. None only at the start of the calendar.
    pub fn last_at_or_before(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.0 {
            Kind::Every(span) => on_grid(*span, grid(*span, at)),
            Kind::Cron { cron, zone } => {
                // Within a repeated hour, what the first one showed after this minute has been.
                let local = zone.high_water(at)?;
                let first_year = local.year().checked_sub(YEARS)?;
                let mut until = whole_minute(local)?;
                loop {
                    until = cron
                        .at_or_before(until)
                        .filter(|at| at.year() >= first_year)?;
                    if let Some(fired) = zone.first(until).filter(|fired| *fired <= at) {
                        return Some(fired);
                    }
                    until = until.checked_sub_signed(TimeDelta::minutes(1))?;
                }
            }
        }
    }

    /// The fire times after `after`, in order, without end.
    pub fn fires_after(&self, after: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> + '_ {
        std::iter::successors(self.next_after(after), |at| self.next_after(*at))
    }

    /// The fire times after `after` up to and including `until`: the newest `most` of them, and
    /// how many there are. Those of a schedule are counted up to a bound only.
    pub fn fires_between(&self, after: DateTime<Utc>, until: DateTime<Utc>, most: usize) -> Fires {
        let mut newest = self.fires_back(until).take_while(|at| *at > after);
        let mut fires = Fires {
            newest: newest.by_ref().take(most).collect(),
            ..Fires::default()
        };
        fires.newest.reverse();
        let shown = fires.newest.len();
        if let Kind::Every(span) = &self.0 {
            let count = grid(*span, until).saturating_sub(grid(*span, after));
            fires.count = u64::try_from(count).unwrap_or_default();
        } else {
            let older = MOST_COUNTED.saturating_sub(shown);
            let counted = shown + newest.by_ref().take(older).count();
            fires.count = u64::try_from(counted).unwrap_or(u64::MAX);
            fires.and_more = newest.next().is_some();
        }
        fires
    }

    /// The fire times up to and including `until`, the newest first.
    fn fires_back(&self, until: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> + '_ {
        std::iter::successors(self.last_at_or_before(until), |at| {
            self.last_at_or_before(at.checked_sub_signed(TimeDelta::nanoseconds(1))?)
        })
    }

    /// The interval, if it is one.
    pub fn interval(&self) -> Option<Span> {
        match self.0 {
            Kind::Every(span) => Some(span),
            Kind::Cron { .. } => None,
        }
    }

    /// The zone by whose clocks it goes; UTC for an interval.
    pub fn zone(&self) -> Zone {
        match self.0 {
            Kind::Every(_) => Zone::UTC,
            Kind::Cron { zone, .. } => zone,
        }
    }
}

/// How many times `span` fits between 1970 and `at`.
fn grid(span: Span, at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(whole(span))
}

fn on_grid(span: Span, times: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(times.checked_mul(whole(span))?, 0)
}

/// Seconds of an interval, at least one.
fn whole(span: Span) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX).max(1)
}

/// Whether a sixth word is a field too many rather than a zone, which begins with a letter.
fn looks_like_field(word: &str) -> bool {
    !word.starts_with(|first: char| first.is_ascii_alphabetic())
        || ["JAN", "MON", "SUN"].contains(&word)
}

/// As [`Cadence::parse`] reads it; UTC goes without saying.
impl fmt::Display for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Every(span) => span.fmt(f),
            Kind::Cron { cron, zone } if *zone == Zone::UTC => cron.fmt(f),
            Kind::Cron { cron, zone } => write!(f, "{cron} {zone}"),
        }
    }
}
