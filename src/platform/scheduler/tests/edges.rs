//! Where two things meet in the loop: a pause and a queue, a freeze and what is made up for, an end
//! and what is told.

use std::sync::Arc;

use chrono::TimeDelta;

use super::*;

#[test]
fn what_is_frozen_while_it_makes_up_is_not_lost_after_that() {
    let acting = Arc::new(Fake {
        name: "acting",
        cadence: DefaultCadence::every_secs(600),
        acts: true,
    });
    let all = Override {
        missed: Some(Missed::All),
        ..Override::default()
    };
    let mut bench = Bench::new(vec![acting], one("acting", all), "2026-11-21T09:05:00Z");
    bench.gates.is_stabilized = true;
    bench.restart(TimeDelta::minutes(30));
    bench.live(TimeDelta::minutes(10));
    assert_eq!(bench.passed.len(), 4, "each of them: {:?}", bench.passed);
    bench.gates.is_stabilized = false;
    bench.live(TimeDelta::minutes(10));
    assert_eq!(bench.slots(), ["21 09:50"]);
}

#[test]
fn a_pause_holds_what_waits_for_a_place() {
    let tasks = vec![
        fake("a", DefaultCadence::every_secs(60)),
        fake("often", DefaultCadence::every_secs(60)),
    ];
    let rules = LoopRules {
        most_running: 1,
        ..LoopRules::default()
    };
    let mut bench = Bench::new(tasks, rules, "2026-11-21T09:00:30Z");
    bench.hold = true;
    bench.pass(TimeDelta::seconds(30));
    let event = TaskEvent::Switched {
        task: "often".to_owned(),
        is_paused: true,
        by: "eve".to_owned(),
    };
    bench.view.apply_event(&event, bench.at.now);
    bench.core.switched(1, &event, bench.at);
    bench.end_all();
    bench.settle();
    assert_eq!(
        bench.ran.len(),
        1,
        "paused before it began: {:?}",
        bench.ran
    );
    assert!(bench.passed[0].1.contains("paused"), "{:?}", bench.passed);
    bench.core.ask(1, bench.at.now).expect("asked for");
    bench.settle();
    assert_eq!(bench.ran.len(), 2, "what is asked for runs all the same");
}

#[test]
fn a_run_that_a_crash_cut_off_is_told_like_any_that_failed() {
    let mut bench = Bench::new(daily(), LoopRules::default(), "2026-11-21T01:00:00Z");
    bench.hold = true;
    bench.pass(TimeDelta::minutes(10));
    bench.restart(TimeDelta::minutes(1));
    let failed =
        |notice: &Notice| matches!(notice, Notice::Raise(one) if one.key == "task:daily:failed");
    assert!(bench.notices.iter().any(failed), "{:?}", bench.notices);
}

#[test]
fn a_run_that_did_not_begin_is_no_good_news() {
    let mut bench = Bench::new(daily(), LoopRules::default(), "2026-11-21T01:00:00Z");
    bench.hold = true;
    bench.pass(TimeDelta::minutes(10));
    let index = bench.open.pop().expect("a run");
    let mut stopping = ending(Outcome::Skipped);
    stopping.attempt = 0;
    let turn = bench.core.ended(index, stopping, bench.at);
    bench.take(turn);
    assert_eq!(bench.notices, []);
}
