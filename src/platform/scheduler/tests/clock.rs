//! Due times that were missed, and clocks that are set: what runs, once, and what does not.

use super::*;

#[test]
fn a_daily_task_missed_in_a_downtime_runs_once_late() {
    let mut bench = Bench::new(daily(), LoopRules::default(), "2026-11-21T00:00:00Z");
    bench.live(TimeDelta::minutes(30));
    bench.restart(TimeDelta::hours(6));
    assert_eq!(bench.slots(), ["21 01:10 late"]);
    bench.restart(TimeDelta::hours(6));
    bench.live(TimeDelta::hours(20));
    assert_eq!(bench.slots(), ["21 01:10 late", "22 01:10"]);
    bench.restart(TimeDelta::days(5));
    assert_eq!(bench.slots()[2..], ["27 01:10 late for 4 more"]);
}

#[test]
fn a_new_task_does_not_make_up_for_what_was_before_it() {
    let mut bench = Bench::new(daily(), LoopRules::default(), "2026-11-21T12:00:00Z");
    bench.live(TimeDelta::hours(1));
    assert!(bench.slots().is_empty());
}

#[test]
fn missed_slots_may_be_skipped_or_all_made_up_for() {
    let over = |missed| Override {
        missed: Some(missed),
        ..Override::default()
    };
    let rules = one("often", over(Missed::Skip));
    let mut bench = Bench::new(every(3600), rules, "2026-11-21T09:30:00Z");
    bench.restart(TimeDelta::hours(6));
    assert!(bench.slots().is_empty());
    assert_eq!(bench.passed[0].1, "6 due times were missed");
    bench.live(TimeDelta::minutes(31));
    assert_eq!(bench.slots(), ["21 16:00"]);

    let rules = one("often", over(Missed::All));
    let mut bench = Bench::new(every(3600), rules, "2026-11-21T09:30:00Z");
    bench.restart(TimeDelta::hours(3));
    let all = ["21 10:00 late", "21 11:00 late", "21 12:00 late"];
    assert_eq!(bench.slots(), all);
    bench.restart(TimeDelta::days(3));
    // A window of a day: the first one stands for those before it.
    assert_eq!(bench.ran.len(), 3 + 24);
    assert_eq!(bench.slots()[3], "23 13:00 late for 48 more");
    bench.assert_once();
}

#[test]
fn a_clock_that_jumps_ahead_runs_each_task_once() {
    let tasks = vec![
        fake("often", DefaultCadence::every_secs(300)),
        fake("daily", DAILY),
    ];
    let mut bench = Bench::new(tasks, LoopRules::default(), "2026-11-21T00:02:00Z");
    bench.step(TimeDelta::hours(3));
    let mut slots = bench.slots();
    slots.sort();
    assert_eq!(slots, ["21 01:10 late", "21 03:00 late for 35 more"]);
    let stepped = bench.core.backs();
    assert_eq!(stepped, 0);
}

#[test]
fn a_clock_that_goes_back_runs_no_slot_again_and_stops_no_watcher() {
    let tasks = vec![
        fake("often", DefaultCadence::every_secs(60)),
        fake("daily", DAILY),
    ];
    let mut bench = Bench::new(tasks, LoopRules::default(), "2026-11-21T01:00:30Z");
    bench.live(TimeDelta::minutes(30));
    let before = bench.ran.len();
    assert_eq!(before, 31);
    bench.step(TimeDelta::hours(-1));
    bench.live(TimeDelta::minutes(30));
    let after = bench.ran.len() - before;
    assert!((29..=31).contains(&after), "{after} runs in 30 minutes");
    bench.live(TimeDelta::hours(3));
    bench.assert_once();
    let daily = bench
        .ran
        .iter()
        .filter(|(task, ..)| task == "daily")
        .count();
    assert_eq!(daily, 1, "01:10 came twice");
    // Where it has caught up, the old due times hold again.
    assert_eq!(
        bench.ran.last().expect("a run").1.timestamp_subsec_millis(),
        0
    );
}

#[test]
fn slots_that_a_jump_ahead_left_out_run_when_the_clock_is_put_right() {
    let mut bench = Bench::new(daily(), LoopRules::default(), "2026-11-21T12:00:00Z");
    bench.step(TimeDelta::days(30));
    assert_eq!(bench.slots(), ["21 01:10 late for 29 more"]);
    bench.step(TimeDelta::days(-30));
    bench.live(TimeDelta::days(40));
    bench.assert_once();
    let days: Vec<String> = bench.slots().split_off(1);
    assert_eq!(days.len(), 39, "every day but the one that ran: {days:?}");
    assert_eq!(days[0], "22 01:10");
}

#[test]
fn no_slot_runs_twice_over_a_hundred_random_steps() {
    let mut random = 7_u64;
    let mut draw = move |below: i64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        i64::try_from(random >> 33).expect("31 bits") % below
    };
    let tasks = vec![
        fake("often", DefaultCadence::every_secs(300)),
        fake("daily", DAILY),
        fake("hourly", DefaultCadence::utc("5 * * * *")),
    ];
    let mut bench = Bench::new(tasks, LoopRules::default(), "2026-11-21T00:00:00Z");
    for round in 0..100 {
        let span = match round % 3 {
            0 => draw(7200) - 3600,
            1 => draw(60 * 86_400) - 30 * 86_400,
            _ => [3600, -3600][usize::try_from(draw(2)).expect("0 or 1")],
        };
        bench.step(TimeDelta::seconds(span));
        let before = bench.ran.len();
        bench.live(TimeDelta::minutes(20));
        let often = bench.ran[before..]
            .iter()
            .filter(|(task, ..)| task == "often");
        assert!(often.count() >= 2, "round {round}: a watcher stood still");
        if round % 10 == 9 {
            bench.restart(TimeDelta::seconds(draw(4000) - 2000));
        }
    }
    bench.assert_once();
}
