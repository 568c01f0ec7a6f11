//! The verbs of anomalies: ask, train, list.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex as Turn;

use super::config::AnomaliesRules;
use super::event::{self, Anomaly};
use super::logic::{MAX_VALUE, Model, NotANumber, Verdict};
use super::model::{MAX_NAME, is_series_name};
use super::view::{AnomaliesView, Series};
use crate::platform::alerts::{Alerts, Finding, Severity};
use crate::platform::config::Live;
use crate::seams::clock::Clock;
use crate::storage::engine::{Position, StorageError};
use crate::storage::journal::Journal;
use crate::storage::lines::Lines;
use crate::storage::view::{Kept, View as _};

/// Values within the limit, one after the other, that end an alert (our own choice: an hour of
/// five-minute samples is too late, the next sample too early).
const CALM_SAMPLES: u64 = 10;
/// Parts of one that a mean is told to.
const MILLIONTHS: f64 = 1e6;

/// Minutes without a value after which nothing can be said of a series any more (our own choice:
/// values every quarter of an hour are common, rarer ones are not).
const SILENT_MINUTES: i64 = 60;

/// What alert events of ours are said to come from.
const SOURCE: &str = "anomalies";
/// What their keys begin with; a series' name follows.
const KEY: &str = "anomaly:";

/// Values of one call at most.
pub(super) const MOST_VALUES: usize = 10_000;

/// The series, their detectors and their journal.
#[derive(Debug)]
pub(super) struct Anomalies {
    live: Live<AnomaliesRules>,
    kept: Kept<AnomaliesView>,
    alerts: Alerts,
    opened_at: DateTime<Utc>,
    /// Held from the look at a window until its lines are committed or refused, also where nobody
    /// waits for them any more: each value is judged by all before it.
    turn: Arc<Turn<()>>,
}

/// Why values were not taken in.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnomalyError {
    /// Not a name a series may have.
    #[error(
        "`{name}` is no name of a series: letters, digits and `_.:-`, at most {MAX_NAME} bytes"
    )]
    BadName {
        /// What was asked for.
        name: String,
    },
    /// No value that can be measured.
    #[error("value {place} cannot be measured, allowed are numbers up to ±{MAX_VALUE:e}")]
    BadValue {
        /// Which of the call's, counted from 1.
        place: usize,
    },
    /// None, or too many.
    #[error("the call has {found} values, allowed are 1 to {MOST_VALUES}")]
    BadCount {
        /// How many.
        found: usize,
    },
    /// There is no room for a further series.
    #[error("`{name}` would be one series too many, {most} are kept")]
    Full {
        /// What was asked for.
        name: String,
        /// How many there may be.
        most: usize,
    },
    /// Storage does not accept lines.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Values that were taken in.
#[derive(Debug)]
pub(super) struct Trained {
    /// Values of the series so far.
    pub(super) seen: u64,
    /// Whether the series is judged.
    pub(super) ready: bool,
    /// What was said of each value.
    pub(super) verdicts: Vec<(f64, Option<Verdict>)>,
}

/// A series as it is listed.
#[derive(Debug)]
pub(super) struct Listed {
    /// Its name.
    pub(super) name: String,
    /// Its detector and its last anomaly.
    pub(super) series: Series,
    /// The model that holds now; `None` before there are samples enough.
    pub(super) model: Option<Model>,
}

impl Anomalies {
    /// Folds the journal, which has been opened, and is ready.
    pub(super) fn open(
        journal: Journal,
        clock: Arc<dyn Clock>,
        live: Live<AnomaliesRules>,
        alerts: Alerts,
    ) -> Result<Arc<Self>, StorageError> {
        let opened_at = clock.now();
        let (kept, _) = Kept::open(journal, clock, AnomaliesView::default)?;
        // A fold does not know the window's length and keeps the longest there may be.
        let most = live.get().rules.limits.window;
        for series in kept.lock().series.values_mut() {
            series.detector.trim(most);
        }
        Ok(Arc::new(Self {
            live,
            kept,
            alerts,
            opened_at,
            turn: Arc::default(),
        }))
    }

    /// The rules in force.
    pub(super) fn live(&self) -> &Live<AnomaliesRules> {
        &self.live
    }

    /// What would be said of a value of `name`, and how many values there are; trains nothing.
    pub(super) fn ask(
        &self,
        name: &str,
        value: f64,
        now: DateTime<Utc>,
    ) -> Result<(Option<Verdict>, usize), NotANumber> {
        let rules = self.live.get_full();
        let view = self.kept.lock();
        let fresh = Series::default();
        let detector = &view.series.get(name).unwrap_or(&fresh).detector;
        let verdict = detector.judge(value, &rules.rules.limits, now)?;
        Ok((verdict, detector.window().len()))
    }

    /// All series, by name.
    pub(super) fn list(&self, now: DateTime<Utc>) -> Vec<Listed> {
        let rules = self.live.get_full();
        let view = self.kept.lock();
        let listed = |(name, series): (&String, &Series)| Listed {
            name: name.clone(),
            model: series.detector.model(&rules.rules.limits, now),
            series: series.clone(),
        };
        view.series.iter().map(listed).collect()
    }

    /// End of the last minute that the feed of `name` brought.
    pub(super) fn fed_until(&self, name: &str) -> Option<DateTime<Utc>> {
        self.kept.lock().series.get(name)?.fed_until
    }

