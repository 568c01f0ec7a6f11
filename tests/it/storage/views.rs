//! Views over a journal: folding, checkpoints by size and age, and what a fold passes over.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use echopilot::seams::clock::{Clock, ManualClock};
use echopilot::storage::engine::{Durability, Engine, Expect, Mark, StreamOptions};
use echopilot::storage::journal::Journal;
use echopilot::storage::line;
use echopilot::storage::lines::Lines;
use echopilot::storage::memory::MemoryEngine;
use echopilot::storage::view::{Kept, Reader, View, fold, put_u64, start};

use super::support::Place;

const STREAM: &str = "numbers";

/// The numbers met, in order, as one number that depends on the order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Digest {
    value: u64,
    seq: u64,
    skipped: u64,
}

impl Digest {
    fn take(&mut self, seq: u64) {
        self.value = self.value.wrapping_mul(31).wrapping_add(seq);
        self.seq = seq;
    }
}

impl View for Digest {
    const NAME: &'static str = "digest";
    const VERSION: u32 = 1;
    type Batch = (Vec<u64>, u64);
    type Parser = ();

    fn parser(&self) {}

    fn parse((): &mut (), lines: &[u8], batch: &mut Self::Batch) {
        for text in lines.split_inclusive(|byte| *byte == b'\n') {
            match text.strip_suffix(b"\n").and_then(line::parse) {
                Some(own) => batch.0.push(own.seq),
                None => batch.1 += 1,
            }
        }
    }

    fn apply(&mut self, batch: &mut Self::Batch) {
        batch.0.drain(..).for_each(|seq| self.take(seq));
        self.skipped += std::mem::take(&mut batch.1);
    }

    fn last_seq(&self) -> u64 {
        self.seq
    }

    fn reached(&mut self, seq: u64) {
        self.seq = self.seq.max(seq);
    }

    fn save(&self, out: &mut Vec<u8>) {
        for value in [self.value, self.seq, self.skipped] {
            put_u64(out, value);
        }
    }

    fn restore(saved: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            value: saved.u64()?,
            seq: saved.u64()?,
            skipped: saved.u64()?,
        })
    }
}

struct Desk {
    engine: Arc<dyn Engine>,
    clock: Arc<ManualClock>,
    runtime: tokio::runtime::Runtime,
}

impl Desk {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(DateTime::UNIX_EPOCH));
        let wall: Arc<dyn Clock> = Arc::clone(&clock) as _;
        Self::on(Arc::new(MemoryEngine::new(wall)), clock)
    }

    fn on(engine: Arc<dyn Engine>, clock: Arc<ManualClock>) -> Self {
        let options = StreamOptions {
            durability: Durability::Always,
            segment_bytes: 1 << 20,
            segment_age: Duration::from_hours(24),
        };
        engine.open(STREAM, options).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        Self {
            engine,
            clock,
            runtime,
        }
    }

    fn kept(&self) -> Arc<Kept<Digest>> {
        let journal = Journal::new(Arc::clone(&self.engine), STREAM);
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        Arc::new(Kept::open(journal, clock, Digest::default).unwrap().0)
    }

    /// Appends lines of about `bytes` bytes each, kept up to date as a capability does.
    fn append(&self, kept: &Arc<Kept<Digest>>, count: usize, bytes: usize) {
        let mut lines = Lines::new();
        for _ in 0..count {
            lines.push("number.met", self.clock.now(), |out| {
                out.extend_from_slice(b"\"fill\":\"");
                out.resize(out.len() + bytes, b'x');
                out.push(b'"');
            });
        }
        let (own, size) = (Arc::clone(kept), lines.bytes());
        let on_commit = Box::new(move |outcome: &Result<_, _>| {
            let position: &echopilot::storage::engine::Position = outcome.as_ref().unwrap();
            let mut view = own.lock();
            (position.first..=position.last).for_each(|seq| view.take(seq));
            drop(view);
            own.grew(position.last + 1 - position.first, size as u64);
        });
        let appending = self
            .engine
            .append(STREAM, Expect::Any, None, lines, Some(on_commit));
        self.runtime.block_on(appending).unwrap();
    }

    /// The seq of the checkpoint that a start would begin from.
    fn checkpoint(&self) -> u64 {
        start(&*self.engine, STREAM, Digest::default)
            .unwrap()
            .1
            .from_seq
    }

    fn wait_for_checkpoint(&self, seq: u64) {
        let limit = Instant::now() + Duration::from_secs(20);
        while self.checkpoint() != seq {
            assert!(
                Instant::now() < limit,
                "no checkpoint at {seq}: {}",
                self.checkpoint()
            );
            std::thread::yield_now();
        }
    }
}

