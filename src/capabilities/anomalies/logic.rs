//! The detector: is this value unlike the last ones. Pure: values and `now` in, a verdict out.
//!
//! Two tests must agree, the z-score and the distance outside the quartiles, each measured in parts
//! of its own limit: `ratio = min(|z| / limit_z, outside / (limit_iqr × IQR))`. The published score
//! is `ratio − 1`, an anomaly when above 0. The *damper* works on the ratio, where 1 is the limit:
//! within so many samples after an anomaly the next one needs `factor × its ratio`. On the score it
//! would not damp at all what is just above the limit, where the score is almost 0.
//!
//! Judged first, trained after: a value never takes part in its own measure. The model (mean,
//! deviation, quartiles) is made again when it is older than the limit, and while the window fills
//! also when it has grown by a quarter, so that 30 samples do not judge the next 300.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

/// Largest ratio and so the largest score (no unit): where the spread is zero, any other value is
/// infinitely far away; a finite number can be written, compared and damped.
pub const MAX_RATIO: f64 = 1000.0;

/// Largest magnitude of a sample (in its own unit): its square still fits a sum of a window.
pub const MAX_VALUE: f64 = 1e150;

/// Spread below which a window counts as constant (share of its mean): well above the rounding
/// error of a sum of 100,000 doubles, 1e5 × 2.2e-16.
const NO_SPREAD: f64 = 1e-10;

/// What a detector goes by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Samples that are kept.
    pub window: usize,
    /// Samples from which on there is a verdict.
    pub ready: usize,
    /// Age at which the model is made again.
    pub retrain_after: TimeDelta,
    /// Deviations from the mean that are the limit.
    pub z: f64,
    /// Interquartile ranges outside the quartiles that are the limit.
    pub iqr: f64,
    /// Samples after an anomaly in which the next one must be worse.
    pub damper_samples: u64,
    /// How much worse, as a factor of the last ratio.
    pub damper_factor: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window: 500,
            ready: 30,
            retrain_after: TimeDelta::minutes(5),
            z: 5.5,
            iqr: 2.75,
            damper_samples: 150,
            damper_factor: 1.15,
        }
    }
}

/// What the window says, at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Model {
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation, of the whole window (divided by n).
    pub deviation: f64,
    /// Lower quartile, interpolated.
    pub lower: f64,
    /// Upper quartile, interpolated.
    pub upper: f64,
    /// Samples it was made from.
    pub samples: usize,
    /// When.
    pub at: DateTime<Utc>,
}

/// The last anomaly: where the damper begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alarm {
    /// Number of the sample, counted from 1.
    pub sample: u64,
    /// Its ratio.
    pub ratio: f64,
}

/// What is said of one value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// `ratio − 1`: above 0 both tests say that it is unlike the others.
    pub score: f64,
    /// Deviations from the mean, with sign; within ± `MAX_RATIO` limits.
    pub z: f64,
    /// Whether it is an anomaly: above 0 and not damped.
    pub anomaly: bool,
    /// Whether only the damper keeps it from being one.
    pub damped: bool,
}

/// A value that no window can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotANumber;

/// One series as its detector knows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Detector {
    window: VecDeque<f64>,
    seen: u64,
    model: Option<Model>,
    alarm: Option<Alarm>,
}

impl Detector {
    /// A detector that goes on from what is known of its past.
    pub fn resumed(window: impl IntoIterator<Item = f64>, seen: u64, alarm: Option<Alarm>) -> Self {
        Self {
            window: window.into_iter().collect(),
            seen,
            model: None,
            alarm,
        }
    }

    /// Takes in values that have been judged before, keeping `most` at most.
    pub fn refill(&mut self, values: &[f64], most: usize) {
        self.seen += values.len() as u64;
        self.window.extend(values);
        self.trim(most);
        self.model = None;
    }

    /// Forgets all but the last `most` values.
    pub fn trim(&mut self, most: usize) {
        let over = self.window.len().saturating_sub(most);
        self.window.drain(..over);
    }

    /// Takes note of an anomaly that was found before.
    pub const fn alarmed(&mut self, alarm: Alarm) {
        self.alarm = Some(alarm);
    }

