//! Lines found by number and by time: in journals of every kind of misfortune the same lines come
//! out as of a reading from the start, and little is read for it.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use echopilot::base::time;
use echopilot::seams::clock::{Clock as _, ManualClock};
use echopilot::storage::engine::{Durability, Engine, Expect, Mark, Seek, StreamOptions};
use echopilot::storage::files::FilesEngine;
use echopilot::storage::line;
use echopilot::storage::lines::Lines;
use echopilot::storage::numbering::Numbering;

use super::support::{OPTIONS, Place, bytes_after, wait};

/// Numbers that look like chance and are the same in every run (`splitmix64`).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

fn noon() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 21, 12, 0, 0).unwrap()
}

/// A journal with the misfortunes that `seed` chooses.
struct Odd {
    place: Place,
    clock: Arc<ManualClock>,
    chance: Chance,
    options: StreamOptions,
}

impl Odd {
    fn made(seed: u64) -> (Self, FilesEngine) {
        let mut odd = Self {
            place: Place::new(),
            clock: Arc::new(ManualClock::at(noon())),
            chance: Chance(seed),
            options: StreamOptions {
                durability: Durability::Os,
                ..OPTIONS
            },
        };
        odd.options.segment_bytes = 2_000 << odd.chance.below(8);
        let mut engine = odd.open();
        for _ in 0..100 + odd.chance.below(200) {
            match odd.chance.below(60) {
                0 => odd.foreign(b"a note by hand\n"),
                1 => odd.foreign(&vec![0; 5_000]),
                2 => odd.clock.step_wall(TimeDelta::minutes(-90)),
                3 => odd.clock.step_wall(TimeDelta::minutes(70)),
                4 => {
                    engine.close();
                    engine = odd.open();
                }
                5 => {
                    odd.foreign_copy();
                    odd.append(&engine);
                }
                _ => odd.append(&engine),
            }
        }
        odd.pack(&engine);
        (odd, engine)
    }

    fn open(&self) -> FilesEngine {
        let engine = self.place.engine_by(self.clock.clone());
        engine.open("x", self.options).unwrap();
        engine
    }

    fn append(&mut self, engine: &dyn Engine) {
        let mut lines = Lines::new();
        let width = usize::try_from(self.chance.below(300)).unwrap();
        for _ in 0..=self.chance.below(8) {
            self.clock
                .advance(Duration::from_millis(self.chance.below(30_000)));
            // A run that began a while ago.
            let late = TimeDelta::milliseconds(self.chance.below(20_000).cast_signed());
            lines.push("thing.happened", self.clock.now() - late, |out| {
                out.extend_from_slice(format!("\"pad\":\"{}\"", "x".repeat(width)).as_bytes());
            });
        }
        wait(engine.append("x", Expect::Any, None, lines, None)).unwrap();
    }

    fn foreign(&self, bytes: &[u8]) {
        #[expect(clippy::disallowed_methods, reason = "as a person does it")]
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(self.place.active())
            .unwrap();
        file.write_all(bytes).unwrap();
        if !bytes.ends_with(b"\n") {
            file.write_all(b"\n").unwrap();
        }
    }

    /// A person copies an old line to the end.
    fn foreign_copy(&self) {
        let all = super::support::read(&self.place.active());
        if let Some(old) = all.split_inclusive(|byte| *byte == b'\n').next() {
            self.foreign(old);
        }
    }

