//! The store of samples: what is counted stays counted, once, over restarts, kills, torn lines and
//! closings, and is held against a plain list of everything that was handed over.

mod lines;
mod tiers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use echopilot::platform::samples::{Counts, Histogram, Rows, STREAM, Samples, TIERS, minute_of};
use echopilot::seams::clock::{Clock, ManualClock};
use echopilot::seams::files::{Fault, How, Op};
use echopilot::storage::engine::{Durability, Engine, Mark, StreamOptions};
use echopilot::storage::memory::MemoryEngine;
use serde_json::{Value, json};

use crate::storage::support::{Place, until};

const OPTIONS: StreamOptions = StreamOptions {
    durability: Durability::Always,
    segment_bytes: 64 << 20,
    segment_age: Duration::from_hours(24),
};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

/// A store on a stepped clock, and everything that it was given.
struct Lab {
    clock: Arc<ManualClock>,
    engine: Arc<dyn Engine>,
    runtime: tokio::runtime::Runtime,
    samples: Samples,
    told: BTreeMap<(String, u32), (Counts, Histogram)>,
}

impl Lab {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(at("2026-11-21T09:15:20Z")));
        let wall: Arc<dyn Clock> = Arc::clone(&clock) as _;
        Self::on(Arc::new(MemoryEngine::new(wall)), clock)
    }

    fn on(engine: Arc<dyn Engine>, clock: Arc<ManualClock>) -> Self {
        let samples = open(&engine, &clock);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        Self {
            clock,
            engine,
            runtime,
            samples,
            told: BTreeMap::new(),
        }
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn ago(&self, minutes: i64) -> DateTime<Utc> {
        self.now() - TimeDelta::minutes(minutes)
    }

    /// Rows with one sample, taken into the list as well.
    fn rows(&mut self, series: &str, ago: i64, bad: u64, micros: u64) -> Rows {
        let (when, mut rows) = (self.ago(ago), Rows::new());
        rows.add(series, when, 1, bad, Some(micros));
        let told = self.told.entry((series.to_owned(), minute_of(when)));
        let (counts, durations) = told.or_default();
        counts.add(Counts { total: 1, bad });
        durations.add(micros, 1);
        rows
    }

    fn commit(&self, rows: Rows, position: Option<Value>, id: Option<&str>) -> bool {
        let committing = self.samples.commit("test", rows, position, id);
        self.runtime.block_on(committing).unwrap().repeated
    }

    fn flushed(&self) {
        self.runtime.block_on(self.samples.flushed()).unwrap();
    }

    fn close_hours(&self) -> bool {
        self.runtime.block_on(self.samples.close_hours()).unwrap()
    }

    /// The next life of the store, after a kill: nothing is closed.
    fn killed(&mut self) {
        self.samples = open(&self.engine, &self.clock);
    }

    fn restarted(&mut self) {
        self.samples.close();
        self.killed();
    }

    /// The next life without a checkpoint.
    fn without_checkpoint(&mut self) {
        let name = format!("{STREAM}.counts.view");
        self.engine.save_derived(&name, b"damaged").unwrap();
        self.killed();
    }

    fn total(&self, series: &str) -> Counts {
        let until = self.now() + TimeDelta::days(1);
        self.samples.counts(series, DateTime::UNIX_EPOCH, until)
    }

    fn told(&self, series: &str) -> Counts {
        let mut sum = Counts::default();
        let own = self.told.iter().filter(|((name, _), _)| name == series);
        own.for_each(|(_, (counts, _))| sum.add(*counts));
        sum
    }

    /// Own lines of a journal.
    fn lines(&self, stream: &str) -> Vec<Value> {
        let mut lines = Vec::new();
        let scan = self.engine.scan(stream, &Mark::default(), &mut |chunk| {
            let texts = chunk.bytes.split(|byte| *byte == b'\n');
            lines.extend(texts.filter_map(|text| serde_json::from_slice::<Value>(text).ok()));
            std::ops::ControlFlow::Continue(())
        });
        scan.unwrap();
        lines
    }
}

fn open(engine: &Arc<dyn Engine>, clock: &Arc<ManualClock>) -> Samples {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    Samples::open(engine, &clock, |_| OPTIONS).unwrap()
}

