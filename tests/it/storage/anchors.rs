//! Rule L13: where each chain stood is told outside the home folder, and a rewritten history does
//! not fit what was told.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use echopilot::seams::clock::ManualClock;
use echopilot::seams::files::RealFiles;
use echopilot::storage::anchors::Anchors;
use echopilot::storage::engine::{Durability, Engine, Expect, StreamOptions};
use echopilot::storage::verify::verify_stream;

use super::support::{OPTIONS, Place, numbered, read, until, wait};

/// Every `chain anchor` that this process has told.
static TOLD: OnceLock<Arc<Mutex<String>>> = OnceLock::new();

struct Keep(Arc<Mutex<String>>);

impl io::Write for Keep {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        if text.contains("chain anchor") {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push_str(&text);
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn listen() -> Arc<Mutex<String>> {
    let told = TOLD.get_or_init(|| {
        let told = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&told);
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || Keep(Arc::clone(&kept)))
            .init();
        told
    });
    Arc::clone(told)
}

/// What was told of the stream `name`.
fn told_of(told: &Mutex<String>, name: &str) -> Vec<String> {
    let text = told.lock().unwrap();
    let ours = format!("stream={name} ");
    text.lines()
        .filter(|line| line.contains(&ours))
        .map(str::to_owned)
        .collect()
}

#[test]
fn l13_every_quarter_of_an_hour_each_chain_that_grew_is_anchored_outside_the_folder() {
    const NAME: &str = "anchored-by-l13";
    // Grows before each turn and comes after the other: it shows that the turn has come.
    const TURN: &str = "anchored-by-l13-turn";
    let told = listen();
    let place = Place::new();
    let start: DateTime<Utc> = "2026-11-21T09:00:00Z".parse().unwrap();
    let clock = Arc::new(ManualClock::at(start));
    let engine = place.engine_by(clock.clone());
    for stream in [NAME, TURN] {
        engine.open(stream, OPTIONS).unwrap();
    }
    let put = |stream, number| {
        wait(engine.append(stream, Expect::Any, None, numbered(number), None)).unwrap()
    };
    let append = |number| put(NAME, number);
    append(1);
    append(2);
    // Nothing before its time.
    clock.advance(Duration::from_secs(15 * 60 - 1));
    append(3);
    assert_eq!(told_of(&told, NAME), Vec::<String>::new());
    put(TURN, 1);
    clock.advance(Duration::from_secs(1));
    until("the chain is anchored", || told_of(&told, TURN).len() == 1);
    assert_eq!(told_of(&told, NAME).len(), 1);
    assert!(
        told_of(&told, NAME)[0].contains("seq=3 "),
        "{:?}",
        told_of(&told, NAME)
    );
    // What did not grow is not told again.
    put(TURN, 2);
    clock.advance(Duration::from_mins(15));
    until("the next turn", || told_of(&told, TURN).len() == 2);
    assert_eq!(told_of(&told, NAME).len(), 1);
    append(4);
    engine.close();
    assert_eq!(told_of(&told, NAME).len(), 2, "also at the end");

    let anchors = Anchors::read(&told_of(&told, NAME).join("\n"));
    let logs = place.logs();
    let check = || verify_stream(&RealFiles, &logs, NAME, &anchors).unwrap();
    let report = check();
    assert_eq!((report.anchors, report.bad_lines), (2, 0), "{report:?}");
    // Somebody writes the whole history anew, in a chain that fits itself.
    let path = logs.join(format!("{NAME}.ndjson"));
    let forged = Place::new();
    let other = forged.engine();
    other.open(NAME, OPTIONS).unwrap();
    for number in 11..=14 {
        wait(other.append(NAME, Expect::Any, None, numbered(number), None)).unwrap();
    }
    other.close();
    let plain = Anchors::default();
    std::fs::write(&path, read(&forged.logs().join(format!("{NAME}.ndjson")))).unwrap();
    assert_eq!(
        verify_stream(&RealFiles, &logs, NAME, &plain)
            .unwrap()
            .bad_lines,
        0
    );
    let report = check();
    assert_eq!(
        report.first_bad().map(|bad| (bad.line, bad.seq)),
        Some((3, 3)),
        "{report:?}"
    );
    // Or cuts its end off.
    let text = String::from_utf8(read(&path)).unwrap();
    let cut: String = text.split_inclusive('\n').take(2).collect();
    std::fs::write(&path, cut).unwrap();
    let report = check();
    assert_eq!(
        report.bad.iter().map(|bad| bad.seq).collect::<Vec<_>>(),
        [3, 4]
    );
}

#[test]
fn l13_lines_that_a_power_cut_may_still_take_are_not_anchored() {
    const NAME: &str = "not-yet-anchored";
    const TURN: &str = "not-yet-anchored-turn";
    let told = listen();
    let place = Place::new();
    let clock = Arc::new(ManualClock::at("2026-11-21T09:00:00Z".parse().unwrap()));
    let engine = place.engine_by(clock.clone());
    let weak = StreamOptions {
        durability: Durability::Os,
        ..OPTIONS
    };
    for (stream, options) in [(NAME, weak), (TURN, OPTIONS)] {
        engine.open(stream, options).unwrap();
        wait(engine.append(stream, Expect::Any, None, numbered(1), None)).unwrap();
    }
    clock.advance(Duration::from_mins(15));
    until("the turn has come", || told_of(&told, TURN).len() == 1);
    assert_eq!(told_of(&told, NAME), Vec::<String>::new());
    engine.close();
}
