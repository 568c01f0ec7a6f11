//! What is written to `logs/task_runs.ndjson`. Version 1; old lines stay readable for ever.
//!
//! - `task.added {task}`: the loop knows the task from now on; earlier due times are not its own.
//! - `task.started {task, run, scheduled_for, trigger, late_ms, missed, fence, boot, uptime_ms}`,
//!   on the medium before the run begins: a slot with this line never runs again.
//! - `task.finished {task, run, scheduled_for, started, ended, duration_ms, late_ms, missed,
//!   outcome, reason, attempt, error, output, trigger, boot, uptime_ms}`, one for each run; also
//!   for a due time that did not become a run (`skipped`, `frozen`: no `started`), and for a run
//!   that the end of its process cut off (`failed`, written at the next start).
//! - `task.paused {task, by}`, `task.resumed {task, by}`.
//! - `clock.stepped {by_ms, boot, uptime_ms}`: the wall clock moved against the monotonic one.
//!
//! `boot` is the system's name for its current boot, `uptime_ms` the daemon's monotonic clock.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::task::{Outcome, Trigger};
use crate::base::time;
use crate::storage::line;
use crate::storage::lines::Lines;

/// Name of the journal.
pub const STREAM: &str = "task_runs";

/// A run that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The task.
    pub task: String,
    /// Names the run.
    pub run: String,
    /// When it was due; for one that was asked for, when it was.
    pub scheduled_for: DateTime<Utc>,
    /// Why it began.
    pub trigger: Trigger,
    /// How much later than due it began, in milliseconds.
    pub late_ms: i64,
    /// How many earlier due times it stands for.
    #[serde(default)]
    pub missed: u32,
    /// Number of the lease it began under; the highest one is in the right.
    pub fence: u64,
    /// The system's boot.
    pub boot: String,
    /// The daemon's monotonic clock, in milliseconds.
    pub uptime_ms: u64,
}

/// A run that has ended, or a due time that did not become one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunRecord {
    /// The task.
    pub task: String,
    /// Names the run.
    pub run: String,
    /// When it was due; for one that was asked for, when it was. UTC.
    #[serde(with = "stamped")]
    #[schemars(with = "String")]
    pub scheduled_for: DateTime<Utc>,
    /// When it began; absent where it did not. UTC.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "maybe_stamped"
    )]
    #[schemars(with = "Option<String>")]
    pub started: Option<DateTime<Utc>>,
    /// When it ended, or was found to be over. UTC.
    #[serde(with = "stamped")]
    #[schemars(with = "String")]
    pub ended: DateTime<Utc>,
    /// How long it took, on the monotonic clock; absent where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// How much later than due it began, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_ms: Option<i64>,
    /// How many earlier due times it stands for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: u32,
    /// How it ended.
    #[schemars(with = "OutcomeWord")]
    pub outcome: Outcome,
    /// Why, where it is not plain `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Which try it was, counted from 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// A few numbers or words of the task's own.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub output: serde_json::Value,
    /// Why it began.
    #[schemars(with = "TriggerWord")]
    pub trigger: Trigger,
    /// The system's boot.
    pub boot: String,
    /// The daemon's monotonic clock, in milliseconds.
    pub uptime_ms: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The words for outcomes, for the schema.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum OutcomeWord {
    Ok,
    Failed,
    Skipped,
    DryRun,
    Frozen,
}

/// The words for triggers, for the schema.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum TriggerWord {
    Schedule,
    Missed,
    Manual,
}

/// Instants in the form of all our files.
mod stamped {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(at: &DateTime<Utc>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::time::stamp(*at))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<DateTime<Utc>, D::Error> {
        DateTime::deserialize(from)
    }
}

