//! The door to the machine's own figures: processors, memory, pressure, disks, handles, clock and
//! the units of systemd. One call gives one [`Reading`].
//!
//! Whatever a machine does not tell is `None`, never zero: a container without pressure figures or
//! a machine without systemd must not look well because it says nothing.

mod commands;
mod fake;
mod parse;
mod real;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

pub use fake::FakeHost;
pub use real::RealHost;

/// What is to be looked at beside the figures that every machine has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Folders; the file system that holds each is measured.
    pub mounts: Vec<String>,
    /// Names of systemd units, such as `shop.service`.
    pub units: Vec<String>,
}

/// A reading to come.
pub type Looking<'a> = Pin<Box<dyn Future<Output = Reading> + Send + 'a>>;

/// The machine.
pub trait Host: Send + Sync + Debug + 'static {
    /// Reads everything once. Never fails and never hangs: what cannot be had in time is `None`.
    fn read(&self, wanted: Arc<Wanted>) -> Looking<'_>;
}

/// What the machine said at one moment. Counters run since the machine started.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// Which run of the machine: counters of two runs are not comparable.
    pub boot_id: Option<String>,
    /// Ticks of all processors together.
    pub cpu: Option<CpuTicks>,
    /// Processors in use.
    pub cpus: Option<u32>,
    /// Mean length of the run queue.
    pub load: Option<Load>,
    /// Time that somebody waited for a processor, in microseconds; for one of memory and of disks.
    pub pressure: Pressure,
    /// Memory and swap.
    pub memory: Option<Memory>,
    /// Processes that the kernel ended for want of memory.
    pub oom_kills: Option<u64>,
    /// File systems, by the folder they were asked for with.
    pub volumes: BTreeMap<String, Option<Volume>>,
    /// Open handles of the whole machine.
    pub handles: Option<Handles>,
    /// Open handles of this process.
    pub own_handles: Option<Handles>,
    /// Bytes read and written by all disks.
    pub disks: Option<Traffic>,
    /// Bytes received and sent by all network cards.
    pub network: Option<Traffic>,
    /// Whether the wall clock is held to the world's.
    pub clock: ClockSync,
    /// Units, by the name they were asked for with.
    pub units: BTreeMap<String, UnitReading>,
}

/// Processor time in ticks of 10 ms, by what it was spent on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTicks {
    /// Programs, also those with low priority.
    pub user: u64,
    /// The kernel, interrupts included.
    pub system: u64,
    /// Nothing to do.
    pub idle: u64,
    /// Nothing to do but wait for a disk. The kernel lets it go back now and then.
    pub iowait: u64,
    /// Taken by other machines on the same hardware.
    pub steal: u64,
}

/// Mean number of tasks that ran or wanted to, over 1, 5 and 15 minutes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Over 1 minute.
    pub one: f64,
    /// Over 5 minutes.
    pub five: f64,
    /// Over 15 minutes.
    pub fifteen: f64,
}

/// Microseconds since start in which at least one task waited for a resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pressure {
    /// For a processor.
    pub cpu: Option<u64>,
    /// For memory.
    pub memory: Option<u64>,
    /// For a disk.
    pub io: Option<u64>,
}

/// Memory in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// All there is.
    pub total: u64,
    /// What programs could still get without swapping.
    pub available: u64,
    /// All swap; 0 = none.
    pub swap_total: u64,
    /// Swap that is free.
    pub swap_free: u64,
}

/// A file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Volume {
    /// Bytes in use.
    pub used: u64,
    /// Bytes that programs without privilege can still have.
    pub available: u64,
    /// Inodes in use; 0 of 0 where the file system has no fixed number.
    pub inodes_used: u64,
    /// Inodes that are free.
    pub inodes_free: u64,
}

/// Handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handles {
    /// Open ones.
    pub open: u64,
    /// How many there may be.
    pub most: u64,
}

/// Bytes in two directions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Read or received.
    pub inward: u64,
    /// Written or sent.
    pub outward: u64,
}

/// Whether the wall clock is held to the world's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClockSync {
    /// It is.
    Synced,
    /// It runs free.
    Unsynced,
    /// Nobody here can say.
    #[default]
    Unknown,
}

/// What systemd and the unit's control group say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitReading {
    /// Its state.
    pub state: UnitState,
    /// systemd's own words, such as `failed (exit-code)`.
    pub said: String,
    /// Restarts by systemd since it was last started by hand.
    pub restarts: Option<u64>,
    /// Bytes that the control group is charged with.
    pub memory: Option<u64>,
    /// Bytes it may have at most; `None` without a bound.
    pub memory_most: Option<u64>,
    /// Microseconds of processor time since it was started.
    pub cpu_micros: Option<u64>,
    /// Processes and threads.
    pub tasks: Option<u64>,
    /// Processes of it that the kernel ended for want of memory, since it was started.
    pub oom_kills: Option<u64>,
    /// Bytes of its main process that are in memory.
    pub main_resident: Option<u64>,
}

/// Whether a unit runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnitState {
    /// It runs.
    Active,
    /// It is starting, stopping or reloading, as it may.
    Changing,
    /// It has failed, also when systemd is about to start it again.
    Failed,
    /// It is not running.
    Inactive,
    /// There is no such unit.
    Missing,
    /// Nobody here can say.
    #[default]
    Unknown,
}
