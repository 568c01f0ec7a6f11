//! Pages of metrics, asked for again and again: counters become rows of what was added since the
//! last look.

mod counters;
mod matcher;
pub mod text;

pub use counters::{Counters, Looked};
pub use matcher::{Matcher, MatcherFault};

#[cfg(test)]
mod tests;
