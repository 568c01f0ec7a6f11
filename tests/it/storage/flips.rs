//! Bits that flip in sealed segments: each one is found by `verify`, and costs one line at most; in
//! a packed segment it costs none.

use std::collections::BTreeSet;
use std::path::Path;

use echopilot::seams::clock::{Clock, SystemClock};
use echopilot::seams::files::{Files, RealFiles};
use echopilot::storage::engine::{Engine, Expect};
use echopilot::storage::files::FilesEngine;
use echopilot::storage::lines::Lines;

use super::packing::{at_once, fill, large, small, text_of, tidy, verified};
use super::support::{Place, read, wait};

/// Flips in one run; `SLOW=1` makes it the release figure.
fn flips() -> u64 {
    if std::env::var_os("SLOW").is_some() {
        10_000
    } else {
        1_000
    }
}

/// A few sealed segments whose lines hold bytes that a flip turns into an end of line.
fn lived(is_packed: bool) -> (Place, FilesEngine) {
    let place = Place::new();
    let engine = place.with_stream_of(small());
    for number in 0..120 {
        let mut lines = Lines::new();
        lines.push("thing.happened", SystemClock::new().now(), |out| {
            let text = format!(
                "\"n\":{number},\"odd\":\"J*J\",\"noise\":\"{:x}\"",
                number * 7919
            );
            out.extend_from_slice(text.as_bytes());
        });
        wait(engine.append("x", Expect::Any, None, lines, None)).unwrap();
    }
    if is_packed {
        assert!(tidy(&engine, &at_once()).packed > 3);
    }
    (place, engine)
}

fn lines_of(text: &[u8]) -> BTreeSet<Vec<u8>> {
    text.split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

fn flip(path: &Path, byte: usize, bit: u32) {
    let mut bytes = read(path);
    bytes[byte] ^= 1 << bit;
    std::fs::write(path, bytes).unwrap();
}

/// The place and the line in which a byte of a plain segment lies.
fn line_at(bytes: &[u8], byte: usize) -> u64 {
    1 + memchr::memchr_iter(b'\n', &bytes[..byte]).count() as u64
}

struct World {
    place: Place,
    engine: FilesEngine,
    wanted: BTreeSet<Vec<u8>>,
    files: Vec<String>,
    is_packed: bool,
}

impl World {
    fn new(is_packed: bool) -> Self {
        let (place, engine) = lived(is_packed);
        let wanted = lines_of(&text_of(&engine));
        assert_eq!(verified(&place).bad, Vec::new());
        let files = place.names("x.0");
        Self {
            place,
            engine,
            wanted,
            files,
            is_packed,
        }
    }

    /// One bit is turned, looked at and turned back; gives how many lines it cost.
    fn costs(&self, file: &str, byte: usize, bit: u32) -> usize {
        let what = format!("`{file}`, byte {byte}, bit {bit}");
        let path = self.place.logs().join(file);
        let before = read(&path);
        flip(&path, byte, bit);
        let report = verified(&self.place);
        let named = report.bad.iter().find(|bad| bad.file == file);
        let bad = named.unwrap_or_else(|| panic!("{what}: not found, {:?}", report.bad));
        if !self.is_packed {
            let line = line_at(&before, byte);
            assert!(
                (line..=line + 1).contains(&bad.line),
                "{what} in line {line}: {bad:?}"
            );
        }
        let seen = lines_of(&text_of(&self.engine));
        let lost = self.wanted.difference(&seen).count();
        let most = usize::from(!self.is_packed);
        assert!(lost <= most, "{what} costs {lost} lines: {:?}", report.bad);
        std::fs::write(&path, before).unwrap();
        lost
    }
}

/// A small generator of numbers, the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }
}

fn random_flips(is_packed: bool, seed: u64) {
    let world = World::new(is_packed);
    let mut dice = Dice(seed);
    for _ in 0..flips() / 2 {
        let file = world.files[dice.below(world.files.len())].clone();
        let size = read(&world.place.logs().join(&file)).len();
        world.costs(
            &file,
            dice.below(size),
            u32::try_from(dice.below(8)).unwrap(),
        );
    }
    assert_eq!(verified(&world.place).bad, Vec::new(), "all turned back");
    world.engine.close();
}

#[test]
fn any_bit_of_a_plain_segment_is_found_and_costs_one_line_at_most() {
    random_flips(false, 1);
}

#[test]
fn any_bit_of_a_packed_segment_is_found_and_costs_nothing() {
    random_flips(true, 2);
}

