//! Rules L2, L7, L12, L15: two troubles at once. A failed sync on a medium that lets no segment be
//! begun, and people who write while calls fail.

use std::time::Duration;

use echopilot::seams::files::{Fault, How, Op};
use echopilot::storage::engine::{Durability, Engine, Expect, Position, StorageError};
use echopilot::storage::files::FilesEngine;

use super::support::{Place, append, appended, numbered, until, wait};

fn once(op: Op) -> Fault {
    Fault {
        op,
        at: 1,
        forever: false,
        how: How::Eio,
    }
}

fn numbers(engine: &dyn Engine) -> Vec<u64> {
    let found = appended(engine);
    found.iter().map(|(_, number)| *number).collect()
}

/// Appends without waiting for a sync.
fn append_soon(engine: &dyn Engine, number: u64) -> Result<Position, StorageError> {
    let soon = Some(Durability::Interval(Duration::from_millis(300)));
    wait(engine.append("x", Expect::Any, soon, numbered(number), None))
}

/// Five lines that are not synced yet, on a medium that from now on syncs nothing.
fn five_unsynced(place: &Place, one_more: bool) -> FilesEngine {
    let engine = place.with_stream();
    for number in 1..=5 {
        append_soon(&engine, number).unwrap();
    }
    place.files.fail(Fault {
        forever: true,
        ..once(Op::Sync)
    });
    if one_more {
        append(&engine, 6).unwrap_err();
    }
    engine
}

#[test]
fn l02_l07_lines_acknowledged_before_their_sync_survive_a_medium_that_stays_broken() {
    for one_more in [false, true] {
        let place = Place::new();
        let engine = five_unsynced(&place, one_more);
        until("it was begun again in vain", || {
            // Each is a reason to try again.
            place.files.fired() > 0 && append(&engine, 7).is_err() && place.files.fired() >= 5
        });
        place.files.heal();
        until("lines are accepted", || append(&engine, 9).is_ok());
        assert_eq!(numbers(&engine), vec![1, 2, 3, 4, 5, 9], "{one_more}");
        engine.close();
        let again = place.with_stream();
        assert_eq!(again.health("x").unwrap().damage, 0);
        assert_eq!(numbers(&again), vec![1, 2, 3, 4, 5, 9], "{one_more}");
    }
}

#[test]
fn l02_l07_lines_acknowledged_before_their_sync_get_a_segment_at_the_very_end() {
    for one_more in [false, true] {
        let place = Place::new();
        let engine = five_unsynced(&place, one_more);
        until("it was begun again in vain", || place.files.fired() >= 2);
        place.files.heal();
        engine.close();
        assert_eq!(
            numbers(&place.with_stream()),
            vec![1, 2, 3, 4, 5],
            "{one_more}"
        );
    }
}
