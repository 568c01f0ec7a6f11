//! The task loop with its disk and its runtime, by what is on record: exactly once over kills,
//! fenced, bounded, tried again, and going on without storage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use echopilot::platform::scheduler::{
    LoopRules, Override, Pass, Retries, RunRecord, STREAM, Summary, Task, TaskError,
};
use echopilot::seams::clock::ManualClock;
use echopilot::storage::engine::Engine;
use serde_json::{Value, json};

use super::scheduler_crash::Mortal;
use super::scheduler_world::{Doer, Done, Loop, doer, memory};
use crate::world::at;

fn begin_at(text: &str) -> Arc<ManualClock> {
    Arc::new(ManualClock::at(at(text)))
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// A run that does nothing, well.
fn ok() -> std::future::Ready<Done> {
    std::future::ready(Ok(Summary::ok(Value::Null)))
}

/// How many rounds a slow test makes.
fn rounds(usual: u64, slow: u64) -> u64 {
    if std::env::var_os("SLOW").is_some() {
        slow
    } else {
        usual
    }
}

/// A run that has begun: the task and its slot.
type Begun = (&'static str, DateTime<Utc>);

/// Lives of a process that end at a random append, with or without its lines; each slot must be on
/// record once, and begin once. Each disk has seen 25 of them, so that what is folded stays short.
#[test]
fn no_slot_is_lost_or_begun_twice_over_random_kills() {
    for seed in 0..rounds(4, 40) {
        live_and_die(seed);
    }
}

fn live_and_die(seed: u64) {
    let clock = begin_at("2026-11-21T12:00:30Z");
    let disk = memory(&clock);
    let ran: Arc<Mutex<Vec<Begun>>> = Arc::default();
    let names = ["a", "b", "c", "d", "e"];
    let all: Vec<Arc<dyn Task>> = names
        .into_iter()
        .map(|name| {
            let ran = Arc::clone(&ran);
            let act = move |pass: Pass| {
                ran.lock().unwrap().push((name, pass.scheduled_for));
                async move {
                    // Some of the runs are cut off in the middle.
                    tokio::task::yield_now().await;
                    ok().await
                }
            };
            Arc::new(doer(name, act)) as Arc<dyn Task>
        })
        .collect();
    let mut random = seed;
    let mut draw = |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) % below
    };
    let mut downtime = 0;
    for _life in 0..25 {
        let mortal = Mortal::over(Arc::clone(&disk) as Arc<dyn Engine>);
        mortal.die_at(1 + draw(24), draw(2) == 0);
        let life = Loop::begin(Arc::clone(&mortal) as Arc<dyn Engine>, &clock, &all);
        while !mortal.is_dead() {
            life.advance(SECOND * 20);
        }
        drop(life.runtime);
        let down = draw(3);
        downtime += down;
        clock.advance(MINUTE * u32::try_from(down).unwrap());
    }
    let life = Loop::begin(disk, &clock, &all);
    life.advance(MINUTE);
    assert!(downtime > 0, "seed {seed}: some slots were missed");
    let mut begun = BTreeMap::new();
    for (name, slot) in ran.lock().unwrap().iter() {
        *begun.entry((*name, *slot)).or_insert(0) += 1;
    }
    let twice: Vec<_> = begun.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "seed {seed}: begun twice: {twice:?}");
    for name in names {
        check_whole(name, &life.history(name), &begun);
    }
}

/// Every slot from the first to the last is on record: as its own, or as missed by a later one.
fn check_whole(name: &'static str, records: &[RunRecord], begun: &BTreeMap<Begun, i32>) {
    let mut due = at("2026-11-21T12:00:00Z");
    let mut runs = BTreeSet::new();
    for record in records {
        assert!(
            runs.insert(record.run.clone()),
            "{name}: {} ended twice",
            record.run
        );
        due += chrono::TimeDelta::minutes(i64::from(record.missed) + 1);
        assert_eq!(
            record.scheduled_for, due,
            "{name}: a slot is lost or on record twice"
        );
        if record.error.is_none() && record.reason.is_none() {
            assert!(
                begun.contains_key(&(name, due)),
                "{name}: {due} is on record and never ran"
            );
        }
    }
    let recorded: BTreeSet<_> = records.iter().map(|record| record.scheduled_for).collect();
    for (_, slot) in begun.keys().filter(|(of, _)| *of == name) {
        assert!(
            recorded.contains(slot),
            "{name}: {slot} ran and is not on record"
        );
    }
}

