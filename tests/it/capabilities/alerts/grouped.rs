//! Waiting, grouping, repeating: Alertmanager's six reasons, and what is never told.

use std::time::Duration;

use echopilot::platform::alerts::Severity;
use serde_json::json;

use super::{MINUTE, SECOND, looked, raise, raise_with, resolve, told, world};

#[test]
fn twelve_that_fall_within_half_a_minute_are_one_notice() {
    let world = world(&json!({}));
    for at in 0..12 {
        raise(&world, &format!("probe:{at:02}"), Severity::Warning);
        world.clock.advance(SECOND);
    }
    looked(&world);
    assert_eq!(told(&world), [""; 0], "it waits for more");
    world.clock.advance(18 * SECOND);
    looked(&world);
    let keys: Vec<_> = (0..12).map(|at| format!("probe:{at:02}")).collect();
    assert_eq!(told(&world), [format!("chat first {}", keys.join(" "))]);
    let notice = super::queued(&world);
    let notice = notice.iter().find(|one| one["channel"] == "chat").unwrap();
    assert_eq!(
        notice["group"],
        r#"default:{alertname="probe",source="tests"}"#
    );
    assert_eq!(
        notice["group_labels"],
        json!({ "alertname": "probe", "source": "tests" })
    );
    assert_eq!(notice["severity"], "warning");
    assert_eq!(notice["alerts"][0]["labels"]["level"], "warning");
}

#[test]
fn each_of_the_reasons_has_its_time() {
    let world = world(&json!({}));
    raise(&world, "probe:a", Severity::Warning);
    world.clock.advance(30 * SECOND);
    looked(&world);
    assert_eq!(told(&world), ["chat first probe:a"]);
    raise(&world, "probe:b", Severity::Warning);
    world.clock.advance(2 * MINUTE);
    looked(&world);
    assert_eq!(told(&world).len(), 1, "the interval has not passed");
    world.clock.advance(3 * MINUTE);
    looked(&world);
    assert_eq!(told(&world)[1..], ["chat new_alerts probe:b probe:a"]);
    resolve(&world, "probe:a");
    world.clock.advance(5 * MINUTE);
    looked(&world);
    assert_eq!(told(&world)[2..], ["chat new_resolved probe:b -probe:a"]);
    world.clock.advance(5 * MINUTE);
    looked(&world);
    assert_eq!(told(&world).len(), 3, "nothing has changed");
    resolve(&world, "probe:b");
    world.clock.advance(5 * MINUTE);
    looked(&world);
    assert_eq!(told(&world)[3..], ["chat all_resolved -probe:b"]);
    world.clock.advance(Duration::from_hours(9));
    looked(&world);
    assert_eq!(told(&world).len(), 4, "what is over is over");
}

#[test]
fn what_ends_before_it_is_told_never_is() {
    let world = world(&json!({}));
    raise(&world, "probe:a", Severity::Warning);
    world.clock.advance(20 * SECOND);
    looked(&world);
    resolve(&world, "probe:a");
    world.clock.advance(20 * MINUTE);
    looked(&world);
    assert_eq!(told(&world), [""; 0]);
    // Within one interval of a group that is known.
    raise(&world, "probe:b", Severity::Warning);
    world.clock.advance(30 * SECOND);
    looked(&world);
    raise(&world, "probe:c", Severity::Warning);
    world.clock.advance(MINUTE);
    looked(&world);
    resolve(&world, "probe:c");
    world.clock.advance(5 * MINUTE);
    looked(&world);
    assert_eq!(told(&world), ["chat first probe:b"]);
    // It comes again before its end was told: the channel knows that it holds.
    resolve(&world, "probe:b");
    world.clock.advance(MINUTE);
    looked(&world);
    raise(&world, "probe:b", Severity::Warning);
    world.clock.advance(10 * MINUTE);
    looked(&world);
    assert_eq!(told(&world), ["chat first probe:b"]);
}

#[test]
fn what_has_not_changed_is_repeated_unless_somebody_has_taken_it_up() {
    let world = world(&json!({ "repeat_interval": "1h" }));
    raise(&world, "probe:a", Severity::Warning);
    world.clock.advance(30 * SECOND);
    looked(&world);
    for _ in 0..11 {
        world.clock.advance(5 * MINUTE);
        looked(&world);
    }
    assert_eq!(told(&world), ["chat first probe:a"]);
    world.clock.advance(5 * MINUTE);
    looked(&world);
    assert_eq!(told(&world)[1..], ["chat repeat probe:a"]);
    let body = json!({ "keys": ["probe:a", "probe:z"] });
    let taken = world.post("/api/alerts/acknowledge", &body).expect(200);
    assert_eq!(taken["acknowledged"], 1);
    assert_eq!(taken["unknown"], json!(["probe:z"]));
    for _ in 0..30 {
        world.clock.advance(5 * MINUTE);
        looked(&world);
    }
    assert_eq!(told(&world).len(), 2);
    resolve(&world, "probe:a");
    world.clock.advance(5 * MINUTE);
    looked(&world);
    assert_eq!(told(&world)[2..], ["chat all_resolved -probe:a"]);
}

#[test]
fn what_is_critical_waits_less_and_for_no_interval() {
    let world = world(&json!({}));
    raise(&world, "probe:a", Severity::Warning);
    world.clock.advance(30 * SECOND);
    looked(&world);
    raise(&world, "probe:b", Severity::Critical);
    world.clock.advance(5 * SECOND);
    looked(&world);
    assert_eq!(told(&world).len(), 1);
    world.clock.advance(5 * SECOND);
    looked(&world);
    let later = told(&world)[1..].to_vec();
    assert_eq!(
        later,
        [
            "chat new_alerts probe:b probe:a",
            "mail first probe:b",
            "pager first probe:b"
        ]
    );
    // It becomes more severe: the channel that knows it is told, the others hear of it first.
    raise(&world, "probe:a", Severity::Error);
    world.clock.advance(5 * MINUTE);
    looked(&world);
    let later = told(&world)[4..].to_vec();
    assert_eq!(
        later,
        [
            "chat worse probe:b probe:a",
            "pager new_alerts probe:b probe:a"
        ]
    );
}

#[test]
fn a_group_of_too_many_names_the_worst_and_counts_the_rest() {
    let world = world(&json!({}));
    for at in 0..250 {
        let severity = if at == 249 {
            Severity::Error
        } else {
            Severity::Warning
        };
        raise_with(&world, &format!("probe:{at:03}"), severity, &[]);
    }
    world.clock.advance(30 * SECOND);
    looked(&world);
    let all = super::queued(&world);
    let chat = all.iter().find(|one| one["channel"] == "chat").unwrap();
    assert_eq!(chat["more"], 150);
    assert_eq!(chat["alerts"].as_array().unwrap().len(), 100);
    assert_eq!(chat["alerts"][0]["key"], "probe:249");
    for _ in 0..3 {
        world.clock.advance(5 * MINUTE);
        looked(&world);
    }
    assert_eq!(told(&world).len(), 2, "those that were counted are told");
    raise(&world, "probe:new", Severity::Warning);
    world.clock.advance(5 * MINUTE);
    looked(&world);
    let last = told(&world).pop().unwrap();
    assert!(
        last.starts_with("chat new_alerts probe:249 probe:new "),
        "{last}"
    );
    for at in 0..250 {
        resolve(&world, &format!("probe:{at:03}"));
    }
    resolve(&world, "probe:new");
    world.clock.advance(5 * MINUTE);
    looked(&world);
    assert!(
        told(&world)
            .iter()
            .any(|one| one.starts_with("chat all_resolved -"))
    );
}
