//! What was changed just before, by how likely it is the cause. Pure.
//!
//! Score = nearness × kind × scope, from 0 to 1. Nearness halves every ten minutes or so before the
//! first bad sample, and is a quarter of that for what came after it. A failed task is more often a
//! symptom than a cause, and a configuration file more often neither. What names a thing that the
//! alerts name as well counts double; what names only others counts half. Where samples told which
//! variant of a flag they saw, a flag whose variants fail differently counts three times as much,
//! and one whose variants fail alike a third; the score is cut at 1.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::model::Suspect;
use crate::platform::changes::{Change, ChangeKind};
use crate::platform::samples::VariantCount;

/// How far before the first bad sample changes are looked at (ops notes §2.6).
pub(super) const LOOK_BACK: TimeDelta = TimeDelta::minutes(60);
/// Suspects that are written down at most (our own choice).
const MOST: usize = 10;
/// Minutes before the first bad sample at which nearness is half (our own choice).
const HALF_MINUTES: f64 = 10.0;
/// What is left of nearness after the first bad sample: bad samples are told by the minute, and a
/// few came before anything was wrong.
const AFTERWARDS: f64 = 0.25;
/// The file whose edits are told flag by flag.
const FLAGS_FILE: &str = "flags.json";

/// Bad requests that a comparison of variants needs at least (our own choice).
const LEAST_BAD: u64 = 5;
/// Requests that each variant needs at least to be compared (our own choice).
const LEAST_SEEN: u64 = 20;
/// Variants fail differently when the worse one's error ratio is this many times the other's, and
/// alike when it is not half of that (our own choice).
const DIFFERENT: f64 = 3.0;
/// What such a difference weighs (our own choice).
const SPLIT_WEIGHT: f64 = 3.0;

/// What an incident is about.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// Values of labels, and who found it, in lower case.
    words: BTreeSet<String>,
    /// Tasks whose own failure it is.
    tasks: BTreeSet<String>,
}

impl Scope {
    /// Takes in what an alert names.
    pub(super) fn add<'a>(
        &mut self,
        source: &str,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) {
        self.words.insert(source.to_lowercase());
        for (name, value) in labels {
            if !super::view::tells(name, value) {
                continue;
            }
            if name == "task" {
                self.tasks.insert(value.to_owned());
            }
            self.words.insert(value.to_lowercase());
            self.words.extend(parts(value));
        }
    }

    /// What `change` and the alerts both name.
    fn shared(&self, change: &Change) -> Option<String> {
        let named = change.scope.iter().chain([&change.name]);
        for name in named {
            let whole = name.to_lowercase();
            let mut all = std::iter::once(whole).chain(parts(name));
            if let Some(shared) = all.find(|part| self.words.contains(part)) {
                return Some(shared);
            }
        }
        None
    }
}

/// Words of a name that are long enough to mean something.
fn parts(name: &str) -> impl Iterator<Item = String> {
    /// Letters at least (our own choice: `v2` and `ui` are in too many names).
    const LEAST: usize = 4;
    name.split(|letter: char| !letter.is_alphanumeric())
        .filter(|part| part.chars().count() >= LEAST && *part != "json")
        .map(str::to_lowercase)
}

/// `changes`, the likeliest cause first; `split` gives requests by variant since a flag's change.
pub(super) fn rank(
    scope: &Scope,
    started_at: DateTime<Utc>,
    changes: &[Change],
    split: &dyn Fn(&Change) -> Vec<VariantCount>,
) -> Vec<Suspect> {
    let mut suspects: Vec<Suspect> = changes
        .iter()
        .filter(|change| !is_told_otherwise(scope, change))
        .map(|change| {
            let mut suspect = suspect(scope, started_at, change);
            if matches!(change.kind, ChangeKind::Flag | ChangeKind::Rollout) {
                weigh_split(&mut suspect, &split(change));
            }
            suspect
        })
        .collect();
    suspects.sort_by(|a, b| {
        let by_score = b.score.total_cmp(&a.score);
        by_score.then(b.at.cmp(&a.at)).then(a.name.cmp(&b.name))
    });
    suspects.truncate(MOST);
    suspects
}

