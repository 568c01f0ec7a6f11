//! What can be asked of the loop, and what it can be told: list, history, next, run, pause, resume.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::core::{Core, Row, Running, TICK};
use super::driver::Scheduler;
use super::event::{RunRecord, TaskEvent, TaskLine};
use super::plan::look;
use super::rules::TaskRules;
use super::view::{Counts, Paused};
use crate::base::names;
use crate::storage::engine::{Mark, StorageError};
use crate::storage::line;

/// Why the loop did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum TaskFault {
    /// No such task.
    #[error("there is no task `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The task whose name is nearest.
        nearest: Option<&'static str>,
    },
    /// A run is under way.
    #[error("task `{task}` is running already, as `{run}`")]
    Running {
        /// The task.
        task: &'static str,
        /// The run.
        run: String,
    },
    /// No loop in this process, or not yet.
    #[error("the task loop is not running")]
    Asleep,
    /// Another host runs the tasks.
    #[error("another host runs the tasks")]
    Elsewhere,
    /// Storage refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A task as it is now.
#[derive(Debug, Clone)]
pub struct TaskStatus {
    /// Its name.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// One line.
    pub about: &'static str,
    /// Whether `STABILIZE_MODE` holds it.
    pub acts: bool,
    /// The rules in force.
    pub rules: TaskRules,
    /// When it is due next; `None` while it is paused.
    pub next: Option<DateTime<Utc>>,
    /// Who has paused it.
    pub paused: Option<Paused>,
    /// Its run: name, and when it began.
    pub running: Option<(String, DateTime<Utc>)>,
    /// The run that waits for a place or for the one before.
    pub waiting: Option<String>,
    /// Whether a due time was missed or is overdue, and no good run came since.
    pub is_late: bool,
    /// The last run that ended, or due time that passed.
    pub last: Option<RunRecord>,
    /// When a run last ended well.
    pub last_ok: Option<DateTime<Utc>>,
    /// Failed runs since then.
    pub failed_in_row: u32,
    /// All runs by how they ended.
    pub counts: Counts,
    /// Milliseconds that good runs took on average.
    pub mean_ms: Option<u64>,
}

/// The loop as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueStatus {
    /// Runs that wait for a place.
    pub depth: usize,
    /// Runs under way.
    pub running: usize,
    /// Tasks whose start is overdue.
    pub late: usize,
    /// The oldest due time that has not begun.
    pub oldest_due: Option<DateTime<Utc>>,
    /// How long ago the loop last looked; `None` where it does not run.
    pub since_tick: Option<Duration>,
    /// Whether nothing is due, waiting, under way or still to be written.
    pub is_idle: bool,
}

impl QueueStatus {
    /// Whether the loop turns.
    pub fn is_turning(&self) -> bool {
        self.since_tick.is_some_and(|since| since <= TICK * 3)
    }
}

/// A run that was asked for.
#[derive(Debug)]
pub struct Ticket {
    /// The task.
    pub task: &'static str,
    /// The run.
    pub run: String,
    /// Told when it has ended.
    pub done: oneshot::Receiver<RunRecord>,
}

impl Scheduler {
    /// All tasks, by name.
    pub fn list(&self) -> Vec<TaskStatus> {
        let mut all = self.with_core(|core| core.rows.iter().map(status_of).collect::<Vec<_>>());
        all.sort_by_key(|status| status.name);
        for status in &mut all {
            self.complete(status);
        }
        all
    }

    /// One task, by name or alias.
    pub fn status(&self, name: &str) -> Result<TaskStatus, TaskFault> {
        let mut status =
            self.with_core(|core| Ok::<_, TaskFault>(status_of(&core.rows[found(core, name)?])))?;
        self.complete(&mut status);
        Ok(status)
    }

    fn complete(&self, status: &mut TaskStatus) {
        let key = format!("task:{}:late", status.name);
        status.is_late = self.inner.parts.alerts.holds(&key);
    }

