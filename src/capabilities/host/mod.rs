//! Host: how the machine is, every 3 minutes, and which of its figures are too bad. Reads
//! `configs/host.json`.
//!
//! Formulas:
//! - rates are differences of counters over monotonic time; a counter that went back says nothing;
//! - a warning is raised by so many bad readings in a row and cleared by so many good ones, with
//!   two thresholds ([`logic::judge`]); an unknown figure does neither;
//! - a disk is full in `room ÷ loss per hour`, by a line of least squares ([`forecast`]).

pub mod config;
pub mod forecast;
pub mod logic;
pub mod model;

#[cfg(test)]
mod tests;
