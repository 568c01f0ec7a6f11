//! Whether an alert comes and goes so often that telling of each change helps nobody. Pure.

use chrono::{DateTime, Utc};

use super::rules::Flapping;

/// Changes that are remembered of one alert at most, whatever the rules say.
const MOST_CHANGES: usize = 1001;

/// The changes of one alert, and whether it flaps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// The last changes, the oldest first.
    at: Vec<DateTime<Utc>>,
    /// Whether it has been found to flap and has not been stable since.
    is_flapping: bool,
    /// Whether that was told.
    is_told: bool,
}

impl Changes {
    /// Takes note that it began or ended at `at`.
    pub(super) fn note(&mut self, at: DateTime<Utc>, rules: &Flapping) {
        self.settle(at, rules);
        let oldest = at - rules.within;
        self.at.retain(|one| *one > oldest);
        if self.at.len() >= MOST_CHANGES {
            self.at.remove(0);
        }
        self.at.push(at);
        if rules.changes > 0 && self.at.len() > rules.changes {
            self.is_flapping = true;
        }
    }

    /// Ends the flapping if it has been stable for long enough at `now`.
    pub(super) fn settle(&mut self, now: DateTime<Utc>, rules: &Flapping) {
        let last = self.at.last().copied();
        if self.is_flapping && last.is_none_or(|last| last + rules.stable <= now) {
            *self = Self::default();
        }
    }

    /// Whether it flaps.
    pub(super) const fn is_flapping(&self) -> bool {
        self.is_flapping
    }

    /// Whether it flaps and that has not been told.
    pub(super) const fn is_news(&self) -> bool {
        self.is_flapping && !self.is_told
    }

    /// Takes note that it has been told.
    pub(super) const fn told(&mut self) {
        self.is_told = self.is_flapping;
    }

    /// Whether nothing need be remembered at `now`.
    pub(super) fn is_over(&self, now: DateTime<Utc>, rules: &Flapping) -> bool {
        let last = self.at.last().copied();
        let span = rules.within.max(rules.stable);
        last.is_none_or(|last| last + span <= now)
    }

    /// The words for it.
    pub(super) fn words(&self, rules: &Flapping) -> String {
        let minutes = rules.within.num_minutes();
        let within = if minutes % 60 == 0 {
            format!("{} h", minutes / 60)
        } else {
            format!("{minutes} min")
        };
        format!("flapping, {} changes in {within}", self.at.len())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    const RULES: Flapping = Flapping {
        changes: 6,
        within: TimeDelta::hours(1),
        stable: TimeDelta::minutes(30),
    };

    fn minute(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    #[test]
    fn the_seventh_change_within_an_hour_is_flapping_until_it_is_stable() {
        let mut changes = Changes::default();
        for at in 0..6 {
            changes.note(minute(at * 5), &RULES);
            assert!(!changes.is_flapping(), "{at}");
        }
        changes.note(minute(30), &RULES);
        assert!(changes.is_news());
        assert_eq!(changes.words(&RULES), "flapping, 7 changes in 1 h");
        changes.told();
        changes.note(minute(50), &RULES);
        assert!(changes.is_flapping() && !changes.is_news());
        changes.settle(minute(79), &RULES);
        assert!(changes.is_flapping());
        changes.settle(minute(80), &RULES);
        assert!(!changes.is_flapping());
    }

    #[test]
    fn slow_changes_never_are_and_none_are_where_it_is_turned_off() {
        let mut slow = Changes::default();
        let mut off = Changes::default();
        let never = Flapping {
            changes: 0,
            ..RULES
        };
        for at in 0..100 {
            slow.note(minute(at * 10), &RULES);
            off.note(minute(at), &never);
            assert!(!slow.is_flapping() && !off.is_flapping(), "{at}");
        }
        assert!(!slow.is_over(minute(1000), &RULES));
        assert!(slow.is_over(minute(1050), &RULES));
    }
}