    /// The next `count` due times of a task, its jitter included.
    pub fn next(&self, name: &str, count: usize) -> Result<Vec<DateTime<Utc>>, TaskFault> {
        let (row_next, rules) = self.with_core(|core| {
            let row = &core.rows[found(core, name)?];
            let now = self.moment().now;
            let next = look(&row.rules, &row.past.progress, core.backs(), now).next;
            Ok::<_, TaskFault>((next.map(|next| next - row.rules.jitter), row.rules.clone()))
        })?;
        let after = |slot: &DateTime<Utc>| rules.slots.next_after(*slot);
        let slots = std::iter::successors(row_next, after).take(count);
        Ok(slots.map(|slot| slot + rules.jitter).collect())
    }

    /// Asks for a run now.
    pub fn run(&self, name: &str) -> Result<Ticket, TaskFault> {
        let at = self.moment();
        let (index, task) = self.with_core(|core| {
            let index = found(core, name)?;
            Ok::<_, TaskFault>((index, core.rows[index].task.name()))
        })?;
        if self.last_tick().is_none() || self.inner.parts.tasks.soft().is_cancelled() {
            return Err(TaskFault::Asleep);
        }
        if self.is_elsewhere() {
            return Err(TaskFault::Elsewhere);
        }
        let (run, done) = self
            .with_core(|core| {
                let run = core.ask(index, at.now)?;
                let done = self.wait_for(&run);
                Ok((run, done))
            })
            .map_err(|run| TaskFault::Running { task, run })?;
        self.wake();
        Ok(Ticket { task, run, done })
    }

    /// Pauses a task or ends its pause, in the name of `by`. Gives its status.
    pub async fn switch(
        &self,
        name: &str,
        is_paused: bool,
        by: &str,
    ) -> Result<TaskStatus, TaskFault> {
        let (index, task, is_so) = self.with_core(|core| {
            let index = found(core, name)?;
            let row = &core.rows[index];
            let is_so = row.past.paused.is_some() == is_paused;
            Ok::<_, TaskFault>((index, row.task.name(), is_so))
        })?;
        if !is_so {
            let event = TaskEvent::Switched {
                task: task.to_owned(),
                is_paused,
                by: by.to_owned(),
            };
            let at = self.moment();
            self.inner.recorder.order(event.clone(), at.now).await?;
            self.with_core(|core| core.switched(index, &event, at));
            self.wake();
        }
        self.status(task)
    }

    /// The newest `limit` records of a task, oldest of them first. Reads the whole journal.
    pub fn history(&self, name: &str, limit: usize) -> Result<Vec<RunRecord>, TaskFault> {
        let mut newest = VecDeque::with_capacity(limit.min(1024));
        self.records(name, "", |record| {
            if newest.len() == limit {
                newest.pop_front();
            }
            newest.push_back(record);
        })?;
        Ok(newest.into())
    }

    /// The record of one run; `None` where it has none. Reads the whole journal.
    pub fn record(&self, name: &str, run: &str) -> Result<Option<RunRecord>, TaskFault> {
        let mut newest = None;
        // A name that JSON would spell otherwise is none of ours and is found nowhere.
        self.records(name, &format!("\"run\":\"{run}\","), |record| {
            newest = Some(record).filter(|record| record.run == run);
        })?;
        Ok(newest)
    }

