//! What the journal of runs means now: of each task how far it has got, whether it is paused, its
//! last run and last success, and its counts. Small, whatever the journal holds; the runs
//! themselves are read from the journal.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::{RunRecord, Started, TaskEvent, TaskLine};
use super::plan::Progress;
use super::task::{Outcome, Trigger};
use crate::storage::journal::lines_of;
use crate::storage::view::{Reader, View, put_bytes, put_u64};

/// Who paused a task, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Who.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// Runs of one task by how they ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Counts {
    /// It did its work.
    pub ok: u64,
    /// It could not.
    pub failed: u64,
    /// It did not begin.
    pub skipped: u64,
    /// It did all but act.
    pub dry_run: u64,
    /// It was held.
    pub frozen: u64,
}

/// A run that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRun {
    /// What is on record.
    pub started: Started,
    /// When it began.
    pub at: DateTime<Utc>,
}

/// One task's past.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskPast {
    /// Which slots are dealt with.
    pub progress: Progress,
    /// Set while somebody has paused it.
    pub paused: Option<Paused>,
    /// Runs that have begun and not ended.
    pub open: Vec<OpenRun>,
    /// The last run that ended, or slot that passed.
    pub last: Option<RunRecord>,
    /// When a run last ended well.
    pub last_ok: Option<DateTime<Utc>>,
    /// Failed runs since then.
    pub failed_in_row: u32,
    /// All runs.
    pub counts: Counts,
    /// Milliseconds of all runs that did their work.
    pub ok_ms: u64,
}

impl TaskPast {
    /// A task that is known since `known`.
    pub fn since(known: DateTime<Utc>) -> Self {
        Self {
            progress: Progress::since(known),
            paused: None,
            open: Vec::new(),
            last: None,
            last_ok: None,
            failed_in_row: 0,
            counts: Counts::default(),
            ok_ms: 0,
        }
    }

    /// Applies what happened to this task at `at`.
    pub fn apply_event(&mut self, event: &TaskEvent, at: DateTime<Utc>) {
        match event {
            TaskEvent::Added(_) | TaskEvent::Stepped { .. } => {}
            TaskEvent::Started(one) => {
                if one.trigger != Trigger::Manual {
                    self.progress.deal(one.scheduled_for, one.missed);
                }
                let started = one.clone();
                self.open.push(OpenRun { started, at });
            }
            TaskEvent::Finished(record) => self.finish(record),
            TaskEvent::Switched { is_paused, by, .. } => {
                if *is_paused {
                    let by = by.clone();
                    self.paused = Some(Paused { by, at });
                } else if self.paused.take().is_some() {
                    self.progress.forgo(at);
                }
            }
        }
    }

    fn finish(&mut self, record: &RunRecord) {
        self.open.retain(|open| open.started.run != record.run);
        // Only a due time that never began is dealt with here; the others were by their start.
        if record.started.is_none() && record.trigger != Trigger::Manual {
            self.progress.deal(record.scheduled_for, record.missed);
        }
        let counts = &mut self.counts;
        let count = match record.outcome {
            Outcome::Ok => &mut counts.ok,
            Outcome::Failed => &mut counts.failed,
            Outcome::Skipped => &mut counts.skipped,
            Outcome::DryRun => &mut counts.dry_run,
            Outcome::Frozen => &mut counts.frozen,
        };
        *count += 1;
        match record.outcome {
            Outcome::Ok => {
                self.last_ok = Some(record.ended);
                self.ok_ms += record.duration_ms.unwrap_or(0);
                self.failed_in_row = 0;
            }
            Outcome::Failed => self.failed_in_row += 1,
            Outcome::Skipped | Outcome::DryRun | Outcome::Frozen => {}
        }
        self.last = Some(record.clone());
    }
}

/// The view.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunsView {
    /// By task. Tasks that are gone stay: they may come back.
    pub tasks: BTreeMap<String, TaskPast>,
    /// How often the wall clock went back.
    pub backs: u32,
    /// The wall clock at the last line.
    pub last_at: Option<DateTime<Utc>>,
    /// Lines that could not be read.
    pub skipped: u64,
    last_seq: u64,
}

impl RunsView {
    /// Applies what happened at `at`.
    pub fn apply_event(&mut self, event: &TaskEvent, at: DateTime<Utc>) {
        self.last_at = Some(at);
        let name = match event {
            TaskEvent::Added(task) | TaskEvent::Switched { task, .. } => task,
            TaskEvent::Started(one) => &one.task,
            TaskEvent::Finished(record) => &record.task,
            TaskEvent::Stepped { by_ms, .. } => {
                if *by_ms < 0 {
                    self.backs += 1;
                    for past in self.tasks.values_mut() {
                        past.progress.went_back(at);
                    }
                }
                return;
            }
        };
        let past = self.tasks.entry(name.clone());
        past.or_insert_with(|| TaskPast::since(at))
            .apply_event(event, at);
    }
}

/// Lines read, not yet applied.
#[derive(Debug, Default)]
pub struct Batch {
    lines: Vec<TaskLine>,
    skipped: u64,
}

impl View for RunsView {
    const NAME: &'static str = "tasks";
    /// Form of the saved state; a plain count of its revisions.
    const VERSION: u32 = 1;
    type Batch = Batch;
    type Parser = ();

    fn parser(&self) {}

    fn parse((): &mut (), lines: &[u8], batch: &mut Batch) {
        for line in lines_of(lines) {
            match TaskLine::parse(line) {
                Some(line) => batch.lines.push(line),
                // The engine's own lines are no fault.
                None if crate::storage::line::parse(line).is_some() => {}
                None => batch.skipped += 1,
            }
        }
    }

    fn apply(&mut self, batch: &mut Batch) {
        for line in batch.lines.drain(..) {
            self.apply_event(&line.event, line.at);
            self.reached(line.seq);
        }
        self.skipped += std::mem::take(&mut batch.skipped);
    }

    fn last_seq(&self) -> u64 {
        self.last_seq
    }

    fn reached(&mut self, seq: u64) {
        self.last_seq = self.last_seq.max(seq);
    }

    fn save(&self, out: &mut Vec<u8>) {
        // A few dozen tasks, every ten minutes: JSON is quick enough, and can be read.
        put_bytes(out, &serde_json::to_vec(self).unwrap_or_default());
        put_u64(out, self.last_seq);
    }

    fn restore(saved: &mut Reader<'_>) -> Option<Self> {
        let view: Self = serde_json::from_slice(saved.bytes()?).ok()?;
        (saved.u64()? == view.last_seq).then_some(view)
    }
}
