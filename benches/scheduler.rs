//! How fast due tasks are dispatched: 10,000 at one moment of a stepped clock, first by the loop's
//! decisions alone, then by the whole loop over storage in memory, from the step of the clock to
//! the last run's end on record.
//!
//! `cargo bench --bench scheduler [-- TASKS]`. The bound is 100 ms for 10,000.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench stands outside: it reads clocks and talks"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use echopilot::platform::alerts::{self, Alerts};
use echopilot::platform::changes::Changes;
use echopilot::platform::lifecycle::Tasks;
use echopilot::platform::scheduler::core::{Core, Gates, Moment, Origin};
use echopilot::platform::scheduler::view::RunsView;
use echopilot::platform::scheduler::{
    DefaultCadence, LoopRules, Parts, Pass, Roster, STREAM, Scheduler, Summary, Task, Work,
};
use echopilot::platform::switches::Switches;
use echopilot::seams::clock::{Clock, ManualClock};
use echopilot::storage::engine::{Durability, Engine, StreamOptions};
use echopilot::storage::journal::Journal;
use echopilot::storage::memory::MemoryEngine;

/// Tasks that are due at once.
const TASKS: usize = 10_000;

static BEGUN: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug)]
struct Nothing(&'static str, DefaultCadence);

impl Task for Nothing {
    fn name(&self) -> &'static str {
        self.0
    }
    fn about(&self) -> &'static str {
        "nothing"
    }
    fn cadence(&self) -> DefaultCadence {
        self.1
    }
    fn limit(&self) -> Duration {
        Duration::from_secs(20)
    }
    fn run<'a>(&'a self, _pass: &'a Pass) -> Work<'a> {
        BEGUN.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(Summary::ok(serde_json::Value::Null))))
    }
}

fn main() {
    let count = std::env::args().find_map(|arg| arg.parse().ok());
    let count = count.unwrap_or(TASKS);
    let daily = DefaultCadence::Cron {
        cron: "1 12 * * *",
        zone: "Europe/London",
    };
    for (named, cadence) in [
        ("every minute", DefaultCadence::every_secs(60)),
        ("daily in a zone", daily),
    ] {
        let tasks: Vec<Arc<dyn Task>> = (0..count)
            .map(|number| {
                let name: &'static str = Box::leak(format!("task-{number}").into_boxed_str());
                Arc::new(Nothing(name, cadence)) as Arc<dyn Task>
            })
            .collect();
        for _round in 0..3 {
            let decided = decide(&tasks);
            let (begun, ended) = whole(&tasks);
            println!(
                "{count} tasks {named}: decided in {decided:.1?}, begun in {begun:.1?}, \
                 ended and on record in {ended:.1?}"
            );
        }
    }
}

fn rules(count: usize) -> LoopRules {
    LoopRules {
        most_running: count,
        ..LoopRules::default()
    }
}

fn origin() -> Origin {
    Origin {
        boot: "bench".to_owned(),
        runs: "bench".to_owned(),
    }
}

fn decide(tasks: &[Arc<dyn Task>]) -> Duration {
    let mut at = Moment {
        now: "2026-11-21T12:00:30Z".parse().unwrap(),
        uptime: Duration::ZERO,
    };
    let (rules, view) = (Arc::new(rules(tasks.len())), RunsView::default());
    let mut core = Core::new(tasks, rules, &view, origin(), at);
    core.begin(None, at);
    at.now += Duration::from_secs(30);
    at.uptime += Duration::from_secs(30);
    let gates = Gates {
        fence: Some(1),
        is_stabilized: false,
    };
    let began = Instant::now();
    let turn = core.turn(gates, at);
    let took = began.elapsed();
    assert_eq!(turn.starts.len(), tasks.len());
    took
}

fn whole(tasks: &[Arc<dyn Task>]) -> (Duration, Duration) {
    let clock = Arc::new(ManualClock::at("2026-11-21T12:00:30Z".parse().unwrap()));
    let seen = Arc::clone(&clock) as Arc<dyn Clock>;
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new(Arc::clone(&seen)));
    let options = StreamOptions {
        durability: Durability::Always,
        segment_bytes: 64 << 20,
        segment_age: Duration::from_hours(24),
    };
    engine.open(STREAM, options).unwrap();
    engine.open(alerts::STREAM, options).unwrap();
    let roster = Roster::default();
    roster.complete(tasks.to_vec()).expect("names differ");
    let all = Tasks::new();
    let scheduler = Scheduler::open(Parts {
        journal: Journal::new(Arc::clone(&engine), STREAM),
        alerts: Alerts::open(&engine).unwrap(),
        changes: Changes::default(),
        engine,
        clock: seen,
        tasks: all.clone(),
        switches: Switches::default(),
        roster,
        origin: origin(),
    })
    .unwrap();
    scheduler.set_rules(rules(tasks.len()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        all.spawn("loop", scheduler.clone().drive(all.soft().clone()));
        settle(&scheduler).await;
        BEGUN.store(0, Ordering::Relaxed);
        let began = Instant::now();
        clock.advance(Duration::from_secs(30));
        while BEGUN.load(Ordering::Relaxed) < tasks.len() {
            tokio::task::yield_now().await;
        }
        let all_begun = began.elapsed();
        settle(&scheduler).await;
        (all_begun, began.elapsed())
    })
}

async fn settle(scheduler: &Scheduler) {
    tokio::task::yield_now().await;
    while !scheduler.queue().is_idle || scheduler.queue().since_tick.is_none() {
        for _turn in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}
