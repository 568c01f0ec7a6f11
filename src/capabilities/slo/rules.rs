//! `configs/slo.json`, checked.

use chrono::{DateTime, Utc};

use super::excluded::Excluded;
use super::intake::rules::Source;
use super::model::{MaintenanceWindow, Objective, Severity};
use crate::platform::alerts::Severity as AlertSeverity;

/// The rules in force.
#[derive(Debug, Clone)]
pub struct SloRules {
    /// Objectives, by name.
    pub objectives: Vec<Watched>,
    /// Planned work, as it was written.
    pub maintenance: Vec<MaintenanceWindow>,
    /// Where samples come from.
    pub sources: Vec<Source>,
}

impl SloRules {
    /// An objective by its name.
    pub fn find(&self, name: &str) -> Option<&Watched> {
        self.objectives
            .iter()
            .find(|watched| watched.objective.name == name)
    }
}

/// An objective and what is done about it.
#[derive(Debug, Clone)]
pub struct Watched {
    /// What is promised.
    pub objective: Objective,
    /// How urgent its alert events are.
    pub told: Told,
}

/// Severities of alert events.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// Of a page.
    pub page: AlertSeverity,
    /// Of a ticket.
    pub ticket: AlertSeverity,
    /// Of an exhausted budget.
    pub budget: AlertSeverity,
}

impl Told {
    /// Of an alert.
    pub const fn of(&self, severity: Severity) -> AlertSeverity {
        match severity {
            Severity::Page => self.page,
            Severity::Ticket => self.ticket,
        }
    }
}

/// What does not count for an objective: `declared` are windows with the time they were first seen.
pub fn excluded<'w>(
    objective: &str,
    declared: impl IntoIterator<Item = (&'w MaintenanceWindow, DateTime<Utc>)>,
) -> Excluded {
    let concerned = declared.into_iter().filter(|(w, _)| w.concerns(objective));
    Excluded::new(concerned.map(|(window, at)| window.excused(at)))
}
