//! What is written to `logs/slo.ndjson`. Version 1; old lines stay readable for ever.
//!
//! - `slo.alert_fired {objective, severity, rules, started_at, text}`
//! - `slo.alert_changed {objective, severity, rules}`: other rules hold the alert open now
//! - `slo.alert_resolved {objective, severity, rules, started_at, fired_at, last_bad_at, text}`
//! - `slo.budget_changed {objective, level, remaining_percent, text}`
//! - `slo.objective_removed {objective}`: its alerts end with it
//! - `slo.maintenance_declared {from, until, reason, objectives, declared_at}`
//! - `slo.maintenance_withdrawn {from, until, reason, objectives}`

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::budget::Level;
use super::model::{MaintenanceWindow, Rule, Severity};
use crate::storage::lines::Lines;

/// Name of the journal.
pub const STREAM: &str = "slo";

/// Something about one objective that is different from a minute ago.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Change {
    /// An alert has opened.
    Fired {
        /// Which of the two.
        severity: Severity,
        /// The rules that fire.
        rules: BTreeSet<Rule>,
        /// The first bad request, to the minute.
        started_at: DateTime<Utc>,
        /// Why.
        text: String,
    },
    /// Other rules hold an open alert open.
    Shifted {
        /// Which of the two.
        severity: Severity,
        /// The rules that fire now.
        rules: BTreeSet<Rule>,
    },
    /// An alert has closed.
    Resolved {
        /// Which of the two.
        severity: Severity,
        /// All rules that held it open.
        rules: BTreeSet<Rule>,
        /// The first bad request, to the minute.
        started_at: DateTime<Utc>,
        /// When it opened.
        fired_at: DateTime<Utc>,
        /// The last bad request, to the minute.
        last_bad_at: Option<DateTime<Utc>>,
        /// Why it was open until now.
        text: String,
    },
    /// The budget has passed a threshold.
    Budget {
        /// How much is left now.
        level: Level,
        /// The same in percent.
        remaining_percent: f64,
        /// The numbers behind it.
        text: String,
    },
}

impl Change {
    /// Event kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Fired { .. } => "slo.alert_fired",
            Self::Shifted { .. } => "slo.alert_changed",
            Self::Resolved { .. } => "slo.alert_resolved",
            Self::Budget { .. } => "slo.budget_changed",
        }
    }
}

/// A line.
#[derive(Debug, Clone, PartialEq)]
pub enum SloEvent {
    /// Something about an objective.
    Changed {
        /// Its name.
        objective: String,
        /// What.
        change: Change,
    },
    /// An objective is not in the file any more.
    Removed {
        /// Its name.
        objective: String,
    },
    /// Planned work was written down.
    Declared {
        /// The window.
        window: MaintenanceWindow,
        /// When.
        declared_at: DateTime<Utc>,
    },
    /// Planned work was taken out again.
    Withdrawn {
        /// The window.
        window: MaintenanceWindow,
    },
}

#[derive(Serialize)]
struct OfObjective<'a> {
    objective: &'a str,
    #[serde(flatten)]
    change: Option<&'a Change>,
}

#[derive(Serialize)]
struct OfWindow<'a> {
    #[serde(flatten)]
    window: &'a MaintenanceWindow,
    #[serde(skip_serializing_if = "Option::is_none")]
    declared_at: Option<DateTime<Utc>>,
}

impl SloEvent {
    /// Adds the line.
    pub fn push(&self, lines: &mut Lines, at: DateTime<Utc>) {
        match self {
            Self::Changed { objective, change } => {
                let members = OfObjective {
                    objective,
                    change: Some(change),
                };
                lines.push_members(change.kind(), at, &members);
            }
            Self::Removed { objective } => {
                let members = OfObjective {
                    objective,
                    change: None,
                };
                lines.push_members("slo.objective_removed", at, &members);
            }
            Self::Declared {
                window,
                declared_at,
            } => {
                let members = OfWindow {
                    window,
                    declared_at: Some(*declared_at),
                };
                lines.push_members("slo.maintenance_declared", at, &members);
            }
            Self::Withdrawn { window } => {
                let members = OfWindow {
                    window,
                    declared_at: None,
                };
                lines.push_members("slo.maintenance_withdrawn", at, &members);
            }
        }
    }
}

/// A line as it is read back: the members of all kinds.
#[derive(Debug, Deserialize)]
pub struct SloLine {
    /// When.
    pub ts: DateTime<Utc>,
    kind: String,
    objective: Option<String>,
    severity: Option<Severity>,
    rules: Option<BTreeSet<Rule>>,
    started_at: Option<DateTime<Utc>>,
    fired_at: Option<DateTime<Utc>>,
    last_bad_at: Option<DateTime<Utc>>,
    text: Option<String>,
    level: Option<Level>,
    remaining_percent: Option<f64>,
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    reason: Option<String>,
    objectives: Option<BTreeSet<String>>,
    declared_at: Option<DateTime<Utc>>,
}

impl SloLine {
    /// What it says; `None` for a kind that is not known.
    pub fn event(self) -> Option<SloEvent> {
        Some(match self.kind.as_str() {
            "slo.objective_removed" => SloEvent::Removed {
                objective: self.objective?,
            },
            "slo.maintenance_declared" => SloEvent::Declared {
                declared_at: self.declared_at?,
                window: self.window()?,
            },
            "slo.maintenance_withdrawn" => SloEvent::Withdrawn {
                window: self.window()?,
            },
            _ => SloEvent::Changed {
                objective: self.objective.clone()?,
                change: self.change()?,
            },
        })
    }

    fn window(self) -> Option<MaintenanceWindow> {
        Some(MaintenanceWindow {
            from: self.from?,
            until: self.until?,
            reason: self.reason?,
            objectives: self.objectives?,
        })
    }

    fn change(self) -> Option<Change> {
        Some(match self.kind.as_str() {
            "slo.alert_fired" => Change::Fired {
                severity: self.severity?,
                rules: self.rules?,
                started_at: self.started_at?,
                text: self.text?,
            },
            "slo.alert_changed" => Change::Shifted {
                severity: self.severity?,
                rules: self.rules?,
            },
            "slo.alert_resolved" => Change::Resolved {
                severity: self.severity?,
                rules: self.rules?,
                started_at: self.started_at?,
                fired_at: self.fired_at?,
                last_bad_at: self.last_bad_at,
                text: self.text?,
            },
            "slo.budget_changed" => Change::Budget {
                level: self.level?,
                remaining_percent: self.remaining_percent?,
                text: self.text?,
            },
            _ => return None,
        })
    }
}
