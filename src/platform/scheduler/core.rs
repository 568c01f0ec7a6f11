//! The loop without its clock, its storage and its runtime: told the time, it says what to write
//! down, what to start, what to alert about and when to ask again. Everything that can be decided
//! is decided here, so that it can be tested a million times a second.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

use super::event::{RunRecord, Started, TaskEvent};
use super::plan::DueSlot;
use super::rules::{LoopRules, Overlap, TaskRules};
use super::task::{Outcome, Task, Trigger};
use super::turn::record_of;
use super::view::{RunsView, TaskPast};
use super::watch::{self, Notice};

/// How far the wall clock may move against the monotonic one between two looks before it counts as
/// a step. Source: rule C7 of the reliability notes.
pub const STEP: TimeDelta = TimeDelta::seconds(2);
/// Longest pause between two looks: a suspended machine or a set clock is noticed within it, and a
/// watcher of ours can see that the loop turns (our own choice).
pub const TICK: Duration = Duration::from_secs(5);

/// A run that waits for a place.
#[derive(Debug, Clone)]
pub(super) struct Queued {
    pub(super) run: String,
    pub(super) slot: DueSlot,
    pub(super) trigger: Trigger,
}

impl Queued {
    /// Whether somebody asked for it.
    pub(super) fn is_manual(&self) -> bool {
        self.trigger == Trigger::Manual
    }
}

/// A run under way.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) run: String,
    pub(super) slot: DueSlot,
    pub(super) trigger: Trigger,
    pub(super) started: DateTime<Utc>,
    pub(super) began: Duration,
    pub(super) late_ms: i64,
}

/// One task of the loop.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) task: Arc<dyn Task>,
    pub(super) rules: TaskRules,
    pub(super) past: TaskPast,
    pub(super) is_new: bool,
    pub(super) running: Option<Running>,
    pub(super) queued: Option<Queued>,
    pub(super) latest: Option<Queued>,
    /// When its next slot is due, by the wall clock.
    pub(super) next: Option<DateTime<Utc>>,
    /// Number of its entry in the heap; entries with another number are over.
    pub(super) entry: u64,
}

impl Row {
    pub(super) fn is_paused(&self) -> bool {
        self.rules.is_paused || self.past.paused.is_some()
    }

    pub(super) fn is_busy(&self) -> bool {
        self.running.is_some() || self.queued.is_some()
    }

    /// The run that is under way or about to be.
    pub(super) fn current(&self) -> Option<&str> {
        let running = self.running.as_ref().map(|one| one.run.as_str());
        running.or(self.queued.as_ref().map(|one| one.run.as_str()))
    }
}

/// What decides whether a run may begin.
#[derive(Debug, Clone, Copy)]
pub struct Gates {
    /// Number of the lease that this host runs tasks under; `None` when another host does.
    pub fence: Option<u64>,
    /// Whether tasks that act are held.
    pub is_stabilized: bool,
}

/// A run to begin, once its line is on the medium.
#[derive(Debug, Clone)]
pub struct Start {
    /// The task's number.
    pub index: usize,
    /// The task.
    pub task: Arc<dyn Task>,
    /// Its rules.
    pub rules: TaskRules,
    /// What is on record.
    pub started: Started,
    /// When it began.
    pub at: DateTime<Utc>,
}

/// What one look came to.
#[derive(Debug, Default)]
pub struct Turn {
    /// To be written, in order.
    pub events: Vec<TaskEvent>,
    /// To be begun after that.
    pub starts: Vec<Start>,
    /// To be told.
    pub notices: Vec<Notice>,
    /// When to look again, at the latest.
    pub wait: Duration,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Ending {
    /// How.
    pub outcome: Outcome,
    /// Why.
    pub reason: Option<String>,
    /// Tries.
    pub attempt: u32,
    /// What went wrong.
    pub error: Option<String>,
    /// The task's own words.
    pub output: serde_json::Value,
}

/// Names this process in records.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The system's boot.
    pub boot: String,
    /// What names of runs begin with; no other process has the same.
    pub runs: String,
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The wall clock.
    pub now: DateTime<Utc>,
    /// The monotonic clock.
    pub uptime: Duration,
}

