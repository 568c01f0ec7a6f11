//! What the anomalies journal means now: the window, the count and the last anomaly of each series.
//!
//! The model (mean, quartiles) is no state of its own: it follows from the window. While the daemon
//! runs, a trained detector replaces the one before it as its lines are committed; a fold at start
//! comes to the same window, because values are on record before they count.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::config::MOST_WINDOW;
use super::event::{Anomaly, AnomalyLine};
use super::logic::{Alarm, Detector};
use crate::storage::line;
use crate::storage::view::{LineBatch, Reader, View, put_bytes, put_u64};

/// One series.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Series {
    /// Its detector.
    pub(super) detector: Detector,
    /// Its last anomaly, and when it was found.
    pub(super) last: Option<(DateTime<Utc>, Anomaly)>,
    /// End of the last minute that its feed brought.
    pub(super) fed_until: Option<DateTime<Utc>>,
    /// Anomalies found so far.
    pub(super) anomalies: u64,
    /// Values within the limits since the last one beyond; not kept over a restart.
    pub(super) calm: u64,
    /// When this process took its last value, and whether that was pushed.
    pub(super) heard: Option<(DateTime<Utc>, bool)>,
}

/// All series.
#[derive(Debug, Default)]
pub(super) struct AnomaliesView {
    pub(super) series: BTreeMap<String, Series>,
    last_seq: u64,
}

impl AnomaliesView {
    /// Counts a line.
    pub(super) fn apply_line(&mut self, line: AnomalyLine) {
        match line {
            AnomalyLine::Sampled {
                series,
                values,
                until,
            } => {
                let series = self.series.entry(series).or_default();
                series.detector.refill(&values, MOST_WINDOW);
                series.fed_until = until.or(series.fed_until);
            }
            AnomalyLine::Detected { at, anomaly } => {
                let series = self.series.entry(anomaly.series.clone()).or_default();
                series.found(at, anomaly);
            }
        }
    }
}

impl Series {
    /// Takes note of an anomaly.
    pub(super) fn found(&mut self, at: DateTime<Utc>, anomaly: Anomaly) {
        self.detector.alarmed(Alarm {
            sample: anomaly.sample,
            ratio: anomaly.score + 1.0,
        });
        self.anomalies += 1;
        self.last = Some((at, anomaly));
    }
}

impl View for AnomaliesView {
    const NAME: &'static str = "windows";
    /// Form of the saved state; a plain count of its revisions.
    const VERSION: u32 = 1;

    type Batch = LineBatch<AnomalyLine>;
    type Parser = ();

    fn parser(&self) {}

    fn parse((): &mut (), lines: &[u8], batch: &mut Self::Batch) {
        batch.read(lines, |text| {
            let own = line::parse(text)?;
            Some((own.seq, AnomalyLine::parse(text)))
        });
    }

    fn apply(&mut self, batch: &mut Self::Batch) {
        let last = batch.take(|line| self.apply_line(line));
        self.reached(last);
    }

    fn last_seq(&self) -> u64 {
        self.last_seq
    }

    fn reached(&mut self, seq: u64) {
        self.last_seq = self.last_seq.max(seq);
    }

    fn save(&self, out: &mut Vec<u8>) {
        put_u64(out, self.last_seq);
        put_u64(out, self.series.len() as u64);
        for (name, series) in &self.series {
            put_bytes(out, name.as_bytes());
            put_u64(out, series.detector.seen());
            let window = series.detector.window();
            put_u64(out, window.len() as u64);
            window.for_each(|value| put_u64(out, value.to_bits()));
            put_u64(out, millis(series.fed_until));
            put_u64(out, series.anomalies);
            let (at, anomaly) = match &series.last {
                Some((at, anomaly)) => (Some(*at), serde_json::to_vec(anomaly).unwrap_or_default()),
                None => (None, Vec::new()),
            };
            put_u64(out, millis(at));
            put_bytes(out, &anomaly);
        }
    }

    fn restore(saved: &mut Reader<'_>) -> Option<Self> {
        let last_seq = saved.u64()?;
        let mut view = Self {
            last_seq,
            ..Self::default()
        };
        for _ in 0..saved.count(6 * 8)? {
            let name = saved.text()?.to_owned();
            let seen = saved.u64()?;
            let kept = saved.count(8)?;
            let values: Option<Vec<f64>> =
                (0..kept).map(|_| saved.u64().map(f64::from_bits)).collect();
            let fed_until = instant(saved.u64()?);
            let anomalies = saved.u64()?;
            let (at, anomaly) = (instant(saved.u64()?), saved.bytes()?);
            let last = at.zip(serde_json::from_slice(anomaly).ok());
            let alarm = last.as_ref().map(|(_, anomaly): &(_, Anomaly)| Alarm {
                sample: anomaly.sample,
                ratio: anomaly.score + 1.0,
            });
            let series = Series {
                detector: Detector::resumed(values?, seen, alarm),
                last,
                fed_until,
                anomalies,
                calm: 0,
                heard: None,
            };
            view.series.insert(name, series);
        }
        Some(view)
    }
}

/// Milliseconds since 1970; 0 for none.
fn millis(at: Option<DateTime<Utc>>) -> u64 {
    at.map_or(0, |at| {
        u64::try_from(at.timestamp_millis()).unwrap_or_default()
    })
}

fn instant(millis: u64) -> Option<DateTime<Utc>> {
    let millis = i64::try_from(millis).ok().filter(|millis| *millis > 0)?;
    DateTime::from_timestamp_millis(millis)
}
