//! Floor 3: machinery that knows no capability.

pub mod alerts;
pub mod auth;
pub mod changes;
pub mod config;
pub mod executor;
pub mod exposure;
pub mod hands;
pub mod health;
pub mod holds;
pub mod http;
pub mod lifecycle;
pub mod limits;
pub mod progress;
pub mod samples;
pub mod scheduler;
pub mod secrets;
pub mod standing;
pub mod switches;
pub mod telemetry;
pub mod watchdog;
pub mod webhooks;
pub mod wiring;