/// Numbers without a pattern, the same in each run.
fn noise(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

#[test]
fn what_is_added_is_visible_at_once_and_written_when_its_age_has_come() {
    let mut lab = Lab::new();
    let rows = lab.rows("web", 0, 1, 900);
    lab.samples.add("own", rows);
    assert_eq!(lab.total("web"), Counts { total: 1, bad: 1 });
    assert_eq!(
        lab.samples.first_minute("web"),
        Some(at("2026-11-21T09:15:00Z"))
    );
    assert_eq!(lab.samples.series()[0].source.as_ref(), "own");
    assert!(lab.lines(STREAM).is_empty());
    lab.flushed();
    let rows = lab.rows("web", 0, 0, 800);
    lab.samples.add("own", rows);
    let hour = lab.samples.durations("web", lab.ago(60), lab.now());
    assert_eq!((hour.count(), hour.max()), (2, Some(900)));
    assert_eq!(
        lab.samples.slower("web", 850, lab.ago(60), lab.now()).bad,
        1
    );
    assert_eq!(lab.lines(STREAM).len(), 1);
    // What was not written yet is what a kill may take.
    lab.killed();
    assert_eq!(lab.total("web"), Counts { total: 1, bad: 1 });
}

#[test]
fn each_source_has_its_own_flush_age() {
    let mut lab = Lab::new();
    lab.samples.flush_every("probes", Duration::from_mins(1));
    let (fast, slow) = (lab.rows("web", 0, 0, 5), lab.rows("probe:home", 0, 0, 5));
    lab.samples.add("own", fast);
    lab.samples.add("probes", slow);
    let stop = tokio_util::sync::CancellationToken::new();
    let running = lab.samples.clone().run(stop.clone());
    let mut sources = Vec::new();
    lab.runtime.block_on(async {
        let mut running = std::pin::pin!(running);
        for _ in 0..61 {
            assert!(futures_util::poll!(&mut running).is_pending());
            lab.clock.advance(Duration::from_secs(1));
            assert!(futures_util::poll!(&mut running).is_pending());
            sources.push(lab.lines(STREAM).len());
        }
        stop.cancel();
        running.await;
    });
    assert_eq!((sources[0], sources[58], sources[60]), (1, 1, 2));
    assert_eq!(lab.lines(STREAM)[1]["source"], "probes");
}

#[test]
fn rows_and_position_are_committed_together_or_not_at_all() {
    let mut lab = Lab::new();
    for step in 0..5_u64 {
        let rows = lab.rows("nginx", 1, 0, 100 * step);
        assert!(!lab.commit(rows, Some(json!({"inode": 7, "offset": step})), None));
        if step % 2 == 0 {
            lab.killed();
        }
        assert_eq!(
            lab.samples.position("test"),
            Some(json!({"inode": 7, "offset": step}))
        );
        assert_eq!(lab.total("nginx"), lab.told("nginx"));
    }
    lab.restarted();
    assert_eq!(lab.samples.position("test").unwrap()["offset"], 4);
    assert_eq!(lab.samples.position("other"), None);
}

#[test]
fn an_id_counts_once_over_restarts() {
    let mut lab = Lab::new();
    let rows = lab.rows("jobs", 0, 0, 5);
    assert!(!lab.commit(rows.clone(), None, Some("push-1")));
    assert!(lab.commit(rows.clone(), None, Some("push-1")));
    lab.killed();
    assert!(lab.samples.seen("push-1") && !lab.samples.seen("push-2"));
    assert!(lab.commit(rows.clone(), None, Some("push-1")));
    lab.restarted();
    assert!(lab.commit(rows.clone(), None, Some("push-1")));
    assert_eq!(lab.total("jobs").total, 1);
    // Ids are remembered up to a bound.
    for number in 0..16_384 {
        lab.commit(Rows::new(), None, Some(&format!("more-{number}")));
    }
    assert!(!lab.samples.seen("push-1") && lab.samples.seen("more-0"));
}

#[test]
fn samples_of_the_far_future_are_refused_and_of_the_past_are_not() {
    let mut lab = Lab::new();
    let (now, mut rows) = (lab.now(), Rows::new());
    rows.add("a", now + TimeDelta::minutes(5), 2, 0, None);
    rows.add("a", now + TimeDelta::minutes(6), 3, 0, None);
    rows.add("a", now - TimeDelta::days(200), 5, 1, None);
    rows.add("a", now - TimeDelta::days(10), 7, 1, None);
    assert_eq!(lab.samples.add("own", rows.clone()), 3);
    let committing = lab.samples.commit("own", rows, None, None);
    assert_eq!(lab.runtime.block_on(committing).unwrap().refused, 3);
    assert_eq!(lab.samples.gauges().refused, 6);
    lab.restarted();
    assert_eq!(lab.total("a"), Counts { total: 28, bad: 4 });
    let window = lab.samples.counts("a", lab.ago(15 * 24 * 60), lab.now());
    assert_eq!(window.total, 14);
}

#[test]
fn rows_wait_while_storage_refuses_and_are_written_later() {
    let place = Place::new();
    let clock = Arc::new(ManualClock::at(at("2026-11-21T09:15:20Z")));
    let engine: Arc<dyn Engine> = Arc::new(place.engine_by(Arc::clone(&clock) as _));
    let mut lab = Lab::on(engine, clock);
    place.files.fail(Fault {
        op: Op::Write,
        at: 1,
        forever: true,
        how: How::Enospc,
    });
    let rows = lab.rows("web", 0, 0, 5);
    lab.samples.add("own", rows.clone());
    assert!(lab.runtime.block_on(lab.samples.flushed()).is_err());
    let refused = lab.samples.commit("tail", rows, Some(json!(1)), Some("x"));
    assert!(lab.runtime.block_on(refused).is_err());
    let waiting = lab.samples.gauges().pending_rows;
    assert_eq!((lab.total("web").total, waiting), (1, 1));
    assert!(lab.samples.position("tail").is_none() && !lab.samples.seen("x"));
    place.files.heal();
    until("storage takes lines again", || {
        lab.clock.advance(Duration::from_secs(5));
        lab.runtime.block_on(lab.samples.flushed()).is_ok()
            && lab.samples.gauges().pending_rows == 0
    });
    lab.samples.close();
    lab.killed();
    assert_eq!(lab.total("web").total, 1);
}
