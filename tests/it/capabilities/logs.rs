//! Journals over HTTP: pages are complete and bounded, whoever follows gets every line once.

mod follow;
mod pages;
mod sse;

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use echopilot::seams::clock::SystemClock;
use echopilot::seams::files::RealFiles;
use echopilot::storage::engine::{Durability, Engine, Expect, StreamOptions};
use echopilot::storage::files::{FilesEngine, FilesSettings};
use echopilot::storage::lines::Lines;

/// Writes the journal `notes` into a home, `count` lines of `width` bytes, one a second from
/// `begin` on with every tenth a while back, in segments of `segment_bytes`.
fn journal(home: &Path, begin: DateTime<Utc>, count: u64, width: usize, segment_bytes: u64) {
    let mut settings = FilesSettings::new(home);
    settings.reserve_bytes = 0;
    let clock = Arc::new(SystemClock::new());
    let engine = FilesEngine::open(settings, Arc::new(RealFiles), clock).unwrap();
    let options = StreamOptions {
        durability: Durability::Os,
        segment_bytes,
        segment_age: std::time::Duration::from_hours(24 * 365 * 100),
    };
    engine.open("notes", options).unwrap();
    let mut last = None;
    for number in 0..count {
        let mut lines = Lines::new();
        let kind = match number % 3 {
            0 => "note.added",
            1 => "note.changed",
            _ => "letter.sent",
        };
        let back = if number % 10 == 9 { 45 } else { 0 };
        let at = begin + TimeDelta::seconds(number.cast_signed() - back);
        lines.push(kind, at, |out| {
            out.extend_from_slice(format!("\"pad\":\"{}\"", "x".repeat(width)).as_bytes());
        });
        last = Some(engine.append("notes", Expect::Any, None, lines, None));
        if number % 100 == 99 {
            // Segments are sealed between batches.
            crate::storage::support::wait(last.take().unwrap()).unwrap();
        }
    }
    if let Some(last) = last {
        crate::storage::support::wait(last).unwrap();
    }
    engine.close();
}
