//! Pages of metrics, asked for again and again: counters become rows of what was added since the
//! last look.

mod matcher;

pub use matcher::{Matcher, MatcherFault};
