//! What other rules would have fired on the recorded past. Decides by the guard's own code, minute
//! by minute; writes nothing, tells nobody.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::budget::{Budget, budget};
use super::event::Change;
use super::excluded::{Counted, Excluded};
use super::logic::{Standing, alerts};
use super::model::{Objective, Past, Rule, Severity, Tally, begin_of, minute_of};
use super::recorded::Recorded;
use crate::base::problems::Problems;
use crate::storage::engine::StorageError;

/// Which part of the past.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// The first instant that is decided; `None` for the first sample.
    pub from: Option<DateTime<Utc>>,
    /// The end; `None` for now.
    pub until: Option<DateTime<Utc>>,
    /// Now.
    pub now: DateTime<Utc>,
}

/// Why nothing was replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The rules are not good.
    #[error("the rules to replay are refused")]
    Config(Box<Problems>),
    /// The past cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What would have fired.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Replayed {
    /// Alerts that would have opened, of all objectives.
    pub alert_count: usize,
    /// Objectives of the other rules, by name.
    pub objectives: Vec<ReplayedObjective>,
}

/// One objective of the other rules.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct ReplayedObjective {
    /// Its name.
    pub name: String,
    /// The series of samples it was measured on.
    pub series: String,
    /// The first instant that was decided; null where its series has no samples then.
    #[schemars(with = "Option<String>")]
    pub from: Option<DateTime<Utc>>,
    /// The last one.
    #[schemars(with = "Option<String>")]
    pub until: Option<DateTime<Utc>>,
    /// What came in between.
    #[serde(flatten)]
    pub tally: Tally,
    /// Alerts that would have opened, the oldest first.
    pub alerts: Vec<ReplayedAlert>,
    /// The budget at the end.
    pub budget: Option<Budget>,
}

/// An alert that would have opened.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct ReplayedAlert {
    /// Page or ticket.
    pub severity: Severity,
    /// All rules that held it open.
    pub rules: BTreeSet<Rule>,
    /// The first bad request of it, to the minute.
    #[schemars(with = "String")]
    pub started_at: DateTime<Utc>,
    /// When it would have opened.
    #[schemars(with = "String")]
    pub fired_at: DateTime<Utc>,
    /// When it would have closed; null while it would be open still.
    #[schemars(with = "Option<String>")]
    pub resolved_at: Option<DateTime<Utc>>,
    /// Minutes it was open.
    pub minutes: i64,
    /// Why it opened.
    pub text: String,
    /// Why it was open until then.
    pub resolved_text: Option<String>,
}

/// Replays one objective over `past`, deciding at the end of each minute of `span`.
pub fn replay(
    objective: &Objective,
    past: &Recorded,
    excluded: &Excluded,
    span: Span,
) -> ReplayedObjective {
    let mut replayed = ReplayedObjective {
        name: objective.name.clone(),
        series: objective.series.clone(),
        from: None,
        until: None,
        tally: Tally::default(),
        alerts: Vec::new(),
        budget: None,
    };
    let Some(begins) = past.begins() else {
        return replayed;
    };
    let from = span.from.map_or(begins, minute_of).max(begins);
    let until = minute_of(span.until.unwrap_or(span.now).min(span.now));
    if until <= from {
        return replayed;
    }
    let past = Counted { past, excluded };
    replayed.from = Some(begin_of(from));
    replayed.until = Some(begin_of(until));
    replayed.tally = past.tally(from, until);
    replayed.budget = Some(budget(objective, &past, until));
    let mut standing = Standing::default();
    for minute in from + 1..=until {
        let at = begin_of(minute);
        let (_, changes) = alerts(objective, &standing, &past, minute);
        for change in &changes {
            standing.apply(change, at);
            note(&mut replayed.alerts, change, at);
        }
    }
    for alert in &mut replayed.alerts {
        let end = alert.resolved_at.unwrap_or(begin_of(until));
        alert.minutes = (end - alert.fired_at).num_minutes();
    }
    replayed
}

fn note(alerts: &mut Vec<ReplayedAlert>, change: &Change, at: DateTime<Utc>) {
    let open = |severity| {
        move |one: &&mut ReplayedAlert| one.severity == severity && one.resolved_at.is_none()
    };
    match change {
        Change::Fired {
            severity,
            rules,
            started_at,
            text,
        } => alerts.push(ReplayedAlert {
            severity: *severity,
            rules: rules.clone(),
            started_at: *started_at,
            fired_at: at,
            resolved_at: None,
            minutes: 0,
            text: text.clone(),
            resolved_text: None,
        }),
        Change::Shifted { severity, rules } => {
            if let Some(alert) = alerts.iter_mut().find(open(*severity)) {
                alert.rules.extend(rules);
            }
        }
        Change::Resolved { severity, text, .. } => {
            if let Some(alert) = alerts.iter_mut().find(open(*severity)) {
                alert.resolved_at = Some(at);
                alert.resolved_text = Some(text.clone());
            }
        }
        Change::Budget { .. } => {}
    }
}