#[test]
fn the_places_that_matter_most_are_no_exception() {
    let world = World::new(false);
    let first = world.files[0].clone();
    let second = world.files[1].clone();
    for file in [&first, &second] {
        let bytes = read(&world.place.logs().join(file));
        let ends: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').collect();
        for bit in 0..8 {
            for end in &ends {
                assert_eq!(world.costs(file, *end, bit), 0, "both lines are known");
            }
            // The first line, which opens the second segment; its chain value; the last line.
            for at in (0..ends[0]).step_by(3).chain(ends[0] - 18..ends[0]) {
                world.costs(file, at, bit);
            }
            for at in (ends[ends.len() - 2]..bytes.len()).step_by(5) {
                world.costs(file, at, bit);
            }
        }
    }
    world.engine.close();
}

#[test]
fn tables_and_parity_of_a_packed_segment_are_no_exception() {
    let world = World::new(true);
    let file = world.files[1].clone();
    let size = read(&world.place.logs().join(&file)).len();
    for at in (0..size)
        .rev()
        .take(900)
        .step_by(7)
        .chain((0..size).step_by(41))
    {
        world.costs(&file, at, u32::try_from(at % 8).unwrap());
    }
    world.engine.close();
}

#[test]
fn damage_to_a_packed_segment_is_mended_by_the_next_pass() {
    let place = Place::new();
    let engine = place.with_stream_of(large());
    fill(&engine, 8_000, SystemClock::new().now());
    let text = text_of(&engine);
    tidy(&engine, &at_once());
    let file = place.names("x.0")[0].clone();
    let path = place.logs().join(&file);
    let whole = read(&path);
    // A whole block of the frames, a stretch of parity, and the end of the file.
    for range in [
        4096..8192,
        whole.len() - 6_000..whole.len() - 5_900,
        whole.len() - 9..whole.len(),
    ] {
        let mut bytes = whole.clone();
        bytes[range.clone()].fill(0xAA);
        std::fs::write(&path, &bytes).unwrap();
        assert!(text_of(&engine) == text, "{range:?}");
        let report = verified(&place);
        assert!(
            report.bad.iter().all(|bad| bad.file == file) && report.bad_lines > 0,
            "{report:?}"
        );
        let done = tidy(&engine, &at_once());
        assert_eq!((done.mended, &done.left), (1, &Vec::new()));
        assert_eq!(verified(&place).bad, Vec::new());
        assert!(read(&path) == whole, "as it was, byte for byte");
    }
    engine.close();
    let told = String::from_utf8(read(&place.logs().join("storage.ndjson"))).unwrap();
    assert_eq!(
        told.matches("\"kind\":\"segment.mended\"").count(),
        3,
        "{told}"
    );
}

#[test]
fn what_parity_cannot_mend_costs_its_frame_alone() {
    let place = Place::new();
    let engine = place.with_stream_of(large());
    fill(&engine, 12_000, SystemClock::new().now());
    let text = text_of(&engine);
    tidy(&engine, &at_once());
    let file = place.names("x.0")[0].clone();
    let path = place.logs().join(&file);
    let mut bytes = read(&path);
    // Two blocks of the one group that so small a segment has, both in its first frame.
    bytes[200..300].fill(0xAA);
    bytes[5_000..5_100].fill(0xAA);
    std::fs::write(&path, &bytes).unwrap();
    let seen = text_of(&engine);
    assert_eq!(seen.len(), text.len(), "what follows keeps its place");
    let lost = lines_of(&text).difference(&lines_of(&seen)).count();
    assert!((1..3_000).contains(&lost), "{lost} of 12,000 lines");
    assert!(
        seen[270_000..] == text[270_000..],
        "the next frame is there"
    );
    let report = verified(&place);
    assert!(
        report
            .bad
            .iter()
            .any(|bad| bad.file == file && bad.what.contains("beyond")),
        "{report:?}"
    );
    let done = tidy(&engine, &at_once());
    assert!(done.left[0].contains("beyond its parity"), "{done:?}");
    engine.close();
    let again = place.with_stream_of(large());
    assert!(text_of(&again) == seen, "it starts all the same");
    again.close();
}

#[test]
fn a_compressed_file_of_others_costs_what_follows_the_damage_and_no_other_segment() {
    let place = Place::new();
    let engine = place.with_stream_of(large());
    fill(&engine, 12_000, SystemClock::new().now());
    let text = text_of(&engine);
    let name = place.names("x.0")[0].clone();
    let path = place.logs().join(&name);
    let plain = read(&path);
    let mut packed = zstd::encode_all(&*plain, 3).unwrap();
    let middle = packed.len() / 2;
    packed[middle..middle + 50].fill(0);
    std::fs::write(place.logs().join(format!("{name}.zst")), &packed).unwrap();
    RealFiles.remove(&path).unwrap();
    let seen = text_of(&engine);
    assert!(
        seen.ends_with(&text[plain.len()..]),
        "all other segments are there"
    );
    let report = verified(&place);
    assert!(
        report.bad.iter().any(|bad| bad.file.starts_with(&name)),
        "{report:?}"
    );
    engine.close();
}
