//! What was added to counters from one look at a page to the next, as rows.
//!
//! The first look only remembers. A counter that is smaller than before began anew: all of it was
//! added. One that was not there at an earlier look was zero: counters by status often appear with
//! the first fault. What was added counts in the minute of the look.
//!
//! Durations come from classic histograms, whose bounds are all that is known. Those within a pair
//! of bounds are spread evenly between them, as `histogram_quantile` of Prometheus does: a quantile
//! may be off by as much as the two bounds are apart. A threshold that is itself a bound is counted
//! exactly. What lies beyond the last finite bound is taken to be just above it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};

use chrono::{DateTime, Utc};

use super::text::{Page, Sample, Type};
use crate::capabilities::slo::intake::decimal::whole;
use crate::capabilities::slo::intake::rules::CounterRules;
use crate::platform::samples::{Counts, Histogram, Row, Rows, minute_of};

/// Sets of labels that are followed in one page at most. Each takes some 50 bytes; a page with more
/// has labels of users or requests, which is a fault of the page.
const MAX_SETS: usize = 20_000;

/// Steps that the durations between two bounds are spread over at most: finer than the rows' own
/// buckets are within the usual doubling of bounds (ln 2 ÷ ln 1.02 = 35).
const STEPS: u64 = 64;

/// What a look found besides rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    /// Lines that could not be read.
    pub broken: u64,
    /// Samples that were named but are of a gauge, or have no countable value.
    pub unfit: u64,
    /// Samples that were named but are too many.
    pub surplus: u64,
    /// Samples that were counted.
    pub used: u64,
}

/// A counter of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Total,
    Bad,
    Took,
}

/// Counters of one page, remembered from look to look.
#[derive(Debug, Default)]
pub struct Counters {
    /// Last value by series, part and labels.
    last: HashMap<u64, f64>,
    /// Whether there was a look before.
    begun: bool,
}

/// What was added since the last look, for one series.
#[derive(Debug, Default)]
struct Added {
    total: f64,
    bad: f64,
    /// By set of labels: upper bounds and how many were added up to each.
    took: HashMap<u64, Vec<(f64, f64)>>,
}

impl Counters {
    /// Looks at a page: rows of what was added since the last look.
    pub fn look(
        &mut self,
        page: &str,
        rules: &[CounterRules],
        now: DateTime<Utc>,
    ) -> (Rows, Looked) {
        let mut added: Vec<Added> = rules.iter().map(|_| Added::default()).collect();
        let mut looked = Looked::default();
        let mut page = Page::new(page);
        for sample in page.by_ref() {
            for (at, rule) in rules.iter().enumerate() {
                let Some(slot) = added.get_mut(at) else {
                    continue;
                };
                // A bad one is most often one of all, too.
                for part in [Part::Total, Part::Bad, Part::Took] {
                    if is_part(rule, part, &sample) {
                        self.count(at, part, &sample, slot, &mut looked);
                    }
                }
            }
        }
        looked.broken = page.broken;
        let mut rows = Rows::new();
        for (rule, added) in rules.iter().zip(added) {
            if self.begun {
                push(&mut rows, rule, added, now);
            }
        }
        self.begun = true;
        (rows, looked)
    }

    /// Counts a sample that is `part` of the series number `at`.
    fn count(
        &mut self,
        at: usize,
        part: Part,
        sample: &Sample<'_>,
        added: &mut Added,
        looked: &mut Looked,
    ) {
        if sample.kind == Type::Gauge || !(sample.value >= 0.0 && sample.value.is_finite()) {
            looked.unfit += 1;
            return;
        }
        let bound = match part {
            Part::Total | Part::Bad => None,
            Part::Took => bound(sample),
        };
        if part == Part::Took && bound.is_none() {
            looked.unfit += 1;
            return;
        }
        let set = set_of(sample);
        let key = hash(&(at, part, set, bound.map(f64::to_bits)));
        if self.last.len() >= MAX_SETS && !self.last.contains_key(&key) {
            looked.surplus += 1;
            return;
        }
        looked.used += 1;
        let before = self.last.insert(key, sample.value).unwrap_or(0.0);
        let grown = if sample.value >= before {
            sample.value - before
        } else {
            sample.value
        };
        match (part, bound) {
            (Part::Total, _) => added.total += grown,
            (Part::Bad, _) => added.bad += grown,
            (Part::Took, bound) => {
                let bounds = added.took.entry(set).or_default();
                bounds.push((bound.unwrap_or(f64::INFINITY), grown));
            }
        }
    }
}