/// [`stamped`], or nothing.
mod maybe_stamped {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[expect(clippy::ref_option, reason = "as serde wants it")]
    pub(super) fn serialize<S: Serializer>(
        at: &Option<DateTime<Utc>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        at.map(super::time::stamp).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<DateTime<Utc>>, D::Error> {
        Option::deserialize(from)
    }
}

/// One thing that happened in the loop.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskEvent {
    /// The task is known from now on.
    Added(String),
    /// A run began.
    Started(Started),
    /// A run ended, or a due time passed without one.
    Finished(Box<RunRecord>),
    /// Somebody paused or resumed the task.
    Switched {
        /// The task.
        task: String,
        /// Whether it is paused now.
        is_paused: bool,
        /// Who.
        by: String,
    },
    /// The wall clock moved.
    Stepped {
        /// By how much, in milliseconds.
        by_ms: i64,
        /// The system's boot.
        boot: String,
        /// The daemon's monotonic clock, in milliseconds.
        uptime_ms: u64,
    },
}

#[derive(Serialize)]
struct StartedMembers<'a> {
    task: &'a str,
    run: &'a str,
    #[serde(with = "stamped")]
    scheduled_for: DateTime<Utc>,
    trigger: Trigger,
    late_ms: i64,
    #[serde(skip_serializing_if = "is_zero")]
    missed: u32,
    fence: u64,
    boot: &'a str,
    uptime_ms: u64,
}

#[derive(Serialize)]
struct TaskMember<'a> {
    task: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
}

#[derive(Serialize)]
struct SteppedMembers<'a> {
    by_ms: i64,
    boot: &'a str,
    uptime_ms: u64,
}

impl TaskEvent {
    /// Adds its line.
    pub fn push(&self, lines: &mut Lines, at: DateTime<Utc>) {
        match self {
            Self::Added(task) => {
                lines.push_members("task.added", at, &TaskMember { task, by: None });
            }
            Self::Started(one) => lines.push_members(
                "task.started",
                at,
                &StartedMembers {
                    task: &one.task,
                    run: &one.run,
                    scheduled_for: one.scheduled_for,
                    trigger: one.trigger,
                    late_ms: one.late_ms,
                    missed: one.missed,
                    fence: one.fence,
                    boot: &one.boot,
                    uptime_ms: one.uptime_ms,
                },
            ),
            Self::Finished(record) => lines.push_members("task.finished", at, &**record),
            Self::Switched {
                task,
                is_paused,
                by,
            } => {
                let kind = if *is_paused {
                    "task.paused"
                } else {
                    "task.resumed"
                };
                lines.push_members(kind, at, &TaskMember { task, by: Some(by) });
            }
            Self::Stepped {
                by_ms,
                boot,
                uptime_ms,
            } => lines.push_members(
                "clock.stepped",
                at,
                &SteppedMembers {
                    by_ms: *by_ms,
                    boot,
                    uptime_ms: *uptime_ms,
                },
            ),
        }
    }
}

/// A line as it is read back.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskLine {
    /// Number of the line.
    pub seq: u64,
    /// When it was written.
    pub at: DateTime<Utc>,
    /// What happened.
    pub event: TaskEvent,
}

#[derive(Deserialize)]
struct Named {
    task: String,
    #[serde(default = "nobody")]
    by: String,
}

fn nobody() -> String {
    String::new()
}

#[derive(Deserialize)]
struct SteppedLine {
    by_ms: i64,
    boot: String,
    uptime_ms: u64,
}

impl TaskLine {
    /// Reads one line; `None` for foreign lines and events of other kinds.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let own = line::parse(text)?;
        let json = serde_json::from_slice::<Named>;
        let event = match own.kind {
            b"task.added" => TaskEvent::Added(json(text).ok()?.task),
            b"task.started" => TaskEvent::Started(serde_json::from_slice(text).ok()?),
            b"task.finished" => TaskEvent::Finished(serde_json::from_slice(text).ok()?),
            b"task.paused" | b"task.resumed" => {
                let Named { task, by } = json(text).ok()?;
                let is_paused = own.kind == b"task.paused";
                TaskEvent::Switched {
                    task,
                    is_paused,
                    by,
                }
            }
            b"clock.stepped" => {
                let SteppedLine {
                    by_ms,
                    boot,
                    uptime_ms,
                } = serde_json::from_slice(text).ok()?;
                TaskEvent::Stepped {
                    by_ms,
                    boot,
                    uptime_ms,
                }
            }
            _ => return None,
        };
        let at = std::str::from_utf8(own.ts).ok()?.parse().ok()?;
        Some(Self {
            seq: own.seq,
            at,
            event,
        })
    }
}
