//! Packed segments: what they hold, that any zstd program reads them, that they can be entered
//! anywhere, and that packing and removing lose nothing whatever fails.

use std::ops::ControlFlow;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use echopilot::seams::clock::{Clock, ManualClock, SystemClock};
use echopilot::seams::files::{Fault, Files, How, Op, RealFiles, Space};
use echopilot::storage::anchors::Anchors;
use echopilot::storage::backup;
use echopilot::storage::engine::{Engine, Expect, Mark, StreamOptions};
use echopilot::storage::files::FilesEngine;
use echopilot::storage::lines::Lines;
use echopilot::storage::tidying::{Tidied, TidyPlan};
use echopilot::storage::verify;

use super::support::{OPTIONS, Place, append, appended, bytes_after, read, wait};

/// A segment with more than two frames of text.
pub fn large() -> StreamOptions {
    StreamOptions {
        segment_bytes: 600_000,
        ..OPTIONS
    }
}

pub fn small() -> StreamOptions {
    StreamOptions {
        segment_bytes: 2_000,
        ..OPTIONS
    }
}

/// Appends `count` lines, none of which packs to nothing, in groups.
pub fn fill(engine: &dyn Engine, count: u64, now: DateTime<Utc>) {
    let mut number = 0;
    while number < count {
        let mut lines = Lines::new();
        for _ in 0..100.min(count - number) {
            lines.push("thing.happened", now, |out| {
                let noise = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                let text = format!("\"n\":{number},\"noise\":\"{noise:016x}{:016x}\"", !noise);
                out.extend_from_slice(text.as_bytes());
            });
            number += 1;
        }
        wait(engine.append("x", Expect::Any, None, lines, None)).unwrap();
    }
}

/// Packs everything that is sealed.
pub fn at_once() -> TidyPlan {
    TidyPlan {
        now: SystemClock::new().now(),
        pack_after: Some(Duration::ZERO),
        ..TidyPlan::default()
    }
}

pub fn tidy(engine: &dyn Engine, plan: &TidyPlan) -> Tidied {
    engine.tidy(plan, &|| false).unwrap()
}

pub fn text_of(engine: &dyn Engine) -> Vec<u8> {
    bytes_after(engine, &Mark::default()).unwrap().0
}

pub fn verified(place: &Place) -> verify::StreamReport {
    let reports = verify::verify(&RealFiles, &place.logs(), &Anchors::default()).unwrap();
    reports.into_iter().find(|one| one.stream == "x").unwrap()
}

fn full(place: &Place) -> (FilesEngine, Vec<u8>) {
    let engine = place.with_stream_of(large());
    fill(&engine, 12_000, SystemClock::new().now());
    let text = text_of(&engine);
    (engine, text)
}

#[test]
fn a_packed_segment_is_what_it_was_for_us_and_for_every_zstd_program() {
    let place = Place::new();
    let (engine, text) = full(&place);
    let sealed = place.names("x.0");
    let plain: Vec<_> = sealed
        .iter()
        .map(|name| read(&place.logs().join(name)))
        .collect();
    assert!(sealed.len() >= 2 && plain[0].len() > 500_000, "{sealed:?}");
    let done = tidy(&engine, &at_once());
    assert_eq!(done.packed, sealed.len() as u64, "{done:?}");
    assert_eq!(done.left, Vec::<String>::new());
    assert!(
        done.packed_to_bytes * 2 < done.packed_from_bytes,
        "{done:?}"
    );
    let packed = place.names("x.0");
    let expected: Vec<_> = sealed.iter().map(|name| format!("{name}.zst")).collect();
    assert_eq!(packed, expected);
    for (name, plain) in packed.iter().zip(&plain) {
        let path = place.logs().join(name);
        for program in [&["zstdcat"][..], &["zstd", "-dc"]] {
            let ran = Command::new(program[0])
                .args(&program[1..])
                .arg(&path)
                .output()
                .unwrap();
            assert!(ran.status.success(), "{ran:?}");
            assert!(
                ran.stdout == *plain,
                "{program:?} gives another text of `{name}`"
            );
        }
        let tested = Command::new("zstd")
            .args(["-t", "-q"])
            .arg(&path)
            .status()
            .unwrap();
        assert!(tested.success());
    }
    assert!(text_of(&engine) == text, "the text is the same");
    let report = verified(&place);
    assert_eq!((report.bad, report.lines), (Vec::new(), report.last_seq));
    engine.close();
    let again = place.with_stream_of(large());
    assert!(text_of(&again) == text, "after a restart too");
    append(&again, 7).unwrap();
    assert_eq!(verified(&place).bad, Vec::new());
    again.close();
}