#[test]
fn a_panic_ends_its_own_run_alone() {
    let clock = begin_at("2026-11-21T12:00:30Z");
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let all: Vec<Arc<dyn Task>> = vec![
        Arc::new(doer("bad", |_| async { panic!("no more {}", "eggs") })),
        Arc::new(doer("good", move |_| {
            seen.fetch_add(1, Ordering::SeqCst);
            ok()
        })),
    ];
    let life = Loop::begin(memory(&clock), &clock, &all);
    for _minute in 0..3 {
        life.advance(MINUTE);
    }
    assert_eq!(count.load(Ordering::SeqCst), 3);
    let last = life.last("bad");
    assert_eq!(last["outcome"], "failed");
    assert_eq!(last["error"], "panicked: no more eggs");
    assert_eq!(life.tasks.failed(), 0, "it is fenced where it runs");
    assert!(life.alerts.holds("task:bad:failed"), "three in a row");
    assert!(!life.alerts.holds("task:good:failed"));
}

#[test]
fn a_run_ends_when_its_time_is_up_and_is_told_first() {
    let clock = begin_at("2026-11-21T12:00:30Z");
    let told = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&told);
    let act = move |pass: Pass| {
        let seen = Arc::clone(&seen);
        async move {
            pass.stop.cancelled().await;
            seen.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<Done>().await
        }
    };
    let all: Vec<Arc<dyn Task>> = vec![Arc::new(doer("stuck", act))];
    let life = Loop::begin(memory(&clock), &clock, &all);
    life.advance(SECOND * 30);
    life.advance(SECOND * 11);
    assert!(life.alerts.holds("task:stuck:slow"));
    life.advance(SECOND * 9);
    assert_eq!(told.load(Ordering::SeqCst), 1);
    life.advance(SECOND);
    let last = life.last("stuck");
    assert_eq!(
        (&last["outcome"], &last["error"]),
        (&json!("failed"), &json!("not done within 20 s"))
    );
    assert_eq!(last["duration_ms"], 21_000);
}

#[test]
fn a_failed_run_is_tried_again_within_its_time_where_the_task_says_so() {
    let clock = begin_at("2026-11-21T12:00:30Z");
    let act = |pass: Pass| async move {
        match pass.attempt {
            3 => ok().await,
            attempt => Err(TaskError(format!("no luck at try {attempt}"))),
        }
    };
    let retries = Retries {
        most: 3,
        pause: SECOND,
    };
    let third = Doer {
        retries,
        ..doer("third", act)
    };
    let never = Doer {
        retries,
        ..doer("never", |_| async { Err(TaskError("no luck".to_owned())) })
    };
    let once = doer("once", |_| async { Err(TaskError("no luck".to_owned())) });
    let all: Vec<Arc<dyn Task>> = vec![Arc::new(third), Arc::new(never), Arc::new(once)];
    let life = Loop::begin(memory(&clock), &clock, &all);
    life.advance(SECOND * 30);
    assert_eq!(life.last("once")["attempt"], 1);
    for _second in 0..12 {
        life.advance(SECOND);
    }
    let last = life.last("third");
    assert_eq!(
        (&last["outcome"], &last["attempt"]),
        (&json!("ok"), &json!(3))
    );
    let last = life.last("never");
    assert_eq!(
        (&last["outcome"], &last["attempt"]),
        (&json!("failed"), &json!(4))
    );
}

#[test]
fn tasks_run_while_storage_refuses_and_their_records_follow() {
    let clock = begin_at("2026-11-21T12:00:30Z");
    let disk = memory(&clock);
    let mortal = Mortal::over(Arc::clone(&disk) as Arc<dyn Engine>);
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let act = move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
        ok()
    };
    let all: Vec<Arc<dyn Task>> = vec![Arc::new(doer("watch", act))];
    let life = Loop::begin(Arc::clone(&mortal) as Arc<dyn Engine>, &clock, &all);
    life.advance(MINUTE);
    mortal.refuse(true);
    for _minute in 0..5 {
        life.advance(MINUTE);
    }
    assert_eq!(count.load(Ordering::SeqCst), 6, "watching goes on");
    assert_eq!(life.history("watch").len(), 1);
    let trouble = life.scheduler.trouble().unwrap();
    assert!(trouble.contains("wait for storage"), "{trouble}");
    let paused = life
        .runtime
        .block_on(life.scheduler.switch("watch", true, "eve"));
    assert!(
        paused.is_err(),
        "a pause that would be forgotten is refused"
    );
    mortal.refuse(false);
    life.advance(SECOND * 5);
    assert_eq!(life.history("watch").len(), 6);
    assert_eq!(life.scheduler.trouble(), None);
}

