//! Floor 0: values only. No I/O, no async, no clock.

pub mod calendar;
pub mod digits;
pub mod escape;
pub mod hex;
pub mod json;
pub mod labels;
pub mod money;
pub mod names;
pub mod problems;
pub mod secret;
pub mod time;
