//! The loop without clock, disk and runtime: what it decides, slot by slot.

mod clock;
mod edges;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::core::{Core, Ending, Gates, Moment, Origin, Turn};
use super::event::TaskEvent;
use super::rules::{LoopRules, Missed, Overlap, Override};
use super::task::{DefaultCadence, Outcome, Pass, Summary, Task, Trigger, Work};
use super::view::RunsView;
use super::watch::Notice;
use crate::base::calendar::Cadence;

#[derive(Debug)]
struct Fake {
    name: &'static str,
    cadence: DefaultCadence,
    acts: bool,
}

impl Task for Fake {
    fn name(&self) -> &'static str {
        self.name
    }
    fn about(&self) -> &'static str {
        "does nothing"
    }
    fn cadence(&self) -> DefaultCadence {
        self.cadence
    }
    fn limit(&self) -> Duration {
        Duration::from_mins(1)
    }
    fn acts(&self) -> bool {
        self.acts
    }
    fn run<'a>(&'a self, _pass: &'a Pass) -> Work<'a> {
        Box::pin(async { Ok(Summary::ok(serde_json::Value::Null)) })
    }
}

/// A loop whose runs end at once, unless held.
struct Bench {
    core: Core,
    view: RunsView,
    at: Moment,
    gates: Gates,
    hold: bool,
    open: Vec<usize>,
    notices: Vec<Notice>,
    /// Slots that ran, by task, in order.
    ran: Vec<(String, DateTime<Utc>, Trigger, u32)>,
    /// Slots that passed without a run, and why.
    passed: Vec<(DateTime<Utc>, String)>,
    tasks: Vec<Arc<dyn Task>>,
    rules: Arc<LoopRules>,
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn fake(name: &'static str, cadence: DefaultCadence) -> Arc<dyn Task> {
    let acts = false;
    Arc::new(Fake {
        name,
        cadence,
        acts,
    })
}

fn origin() -> Origin {
    Origin {
        boot: "boot".to_owned(),
        runs: "r".to_owned(),
    }
}

fn one(name: &str, over: Override) -> LoopRules {
    let mut rules = LoopRules::default();
    rules.tasks.insert(name.to_owned(), over);
    rules
}

impl Bench {
    fn new(tasks: Vec<Arc<dyn Task>>, rules: LoopRules, now: &str) -> Self {
        let at = Moment {
            now: time(now),
            uptime: Duration::from_secs(100),
        };
        let (rules, view) = (Arc::new(rules), RunsView::default());
        let core = Core::new(&tasks, Arc::clone(&rules), &view, origin(), at);
        let gates = Gates {
            fence: Some(1),
            is_stabilized: false,
        };
        let mut bench = Self {
            core,
            view,
            at,
            gates,
            hold: false,
            open: Vec::new(),
            notices: Vec::new(),
            ran: Vec::new(),
            passed: Vec::new(),
            tasks,
            rules,
        };
        bench.begin();
        bench
    }

    fn begin(&mut self) {
        let events = self.core.begin(self.view.last_at, self.at);
        self.write(events);
    }

    fn write(&mut self, events: Vec<TaskEvent>) {
        for event in events {
            if let TaskEvent::Finished(record) = &event
                && record.started.is_none()
            {
                let why = record.reason.clone().unwrap_or_default();
                self.passed.push((record.scheduled_for, why));
            }
            self.view.apply_event(&event, self.at.now);
        }
    }

    fn take(&mut self, turn: Turn) {
        self.notices.extend(turn.notices);
        self.write(turn.events);
        for start in turn.starts {
            let one = start.started;
            self.ran
                .push((one.task, one.scheduled_for, one.trigger, one.missed));
            self.open.push(start.index);
        }
    }

    /// Looks until nothing is left to do at this moment.
    fn settle(&mut self) {
        loop {
            let turn = self.core.turn(self.gates, self.at);
            self.take(turn);
            if self.hold || self.open.is_empty() {
                return;
            }
            self.end_all();
        }
    }

