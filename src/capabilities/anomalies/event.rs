//! What is written to `logs/anomalies.ndjson`. Version 1; old lines stay readable for ever.
//!
//! `anomaly.sampled {series, values, until?}`: values that were taken into a window, in order;
//! `until` is the end of the minutes that they were measured over, where a feed brought them.
//! `anomaly.detected {series, sample, value, score, z_score, mean, deviation, lower_quartile,
//! upper_quartile}`: one of the values before it; `sample` counts the series' values from 1.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::base::time::stamp;
use crate::storage::lines::Lines;

/// Name of the journal.
pub const STREAM: &str = "anomalies";
/// Values were taken in.
pub const SAMPLED: &str = "anomaly.sampled";
/// One of them was an anomaly.
pub const DETECTED: &str = "anomaly.detected";

/// An anomaly that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// The series.
    pub series: String,
    /// Which of its values, counted from 1.
    pub sample: u64,
    /// The value.
    pub value: f64,
    /// Its score.
    pub score: f64,
    /// Its z-score.
    pub z_score: f64,
    /// Mean of the window then.
    pub mean: f64,
    /// Deviation of the window then.
    pub deviation: f64,
    /// Lower quartile of the window then.
    pub lower_quartile: f64,
    /// Upper quartile of the window then.
    pub upper_quartile: f64,
}

#[derive(Serialize)]
struct Sampled<'a> {
    series: &'a str,
    values: &'a [f64],
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

/// Adds the line of values that were taken in.
pub fn push_sampled(
    lines: &mut Lines,
    at: DateTime<Utc>,
    series: &str,
    values: &[f64],
    until: Option<DateTime<Utc>>,
) {
    let until = until.map(stamp);
    lines.push_members(
        SAMPLED,
        at,
        &Sampled {
            series,
            values,
            until,
        },
    );
}

/// Adds the line of an anomaly.
pub fn push_detected(lines: &mut Lines, at: DateTime<Utc>, anomaly: &Anomaly) {
    lines.push_members(DETECTED, at, anomaly);
}

/// A line as it is read back.
#[derive(Debug, Clone, PartialEq)]
pub enum AnomalyLine {
    /// Values were taken in.
    Sampled {
        /// The series.
        series: String,
        /// The values, oldest first.
        values: Vec<f64>,
        /// End of the minutes they were measured over.
        until: Option<DateTime<Utc>>,
    },
    /// One of them was an anomaly.
    Detected {
        /// When.
        at: DateTime<Utc>,
        /// What.
        anomaly: Anomaly,
    },
}

#[derive(Deserialize)]
struct AnyLine<'a> {
    ts: DateTime<Utc>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    series: Option<String>,
    values: Option<Vec<f64>>,
    until: Option<DateTime<Utc>>,
}

impl AnomalyLine {
    /// Reads one line; `None` for foreign lines and events of other kinds.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let any: AnyLine<'_> = serde_json::from_slice(line).ok()?;
        match &*any.kind {
            SAMPLED => Some(Self::Sampled {
                series: any.series?,
                values: any.values?,
                until: any.until,
            }),
            DETECTED => Some(Self::Detected {
                at: any.ts,
                anomaly: serde_json::from_slice(line).ok()?,
            }),
            _ => None,
        }
    }
}
