//! SLOs: what was promised, how much of it is used up, and when that must wake somebody.
//!
//! Reads `configs/slo.json`; sole writer of `logs/slo.ndjson` and `logs/slo_report.json`. Samples
//! come in by [`intake`]. Alerts are decided once a minute ([`guard`]), from whole minutes; the
//! task `slo-guard` writes the report. Alert events go to `platform::alerts`.
//!
//! Formulas, with `allowed = 1 − target`:
//! - burn of a window = bad ÷ requests ÷ allowed;
//! - a rule's factor = spent share × period ÷ long window, and it fires while its long and its
//!   short window both burn faster ([`burn`]);
//! - budget = requests of the period × allowed; consumed = bad ÷ budget ([`budget`]).

pub mod budget;
pub mod burn;
pub mod config;
pub mod days;
pub mod event;
pub mod excluded;
pub mod guard;
pub mod intake;
pub mod logic;
pub mod model;
pub mod outlook;
pub mod past;
pub mod recorded;
pub mod replay;
pub mod report;
pub mod rules;
pub mod text;
pub mod told;
pub mod view;

mod api;
mod findings;
mod running;
mod tasks;

#[cfg(test)]
mod tests;

pub use running::DESCRIPTOR;