    /// Hands over the records of a task that go on with `and`, oldest first.
    fn records(
        &self,
        name: &str,
        and: &str,
        mut take: impl FnMut(RunRecord),
    ) -> Result<(), TaskFault> {
        let task =
            self.with_core(|core| Ok::<_, TaskFault>(core.rows[found(core, name)?].task.name()))?;
        let wanted = format!("\"task\":\"{task}\",{and}");
        let journal = self.inner.recorder.journal();
        journal.scan(&Mark::default(), &mut |chunk| {
            for text in chunk.bytes.split(|byte| *byte == b'\n') {
                let of_task = line::parse(text).is_some_and(|own| {
                    own.kind == b"task.finished" && own.members.starts_with(wanted.as_bytes())
                });
                let Some(TaskEvent::Finished(record)) = of_task
                    .then(|| TaskLine::parse(text))
                    .flatten()
                    .map(|line| line.event)
                else {
                    continue;
                };
                take(*record);
            }
            ControlFlow::Continue(())
        })?;
        Ok(())
    }

    /// How the loop is.
    pub fn queue(&self) -> QueueStatus {
        let at = self.moment();
        let since_tick = self.last_tick().map(|tick| at.uptime.saturating_sub(tick));
        self.with_core(|core| {
            let late = |row: &&Row| {
                row.queued.as_ref().is_some_and(|queued| {
                    at.now - queued.slot.at - row.rules.jitter > row.rules.late_after
                })
            };
            let due = core
                .ready()
                .filter_map(|row| row.queued.as_ref().map(|one| one.slot.at));
            QueueStatus {
                depth: core.ready().count(),
                running: core.running(),
                late: core.ready().filter(late).count(),
                oldest_due: due.min(),
                since_tick,
                is_idle: core.is_idle(at) && self.inner.recorder.is_settled(),
            }
        })
    }

    /// Names in `configs/tasks.json` that are no task, each with the nearest that is one.
    pub fn strangers(&self) -> Vec<(String, Option<&'static str>)> {
        self.with_core(|core| {
            let unknown = core.rules().tasks.keys();
            unknown
                .filter(|name| core.find(name).is_none())
                .map(|name| (name.clone(), names::nearest(name, core.names())))
                .collect()
        })
    }

    /// What is wrong with the loop, in one sentence.
    pub fn trouble(&self) -> Option<String> {
        let stranger = || {
            let (name, nearest) = self.strangers().into_iter().next()?;
            let meant = nearest.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            Some(format!(
                "`configs/tasks.json` names `{name}`, which is no task{meant}"
            ))
        };
        let elsewhere = || {
            self.is_elsewhere()
                .then(|| "another host holds the lease `task-loop` and runs the tasks".to_owned())
        };
        let stuck = || {
            let queue = self.queue();
            let is_stuck = queue.since_tick.is_some() && !queue.is_turning();
            is_stuck.then(|| "the task loop has not looked for more than 15 s".to_owned())
        };
        let recorder = &self.inner.recorder;
        recorder
            .trouble()
            .or_else(elsewhere)
            .or_else(stuck)
            .or_else(stranger)
    }

    /// Saves what makes the next start quick.
    pub fn close(&self) {
        self.inner.recorder.close();
    }
}

fn found(core: &Core, name: &str) -> Result<usize, TaskFault> {
    core.find(name).ok_or_else(|| TaskFault::Unknown {
        name: name.to_owned(),
        nearest: names::nearest(name, core.names()),
    })
}

fn status_of(row: &Row) -> TaskStatus {
    let past = &row.past;
    let running = |one: &Running| (one.run.clone(), one.started);
    let waiting = row.queued.as_ref().or(row.latest.as_ref());
    TaskStatus {
        name: row.task.name(),
        aliases: row.task.aliases(),
        about: row.task.about(),
        acts: row.task.acts(),
        rules: row.rules.clone(),
        next: row.next,
        paused: past.paused.clone(),
        running: row.running.as_ref().map(running),
        waiting: waiting.map(|one| one.run.clone()),
        is_late: false,
        last: past.last.clone(),
        last_ok: past.last_ok,
        failed_in_row: past.failed_in_row,
        counts: past.counts,
        mean_ms: past.ok_ms.checked_div(past.counts.ok),
    }
}

/// Shared, so that the API can keep it beside its own state.
pub type SharedScheduler = Arc<Scheduler>;
