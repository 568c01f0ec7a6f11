//! Samples: the one store for everything that is counted and timed, by minute and series.
//!
//! Whoever measures something (the daemon's own requests, a tailed access log, what is posted,
//! what is scraped, probes) hands over [`Rows`]; whoever judges (objectives, anomalies, reports)
//! asks for [`Counts`] and [`Histogram`]s of a span. Sole writer of `logs/samples.ndjson` and
//! `logs/samples_tiers.ndjson`, see `docs/samples.md`; what is in memory is a fold over both.
//! Never keeps a single sample, and never says what is good or bad.

mod closing;
mod histogram;
mod line;
mod metrics;
mod open;
mod pack;
mod pending;
mod query;
mod refill;
mod ring;
mod rows;
mod series;
mod shelf;
mod splits;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod tiers;

pub use histogram::{BUCKETS, Histogram, bound_of, bucket_of};
pub use line::{STREAM, TIERS};
pub use query::{Gauges, Minute, SeriesInfo};
pub use rows::{Counts, Row, Rows, minute_of, minute_start};
pub use splits::{Splits, VariantCount};
pub use store::{Committed, Committing, Samples};
