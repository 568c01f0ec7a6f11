//! One objective in detail: its budget over time.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::budget::shown;
use super::model::{DAY, Objective, Past, Tally, begin_of};
use super::report::ObjectiveReport;

/// Answer of `GET /api/slo/{objective}`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Detail {
    /// What is told of it among all objectives.
    #[serde(flatten)]
    pub objective: ObjectiveReport,
    /// Its budget by day, UTC, the oldest first.
    pub days: Vec<Day>,
    /// Planned work that does not count for it.
    pub maintenance: Vec<Planned>,
}

/// One day.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Day {
    /// When it begins.
    #[schemars(with = "String")]
    pub from: DateTime<Utc>,
    /// What came on that day.
    #[serde(flatten)]
    pub tally: Tally,
    /// Share of the budget that this day took, in percent, by the requests of the whole period.
    pub consumed_percent: f64,
    /// Share of the budget that was left at its end, in percent.
    pub remaining_percent: f64,
}

/// Planned work.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Planned {
    /// When it begins.
    #[schemars(with = "String")]
    pub from: DateTime<Utc>,
    /// When it ends.
    #[schemars(with = "String")]
    pub until: DateTime<Utc>,
    /// What is done.
    pub reason: String,
    /// When it was written down; what came before that counts.
    #[schemars(with = "String")]
    pub declared_at: DateTime<Utc>,
}

/// The days of the period that ends before `until`, the first and the last of them in part. What
/// is left at the end of a day is what this period's budget had left then.
pub fn days(objective: &Objective, past: &dyn Past, until: i64) -> Vec<Day> {
    let begin = until - objective.period();
    let allowed = past.tally(begin, until).requests as f64 * objective.allowed_ratio();
    let share = |bad: u64| {
        if allowed > 0.0 {
            bad as f64 / allowed * 100.0
        } else {
            0.0
        }
    };
    let first = begin.div_euclid(DAY) * DAY;
    let mut gone = 0;
    let mut days = Vec::new();
    let mut from = first;
    while from < until {
        let tally = past.tally(from.max(begin), (from + DAY).min(until));
        gone += tally.bad;
        days.push(Day {
            from: begin_of(from),
            tally,
            consumed_percent: shown(share(tally.bad)),
            remaining_percent: shown(100.0 - share(gone)),
        });
        from += DAY;
    }
    days
}
