//! Experiments through their routes, on both engines: assignment, exposures, events, batches.

mod assign;
mod batch;
mod bench;
mod checkpoint;
mod log;
