//! `/api/metrics/app` and `/public/metrics`: how much was asked and how much went wrong, in a
//! window of five minutes that rolls by the second, and in totals that survive a restart.
//!
//! The window comes from the server's own counters, looked at each second; the totals come from the
//! samples of the series [`REQUESTS`] and [`ASSISTANT`]. Looks at liveness and at these counters
//! are not counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::platform::http::{HotAnswer, Route, Routes, Scope, json};
use crate::platform::samples::{Counts, Samples};
use crate::platform::telemetry::Metrics;
use crate::platform::wiring::Wiring;
use crate::seams::clock::Clock;

/// Series of the daemon's own requests.
const REQUESTS: &str = "echopilot";
/// Series of the assistant's answers.
const ASSISTANT: &str = "assistant";
/// Routes of the assistant.
const ASSISTANT_PATH: &str = "/api/ai/";
/// Routes that watchers ask again and again.
const WATCHED: [&str; 6] = [
    "/livez",
    "/readyz",
    "/health",
    "/metrics",
    "/api/metrics/app",
    "/public/metrics",
];
/// Length of the rolling window.
const WINDOW: Duration = Duration::from_mins(5);
/// How often the counters are looked at.
const TICK: Duration = Duration::from_secs(1);

/// What was counted up to a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    requests: u64,
    errors: u64,
    ai_requests: u64,
}

/// The counters and what they were in the last five minutes.
#[derive(Debug)]
pub(super) struct AppMetrics {
    metrics: Metrics,
    samples: Samples,
    clock: Arc<dyn Clock>,
    /// Tallies by uptime, the oldest first; none older than the window but one.
    past: Mutex<VecDeque<(Duration, Tally)>>,
}

impl AppMetrics {
    pub(super) fn new(wiring: &Wiring) -> Self {
        Self {
            metrics: wiring.metrics.clone(),
            samples: wiring.samples.clone(),
            clock: Arc::clone(&wiring.clock),
            past: Mutex::default(),
        }
    }

    /// Looks at the counters each second until told to stop.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            self.look();
            let next = self.clock.sleep(TICK);
            if stop.run_until_cancelled(next).await.is_none() {
                return;
            }
        }
    }

    fn look(&self) {
        let (now, tally) = (self.clock.uptime(), self.tally());
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.push_back((now, tally));
        forget(&mut past, now);
    }

    /// What the server has counted since the start.
    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        let Some((table, counts)) = self.metrics.served() else {
            return tally;
        };
        for (row, counts) in counts.rows() {
            let path = row
                .and_then(|row| table.rows().get(row))
                .map(|row| row.path);
            if path.is_some_and(|path| WATCHED.contains(&path)) {
                continue;
            }
            let classes = counts.classes.each_ref();
            let classes = classes.map(|count| count.load(Ordering::Relaxed));
            let all: u64 = classes.iter().sum();
            tally.requests += all;
            tally.errors += classes[4];
            if path.is_some_and(|path| path.starts_with(ASSISTANT_PATH)) {
                tally.ai_requests += all;
            }
        }
        tally
    }

    /// What came in the window that ends now.
    fn window(&self) -> Tally {
        let (now, tally) = (self.clock.uptime(), self.tally());
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        forget(&mut past, now);
        let before = past.front().map_or(Tally::default(), |(_, tally)| *tally);
        Tally {
            requests: tally.requests - before.requests.min(tally.requests),
            errors: tally.errors - before.errors.min(tally.errors),
            ai_requests: tally.ai_requests - before.ai_requests.min(tally.ai_requests),
        }
    }

    /// Everything ever counted, as far as samples are kept.
    fn total(&self, series: &str) -> Counts {
        let until = self.clock.now() + chrono::TimeDelta::minutes(1);
        self.samples
            .counts(series, DateTime::<Utc>::UNIX_EPOCH, until)
    }

    fn reply(&self) -> AppReply {
        let (window, requests) = (self.window(), self.total(REQUESTS));
        AppReply {
            ok: true,
            status: "ok",
            uptime_seconds: self.clock.uptime().as_secs(),
            ai_requests_last_5m: window.ai_requests,
            ai_requests_total: self.total(ASSISTANT).total,
            requests_last_5m: window.requests,
            requests_total: requests.total,
            errors_last_5m: window.errors,
            errors_total: requests.bad,
            metrics_type: "rolling_window",
        }
    }

    /// The same as numbers by name.
    pub(super) fn numbers(&self) -> BTreeMap<String, f64> {
        let reply = self.reply();
        [
            ("app_requests_last_5m", reply.requests_last_5m),
            ("app_requests_total", reply.requests_total),
            ("app_errors_last_5m", reply.errors_last_5m),
            ("app_errors_total", reply.errors_total),
        ]
        .map(|(name, value)| (name.to_owned(), value as f64))
        .into()
    }
}

/// Drops what is older than the window, but keeps the newest of that: it is where the window began.
fn forget(past: &mut VecDeque<(Duration, Tally)>, now: Duration) {
    let Some(from) = now.checked_sub(WINDOW) else {
        return;
    };
    while past.get(1).is_some_and(|(at, _)| *at <= from) {
        past.pop_front();
    }
}

/// Answer of `GET /api/metrics/app`.
#[derive(Serialize, JsonSchema)]
struct AppReply {
    /// Always true.
    ok: bool,
    /// Always `ok`: who answers, lives. How the parts are: `/health`.
    status: &'static str,
    /// Seconds since the start.
    uptime_seconds: u64,
    /// Requests to the assistant in the last five minutes.
    ai_requests_last_5m: u64,
    /// Requests to the assistant since the first start.
    ai_requests_total: u64,
    /// Requests in the last five minutes.
    requests_last_5m: u64,
    /// Requests since the first start.
    requests_total: u64,
    /// Answers with a status of 500 or more in the last five minutes.
    errors_last_5m: u64,
    /// Answers with a status of 500 or more since the first start.
    errors_total: u64,
    /// How the window is made: it rolls by the second.
    metrics_type: &'static str,
}

/// The rows of the route table.
pub(super) fn routes(metrics: &Arc<AppMetrics>) -> Routes {
    let row = |path, scope, about| {
        let own = Arc::clone(metrics);
        Route::get(path, scope, about)
            .gives::<AppReply>()
            .hot(Arc::new(move |_call| {
                let text = serde_json::to_string(&own.reply()).unwrap_or_default();
                HotAnswer::Now(Ok(json(text)))
            }))
    };
    vec![
        row(
            "/api/metrics/app",
            Scope::Read,
            "requests and errors: five minutes that roll, and totals over restarts",
        ),
        row(
            "/public/metrics",
            Scope::Public,
            "the same numbers for everybody",
        ),
    ]
}

#[test]
fn the_window_begins_where_it_should() {
    let at = |secs, requests| {
        let tally = Tally {
            requests,
            ..Tally::default()
        };
        (Duration::from_secs(secs), tally)
    };
    let mut past = VecDeque::from([at(0, 0), at(1, 5), at(2, 9), at(3, 9)]);
    forget(&mut past, WINDOW);
    assert_eq!(past.front(), Some(&at(0, 0)), "the first second is in it");
    forget(&mut past, Duration::from_secs(302));
    assert_eq!(past.front(), Some(&at(2, 9)));
    forget(&mut past, Duration::from_hours(3));
    assert_eq!(past.len(), 1, "where it began is kept");
}
