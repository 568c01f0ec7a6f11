//! How fast the experiments journal is folded at start: 1 GB, 5 million lines, 0.5 million users,
//! 40 experiment-variant pairs with exposures and events, an id on every event.
//!
//! `cargo bench --bench fold [-- LINES]`. Beside it, over the same bytes: splitting lines only, and
//! a typed parse of every line by `serde_json` without any counting.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench stands outside: it reads clocks and files and talks"
)]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};
use echopilot::capabilities::experiments::event::{self, EVENT, EXPOSURE, STREAM};
use echopilot::capabilities::experiments::fingerprint::Key;
use echopilot::capabilities::experiments::ids::WINDOW;
use echopilot::capabilities::experiments::view::ExperimentsView;
use echopilot::seams::clock::SystemClock;
use echopilot::seams::files::RealFiles;
use echopilot::storage::engine::{Chunk, Durability, Engine, Expect, Mark, StreamOptions};
use echopilot::storage::files::{FilesEngine, FilesSettings};
use echopilot::storage::journal::Journal;
use echopilot::storage::lines::Lines;
use echopilot::storage::view::{Kept, fold, start};

/// Lines of the measured journal: about 1 GB.
const LINES: u64 = 5_000_000;
/// Users among them.
const USERS: u64 = 500_000;

fn main() {
    let numbers = std::env::args().find_map(|arg| arg.parse().ok());
    let lines = numbers.unwrap_or(LINES);
    let home = tempfile::tempdir().unwrap();
    let clock = Arc::new(SystemClock::new());
    let settings = FilesSettings::new(home.path());
    let engine = FilesEngine::open(settings, Arc::new(RealFiles), clock.clone()).unwrap();
    let options = StreamOptions {
        durability: Durability::Always,
        segment_bytes: 64 << 20,
        segment_age: Duration::from_hours(24),
    };
    let engine: Arc<dyn Engine> = Arc::new(engine);
    engine.open(STREAM, options).unwrap();
    let began = Instant::now();
    generate(&*engine, lines);
    println!(
        "{lines} lines written in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    bare(&*engine);
    let fresh = || ExperimentsView::new(Key(*b"0123456789abcdef"), WINDOW);
    for round in 1..=3 {
        for threads in [1, 2] {
            let began = Instant::now();
            let mark = Mark::default();
            let (view, folded) = fold(&*engine, STREAM, fresh(), &mark, threads).unwrap();
            report(
                &format!("fold, {threads} threads, round {round}"),
                folded.bytes,
                began,
            );
            let counted: u64 = view.groups().map(|group| group.count).sum();
            assert_eq!((counted, view.skipped()), (lines, 0));
        }
    }
    let journal = Journal::new(Arc::clone(&engine), STREAM);
    let (kept, _) = Kept::open(journal, clock, fresh).unwrap();
    let began = Instant::now();
    kept.close();
    println!("checkpoint saved in {:.3} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    let (view, folded) = start(&*engine, STREAM, fresh).unwrap();
    let spent = began.elapsed().as_secs_f64();
    println!(
        "start from the checkpoint: {spent:.3} s, from line {}, {} users",
        folded.from_seq,
        view.users()
    );
    println!("resident: {}", resident());
    engine.close();
}

fn report(what: &str, bytes: u64, began: Instant) {
    let spent = began.elapsed().as_secs_f64();
    println!(
        "{what}: {spent:.3} s, {:.0} MB/s",
        bytes as f64 / 1e6 / spent
    );
}

/// Lines of one append while the journal is made.
const GROUP: u64 = 10_000;

/// Writes the journal through the engine.
fn generate(engine: &dyn Engine, lines: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    let mut at = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    let mut group = Lines::new();
    for seq in 1..=lines {
        dice ^= dice >> 12;
        dice ^= dice << 25;
        dice ^= dice >> 27;
        let roll = dice.wrapping_mul(0x2545_f491_4f6c_dd1d);
        let user = format!("user_{:08}", ((roll >> 40) * USERS) >> 24);
        let exp = format!("experiment_{:02}", roll % 20);
        let variant = ["control", "treatment"][usize::from(roll >> 8 & 1 == 1)];
        if roll >> 9 & 1 == 0 {
            group.push(EXPOSURE, at, |out| {
                event::push_prefix(out, &exp, variant, None);
                event::push_exposure(out, &user, "0123456789abcdef");
            });
        } else {
            let id = format!("{roll:016x}-{seq:016x}");
            let value = (roll >> 10 & 1 == 0).then_some(((roll >> 12) % 10_000) as f64 / 100.0);
            group.push(EVENT, at, |out| {
                event::push_prefix(out, &exp, variant, Some("purchase"));
                event::push_event(out, &user, value, Some(&id));
            });
        }
        at += TimeDelta::milliseconds(1);
        if seq % GROUP == 0 || seq == lines {
            let full = std::mem::take(&mut group);
            let (expect, durability) = (Expect::Any, Some(Durability::Os));
            runtime
                .block_on(engine.append(STREAM, expect, durability, full, None))
                .unwrap();
        }
    }
}

#[derive(serde::Deserialize)]
struct Typed<'a> {
    kind: &'a str,
    exp: &'a str,
    variant: &'a str,
    user: &'a str,
}

/// The limits: the same bytes, read by the engine, without a fold.
fn bare(engine: &dyn Engine) {
    let scan = |what: &str, each: &mut dyn FnMut(&[u8])| {
        let (began, mut bytes) = (Instant::now(), 0);
        let sink = &mut |chunk: Chunk<'_>| {
            let mut start = 0;
            for end in memchr::memchr_iter(b'\n', chunk.bytes) {
                each(&chunk.bytes[start..end]);
                start = end + 1;
            }
            bytes += chunk.bytes.len() as u64;
            ControlFlow::Continue(())
        };
        engine.scan(STREAM, &Mark::default(), sink).unwrap();
        report(what, bytes, began);
    };
    let mut longest = 0;
    scan("bare: read and split lines", &mut |line| {
        longest = longest.max(line.len());
    });
    let mut sum = 0;
    scan("bare: serde_json typed", &mut |line| {
        if let Ok(typed) = serde_json::from_slice::<Typed<'_>>(line) {
            sum += typed.kind.len() + typed.exp.len() + typed.variant.len() + typed.user.len();
        }
    });
    println!("longest line {longest} bytes, {sum} bytes of members read");
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.unwrap_or("unknown").to_owned()
}
