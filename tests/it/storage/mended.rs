//! Rules L2, L7, L12, L15: two troubles at once. A failed sync on a medium that lets no segment be
//! begun, and people who write while calls fail.

use std::time::Duration;

use echopilot::seams::files::{Fault, How, Op, RealFiles};
use echopilot::storage::anchors::Anchors;
use echopilot::storage::engine::{Durability, Engine, Expect, Mark, Position, StorageError};
use echopilot::storage::files::FilesEngine;
use echopilot::storage::verify;

use super::meddling::Meddler;
use super::support::{Place, append, appended, bytes_after, numbered, read, until, wait};

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

/// The lines are these, now and when they are read anew, and nothing is wrong with the chain.
#[track_caller]
fn assert_whole(place: &Place, engine: FilesEngine, expected: &[u64], what: &str) {
    assert_eq!(numbers(&engine), expected, "{what}");
    engine.close();
    drop(engine);
    let none = Anchors::default();
    let report = verify::verify_stream(&RealFiles, &place.logs(), "x", &none).unwrap();
    assert_eq!(report.bad, Vec::new(), "{what}");
    let again = place.with_stream();
    assert_eq!(numbers(&again), expected, "{what}");
    assert_eq!(again.health("x").unwrap().damage, 0, "{what}");
    again.close();
}

fn write_by_hand(place: &Place, words: &[u8]) {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.append(true).open(place.active()).unwrap();
    std::io::Write::write_all(&mut file, words).unwrap();
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

#[test]
fn l12_a_batch_taken_back_from_behind_a_persons_words_is_written_again_whatever_fails() {
    for op in [Op::Write, Op::Stat, Op::SetLen, Op::OpenRead] {
        for words in [&b"by hand\n"[..], b"by ha"] {
            let (meddler, place) = Meddler::place();
            let engine = place.with_stream();
            append(&engine, 1).unwrap();
            append_soon(&engine, 2).unwrap();
            meddler.write(words, 1, Some(once(op)));
            let what = format!("{op:?} after {words:?}");
            append(&engine, 3).expect(&what);
            assert!(meddler.is_done());
            assert_eq!(place.files.fired(), 1, "{what}");
            append(&engine, 4).expect(&what);
            assert_whole(&place, engine, &[1, 2, 3, 4], &what);
        }
    }
}

#[test]
fn l12_a_batch_taken_back_is_refused_when_no_file_takes_it() {
    let (meddler, place) = Meddler::place();
    let engine = place.with_stream();
    append(&engine, 1).unwrap();
    append_soon(&engine, 2).unwrap();
    let fault = Fault {
        forever: true,
        ..once(Op::Write)
    };
    meddler.write(b"by hand\n", 1, Some(fault));
    append(&engine, 3).unwrap_err();
    place.files.heal();
    until("lines are accepted", || append(&engine, 4).is_ok());
    assert_whole(&place, engine, &[1, 2, 4], "refused");
}

#[test]
fn l12_a_batch_without_lines_behind_an_unfinished_one_leaves_the_chain_alone() {
    for words in [&b"unfinished"[..], b"finished\n"] {
        for sync_fails in [false, true] {
            let place = Place::new();
            let engine = place.with_stream();
            append(&engine, 1).unwrap();
            write_by_hand(&place, words);
            let nothing = echopilot::storage::lines::Lines::new();
            wait(engine.append("x", Expect::Any, None, nothing, None)).unwrap();
            if sync_fails {
                place.files.fail(once(Op::Sync));
            }
            append(&engine, 2).unwrap();
            let what = format!("{words:?}, the sync fails: {sync_fails}");
            assert_whole(&place, engine, &[1, 2], &what);
        }
    }
}

#[test]
fn l12_a_file_that_cannot_be_left_to_others_is_not_taken_for_a_new_one() {
    let (meddler, place) = Meddler::place();
    let engine = place.with_stream();
    append(&engine, 1).unwrap();
    meddler.write(b"unfinished", 10, Some(once(Op::Rename)));
    append(&engine, 2).unwrap_err();
    assert_eq!(place.files.fired(), 1);
    until("lines are accepted", || append(&engine, 3).is_ok());
    assert_whole(&place, engine, &[1, 3], "left to others in vain");
}

#[test]
fn l12_words_of_others_that_cannot_be_read_to_their_end_are_read_again() {
    let (meddler, place) = Meddler::place();
    let engine = place.with_stream();
    append(&engine, 1).unwrap();
    meddler.fail_read(1);
    write_by_hand(&place, &b"by hand\n".repeat(400_000));
    until("lines are accepted", || append(&engine, 2).is_ok());
    assert!(meddler.is_done());
    assert_whole(&place, engine, &[1, 2], "read again");
}

/// A file cut to nothing or to its first line, and one saved over it with a remark or an unfinished
/// one added. Also whether that costs lines.
const REPLACED: [(&str, bool); 4] = [
    ("cut", true),
    ("first", true),
    ("remark\n", false),
    ("unfinished", false),
];

#[test]
fn l07_l15_a_file_put_in_place_of_ours_is_set_aside_when_it_cannot_be_synced() {
    for (deed, loses) in REPLACED {
        for op in [Op::Write, Op::Sync] {
            for forever in [false, true] {
                let what = format!("{deed:?}, {op:?}, for ever: {forever}");
                let place = Place::new();
                let engine = place.with_stream();
                append(&engine, 1).unwrap();
                append(&engine, 2).unwrap();
                place.files.fail(Fault {
                    forever,
                    ..once(op)
                });
                replace_by_hand(&place, deed);
                if forever {
                    until("it is noticed", || append(&engine, 3).is_err());
                    place.files.heal();
                }
                until("lines are accepted", || append(&engine, 3).is_ok());
                let all = bytes_after(&engine, &Mark::default()).unwrap().0;
                let text = String::from_utf8_lossy(&all).into_owned();
                let told = text.matches("\"log.truncated\"").count();
                assert_eq!(told, usize::from(loses), "{what}: {text}");
                let expected: &[u64] = match deed {
                    "cut" => &[3],
                    "first" => &[1, 3],
                    _ => &[1, 2, 3],
                };
                assert_whole(&place, engine, expected, &what);
                let aside = place.names("x.0");
                let suspect = aside.iter().any(|name| name.contains("suspect"));
                assert!(suspect || op == Op::Write, "{what}: {aside:?}");
            }
        }
    }
}

fn replace_by_hand(place: &Place, deed: &str) {
    let mut text = read(&place.active());
    match deed {
        "cut" => text.clear(),
        "first" => text.truncate(text.iter().position(|byte| *byte == b'\n').unwrap() + 1),
        remark => text.extend_from_slice(remark.as_bytes()),
    }
    let edited = place.logs().join("edited");
    std::fs::write(&edited, text).unwrap();
    if deed == "cut" || deed == "first" {
        std::fs::copy(&edited, place.active()).unwrap();
        std::fs::remove_file(&edited).unwrap();
    } else {
        std::fs::rename(&edited, place.active()).unwrap();
    }
}

#[test]
fn l07_l12_words_of_others_found_at_the_start_follow_when_the_first_write_fails() {
    for words in [&b"by hand\n"[..], b"{\"unfinished\":1}"] {
        let place = Place::new();
        let engine = place.with_stream();
        append(&engine, 1).unwrap();
        engine.close();
        drop(engine);
        write_by_hand(&place, words);
        let engine = place.with_stream();
        place.files.fail(once(Op::Write));
        append(&engine, 2).unwrap();
        assert_whole(&place, engine, &[1, 2], &format!("{words:?}"));
    }
}
