//! What works with Alertmanager works with us: its API and its webhook on a stepped clock, and the
//! real Prometheus, amtool and Alertmanager against the real program.

mod holds;
mod messages;
mod programs;
mod shapes;
mod told;
