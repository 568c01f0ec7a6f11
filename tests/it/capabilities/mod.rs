//! Capabilities, by what a caller sees of them.

mod alertmanager;
mod alerts;
mod anomalies;
mod autoscale;
mod backups;
mod costs;
mod described;
mod experiments;
mod flags;
pub mod gate;
mod heartbeats;
mod host;
mod incidents;
mod key_care;
mod keys;
mod logs;
mod outbox;
mod probes;
mod retention;
mod slo;
mod support;
mod tasks;
mod upkeep;