#[test]
fn one_thread_and_two_fold_the_same() {
    let desk = Desk::new();
    let kept = desk.kept();
    for _ in 0..200 {
        desk.append(&kept, 100, 150);
    }
    let live = kept.lock().clone();
    for threads in [1, 2] {
        let from = Mark::default();
        let (view, folded) =
            fold(&*desk.engine, STREAM, Digest::default(), &from, threads).unwrap();
        assert_eq!(view, live, "{threads} threads");
        assert_eq!((folded.from_seq, folded.mark.seq), (0, view.seq));
    }
}

#[test]
fn a_checkpoint_is_saved_after_32_mib_and_not_before() {
    let desk = Desk::new();
    let kept = desk.kept();
    desk.append(&kept, 15, 1 << 20);
    desk.append(&kept, 15, 1 << 20);
    assert_eq!(desk.checkpoint(), 0);
    desk.append(&kept, 3, 1 << 20);
    desk.wait_for_checkpoint(33);
}

#[test]
fn a_checkpoint_is_saved_after_ten_minutes_with_changes() {
    let desk = Desk::new();
    let kept = desk.kept();
    desk.append(&kept, 10, 10);
    desk.clock.advance(Duration::from_mins(9));
    desk.append(&kept, 1, 10);
    assert_eq!(desk.checkpoint(), 0);
    desk.clock.advance(Duration::from_mins(1));
    desk.append(&kept, 1, 10);
    desk.wait_for_checkpoint(12);
}

#[test]
fn a_start_folds_only_what_came_after_the_checkpoint() {
    let desk = Desk::new();
    let kept = desk.kept();
    desk.append(&kept, 50, 20);
    kept.save();
    desk.append(&kept, 50, 20);
    kept.save();
    desk.append(&kept, 50, 20);
    let (view, folded) = start(&*desk.engine, STREAM, Digest::default).unwrap();
    assert_eq!((folded.from_seq, folded.mark.seq), (100, 150));
    assert_eq!(view, *kept.lock());
    kept.close();
    let (view, folded) = start(&*desk.engine, STREAM, Digest::default).unwrap();
    assert_eq!(
        (folded.from_seq, folded.bytes),
        (150, 0),
        "nothing is left to fold"
    );
    assert_eq!(view, *kept.lock());
}

/// A desk on files in `place`.
fn on_files(place: &Place) -> Desk {
    let clock = Arc::new(ManualClock::at(DateTime::UNIX_EPOCH));
    let wall: Arc<dyn Clock> = Arc::clone(&clock) as _;
    Desk::on(Arc::new(place.engine_by(wall)), clock)
}

#[test]
fn checkpoints_go_on_after_an_edit_before_the_last_one() {
    let place = Place::new();
    let desk = on_files(&place);
    let kept = desk.kept();
    desk.append(&kept, 10, 20);
    kept.save();
    let saved = desk.checkpoint();
    assert!(saved >= 10, "{saved}");
    let path = place.logs().join("numbers.ndjson");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("xx", "", 1)).unwrap();
    desk.append(&kept, 10, 20);
    kept.save();
    let second = desk.checkpoint();
    assert_eq!(second, saved + 10, "one from the first line on");
    desk.append(&kept, 10, 20);
    kept.save();
    assert_eq!(desk.checkpoint(), saved + 20);
}

#[test]
fn a_checkpoint_that_could_not_be_written_is_written_at_the_end() {
    let place = Place::new();
    let desk = on_files(&place);
    let kept = desk.kept();
    desk.append(&kept, 10, 20);
    // A folder with something in it cannot be replaced by a file.
    let taken = place.logs().join(".views/numbers.digest.view");
    std::fs::create_dir_all(taken.join("in the way")).unwrap();
    kept.save();
    assert_eq!(desk.checkpoint(), 0);
    std::fs::remove_dir_all(&taken).unwrap();
    kept.close();
    assert!(desk.checkpoint() >= 10, "{}", desk.checkpoint());
}

#[test]
fn nothing_new_saves_nothing() {
    let desk = Desk::new();
    let kept = desk.kept();
    kept.save();
    kept.close();
    assert_eq!(desk.checkpoint(), 0);
    let none = &mut |_: echopilot::storage::engine::Chunk<'_>| ControlFlow::Continue(());
    desk.engine.scan(STREAM, &Mark::default(), none).unwrap();
}
