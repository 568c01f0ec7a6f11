//! Floor 4: what echopilot does, one folder per capability. [`ALL`] is the only list of them.

pub mod alerts;
pub mod anomalies;
pub mod autoscale;
pub mod backups;
pub mod costs;
pub mod experiments;
pub mod flags;
pub mod heartbeats;
pub mod host;
pub mod incidents;
pub mod keys;
pub mod logs;
pub mod probes;
pub mod replica;
pub mod slo;
pub mod support;
pub mod tasks;
pub mod upkeep;

use crate::platform::wiring::Descriptor;

/// Every capability, in the order they are built.
pub const ALL: &[Descriptor] = &[
    keys::DESCRIPTOR,
    flags::DESCRIPTOR,
    heartbeats::DESCRIPTOR,
    experiments::DESCRIPTOR,
    tasks::DESCRIPTOR,
    probes::DESCRIPTOR,
    slo::DESCRIPTOR,
    upkeep::DESCRIPTOR,
    anomalies::DESCRIPTOR,
    host::DESCRIPTOR,
    autoscale::DESCRIPTOR,
    incidents::DESCRIPTOR,
    support::DESCRIPTOR,
    alerts::DESCRIPTOR,
    costs::DESCRIPTOR,
    backups::DESCRIPTOR,
    logs::DESCRIPTOR,
    replica::DESCRIPTOR,
];