/// Whether a sample is this counter of `rule`.
fn is_part(rule: &CounterRules, part: Part, sample: &Sample<'_>) -> bool {
    // The text of a page may name a counter's family without the suffix that its samples have.
    let (matcher, suffixes) = match part {
        Part::Total => (&rule.total, &["", "_total"][..]),
        Part::Bad => (&rule.bad, &["", "_total"][..]),
        Part::Took => (&rule.duration, &["_bucket"][..]),
    };
    matcher.as_ref().is_some_and(|matcher| {
        let rest = sample.name.strip_prefix(matcher.name());
        let named = rest.is_some_and(|rest| suffixes.contains(&rest));
        named && matcher.takes(|name| sample.label(name))
    })
}

/// The upper bound of a bucket.
fn bound(sample: &Sample<'_>) -> Option<f64> {
    let bound: f64 = sample.label("le").parse().ok()?;
    (bound > 0.0).then_some(bound)
}

/// A set of labels without the bound of a bucket.
fn set_of(sample: &Sample<'_>) -> u64 {
    let mut labels: Vec<_> = sample.labels().filter(|(name, _)| *name != "le").collect();
    labels.sort_unstable();
    hash(&(sample.name, labels))
}

fn hash(value: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Makes a row of what was added.
fn push(rows: &mut Rows, rule: &CounterRules, added: Added, now: DateTime<Utc>) {
    let mut durations = Histogram::default();
    let micros = 10_f64.powi(i32::try_from(rule.unit.power()).unwrap_or(0) - 3);
    for mut bounds in added.took.into_values() {
        bounds.sort_unstable_by(|left, right| left.0.total_cmp(&right.0));
        let (mut lower, mut below) = (0_u64, 0.0_f64);
        for (bound, within) in bounds {
            let upper = whole(bound * micros);
            // A reset between two lines of one page can make these shrink.
            let count = whole((within - below).round()).unwrap_or(0);
            below = below.max(within);
            spread(&mut durations, lower, upper, count);
            lower = upper.unwrap_or(lower);
        }
    }
    let total = match rule.total {
        Some(_) => whole(added.total.round()).unwrap_or(0),
        None => durations.count(),
    };
    let bad = whole(added.bad.round()).unwrap_or(0).min(total);
    if total > 0 || !durations.is_empty() {
        rows.add_row(&Row {
            minute: minute_of(now),
            series: rule.series.as_str().into(),
            counts: Counts { total, bad },
            durations,
        });
    }
}

/// Counts `n` durations between two bounds in microseconds, the upper one included.
fn spread(durations: &mut Histogram, lower: u64, upper: Option<u64>, n: u64) {
    // Thresholds are rounded to buckets: what is within a bound must stay within its bucket.
    let first = if lower == 0 {
        0
    } else {
        Histogram::within(lower) + 1
    };
    let last = upper.map_or(first, |upper| Histogram::within(upper).max(first));
    let steps = n.clamp(1, STEPS);
    for step in 0..steps {
        let share = n / steps + u64::from(step < n % steps);
        let width = u128::from(last - first);
        let offset = width * u128::from(2 * step + 1) / u128::from(2 * steps);
        durations.add(first + u64::try_from(offset).unwrap_or(0), share);
    }
}
