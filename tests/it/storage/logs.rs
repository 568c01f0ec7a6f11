//! Rules L1–L5, L11, L12 and L17: what a log is, and what becomes of one whose end or middle is not
//! as it should be.

use echopilot::seams::files::RealFiles;
use echopilot::storage::anchors::Anchors;
use echopilot::storage::engine::{Engine, Mark};
use echopilot::storage::line;
use echopilot::storage::verify::verify_stream;

use super::support::{Place, append, appended, bytes_after, read, until};

fn three_lines() -> (Place, Vec<u8>) {
    let place = Place::new();
    let engine = place.with_stream();
    for number in 1..=3 {
        append(&engine, number).unwrap();
    }
    engine.close();
    let whole = read(&place.active());
    (place, whole)
}

#[test]
fn l11_l12_each_line_has_seq_ts_kind_and_a_chain_value_last() {
    let (_place, whole) = three_lines();
    let text = String::from_utf8(whole).unwrap();
    let mut previous = "0".repeat(16);
    for (at, line) in text.lines().enumerate() {
        let parsed: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(parsed["seq"], at as u64 + 1);
        let (covered, _) = line.rsplit_once(",\"h\":\"").unwrap();
        let digest = <sha2::Sha256 as sha2::Digest>::digest(format!("{previous}{covered}"));
        previous = echopilot::base::hex::of(&digest[..8]);
        assert_eq!(parsed["h"], *previous);
    }
}

#[test]
fn l03_torn_tail_is_set_aside_before_the_first_append() {
    let (_place, whole) = three_lines();
    let text = String::from_utf8(whole.clone()).unwrap();
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    for cut in 0..whole.len() {
        for zeros in [0, 512] {
            if zeros > 0 && cut % 7 > 0 {
                continue;
            }
            let place = Place::new();
            place.engine().close();
            let mut torn = whole[..cut].to_vec();
            torn.resize(cut + zeros, 0);
            std::fs::write(place.active(), &torn).unwrap();
            let engine = place.with_stream();
            let complete = ends.iter().filter(|end| **end <= cut).count();
            // A line that lacks nothing but its end is whole.
            let kept = complete + usize::from(zeros == 0 && ends.contains(&(cut + 1)));
            let at = append(&engine, 9).unwrap().last;
            assert_eq!(at, kept as u64 + 1, "cut at {cut} with {zeros} zeros");
            let mut expected: Vec<_> = (1..=kept as u64).map(|n| (n, n)).collect();
            expected.push((at, 9));
            assert_eq!(
                appended(&engine),
                expected,
                "cut at {cut} with {zeros} zeros"
            );
            let tail = &torn[ends[..complete].last().copied().unwrap_or(0)..];
            let aside = place.names("x.torn-");
            if kept > complete || tail.is_empty() {
                assert!(aside.is_empty(), "{aside:?}");
            } else {
                assert_eq!(read(&place.logs().join(&aside[0])), tail);
            }
            engine.close();
        }
    }
}

#[test]
fn l05_damage_in_the_middle_is_left_in_its_segment_and_lines_go_on_in_a_new_one() {
    for (name, damage) in [("flipped", b'~'), ("zero", 0)] {
        let (place, mut whole) = three_lines();
        let middle = whole.len() / 2;
        whole[middle] = damage;
        std::fs::write(place.active(), &whole).unwrap();
        let engine = place.with_stream();
        assert_eq!(engine.health("x").unwrap().damage, 1, "{name}");
        let sealed = place.names("x.0");
        assert_eq!(
            read(&place.logs().join(&sealed[0])),
            whole,
            "{name}: left as it is"
        );
        // Line 4 opens the new segment.
        assert_eq!(append(&engine, 5).unwrap().last, 5);
        let found = appended(&engine);
        assert!(
            found.contains(&(1, 1)) && found.contains(&(3, 3)),
            "{found:?}"
        );
        engine.close();
        let again = place.with_stream();
        assert_eq!(append(&again, 6).unwrap().last, 6);
        assert_eq!(place.names("x.0").len(), 1, "{name}: sealed once");
    }
}