#[test]
fn a_scan_goes_on_from_every_mark_in_a_packed_segment() {
    let place = Place::new();
    let (engine, text) = full(&place);
    let mut marks = Vec::new();
    tidy(&engine, &at_once());
    engine
        .scan("x", &Mark::default(), &mut |chunk| {
            marks.push(chunk.end.unwrap());
            ControlFlow::Continue(())
        })
        .unwrap();
    // Chunks are large: marks inside of them are found as views find theirs.
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let first = place.names("x.0")[0].clone();
    let last: u64 = first.split(['-', '.']).nth(2).unwrap().parse().unwrap();
    let mut offset = 0;
    for (index, line) in lines
        .iter()
        .enumerate()
        .take(usize::try_from(last).unwrap())
    {
        offset += line.len() as u64;
        if index % 97 == 0 {
            let own = echopilot::storage::line::parse(&line[..line.len() - 1]).unwrap();
            marks.push(Mark {
                seq: own.seq,
                h: own.h,
                segment: 1,
                offset,
            });
        }
    }
    for mark in marks {
        let (rest, end) = bytes_after(&engine, &mark).unwrap();
        let wanted = lines[usize::try_from(mark.seq).unwrap()..].concat();
        assert!(rest == wanted, "from {mark:?}");
        assert_eq!(end.seq, lines.len() as u64);
    }
    engine.close();
}

#[test]
fn what_zstd_itself_packed_is_read_as_before_and_left_alone() {
    let place = Place::new();
    let (engine, text) = full(&place);
    for name in place.names("x.0") {
        let path = place.logs().join(&name);
        let ran = Command::new("zstd")
            .args(["-q", "--rm"])
            .arg(&path)
            .status()
            .unwrap();
        assert!(ran.success());
    }
    assert!(text_of(&engine) == text);
    assert_eq!(verified(&place).bad, Vec::new());
    let done = tidy(&engine, &at_once());
    assert_eq!((done.packed, done.mended), (0, 0), "{done:?}");
    assert!(text_of(&engine) == text);
    engine.close();
}

#[test]
fn young_segments_stay_plain_and_a_dry_run_changes_nothing() {
    let place = Place::new();
    let engine = place.with_stream_of(small());
    fill(&engine, 1_000, SystemClock::new().now());
    let before = place.names("x");
    let week = TidyPlan {
        pack_after: Some(Duration::from_hours(7 * 24)),
        ..at_once()
    };
    assert_eq!(tidy(&engine, &week), Tidied::default());
    assert_eq!(
        tidy(
            &engine,
            &TidyPlan {
                pack_after: None,
                ..at_once()
            }
        ),
        Tidied::default()
    );
    let dry = tidy(
        &engine,
        &TidyPlan {
            is_dry_run: true,
            ..at_once()
        },
    );
    assert_eq!(dry.packed, before.len() as u64 - 1);
    assert_eq!(place.names("x"), before);
    let in_a_week = TidyPlan {
        now: week.now + TimeDelta::days(8),
        ..week
    };
    assert_eq!(tidy(&engine, &in_a_week).packed, before.len() as u64 - 1);
    engine.close();
}

#[test]
fn on_a_filling_disk_what_may_be_packed_is_packed_at_once_and_a_full_one_is_left_alone() {
    let place = Place::new();
    let engine = place.with_stream_of(small());
    fill(&engine, 1_000, SystemClock::new().now());
    let week = TidyPlan {
        pack_after: Some(Duration::from_hours(7 * 24)),
        ..at_once()
    };
    let gib = 1 << 30;
    place.files.set_space(Some(Space {
        total: 100 * gib,
        available: 2 * gib,
    }));
    let done = tidy(&engine, &week);
    assert_eq!(done.packed, 0, "no room to write another byte");
    assert!(
        done.left.iter().all(|why| why.contains("too little room")),
        "{done:?}"
    );
    place.files.set_space(Some(Space {
        total: 100 * gib,
        available: 5 * gib,
    }));
    assert_eq!(
        tidy(
            &engine,
            &TidyPlan {
                pack_after: None,
                ..week.clone()
            }
        )
        .packed,
        0
    );
    assert!(tidy(&engine, &week).packed > 5);
    place.files.set_space(None);
    engine.close();
}

