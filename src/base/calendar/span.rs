//! Spans as people write them: `30s`, `5m`, `6h`, `2d`. Whole seconds, one number, one unit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::error::{CalendarError, quoted};

/// Units, the largest first, each with its seconds. Months and years differ in length: none.
const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

/// Seconds that a span may have at most, 100 years: no sum with an instant of today overflows.
const MOST_SECS: u64 = 36_525 * 86_400;

/// A length of time in whole seconds, at most 100 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

impl Span {
    /// A span of `secs` seconds; more than 100 years become 100 years.
    pub const fn secs(secs: u64) -> Self {
        Self(if secs > MOST_SECS { MOST_SECS } else { secs })
    }

    /// Reads `90s`, `15m`, `2h`, `7d`. A number without a unit is refused, for it could be any.
    pub fn parse(text: &str) -> Result<Self, CalendarError> {
        let refused = |hint: String| {
            CalendarError::new(quoted(text), "a number and its unit s, m, h or d", hint)
        };
        let usual = || "such as 30s, 5m, 6h, 2d".to_owned();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).unwrap_or_default();
        if number.is_empty() {
            return Err(refused(usual()));
        }
        let Some((_, secs_each)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(refused(match unit {
                "" => format!(
                    "write {number}s for seconds, {number}m for minutes, {number}d for days"
                ),
                _ => usual(),
            }));
        };
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*secs_each))
            .filter(|secs| *secs <= MOST_SECS)
            .map(Self)
            .ok_or_else(|| refused("a span is at most 36525d, 100 years".to_owned()))
    }

    /// Whole seconds.
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// The same for timers.
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.0)
    }

    /// The same for sums with instants.
    pub fn as_delta(self) -> TimeDelta {
        i64::try_from(self.0)
            .ok()
            .and_then(TimeDelta::try_seconds)
            .unwrap_or(TimeDelta::MAX)
    }
}

impl FromStr for Span {
    type Err = CalendarError;
    fn from_str(text: &str) -> Result<Self, CalendarError> {
        Self::parse(text)
    }
}

/// In the largest unit that leaves no rest, so that it reads back as itself: `90s`, `2h`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |(_, secs): &&(&str, u64)| self.0.is_multiple_of(*secs) && self.0 > 0;
        let (unit, secs) = UNITS.iter().find(exact).unwrap_or(&("s", 1));
        write!(f, "{}{unit}", self.0 / secs)
    }
}

/// A span back from `now`, or an instant: `2h`, `2026-11-21T09:15:00Z`, `2026-11-21`.
pub fn instant(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if let Ok(span) = Span::parse(text) {
        return now.checked_sub_signed(span.as_delta());
    }
    let whole = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_rfc3339(&format!("{text}T00:00:00Z")));
    whole.ok().map(|at| at.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_number_and_a_unit() {
        let secs = |text| Span::parse(text).map(Span::as_secs).ok();
        assert_eq!(secs("90s"), Some(90));
        assert_eq!(secs("15m"), Some(900));
        assert_eq!(secs("2h"), Some(7200));
        assert_eq!(secs("7d"), Some(604_800));
        assert_eq!(secs("0s"), Some(0));
        for bad in [
            "",
            "h",
            "90",
            "-1h",
            "+1h",
            "1y",
            "1 h",
            "1h30m",
            "99999999999999999999d",
            "1é",
            "36526d",
            "1.5h",
        ] {
            assert_eq!(secs(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_refused_span_says_how_to_write_it() {
        let error = Span::parse("90").expect_err("no unit");
        assert_eq!(
            error.to_string(),
            "`90` is not allowed, must be a number and its unit s, m, h or d"
        );
        assert_eq!(
            error.hint,
            "write 90s for seconds, 90m for minutes, 90d for days"
        );
    }

    #[test]
    fn a_span_reads_back_as_itself() {
        for secs in (0..100_000).chain([604_800, MOST_SECS, MOST_SECS - 1]) {
            let text = Span::secs(secs).to_string();
            assert_eq!(Span::parse(&text), Ok(Span(secs)), "{text}");
        }
        for text in ["0s", "59s", "90s", "15m", "25h", "2d"] {
            assert_eq!(Span::parse(text).expect(text).to_string(), text);
        }
    }

    #[test]
    fn an_instant_is_a_span_back_or_a_date() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(10);
        assert_eq!(instant("2h", now), Some(now - TimeDelta::hours(2)));
        assert_eq!(instant("1970-01-11", now), Some(now));
        assert_eq!(instant("1970-01-11T01:00:00+01:00", now), Some(now));
        assert_eq!(instant("yesterday", now), None);
    }
}