#[test]
fn two_hosts_on_one_storage_run_each_slot_once() {
    let clock = begin_at("2026-11-21T12:00:30Z");
    let disk = memory(&clock);
    let ran = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&ran);
    let act = move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
        ok()
    };
    let all: Vec<Arc<dyn Task>> = vec![Arc::new(doer("watch", act))];
    let first = Loop::begin(Arc::clone(&disk) as Arc<dyn Engine>, &clock, &all);
    let second = Loop::begin(Arc::clone(&disk) as Arc<dyn Engine>, &clock, &all);
    for _step in 0..15 {
        clock.advance(SECOND * 20);
        first.turn();
        second.turn();
    }
    assert_eq!(ran.load(Ordering::SeqCst), 5);
    let trouble = second.scheduler.trouble().unwrap();
    assert!(trouble.contains("another host"), "{trouble}");
}

#[test]
fn a_suspended_machine_and_a_set_clock_are_steps_on_record() {
    let clock = begin_at("2026-11-21T12:00:30Z");
    let all: Vec<Arc<dyn Task>> = vec![Arc::new(doer("watch", |_| ok()))];
    let disk = memory(&clock);
    let life = Loop::begin(Arc::clone(&disk) as Arc<dyn Engine>, &clock, &all);
    life.advance(MINUTE);
    clock.step_wall(chrono::TimeDelta::hours(6));
    life.advance(SECOND * 5);
    let last = life.last("watch");
    assert_eq!(last["scheduled_for"], "2026-11-21T18:01:00.000Z");
    assert_eq!(last["missed"], 359);
    clock.step_wall(chrono::TimeDelta::hours(-6));
    life.advance(SECOND * 5);
    for _minute in 0..10 {
        life.advance(MINUTE);
    }
    let slots: Vec<_> = life
        .history("watch")
        .iter()
        .map(|run| run.scheduled_for)
        .collect();
    let different: BTreeSet<_> = slots.iter().collect();
    assert_eq!(slots.len(), different.len(), "no due time twice: {slots:?}");
    assert!(slots.len() >= 11, "it goes on: {slots:?}");
    let mut steps = Vec::new();
    disk.scan(
        STREAM,
        &echopilot::storage::engine::Mark::default(),
        &mut |chunk| {
            for line in chunk.bytes.split(|byte| *byte == b'\n') {
                let read: Value = serde_json::from_slice(line).unwrap_or_default();
                if read["kind"] == "clock.stepped" {
                    steps.push(read["by_ms"].as_i64().unwrap());
                }
            }
            std::ops::ControlFlow::Continue(())
        },
    )
    .unwrap();
    assert_eq!(steps, [21_600_000, -21_600_000]);
}

#[test]
fn a_stop_lets_runs_end_and_begins_no_new_ones() {
    let clock = begin_at("2026-11-21T12:00:30Z");
    let act = |pass: Pass| async move {
        pass.stop.cancelled().await;
        Ok(Summary::ok(json!("put away")))
    };
    let all: Vec<Arc<dyn Task>> = vec![Arc::new(doer("long", act))];
    let life = Loop::begin(memory(&clock), &clock, &all);
    life.advance(SECOND * 30);
    let stopped = life.runtime.block_on(life.tasks.stop(&*life.clock, MINUTE));
    assert!(stopped);
    assert_eq!(life.last("long")["output"], "put away");
    assert!(life.scheduler.run("long").is_err());
}

#[test]
fn rules_of_the_file_hold_for_runs_too() {
    let clock = begin_at("2026-11-21T12:00:30Z");
    let act = |_| std::future::pending::<Done>();
    let all: Vec<Arc<dyn Task>> = vec![Arc::new(doer("stuck", act))];
    let life = Loop::begin(memory(&clock), &clock, &all);
    let mut rules = LoopRules::default();
    let over = Override {
        timeout: Some(SECOND * 3),
        ..Override::default()
    };
    rules.tasks.insert("stuck".to_owned(), over);
    life.scheduler.set_rules(rules);
    life.advance(SECOND * 30);
    life.advance(SECOND * 3);
    life.advance(SECOND);
    assert_eq!(life.last("stuck")["error"], "not done within 3 s");
}

#[test]
fn alerts_of_a_task_that_is_no_more_end() {
    let clock = begin_at("2026-11-21T09:00:30Z");
    let engine = memory(&clock) as Arc<dyn Engine>;
    let fails = || -> Arc<dyn Task> {
        Arc::new(doer("gone", |_| async { Err(TaskError("no".to_owned())) }))
    };
    let stays = || -> Arc<dyn Task> { Arc::new(doer("stays", |_| ok())) };
    let life = Loop::begin(Arc::clone(&engine), &clock, &[fails(), stays()]);
    for _minute in 0..3 {
        life.advance(MINUTE);
    }
    assert!(life.alerts.holds("task:gone:failed"));
    drop(life);
    let life = Loop::begin(Arc::clone(&engine), &clock, &[stays()]);
    assert!(
        !life.alerts.holds("task:gone:failed"),
        "nobody else would end it"
    );
}
