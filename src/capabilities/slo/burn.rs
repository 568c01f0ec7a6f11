//! The burn-rate rules: what each one says of the past at a minute. Pure.
//!
//! A rule fires while its long and its short window both burn faster than its factor. Around that
//! stands the guard for few requests:
//! - a long window must hold a minimum of bad requests;
//! - a long window with few requests is measured against what usual traffic would have brought, so
//!   that one bad request of two is not half of an hour;
//! - where usual traffic leaves a short window empty, an empty one keeps what was so: no request
//!   is no recovery;
//! - half of the requests of six hours open a ticket, whatever they burn.

use super::model::{DAY, Objective, Past, Rule, Tally};

/// Minutes that usual traffic is learnt from: the last week, so that each weekday counts once.
const USUAL: i64 = 7 * DAY;

/// Requests that usual traffic brings to a short window, from which on an empty one says
/// something: at random arrivals it would be empty once in 22,000 times (e^-10).
const TELLING: f64 = 10.0;

/// Share by which binary fractions may miss: 144 bad of 10,000 burn exactly 14.4 at 99.9 %.
const DUST: f64 = 1e-9;

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is wrong by this rule.
    Quiet,
    /// Both windows burn too fast.
    Firing,
    /// Both windows burn too fast, but by too few requests to say so.
    TooFew,
}

/// One rule at one minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// The rule.
    pub rule: Rule,
    /// What it says.
    pub verdict: Verdict,
    /// The long window.
    pub long: Tally,
    /// The short window.
    pub short: Tally,
    /// How fast the long window burns, by the requests it is measured against.
    pub long_burn: Option<f64>,
    /// How fast the short window burns.
    pub short_burn: Option<f64>,
}

/// Requests per minute of usual traffic, the week before `until` or as much of it as is known.
pub fn usual_rate(past: &dyn Past, until: i64) -> f64 {
    let Some(begins) = past.begins() else {
        return 0.0;
    };
    let from = begins.max(until - USUAL);
    if until <= from {
        return 0.0;
    }
    past.tally(from, until).requests as f64 / (until - from) as f64
}

/// What all rules of an objective say of the windows that end before `until`. `firing` tells which
/// rules fired a minute ago.
pub fn read(
    objective: &Objective,
    past: &dyn Past,
    until: i64,
    firing: &dyn Fn(Rule) -> bool,
) -> Vec<Reading> {
    let usual = usual_rate(past, until);
    let read = |rule: &Rule| match rule.factor(objective.period_days) {
        Some(factor) => by_burn(
            objective,
            *rule,
            factor,
            past,
            until,
            (usual, firing(*rule)),
        ),
        None => sustained(objective, *rule, past, until),
    };
    objective.rules.iter().map(read).collect()
}

fn by_burn(
    objective: &Objective,
    rule: Rule,
    factor: f64,
    past: &dyn Past,
    until: i64,
    (usual, fired): (f64, bool),
) -> Reading {
    let guard = &objective.low_traffic;
    let long = past.tally(until - rule.long(), until);
    let short = past.tally(until - rule.short(), until);
    let long_burn = long_ratio(long, usual * rule.long() as f64, guard.few_requests)
        .map(|ratio| objective.burn(ratio));
    let short_burn = short.ratio().map(|ratio| objective.burn(ratio));
    let exceeds = |burn: f64| burn > factor * (1.0 + DUST);
    let still = match short_burn {
        Some(burn) => exceeds(burn),
        None => fired && usual * (rule.short() as f64) < TELLING,
    };
    let verdict = match long_burn.is_some_and(exceeds) && still {
        false => Verdict::Quiet,
        true if long.bad < guard.min_bad(rule) => Verdict::TooFew,
        true => Verdict::Firing,
    };
    Reading {
        rule,
        verdict,
        long,
        short,
        long_burn,
        short_burn,
    }
}

/// Share of bad requests among those seen or, where they are few, among those expected; never
/// among more than `few` that were not there: a quiet night must not hide an outage.
fn long_ratio(seen: Tally, expected: f64, few: u64) -> Option<f64> {
    let ratio = seen.ratio()?;
    let requests = seen.requests as f64;
    let against = requests.max(expected.min(few as f64));
    Some(ratio * requests / against)
}

fn sustained(objective: &Objective, rule: Rule, past: &dyn Past, until: i64) -> Reading {
    let guard = &objective.low_traffic;
    let long = past.tally(until - rule.long(), until);
    let burn = long.ratio().map(|ratio| objective.burn(ratio));
    let high = long
        .ratio()
        .is_some_and(|ratio| ratio * 100.0 >= guard.sustained_percent);
    let verdict = match high {
        false => Verdict::Quiet,
        true if long.bad < guard.min_bad(rule) => Verdict::TooFew,
        true => Verdict::Firing,
    };
    Reading {
        rule,
        verdict,
        long,
        short: long,
        long_burn: burn,
        short_burn: burn,
    }
}
