//! Packing and removing segments: nothing is lost whichever call fails, and what is left of a
//! journal begins with a clean cut.

use std::ops::ControlFlow;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use echopilot::seams::clock::{Clock, ManualClock, SystemClock};
use echopilot::seams::files::{Fault, Files, How, Op, RealFiles};
use echopilot::storage::backup;
use echopilot::storage::engine::{Engine, Mark};
use echopilot::storage::files::FilesEngine;
use echopilot::storage::tidying::{Tidied, TidyPlan};

use super::packing::{at_once, fill, small, text_of, tidy, verified};
use super::support::{Place, append, bytes_after, until};

/// Numbers of all lines of ours.
fn seqs(engine: &dyn Engine) -> Vec<u64> {
    let text = text_of(engine);
    let own = text
        .split(|byte| *byte == b'\n')
        .filter_map(echopilot::storage::line::parse);
    own.map(|own| own.seq).collect()
}

/// Runs `pass` with the `k`-th call of each kind failing, once and for ever, until none is left to
/// fail; `check` looks at what is there with the faults gone. `uncalled` are the kinds of call that
/// the pass does without.
fn with_every_fault(
    uncalled: &[Op],
    make: impl Fn() -> (Place, FilesEngine),
    pass: impl Fn(&FilesEngine),
    check: impl Fn(&Place, &FilesEngine, &str),
) {
    let ops = [
        (Op::OpenAppend, How::Eio),
        (Op::OpenRead, How::Eio),
        (Op::Write, How::Enospc),
        (Op::Write, How::Short),
        (Op::Sync, How::Eio),
        (Op::Stat, How::Eio),
        (Op::Rename, How::Eio),
        (Op::Remove, How::Eio),
        (Op::SyncDir, How::Eio),
        (Op::List, How::Eio),
    ];
    for (op, how) in ops {
        for forever in [false, true] {
            let mut fired = 0;
            for at in 1.. {
                let (place, engine) = make();
                place.files.fail(Fault {
                    op,
                    at,
                    forever,
                    how,
                });
                pass(&engine);
                let hit = place.files.fired() > 0;
                place.files.heal();
                check(
                    &place,
                    &engine,
                    &format!("{op:?} {how:?} {at} forever {forever}"),
                );
                engine.close();
                if !hit {
                    break;
                }
                fired += 1;
            }
            // A short write is no fault of its own where one write suffices.
            let may_be_none = how == How::Short || uncalled.contains(&op);
            assert!(fired > 0 || may_be_none, "{op:?} is never called");
        }
    }
}

/// A few sealed segments of a stream whose writer stands still.
fn four_segments() -> (Place, FilesEngine) {
    let place = Place::new();
    let long_ago = SystemClock::new().now() - TimeDelta::days(30);
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(long_ago));
    let engine = place.engine_by(clock);
    engine.open("x", small()).unwrap();
    for _ in 0..4 {
        fill(&engine, 30, long_ago);
    }
    until("the last one is sealed", || place.names("x.0").len() == 4);
    // A fault from here on must not meet the writer between the two.
    until("the next one is begun", || seqs(&engine).len() == 124);
    (place, engine)
}

#[test]
fn packing_loses_nothing_whichever_call_fails() {
    with_every_fault(
        &[],
        four_segments,
        |engine| drop(engine.tidy(&at_once(), &|| false)),
        |place, engine, what| {
            assert_eq!(seqs(engine), (1..=124).collect::<Vec<_>>(), "{what}");
            assert_eq!(verified(place).bad, Vec::new(), "{what}");
            let done = tidy(engine, &at_once());
            assert_eq!(done.left, Vec::<String>::new(), "{what}");
            let plain = |name: &String| {
                std::path::Path::new(name)
                    .extension()
                    .is_none_or(|ending| ending != "zst")
            };
            assert!(
                !place.names("x.0").iter().any(plain),
                "{what}: {:?}",
                place.names("")
            );
            assert_eq!(place.names(".packing"), Vec::<String>::new(), "{what}");
            assert_eq!(seqs(engine), (1..=124).collect::<Vec<_>>(), "{what}");
        },
    );
}

/// Removes what is older than ten days.
fn removal(now: DateTime<Utc>) -> TidyPlan {
    TidyPlan {
        now,
        remove_before: [("x".to_owned(), now - TimeDelta::days(10))].into(),
        ..TidyPlan::default()
    }
}

