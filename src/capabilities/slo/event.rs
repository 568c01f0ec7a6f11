//! What is written to `logs/slo.ndjson`. Version 1; old lines stay readable for ever.
//!
//! - `slo.alert_fired {objective, severity, rules, started_at, text}`
//! - `slo.alert_changed {objective, severity, rules}`: other rules hold the alert open now
//! - `slo.alert_resolved {objective, severity, rules, started_at, fired_at, last_bad_at, text}`
//! - `slo.budget_changed {objective, level, remaining_percent, text}`

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::budget::Level;
use super::model::{Rule, Severity};

/// Name of the journal.
pub const STREAM: &str = "slo";

/// Something about one objective that is different from a minute ago.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Change {
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
