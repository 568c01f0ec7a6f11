//! A year on a stepped clock: 50 million events of 100,000 users in 365 days through the route, the
//! view and the engine, with a beat of upkeep each minute; segments are sealed by the day, packed
//! after a week and, where retention says so, removed. Then the real program starts on what is
//! left: from its checkpoint and without one.
//!
//! `cargo bench --bench year [-- EVENTS]`. Needs about 4 GB of disk and ten minutes.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench stands outside: it reads clocks and files and talks"
)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use echopilot::capabilities::experiments::event::STREAM;
use echopilot::capabilities::experiments::{Experiments, ExperimentsConfig};
use echopilot::platform::config::{Accepted, Config, DaemonConfig, Live, read};
use echopilot::platform::http::{Call, Caller, HotAnswer, HotCall, HotHandler, Role};
use echopilot::seams::clock::{Clock, ManualClock};
use echopilot::seams::files::RealFiles;
use echopilot::storage::anchors::Anchors;
use echopilot::storage::engine::{Durability, Engine, Expect, Revision, StreamOptions};
use echopilot::storage::files::{FilesEngine, FilesSettings};
use echopilot::storage::lines::Lines;
use echopilot::storage::tidying::{Tidied, TidyPlan};
use echopilot::storage::verify::verify;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

/// Events of the year, as the goal is stated.
const EVENTS: u64 = 50_000_000;
/// Users among them.
const USERS: u64 = 100_000;
/// Days of the year.
const DAYS: u64 = 365;
/// Lines of one call.
const LINES: u64 = 100;
/// Calls in work at a time.
const IN_WORK: usize = 64;
/// What a beat says.
const BEAT: &[u8] = br#""uptime_secs":86400,"resident_bytes":41943040,"status":"ok","troubles":{}"#;
/// Days that the journal `upkeep` is kept.
const UPKEEP_DAYS: i64 = 90;

fn main() {
    let asked = std::env::args().find_map(|arg| arg.parse().ok());
    let events = asked.unwrap_or(EVENTS);
    let home = tempfile::tempdir().unwrap();
    let mut year = Year::begin(home.path());
    let began = Instant::now();
    for day in 0..DAYS {
        year.day(day, events / DAYS);
    }
    let lived = began.elapsed();
    let days = format!("{:.0} s for {} events", lived.as_secs_f64(), year.events);
    println!(
        "a year lived: {days}, tidying {:.0} s of them",
        year.tidying.as_secs_f64()
    );
    let won = &year.won;
    println!(
        "packed {} segments, {} to {}; removed {}, {}",
        won.packed,
        megabytes(won.packed_from_bytes),
        megabytes(won.packed_to_bytes),
        won.removed,
        megabytes(won.removed_bytes)
    );
    let plain = won.packed_from_bytes - won.packed_to_bytes;
    year.end();
    let disk = bytes_below(&home.path().join("logs"));
    println!(
        "logs: {}; without packing {}",
        megabytes(disk),
        megabytes(disk + plain)
    );
    let began = Instant::now();
    let reports = verify(&RealFiles, &home.path().join("logs"), &Anchors::default()).unwrap();
    let bad: u64 = reports.iter().map(|report| report.bad_lines).sum();
    println!(
        "verify: {:.1} s, {bad} bad lines",
        began.elapsed().as_secs_f64()
    );
    for round in 1..=3 {
        start(
            home.path(),
            &format!("start from the checkpoint, round {round}"),
        );
    }
    for round in 1..=2 {
        std::fs::remove_dir_all(home.path().join("logs/.views")).unwrap();
        start(
            home.path(),
            &format!("start without a checkpoint, round {round}"),
        );
    }
}

/// The home and what works in it.
struct Year {
    clock: Arc<ManualClock>,
    engine: Arc<dyn Engine>,
    experiments: Arc<Experiments>,
    runtime: tokio::runtime::Runtime,
    log: HotHandler,
    assign: HotHandler,
    events: u64,
    won: Tidied,
    tidying: Duration,
}

impl Year {
    fn begin(home: &Path) -> Self {
        let first = "2025-11-21T00:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::at(first));
        let own: Arc<dyn Clock> = clock.clone();
        let settings = FilesSettings::new(home);
        let engine = FilesEngine::open(settings, Arc::new(RealFiles), Arc::clone(&own)).unwrap();
        let engine: Arc<dyn Engine> = Arc::new(engine);
        let options = StreamOptions {
            durability: Durability::Os,
            segment_bytes: 64 << 20,
            segment_age: Duration::from_hours(24),
        };
        engine.open(STREAM, options).unwrap();
        engine.open("upkeep", options).unwrap();
        let text = ExperimentsConfig::SHIPPED;
        engine
            .replace(ExperimentsConfig::FILE, None, text.as_bytes())
            .unwrap();
        let experiments = Experiments::open(
            Arc::clone(&engine),
            own,
            accepted::<ExperimentsConfig>(text),
            accepted::<DaemonConfig>("{}"),
        );
        let experiments = experiments.unwrap();
        let routes = Arc::clone(&experiments).routes();
        let handler = |path: &str| {
            let route = routes.iter().find(|route| route.path == path).unwrap();
            route.hot.clone().unwrap()
        };
        Self {
            log: handler("/api/exp/log"),
            assign: handler("/api/exp/assign"),
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap(),
            clock,
            engine,
            experiments,
            events: 0,
            won: Tidied::default(),
            tidying: Duration::ZERO,
        }
    }