/// The loop's state.
#[derive(Debug)]
pub struct Core {
    pub(super) rows: Vec<Row>,
    names: HashMap<&'static str, usize>,
    pub(super) rules: Arc<LoopRules>,
    /// Monotonic time, number of the entry, number of the task.
    pub(super) heap: BinaryHeap<Reverse<(Duration, u64, usize)>>,
    pub(super) entries: u64,
    pub(super) ready: VecDeque<usize>,
    pub(super) running: BTreeSet<usize>,
    pub(super) runs: u64,
    pub(super) backs: u32,
    pub(super) seen: Moment,
    pub(super) origin: Origin,
    /// What came of a change of the rules; the next look tells it.
    pub(super) owed: Turn,
}

impl Core {
    /// A loop over `tasks` with the past `view`, as of `at`.
    pub fn new(
        tasks: &[Arc<dyn Task>],
        rules: Arc<LoopRules>,
        view: &RunsView,
        origin: Origin,
        at: Moment,
    ) -> Self {
        let mut names = HashMap::new();
        let mut rows = Vec::with_capacity(tasks.len());
        for (index, task) in tasks.iter().enumerate() {
            let past = view.tasks.get(task.name());
            rows.push(Row {
                rules: TaskRules::of(&**task, rules.of(&**task), at.now),
                is_new: past.is_none(),
                past: past.cloned().unwrap_or_else(|| TaskPast::since(at.now)),
                task: Arc::clone(task),
                running: None,
                queued: None,
                latest: None,
                next: None,
                entry: 0,
            });
            for alias in task.aliases() {
                names.entry(*alias).or_insert(index);
            }
        }
        // A name counts before an alias of the same spelling.
        names.extend(
            tasks
                .iter()
                .enumerate()
                .map(|(index, task)| (task.name(), index)),
        );
        let mut core = Self {
            rows,
            names,
            rules,
            heap: BinaryHeap::new(),
            entries: 0,
            ready: VecDeque::new(),
            running: BTreeSet::new(),
            runs: 0,
            backs: view.backs,
            seen: at,
            origin,
            owed: Turn::default(),
        };
        core.arm_all(at);
        core
    }

    /// The first words of a new process: runs that the end of the last one cut off, tasks that are
    /// new, and a clock that went back in between.
    pub fn begin(&mut self, last_at: Option<DateTime<Utc>>, at: Moment) -> Vec<TaskEvent> {
        let mut events = Vec::new();
        if let Some(last_at) = last_at.filter(|last| *last - at.now > STEP) {
            events.push(self.stepped(at.now - last_at, at));
        }
        for index in 0..self.rows.len() {
            let row = &mut self.rows[index];
            if std::mem::take(&mut row.is_new) {
                events.push(TaskEvent::Added(row.task.name().to_owned()));
            }
            for open in row.past.open.clone() {
                let record = RunRecord {
                    task: open.started.task,
                    run: open.started.run,
                    scheduled_for: open.started.scheduled_for,
                    started: Some(open.at),
                    ended: at.now,
                    duration_ms: None,
                    late_ms: Some(open.started.late_ms),
                    missed: open.started.missed,
                    outcome: Outcome::Failed,
                    reason: Some("the process ended during the run".to_owned()),
                    attempt: 1,
                    error: None,
                    output: serde_json::Value::Null,
                    trigger: open.started.trigger,
                    boot: self.origin.boot.clone(),
                    uptime_ms: millis(at.uptime),
                };
                let event = TaskEvent::Finished(Box::new(record.clone()));
                self.rows[index].past.apply_event(&event, at.now);
                events.push(event);
                let notices = &mut self.owed.notices;
                watch::after(&self.rows[index], &record, at.now, notices);
            }
        }
        self.arm_all(at);
        events
    }

