//! Floor 3: machinery that knows no capability.

pub mod config;
pub mod http;
pub mod wiring;
