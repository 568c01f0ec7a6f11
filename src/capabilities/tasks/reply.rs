//! What the API says of tasks.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use crate::base::time;
use crate::platform::scheduler::view::Counts;
use crate::platform::scheduler::{QueueStatus, RunRecord, TaskStatus};

/// Answer of `GET /api/tasks`.
#[derive(Serialize, JsonSchema)]
pub(super) struct ListReply {
    /// How many tasks.
    pub(super) count: usize,
    /// Names in `configs/tasks.json` that are no task, each with the name that was probably meant.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) unknown: BTreeMap<String, Option<&'static str>>,
    /// The tasks, by name.
    pub(super) tasks: Vec<TaskReply>,
}

/// One task.
#[derive(Serialize, JsonSchema)]
pub(super) struct TaskReply {
    /// Its name.
    name: &'static str,
    /// Other names it is known by.
    aliases: &'static [&'static str],
    /// What it does.
    about: &'static str,
    /// When it is due: an interval such as `3m`, or five fields of cron.
    cadence: String,
    /// The zone of its cadence.
    zone: String,
    /// When it is due next, UTC; null while it is paused.
    next: Option<String>,
    /// Whether it does not run for now.
    paused: bool,
    /// Who has paused it: a caller, or `configs/tasks.json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_by: Option<String>,
    /// The run under way.
    running: Option<RunningReply>,
    /// The run that waits for a place, or for the one under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<String>,
    /// Whether a due time was missed or is overdue and no good run came since.
    late: bool,
    /// The last run that ended, or due time that passed without one.
    last: Option<RunRecord>,
    /// When a run last ended well, UTC.
    last_success: Option<String>,
    /// How its runs went.
    stats: StatsReply,
    /// What it runs by.
    rules: RulesReply,
}

/// A run under way.
#[derive(Serialize, JsonSchema)]
pub(super) struct RunningReply {
    /// Names the run.
    run: String,
    /// When it began, UTC.
    started: String,
}

/// How the runs of a task went.
#[derive(Serialize, JsonSchema)]
pub(super) struct StatsReply {
    /// Failed runs since the last good one.
    failed_in_row: u32,
    /// Milliseconds that good runs took on average.
    mean_ms: Option<u64>,
    /// Runs by how they ended.
    runs: Counts,
}

/// What a task runs by.
#[derive(Serialize, JsonSchema)]
pub(super) struct RulesReply {
    /// Whether `STABILIZE_MODE` holds it.
    acts: bool,
    /// Milliseconds that it starts after its due time by intent.
    jitter_ms: i64,
    /// Seconds that a run may take.
    timeout_secs: f64,
    /// What becomes of missed due times: `once`, `skip` or `all`.
    missed: serde_json::Value,
    /// What becomes of overlapping due times: `skip` or `latest`.
    overlap: serde_json::Value,
    /// Seconds from which a start counts as late.
    late_after_secs: i64,
    /// Seconds from which a run counts as too long.
    slow_after_secs: f64,
    /// Tries after a failed one.
    retries: u32,
}

impl From<TaskStatus> for TaskReply {
    fn from(status: TaskStatus) -> Self {
        let rules = status.rules;
        let by_person = status.paused.map(|paused| paused.by);
        let by_file = rules.is_paused.then(|| "configs/tasks.json".to_owned());
        let paused_by = by_file.or(by_person);
        let word = |value: serde_json::Result<serde_json::Value>| value.unwrap_or_default();
        Self {
            name: status.name,
            aliases: status.aliases,
            about: status.about,
            cadence: rules.cadence,
            zone: rules.zone,
            next: status.next.map(time::stamp),
            paused: paused_by.is_some(),
            paused_by,
            running: status.running.map(|(run, started)| RunningReply {
                run,
                started: time::stamp(started),
            }),
            waiting: status.waiting,
            late: status.is_late,
            last: status.last,
            last_success: status.last_ok.map(time::stamp),
            stats: StatsReply {
                failed_in_row: status.failed_in_row,
                mean_ms: status.mean_ms,
                runs: status.counts,
            },
            rules: RulesReply {
                acts: status.acts,
                jitter_ms: rules.jitter.num_milliseconds(),
                timeout_secs: rules.timeout.as_secs_f64(),
                missed: word(serde_json::to_value(rules.missed)),
                overlap: word(serde_json::to_value(rules.overlap)),
                late_after_secs: rules.late_after.num_seconds(),
                slow_after_secs: rules.slow_after.as_secs_f64(),
                retries: rules.retries.most,
            },
        }
    }
}

impl TaskReply {
    /// Whether it does not run for now.
    pub(super) const fn is_paused(&self) -> bool {
        self.paused
    }
}

/// Answer of `GET /api/tasks/{name}/history`.
#[derive(Serialize, JsonSchema)]
pub(super) struct HistoryReply {
    /// The task.
    pub(super) task: String,
    /// How many records follow.
    pub(super) count: usize,
    /// Oldest first.
    pub(super) runs: Vec<RunRecord>,
}

/// Answer of `GET /api/tasks/{name}/next`.
#[derive(Serialize, JsonSchema)]
pub(super) struct NextReply {
    /// The task.
    pub(super) task: &'static str,
    /// When it is due.
    pub(super) cadence: String,
    /// The zone of its cadence.
    pub(super) zone: String,
    /// Whether it does not run for now; then these are the times it would.
    pub(super) paused: bool,
    /// The next due times, UTC, with the clocks of its zone.
    pub(super) next: Vec<DueReply>,
}

/// One due time.
#[derive(Serialize, JsonSchema)]
pub(super) struct DueReply {
    /// UTC.
    pub(super) at: String,
    /// On the clocks of the task's zone, `2026-11-22 09:00`.
    pub(super) local: String,
}

/// Answer of `POST /api/tasks/{name}/run`, and of the run's own address.
#[derive(Serialize, JsonSchema)]
pub(super) struct RunReply {
    /// The task.
    pub(super) task: String,
    /// Names the run.
    pub(super) run: String,
    /// `waiting`, `running` or `ended`.
    pub(super) state: &'static str,
    /// Its record, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) record: Option<RunRecord>,
}

/// Answer of `GET /ops/queue_health`.
#[derive(Serialize, JsonSchema)]
pub(super) struct QueueReply {
    /// Whether the loop turns and nothing is overdue.
    pub(super) ok: bool,
    /// The task loop.
    tasks: LoopReply,
}

/// The task loop.
#[derive(Serialize, JsonSchema)]
pub(super) struct LoopReply {
    /// Runs that wait for a place.
    depth: usize,
    /// Runs under way.
    running: usize,
    /// Tasks whose start is overdue.
    late: usize,
    /// The oldest due time that has not begun, UTC.
    oldest_due: Option<String>,
    /// When the loop last looked, UTC; null where it does not run.
    last_tick: Option<String>,
    /// Whether nothing is due, waiting or under way.
    idle: bool,
}

impl QueueReply {
    pub(super) fn of(queue: &QueueStatus, now: DateTime<Utc>) -> Self {
        let since = |span| chrono::TimeDelta::from_std(span).unwrap_or_default();
        Self {
            ok: queue.is_turning() && queue.late == 0,
            tasks: LoopReply {
                depth: queue.depth,
                running: queue.running,
                late: queue.late,
                oldest_due: queue.oldest_due.map(time::stamp),
                last_tick: queue.since_tick.map(|span| time::stamp(now - since(span))),
                idle: queue.is_idle,
            },
        }
    }
}