#[test]
fn removing_leaves_a_clean_cut_whichever_call_fails() {
    with_every_fault(
        &[Op::Rename],
        four_segments,
        |engine| drop(engine.tidy(&removal(SystemClock::new().now()), &|| false)),
        |place, engine, what| {
            let report = verified(place);
            assert_eq!(report.bad, Vec::new(), "{what}");
            assert!([1, 31, 62, 93, 124].contains(&report.begins_at), "{what}");
            let left: Vec<u64> = (report.begins_at..=124).collect();
            assert_eq!(seqs(engine), left, "{what}");
            // The record of a removal waits for a disk that takes lines again.
            until("all is removed", || {
                tidy(engine, &removal(SystemClock::new().now()));
                place.names("x.0").is_empty()
            });
            let report = verified(place);
            assert_eq!(report.bad, Vec::new(), "{what}");
            assert_eq!(report.begins_at, 124, "{what}");
        },
    );
}

#[test]
fn a_journal_without_its_beginning_goes_on_and_verify_says_since_when() {
    let (place, engine) = four_segments();
    assert_eq!(seqs(&engine), (1..=124).collect::<Vec<_>>());
    let (_, end) = bytes_after(&engine, &Mark::default()).unwrap();
    let sealed = place.names("x.0").len() as u64;
    let now = SystemClock::new().now();
    let young = TidyPlan {
        remove_before: [("x".to_owned(), now - TimeDelta::days(40))].into(),
        ..removal(now)
    };
    assert_eq!(
        tidy(&engine, &young),
        Tidied::default(),
        "nothing is that old"
    );
    let dry = tidy(
        &engine,
        &TidyPlan {
            is_dry_run: true,
            ..removal(now)
        },
    );
    assert_eq!(dry.removed, sealed);
    assert_eq!(place.names("x.0").len() as u64, sealed);
    let done = tidy(&engine, &removal(now));
    assert_eq!(done.removed, sealed, "{done:?}");
    assert!(done.won_bytes() > 1_000);
    let report = verified(&place);
    assert_eq!(report.bad, Vec::new());
    assert_eq!(report.begins_at, 124);
    assert!(report.removed_at.is_some());
    // Who has read it to its end goes on; who stands in what is gone is told so.
    append(&engine, 77).unwrap();
    assert_eq!(bytes_after(&engine, &end).unwrap().1.seq, end.seq + 1);
    let inside = Mark {
        seq: 3,
        h: *b"0123456789abcdef",
        segment: 1,
        offset: 300,
    };
    assert!(bytes_after(&engine, &inside).is_err());
    engine.close();
    let again = place.with_stream_of(small());
    append(&again, 78).unwrap();
    // By this clock the segment is old: the line that opens the next one may come before or after.
    let (opened, own): (Vec<_>, Vec<_>) = text_of(&again)
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .partition(|line| line.contains("\"kind\":\"segment.opened\""));
    assert_eq!(own.len(), 2, "{own:?}");
    let numbers = 124..124 + (opened.len() + own.len()) as u64;
    assert_eq!(seqs(&again), numbers.collect::<Vec<_>>(), "numbers go on");
    assert_eq!(verified(&place).bad, Vec::new());
    // A backup of it can be restored.
    let to = place.folder.path().join("backups");
    let clock = SystemClock::new();
    let taken = backup::take(&RealFiles, &clock, place.folder.path(), &to).unwrap();
    assert_eq!(
        backup::check(&RealFiles, &taken.folder).unwrap(),
        taken.manifest
    );
    again.close();
}

#[test]
fn a_mark_at_the_very_end_of_what_was_removed_still_fits() {
    let (place, engine) = four_segments();
    let mut ends = Vec::new();
    engine
        .scan("x", &Mark::default(), &mut |chunk| {
            ends.push(chunk.end.unwrap());
            ControlFlow::Continue(())
        })
        .unwrap();
    tidy(&engine, &removal(SystemClock::new().now()));
    assert_eq!(place.names("x.0"), Vec::<String>::new());
    // The last chunk but one ends where the active segment begins.
    let border = ends[ends.len() - 2];
    let (rest, _) = bytes_after(&engine, &border).unwrap();
    assert!(rest == text_of(&engine), "nothing is missing after it");
    assert!(
        bytes_after(&engine, &ends[0]).is_err(),
        "lines after it are gone"
    );
    engine.close();
}

#[test]
fn a_segment_missing_in_the_middle_stays_a_fault() {
    let (place, engine) = four_segments();
    engine.close();
    let names = place.names("x.0");
    RealFiles.remove(&place.logs().join(&names[1])).unwrap();
    assert!(!verified(&place).bad.is_empty());
}