    fn end_all(&mut self) {
        for index in std::mem::take(&mut self.open) {
            let turn = self.core.ended(index, ending(Outcome::Ok), self.at);
            self.take(turn);
        }
    }

    fn pass(&mut self, span: TimeDelta) {
        self.at.now += span;
        self.at.uptime += span.to_std().expect("forward");
        self.settle();
    }

    /// As a driver does: looks when told to.
    fn live(&mut self, span: TimeDelta) {
        let end = self.at.uptime + span.to_std().expect("forward");
        loop {
            let turn = self.core.turn(self.gates, self.at);
            let wait = turn.wait.max(Duration::from_millis(1));
            self.take(turn);
            self.end_all();
            let left = end.saturating_sub(self.at.uptime);
            if left.is_zero() {
                return self.settle();
            }
            let step = wait.min(left);
            self.at.uptime += step;
            self.at.now += step;
        }
    }

    fn step(&mut self, by: TimeDelta) {
        self.at.now += by;
        self.settle();
    }

    /// The process ends here and another one begins after `down`.
    fn restart(&mut self, down: TimeDelta) {
        self.at.now += down;
        self.at.uptime = Duration::from_secs(1);
        self.open.clear();
        let rules = Arc::clone(&self.rules);
        self.core = Core::new(&self.tasks, rules, &self.view, origin(), self.at);
        self.begin();
        self.settle();
    }

    fn slots(&self) -> Vec<String> {
        let slot = |ran: &(String, DateTime<Utc>, Trigger, u32)| {
            let (_, at, trigger, missed) = ran;
            let late = if *trigger == Trigger::Missed {
                " late"
            } else {
                ""
            };
            let more = if *missed > 0 {
                format!(" for {missed} more")
            } else {
                String::new()
            };
            format!("{}{late}{more}", at.format("%d %H:%M"))
        };
        self.ran.iter().map(slot).collect()
    }

