//! One page of a journal of 1 GB by time in the middle, over HTTP: as one active file and as sealed
//! segments of 64 MB; warm, and with the files dropped from the page cache before each call.
//!
//! `cargo bench --bench logs [-- MEGABYTES]`. Bar: below 50 ms. Beside it: a reading of the files
//! from their start, which is what a page would cost without seeking.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench stands outside: it reads clocks and files and talks"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use echopilot::seams::clock::ManualClock;
use echopilot::seams::files::RealFiles;
use echopilot::storage::engine::{Durability, Engine, Expect, StreamOptions};
use echopilot::storage::files::{FilesEngine, FilesSettings};
use echopilot::storage::lines::Lines;

/// Bytes of a line, about as many as an event has.
const LINE: u64 = 200;
/// Lines of one append.
const GROUP: u64 = 1_000;
/// Calls that are timed of each kind.
const CALLS: u32 = 20;
const KEY: &str = "dash-key-of-the-bench-0123456789";

fn main() {
    let mega: u64 = std::env::args()
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(1_000);
    for (what, segment_bytes) in [
        ("one active file", u64::MAX / 2),
        ("64 MB segments", 64 << 20),
    ] {
        let home = tempfile::tempdir().unwrap();
        let begin = Utc::now() - TimeDelta::days(30);
        let count = mega * 1_000_000 / LINE;
        write_journal(home.path(), begin, count, segment_bytes);
        let middle = begin + TimeDelta::milliseconds((count / 2).cast_signed());
        measure(what, home.path(), middle, segment_bytes);
    }
}

/// `upkeep`, because the daemon writes that one: its lines are a millisecond apart.
fn write_journal(home: &Path, begin: DateTime<Utc>, count: u64, segment_bytes: u64) {
    let settings = FilesSettings::new(home);
    // The lines that open segments are written when the others are.
    let clock = Arc::new(ManualClock::at(begin));
    let engine = FilesEngine::open(settings, Arc::new(RealFiles), Arc::clone(&clock) as _).unwrap();
    let options = StreamOptions {
        durability: Durability::Os,
        segment_bytes,
        segment_age: Duration::from_hours(24 * 365),
    };
    engine.open("upkeep", options).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let pad = "x".repeat(usize::try_from(LINE).unwrap() - 115);
    for group in 0..count / GROUP {
        let mut lines = Lines::new();
        for number in 0..GROUP {
            let at = begin + TimeDelta::milliseconds((group * GROUP + number).cast_signed());
            lines.push("bench.line-written", at, |out| {
                out.extend_from_slice(format!("\"pad\":\"{pad}\"").as_bytes());
            });
        }
        clock.advance(Duration::from_millis(GROUP));
        let appended = engine.append("upkeep", Expect::Any, None, lines, None);
        runtime.block_on(appended).unwrap();
    }
    engine.close();
}

fn measure(what: &str, home: &Path, middle: DateTime<Utc>, segment_bytes: u64) {
    let configs = home.join("configs");
    std::fs::create_dir_all(&configs).unwrap();
    let bytes = segment_bytes.min(1 << 40);
    let settings =
        format!("{{\"journals\": {{\"segment_bytes\": {bytes}, \"segment_age_hours\": 8760}}}}");
    std::fs::write(configs.join("echopilot.json"), settings).unwrap();
    let (mut daemon, address) = start(home);
    let from = middle.format("%Y-%m-%dT%H:%M:%S%.3fZ");
    let path = format!("/api/logs/upkeep?from={from}&limit=100");
    for (kind, cold) in [("first, cold", true), ("cold", true), ("warm", false)] {
        let calls = if kind == "cold" || !cold { CALLS } else { 1 };
        let mut times: Vec<f64> = (0..calls)
            .map(|_| {
                if cold {
                    drop_from_cache(&home.join("logs"));
                }
                let began = Instant::now();
                let lines = get(&address, &path);
                assert_eq!(lines, 100);
                began.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let worst = times.last().copied().unwrap_or(0.0);
        let median = times.get(times.len() / 2).copied().unwrap_or(0.0);
        println!("{what}, {kind}: median {median:.1} ms, worst {worst:.1} ms (bar 50)");
    }
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let began = Instant::now();
    let mut total = 0;
    for entry in std::fs::read_dir(home.join("logs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "ndjson") {
            let file = BufReader::with_capacity(1 << 20, std::fs::File::open(path).unwrap());
            total += file
                .split(b'\n')
                .map(|line| line.unwrap().len())
                .sum::<usize>();
        }
    }
    let spent = began.elapsed().as_secs_f64() * 1e3;
    println!(
        "{what}, from the start, warm: {spent:.0} ms for {} MB",
        total / 1_000_000
    );
}

fn start(home: &Path) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_echopilot"))
        .args(["serve", "--listen", "127.0.0.1:0", "--home"])
        .arg(home)
        .env("DASHBOARD_KEY", KEY)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = said
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| {
            let rest = line.split("http://").nth(1)?.to_owned();
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':');
            Some(rest.get(..end.unwrap_or(rest.len()))?.to_owned())
        })
        .unwrap();
    std::thread::spawn(move || said.for_each(drop));
    (child, address)
}

fn drop_from_cache(logs: &Path) {
    for entry in std::fs::read_dir(logs).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let file = std::fs::File::open(path).unwrap();
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        }
    }
}

/// Lines of the answer.
fn get(address: &str, path: &str) -> usize {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Dash-Key: {KEY}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let text = String::from_utf8_lossy(&answer);
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    body.lines().count()
}
