//! The error budget of an objective: what the period allows, what is gone, how fast it goes. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::model::{DAY, HOUR, Objective, Past, Tally, begin_of, span};

/// Windows that burn is shown for, in minutes; the period is added.
const SHOWN: [i64; 7] = [5, 30, HOUR, 2 * HOUR, 6 * HOUR, DAY, 3 * DAY];

/// Windows that a projection goes by: the first one with enough requests.
const CURRENT: [i64; 3] = [6 * HOUR, DAY, 3 * DAY];

/// Share of the budget in percent below which a warning is given (ops notes §2.3).
pub const LOW_PERCENT: f64 = 25.0;

/// How much of a budget is left.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A quarter or more.
    Ample,
    /// Less than a quarter.
    Low,
    /// Nothing.
    Exhausted,
}

/// Budget of a period that ends now.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Budget {
    /// Requests of the period, and the bad ones among them.
    #[serde(flatten)]
    pub tally: Tally,
    /// Bad requests that the target allows among them.
    pub allowed_requests: f64,
    /// Bad requests that may still come; negative when the budget is overdrawn.
    pub remaining_requests: f64,
    /// Share that is gone, in percent; over 100 when it is overdrawn.
    pub consumed_percent: f64,
    /// Share that is left, in percent; negative when it is overdrawn.
    pub remaining_percent: f64,
    /// The whole budget as minutes of total outage.
    pub total_minutes: f64,
    /// What is gone, in those minutes.
    pub consumed_minutes: f64,
    /// What is left, in those minutes.
    pub remaining_minutes: f64,
    /// How much is left, in a word.
    pub level: Level,
    /// When nothing is left if it goes on as in the last hours; null while the budget lasts.
    #[schemars(with = "Option<String>")]
    pub exhausted_at: Option<DateTime<Utc>>,
}

/// How fast a window burns.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Burn {
    /// The window: `5m`, `6h`, `30d`.
    pub window: String,
    /// Requests in it, and the bad ones.
    #[serde(flatten)]
    pub tally: Tally,
    /// Ratio to what the period allows: 1 = just all of it; null without requests.
    pub burn: Option<f64>,
}

/// The budget of the period that ends before `until`.
pub fn budget(objective: &Objective, past: &dyn Past, until: i64) -> Budget {
    let tally = past.tally(until - objective.period(), until);
    let allowed_ratio = objective.allowed_ratio();
    let allowed = tally.requests as f64 * allowed_ratio;
    let gone = tally.ratio().map_or(0.0, |ratio| ratio / allowed_ratio);
    let total_minutes = objective.period() as f64 * allowed_ratio;
    Budget {
        tally,
        allowed_requests: shown(allowed),
        remaining_requests: shown(allowed - tally.bad as f64),
        consumed_percent: shown(gone * 100.0),
        remaining_percent: shown((1.0 - gone) * 100.0),
        total_minutes: shown(total_minutes),
        consumed_minutes: shown(total_minutes * gone),
        remaining_minutes: shown(total_minutes * (1.0 - gone)),
        level: level(gone, tally, allowed),
        exhausted_at: exhausted_at(objective, past, until, 1.0 - gone),
    }
}

/// A budget of less than one request says nothing yet: its first bad request would end it.
fn level(gone: f64, tally: Tally, allowed: f64) -> Level {
    match gone {
        _ if allowed < 1.0 || tally.bad == 0 => Level::Ample,
        gone if gone >= 1.0 => Level::Exhausted,
        gone if (1.0 - gone) * 100.0 < LOW_PERCENT => Level::Low,
        _ => Level::Ample,
    }
}

/// At burn 1 a whole budget lasts a whole period; what is burnt slower never ends it, since the
/// oldest requests leave the period as fast as new ones come.
fn exhausted_at(
    objective: &Objective,
    past: &dyn Past,
    until: i64,
    left: f64,
) -> Option<DateTime<Utc>> {
    let few = objective.low_traffic.few_requests;
    let tallies = CURRENT.map(|minutes| past.tally(until - minutes, until));
    let enough = tallies.iter().find(|tally| tally.requests >= few);
    let burn = objective.burn(enough.or(tallies.last())?.ratio()?);
    if burn <= 1.0 || left <= 0.0 {
        return None;
    }
    let minutes = left * objective.period() as f64 / burn;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "at most the 90 days of the longest period"
    )]
    let ahead = TimeDelta::try_minutes(minutes.ceil() as i64)?;
    Some(begin_of(until) + ahead)
}

/// How fast each window burns, the period last.
pub fn burns(objective: &Objective, past: &dyn Past, until: i64) -> Vec<Burn> {
    let windows = SHOWN.into_iter().filter(|m| *m < objective.period());
    let windows = windows.chain([objective.period()]);
    let burn = |minutes: i64| {
        let tally = past.tally(until - minutes, until);
        Burn {
            window: span(minutes),
            tally,
            burn: tally.ratio().map(|ratio| shown(objective.burn(ratio))),
        }
    };
    windows.map(burn).collect()
}

/// Four decimals: what a person reads, without the dust of binary fractions.
pub fn shown(value: f64) -> f64 {
    let rounded = (value * 1e4).round() / 1e4;
    // Minus zero would be shown with its sign.
    if rounded == 0.0 { 0.0 } else { rounded }
}
