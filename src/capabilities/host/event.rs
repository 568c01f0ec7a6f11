//! What is written to `logs/ops_sentinel.ndjson`. Version 1; old lines stay readable for ever.
//!
//! `host.measured {warnings, …readings, unknown, watches}`, once a run. `warnings` is the list that
//! others rely on; `watches` holds, for each warning that is raised or on its way, how far it has
//! come, so that a new process goes on where the old one was. A reading that could not be had is
//! left out and named in `unknown`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::logic;
use super::model::{Figure, Forecast, Key, Rates, Warning, Watch, Watches};
use crate::seams::host::{ClockSync, Reading, UnitState};

/// Name of the journal.
pub const STREAM: &str = "ops_sentinel";
/// Kind of its lines.
pub const MEASURED: &str = "host.measured";

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What is too bad, by the fixed words.
    pub warnings: Vec<String>,
    /// What was read.
    #[serde(flatten)]
    pub readings: Readings,
    /// How far warnings have come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watches: Vec<WatchLine>,
}

/// A line as it is read back.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub(super) seq: u64,
    pub(super) ts: DateTime<Utc>,
    pub(super) kind: String,
    #[serde(flatten)]
    pub(super) measured: Measured,
}

/// What was read in one run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Readings {
    /// Seconds over which rates are means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_secs: Option<f64>,
    /// Processors in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Processor time that was not idle, in percent of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// Time that was idle but for waiting for disks, in percent of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iowait_percent: Option<f64>,
    /// Time taken by other machines on the same hardware, in percent of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steal_percent: Option<f64>,
    /// Mean run queue of 1 minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load1: Option<f64>,
    /// Mean run queue of 5 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load5: Option<f64>,
    /// Mean run queue of 15 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load15: Option<f64>,
    /// Memory that cannot be had any more, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ram_percent: Option<f64>,
    /// All memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ram_total_bytes: Option<u64>,
    /// Swap in use, in percent; left out where there is no swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_percent: Option<f64>,
    /// Time in which a task waited for a processor, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pressure_cpu_percent: Option<f64>,
    /// Time in which a task waited for memory, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pressure_memory_percent: Option<f64>,
    /// Time in which a task waited for a disk, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pressure_io_percent: Option<f64>,
    /// Bytes a second from disks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_read_bytes_per_sec: Option<f64>,
    /// Bytes a second to disks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_write_bytes_per_sec: Option<f64>,
    /// Bytes a second from the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_in_bytes_per_sec: Option<f64>,
    /// Bytes a second to the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_out_bytes_per_sec: Option<f64>,
    /// Handles of the machine in use, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fds_percent: Option<f64>,
    /// Handles of echopilot in use, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_fds_percent: Option<f64>,
    /// File systems, by the folder they are watched under.
    pub volumes: BTreeMap<String, VolumeLine>,
    /// Units, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub units: BTreeMap<String, UnitLine>,
    /// Whether the clock is synchronised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_synced: Option<bool>,
    /// Processes ended for want of memory since the machine started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_kills: Option<u64>,
    /// Which run of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// What could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// A file system; empty where it did not answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VolumeLine {
    /// Room in use, in percent, as `df` reckons it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_percent: Option<f64>,
    /// Bytes that programs can still have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_bytes: Option<u64>,
    /// Inodes in use, in percent; left out where their number is not fixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inodes_percent: Option<f64>,
    /// Hours until it is full if it goes on like this; left out where it is not filling, or where
    /// there are too few readings to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_in_hours: Option<f64>,
}

/// A unit of systemd.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UnitLine {
    /// `active`, `changing`, `failed`, `inactive`, `missing` or `unknown`.
    pub state: String,
    /// systemd's own words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub said: String,
    /// Restarts by systemd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u64>,
    /// Memory its processes are charged with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Memory of its main process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub main_resident_bytes: Option<u64>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<u64>,
}

/// A warning that is raised or on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchLine {
    /// Its word.
    pub warning: String,
    /// Of what.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub of: String,
    /// Bad readings in a row, while it is not raised.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bad: u32,
    /// Good readings in a row, while it is raised.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub good: u32,
    /// When the row of bad readings began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime<Utc>>,
    /// When it was raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// The figure in this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Where the warning is raised.
    #[serde(default)]
    pub warn: f64,
    /// Where it is cleared.
    #[serde(default)]
    pub clear: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl WatchLine {
    /// The warning; `None` for a word of a later version.
    pub fn key(&self) -> Option<Key> {
        let warning = Warning::from_word(&self.warning)?;
        Some(Key::of(warning, &self.of))
    }

    /// How far it has come.
    pub const fn watch(&self) -> Watch {
        Watch {
            bad: self.bad,
            good: self.good,
            from: self.from,
            since: self.since,
        }
    }
}

