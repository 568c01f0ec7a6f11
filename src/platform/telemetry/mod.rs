//! What the process tells about itself: metrics for machines, logging for people.

mod http;

pub use http::{HttpMetrics, LATENCY_BOUNDS_US, Refusal, RowCounts};
