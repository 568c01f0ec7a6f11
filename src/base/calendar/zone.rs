//! Time zones by their IANA names. The rules come with the program, so that a machine without zone
//! files, or with old ones, finds the same times.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};

use super::error::{CalendarError, quoted};
use crate::base::names;

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Zone(Tz);

impl Zone {
    /// Coordinated universal time, which never changes its clocks.
    pub const UTC: Self = Self(Tz::UTC);

    /// Reads a name such as `Europe/London`, spelt as IANA spells it.
    pub fn parse(text: &str) -> Result<Self, CalendarError> {
        text.parse().map(Self).map_err(|_| {
            let cities = TZ_VARIANTS.iter().map(|zone| zone.name());
            // `London` alone is a common slip, and no near miss of `Europe/London`.
            let city = cities.clone().find(|name| {
                let last = name.rsplit('/').next().unwrap_or_default();
                !last.is_empty() && last.eq_ignore_ascii_case(&text.replace(' ', "_"))
            });
            let hint = match city.or_else(|| names::nearest(text, cities)) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "names are in the IANA time zone database; `UTC` is one".to_owned(),
            };
            let allowed = "the IANA name of a time zone, such as `Europe/London`";
            CalendarError::new(quoted(text), allowed, hint)
        })
    }

    /// The IANA name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// What clocks on the wall show at `at`; none at the ends of the calendar.
    pub fn local(self, at: DateTime<Utc>) -> Option<NaiveDateTime> {
        let offset = self.0.offset_from_utc_datetime(&at.naive_utc()).fix();
        at.naive_utc().checked_add_offset(offset)
    }

    /// When clocks show `local` for the first time; none if they leave it out.
    pub fn first(self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        let at = self.0.from_local_datetime(&local).earliest()?;
        Some(at.with_timezone(&Utc))
    }

    /// The latest that clocks have shown up to `at`, or later than that by less than a change of
    /// the clocks: never earlier.
    pub(super) fn high_water(self, at: DateTime<Utc>) -> Option<NaiveDateTime> {
        let local = self.local(at)?;
        let again = match self.first(local) {
            Some(first) if first < at => at - first,
            _ => TimeDelta::zero(),
        };
        local.checked_add_signed(again)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_has_its_iana_name() {
        for name in ["Europe/London", "UTC", "America/Argentina/Ushuaia"] {
            assert_eq!(Zone::parse(name).expect(name).name(), name);
        }
    }

    #[test]
    fn a_misspelt_zone_is_told_the_nearest_name() {
        let hint = |text| Zone::parse(text).expect_err(text).hint;
        for text in ["Europe/Londn", "europe/london", "london", "London"] {
            assert_eq!(hint(text), "did you mean `Europe/London`?", "{text}");
        }
        assert_eq!(hint("new york"), "did you mean `America/New_York`?");
        assert!(hint("").starts_with("names are in"));
        assert!(hint("Middle Earth").starts_with("names are in"));
        assert_eq!(
            Zone::parse("Mars").expect_err("no zone").to_string(),
            "`Mars` is not allowed, must be the IANA name of a time zone, such as `Europe/London`"
        );
    }
}