    /// No slot ran twice.
    fn assert_once(&self) {
        let mut seen = BTreeSet::new();
        for (task, at, trigger, _) in &self.ran {
            if *trigger != Trigger::Manual {
                assert!(seen.insert((task, at)), "{task} ran twice for {at}");
            }
        }
    }
}

fn ending(outcome: Outcome) -> Ending {
    Ending {
        outcome,
        reason: None,
        attempt: 1,
        error: None,
        output: serde_json::Value::Null,
    }
}

const DAILY: DefaultCadence = DefaultCadence::utc("10 1 * * *");

fn daily() -> Vec<Arc<dyn Task>> {
    vec![fake("daily", DAILY)]
}

fn every(secs: u64) -> Vec<Arc<dyn Task>> {
    vec![fake("often", DefaultCadence::every_secs(secs))]
}

#[test]
fn slots_run_in_time_one_by_one() {
    let mut bench = Bench::new(every(300), LoopRules::default(), "2026-11-21T09:02:30Z");
    bench.live(TimeDelta::minutes(13));
    assert_eq!(bench.slots(), ["21 09:05", "21 09:10", "21 09:15"]);
}

#[test]
fn a_slot_that_comes_during_a_run_is_skipped_or_follows() {
    let mut bench = Bench::new(every(60), LoopRules::default(), "2026-11-21T09:00:30Z");
    bench.hold = true;
    for _minute in 0..3 {
        bench.pass(TimeDelta::minutes(1));
    }
    assert_eq!(bench.slots(), ["21 09:01"]);
    assert_eq!(bench.passed.len(), 2);
    assert!(
        bench.passed[0].1.contains("was still going"),
        "{:?}",
        bench.passed
    );

    let latest = Override {
        overlap: Some(Overlap::Latest),
        ..Override::default()
    };
    let mut bench = Bench::new(every(60), one("often", latest), "2026-11-21T09:00:30Z");
    bench.hold = true;
    for _minute in 0..3 {
        bench.pass(TimeDelta::minutes(1));
    }
    bench.end_all();
    bench.settle();
    assert_eq!(bench.slots(), ["21 09:01", "21 09:03"]);
    assert_eq!(bench.passed.len(), 1, "the older of the two that waited");
}

#[test]
fn a_pause_makes_up_for_nothing_and_holds_over_a_restart() {
    let mut bench = Bench::new(every(60), LoopRules::default(), "2026-11-21T09:00:30Z");
    let switch = |bench: &mut Bench, is_paused| {
        let event = TaskEvent::Switched {
            task: "often".to_owned(),
            is_paused,
            by: "eve".to_owned(),
        };
        bench.view.apply_event(&event, bench.at.now);
        bench.core.switched(0, &event, bench.at);
        bench.settle();
    };
    switch(&mut bench, true);
    bench.live(TimeDelta::minutes(5));
    bench.restart(TimeDelta::minutes(5));
    bench.live(TimeDelta::minutes(5));
    assert!(bench.slots().is_empty());
    switch(&mut bench, false);
    bench.live(TimeDelta::minutes(1));
    assert_eq!(bench.slots(), ["21 09:16"]);
}

#[test]
fn other_rules_lose_and_repeat_no_slot() {
    let mut bench = Bench::new(every(600), LoopRules::default(), "2026-11-21T09:05:00Z");
    bench.live(TimeDelta::minutes(10));
    let cadence = |text: &str| Override {
        cadence: Some(Cadence::parse(text).expect("a cadence")),
        ..Override::default()
    };
    // Due, and not yet looked at, when the rules change.
    bench.at.now += TimeDelta::minutes(5);
    bench.at.uptime += Duration::from_mins(5);
    bench
        .core
        .set_rules(Arc::new(one("often", cadence("7m"))), bench.at);
    bench.settle();
    assert_eq!(bench.slots(), ["21 09:10", "21 09:20"]);
    bench.live(TimeDelta::minutes(8));
    assert_eq!(bench.ran.len(), 3, "the next multiple of 7 minutes");
    bench
        .core
        .set_rules(Arc::new(LoopRules::default()), bench.at);
    bench.live(TimeDelta::minutes(12));
    bench.assert_once();
    assert_eq!(bench.slots().last().expect("a run"), "21 09:40");
}

#[test]
fn a_run_that_a_crash_cut_off_is_on_record_and_does_not_run_again() {
    let mut bench = Bench::new(daily(), LoopRules::default(), "2026-11-21T01:00:00Z");
    bench.hold = true;
    bench.pass(TimeDelta::minutes(10));
    assert_eq!(bench.ran.len(), 1);
    bench.restart(TimeDelta::minutes(1));
    assert_eq!(bench.ran.len(), 1);
    let past = &bench.view.tasks["daily"];
    let last = past.last.as_ref().expect("a record");
    assert_eq!(last.outcome, Outcome::Failed);
    assert_eq!(
        last.reason.as_deref(),
        Some("the process ended during the run")
    );
    assert_eq!(last.started, Some(time("2026-11-21T01:10:00Z")));
    assert!(past.open.is_empty());
}

#[test]
fn what_acts_is_frozen_and_what_watches_is_not() {
    let cadence = DefaultCadence::every_secs(60);
    let acting = Arc::new(Fake {
        name: "acting",
        cadence,
        acts: true,
    });
    let tasks = vec![fake("often", cadence), acting];
    let mut bench = Bench::new(tasks, LoopRules::default(), "2026-11-21T09:00:30Z");
    bench.gates.is_stabilized = true;
    bench.live(TimeDelta::minutes(1));
    assert_eq!(bench.ran.len(), 1);
    let last = bench.view.tasks["acting"].last.as_ref().expect("a record");
    assert_eq!(last.outcome, Outcome::Frozen);
    assert!(
        last.reason
            .as_ref()
            .is_some_and(|why| why.contains("STABILIZE_MODE"))
    );
}

#[test]
fn runs_wait_for_a_place_and_for_the_lease() {
    let tasks = vec![
        fake("a", DefaultCadence::every_secs(60)),
        fake("b", DefaultCadence::every_secs(60)),
        fake("c", DefaultCadence::every_secs(60)),
    ];
    let rules = LoopRules {
        most_running: 2,
        ..LoopRules::default()
    };
    let mut bench = Bench::new(tasks, rules, "2026-11-21T09:00:30Z");
    bench.gates.fence = None;
    bench.pass(TimeDelta::minutes(1));
    assert!(bench.ran.is_empty(), "another host runs them");
    bench.gates.fence = Some(2);
    bench.hold = true;
    bench.settle();
    assert_eq!(bench.ran.len(), 2);
    bench.end_all();
    bench.settle();
    assert_eq!(bench.ran.len(), 3);
}

#[test]
fn a_run_may_be_asked_for_once_at_a_time() {
    let mut bench = Bench::new(daily(), LoopRules::default(), "2026-11-21T09:00:30Z");
    bench.hold = true;
    let run = bench.core.ask(0, bench.at.now).expect("a run");
    assert_eq!(bench.core.ask(0, bench.at.now), Err(run.clone()));
    bench.settle();
    assert_eq!(bench.core.ask(0, bench.at.now), Err(run));
    bench.end_all();
    assert!(bench.core.ask(0, bench.at.now).is_ok());
    bench.settle();
    bench.end_all();
    bench.live(TimeDelta::hours(17));
    let due = bench
        .ran
        .iter()
        .filter(|(_, _, trigger, _)| *trigger == Trigger::Schedule);
    assert_eq!(due.count(), 1, "asking takes no slot away");
}

#[test]
fn late_slow_and_failing_tasks_are_told_until_a_good_run() {
    let keys = |bench: &Bench, raised: bool| -> BTreeSet<String> {
        let key = |notice: &Notice| match notice {
            Notice::Raise(finding) if raised => Some(finding.key.clone()),
            Notice::Resolve { key, .. } if !raised => Some(key.clone()),
            _ => None,
        };
        bench.notices.iter().filter_map(key).collect()
    };
    let mut bench = Bench::new(daily(), LoopRules::default(), "2026-11-21T00:00:00Z");
    bench.hold = true;
    bench.restart(TimeDelta::hours(6));
    assert!(keys(&bench, true).contains("task:daily:late"));
    bench.pass(TimeDelta::seconds(31));
    assert!(keys(&bench, true).contains("task:daily:slow"));
    let index = bench.open.pop().expect("a run");
    let turn = bench.core.ended(index, ending(Outcome::Failed), bench.at);
    bench.take(turn);
    assert!(
        keys(&bench, true).contains("task:daily:failed"),
        "the next try is a day away"
    );
    assert!(keys(&bench, false).is_empty());
    bench.hold = false;
    bench.core.ask(0, bench.at.now).expect("a run");
    bench.settle();
    assert_eq!(keys(&bench, false).len(), 3);
}

#[test]
fn ten_thousand_due_tasks_are_dispatched_at_once() {
    let tasks: Vec<Arc<dyn Task>> = (0..10_000)
        .map(|number| {
            let name: &'static str = Box::leak(format!("task-{number}").into_boxed_str());
            fake(name, DefaultCadence::every_secs(60))
        })
        .collect();
    let rules = LoopRules {
        most_running: 10_000,
        ..LoopRules::default()
    };
    let mut bench = Bench::new(tasks, rules, "2026-11-21T09:00:30Z");
    bench.hold = true;
    bench.pass(TimeDelta::seconds(30));
    assert_eq!(bench.ran.len(), 10_000);
    bench.assert_once();
}
