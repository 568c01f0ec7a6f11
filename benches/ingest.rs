//! How fast events come in, without HTTP: batches of 100 lines are parsed, checked, claimed by
//! their ids, written, synced, counted and answered; 64 batches are in work at a time.
//!
//! `taskset -c 0 cargo bench --bench ingest [-- BATCHES]` for one core. Beside it, on the same
//! bodies: a typed parse by `serde_json`, and the parse with all checks and no storage.
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
use echopilot::platform::config::{Accepted, Config, Live, read};
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

/// Starts on an empty home, runs all bodies through the route, and gives the instant it began less
/// what does not count.
fn run(bodies: &[Bytes], durability: Durability) -> Instant {
    let home = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let settings = FilesSettings::new(home.path());
    let engine = FilesEngine::open(settings, Arc::new(RealFiles), Arc::clone(&clock)).unwrap();
    let engine: Arc<dyn Engine> = Arc::new(engine);
    let (segment_bytes, segment_age) = (64 << 20, Duration::from_hours(24));
    engine
        .open(
            STREAM,
            StreamOptions {
                durability,
                segment_bytes,
                segment_age,
            },
        )
        .unwrap();
    let live = Live::new(Accepted {
        rules: rules(),
        revision: Revision::of(SHIPPED.as_bytes()),
        text: SHIPPED.as_bytes().into(),
        at: DateTime::UNIX_EPOCH,
        actor: "file".into(),
    });
    let experiments = Experiments::open(Arc::clone(&engine), clock, live).unwrap();
    let routes = Arc::clone(&experiments).routes();
    let log = routes
        .iter()
        .find(|route| route.path == "/api/exp/log")
        .unwrap();
    let handler = log.hot.clone().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let began = Instant::now();
    runtime.block_on(drive(&handler, bodies));
    let spent = began.elapsed();
    drop(runtime);
    experiments.close();
    engine.close();
    Instant::now().checked_sub(spent).unwrap()
}

async fn drive(handler: &HotHandler, bodies: &[Bytes]) {
    let request = http::Request::post("/api/exp/log")
        .header("content-type", "application/x-ndjson")
        .body(())
        .unwrap();
    let (parts, ()) = request.into_parts();
    let call = Call {
        caller: Caller {
            name: "key:bench".into(),
            role: Some(Role::Dash),
        },
        now: Utc::now(),
        request_id: 1,
    };
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
