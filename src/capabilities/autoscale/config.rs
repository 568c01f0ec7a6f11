//! `configs/autoscale.json`: the rule, its targets, and what carries a step out.

use chrono::TimeDelta;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use super::logic::Rule;
use crate::base::json::{Path, Tree};
use crate::base::problems::Problems;
use crate::platform::config::{Config, schema_of, typed};
use crate::platform::executor::{Executor, RawCommand, RawWebhook};

/// The file.
#[derive(Debug)]
pub(super) struct AutoscaleConfig;

/// Autoscale: when a worker is added or taken away, and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(title = "echopilot: autoscale")]
#[serde(deny_unknown_fields, default)]
struct RawAutoscale {
    /// Workers at least; also how many there are before anybody says.
    #[schemars(range(min = 0, max = 10_000))]
    workers_min: u32,
    /// Workers at most.
    #[schemars(range(min = 1, max = 10_000))]
    workers_max: u32,
    /// Jobs in the queue per worker that are too many.
    queue_per_worker: f64,
    /// P95 that is too slow, in milliseconds. `POST /ops/auto_tune/apply` writes it.
    #[schemars(range(min = 1, max = 3_600_000))]
    p95_target_ms: u64,
    /// Jobs that may wait; only shown so far. `POST /ops/auto_tune/apply` writes it.
    #[schemars(range(min = 1))]
    queue_max_depth: u64,
    /// Ticks in a row, a minute each, that P95 must be over its target.
    #[schemars(range(min = 1, max = 10_000))]
    slow_ticks: u32,
    /// Idle ticks in a row, a minute each, after which a worker goes.
    #[schemars(range(min = 1, max = 10_000))]
    idle_ticks: u32,
    /// Pause after a step, in seconds.
    #[schemars(range(max = 86_400))]
    cooldown_secs: u32,
    /// Profit margin in percent under which no worker is added.
    margin_min_percent: f64,
    /// The series of samples whose P95 counts where the application pushes none.
    samples: Option<String>,
    /// Whether steps are only planned and written down.
    dry_run: bool,
    /// What carries a step out; without it every step stays a plan.
    executor: Option<RawExecutor>,
}

/// What carries a step out: one of the two.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawExecutor {
    /// A program, run without a shell; `{workers}`, `{from}` and `{action}` are filled in.
    #[serde(default)]
    command: Option<RawCommand>,
    /// A call, signed as Standard Webhooks are with the secret `AUTOSCALE_WEBHOOK_SECRET`.
    #[serde(default)]
    webhook: Option<RawWebhook>,
}

impl Default for RawAutoscale {
    fn default() -> Self {
        Self {
            workers_min: 1,
            workers_max: 4,
            queue_per_worker: 2.0,
            p95_target_ms: 400,
            queue_max_depth: 10,
            slow_ticks: 3,
            idle_ticks: 10,
            cooldown_secs: 300,
            margin_min_percent: 10.0,
            samples: None,
            dry_run: true,
            executor: None,
        }
    }
}

/// The rules, checked.
#[derive(Debug)]
pub(super) struct AutoscaleRules {
    /// What decides.
    pub(super) rule: Rule,
    /// P95 target and queue bound as they are written.
    pub(super) p95_target_ms: u64,
    /// Jobs that may wait.
    pub(super) queue_max_depth: u64,
    /// The series of samples whose P95 counts.
    pub(super) samples: Option<String>,
    /// Whether steps are only planned.
    pub(super) dry_run: bool,
    /// What carries a step out.
    pub(super) executor: Option<Executor>,
}

impl Config for AutoscaleConfig {
    const FILE: &'static str = "autoscale.json";
    const SHIPPED: &'static str = include_str!("../../../configs/autoscale.json");
    type Rules = AutoscaleRules;

    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<AutoscaleRules> {
        let raw: RawAutoscale = typed(tree, problems)?;
        let before = problems.count();
        let root = Path::root();
        if raw.workers_min > raw.workers_max {
            let allowed = format!("at most `workers_max`, which is {}", raw.workers_max);
            let hint = "one of the two has to give way";
            problems.out_of_range(root.key("workers_min"), raw.workers_min, allowed, hint);
        }
        if !(raw.queue_per_worker > 0.0 && raw.queue_per_worker <= 1e6) {
            let (found, hint) = (raw.queue_per_worker, "2 is the usual one");
            problems.out_of_range(root.key("queue_per_worker"), found, "above 0, to 1e6", hint);
        }
        if !(-100.0..=100.0).contains(&raw.margin_min_percent) {
            let (found, hint) = (raw.margin_min_percent, "10 is the usual one");
            problems.out_of_range(root.key("margin_min_percent"), found, "-100 to 100", hint);
        }
        let executor = raw
            .executor
            .as_ref()
            .and_then(|raw| executor(raw, problems));
        (problems.count() == before).then(|| AutoscaleRules {
            rule: Rule {
                workers_min: raw.workers_min,
                workers_max: raw.workers_max,
                queue_per_worker: raw.queue_per_worker,
                p95_target_ms: raw.p95_target_ms as f64,
                slow_ticks: raw.slow_ticks,
                idle_ticks: raw.idle_ticks,
                cooldown: TimeDelta::seconds(i64::from(raw.cooldown_secs)),
                margin_min_percent: raw.margin_min_percent,
            },
            p95_target_ms: raw.p95_target_ms,
            queue_max_depth: raw.queue_max_depth,
            samples: raw.samples,
            dry_run: raw.dry_run,
            executor,
        })
    }

    fn schema() -> Schema {
        schema_of::<RawAutoscale>()
    }
}

fn executor(raw: &RawExecutor, problems: &mut Problems) -> Option<Executor> {
    let place = Path::root().key("executor");
    match (&raw.command, &raw.webhook) {
        (Some(command), None) => Executor::of_command(command, &place.key("command"), problems),
        (None, Some(webhook)) => Executor::of_webhook(webhook, &place.key("webhook"), problems),
        (both, _) => {
            let found = if both.is_some() { "both" } else { "neither" };
            let hint = "remove `executor` for steps that are only planned";
            problems.not_allowed(&place, found, "either `command` or `webhook`", hint);
            None
        }
    }
}