    /// Some of the sealed segments are compressed.
    fn pack(&mut self, engine: &dyn Engine) {
        for segment in engine.segments("x").unwrap() {
            if segment.sealed && !segment.suspect && self.chance.below(3) == 0 {
                let path = self.place.logs().join(&segment.file);
                let packed = zstd::encode_all(&super::support::read(&path)[..], 3).unwrap();
                let to = self.place.logs().join(format!("{}.zst", segment.file));
                #[expect(clippy::disallowed_methods, reason = "as a person does it")]
                std::fs::write(to, packed).unwrap();
                #[expect(clippy::disallowed_methods, reason = "as a person does it")]
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

/// Numbers and instants of the lines after `from`.
fn lines_after(engine: &dyn Engine, from: &Mark) -> Vec<(u64, DateTime<Utc>)> {
    let (all, _) = bytes_after(engine, from).unwrap();
    let mut numbering = Numbering::after(from.seq, from.h);
    let lines = all.split_inclusive(|byte| *byte == b'\n');
    lines
        .filter_map(|whole| {
            let seq = numbering.take(whole)?;
            let own = line::parse(whole.strip_suffix(b"\n")?)?;
            Some((seq, time::read_stamp(own.ts)?))
        })
        .collect()
}

#[test]
fn what_is_found_by_seeking_is_what_a_reading_from_the_start_finds() {
    let seeds = if std::env::var_os("SLOW").is_some() {
        1_000
    } else {
        16
    };
    for seed in 0..seeds {
        let (mut odd, engine) = Odd::made(seed);
        let all = lines_after(&engine, &Mark::default());
        let last = all.last().map_or(0, |(seq, _)| *seq);
        assert_eq!(all.len() as u64, last, "seed {seed}: every number once");
        for _ in 0..20 {
            let after = odd.chance.below(last + 5);
            let mark = engine.locate("x", &Seek::After(after)).unwrap();
            assert_eq!(mark.seq, after.min(last), "seed {seed}");
            let (_, middle) = all[usize::try_from(odd.chance.below(last)).unwrap()];
            let span = TimeDelta::milliseconds(odd.chance.below(3_600_000).cast_signed());
            let since = (odd.chance.below(4) > 0).then_some(middle);
            let until = (odd.chance.below(2) > 0).then_some(middle + span);
            let after = if odd.chance.below(2) > 0 { after } else { 0 };
            let wanted = |(seq, at): &(u64, DateTime<Utc>)| {
                *seq > after
                    && since.is_none_or(|since| *at >= since)
                    && until.is_none_or(|until| *at <= until)
            };
            let seek = Seek::Within {
                after,
                since,
                until,
            };
            let mark = engine.locate("x", &seek).unwrap();
            let mut found = lines_after(&engine, &mark);
            found.retain(wanted);
            let mut expected = all.clone();
            expected.retain(wanted);
            assert_eq!(found, expected, "seed {seed}, {seek:?} at {mark:?}");
        }
        engine.close();
    }
}

#[test]
fn a_damaged_line_leads_no_search_past_what_is_wanted() {
    let (odd, engine) = Odd::made(4_711);
    let all = lines_after(&engine, &Mark::default());
    engine.close();
    let mut chance = Chance(99);
    // One flipped bit in each plain segment, in turn somewhere else.
    for round in 0..8 {
        let mut undo = Vec::new();
        for name in odd.place.names("x.") {
            let path = odd.place.logs().join(&name);
            if path.extension().is_some_and(|end| end == "zst") {
                continue;
            }
            let whole = super::support::read(&path);
            let mut flipped = whole.clone();
            let at = usize::try_from(chance.below(flipped.len() as u64)).unwrap();
            flipped[at] ^= 1 << chance.below(7);
            #[expect(clippy::disallowed_methods, reason = "as a disk does it")]
            std::fs::write(&path, flipped).unwrap();
            undo.push((path, whole));
        }
        let engine = odd.place.engine_by(odd.clock.clone());
        let left = lines_after(&engine, &Mark::default());
        for (seq, at) in all.iter().step_by(29) {
            for seek in [Seek::After(seq - 1), Seek::Since(*at)] {
                let mark = engine.locate("x", &seek).unwrap();
                let found = lines_after(&engine, &mark);
                // Of a line whose own instant or number is damaged nothing can be asked.
                let lost = left
                    .iter()
                    .filter(|line| all.contains(line))
                    .filter(|line| match seek {
                        Seek::Since(since) => line.1 >= since,
                        _ => line.0 >= *seq,
                    })
                    .find(|line| !found.contains(line));
                assert_eq!(lost, None, "round {round}, {seek:?} at {mark:?}");
            }
        }
        engine.close();
        for (path, whole) in undo {
            #[expect(clippy::disallowed_methods, reason = "as it was")]
            std::fs::write(&path, whole).unwrap();
        }
    }
}

#[test]
fn segments_tell_what_is_where() {
    let (odd, engine) = Odd::made(17);
    let segments = engine.segments("x").unwrap();
    assert!(segments.len() > 3, "{segments:?}");
    let mut next = 1;
    for segment in &segments {
        assert_eq!(segment.first, next, "{segments:?}");
        next = segment.last + 1;
        let path = odd.place.logs().join(&segment.file);
        assert_eq!(super::support::read(&path).len() as u64, segment.bytes);
        assert_eq!(segment.file.strip_suffix(".zst").is_some(), segment.packed);
    }
    assert_eq!(next, engine.health("x").unwrap().last_seq + 1);
    let sealed = segments.iter().filter(|segment| segment.sealed).count();
    assert_eq!(sealed, segments.len() - 1);
    // The same where nobody writes.
    engine.close();
    let reader = odd.place.engine_by(odd.clock.clone());
    assert_eq!(reader.segments("x").unwrap(), segments);
}

#[test]
fn segments_may_be_given_up_and_packed_while_they_are_sought_in() {
    let (odd, engine) = Odd::made(5);
    let segments = engine.segments("x").unwrap();
    let given_up = segments.len() / 2;
    for segment in segments.iter().take(given_up) {
        #[expect(clippy::disallowed_methods, reason = "as a person does it")]
        std::fs::remove_file(odd.place.logs().join(&segment.file)).unwrap();
    }
    let first = segments[given_up].first;
    assert_eq!(
        engine.locate("x", &Seek::After(0)).unwrap(),
        Mark::default()
    );
    let gone = engine.locate("x", &Seek::After(first - 1)).unwrap();
    assert_eq!(lines_after(&engine, &gone)[0].0, first);
    let there = engine.locate("x", &Seek::After(first)).unwrap();
    assert_eq!(there.seq, first);
    assert!(
        engine
            .scan("x", &there, &mut |_| ControlFlow::Break(()))
            .is_ok()
    );
}