#[test]
fn a_damaged_segment_is_not_packed() {
    let place = Place::new();
    let engine = place.with_stream_of(small());
    fill(&engine, 1_000, SystemClock::new().now());
    let name = place.names("x.0")[1].clone();
    let path = place.logs().join(&name);
    let mut bytes = read(&path);
    bytes[400] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let done = tidy(&engine, &at_once());
    assert_eq!(done.left.len(), 1, "{done:?}");
    assert!(
        done.left[0].contains(&name) && done.left[0].contains("damaged"),
        "{done:?}"
    );
    assert!(place.names("x.0").contains(&name));
    assert_eq!(place.names(".packing"), Vec::<String>::new());
    engine.close();
}

/// Runs `pass` with the `k`-th call of each kind failing, once and for ever, until none is left to
/// fail; `check` looks at what is there with the faults gone.
fn with_every_fault(
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
            assert!(fired > 0 || how == How::Short, "{op:?} is never called");
        }
    }
}

/// A few sealed segments of a stream whose writer stands still.
fn three_segments() -> (Place, FilesEngine) {
    let place = Place::new();
    let long_ago = SystemClock::new().now() - TimeDelta::days(30);
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(long_ago));
    let engine = place.engine_by(clock);
    engine.open("x", small()).unwrap();
    for _ in 0..4 {
        fill(&engine, 30, long_ago);
    }
    (place, engine)
}

#[test]
fn packing_loses_nothing_whichever_call_fails() {
    let wanted = {
        let (_place, engine) = three_segments();
        appended(&engine)
    };
    with_every_fault(
        three_segments,
        |engine| drop(engine.tidy(&at_once(), &|| false)),
        |place, engine, what| {
            assert_eq!(appended(engine), wanted, "{what}");
            assert_eq!(verified(place).bad, Vec::new(), "{what}");
            let done = tidy(engine, &at_once());
            assert_eq!(done.left, Vec::<String>::new(), "{what}");
            let plain = |name: &String| !name.ends_with(".zst");
            assert!(
                !place.names("x.0").iter().any(plain),
                "{what}: {:?}",
                place.names("")
            );
            assert_eq!(place.names(".packing"), Vec::<String>::new(), "{what}");
            assert_eq!(appended(engine), wanted, "{what}");
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
        three_segments,
        |engine| drop(engine.tidy(&removal(SystemClock::new().now()), &|| false)),
        |place, engine, what| {
            let left = appended(engine);
            let first = left.first().map_or(0, |(seq, _)| *seq);
            let in_row = left.windows(2).all(|two| two[0].0 < two[1].0);
            assert!(in_row, "{what}");
            let report = verified(place);
            assert_eq!(report.bad, Vec::new(), "{what}");
            assert!(report.begins_at <= first, "{what}");
            tidy(engine, &removal(SystemClock::new().now()));
            assert_eq!(place.names("x.0"), Vec::<String>::new(), "{what}");
            let report = verified(place);
            assert_eq!(report.bad, Vec::new(), "{what}");
            assert!(report.begins_at > 1, "{what}");
        },
    );
}

#[test]
fn a_journal_without_its_beginning_goes_on_and_verify_says_since_when() {
    let (place, engine) = three_segments();
    let all = appended(&engine);
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
    assert_eq!(dry.removed, 1, "the rest follows once the first is gone");
    assert_eq!(place.names("x.0").len() as u64, sealed);
    let done = tidy(&engine, &removal(now));
    assert_eq!(done.removed, sealed, "{done:?}");
    assert!(done.won_bytes() > 1_000);
    let report = verified(&place);
    assert_eq!(report.bad, Vec::new());
    assert!(report.begins_at > 50, "{report:?}");
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
    let left = appended(&again);
    assert_eq!(
        left.last().unwrap().0,
        all.last().unwrap().0 + 2,
        "numbers go on"
    );
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
    let (place, engine) = three_segments();
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
    let (place, engine) = three_segments();
    engine.close();
    let names = place.names("x.0");
    RealFiles.remove(&place.logs().join(&names[1])).unwrap();
    assert!(!verified(&place).bad.is_empty());
}

#[test]
fn scans_that_began_before_go_on_while_their_files_are_packed() {
    let place = Place::new();
    let (engine, text) = full(&place);
    let mut seen = Vec::new();
    let mut packed = false;
    engine
        .scan("x", &Mark::default(), &mut |chunk| {
            if !std::mem::replace(&mut packed, true) {
                assert!(tidy(&engine, &at_once()).packed > 0);
            }
            seen.extend_from_slice(chunk.bytes);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(seen == text);
    engine.close();
}
