//! Rules L12, L14–L16: segments that follow one another, and files that a person moves, cuts,
//! deletes or replaces while they are written.

use std::time::Duration;

use chrono::TimeZone;
use echopilot::seams::clock::ManualClock;
use echopilot::seams::files::{Files, RealFiles};
use echopilot::storage::anchors::Anchors;
use echopilot::storage::engine::{Engine, Mark, StorageError, StreamOptions};
use echopilot::storage::verify;

use super::support::{self, OPTIONS, Place, append, appended, bytes_after, read, until};

fn small() -> StreamOptions {
    StreamOptions {
        segment_bytes: 1_000,
        ..OPTIONS
    }
}

fn numbers(engine: &dyn Engine) -> Vec<u64> {
    appended(engine)
        .into_iter()
        .map(|(_, number)| number)
        .collect()
}

fn verified(place: &Place) -> verify::StreamReport {
    verify::verify_stream(&RealFiles, &place.logs(), "x", &Anchors::default()).unwrap()
}

#[test]
fn l14_segments_are_sealed_by_size_and_the_chain_goes_on_through_them() {
    let place = Place::new();
    let engine = place.with_stream_of(small());
    for number in 0..100 {
        append(&engine, number).unwrap();
    }
    assert_eq!(numbers(&engine), (0..100).collect::<Vec<_>>());
    let sealed = place.names("x.0");
    assert!(sealed.len() > 5, "{sealed:?}");
    let head = read(&place.active());
    let head: serde_json::Value =
        serde_json::from_slice(head.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!(head["kind"], "segment.opened");
    assert_eq!(head["previous"], **sealed.last().unwrap());
    assert_eq!(
        head["prev_seq"].as_u64().unwrap() + 1,
        head["seq"].as_u64().unwrap()
    );
    assert_eq!(head["boot"].as_str().unwrap().len(), 36);
    let report = verified(&place);
    assert_eq!(report.bad, Vec::new());
    assert_eq!(report.segments, sealed.len() as u64 + 1);
    assert_eq!(report.lines, report.last_seq);
    engine.close();
    let again = place.with_stream_of(small());
    append(&again, 100).unwrap();
    assert_eq!(numbers(&again).len(), 101);
}

#[test]
fn l14_a_segment_is_sealed_by_age_but_never_an_empty_one() {
    let place = Place::new();
    let noon = chrono::Utc
        .with_ymd_and_hms(2026, 11, 21, 12, 0, 0)
        .unwrap();
    let clock = std::sync::Arc::new(ManualClock::at(noon));
    let engine = place.engine_by(clock.clone());
    engine.open("x", OPTIONS).unwrap();
    append(&engine, 1).unwrap();
    clock.advance(Duration::from_hours(25));
    until("the segment is sealed", || place.names("x.0").len() == 1);
    clock.advance(Duration::from_hours(25));
    append(&engine, 2).unwrap();
    assert_eq!(place.names("x.0").len(), 1);
    engine.close();
}

#[test]
fn marks_hold_across_rotation_and_compression_of_sealed_segments() {
    let place = Place::new();
    let engine = place.with_stream_of(small());
    append(&engine, 0).unwrap();
    append(&engine, 1).unwrap();
    let (_, mark) = bytes_after(&engine, &Mark::default()).unwrap();
    for number in 2..40 {
        append(&engine, number).unwrap();
    }
    let (rest, _) = bytes_after(&engine, &mark).unwrap();
    for name in place.names("x.0") {
        let path = place.logs().join(&name);
        let packed = zstd::encode_all(&*read(&path), 3).unwrap();
        std::fs::write(place.logs().join(format!("{name}.zst")), packed).unwrap();
        std::fs::remove_file(path).unwrap();
    }
    assert_eq!(bytes_after(&engine, &mark).unwrap().0, rest);
    assert_eq!(numbers(&engine), (0..40).collect::<Vec<_>>());
    assert_eq!(verified(&place).bad, Vec::new());
    engine.close();
    let again = place.with_stream_of(small());
    append(&again, 40).unwrap();
    assert_eq!(numbers(&again).len(), 41);
}

#[test]
fn a_scan_may_run_while_lines_are_appended_and_segments_sealed() {
    let place = Place::new();
    let engine = place.with_stream_of(small());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..300 {
                append(&engine, number).unwrap();
            }
        });
        let mut seen = 0;
        while seen < 300 {
            let found = numbers(&engine);
            assert_eq!(found, (0..found.len() as u64).collect::<Vec<_>>());
            assert!(found.len() >= seen);
            seen = found.len();
        }
    });
}

#[test]
fn l15_a_moved_or_deleted_file_is_noticed_and_a_new_one_goes_on() {
    for delete in [false, true] {
        let place = Place::new();
        let engine = place.with_stream();
        append(&engine, 1).unwrap();
        if delete {
            std::fs::remove_file(place.active()).unwrap();
        } else {
            std::fs::rename(place.active(), place.logs().join("mine")).unwrap();
        }
        // Line 2 opens the new file.
        assert_eq!(append(&engine, 3).unwrap().last, 3);
        assert_eq!(numbers(&engine), vec![3]);
        assert_eq!(verified(&place).bad, Vec::new());
        engine.close();
        let again = place.with_stream();
        assert_eq!(append(&again, 4).unwrap().last, 4);
    }
}

#[test]
fn l15_an_idle_stream_notices_within_a_second_or_two() {
    let place = Place::new();
    let engine = place.with_stream();
    append(&engine, 1).unwrap();
    std::fs::remove_file(place.active()).unwrap();
    until("the file is back", || place.active().exists());
    engine.close();
}

