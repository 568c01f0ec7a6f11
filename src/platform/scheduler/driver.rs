//! The loop with its clock, its storage and its runtime: carries out what [`super::core`] decides.
//!
//! A run begins when its `task.started` line is on the medium, so that no crash can make it begin
//! twice; where storage refuses the line it begins all the same, and the line follows. One host
//! runs tasks at a time: the one that holds the lease `task-loop`. One lease serves all tasks, for
//! renewing one for each would write as many files as there are tasks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::core::{Core, Gates, Moment, Origin, Start, Turn, millis};
use super::event::{RunRecord, TaskEvent};
use super::recorder::Recorder;
use super::rules::LoopRules;
use super::run::{Ends, run};
use super::task::{Outcome, Roster};
use super::watch;
use crate::platform::alerts::Alerts;
use crate::platform::changes::Changes;
use crate::platform::lifecycle::{Tasks, within};
use crate::platform::switches::Switches;
use crate::platform::watchdog::Vitals;
use crate::seams::clock::Clock;
use crate::storage::engine::{Appending, Engine, StorageError};
use crate::storage::journal::Journal;

/// Name of the lease that one host runs tasks under.
const LEASE: &str = "task-loop";
/// How long a host that is gone keeps the others waiting (our own choice: a few heartbeats).
const LEASE_SPAN: Duration = Duration::from_mins(1);
/// Age at which the lease is renewed: two tries may fail before it ends.
const LEASE_RENEWED: Duration = Duration::from_secs(20);
/// How long a run waits for its first line to be on the medium. A disk that takes longer must not
/// keep the watchers from watching (our own choice).
const PATIENCE: Duration = Duration::from_secs(10);

/// What the loop is made of.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Leases.
    pub engine: Arc<dyn Engine>,
    /// The journal [`super::STREAM`], opened.
    pub journal: Journal,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The executor.
    pub tasks: Tasks,
    /// Where findings go.
    pub alerts: Alerts,
    /// Where failures are remembered.
    pub changes: Changes,
    /// What holds tasks that act.
    pub switches: Switches,
    /// The tasks, by the time they are needed.
    pub roster: Roster,
    /// Names this process in records.
    pub origin: Origin,
}