/// Two digits behind the point: what is shown, and what a line takes.
fn short(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The same without any: bytes a second.
fn whole(value: f64) -> f64 {
    value.round()
}

impl Readings {
    /// What is written of a reading.
    pub fn of(
        reading: &Reading,
        rates: &Rates,
        over_secs: Option<f64>,
        forecasts: &BTreeMap<String, Forecast>,
    ) -> Self {
        let used = |handles: Option<crate::seams::host::Handles>| {
            let found = handles.and_then(|h| logic::percent(h.open, h.most));
            found.map(short)
        };
        let mut readings = Self {
            over_secs: over_secs.map(short),
            cpus: reading.cpus,
            cpu_percent: rates.cpu_percent.map(short),
            iowait_percent: rates.iowait_percent.map(short),
            steal_percent: rates.steal_percent.map(short),
            load1: reading.load.map(|load| load.one),
            load5: reading.load.map(|load| load.five),
            load15: reading.load.map(|load| load.fifteen),
            ram_percent: logic::ram(reading).map(short),
            ram_total_bytes: reading.memory.map(|memory| memory.total),
            swap_percent: logic::swap(reading).map(short),
            pressure_cpu_percent: rates.pressure_cpu_percent.map(short),
            pressure_memory_percent: rates.pressure_memory_percent.map(short),
            pressure_io_percent: rates.pressure_io_percent.map(short),
            disk_read_bytes_per_sec: rates.disk_read.map(whole),
            disk_write_bytes_per_sec: rates.disk_write.map(whole),
            net_in_bytes_per_sec: rates.net_in.map(whole),
            net_out_bytes_per_sec: rates.net_out.map(whole),
            fds_percent: used(reading.handles),
            own_fds_percent: used(reading.own_handles),
            volumes: volumes(reading, forecasts),
            units: units(reading),
            clock_synced: match reading.clock {
                ClockSync::Synced => Some(true),
                ClockSync::Unsynced => Some(false),
                ClockSync::Unknown => None,
            },
            oom_kills: reading.oom_kills,
            boot_id: reading.boot_id.clone(),
            unknown: Vec::new(),
        };
        readings.unknown = unknown(&readings);
        readings
    }
}

fn volumes(
    reading: &Reading,
    forecasts: &BTreeMap<String, Forecast>,
) -> BTreeMap<String, VolumeLine> {
    let line = |(mount, volume): (&String, &Option<_>)| {
        let full = match forecasts.get(mount) {
            Some(Forecast::Hours(hours)) => Some(short(*hours)),
            _ => None,
        };
        let line = volume.map_or_else(VolumeLine::default, |v: crate::seams::host::Volume| {
            VolumeLine {
                used_percent: logic::disk(v).map(short),
                available_bytes: Some(v.available),
                inodes_percent: logic::inodes(v).map(short),
                full_in_hours: full,
            }
        });
        (mount.clone(), line)
    };
    reading.volumes.iter().map(line).collect()
}

fn units(reading: &Reading) -> BTreeMap<String, UnitLine> {
    let each = reading.units.iter().map(|(name, unit)| {
        let state = match unit.state {
            UnitState::Active => "active",
            UnitState::Changing => "changing",
            UnitState::Failed => "failed",
            UnitState::Inactive => "inactive",
            UnitState::Missing => "missing",
            UnitState::Unknown => "unknown",
        };
        let line = UnitLine {
            state: state.to_owned(),
            said: unit.said.clone(),
            restarts: unit.restarts,
            memory_bytes: unit.memory,
            main_resident_bytes: unit.main_resident,
            tasks: unit.tasks,
        };
        (name.clone(), line)
    });
    each.collect()
}

/// What could not be read, by name. What a machine need not have, swap and fixed inodes, is not
/// missed.
fn unknown(readings: &Readings) -> Vec<String> {
    let known = [
        ("cpu", readings.cpu_percent.is_some()),
        ("load", readings.load5.is_some()),
        ("ram", readings.ram_percent.is_some()),
        ("pressure_cpu", readings.pressure_cpu_percent.is_some()),
        (
            "pressure_memory",
            readings.pressure_memory_percent.is_some(),
        ),
        ("pressure_io", readings.pressure_io_percent.is_some()),
        ("disk_bytes", readings.disk_read_bytes_per_sec.is_some()),
        ("net_bytes", readings.net_in_bytes_per_sec.is_some()),
        ("fds", readings.fds_percent.is_some()),
        ("own_fds", readings.own_fds_percent.is_some()),
        ("oom", readings.oom_kills.is_some()),
        ("clock", readings.clock_synced.is_some()),
    ];
    let missing = known.iter().filter(|(_, known)| !known);
    let mut names: Vec<String> = missing.map(|(name, _)| (*name).to_owned()).collect();
    for (mount, volume) in &readings.volumes {
        if volume.used_percent.is_none() {
            names.push(format!("disk:{mount}"));
        }
    }
    for (name, unit) in &readings.units {
        if unit.state == "unknown" {
            names.push(format!("unit:{name}"));
        }
    }
    names
}

/// The raised warnings by their words, each once and in the fixed order; and all watches.
pub(super) fn listed(watches: &Watches, figures: &[Figure]) -> (Vec<String>, Vec<WatchLine>) {
    let mut warnings = Vec::new();
    let mut lines = Vec::new();
    for (key, watch) in watches {
        if watch.since.is_some() {
            let word = key.listed();
            if !warnings.contains(&word) {
                warnings.push(word);
            }
        }
        let Some(figure) = figures.iter().find(|figure| figure.key == *key) else {
            continue;
        };
        lines.push(WatchLine {
            warning: key.warning.word().to_owned(),
            of: key.of.clone(),
            bad: watch.bad,
            good: watch.good,
            from: watch.from,
            since: watch.since,
            // A disk that is not filling is full in infinitely many hours: no number for a file.
            value: figure.value.filter(|value| value.is_finite()).map(short),
            warn: figure.rule.warn,
            clear: figure.rule.clear,
        });
    }
    (warnings, lines)
}
