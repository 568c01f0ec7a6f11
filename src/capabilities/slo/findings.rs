//! Alert events of the guard: what is open on record is raised, what is not is resolved.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::budget::Level;
use super::event::{Change, SloEvent};
use super::rules::SloRules;
use super::text;
use super::view::SloView;
use crate::platform::alerts::{Alerts, Finding, Severity};

/// Who the alert events are from.
const SOURCE: &str = "slo";

/// Makes the alert events agree with `view`. Saying the same again writes nothing, so this mends
/// what a crash between the two journals left behind.
pub(super) fn tell(
    alerts: &Alerts,
    rules: &SloRules,
    view: &SloView,
    events: &[SloEvent],
    now: DateTime<Utc>,
) {
    let mut held = BTreeSet::new();
    for finding in findings(rules, view, events) {
        held.insert(finding.key.clone());
        alerts.raise(finding, now);
    }
    let how = endings(events);
    for active in alerts.said_by(SOURCE) {
        let key = &active.finding.key;
        if !held.contains(key) {
            let gone = "the objective is watched no more".to_owned();
            alerts.resolve(key, now, how.get(key).cloned().unwrap_or(gone));
        }
    }
}

fn findings(rules: &SloRules, view: &SloView, events: &[SloEvent]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for watched in &rules.objectives {
        let objective = &watched.objective;
        let finding = |key, severity, summary, started_at, kind: &str| Finding {
            key,
            source: SOURCE.to_owned(),
            severity,
            summary,
            started_at,
            labels: [
                ("objective", &*objective.name),
                ("series", &*objective.series),
                ("severity", kind),
            ]
            .into(),
            ..Finding::default()
        };
        let Some(standing) = view.standings.get(&objective.name) else {
            continue;
        };
        for (severity, open) in &standing.open {
            let key = text::key(&objective.name, *severity);
            let level = watched.told.of(*severity);
            let told = open.text.clone();
            findings.push(finding(key, level, told, open.started_at, severity.name()));
        }
        let level = match standing.level {
            Level::Ample => continue,
            Level::Low => Severity::Warning.min(watched.told.budget),
            Level::Exhausted => watched.told.budget,
        };
        let told = budget_text(&objective.name, events)
            .unwrap_or_else(|| text::level(&objective.name, standing.level));
        let since = standing.level_since.unwrap_or_default();
        findings.push(finding(
            text::budget_key(&objective.name),
            level,
            told,
            since,
            "budget",
        ));
    }
    findings
}

fn budget_text(name: &str, events: &[SloEvent]) -> Option<String> {
    events.iter().find_map(|event| match event {
        SloEvent::Changed {
            objective,
            change: Change::Budget { text, .. },
        } if objective == name => Some(text.clone()),
        _ => None,
    })
}

/// How alerts end, by key.
fn endings(events: &[SloEvent]) -> BTreeMap<String, String> {
    let ending = |event: &SloEvent| match event {
        SloEvent::Changed { objective, change } => match change {
            Change::Resolved { severity, text, .. } => {
                Some((text::key(objective, *severity), text.clone()))
            }
            Change::Budget {
                level: Level::Ample,
                text,
                ..
            } => Some((text::budget_key(objective), text.clone())),
            _ => None,
        },
        _ => None,
    };
    events.iter().filter_map(ending).collect()
}
