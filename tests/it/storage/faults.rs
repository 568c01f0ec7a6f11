//! Rules L2, L6–L9: what becomes of lines when writes, syncs, renames and opens fail. Whatever
//! fails, no acknowledged line is lost, none is there twice, and what is refused is refused
//! clearly.

use std::sync::Arc;

use echopilot::seams::files::{Fault, Files, How, Op, RealFiles, Space};
use echopilot::storage::anchors::Anchors;
use echopilot::storage::engine::{Engine, StorageError};
use echopilot::storage::verify;

use super::support::{OPTIONS, Place, append, appended, until};

fn once(op: Op, at: u64, how: How) -> Fault {
    Fault {
        op,
        at,
        forever: false,
        how,
    }
}

/// Appends `numbers` and gives back those that were acknowledged.
fn acknowledged(engine: &dyn Engine, numbers: std::ops::Range<u64>) -> Vec<(u64, u64)> {
    numbers
        .filter_map(|number| append(engine, number).ok().map(|at| (at.last, number)))
        .collect()
}

fn assert_whole(place: &Place, acked: &[(u64, u64)], what: &str) {
    let engine = place.with_stream();
    let found = appended(&engine);
    for line in acked {
        let times = found.iter().filter(|other| *other == line).count();
        assert_eq!(times, 1, "{what}: {line:?} of {acked:?} in {found:?}");
    }
    let mut seqs: Vec<u64> = found.iter().map(|(seq, _)| *seq).collect();
    seqs.dedup();
    assert_eq!(
        seqs.len(),
        found.len(),
        "{what}: a seq is there twice in {found:?}"
    );
    let report =
        verify::verify_stream(&RealFiles, &place.logs(), "x", &Anchors::default()).unwrap();
    assert_eq!(report.bad, Vec::new(), "{what}");
    assert!(
        append(&engine, 999).is_ok(),
        "{what}: it goes on after a restart"
    );
    engine.close();
}

#[test]
fn l02_lines_are_acknowledged_only_after_a_sync() {
    let place = Place::new();
    let engine = place.with_stream();
    for number in 0..5 {
        let before = place.files.count(Op::Sync);
        append(&engine, number).unwrap();
        assert!(place.files.count(Op::Sync) > before);
    }
}

#[test]
fn l06_a_short_write_on_a_full_disk_is_cut_back_and_refused_as_full() {
    let place = Place::new();
    let engine = place.with_stream();
    append(&engine, 1).unwrap();
    place.files.fail(once(Op::Write, 1, How::Short));
    let refused = append(&engine, 2).unwrap_err();
    assert!(matches!(refused, StorageError::Full { .. }), "{refused:?}");
    assert_eq!(appended(&engine), vec![(1, 1)]);
    assert_eq!(
        std::fs::read_to_string(place.active())
            .unwrap()
            .lines()
            .count(),
        1
    );
    until("lines are accepted again", || append(&engine, 3).is_ok());
    assert_eq!(appended(&engine).first(), Some(&(1, 1)));
    assert_eq!(appended(&engine)[1], (2, 3));
}

#[test]
fn l06_an_interrupted_write_is_made_again() {
    let place = Place::new();
    let engine = place.with_stream();
    place.files.fail(once(Op::Write, 1, How::Eintr));
    assert_eq!(append(&engine, 1).unwrap().last, 1);
}

#[test]
fn l07_a_failed_sync_seals_the_segment_and_writes_the_lines_again_elsewhere() {
    let place = Place::new();
    let engine = place.with_stream();
    append(&engine, 1).unwrap();
    let before = place.files.count(Op::Sync);
    place.files.fail(once(Op::Sync, 1, How::Eio));
    assert_eq!(append(&engine, 2).unwrap().last, 2);
    // The failed one, and the new segment's: the suspect file never sees a second.
    assert_eq!(place.files.count(Op::Sync), before + 2);
    let suspect = place.names("x.0");
    assert_eq!(
        suspect,
        ["x.00000000000000000001-00000000000000000001.suspect.ndjson"]
    );
    assert_eq!(appended(&engine), vec![(1, 1), (2, 2)]);
    // Line 3 opened the new segment.
    assert_eq!(append(&engine, 4).unwrap().last, 4);
    engine.close();
    assert_whole(&place, &[(1, 1), (2, 2), (4, 4)], "after a failed sync");
}

