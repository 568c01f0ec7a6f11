//! What the process tells about itself: metrics for machines, logging for people.

mod http;
mod lines;
mod metrics;
mod page;

pub use http::{HttpMetrics, LATENCY_BOUNDS_US, Refusal, RowCounts};
pub use lines::{LogLines, LogStyle};
pub use metrics::{Families, Metrics};
pub use page::{Page, Spelling};
