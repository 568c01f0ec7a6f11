//! Intake: where samples of success and latency come from. Access logs that are followed while
//! they are written and rotated, metrics that are scraped, samples that callers push, and the
//! daemon's own requests. All of them end as rows of counts by minute and series.
//!
//! Reading a line allocates nothing and keeps nothing of it: no path, address or agent is stored.
//! What is broken is counted and passed over; nothing in a log can end the daemon.

pub mod access;
mod api;
mod asking;
pub mod config;
pub mod decimal;
mod follow;
pub mod format;
pub mod instant;
pub mod line;
pub mod ndjson;
mod own;
mod push;
pub mod rules;
pub mod scrape;
pub mod select;
pub mod status;
pub mod tail;
pub mod watch;

#[cfg(test)]
mod tests;

pub use watch::Intake;
