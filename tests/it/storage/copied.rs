//! Rule L11: no number is given twice, also where somebody has copied an old line of ours to the
//! end of the file, or old lines in place of it.

use echopilot::seams::files::RealFiles;
use echopilot::storage::anchors::Anchors;
use echopilot::storage::engine::{Engine, Mark, StreamOptions};
use echopilot::storage::{line, verify};

use super::support::{OPTIONS, Place, append, bytes_after, read};

/// Every number in the stream, copies too.
fn seqs(engine: &dyn Engine) -> Vec<u64> {
    let (all, _) = bytes_after(engine, &Mark::default()).unwrap();
    let lines = all.split(|byte| *byte == b'\n');
    lines
        .filter_map(|body| line::parse(body).map(|own| own.seq))
        .collect()
}

/// A stream of some segments, closed; the lines of the active one, which has at least three.
fn some_segments() -> (Place, Vec<Vec<u8>>) {
    let place = Place::new();
    let small = StreamOptions {
        segment_bytes: 1_000,
        ..OPTIONS
    };
    let engine = place.with_stream_of(small);
    for number in 0..12 {
        append(&engine, number).unwrap();
    }
    engine.close();
    drop(engine);
    assert!(!place.names("x.0").is_empty());
    let engine = place.with_stream();
    append(&engine, 12).unwrap();
    append(&engine, 13).unwrap();
    engine.close();
    drop(engine);
    let text = read(&place.active());
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let lines: Vec<_> = lines.map(<[u8]>::to_vec).collect();
    assert!(lines.len() >= 3);
    (place, lines)
}

/// With `text` in the active file, three starts give numbers that were never there.
fn goes_on_above(place: &Place, text: &[u8], mut highest: u64, what: &str) {
    std::fs::write(place.active(), text).unwrap();
    for round in 0..3 {
        let engine = place.with_stream();
        let position = append(&engine, 100 + round).unwrap();
        assert!(position.last > highest, "{what}: {} again", position.last);
        highest = position.last;
        let numbers = seqs(&engine);
        assert_eq!(numbers.last(), Some(&highest), "{what}: {numbers:?}");
        engine.close();
    }
}

/// Lines that `verify` names, and the last number.
fn told(place: &Place) -> (Vec<u64>, u64) {
    let none = Anchors::default();
    let told = verify::verify_stream(&RealFiles, &place.logs(), "x", &none).unwrap();
    let bad = told.bad.iter().map(|place| place.line).collect();
    (bad, told.last_seq)
}

#[test]
fn l11_copies_of_old_lines_at_the_end_take_no_number_back() {
    for (copies, what) in [
        (0..1, "the line that opens the segment"),
        (1..2, "a line"),
        (0..2, "two lines"),
    ] {
        let (place, mut lines) = some_segments();
        let highest = told(&place).1;
        let bad = lines.len() as u64 + 1;
        let wanted: Vec<u64> = (bad..bad + copies.len() as u64).collect();
        lines.extend_from_within(copies);
        goes_on_above(&place, &lines.concat(), highest, what);
        assert_eq!(told(&place).0, wanted, "{what}");
        assert!(told(&place).1 > highest + 3, "{what}");
    }
}

#[test]
fn l11_copies_instead_of_all_else_take_no_number_back() {
    let (place, _) = some_segments();
    let sealed = place.names("x.0").remove(0);
    let old = read(&place.logs().join(sealed));
    // The lines of the active file are gone: what is left are the sealed ones.
    std::fs::remove_file(place.active()).unwrap();
    let highest = told(&place).1;
    goes_on_above(&place, &old, highest, "a sealed segment in its place");
}
