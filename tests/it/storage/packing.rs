//! Packed segments: what they hold, that any zstd program reads them, that they can be entered
//! anywhere, and that packing and removing lose nothing whatever fails.

use std::ops::ControlFlow;
use std::process::Command;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use echopilot::seams::clock::{Clock, SystemClock};
use echopilot::seams::files::{RealFiles, Space};
use echopilot::storage::anchors::Anchors;
use echopilot::storage::engine::{Engine, Expect, Mark, StreamOptions};
use echopilot::storage::files::FilesEngine;
use echopilot::storage::lines::Lines;
use echopilot::storage::tidying::{Tidied, TidyPlan};
use echopilot::storage::verify;

use super::support::{OPTIONS, Place, append, bytes_after, read, wait};

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
