//! The task `anomalies-feed`: whole minutes of what is counted and timed anyway, as values.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::config::{Feed, Measure};
use super::service::Anomalies;
use crate::platform::samples::{Samples, minute_of, minute_start};
use crate::platform::scheduler::{DefaultCadence, Pass, Summary, Task, TaskError, Work};

/// Minutes that are made up for at most after a pause: older ones say little of now.
const MOST_MINUTES: i64 = 60;
/// Seconds that a minute's last samples may take to arrive (our own choice: what is tailed or
/// scraped is there within a second or two).
const LATE_SECS: i64 = 5;

/// The feeding task.
#[derive(Debug)]
pub(super) struct Feeding {
    anomalies: Arc<Anomalies>,
    samples: Samples,
}

impl Feeding {
    pub(super) fn new(anomalies: Arc<Anomalies>, samples: Samples) -> Self {
        Self { anomalies, samples }
    }

    async fn feed_all(&self, now: DateTime<Utc>) -> Result<Summary, TaskError> {
        let rules = self.anomalies.live().get_full();
        let until = minute_start(minute_of(now - TimeDelta::seconds(LATE_SECS)));
        let (mut taken, mut found, mut failed) = (0, 0, None);
        for feed in &rules.rules.feeds {
            let oldest = until - TimeDelta::minutes(MOST_MINUTES);
            let since = self.anomalies.fed_until(&feed.series);
            // A feed that is new begins now: it does not judge the past by nothing.
            let from = since.unwrap_or(until - TimeDelta::minutes(1)).max(oldest);
            let values = self.values(feed, from, until);
            if values.is_empty() {
                continue;
            }
            let trained = self
                .anomalies
                .train(&feed.series, &values, Some(until), now)
                .await;
            let trained = match trained {
                Ok(trained) => trained,
                Err(error) => {
                    // The others are fed all the same.
                    failed.get_or_insert(format!("cannot feed `{}`: {error}", feed.series));
                    continue;
                }
            };
            let anomalies = trained.verdicts.iter();
            found += anomalies
                .filter(|(_, said)| said.is_some_and(|said| said.anomaly))
                .count();
            taken += values.len();
        }
        self.anomalies.end_silent(now);
        if let Some(why) = failed {
            return Err(TaskError(why));
        }
        Ok(Summary::ok(json!({"values": taken, "anomalies": found})))
    }

    /// One value for each minute from `from` to `until` that has samples enough.
    fn values(&self, feed: &Feed, from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<f64> {
        let minutes = std::iter::successors(Some(from), |at| Some(*at + TimeDelta::minutes(1)));
        minutes
            .take_while(|at| *at < until)
            .filter_map(|at| self.value(feed, at))
            .collect()
    }

    fn value(&self, feed: &Feed, at: DateTime<Utc>) -> Option<f64> {
        let end = at + TimeDelta::minutes(1);
        let quantile = |share: f64| {
            let durations = self.samples.durations(&feed.samples, at, end);
            let enough = durations.count() >= feed.samples_min;
            let micros = durations.quantile(share).filter(|_| enough)?;
            Some(micros as f64 / 1000.0)
        };
        let counts = || {
            let counts = self.samples.counts(&feed.samples, at, end);
            (counts.total >= feed.samples_min).then_some(counts)
        };
        match feed.measure {
            Measure::P95Ms => quantile(0.95),
            Measure::P50Ms => quantile(0.5),
            Measure::BadPercent => {
                counts().map(|counts| counts.bad as f64 / counts.total as f64 * 100.0)
            }
            Measure::Count => counts().map(|counts| counts.total as f64),
        }
    }
}

impl Task for Feeding {
    fn name(&self) -> &'static str {
        "anomalies-feed"
    }

    fn about(&self) -> &'static str {
        "takes each minute's measured values into the anomaly detector"
    }

    fn cadence(&self) -> DefaultCadence {
        DefaultCadence::every_secs(60)
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(20)
    }

    fn run<'a>(&'a self, pass: &'a Pass) -> Work<'a> {
        Box::pin(self.feed_all(pass.now))
    }
}
