//! Whether to scale, and why not. Pure: rules, what is seen and `now` in, a decision out.
//!
//! The gates, in order: `STABILIZE_MODE`, `AUTOSCALE_ENABLED`, the profit guard, the rule. The
//! rule: up when the queue is over twice the workers (`queue_per_worker`), or when P95 was over its
//! target for 3 ticks; down after 10 idle ticks; within bounds, and not before the cooldown has
//! passed. A tick is idle when the queue is known to be empty and P95 is not over its target: what
//! is not known is no reason to take a worker away.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::platform::switches::{Switch, Switched};

/// The answer under `STABILIZE_MODE`, word for word as callers know it.
pub const STABILIZED: &str = "STABILIZE_MODE enabled - all scaling frozen";

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Nothing.
    Hold,
    /// A worker more.
    Up,
    /// A worker less.
    Down,
}

impl Action {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// `STABILIZE_MODE` is on.
    Stabilize,
    /// `AUTOSCALE_ENABLED` is off.
    Disabled,
    /// The margin is too small for another worker.
    Profit,
    /// The rule itself.
    Rule,
}

/// What the rule goes by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Workers at least.
    pub workers_min: u32,
    /// Workers at most.
    pub workers_max: u32,
    /// Jobs in the queue per worker that are too many.
    pub queue_per_worker: f64,
    /// P95 that is too slow, in milliseconds.
    pub p95_target_ms: f64,
    /// Ticks in a row that P95 must be over its target.
    pub slow_ticks: u32,
    /// Idle ticks in a row after which a worker goes.
    pub idle_ticks: u32,
    /// Pause after a step.
    pub cooldown: TimeDelta,
    /// Margin in percent under which no worker is added.
    pub margin_min_percent: f64,
}

/// What is seen at one tick; `None` for what is not known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Seen {
    /// Jobs that wait.
    pub queue: Option<f64>,
    /// P95 in milliseconds.
    pub p95_ms: Option<f64>,
    /// Profit margin in percent.
    pub margin_percent: Option<f64>,
}

/// How long it has been slow or idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ticks {
    /// Ticks in a row with P95 over its target.
    pub slow: u32,
    /// Idle ticks in a row.
    pub idle: u32,
}

/// Where things stand.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Standing {
    /// Workers.
    pub workers: u32,
    /// How long it has been slow or idle, this tick included.
    pub ticks: Ticks,
    /// When the last step was made or planned.
    pub stepped_at: Option<DateTime<Utc>>,
}

/// What is decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What to do.
    pub action: Action,
    /// Workers afterwards.
    pub to: u32,
    /// Why, in one sentence.
    pub reason: String,
    /// What decided.
    pub gate: Gate,
    /// What the rule alone would do: the step that a gate has blocked.
    pub wanted: Action,
}

impl Ticks {
    /// The counts after one more tick.
    #[must_use]
    pub fn after(self, seen: &Seen, rule: &Rule) -> Self {
        let slow = seen.p95_ms.is_some_and(|p95| p95 > rule.p95_target_ms);
        let empty = seen.queue.is_some_and(|queue| queue <= 0.0);
        let next = |is: bool, count: u32| if is { count.saturating_add(1) } else { 0 };
        Self {
            slow: next(slow, self.slow),
            idle: next(empty && !slow, self.idle),
        }
    }
}

/// Whether the margin is known and too small for another worker.
pub fn is_profit_frozen(seen: &Seen, rule: &Rule) -> bool {
    seen.margin_percent
        .is_some_and(|margin| margin < rule.margin_min_percent)
}

/// Decides one tick, all gates in order.
pub fn decide(
    switched: Switched,
    standing: &Standing,
    seen: &Seen,
    rule: &Rule,
    now: DateTime<Utc>,
) -> Decision {
    let wanted = by_rule(standing, seen, rule, now);
    let held = |gate, reason: String| Decision {
        action: Action::Hold,
        to: standing.workers,
        reason,
        gate,
        wanted: wanted.action,
    };
    if switched.is_stabilized() {
        return held(Gate::Stabilize, STABILIZED.to_owned());
    }
    if !switched.is_on(Switch::Autoscale) {
        let reason = "AUTOSCALE_ENABLED is off".to_owned();
        return held(Gate::Disabled, reason);
    }
    if wanted.action == Action::Up
        && let Some(margin) = seen.margin_percent
        && is_profit_frozen(seen, rule)
    {
        let least = rule.margin_min_percent;
        let reason =
            format!("profit guard: the margin is {margin} %, at least {least} % is needed");
        return held(Gate::Profit, reason);
    }
    wanted
}

fn by_rule(standing: &Standing, seen: &Seen, rule: &Rule, now: DateTime<Utc>) -> Decision {
    let decided = |action, to, reason: String| Decision {
        action,
        to,
        reason,
        gate: Gate::Rule,
        wanted: action,
    };
    let workers = standing.workers;
    let (action, to, why) = wish(standing, seen, rule);
    let hold = |reason| decided(Action::Hold, workers, reason);
    if action == Action::Hold {
        return hold(why);
    }
    // Bounds that were narrowed afterwards are reached step by step too.
    if action == Action::Up && to > rule.workers_max {
        return hold(format!("{why}, but {workers} workers are the most allowed"));
    }
    if action == Action::Down && to < rule.workers_min {
        return hold(format!(
            "{why}, but {workers} workers are the least allowed"
        ));
    }
    let until = standing.stepped_at.map(|at| at + rule.cooldown);
    if let Some(until) = until.filter(|until| now < *until) {
        let left = (until - now).num_seconds().max(1);
        return hold(format!(
            "{why}, but the last step is too recent: {left} s to go"
        ));
    }
    decided(action, to, why)
}

/// What load alone asks for.
fn wish(standing: &Standing, seen: &Seen, rule: &Rule) -> (Action, u32, String) {
    let workers = standing.workers;
    let most = rule.queue_per_worker * f64::from(workers);
    if let Some(queue) = seen.queue.filter(|queue| *queue > most) {
        let why = format!("{queue} jobs wait, more than {most} for {workers} workers");
        return (Action::Up, workers.saturating_add(1), why);
    }
    if let Some(p95) = seen
        .p95_ms
        .filter(|_| standing.ticks.slow >= rule.slow_ticks)
    {
        let (target, ticks) = (rule.p95_target_ms, standing.ticks.slow);
        let why = format!("P95 is {p95} ms, over {target} ms for {ticks} ticks");
        return (Action::Up, workers.saturating_add(1), why);
    }
    if standing.ticks.idle >= rule.idle_ticks {
        let why = format!("idle for {} ticks", standing.ticks.idle);
        return (Action::Down, workers.saturating_sub(1), why);
    }
    let why = match (seen.queue, seen.p95_ms) {
        (None, None) => "neither queue nor P95 are known",
        _ => "load is within its targets",
    };
    (Action::Hold, workers, why.to_owned())
}
