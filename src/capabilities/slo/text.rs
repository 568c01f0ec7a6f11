//! What is said of alerts and budgets. Pure.

use super::budget::{Budget, Level};
use super::burn::Reading;
use super::logic::Open;
use super::model::{Objective, Past, Rule, Severity, begin_of, span};
use super::outlook;

/// Why an alert opens.
pub fn fired(objective: &Objective, reading: &Reading) -> String {
    let (rule, long) = (reading.rule, reading.long);
    let seen = format!(
        "{} of {} requests of the last {} were bad",
        long.bad,
        long.requests,
        span(rule.long())
    );
    let burn = reading.long_burn.unwrap_or_default();
    match rule.factor(objective.period_days) {
        Some(factor) => format!(
            "`{}`: {seen}, {} times what {} % allows; `{rule}` fires above {}",
            objective.name,
            short(burn),
            objective.target_percent,
            short(factor),
        ),
        None => format!(
            "`{}`: {seen}; `{rule}` fires from {} % on",
            objective.name, objective.low_traffic.sustained_percent,
        ),
    }
}

/// Why an alert was open for so long: a rule stays until its short window is nearly clean, so that
/// an outage of minutes may be told for half an hour.
pub fn resolved(open: &Open, last_bad: Option<i64>, until: i64) -> String {
    let Some(last) = last_bad else {
        return "no bad request is left in its windows".to_owned();
    };
    let after = until - last - 1;
    let slowest = open.rules.iter().max_by_key(|rule| rule.short());
    let Some(rule) = slowest.filter(|_| after > 1) else {
        return "too few requests are bad now".to_owned();
    };
    format!(
        "the last bad request came at {}; the {} window of `{rule}` held the alert for {after} \
         minutes after it",
        clock(last),
        span(rule.short()),
    )
}

/// Why an alert is open still, and until when.
pub fn open_still(objective: &Objective, past: &dyn Past, open: &Open, until: i64) -> String {
    let closing = |rule: &Rule| (outlook::closes_at(objective, past, *rule, until), *rule);
    let Some((closes, rule)) = open.rules.iter().map(closing).max() else {
        return String::new();
    };
    let window = span(rule.short());
    match outlook::last_bad(past, until - rule.short(), until) {
        Some(last) if until - last > 2 => format!(
            "the {window} window of `{rule}` still holds the outage, whose last bad request came \
             at {}; expected to close at {} if no more come",
            clock(last),
            clock(closes),
        ),
        Some(_) => format!(
            "it still burns; if no more bad requests came, the {window} window of `{rule}` would \
             close at {}",
            clock(closes),
        ),
        None => format!(
            "no request has come in the {window} window of `{rule}`, and none is no recovery; \
             expected to close at {} if good ones come",
            clock(closes),
        ),
    }
}

/// What passed a threshold of the budget.
pub fn budget(objective: &Objective, budget: &Budget) -> String {
    let Budget {
        remaining_percent,
        tally,
        ..
    } = budget;
    let name = &objective.name;
    let seen = format!(
        "{} of {} requests of {} days were bad, {} are allowed",
        tally.bad,
        tally.requests,
        objective.period_days,
        short(budget.allowed_requests)
    );
    match budget.level {
        Level::Exhausted => format!("`{name}`: the error budget is used up: {seen}"),
        Level::Low => format!(
            "`{name}`: {} % of the error budget is left: {seen}",
            short(*remaining_percent)
        ),
        Level::Ample => format!(
            "`{name}`: {} % of the error budget is there again: {seen}",
            short(*remaining_percent)
        ),
    }
}

/// Key of an alert event.
pub fn key(objective: &str, severity: Severity) -> String {
    format!("slo:{objective}:{severity}")
}

/// Key of the alert event about a budget.
pub fn budget_key(objective: &str) -> String {
    format!("slo:{objective}:budget")
}

/// What is said of a budget whose numbers are not at hand.
pub fn level(objective: &str, level: Level) -> String {
    match level {
        Level::Exhausted => format!("`{objective}`: the error budget is used up"),
        Level::Low => format!("`{objective}`: less than a quarter of the error budget is left"),
        Level::Ample => format!("`{objective}`: the error budget is there"),
    }
}

fn clock(minute: i64) -> String {
    begin_of(minute).format("%Y-%m-%d %H:%M UTC").to_string()
}

/// Three digits or so: enough for a sentence.
pub fn short(value: f64) -> String {
    let text = if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    };
    match text.split_once('.') {
        Some((whole, fraction)) => match fraction.trim_end_matches('0') {
            "" => whole.to_owned(),
            fraction => format!("{whole}.{fraction}"),
        },
        None => text,
    }
}