    /// A run has ended.
    pub fn ended(&mut self, index: usize, ending: Ending, at: Moment) -> Turn {
        let mut turn = Turn::default();
        let row = &mut self.rows[index];
        let Some(running) = row.running.take() else {
            return turn;
        };
        self.running.remove(&index);
        let took = at.uptime.saturating_sub(running.began);
        let mut record = record_of(
            &self.origin,
            &self.rows[index],
            &running.run,
            running.slot,
            at,
        );
        record.started = Some(running.started);
        record.duration_ms = Some(millis(took));
        record.late_ms = Some(running.late_ms);
        record.trigger = running.trigger;
        record.outcome = ending.outcome;
        record.reason = ending.reason;
        record.attempt = ending.attempt;
        record.error = ending.error;
        record.output = ending.output;
        self.emit(index, record.clone(), at, &mut turn);
        watch::after(&self.rows[index], &record, at.now, &mut turn.notices);
        let row = &mut self.rows[index];
        if let Some(latest) = row.latest.take() {
            row.queued = Some(latest);
            self.ready.push_back(index);
        } else {
            self.look_again(index, at);
        }
        turn
    }

    /// Asks for a run now. Gives its name, or that of the run in its way.
    pub fn ask(&mut self, index: usize, now: DateTime<Utc>) -> Result<String, String> {
        let run = self.name_run();
        let row = &mut self.rows[index];
        let queued = Queued {
            run: run.clone(),
            slot: DueSlot {
                at: now.trunc_subsecs(3),
                missed: 0,
                is_late: false,
                is_dropped: false,
            },
            trigger: Trigger::Manual,
        };
        if let Some(current) = row.current() {
            let current = current.to_owned();
            if row.rules.overlap == Overlap::Skip || row.latest.is_some() {
                return Err(current);
            }
            row.latest = Some(queued);
            return Ok(run);
        }
        row.queued = Some(queued);
        self.ready.push_back(index);
        Ok(run)
    }

    /// Takes note of a pause or its end, which is on record.
    pub fn switched(&mut self, index: usize, event: &TaskEvent, at: Moment) {
        self.rows[index].past.apply_event(event, at.now);
        self.arm(index, Some(at.now), at);
    }

    /// Puts other rules in force. A slot that came due under the old ones is not lost, even if its
    /// jitter is not over; due times of the new ones that lie in the past are not made up for.
    pub fn set_rules(&mut self, rules: Arc<LoopRules>, at: Moment) {
        let mut turn = std::mem::take(&mut self.owed);
        for index in 0..self.rows.len() {
            let row = &mut self.rows[index];
            let next = TaskRules::of(&*row.task, rules.of(&*row.task), at.now);
            let other = (&next.cadence, &next.zone) != (&row.rules.cadence, &row.rules.zone);
            let resumed = row.rules.is_paused && !next.is_paused;
            if other && !row.is_paused() {
                row.rules.jitter = TimeDelta::zero();
                self.look_at(index, at, &mut turn);
            }
            let row = &mut self.rows[index];
            if other || resumed {
                row.past.progress.forgo(at.now);
            }
            row.rules = next;
        }
        self.rules = rules;
        self.arm_all(at);
        self.owed = turn;
    }

    /// The number of a task by name or alias.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// Every name and alias.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.names.keys().copied()
    }

    /// The rules in force.
    pub fn rules(&self) -> &LoopRules {
        &self.rules
    }

    /// How often the wall clock has gone back.
    pub fn backs(&self) -> u32 {
        self.backs
    }

    /// Tasks that wait for a place, first come first.
    pub(super) fn ready(&self) -> impl Iterator<Item = &Row> {
        self.ready.iter().map(|index| &self.rows[*index])
    }

    /// Runs under way.
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// Whether nothing is due, waiting or under way.
    pub fn is_idle(&self, at: Moment) -> bool {
        let due = |row: &Row| row.next.is_some_and(|next| next <= at.now);
        self.running.is_empty() && self.ready.is_empty() && !self.rows.iter().any(due)
    }
}

/// Whole milliseconds of a span.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
