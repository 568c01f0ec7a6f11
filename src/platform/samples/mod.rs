//! Samples: the one store for everything that is counted and timed, by minute and series.
//!
//! Whoever measures something (the daemon's own requests, a tailed access log, what is posted,
//! what is scraped, probes) hands over [`Rows`]; whoever judges (objectives, anomalies, reports)
//! asks for [`Counts`] and [`Histogram`]s of a span. Sole writer of `logs/samples.ndjson`.
//! Never keeps a single sample, and never says what is good or bad.

mod histogram;
mod rows;
mod state;
mod store;

pub use histogram::{BUCKETS, Histogram, bound_of, bucket_of};
pub use rows::{Counts, Row, Rows, minute_of, minute_start};
pub use store::{Committed, Committing, Minute, Samples, SeriesInfo};