#[test]
fn l12_foreign_lines_are_kept_counted_covered_and_never_glued_to_ours() {
    let place = Place::new();
    let engine = place.with_stream();
    append(&engine, 1).unwrap();
    let by_hand = |bytes: &[u8]| {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(place.active())
            .unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
    };
    by_hand(b"hello\n");
    append(&engine, 2).unwrap();
    by_hand(b"without an end");
    append(&engine, 3).unwrap();
    append(&engine, 4).unwrap();
    until("foreign lines are counted", || {
        engine.health("x").unwrap().foreign_lines == 2
    });
    let (all, _) = bytes_after(&engine, &Mark::default()).unwrap();
    let text = String::from_utf8(all).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[1], lines[3]), ("hello", "without an end"));
    assert_eq!(lines.len(), 6);
    engine.close();
    let engine = place.with_stream();
    assert_eq!(
        engine.health("x").unwrap().damage,
        0,
        "the chain covers them"
    );
    assert_eq!(append(&engine, 5).unwrap().last, 5);
}

#[test]
fn l17_readers_stop_at_the_last_end_of_line() {
    let (place, whole) = three_lines();
    let engine = place.engine();
    std::fs::write(place.active(), &whole[..whole.len() - 7]).unwrap();
    let mut last = 0;
    engine
        .scan("x", &Mark::default(), &mut |chunk| {
            assert!(chunk.bytes.ends_with(b"\n"));
            last = chunk.end.unwrap().seq;
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(last, 2);
    assert!(line::parse(b"{\"seq\":1}").is_none());
}

#[test]
fn l04_runs_of_zeros_are_skipped_counted_told_and_never_rewritten() {
    let (_place, whole) = three_lines();
    let text = String::from_utf8(whole.clone()).unwrap();
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    // Zeros over the second line, its end of line included or not, and between two lines.
    for (from, to, lost) in [
        (ends[0], ends[1] - 1, true),
        (ends[0], ends[1], true),
        (ends[0] + 5, ends[1] + 30, true),
        (ends[1], ends[1], false),
    ] {
        let place = Place::new();
        place.engine().close();
        let mut damaged = whole.clone();
        damaged[from..to].fill(0);
        if !lost {
            damaged.splice(from..to, [0; 300]);
        }
        // Once in the active segment, once in a sealed one.
        for sealed in [false, true] {
            let what = format!("zeros in {from}..{to}, sealed: {sealed}");
            let name = "x.00000000000000000001-00000000000000000003.ndjson";
            let path = if sealed {
                place.logs().join(name)
            } else {
                place.active()
            };
            drop(std::fs::remove_file(place.logs().join(name)));
            drop(std::fs::remove_file(place.active()));
            std::fs::write(&path, &damaged).unwrap();
            let report = verify_stream(&RealFiles, &place.logs(), "x", &Anchors::default());
            assert!(report.unwrap().bad_lines >= 1, "{what}: verify tells");
            let engine = place.with_stream();
            assert!(sealed || engine.health("x").unwrap().damage >= 1, "{what}");
            let at = append(&engine, 9).unwrap().last;
            let found = appended(&engine);
            assert!(
                found.contains(&(1, 1)) && found.contains(&(at, 9)),
                "{what}: {found:?}"
            );
            assert!(at > 3 || to > ends[1], "{what}: {at}");
            engine.close();
            assert_eq!(
                read(&place.logs().join(place.names("x.0").remove(0))),
                damaged,
                "{what}"
            );
        }
    }
}

#[test]
fn l05_l11_the_number_of_a_damaged_last_line_is_never_given_again() {
    let (_place, whole) = three_lines();
    let text = String::from_utf8(whole.clone()).unwrap();
    let last = text.trim_end().rfind('\n').unwrap() + 1;
    for sealed in [false, true] {
        let place = Place::new();
        place.engine().close();
        let mut damaged = whole.clone();
        damaged[last + 2] ^= 1;
        let name = "x.00000000000000000001-00000000000000000003.ndjson";
        let path = if sealed {
            place.logs().join(name)
        } else {
            place.active()
        };
        std::fs::write(path, &damaged).unwrap();
        let engine = place.with_stream();
        // Line 4 opens the new segment.
        assert_eq!(append(&engine, 5).unwrap().last, 5, "sealed: {sealed}");
        engine.close();
        let report = verify_stream(&RealFiles, &place.logs(), "x", &Anchors::default()).unwrap();
        let told: Vec<_> = report.bad.iter().map(|bad| (bad.line, bad.seq)).collect();
        assert_eq!(told, [(3, 3)], "sealed: {sealed}: {report:?}");
    }
}
