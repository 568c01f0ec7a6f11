//! SLOs: what was promised, how much of it is used up, and when that must wake somebody.
//!
//! Samples come in by [`intake`].

pub mod intake;
