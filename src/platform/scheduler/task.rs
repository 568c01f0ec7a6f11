//! What a task is: one bounded, repeatable pass over its work, and how a pass ends.

use std::collections::HashSet;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

/// When a task is due, unless `configs/tasks.json` says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultCadence {
    /// Again and again after this span, which is at least a second.
    Every(Duration),
    /// By the calendar.
    Cron {
        /// Five fields: minute, hour, day of month, month, day of week.
        cron: &'static str,
        /// IANA zone, such as `Europe/London`.
        zone: &'static str,
    },
}

impl DefaultCadence {
    /// Every so many seconds.
    pub const fn every_secs(secs: u64) -> Self {
        Self::Every(Duration::from_secs(secs))
    }

    /// By the calendar, in UTC.
    pub const fn utc(cron: &'static str) -> Self {
        Self::Cron { cron, zone: "UTC" }
    }
}

/// How often a failed run is tried again within its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Tries after the first one.
    pub most: u32,
    /// Pause before the first of them; doubled each time, with jitter.
    pub pause: Duration,
}

impl Retries {
    /// No second try: the next due run is soon enough.
    pub const NONE: Self = Self {
        most: 0,
        pause: Duration::ZERO,
    };
}

/// Why a run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// It was due.
    Schedule,
    /// It had been due while nothing ran, and is made up for.
    Missed,
    /// Somebody asked for it.
    Manual,
}

/// The circumstances of one pass.
#[derive(Debug, Clone)]
pub struct Pass {
    /// Names the run in records and answers.
    pub run: String,
    /// The one `now` of this pass.
    pub now: DateTime<Utc>,
    /// When the run was due; for one that was asked for, when it was.
    pub scheduled_for: DateTime<Utc>,
    /// Why it began.
    pub trigger: Trigger,
    /// 1 for the first try.
    pub attempt: u32,
    /// Cancelled when the pass should end early: time is up, or the process stops.
    pub stop: CancellationToken,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did its work.
    Ok,
    /// It could not.
    Failed,
    /// It had a reason not to begin.
    Skipped,
    /// It did everything but act, for want of a credential or by setting.
    DryRun,
    /// `STABILIZE_MODE` held it.
    Frozen,
}

/// What a pass did.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// How it ended; [`Outcome::Failed`] is told by [`TaskError`].
    pub outcome: Outcome,
    /// Why, where it is not plain [`Outcome::Ok`].
    pub reason: Option<String>,
    /// A few numbers or words for the record; `null` for none. Kept small.
    pub output: serde_json::Value,
}

impl Summary {
    /// Done, with `output` for the record.
    pub fn ok(output: serde_json::Value) -> Self {
        Self {
            outcome: Outcome::Ok,
            reason: None,
            output,
        }
    }

    /// Not begun, and why.
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self::held(Outcome::Skipped, reason.into())
    }

    /// Held by `STABILIZE_MODE` or a switch.
    pub fn frozen(reason: impl Into<String>) -> Self {
        Self::held(Outcome::Frozen, reason.into())
    }

    /// Everything done but the act itself, and why.
    pub fn dry_run(reason: impl Into<String>, output: serde_json::Value) -> Self {
        Self {
            output,
            ..Self::held(Outcome::DryRun, reason.into())
        }
    }

    fn held(outcome: Outcome, reason: String) -> Self {
        Self {
            outcome,
            reason: Some(reason),
            output: serde_json::Value::Null,
        }
    }
}

/// Why a pass could not do its work: one sentence, lower case, with the thing in backticks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TaskError(pub String);

impl From<anyhow::Error> for TaskError {
    fn from(error: anyhow::Error) -> Self {
        Self(format!("{error:#}"))
    }
}

impl From<crate::storage::engine::StorageError> for TaskError {
    fn from(error: crate::storage::engine::StorageError) -> Self {
        anyhow::Error::new(error).into()
    }
}

/// A pass under way.
pub type Work<'a> = Pin<Box<dyn Future<Output = Result<Summary, TaskError>> + Send + 'a>>;

/// Work that is done again and again. A pass takes no input but its circumstances, may be repeated,
/// and is never under way twice.
pub trait Task: Send + Sync + Debug + 'static {
    /// Its name in files, routes and on the command line: `ops-sentinel`.
    fn name(&self) -> &'static str;

    /// Other names it is known by.
    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    /// One line.
    fn about(&self) -> &'static str;

    /// When it is due by default.
    fn cadence(&self) -> DefaultCadence;

    /// How long a run may take by default, with all its tries.
    fn limit(&self) -> Duration;

    /// Whether it changes something by itself, so that `STABILIZE_MODE` holds it.
    fn acts(&self) -> bool {
        false
    }

    /// How often a failed run is tried again.
    fn retries(&self) -> Retries {
        Retries::NONE
    }

    /// One pass. It must wait on nothing without a bound, and must not block the thread.
    fn run<'a>(&'a self, pass: &'a Pass) -> Work<'a>;
}

/// All tasks of the process: filled once, when every capability is built.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    tasks: Arc<OnceLock<Vec<Arc<dyn Task>>>>,
}

impl Roster {
    /// Fills it; a second call does nothing. Names and aliases are each there once.
    pub fn complete(&self, tasks: Vec<Arc<dyn Task>>) -> anyhow::Result<()> {
        let mut names = HashSet::new();
        for task in &tasks {
            for name in std::iter::once(&task.name()).chain(task.aliases()) {
                anyhow::ensure!(names.insert(*name), "two tasks are called `{name}`");
            }
        }
        self.tasks.get_or_init(|| tasks);
        Ok(())
    }

    /// The tasks; none before it is filled.
    pub fn tasks(&self) -> &[Arc<dyn Task>] {
        self.tasks.get().map_or(&[], Vec::as_slice)
    }
}