    /// Judges `values` one after the other and takes them in. Ends when they are on record.
    pub(super) async fn train(
        self: &Arc<Self>,
        name: &str,
        values: &[f64],
        until: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Trained, AnomalyError> {
        if !is_series_name(name) {
            let name = name.chars().take(MAX_NAME).collect();
            return Err(AnomalyError::BadName { name });
        }
        if !(1..=MOST_VALUES).contains(&values.len()) {
            let found = values.len();
            return Err(AnomalyError::BadCount { found });
        }
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let rules = self.live.get_full();
        let series = self.next(name, rules.rules.series_max)?;
        let mut step = Step::new(series, name, now);
        for (at, value) in values.iter().enumerate() {
            let place = at + 1;
            step.take(*value, &rules.rules)
                .map_err(|NotANumber| AnomalyError::BadValue { place })?;
        }
        let mut lines = Lines::new();
        event::push_sampled(&mut lines, now, name, values, until);
        for anomaly in &step.found {
            event::push_detected(&mut lines, now, anomaly);
        }
        step.series.fed_until = until.or(step.series.fed_until);
        step.series.heard = Some((now, until.is_none()));
        let trained = Trained {
            seen: step.series.detector.seen(),
            ready: step.series.detector.is_ready(&rules.rules.limits),
            verdicts: std::mem::take(&mut step.verdicts),
        };
        let (own, name, count) = (Arc::clone(self), name.to_owned(), lines.len() as u64);
        let bytes = lines.bytes() as u64;
        let committed = move |outcome: &Result<Position, StorageError>| {
            if let Ok(position) = outcome {
                own.tell(&name, &step, now);
                let mut view = own.kept.lock();
                view.series.insert(name, step.series);
                view.reached(position.last);
                drop(view);
                own.kept.grew(count, bytes);
            }
            drop(turn);
        };
        self.kept
            .journal()
            .append(lines, None, Some(Box::new(committed)))
            .await?;
        Ok(trained)
    }

    /// A copy of the series to be trained, new if there is room for one.
    fn next(&self, name: &str, most: usize) -> Result<Series, AnomalyError> {
        let view = self.kept.lock();
        match view.series.get(name) {
            Some(series) => Ok(series.clone()),
            None if view.series.len() < most => Ok(Series::default()),
            None => Err(AnomalyError::Full {
                name: name.to_owned(),
                most,
            }),
        }
    }

    /// Raises or ends the alert of a series.
    fn tell(&self, name: &str, step: &Step, now: DateTime<Utc>) {
        let key = format!("{KEY}{name}");
        if let Some(anomaly) = step.found.last() {
            let summary = format!(
                "`{name}` is {}, {:.1} deviations from its mean of {}: score {:.2}",
                anomaly.value,
                anomaly.z_score,
                (anomaly.mean * MILLIONTHS).round() / MILLIONTHS,
                anomaly.score
            );
            self.alerts.raise(
                Finding {
                    key: key.clone(),
                    source: SOURCE.to_owned(),
                    severity: Severity::Warning,
                    summary,
                    started_at: now,
                    labels: [("series", name)].into(),
                    ..Finding::default()
                },
                now,
            );
        }
        if step.series.calm >= CALM_SAMPLES && self.alerts.holds(&key) {
            let how =
                format!("the last {CALM_SAMPLES} values of `{name}` are like the ones before");
            self.alerts.resolve(&key, now, how);
        }
    }

    /// Ends the alerts of series that no value will end: their feed is gone, or nothing comes.
    pub(super) fn end_silent(&self, now: DateTime<Utc>) {
        let rules = self.live.get_full();
        for said in self.alerts.said_by(SOURCE) {
            let name = said.finding.key.strip_prefix(KEY).unwrap_or_default();
            let mut feeds = rules.rules.feeds.iter();
            let is_fed = feeds.any(|feed| feed.series == name);
            let how = {
                let view = self.kept.lock();
                let series = view.series.get(name);
                let heard = series.and_then(|series| series.heard);
                let was_fed = series.is_some_and(|series| series.fed_until.is_some())
                    && heard.is_none_or(|(_, pushed)| !pushed);
                let since = heard.map_or(self.opened_at, |(at, _)| at);
                if was_fed && !is_fed {
                    "its feed was taken out of `configs/anomalies.json`".to_owned()
                } else if now - since >= TimeDelta::minutes(SILENT_MINUTES) {
                    format!("no value of `{name}` has come for {SILENT_MINUTES} minutes")
                } else {
                    continue;
                }
            };
            self.alerts.resolve(&said.finding.key, now, how);
        }
    }

    /// Saves the view. To be called once no request is left.
    pub(super) fn close(&self) {
        self.kept.close();
    }
}

/// A series on its way through the values of one call.
#[derive(Debug)]
struct Step {
    series: Series,
    name: String,
    now: DateTime<Utc>,
    found: Vec<Anomaly>,
    verdicts: Vec<(f64, Option<Verdict>)>,
}

impl Step {
    fn new(series: Series, name: &str, now: DateTime<Utc>) -> Self {
        Self {
            series,
            name: name.to_owned(),
            now,
            found: Vec::new(),
            verdicts: Vec::new(),
        }
    }

    fn take(&mut self, value: f64, rules: &AnomaliesRules) -> Result<(), NotANumber> {
        let detector = &mut self.series.detector;
        let model = detector.model(&rules.limits, self.now);
        let verdict = detector.train(value, &rules.limits, self.now)?;
        let sample = detector.seen();
        self.series.calm = match verdict {
            Some(said) if said.score > 0.0 => 0,
            _ => self.series.calm + 1,
        };
        if let (Some(said), Some(model)) = (verdict.filter(|said| said.anomaly), model) {
            let anomaly = Anomaly {
                series: self.name.clone(),
                sample,
                value,
                score: said.score,
                z_score: said.z,
                mean: model.mean,
                deviation: model.deviation,
                lower_quartile: model.lower,
                upper_quartile: model.upper,
            };
            self.series.found(self.now, anomaly.clone());
            self.found.push(anomaly);
        }
        self.verdicts.push((value, verdict));
        Ok(())
    }
}