    /// Samples seen so far.
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// The samples that are kept, oldest first.
    pub fn window(&self) -> impl ExactSizeIterator<Item = f64> + '_ {
        self.window.iter().copied()
    }

    /// The last anomaly.
    pub const fn alarm(&self) -> Option<Alarm> {
        self.alarm
    }

    /// Whether there are samples enough for a verdict.
    pub fn is_ready(&self, limits: &Limits) -> bool {
        self.window.len() >= limits.ready.max(1)
    }

    /// The model that holds at `now`.
    pub fn model(&self, limits: &Limits, now: DateTime<Utc>) -> Option<Model> {
        if !self.is_ready(limits) {
            return None;
        }
        self.model
            .filter(|model| !is_stale(model, self.window.len(), limits, now))
            .or_else(|| Some(Model::of(&self.window, now)))
    }

    /// What would be said of `value`; trains nothing. `None` before there are samples enough.
    pub fn judge(
        &self,
        value: f64,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> Result<Option<Verdict>, NotANumber> {
        let value = checked(value)?;
        let model = self.model(limits, now);
        Ok(model.map(|model| self.verdict(value, &model, limits)))
    }

    /// Judges `value`, then takes it in.
    pub fn train(
        &mut self,
        value: f64,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> Result<Option<Verdict>, NotANumber> {
        let value = checked(value)?;
        self.model = self.model(limits, now);
        let verdict = self.model.map(|model| self.verdict(value, &model, limits));
        self.seen += 1;
        self.window.push_back(value);
        self.trim(limits.window.max(1));
        if let Some(verdict) = verdict.filter(|verdict| verdict.anomaly) {
            self.alarm = Some(Alarm {
                sample: self.seen,
                ratio: verdict.score + 1.0,
            });
        }
        Ok(verdict)
    }

    fn verdict(&self, value: f64, model: &Model, limits: &Limits) -> Verdict {
        let (z, ratio) = model.measure(value, limits);
        let over = ratio > 1.0;
        let damped = over && ratio < self.needed(limits);
        Verdict {
            score: ratio - 1.0,
            z,
            anomaly: over && !damped,
            damped,
        }
    }

    /// The ratio that the next sample must reach. After the largest ratio nothing is worse: there
    /// the damper is silent to its end, rather than loud at each sample of a step.
    fn needed(&self, limits: &Limits) -> f64 {
        let next = self.seen + 1;
        self.alarm
            .filter(|alarm| next.saturating_sub(alarm.sample) <= limits.damper_samples)
            .map_or(1.0, |alarm| alarm.ratio * limits.damper_factor)
    }
}

/// A model is stale by age, by a clock that was set back, or by the growth of a filling window.
fn is_stale(model: &Model, samples: usize, limits: &Limits, now: DateTime<Utc>) -> bool {
    let age = now.signed_duration_since(model.at);
    let grown = samples.min(limits.window) * 4 >= model.samples * 5;
    age >= limits.retrain_after || age < TimeDelta::zero() || grown
}

fn checked(value: f64) -> Result<f64, NotANumber> {
    // A comparison with NaN is false.
    if value.abs() <= MAX_VALUE {
        Ok(value)
    } else {
        Err(NotANumber)
    }
}

impl Model {
    /// The model of a window that is not empty.
    fn of(window: &VecDeque<f64>, now: DateTime<Utc>) -> Self {
        let mut sorted: Vec<f64> = window.iter().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let count = sorted.len() as f64;
        let mean = sorted.iter().sum::<f64>() / count;
        let squares: f64 = sorted.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (squares / count).sqrt();
        let constant = deviation <= mean.abs() * NO_SPREAD;
        Self {
            mean,
            deviation: if constant { 0.0 } else { deviation },
            lower: quantile(&sorted, 0.25),
            upper: quantile(&sorted, 0.75),
            samples: sorted.len(),
            at: now,
        }
    }

    /// The z-score and the ratio of `value`.
    fn measure(&self, value: f64, limits: &Limits) -> (f64, f64) {
        let from_mean = value - self.mean;
        let same = from_mean.abs() <= self.mean.abs() * NO_SPREAD;
        let most = limits.z * MAX_RATIO;
        let z = if same {
            0.0
        } else {
            // By zero: infinite, with the sign of the distance.
            (from_mean / self.deviation).clamp(-most, most)
        };
        let outside = (self.lower - value).max(value - self.upper).max(0.0);
        let range = (self.upper - self.lower) * limits.iqr;
        let by_quartiles = if outside > 0.0 { outside / range } else { 0.0 };
        let ratio = (z.abs() / limits.z).min(by_quartiles).min(MAX_RATIO);
        (z, ratio)
    }
}

/// The quantile `share` of a sorted row, interpolated between its neighbours (R's type 7).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len().saturating_sub(1)) as f64 * share;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the length"
    )]
    let below = place.floor() as usize;
    let at = |index: usize| sorted.get(index).or(sorted.last()).copied().unwrap_or(0.0);
    let (low, high) = (at(below), at(below + 1));
    low + (high - low) * (place - place.floor())
}
