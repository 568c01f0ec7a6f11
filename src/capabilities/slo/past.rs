//! The store of samples, as an objective sees it: good and bad requests by minute.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::model::{Kind, Objective, Past, Tally, begin_of, minute_of};
use super::recorded::Recorded;
use crate::platform::samples::{Counts, Row, Samples};
use crate::storage::engine::StorageError;

/// The samples of one objective.
#[derive(Debug)]
pub struct Sampled<'a> {
    samples: &'a Samples,
    series: &'a str,
    kind: Kind,
}

impl<'a> Sampled<'a> {
    /// What `objective` is measured on.
    pub fn new(samples: &'a Samples, objective: &'a Objective) -> Self {
        Self {
            samples,
            series: &objective.series,
            kind: objective.kind,
        }
    }
}

impl Past for Sampled<'_> {
    fn tally(&self, from: i64, until: i64) -> Tally {
        if until <= from {
            return Tally::default();
        }
        let (from, until) = (begin_of(from), begin_of(until));
        let Counts { total, bad } = match self.kind {
            Kind::Availability => self.samples.counts(self.series, from, until),
            Kind::Latency { threshold_ms } => {
                let threshold_us = micros(threshold_ms);
                self.samples.slower(self.series, threshold_us, from, until)
            }
        };
        Tally {
            requests: total,
            bad,
        }
    }

    fn begins(&self) -> Option<i64> {
        self.samples.first_minute(self.series).map(minute_of)
    }
}

/// Microseconds of a threshold, which is at most a day.
pub fn micros(threshold_ms: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked at load: positive and at most a day"
    )]
    let micros = (threshold_ms * 1000.0).round() as u64;
    micros
}

/// What is on record of the series of `objectives` from `from` on, by minute and in their order:
/// one reading of the journal for all. Blocks on the disk.
pub fn recorded<'o>(
    samples: &Samples,
    objectives: impl Iterator<Item = &'o Objective>,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<Recorded>, StorageError> {
    let mut pasts: Vec<(&Objective, BTreeMap<i64, Tally>)> =
        objectives.map(|one| (one, BTreeMap::new())).collect();
    // What waits for its second is recorded too.
    samples.flush();
    samples.recorded(from, until, |row| {
        let concerned = pasts.iter_mut();
        for (objective, minutes) in concerned.filter(|(one, _)| *one.series == *row.series) {
            let tally = minutes.entry(row.minute.into()).or_default();
            *tally = tally.plus(tally_of(objective.kind, row));
        }
    })?;
    Ok(pasts
        .into_iter()
        .map(|(_, minutes)| Recorded::new(minutes))
        .collect())
}

fn tally_of(kind: Kind, row: &Row) -> Tally {
    match kind {
        Kind::Availability => Tally {
            requests: row.counts.total,
            bad: row.counts.bad,
        },
        Kind::Latency { threshold_ms } => {
            let requests = row.durations.count();
            Tally {
                requests,
                bad: requests - row.durations.below(micros(threshold_ms)),
            }
        }
    }
}
