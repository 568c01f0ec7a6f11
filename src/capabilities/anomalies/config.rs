//! `configs/anomalies.json`: what the detector goes by, and which series are fed by themselves.

use chrono::TimeDelta;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use super::logic::Limits;
use super::model::is_series_name;
use crate::base::json::{Path, Tree};
use crate::base::problems::Problems;
use crate::platform::config::{Config, schema_of, typed};

/// Samples in a window at most: 80 kB a series.
pub(super) const MOST_WINDOW: usize = 10_000;
/// Feeds at most.
const MOST_FEEDS: usize = 64;

/// The file.
#[derive(Debug)]
pub(super) struct AnomaliesConfig;

/// The anomaly detector.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(title = "echopilot: anomalies")]
#[serde(deny_unknown_fields, default)]
struct RawAnomalies {
    /// Samples of a series that are kept and compared with.
    #[schemars(range(min = 30, max = 10_000))]
    window: u32,
    /// Samples from which on a series is judged.
    #[schemars(range(min = 3, max = 10_000))]
    ready: u32,
    /// Age in seconds at which mean, deviation and quartiles are worked out again.
    #[schemars(range(min = 0, max = 86_400))]
    retrain_after_secs: u32,
    /// Standard deviations from the mean that are the limit. The textbook's 3 is too nervous.
    z_limit: f64,
    /// Interquartile ranges outside the quartiles that are the limit. The textbook's 1.5 is too
    /// nervous.
    iqr_limit: f64,
    /// Samples after an anomaly in which the next one must be worse.
    #[schemars(range(max = 1_000_000))]
    damper_samples: u32,
    /// How much worse, as a factor of the last one's distance in parts of its limit.
    damper_factor: f64,
    /// Series that are kept at most; samples for a further one are refused.
    #[schemars(range(min = 1, max = 1000))]
    series_max: u32,
    /// Series that are fed each minute from what is counted and timed anyway.
    feeds: Vec<RawFeed>,
}

/// A series that is fed by itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawFeed {
    /// The series that is fed.
    series: String,
    /// The series of samples that it is measured on, as `GET /api/slo` and the probes name them.
    samples: String,
    /// What is measured over each minute.
    measure: Measure,
    /// Samples that a minute must have to be measured.
    #[serde(default = "some_samples")]
    #[schemars(range(min = 1, max = 1_000_000))]
    samples_min: u32,
}

const fn some_samples() -> u32 {
    20
}

/// What of a minute becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Measure {
    /// 95th percentile of the durations, in milliseconds.
    P95Ms,
    /// Median of the durations, in milliseconds.
    P50Ms,
    /// Share of bad samples, in percent.
    BadPercent,
    /// How many samples.
    Count,
}

impl Default for RawAnomalies {
    fn default() -> Self {
        let usual = Limits::default();
        Self {
            window: 500,
            ready: 30,
            retrain_after_secs: 300,
            z_limit: usual.z,
            iqr_limit: usual.iqr,
            damper_samples: 150,
            damper_factor: usual.damper_factor,
            series_max: 64,
            feeds: Vec::new(),
        }
    }
}

/// A feed, checked.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    /// The series that is fed.
    pub(super) series: String,
    /// The series of samples that it is measured on.
    pub(super) samples: String,
    /// What is measured.
    pub(super) measure: Measure,
    /// Samples that a minute must have.
    pub(super) samples_min: u64,
}

/// The rules, checked.
#[derive(Debug)]
pub(super) struct AnomaliesRules {
    /// What the detector goes by.
    pub(super) limits: Limits,
    /// Series at most.
    pub(super) series_max: usize,
    /// Series that are fed by themselves.
    pub(super) feeds: Vec<Feed>,
}

impl Config for AnomaliesConfig {
    const FILE: &'static str = "anomalies.json";
    const SHIPPED: &'static str = include_str!("../../../configs/anomalies.json");
    type Rules = AnomaliesRules;

    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<AnomaliesRules> {
        let raw: RawAnomalies = typed(tree, problems)?;
        let before = problems.count();
        for (key, value, least) in [
            ("z_limit", raw.z_limit, 0.0),
            ("iqr_limit", raw.iqr_limit, 0.0),
            ("damper_factor", raw.damper_factor, 1.0),
        ] {
            let fits = if least > 0.0 {
                value >= least
            } else {
                value > 0.0
            };
            if !fits || value > 1000.0 {
                let allowed = if least > 0.0 {
                    "1 to 1000"
                } else {
                    "above 0, up to 1000"
                };
                let hint = "the shipped 5.5, 2.75 and 1.15 were measured on public series";
                problems.out_of_range(Path::root().key(key), value, allowed, hint);
            }
        }
        if raw.ready > raw.window {
            let allowed = format!("at most the window's {}", raw.window);
            let hint = "a series that never has so many samples is never judged";
            problems.out_of_range(Path::root().key("ready"), raw.ready, allowed, hint);
        }
        let feeds = feeds(&raw.feeds, problems);
        (problems.count() == before).then(|| AnomaliesRules {
            limits: Limits {
                window: raw.window as usize,
                ready: raw.ready as usize,
                retrain_after: TimeDelta::seconds(i64::from(raw.retrain_after_secs)),
                z: raw.z_limit,
                iqr: raw.iqr_limit,
                damper_samples: u64::from(raw.damper_samples),
                damper_factor: raw.damper_factor,
            },
            series_max: raw.series_max as usize,
            feeds,
        })
    }

    fn schema() -> Schema {
        schema_of::<RawAnomalies>()
    }
}

fn feeds(raw: &[RawFeed], problems: &mut Problems) -> Vec<Feed> {
    let place = Path::root().key("feeds");
    if raw.len() > MOST_FEEDS {
        let hint = "push values of further series with `POST /api/anomalies/{series}/samples`";
        problems.out_of_range(&place, raw.len(), format!("at most {MOST_FEEDS}"), hint);
    }
    for (at, feed) in raw.iter().enumerate() {
        let place = place.index(at).key("series");
        if !is_series_name(&feed.series) {
            let allowed = "1..=64 letters, digits or `_.:-`, the first a letter or digit";
            problems.not_allowed(&place, format!("`{}`", feed.series), allowed, "rename it");
        }
        if raw.iter().take(at).any(|other| other.series == feed.series) {
            let hint = "one series has one feed: give this one another name";
            problems.not_allowed(
                &place,
                format!("`{}` again", feed.series),
                "each once",
                hint,
            );
        }
    }
    raw.iter()
        .map(|feed| Feed {
            series: feed.series.clone(),
            samples: feed.samples.clone(),
            measure: feed.measure,
            samples_min: u64::from(feed.samples_min),
        })
        .collect()
}