    fn day(&mut self, day: u64, events: u64) {
        let hours = 24;
        for hour in 0..hours {
            let now = self.clock.now();
            let users = USERS / DAYS / hours;
            let first = (day * hours + hour) * users;
            let calls = (events / hours).div_ceil(LINES);
            let bodies: Vec<Bytes> = (0..calls)
                .map(|call| body_of(self.events / LINES + call))
                .collect();
            self.events += calls * LINES;
            let (log, assign) = (&self.log, &self.assign);
            self.runtime.block_on(async {
                let exposed = (first..first + users)
                    .flat_map(|user| ["pricing_v2", "onboarding_flow"].map(|exp| (user, exp)));
                let exposures = exposed.map(|(user, exp)| {
                    let target = format!("/api/exp/assign?user=user_{user:08}&exp={exp}");
                    (assign, http::Request::get(target), Bytes::new())
                });
                let logged = bodies.into_iter().map(|body| {
                    let request = http::Request::post("/api/exp/log")
                        .header("content-type", "application/x-ndjson");
                    (log, request, body)
                });
                drive(exposures.chain(logged), now).await;
            });
            self.beats(now);
            self.clock.advance(Duration::from_hours(1));
        }
        if day % 7 == 6 || day + 1 == DAYS {
            self.tidy();
        }
    }

    /// What `upkeep` writes each minute of an hour.
    fn beats(&self, now: DateTime<Utc>) {
        let mut lines = Lines::new();
        for minute in 0..60 {
            lines.push("upkeep.beat", now + TimeDelta::minutes(minute), |out| {
                out.extend_from_slice(BEAT);
            });
        }
        let writing = self.engine.append("upkeep", Expect::Any, None, lines, None);
        self.runtime.block_on(writing).unwrap();
    }

    fn tidy(&mut self) {
        let now = self.clock.now();
        let plan = TidyPlan {
            now,
            pack_after: Some(Duration::from_hours(7 * 24)),
            remove_before: [("upkeep".to_owned(), now - TimeDelta::days(UPKEEP_DAYS))].into(),
            is_dry_run: false,
        };
        let began = Instant::now();
        let done = self.engine.tidy(&plan, &|| false).unwrap();
        self.tidying += began.elapsed();
        assert!(done.left.is_empty(), "{done:?}");
        self.won.packed += done.packed;
        self.won.packed_from_bytes += done.packed_from_bytes;
        self.won.packed_to_bytes += done.packed_to_bytes;
        self.won.removed += done.removed;
        self.won.removed_bytes += done.removed_bytes;
    }

    fn end(self) {
        self.experiments.close();
        self.engine.close();
    }
}

fn accepted<C: Config>(text: &str) -> Live<C::Rules> {
    Live::new(Accepted {
        rules: read::<C>("bench", text.as_bytes()).unwrap(),
        revision: Revision::of(text.as_bytes()),
        text: text.as_bytes().into(),
        at: DateTime::UNIX_EPOCH,
        actor: "file".into(),
    })
}

fn body_of(call: u64) -> Bytes {
    let mut text = String::new();
    for place in 0..LINES {
        let number = call * LINES + place;
        let user = number.wrapping_mul(2_654_435_761) % USERS;
        let variant = ["A", "B"][usize::from(number % 2 == 1)];
        let id = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        writeln!(
            text,
            "{{\"event\":\"purchase\",\"user\":\"user_{user:08}\",\"exp\":\"pricing_v2\",\
             \"variant\":\"{variant}\",\"value\":{}.5,\"id\":\"order-{id:016x}\"}}",
            number % 100
        )
        .unwrap();
    }
    Bytes::from(text)
}

async fn drive<'a>(
    calls: impl Iterator<Item = (&'a HotHandler, http::request::Builder, Bytes)>,
    now: DateTime<Utc>,
) {
    let mut in_work = FuturesUnordered::new();
    for (handler, request, body) in calls {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let caller = Caller {
            name: "key:bench".into(),
            role: Some(Role::Dash),
        };
        let call = Call {
            caller,
            now,
            request_id: 1,
        };
        let hot = HotCall {
            parts: &parts,
            body,
            call,
        };
        match handler(hot) {
            HotAnswer::Later(later) => in_work.push(later),
            HotAnswer::Now(answer) => drop(answer.unwrap()),
        }
        while in_work.len() >= IN_WORK {
            in_work.next().await.unwrap().unwrap();
        }
    }
    while let Some(answer) = in_work.next().await {
        answer.unwrap();
    }
}

/// Starts the program, waits until it answers, and tells what that took; then ends it in order, so
/// that there is a checkpoint.
fn start(home: &Path, what: &str) {
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_echopilot"))
        .args(["--home", &home.display().to_string()])
        .args(["serve", "--listen", "127.0.0.1:0", "--quiet", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut told = BufReader::new(child.stdout.take().unwrap());
    told.read_line(&mut line).unwrap();
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    let mut stream = TcpStream::connect(told["address"].as_str().unwrap()).unwrap();
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let spent = began.elapsed().as_secs_f64();
    println!(
        "{what}: {spent:.3} s until it answers, {}",
        resident(&child)
    );
    let ended = Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(ended.success() && child.wait().unwrap().success());
}

fn resident(child: &Child) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let figures = status
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    figures.collect::<Vec<_>>().join(", ").replace('\t', " ")
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let size = |entry: std::fs::DirEntry| entry.metadata().unwrap().len();
    entries.map(size).sum()
}

fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}
