//! What `logs/slo.ndjson` means now: where each objective stands, which planned work is declared.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::event::{SloEvent, SloLine};
use super::excluded::Excluded;
use super::logic::Standing;
use super::model::MaintenanceWindow;
use super::rules::excluded;

/// The view.
#[derive(Debug, Clone, Default)]
pub struct SloView {
    /// Objectives about which something is on record, by name.
    pub standings: BTreeMap<String, Standing>,
    /// Planned work, with the time it was declared.
    pub declared: BTreeMap<MaintenanceWindow, DateTime<Utc>>,
}

impl SloView {
    /// Takes a line in.
    pub fn fold(&mut self, line: SloLine) {
        let at = line.ts;
        if let Some(event) = line.event() {
            self.apply(&event, at);
        }
    }

    /// Takes an event in.
    pub fn apply(&mut self, event: &SloEvent, at: DateTime<Utc>) {
        match event {
            SloEvent::Changed { objective, change } => {
                let standing = self.standings.entry(objective.clone()).or_default();
                standing.apply(change, at);
            }
            SloEvent::Removed { objective } => {
                self.standings.remove(objective);
            }
            SloEvent::Declared {
                window,
                declared_at,
            } => {
                self.declared.insert(window.clone(), *declared_at);
            }
            SloEvent::Withdrawn { window } => {
                // What has passed of it was planned work all the same.
                if let Some(declared) = self.declared.remove(window)
                    && window.from < at
                {
                    let mut passed = window.clone();
                    passed.until = passed.until.min(at);
                    self.declared.insert(passed, declared);
                }
            }
        }
    }

    /// Where an objective stands.
    pub fn standing(&self, objective: &str) -> Standing {
        self.standings.get(objective).cloned().unwrap_or_default()
    }

    /// What does not count for an objective.
    pub fn excluded(&self, objective: &str) -> Excluded {
        let declared = self.declared.iter();
        excluded(objective, declared.map(|(window, at)| (window, *at)))
    }
}
