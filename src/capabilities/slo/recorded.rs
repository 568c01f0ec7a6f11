//! A past held in memory as running sums: any window is two look-ups. For replays.

use super::model::{Past, Tally};

/// Minutes at most: the 90 days of the longest period twice, so that a replay of one whole period
/// knows the whole period before each of its minutes.
pub const MOST_MINUTES: i64 = 180 * super::model::DAY;

/// Tallies of consecutive minutes.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    first: i64,
    /// Sum of all minutes before the n-th.
    sums: Vec<Tally>,
}

impl Recorded {
    /// Minutes in any order; those of one minute are added up. What lies further than
    /// [`MOST_MINUTES`] before the newest is left out.
    pub fn new(minutes: impl IntoIterator<Item = (i64, Tally)>) -> Self {
        let mut minutes: Vec<_> = minutes.into_iter().collect();
        minutes.sort_unstable_by_key(|(minute, _)| *minute);
        let Some((last, _)) = minutes.last().copied() else {
            return Self::default();
        };
        minutes.retain(|(minute, _)| last - *minute < MOST_MINUTES);
        let first = minutes.first().map_or(last, |(minute, _)| *minute);
        let mut sums = vec![Tally::default()];
        let mut sum = Tally::default();
        let mut next = minutes.into_iter().peekable();
        for minute in first..=last {
            while let Some((_, tally)) = next.next_if(|(at, _)| *at == minute) {
                sum = sum.plus(tally);
            }
            sums.push(sum);
        }
        Self { first, sums }
    }

    /// The minute after the last one that is known; `None` where nothing is.
    pub fn ends(&self) -> Option<i64> {
        let minutes = i64::try_from(self.sums.len()).ok()?;
        (minutes > 1).then(|| self.first + minutes - 1)
    }

    fn before(&self, minute: i64) -> Tally {
        let at = usize::try_from(minute - self.first).unwrap_or_default();
        let last = self.sums.len().saturating_sub(1);
        self.sums.get(at.min(last)).copied().unwrap_or_default()
    }
}

impl Past for Recorded {
    fn tally(&self, from: i64, until: i64) -> Tally {
        self.before(until).without(self.before(from.min(until)))
    }

    fn begins(&self) -> Option<i64> {
        (self.sums.len() > 1).then_some(self.first)
    }
}
