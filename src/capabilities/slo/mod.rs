//! SLOs: what was promised, how much of it is used up, and when that must wake somebody.
//!
//! Reads `configs/slo.json`; sole writer of `logs/slo.ndjson`. Samples come in by [`intake`].
//!
//! Formulas, with `allowed = 1 − target`:
//! - burn of a window = bad ÷ requests ÷ allowed;
//! - a rule's factor = spent share × period ÷ long window, and it fires while its long and its
//!   short window both burn faster ([`burn`]);
//! - budget = requests of the period × allowed; consumed = bad ÷ budget ([`budget`]).

pub mod budget;
pub mod burn;
pub mod event;
pub mod excluded;
pub mod intake;
pub mod logic;
pub mod model;
pub mod outlook;
pub mod recorded;
pub mod text;

#[cfg(test)]
mod tests;
