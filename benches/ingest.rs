//! How fast events come in, without HTTP: batches of 100 lines are parsed, checked, claimed by
//! their ids, written, synced, counted and answered; 64 batches are in work at a time.
//!
//! `taskset -c 0 cargo bench --bench ingest [-- BATCHES]` for one core. Beside it, on the same
//! bodies: a typed parse by `serde_json`, and the parse with all checks and no storage.
//!
//! `cargo bench --bench ingest -- memory`: resident memory after 1,000,000 users in 5 experiments.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench stands outside: it reads clocks and files and talks"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use echopilot::base::problems::Problems;
use echopilot::capabilities::experiments::event::STREAM;
use echopilot::capabilities::experiments::{Experiments, ExperimentsConfig, body, logic};
use echopilot::platform::config::{Accepted, Config, DaemonConfig, Live, read};
use echopilot::platform::http::{Call, Caller, HotAnswer, HotCall, HotHandler, Role};
use echopilot::seams::clock::{Clock, SystemClock};
use echopilot::seams::files::RealFiles;
use echopilot::storage::engine::{Durability, Engine, Revision, StreamOptions};
use echopilot::storage::files::{FilesEngine, FilesSettings};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

/// Lines of a batch, as the goal is stated.
const LINES: usize = 100;
/// Batches in work at a time.
const IN_WORK: usize = 64;

