//! Floor 0: values only. No I/O, no async, no clock.

pub mod hex;
pub mod time;