#[test]
fn l15_l16_a_cut_file_is_told_of_and_never_gets_a_hole() {
    for keep in [0, 40] {
        let place = Place::new();
        let engine = place.with_stream();
        for number in 1..=3 {
            append(&engine, number).unwrap();
        }
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(place.active())
            .unwrap();
        file.set_len(keep).unwrap();
        assert_eq!(
            append(&engine, 5).unwrap().last,
            5,
            "seq is never used again"
        );
        let text = String::from_utf8(read(&place.active())).unwrap();
        assert!(!text.contains('\0'));
        assert!(
            text.contains("\"kind\":\"log.truncated\",\"prev_seq\":3"),
            "{text}"
        );
        assert_eq!(numbers(&engine), vec![5]);
        engine.close();
        let again = place.with_stream();
        assert_eq!(again.health("x").unwrap().damage, 0);
        assert_eq!(append(&again, 6).unwrap().last, 6);
        assert_eq!(verified(&place).bad, Vec::new());
    }
}

#[test]
fn l15_a_file_saved_by_an_editor_is_taken_as_it_is_now() {
    let place = Place::new();
    let engine = place.with_stream();
    append(&engine, 1).unwrap();
    append(&engine, 2).unwrap();
    let mut text = read(&place.active());
    text.extend_from_slice(b"a remark\n");
    std::fs::write(place.logs().join("edited"), text).unwrap();
    std::fs::rename(place.logs().join("edited"), place.active()).unwrap();
    assert_eq!(append(&engine, 3).unwrap().last, 3);
    assert_eq!(numbers(&engine), vec![1, 2, 3]);
    assert_eq!(verified(&place).bad, Vec::new());
    assert_eq!(engine.health("x").unwrap().foreign_lines, 1);
    engine.close();
}

#[test]
fn l12_verify_finds_each_flipped_byte_at_one_line() {
    let place = Place::new();
    let engine = place.with_stream_of(small());
    for number in 0..30 {
        append(&engine, number).unwrap();
    }
    engine.close();
    let name = place.names("x.0").remove(1);
    let path = place.logs().join(name);
    let whole = read(&path);
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&path, &flipped).unwrap();
        let report = verified(&place);
        assert!(
            report.bad_lines >= 1,
            "byte {at} of {:?}",
            whole[at] as char
        );
        let line = whole[..at].split(|byte| *byte == b'\n').count() as u64;
        let told = report.first_bad().unwrap().line;
        // A lost end of line glues two lines together, which is then found at the one after them.
        let glued = u64::from(whole[at] == b'\n' && at + 1 < whole.len());
        assert!(
            told.abs_diff(line) <= glued,
            "byte {at} of {}: line {line}, told {told}: {report:?}",
            whole.len()
        );
        assert!(report.bad_lines <= 2, "byte {at}: {:?}", report.bad);
    }
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(verified(&place).bad, Vec::new());
}

#[test]
fn a_stream_that_does_not_exist_is_told_apart_from_an_empty_one() {
    let place = Place::new();
    let engine = place.with_stream();
    assert_eq!(bytes_after(&engine, &Mark::default()).unwrap().0, b"");
    let mut sink = |_: echopilot::storage::engine::Chunk<'_>| std::ops::ControlFlow::Continue(());
    let absent = engine.scan("y", &Mark::default(), &mut sink);
    assert!(
        matches!(absent, Err(StorageError::NoStream { .. })),
        "{absent:?}"
    );
    assert_eq!(support::own_numbers(b""), Vec::new());
}

#[test]
fn l12_appending_by_hand_at_any_moment_breaks_neither_chain_nor_lines() {
    let place = Place::new();
    let engine = place.with_stream();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..1_000 {
                let mut file = std::fs::OpenOptions::new()
                    .append(true)
                    .open(place.active())
                    .unwrap();
                std::io::Write::write_all(&mut file, b"by hand\n").unwrap();
                std::thread::park_timeout(Duration::from_micros(100));
            }
        });
        for number in 0..300 {
            append(&engine, number).unwrap();
        }
    });
    assert_eq!(numbers(&engine), (0..300).collect::<Vec<_>>());
    engine.close();
    let report = verified(&place);
    assert_eq!(report.bad, Vec::new());
    assert_eq!(report.lines, 300);
    assert!(report.foreign > 0);
}

#[test]
fn l12_somebody_who_appends_without_pause_gets_the_file_and_ours_go_on_in_another() {
    let place = Place::new();
    let engine = place.with_stream();
    append(&engine, 1).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = std::fs::OpenOptions::new()
                .append(true)
                .open(place.active())
                .unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                std::io::Write::write_all(&mut file, b"never a pause\n").unwrap();
            }
        });
        for number in 0..20 {
            append(&engine, 100 + number).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let found: Vec<u64> = numbers(&engine);
    assert_eq!(found, [1].into_iter().chain(100..120).collect::<Vec<_>>());
    engine.close();
    assert_eq!(verified(&place).bad, Vec::new());
}

#[test]
fn l15_an_edit_in_place_of_the_same_size_is_noticed_and_told() {
    let place = Place::new();
    let engine = place.with_stream();
    append(&engine, 1).unwrap();
    append(&engine, 2).unwrap();
    until("the file has come to rest", || {
        let mtime = RealFiles.stat(&place.active()).unwrap().mtime_ns;
        let now = i128::from(chrono::Utc::now().timestamp_nanos_opt().unwrap());
        // Twice a tick of the slowest kernel clock.
        now - mtime > 20_000_000
    });
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(place.active())
        .unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"9", 40).unwrap();
    until("it is noticed", || engine.health("x").unwrap().damage == 1);
    append(&engine, 3).unwrap();
    assert_eq!(engine.health("x").unwrap().damage, 1, "told once");
    engine.close();
    assert_eq!(verified(&place).first_bad().map(|bad| bad.line), Some(1));
}