fn main() {
    if std::env::args().any(|arg| arg == "memory") {
        memory();
        return;
    }
    let batches = std::env::args()
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(10_000);
    let bodies: Vec<Bytes> = (0..batches).map(body_of).collect();
    let rules = rules();
    let each_line = |what: &str, each: &mut dyn FnMut(&[u8])| {
        let began = Instant::now();
        for body in &bodies {
            body.split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
                .for_each(&mut *each);
        }
        report(what, batches, began);
    };
    each_line("bare: serde_json typed", &mut |line| {
        black_box(serde_json::from_slice::<body::EventBody<'_>>(line)).unwrap();
    });
    each_line("parse and checks, no storage", &mut |line| {
        let checked = body::parse(line).and_then(|body| logic::check(&rules, body));
        black_box(checked).unwrap();
    });
    for durability in [Durability::Always, Durability::Os] {
        for round in 1..=3 {
            let spent = run(&bodies, durability);
            report(
                &format!("ingest, {durability:?}, round {round}"),
                batches,
                spent,
            );
        }
    }
}

fn report(what: &str, batches: usize, began: Instant) {
    let spent = began.elapsed().as_secs_f64();
    let events = (batches * LINES) as f64;
    println!(
        "{what}: {:.0} events/s, {:.2} us each",
        events / spent,
        spent * 1e6 / events
    );
}

fn rules() -> <ExperimentsConfig as Config>::Rules {
    let read: Result<_, Problems> = read::<ExperimentsConfig>("shipped", SHIPPED.as_bytes());
    read.unwrap()
}

const SHIPPED: &str = ExperimentsConfig::SHIPPED;

fn body_of(batch: usize) -> Bytes {
    let mut text = String::new();
    for place in 0..LINES {
        let number = batch * LINES + place;
        let user = number.wrapping_mul(2_654_435_761) % 500_000;
        let variant = ["A", "B"][number % 2];
        let line = format!(
            "{{\"event\":\"purchase\",\"user\":\"user_{user:08}\",\"exp\":\"pricing_v2\",\
             \"variant\":\"{variant}\",\"value\":{}.5,\"id\":\"{number:032x}\"}}\n",
            number % 100
        );
        text.push_str(&line);
    }
    Bytes::from(text)
}

/// The capability on an empty home.
struct Daemon {
    _home: tempfile::TempDir,
    engine: Arc<dyn Engine>,
    experiments: Arc<Experiments>,
}

impl Daemon {
    fn start(durability: Durability, text: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let settings = FilesSettings::new(home.path());
        let engine = FilesEngine::open(settings, Arc::new(RealFiles), Arc::clone(&clock)).unwrap();
        let engine: Arc<dyn Engine> = Arc::new(engine);
        let (segment_bytes, segment_age) = (64 << 20, Duration::from_hours(24));
        let options = StreamOptions {
            durability,
            segment_bytes,
            segment_age,
        };
        engine.open(STREAM, options).unwrap();
        let live = Live::new(Accepted {
            rules: read::<ExperimentsConfig>("bench", text.as_bytes()).unwrap(),
            revision: Revision::of(text.as_bytes()),
            text: text.as_bytes().into(),
            at: DateTime::UNIX_EPOCH,
            actor: "file".into(),
        });
        let daemon = Live::new(Accepted {
            rules: read::<DaemonConfig>("bench", b"{}").unwrap(),
            revision: Revision::of(b"{}"),
            text: b"{}".as_slice().into(),
            at: DateTime::UNIX_EPOCH,
            actor: "file".into(),
        });
        let experiments = Experiments::open(Arc::clone(&engine), clock, live, daemon).unwrap();
        Self {
            _home: home,
            engine,
            experiments,
        }
    }

    fn handler(&self, path: &str) -> HotHandler {
        let routes = Arc::clone(&self.experiments).routes();
        routes
            .iter()
            .find(|route| route.path == path)
            .unwrap()
            .hot
            .clone()
            .unwrap()
    }

    fn stop(self) {
        self.experiments.close();
        self.engine.close();
    }
}

/// Runs all bodies through the route and gives the instant it began, less what does not count.
fn run(bodies: &[Bytes], durability: Durability) -> Instant {
    let daemon = Daemon::start(durability, SHIPPED);
    let handler = daemon.handler("/api/exp/log");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let began = Instant::now();
    runtime.block_on(drive(&handler, bodies));
    let spent = began.elapsed();
    drop(runtime);
    daemon.stop();
    Instant::now().checked_sub(spent).unwrap()
}

/// Users of the memory figure, and experiments that each of them is in.
const MEMORY: (u32, u32) = (1_000_000, 5);

fn memory() {
    let experiment = |number| format!(r#""e{number}":{{"variants":["A","B"],"salt":"{number}"}}"#);
    let text: Vec<String> = (0..MEMORY.1).map(experiment).collect();
    let daemon = Daemon::start(Durability::Always, &format!("{{{}}}", text.join(",")));
    println!("at the start: {}", resident());
    let handler = daemon.handler("/api/exp/assign");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let began = Instant::now();
    runtime.block_on(async {
        let mut in_work = FuturesUnordered::new();
        for number in 0..MEMORY.0 * MEMORY.1 {
            let (user, exp) = (number / MEMORY.1, number % MEMORY.1);
            let target = format!("/api/exp/assign?user=user-{user:08}&exp=e{exp}");
            let (parts, ()) = http::Request::get(target).body(()).unwrap().into_parts();
            let hot = HotCall {
                parts: &parts,
                body: Bytes::new(),
                call: call(),
            };
            match handler(hot) {
                HotAnswer::Later(later) => in_work.push(later),
                HotAnswer::Now(answer) => drop(answer.unwrap()),
            }
            if in_work.len() >= 1000 {
                while in_work.next().await.is_some() {}
            }
        }
        while in_work.next().await.is_some() {}
    });
    let spent = began.elapsed().as_secs_f64();
    println!(
        "after {} users in {} experiments, {spent:.1} s: {}",
        MEMORY.0,
        MEMORY.1,
        resident()
    );
    daemon.stop();
    println!("after the last checkpoint: {}", resident());
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let figures = status
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    figures.collect::<Vec<_>>().join(", ").replace('\t', " ")
}

fn call() -> Call {
    Call {
        caller: Caller {
            name: "key:bench".into(),
            role: Some(Role::Dash),
        },
        now: Utc::now(),
        request_id: 1,
    }
}

async fn drive(handler: &HotHandler, bodies: &[Bytes]) {
    let request = http::Request::post("/api/exp/log")
        .header("content-type", "application/x-ndjson")
        .body(())
        .unwrap();
    let (parts, ()) = request.into_parts();
    let call = call();
    let mut in_work = FuturesUnordered::new();
    let mut bodies = bodies.iter();
    loop {
        while in_work.len() < IN_WORK {
            let Some(body) = bodies.next() else { break };
            let hot = HotCall {
                parts: &parts,
                body: body.clone(),
                call: call.clone(),
            };
            match handler(hot) {
                HotAnswer::Later(later) => in_work.push(later),
                HotAnswer::Now(answer) => drop(answer.unwrap()),
            }
        }
        let Some(answer) = in_work.next().await else {
            break;
        };
        assert_eq!(answer.unwrap().status(), 200);
    }
}
