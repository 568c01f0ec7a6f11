//! The gates in their order, the rule, and the targets.

use chrono::{DateTime, TimeDelta, Utc};

use super::logic::{Action, Gate, Rule, STABILIZED, Seen, Standing, Ticks, decide};
use super::tune::{Targets, suggest};
use crate::platform::switches::{Switched, Value};

fn rule() -> Rule {
    Rule {
        workers_min: 1,
        workers_max: 4,
        queue_per_worker: 2.0,
        p95_target_ms: 400.0,
        slow_ticks: 3,
        idle_ticks: 10,
        cooldown: TimeDelta::minutes(5),
        margin_min_percent: 10.0,
    }
}

fn switched(on: &'static [&'static str]) -> Switched {
    Switched::from_flags(|flag| on.contains(&flag).then_some(Value::Bool(true)))
}

const ENABLED: &[&str] = &["AUTOSCALE_ENABLED"];

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn standing(workers: u32, slow: u32, idle: u32) -> Standing {
    Standing {
        workers,
        ticks: Ticks { slow, idle },
        stepped_at: None,
    }
}

fn queue(queue: f64) -> Seen {
    Seen {
        queue: Some(queue),
        ..Seen::default()
    }
}

#[test]
fn the_gates_hold_in_their_order() {
    let poor = Seen {
        margin_percent: Some(9.9),
        ..queue(100.0)
    };
    let at = |on| decide(switched(on), &standing(1, 0, 0), &poor, &rule(), now());
    let both = at(&["STABILIZE_MODE", "AUTOSCALE_ENABLED"]);
    assert_eq!((both.action, both.gate), (Action::Hold, Gate::Stabilize));
    assert_eq!(both.reason, STABILIZED);
    assert_eq!(both.wanted, Action::Up);
    let off = at(&[]);
    assert_eq!((off.action, off.gate), (Action::Hold, Gate::Disabled));
    let frozen = at(ENABLED);
    assert_eq!((frozen.action, frozen.gate), (Action::Hold, Gate::Profit));
    assert!(frozen.reason.contains("9.9 %"), "{}", frozen.reason);
    let rich = Seen {
        margin_percent: Some(10.0),
        ..poor
    };
    let up = decide(switched(ENABLED), &standing(1, 0, 0), &rich, &rule(), now());
    assert_eq!((up.action, up.to, up.gate), (Action::Up, 2, Gate::Rule));
    // A margin that is not known freezes nothing; a worker less is always affordable.
    let unknown = queue(100.0);
    let up = decide(
        switched(ENABLED),
        &standing(1, 0, 0),
        &unknown,
        &rule(),
        now(),
    );
    assert_eq!(up.action, Action::Up);
    let idle = Seen {
        margin_percent: Some(-5.0),
        ..queue(0.0)
    };
    let down = decide(
        switched(ENABLED),
        &standing(2, 0, 10),
        &idle,
        &rule(),
        now(),
    );
    assert_eq!((down.action, down.to), (Action::Down, 1));
}

#[test]
fn the_queue_must_be_over_twice_the_workers() {
    let at = |jobs| {
        decide(
            switched(ENABLED),
            &standing(3, 0, 0),
            &queue(jobs),
            &rule(),
            now(),
        )
    };
    assert_eq!(at(6.0).action, Action::Hold);
    assert_eq!((at(7.0).action, at(7.0).to), (Action::Up, 4));
}

#[test]
fn slow_counts_three_ticks_and_idle_ten() {
    let (rule, mut ticks) = (rule(), Ticks::default());
    let slow = Seen {
        queue: Some(1.0),
        p95_ms: Some(401.0),
        ..Seen::default()
    };
    let action = |ticks, seen: &Seen| {
        let standing = Standing {
            workers: 2,
            ticks,
            stepped_at: None,
        };
        decide(switched(ENABLED), &standing, seen, &rule, now()).action
    };
    for expected in [Action::Hold, Action::Hold, Action::Up] {
        ticks = ticks.after(&slow, &rule);
        assert_eq!(action(ticks, &slow), expected);
    }
    let well = Seen {
        queue: Some(0.0),
        p95_ms: Some(400.0),
        ..Seen::default()
    };
    for tick in 1..=10 {
        ticks = ticks.after(&well, &rule);
        let expected = if tick == 10 {
            Action::Down
        } else {
            Action::Hold
        };
        assert_eq!(action(ticks, &well), expected, "{tick}");
    }
    // What is not known is not idle.
    assert_eq!(ticks.after(&Seen::default(), &rule), Ticks::default());
}

#[test]
fn bounds_and_cooldown_hold() {
    let at = |standing: Standing, seen: Seen| {
        decide(switched(ENABLED), &standing, &seen, &rule(), now())
    };
    let most = at(standing(4, 0, 0), queue(100.0));
    assert!(most.action == Action::Hold && most.reason.contains("most allowed"));
    let least = at(standing(1, 0, 10), queue(0.0));
    assert!(least.action == Action::Hold && least.reason.contains("least allowed"));
    let stepped = |secs| Standing {
        stepped_at: Some(now() - TimeDelta::seconds(secs)),
        ..standing(1, 0, 0)
    };
    let recent = at(stepped(299), queue(100.0));
    assert!(
        recent.action == Action::Hold && recent.reason.contains("1 s to go"),
        "{recent:?}"
    );
    assert_eq!(at(stepped(300), queue(100.0)).action, Action::Up);
}

#[test]
fn targets_follow_the_formula() {
    let of = |p95, queue| {
        suggest(p95, queue).map(|targets: Targets| (targets.p95_target_ms, targets.queue_max_depth))
    };
    assert_eq!(of(80.0, 1.0), Some((64, 10)));
    assert_eq!(of(0.0, 0.0), Some((20, 10)));
    assert_eq!(of(5000.0, 5.1), Some((2000, 11)));
    assert_eq!(of(100.6, 7.0), Some((80, 14)));
    for bad in [-1.0, f64::NAN, f64::INFINITY, 1e10] {
        assert_eq!(of(bad, 1.0), None);
        assert_eq!(of(80.0, bad), None);
    }
}
