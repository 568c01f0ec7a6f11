//! What is behind an open alert and how long it will stay open. Pure.

use super::model::{Objective, Past, Rule};

/// The first minute of the outage that `rule` fires on: back from the newest bad request, over
/// gaps no longer than the rule's short window, at most to the beginning of its long one.
pub fn first_bad(past: &dyn Past, rule: Rule, until: i64) -> Option<i64> {
    let begin = until - rule.long();
    let mut first = last_bad(past, begin, until)?;
    while let Some(earlier) = last_bad(past, begin.max(first - rule.short()), first) {
        first = earlier;
    }
    Some(first)
}

/// The newest minute with a bad request within a window; found by halving, as windows are long.
pub fn last_bad(past: &dyn Past, from: i64, until: i64) -> Option<i64> {
    if until <= from || past.tally(from, until).bad == 0 {
        return None;
    }
    let (mut low, mut high) = (from, until);
    // The newest bad minute is in [low, high).
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if past.tally(middle, high).bad > 0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(low)
}

/// The minute at whose beginning `rule` would close if all requests from `until` on were good and
/// as many as in the last hour: the first at which one of its windows burns slowly enough.
pub fn closes_at(objective: &Objective, past: &dyn Past, rule: Rule, until: i64) -> i64 {
    let Some(factor) = rule.factor(objective.period_days) else {
        return sustained_until(objective, past, rule, until);
    };
    let highest = factor * objective.allowed_ratio();
    first_calm(past, until, rule.short(), |ratio, _| ratio <= highest).min(first_calm(
        past,
        until,
        rule.long(),
        |ratio, _| ratio <= highest,
    ))
}

fn sustained_until(objective: &Objective, past: &dyn Past, rule: Rule, until: i64) -> i64 {
    let guard = &objective.low_traffic;
    first_calm(past, until, rule.long(), |ratio, bad| {
        ratio * 100.0 < guard.sustained_percent || bad < guard.min_bad(rule)
    })
}

/// The first minute from `until` on at which a window of `minutes` is calm, only good requests
/// coming in. Calm once is calm ever after: bad requests only leave. So it is found by halving.
fn first_calm(past: &dyn Past, until: i64, minutes: i64, calm: impl Fn(f64, u64) -> bool) -> i64 {
    let rate = past.tally(until - 60, until).requests as f64 / 60.0;
    let is_calm = |ahead: i64| {
        let seen = past.tally(until + ahead - minutes, until);
        let requests = seen.requests as f64 + rate * ahead as f64;
        requests <= 0.0 || seen.bad == 0 || calm(seen.bad as f64 / requests, seen.bad)
    };
    let (mut low, mut high) = (0, minutes);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_calm(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    until + low
}