/// The task loop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Scheduler {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) parts: Parts,
    pub(super) recorder: Arc<Recorder>,
    core: Mutex<Option<Core>>,
    rules: Mutex<Arc<LoopRules>>,
    wake: Notify,
    has_begun: AtomicBool,
    lease: Mutex<Option<(u64, Duration)>>,
    last_tick_ms: AtomicU64,
    waiters: Mutex<HashMap<String, Vec<oneshot::Sender<RunRecord>>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scheduler {
    /// Folds the journal. Nothing runs before [`Scheduler::drive`].
    pub fn open(parts: Parts) -> Result<Self, StorageError> {
        let (journal, clock) = (parts.journal.clone(), Arc::clone(&parts.clock));
        let recorder = Recorder::open(journal, clock, parts.changes.clone())?;
        Ok(Self {
            inner: Arc::new(Inner {
                parts,
                recorder,
                core: Mutex::default(),
                rules: Mutex::default(),
                wake: Notify::new(),
                has_begun: AtomicBool::new(false),
                lease: Mutex::default(),
                last_tick_ms: AtomicU64::new(0),
                waiters: Mutex::default(),
            }),
        })
    }

    /// Puts other rules in force.
    pub fn set_rules(&self, rules: LoopRules) {
        let rules = Arc::new(rules);
        let at = self.moment();
        *locked(&self.inner.rules) = Arc::clone(&rules);
        if let Some(core) = locked(&self.inner.core).as_mut() {
            core.set_rules(rules, at);
        }
        self.wake();
    }

    /// Runs the loop until told to stop.
    pub async fn drive(self, stop: CancellationToken) {
        self.begin();
        loop {
            let wait = self.step();
            let clock = &self.inner.parts.clock;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.inner.wake.notified() => {}
                () = clock.sleep(wait) => {}
            }
        }
    }

    /// When the loop last looked, on the monotonic clock; `None` before it began.
    pub(super) fn last_tick(&self) -> Option<Duration> {
        let has_begun = self.inner.has_begun.load(Ordering::Acquire);
        has_begun.then(|| Duration::from_millis(self.inner.last_tick_ms.load(Ordering::Acquire)))
    }

    /// Whether another host runs the tasks.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.last_tick().is_some() && locked(&self.inner.lease).is_none()
    }

    /// Lets the watchdog see the loop turn.
    pub fn be_watched(&self, vitals: &Vitals) {
        let (woken, seen) = (self.clone(), self.clone());
        let turned = move || seen.last_tick();
        vitals.add("the task loop", move || woken.wake(), turned);
    }

    /// Does something with the loop's state.
    pub(super) fn with_core<T>(&self, act: impl FnOnce(&mut Core) -> T) -> T {
        let mut core = locked(&self.inner.core);
        let core = core.get_or_insert_with(|| self.fresh_core());
        act(core)
    }

    pub(super) fn moment(&self) -> Moment {
        let clock = &self.inner.parts.clock;
        Moment {
            now: clock.now(),
            uptime: clock.uptime(),
        }
    }

    /// Has the loop look again at once.
    pub(super) fn wake(&self) {
        self.inner.wake.notify_one();
    }

    /// Tells when `run` has ended, its record being on the medium or refused.
    pub(super) fn wait_for(&self, run: &str) -> oneshot::Receiver<RunRecord> {
        let (told, wait) = oneshot::channel();
        let mut waiters = locked(&self.inner.waiters);
        waiters.entry(run.to_owned()).or_default().push(told);
        wait
    }

    fn fresh_core(&self) -> Core {
        let parts = &self.inner.parts;
        let rules = Arc::clone(&locked(&self.inner.rules));
        let view = self.inner.recorder.view();
        let (tasks, origin) = (parts.roster.tasks(), parts.origin.clone());
        Core::new(tasks, rules, &view, origin, self.moment())
    }

    fn begin(&self) {
        let at = self.moment();
        let last_at = self.inner.recorder.view().last_at;
        let events = {
            let mut core = locked(&self.inner.core);
            core.insert(self.fresh_core()).begin(last_at, at)
        };
        self.write(events, at);
        watch::forget_strangers(&self.inner.parts, at.now);
        self.inner.has_begun.store(true, Ordering::Release);
    }

    /// One look. Gives the time until the next.
    fn step(&self) -> Duration {
        self.inner.recorder.retry();
        let at = self.moment();
        let gates = Gates {
            fence: self.fence(at.uptime),
            is_stabilized: self.inner.parts.switches.get().is_stabilized(),
        };
        let turn = self.with_core(|core| core.turn(gates, at));
        let wait = turn.wait;
        self.carry_out(turn, at);
        let tick = millis(at.uptime);
        self.inner.last_tick_ms.store(tick, Ordering::Release);
        wait
    }

    fn fence(&self, uptime: Duration) -> Option<u64> {
        let mut lease = locked(&self.inner.lease);
        if let Some((fence, taken)) = *lease
            && uptime.saturating_sub(taken) < LEASE_RENEWED
        {
            return Some(fence);
        }
        let parts = &self.inner.parts;
        let taken = parts.engine.lease(LEASE, &parts.origin.runs, LEASE_SPAN);
        *lease = taken.map(|taken| (taken.fence, uptime));
        lease.map(|(fence, _)| fence)
    }

    fn carry_out(&self, turn: Turn, at: Moment) {
        for notice in turn.notices {
            notice.tell(&self.inner.parts.alerts, at.now);
        }
        let Some(written) = self.write(turn.events, at) else {
            return;
        };
        if turn.starts.is_empty() {
            return;
        }
        let scheduler = self.clone();
        let launch = async move {
            let clock = Arc::clone(&scheduler.inner.parts.clock);
            within(&*clock, PATIENCE, written).await;
            let mut starts = turn.starts;
            let last = starts.pop();
            for start in starts {
                let own = scheduler.clone();
                let tasks = &scheduler.inner.parts.tasks;
                tasks.spawn("task-run", own.perform(start));
            }
            if let Some(start) = last {
                scheduler.perform(start).await;
            }
        };
        self.inner.parts.tasks.spawn("task-start", launch);
    }

    /// Writes events; whoever waits for one of these runs is told when that is done.
    fn write(&self, events: Vec<TaskEvent>, at: Moment) -> Option<Appending> {
        if events.is_empty() {
            return None;
        }
        let waiting = self.waiting_for(&events);
        let written = self.inner.recorder.record(events, at.now);
        if waiting.is_empty() {
            return Some(written);
        }
        let clock = Arc::clone(&self.inner.parts.clock);
        let (done, is_done) = oneshot::channel();
        self.inner.parts.tasks.spawn("task-told", async move {
            let outcome = within(&*clock, PATIENCE, written).await;
            for (told, record) in waiting {
                // Whoever does not wait any more need not be told.
                let _gone = told.send(record);
            }
            let _gone = done.send(outcome.unwrap_or(Err(StorageError::Closed)));
        });
        let outcome = async { is_done.await.unwrap_or(Err(StorageError::Closed)) };
        Some(Box::pin(outcome))
    }

    fn waiting_for(&self, events: &[TaskEvent]) -> Vec<(oneshot::Sender<RunRecord>, RunRecord)> {
        let mut waiters = locked(&self.inner.waiters);
        if waiters.is_empty() {
            return Vec::new();
        }
        let ended = events.iter().filter_map(|event| match event {
            TaskEvent::Finished(record) => Some(record),
            _ => None,
        });
        ended
            .flat_map(|record| {
                let told = waiters.remove(&record.run).unwrap_or_default();
                told.into_iter().map(|told| (told, (**record).clone()))
            })
            .collect()
    }

    async fn perform(self, start: Start) {
        let parts = &self.inner.parts;
        let ends = Ends {
            soft: parts.tasks.soft().clone(),
            hard: parts.tasks.hard().clone(),
        };
        let ending = if ends.soft.is_cancelled() {
            super::core::Ending {
                outcome: Outcome::Skipped,
                reason: Some("the process was stopping".to_owned()),
                attempt: 0,
                error: None,
                output: serde_json::Value::Null,
            }
        } else {
            run(&start, &parts.clock, &ends).await
        };
        let at = self.moment();
        let turn = self.with_core(|core| core.ended(start.index, ending, at));
        self.carry_out(turn, at);
        self.wake();
    }
}
