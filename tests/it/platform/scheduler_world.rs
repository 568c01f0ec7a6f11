//! A task loop over storage in memory, and tasks that do what a test tells them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use echopilot::platform::alerts::{self, Alerts};
use echopilot::platform::changes::Changes;
use echopilot::platform::lifecycle::Tasks;
use echopilot::platform::scheduler::core::Origin;
use echopilot::platform::scheduler::{
    DefaultCadence, Parts, Pass, Retries, Roster, RunRecord, STREAM, Scheduler, Summary, Task,
    TaskError, Work,
};
use echopilot::platform::switches::{Switched, Switches};
use echopilot::seams::clock::{Clock, ManualClock};
use echopilot::storage::engine::{Durability, Engine, StreamOptions};
use echopilot::storage::journal::Journal;
use echopilot::storage::memory::MemoryEngine;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// What a task of these tests does.
pub type Act = Arc<dyn Fn(Pass) -> futures_util::future::BoxFuture<'static, Done> + Send + Sync>;
pub type Done = Result<Summary, TaskError>;

/// A task that is told what to do.
pub struct Doer {
    pub name: &'static str,
    pub cadence: DefaultCadence,
    pub retries: Retries,
    pub act: Act,
}

impl std::fmt::Debug for Doer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Task for Doer {
    fn name(&self) -> &'static str {
        self.name
    }
    fn about(&self) -> &'static str {
        "does what the test says"
    }
    fn cadence(&self) -> DefaultCadence {
        self.cadence
    }
    fn limit(&self) -> Duration {
        Duration::from_secs(20)
    }
    fn retries(&self) -> Retries {
        self.retries
    }
    fn run<'a>(&'a self, pass: &'a Pass) -> Work<'a> {
        (self.act)(pass.clone())
    }
}

/// A task that is due every minute and does `act`.
pub fn doer<F>(name: &'static str, act: impl Fn(Pass) -> F + Send + Sync + 'static) -> Doer
where
    F: Future<Output = Done> + Send + 'static,
{
    Doer {
        name,
        cadence: DefaultCadence::every_secs(60),
        retries: Retries::NONE,
        act: Arc::new(move |pass| Box::pin(act(pass))),
    }
}

/// A loop over a given engine and clock, for one life of a process.
pub struct Loop {
    pub runtime: Runtime,
    pub scheduler: Scheduler,
    pub tasks: Tasks,
    pub alerts: Alerts,
    pub clock: Arc<ManualClock>,
}

/// As the daemon opens its journals.
const OPTIONS: StreamOptions = StreamOptions {
    durability: Durability::Always,
    segment_bytes: 64 << 20,
    segment_age: Duration::from_hours(24),
};

static LIVES: AtomicU64 = AtomicU64::new(0);

impl Loop {
    pub fn begin(engine: Arc<dyn Engine>, clock: &Arc<ManualClock>, all: &[Arc<dyn Task>]) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        engine.open(STREAM, OPTIONS).unwrap();
        engine.open(alerts::STREAM, OPTIONS).unwrap();
        let roster = Roster::default();
        roster.complete(all.to_vec()).unwrap();
        let switches = Switches::default();
        switches.set(Switched::from_flags(|_| None));
        let tasks = Tasks::new();
        let alerts = Alerts::open(&engine).unwrap();
        let life = LIVES.fetch_add(1, Ordering::SeqCst);
        let scheduler = Scheduler::open(Parts {
            journal: Journal::new(Arc::clone(&engine), STREAM),
            engine,
            clock: Arc::clone(clock) as Arc<dyn Clock>,
            tasks: tasks.clone(),
            alerts: alerts.clone(),
            changes: Changes::default(),
            switches,
            roster,
            origin: Origin {
                boot: "boot".to_owned(),
                runs: format!("life{life}"),
            },
        })
        .unwrap();
        let own = scheduler.clone();
        let stop = tasks.soft().clone();
        runtime.block_on(async { tasks.spawn("loop", own.drive(stop)) });
        let this = Self {
            runtime,
            scheduler,
            tasks,
            alerts,
            clock: Arc::clone(clock),
        };
        this.turn();
        this
    }

    /// Lets everything that can go on go on.
    pub fn turn(&self) {
        self.runtime.block_on(async {
            for _turn in 0..200 {
                tokio::task::yield_now().await;
            }
        });
    }

    pub fn advance(&self, span: Duration) {
        self.clock.advance(span);
        self.turn();
    }

    pub fn history(&self, task: &str) -> Vec<RunRecord> {
        self.scheduler.history(task, 10_000).unwrap()
    }

    pub fn last(&self, task: &str) -> Value {
        json!(self.history(task).last())
    }
}

pub fn memory(clock: &Arc<ManualClock>) -> Arc<MemoryEngine> {
    Arc::new(MemoryEngine::new(Arc::clone(clock) as Arc<dyn Clock>))
}
