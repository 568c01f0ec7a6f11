//! How fast incidents are found, taken up and over: of those of the last 90 days. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::model::Incident;

/// Days that are looked back at (ops notes §2.6).
const DAYS: i64 = 90;

/// Times of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
pub(super) struct Spread {
    /// Incidents behind it.
    n: usize,
    /// Half of them took no longer, in seconds; null without any.
    median_secs: Option<i64>,
    /// Nine of ten took no longer, in seconds; null without any.
    p90_secs: Option<i64>,
}

/// All of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
pub(super) struct Stats {
    /// Days that were looked back at.
    days: i64,
    /// Incidents that were opened in them.
    count: usize,
    /// Those of them that are not over.
    live: usize,
    /// Time to detect: from the first bad sample until it was noticed.
    mttd: Spread,
    /// Time to acknowledge: from then until somebody took it up first.
    mtta: Spread,
    /// Time to resolve: from the first bad sample until it was over.
    mttr: Spread,
}

impl Stats {
    /// Those of `incidents` at `now`.
    pub(super) fn of<'a>(
        incidents: impl Iterator<Item = &'a Incident>,
        now: DateTime<Utc>,
    ) -> Self {
        let from = now - TimeDelta::days(DAYS);
        let (mut found, mut taken, mut over) = (Vec::new(), Vec::new(), Vec::new());
        let mut stats = Self {
            days: DAYS,
            ..Self::default()
        };
        for incident in incidents.filter(|one| one.detected_at >= from) {
            stats.count += 1;
            stats.live += usize::from(incident.is_live());
            found.push(incident.detected_at - incident.started_at);
            let first = incident.first_acknowledged_at;
            taken.extend(first.map(|at| at - incident.detected_at));
            let resolved = incident.resolved.as_ref();
            over.extend(resolved.map(|(at, ..)| *at - incident.started_at));
        }
        Self {
            mttd: Spread::of(found),
            mtta: Spread::of(taken),
            mttr: Spread::of(over),
            ..stats
        }
    }
}

impl Spread {
    fn of(mut spans: Vec<TimeDelta>) -> Self {
        spans.sort();
        // The nearest rank: the smallest that so many are not above.
        let rank = |tenths: usize| {
            let rank = (spans.len() * tenths).div_ceil(10).max(1);
            spans.get(rank - 1).map(|span| span.num_seconds().max(0))
        };
        Self {
            n: spans.len(),
            median_secs: rank(5),
            p90_secs: rank(9),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_the_nearest() {
        let secs = |secs: &[i64]| Spread::of(secs.iter().map(|s| TimeDelta::seconds(*s)).collect());
        let all = secs(&[9, 1, 2, 3, 4, 5, 6, 7, 8, 10]);
        assert_eq!(
            (all.n, all.median_secs, all.p90_secs),
            (10, Some(5), Some(9))
        );
        let one = secs(&[7]);
        assert_eq!((one.median_secs, one.p90_secs), (Some(7), Some(7)));
        assert_eq!(secs(&[]).median_secs, None);
    }
}