/// Lets `suspect` count more where the variants of the flag fail differently, less where alike.
fn weigh_split(suspect: &mut Suspect, variants: &[VariantCount]) {
    let ratio = |one: &VariantCount| one.bad as f64 / (one.good + one.bad) as f64;
    let seen = variants
        .iter()
        .filter(|one| one.good + one.bad >= LEAST_SEEN);
    let worst = seen.clone().max_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    let best = seen.min_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    let (Some(worst), Some(best)) = (worst, best) else {
        return;
    };
    if worst.variant == best.variant || worst.bad < LEAST_BAD {
        return;
    }
    let percent = |one: &VariantCount| format!("{:.1} %", ratio(one) * 100.0);
    let told = format!(
        "{} of requests that saw `{}` failed, {} of those that saw `{}`",
        percent(worst),
        worst.variant,
        percent(best),
        best.variant
    );
    let times = ratio(worst) / ratio(best).max(f64::MIN_POSITIVE);
    let weight = match times {
        _ if times >= DIFFERENT => SPLIT_WEIGHT,
        _ if times < DIFFERENT / 2.0 => 1.0 / SPLIT_WEIGHT,
        _ => 1.0,
    };
    suspect.score = ((suspect.score * weight).min(1.0) * 1000.0).round() / 1000.0;
    suspect.reasons.push(told);
}

/// What is a change in name only: it is told by others, or it is the fault itself.
fn is_told_otherwise(scope: &Scope, change: &Change) -> bool {
    match change.kind {
        ChangeKind::Config => change.name == FLAGS_FILE,
        ChangeKind::TaskFailure => scope.tasks.contains(&change.name),
        _ => false,
    }
}

fn suspect(scope: &Scope, started_at: DateTime<Utc>, change: &Change) -> Suspect {
    let mut reasons = Vec::new();
    let before = started_at - change.at;
    let minutes = before.num_seconds() as f64 / 60.0;
    // The first bad sample is told by the minute in which it was.
    let mut weighed = if minutes > -1.0 {
        1.0 / (1.0 + minutes.max(0.0) / HALF_MINUTES)
    } else {
        AFTERWARDS / (1.0 - minutes / HALF_MINUTES)
    };
    reasons.push(nearness(minutes));
    let (weight, why) = weight(change.kind);
    weighed *= weight;
    if !why.is_empty() {
        reasons.push(why.to_owned());
    }
    weighed /= 2.0;
    match scope.shared(change) {
        Some(shared) => {
            weighed *= 2.0;
            reasons.push(format!("it names `{shared}`, as the alert does"));
        }
        None if !change.scope.is_empty() => {
            weighed /= 2.0;
            let other = change.scope.join("`, `");
            reasons.push(format!("it concerns `{other}`, which no alert names"));
        }
        None => {}
    }
    Suspect {
        kind: change.kind.word().to_owned(),
        name: change.name.clone(),
        at: change.at,
        summary: change.summary.clone(),
        actor: change.actor.clone(),
        score: (weighed * 1000.0).round() / 1000.0,
        reasons,
    }
}

fn nearness(minutes: f64) -> String {
    let whole = minutes.abs().floor();
    match minutes {
        _ if minutes >= 1.0 => format!("{whole} min before the first bad sample"),
        _ if minutes > -1.0 => "within a minute of the first bad sample".to_owned(),
        _ => format!("{whole} min after the first bad sample, before it was noticed"),
    }
}

const fn weight(kind: ChangeKind) -> (f64, &'static str) {
    match kind {
        ChangeKind::Flag | ChangeKind::Deploy => (1.0, ""),
        ChangeKind::Rollout => (0.9, ""),
        ChangeKind::Config => (0.6, "files of settings break requests less often"),
        ChangeKind::TaskFailure => (0.3, "a failed task is more often a symptom"),
    }
}
