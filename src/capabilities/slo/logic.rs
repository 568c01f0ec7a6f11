//! What changes at a minute: alerts that open, widen or close, and budgets that pass a threshold.
//! Pure; the guard and `slo replay` decide by the same code.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::budget::{Budget, Level, budget};
use super::burn::{Reading, Verdict, read};
use super::event::Change;
use super::model::{Objective, Past, Rule, Severity, begin_of};
use super::outlook;
use super::text;

/// An alert that has not closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The first bad request of it, to the minute.
    pub started_at: DateTime<Utc>,
    /// When it opened.
    pub fired_at: DateTime<Utc>,
    /// The rules that hold it open now.
    pub rules: BTreeSet<Rule>,
    /// All rules that have held it open.
    pub ever: BTreeSet<Rule>,
    /// What was said when it opened.
    pub text: String,
}

/// Where an objective stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its open alerts.
    pub open: BTreeMap<Severity, Open>,
    /// How much of its budget is left.
    pub level: Level,
    /// Since when that is so; `None` where it never was anything else.
    pub level_since: Option<DateTime<Utc>>,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            open: BTreeMap::new(),
            level: Level::Ample,
            level_since: None,
        }
    }
}

impl Standing {
    /// Whether a rule holds an alert open.
    pub fn fires(&self, rule: Rule) -> bool {
        let open = self.open.get(&rule.severity());
        open.is_some_and(|open| open.rules.contains(&rule))
    }

    /// Takes a change in.
    pub fn apply(&mut self, change: &Change, at: DateTime<Utc>) {
        match change {
            Change::Fired {
                severity,
                rules,
                started_at,
                text,
            } => {
                let open = Open {
                    started_at: *started_at,
                    fired_at: at,
                    rules: rules.clone(),
                    ever: rules.clone(),
                    text: text.clone(),
                };
                self.open.insert(*severity, open);
            }
            Change::Shifted { severity, rules } => {
                if let Some(open) = self.open.get_mut(severity) {
                    open.rules.clone_from(rules);
                    open.ever.extend(rules);
                }
            }
            Change::Resolved { severity, .. } => {
                self.open.remove(severity);
            }
            Change::Budget { level, .. } => {
                self.level = *level;
                self.level_since = Some(at);
            }
        }
    }
}

/// One objective at a minute.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// What each rule says.
    pub readings: Vec<Reading>,
    /// The budget.
    pub budget: Budget,
    /// What is different from a minute ago.
    pub changes: Vec<Change>,
}

/// Looks at an objective: the windows end before the minute `until`.
pub fn look(objective: &Objective, standing: &Standing, past: &dyn Past, until: i64) -> Look {
    let (readings, mut changes) = alerts(objective, standing, past, until);
    let budget = budget(objective, past, until);
    changes.extend(budget_change(objective, standing, &budget));
    Look {
        readings,
        budget,
        changes,
    }
}

/// What each rule says, and what that changes in the open alerts.
pub fn alerts(
    objective: &Objective,
    standing: &Standing,
    past: &dyn Past,
    until: i64,
) -> (Vec<Reading>, Vec<Change>) {
    let readings = read(objective, past, until, &|rule| standing.fires(rule));
    let changes = Severity::ALL
        .into_iter()
        .filter_map(|severity| alert_change(objective, standing, past, until, &readings, severity))
        .collect();
    (readings, changes)
}

fn alert_change(
    objective: &Objective,
    standing: &Standing,
    past: &dyn Past,
    until: i64,
    readings: &[Reading],
    severity: Severity,
) -> Option<Change> {
    let firing = |reading: &&Reading| {
        reading.verdict == Verdict::Firing && reading.rule.severity() == severity
    };
    let firing: Vec<&Reading> = readings.iter().filter(firing).collect();
    let rules: BTreeSet<Rule> = firing.iter().map(|reading| reading.rule).collect();
    match (standing.open.get(&severity), firing.first()) {
        (None, None) => None,
        (Some(open), Some(_)) if open.rules == rules => None,
        (Some(_), Some(_)) => Some(Change::Shifted { severity, rules }),
        (None, Some(first)) => {
            let begin = rules
                .iter()
                .filter_map(|rule| outlook::first_bad(past, *rule, until))
                .min();
            Some(Change::Fired {
                severity,
                rules,
                started_at: begin_of(begin.unwrap_or(until)),
                text: text::fired(objective, first),
            })
        }
        (Some(open), None) => Some(resolved(past, until, severity, open)),
    }
}

fn resolved(past: &dyn Past, until: i64, severity: Severity, open: &Open) -> Change {
    let back = open.ever.iter().map(|rule| rule.long()).max();
    let last_bad = outlook::last_bad(past, until - back.unwrap_or_default(), until);
    Change::Resolved {
        severity,
        rules: open.ever.clone(),
        started_at: open.started_at,
        fired_at: open.fired_at,
        last_bad_at: last_bad.map(begin_of),
        text: text::resolved(open, last_bad, until),
    }
}

/// A budget that has passed a threshold. One that is half a percent over it has not yet come back:
/// the number moves with each request.
fn budget_change(objective: &Objective, standing: &Standing, budget: &Budget) -> Option<Change> {
    /// Percent of the budget that must be there again before a level is left upwards.
    const BACK: f64 = 0.5;
    let level = budget.level;
    let back = match standing.level {
        Level::Exhausted => budget.remaining_percent >= BACK,
        Level::Low => budget.remaining_percent >= super::budget::LOW_PERCENT + BACK,
        Level::Ample => true,
    };
    let change = level > standing.level || (level < standing.level && back);
    change.then(|| Change::Budget {
        level,
        remaining_percent: budget.remaining_percent,
        text: text::budget(objective, budget),
    })
}
