//! Counts of the HTTP server: plain atomics, found by row number, so that counting costs no
//! look-up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::platform::samples::{BUCKETS, Histogram, bound_of, bucket_of};

/// Upper bounds of the latency buckets, in microseconds: from a cached answer to the longest wait
/// that a request is allowed (rule H1).
pub const LATENCY_BOUNDS_US: [u64; 12] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000, 10_000_000,
];

/// Counts of one row of the table.
#[derive(Debug, Default)]
pub struct RowCounts {
    /// Answers by first digit of their status, 1 to 5.
    pub classes: [AtomicU64; 5],
    /// Answers by latency; the last is for those over every bound.
    pub latency: [AtomicU64; LATENCY_BOUNDS_US.len() + 1],
    /// Sum of latencies, in microseconds.
    pub latency_sum_us: AtomicU64,
}

/// Why a request or a connection was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Too many connections in all, or of one address.
    Connections,
    /// Too many requests in work.
    Work,
    /// A rate limit.
    Rate,
    /// Too many wrong keys.
    Auth,
}

/// Counts of the server.
#[derive(Debug, Default)]
pub struct HttpMetrics {
    rows: Vec<RowCounts>,
    /// Requests that found no row.
    unmatched: RowCounts,
    /// Open connections.
    pub connections: AtomicU64,
    /// Connections accepted since the start.
    pub accepted: AtomicU64,
    /// Requests being worked on.
    pub in_work: AtomicU64,
    /// Bytes of bodies sent.
    pub body_bytes_sent: AtomicU64,
    /// Bytes that sockets have taken, heads included.
    pub bytes_sent: AtomicU64,
    /// Handlers that panicked.
    pub panics: AtomicU64,
    refused: [AtomicU64; 4],
    own: OwnRequests,
}

/// The requests that say how well the daemon serves, for its own objectives: those that found a row
/// and are no probe of it.
#[derive(Debug, Default)]
struct OwnRequests {
    /// Whether the requests of a row count.
    counted: Vec<bool>,
    /// How many there were by bucket of duration, since they were last taken.
    durations: Vec<AtomicU64>,
    /// How many of them failed by our fault.
    bad: AtomicU64,
}

impl OwnRequests {
    fn count(&self, row: Option<usize>, status: u16, took_us: u64) {
        if !row.is_some_and(|row| self.counted.get(row).copied().unwrap_or(false)) {
            return;
        }
        if status >= 500 {
            // Before the request itself: whoever takes both in between sees no bad one too few.
            self.bad.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(bucket) = self.durations.get(usize::from(bucket_of(took_us))) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl HttpMetrics {
    /// Counts for a table of so many rows.
    pub fn new(rows: usize) -> Self {
        Self {
            rows: std::iter::repeat_with(RowCounts::default)
                .take(rows)
                .collect(),
            ..Self::default()
        }
    }

    /// Counts the requests of these rows as the daemon's own, see [`HttpMetrics::take_own`].
    #[must_use]
    pub fn counting_own(mut self, counted: Vec<bool>) -> Self {
        self.own.counted = counted;
        self.own.durations.resize_with(BUCKETS, AtomicU64::default);
        self
    }

    /// The daemon's own requests since this was last asked: their durations, and how many failed by
    /// our fault.
    pub fn take_own(&self) -> (Histogram, u64) {
        let mut durations = Histogram::default();
        for (bucket, count) in (0_u16..).zip(&self.own.durations) {
            if count.load(Ordering::Relaxed) == 0 {
                continue;
            }
            durations.add_bucket(bucket, count.swap(0, Ordering::Relaxed));
            // The greatest is known by its bucket only.
            durations.raise_max(bound_of(bucket + 1).saturating_sub(1));
        }
        (durations, self.own.bad.swap(0, Ordering::Relaxed))
    }

    /// Counts one answer.
    pub fn answered(&self, row: Option<usize>, status: u16, took: Duration, body_bytes: u64) {
        let counts = row
            .and_then(|row| self.rows.get(row))
            .unwrap_or(&self.unmatched);
        if let Some(class) = counts
            .classes
            .get(usize::from(status / 100).wrapping_sub(1))
        {
            class.fetch_add(1, Ordering::Relaxed);
        }
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.own.count(row, status, took);
        let place = LATENCY_BOUNDS_US.iter().position(|bound| took <= *bound);
        if let Some(bucket) = counts.latency.get(place.unwrap_or(LATENCY_BOUNDS_US.len())) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        counts.latency_sum_us.fetch_add(took, Ordering::Relaxed);
        self.body_bytes_sent
            .fetch_add(body_bytes, Ordering::Relaxed);
    }

    /// Counts one refusal.
    pub fn refuse(&self, why: Refusal) {
        self.refused[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many were refused for this reason.
    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused[why as usize].load(Ordering::Relaxed)
    }

    /// Counts by row number; `None` for requests that found no row.
    pub fn rows(&self) -> impl Iterator<Item = (Option<usize>, &RowCounts)> {
        let matched = self
            .rows
            .iter()
            .enumerate()
            .map(|(index, counts)| (Some(index), counts));
        matched.chain(std::iter::once((None, &self.unmatched)))
    }
}
