//! Alerts: who is told what, when, by which channel, and that it arrives.

pub mod model;
