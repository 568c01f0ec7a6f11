//! Experiments: who sees which variant, and what they did.
//!
//! Reads `configs/experiments.json`; sole writer of `logs/experiments.ndjson`. The variant is
//! computed, never stored ([`model::assign`]); the first assignment of a user to a variant is a
//! line, and so is every event. Counts and users are exact and held in memory as a view of the
//! journal ([`view`]); statistics are not done here.
//!
//! Decisions that callers meet:
//! - A draft or stopped experiment answers 409 to assign and to log; its counts stay listed.
//! - An event whose variant is not the one its user is assigned is written: an application may log
//!   late, after the split has changed. Results go by the exposure.
//! - An `id` is remembered for at least 500,000 newer ids, across restarts too.
//! - Where storage refuses an exposure, the assignment is answered all the same, with the header
//!   `X-Echopilot-Degraded`, and recorded at the user's next one.

pub mod api;
pub mod assign;
mod batch;
pub mod body;
pub mod config;
mod errors;
pub mod event;
pub mod fingerprint;
pub mod ids;
pub mod list;
pub mod logic;
pub mod model;
pub mod query;
pub mod record;
pub mod refusal;
mod running;
pub mod service;
pub mod users;
pub mod view;

#[cfg(test)]
mod tests;

pub use config::ExperimentsConfig;
pub use running::DESCRIPTOR;
pub use service::Experiments;