#[test]
fn l07_l08_a_medium_that_stays_broken_is_storage_failed_until_it_heals() {
    let place = Place::new();
    let engine = place.with_stream();
    append(&engine, 1).unwrap();
    place.files.fail(Fault {
        op: Op::Sync,
        at: 1,
        forever: true,
        how: How::Eio,
    });
    let refused = append(&engine, 2).unwrap_err();
    assert!(
        matches!(refused, StorageError::Failed { .. }),
        "{refused:?}"
    );
    assert_eq!(engine.health("x").unwrap().refusing, Some("storage_failed"));
    assert_eq!(appended(&engine), vec![(1, 1)], "reads go on");
    place.files.heal();
    until("it lifts by itself", || {
        engine.health("x").unwrap().refusing.is_none()
    });
    append(&engine, 3).unwrap();
    let numbers: Vec<u64> = appended(&engine)
        .iter()
        .map(|(_, number)| *number)
        .collect();
    assert_eq!(numbers, vec![1, 3]);
    engine.close();
    assert_whole(&place, &[(1, 1)], "after healing");
}

#[test]
fn l09_little_room_refuses_lines_and_lifts_by_itself_at_twice_the_bound() {
    let place = Place::new();
    let engine = place.with_stream();
    append(&engine, 1).unwrap();
    let total = 100 << 30;
    let left = |percent_tenths: u64| {
        let available = total / 1000 * percent_tenths;
        place.files.set_space(Some(Space { total, available }));
    };
    left(19);
    until("lines are refused", || {
        matches!(append(&engine, 2), Err(StorageError::Full { .. }))
    });
    assert_eq!(engine.health("x").unwrap().refusing, Some("storage_full"));
    left(39);
    assert!(append(&engine, 3).is_err(), "not yet twice the bound");
    left(41);
    until("it lifts", || append(&engine, 4).is_ok());
}

#[test]
fn sweep_of_every_call_loses_no_acknowledged_line_and_doubles_none() {
    let kinds = [
        Op::Write,
        Op::Sync,
        Op::SetLen,
        Op::Rename,
        Op::OpenAppend,
        Op::OpenRead,
    ];
    let more = [Op::Stat, Op::SyncDir, Op::List, Op::Remove];
    let mut fired = 0;
    for op in kinds.into_iter().chain(more) {
        for how in [How::Eio, How::Enospc, How::Short] {
            for forever in [false, true] {
                for at in 1..=12 {
                    let what = format!("{op:?} {how:?} from {at}, for ever: {forever}");
                    if !sweep_once(
                        Fault {
                            op,
                            at,
                            forever,
                            how,
                        },
                        &what,
                    ) {
                        break;
                    }
                    fired += 1;
                }
            }
        }
    }
    assert!(fired > 100, "only {fired} faults came to pass");
}

/// Whether the fault came to pass.
fn sweep_once(fault: Fault, what: &str) -> bool {
    let place = Place::new();
    let mut options = OPTIONS;
    // Two lines a segment, so that rotations are hit too.
    options.segment_bytes = 300;
    let engine = place.with_stream_of(options);
    let mut acked = acknowledged(&engine, 0..3);
    place.files.fail(fault);
    acked.extend(acknowledged(&engine, 3..9));
    let fired = place.files.fired() > 0;
    engine.close();
    place.files.heal();
    assert_whole(&place, &acked, what);
    fired
}

#[test]
fn l10_l09_real_full_disk_is_told_apart_from_a_broken_one() {
    // EFBIG and EROFS are no lack of room: nothing that is deleted would cure them.
    for (errno, full) in [
        (28, true),
        (122, true),
        (27, false),
        (30, false),
        (5, false),
    ] {
        let error = std::io::Error::from_raw_os_error(errno);
        assert_eq!(echopilot::seams::files::is_full(&error), full, "{errno}");
    }
    let files: Arc<dyn Files> = Arc::new(RealFiles);
    assert!(files.space(std::path::Path::new("/")).unwrap().total > 0);
}
