//! The journal beside a bare loop: 64 writers, 200-byte lines, each answered after `fdatasync`.
//!
//! Both sides run on one current-thread runtime with one writing thread, take turns in the same
//! run, and are compared by their medians. The bare loop gathers what is there, writes it with one
//! call, syncs once and answers; it numbers, stamps and chains nothing. Bar: at least 0.8 of it.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot run should say so loudly"
)]
#![expect(clippy::print_stdout, reason = "the figures are its output")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures with the machine's own clock and files"
)]

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use echopilot::seams::clock::SystemClock;
use echopilot::seams::files::RealFiles;
use echopilot::storage::engine::{Durability, Engine, Expect, StreamOptions};
use echopilot::storage::files::{FilesEngine, FilesSettings};
use echopilot::storage::lines::Lines;
use tokio::sync::oneshot;

/// Writers at a time: the connections of the bar.
const WRITERS: usize = 64;
/// Bytes of one line on disk.
const LINE_BYTES: usize = 200;
/// Pairs of measurements; the median of their ratios is told.
const ROUNDS: usize = 9;
/// How long one measurement lasts.
const SPAN: Duration = Duration::from_millis(700);

/// Lines per second, and the sorted times from asking to being answered.
struct Measured {
    rate: f64,
    times: Vec<Duration>,
}

fn measure<F, Fut>(writers: usize, append: F) -> Measured
where
    F: Fn() -> Fut + Clone + 'static,
    Fut: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let begun = Instant::now();
        let running: Vec<_> = (0..writers)
            .map(|_| {
                let append = append.clone();
                tokio::task::spawn_local(async move {
                    let mut times = Vec::with_capacity(1 << 14);
                    while begun.elapsed() < SPAN {
                        let asked = Instant::now();
                        append().await;
                        times.push(asked.elapsed());
                    }
                    times
                })
            })
            .collect();
        let mut times = Vec::new();
        for one in running {
            times.extend(one.await.unwrap());
        }
        let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
        times.sort_unstable();
        Measured { rate, times }
    })
}

#[derive(Default)]
struct BareQueue {
    waiting: Vec<oneshot::Sender<()>>,
    due: bool,
    deferred: bool,
    closing: bool,
    runtime: Option<tokio::runtime::Handle>,
}

type Shared = Arc<(Mutex<BareQueue>, Condvar)>;

/// Gather, write, sync, answer: nothing else.
fn bare_writer(shared: &Shared, path: &Path) {
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    let mut line = vec![b'x'; LINE_BYTES];
    line[LINE_BYTES - 1] = b'\n';
    let mut buffer = Vec::new();
    loop {
        let (queue, wake) = &**shared;
        let mut held = wake
            .wait_while(queue.lock().unwrap(), |held| !held.due && !held.closing)
            .unwrap();
        held.due = false;
        let waiting = std::mem::take(&mut held.waiting);
        let closing = held.closing;
        let runtime = held.runtime.take();
        drop(held);
        if closing {
            return;
        }
        buffer.clear();
        for _ in &waiting {
            buffer.extend_from_slice(&line);
        }
        file.write_all(&buffer).unwrap();
        file.sync_data().unwrap();
        runtime.unwrap().spawn(async move {
            for one in waiting {
                one.send(()).unwrap();
            }
        });
    }
}

fn bare_append(shared: Shared) -> impl Future<Output = ()> {
    let (sender, receiver) = oneshot::channel();
    let mut held = shared.0.lock().unwrap();
    held.waiting.push(sender);
    let first = !std::mem::replace(&mut held.deferred, true);
    let runtime = tokio::runtime::Handle::current();
    held.runtime = Some(runtime.clone());
    drop(held);
    if first {
        runtime.spawn(async move {
            let mut held = shared.0.lock().unwrap();
            (held.deferred, held.due) = (false, true);
            drop(held);
            shared.1.notify_one();
        });
    }
    async move { receiver.await.unwrap() }
}

fn bare(writers: usize, folder: &Path) -> Measured {
    let shared: Shared = Arc::default();
    let path = folder.join("bare.log");
    let thread = {
        let shared = Arc::clone(&shared);
        std::thread::spawn(move || bare_writer(&shared, &path))
    };
    let asked = Arc::clone(&shared);
    let measured = measure(writers, move || bare_append(Arc::clone(&asked)));
    shared.0.lock().unwrap().closing = true;
    shared.1.notify_one();
    thread.join().unwrap();
    measured
}

fn journal(writers: usize, engine: &Arc<FilesEngine>) -> Measured {
    let engine = Arc::clone(engine);
    // seq, ts, kind and h take 98 bytes of the line once seq has six digits.
    let padding = "x".repeat(LINE_BYTES - 98);
    let at = chrono::Utc::now();
    measure(writers, move || {
        let mut lines = Lines::with_capacity(1, LINE_BYTES);
        lines.push("thing.happened", at, |out| {
            out.extend_from_slice(b"\"p\":\"");
            out.extend_from_slice(padding.as_bytes());
            out.push(b'"');
        });
        let waiting = engine.append("bench", Expect::Any, None, lines, None);
        async move {
            waiting.await.unwrap();
        }
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn at(times: &[Duration], percent: usize) -> f64 {
    let place = times.len() * percent / 100;
    times[place.min(times.len() - 1)].as_secs_f64() * 1e3
}

fn main() {
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap();
    let engine = FilesEngine::open(
        FilesSettings::new(folder.path()),
        Arc::new(RealFiles),
        Arc::new(SystemClock::new()),
    )
    .unwrap();
    let options = StreamOptions {
        durability: Durability::Always,
        segment_bytes: 64 << 20,
        segment_age: Duration::from_hours(24),
    };
    engine.open("bench", options).unwrap();
    let engine = Arc::new(engine);
    for writers in [WRITERS, 1] {
        let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let mut shares = [const { Vec::new() }; 4];
        for _ in 0..ROUNDS {
            let loop_ = bare(writers, folder.path());
            let kept = journal(writers, &engine);
            ratios.push(kept.rate / loop_.rate);
            for (to, value) in shares.iter_mut().zip([
                at(&kept.times, 50),
                at(&kept.times, 99),
                at(&loop_.times, 50),
                at(&loop_.times, 99),
            ]) {
                to.push(value);
            }
            ours.push(kept.rate);
            theirs.push(loop_.rate);
        }
        let [p50, p99, bare50, bare99] = shares.map(median);
        println!(
            "{writers:>2} writers: journal {:>7.0} lines/s (p50 {p50:.2} ms, p99 {p99:.2} ms), \
             bare loop {:>7.0} (p50 {bare50:.2}, p99 {bare99:.2}), ratio {:.2}",
            median(ours),
            median(theirs),
            median(ratios)
        );
    }
    engine.close();
}
