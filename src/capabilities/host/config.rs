//! `configs/host.json`: what is watched, and from where on a figure is too bad. Each section may be
//! left out, and each key of a section: the defaults stand in the shipped file.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use super::model::Rule;
use crate::base::json::{Path, Tree};
use crate::base::problems::Problems;
use crate::platform::config::{Config, schema_of, typed};
use crate::seams::host::Wanted;

/// Mounts at most, and units at most: each is asked for in every run.
const MOST_WATCHED: usize = 64;
/// Cycles at most: a day of readings at one every 3 minutes.
const MOST_CYCLES: u32 = 480;
/// Bytes of a unit's name at most (systemd.unit(5)).
const MOST_UNIT_NAME: usize = 255;
/// Percent at most of what may be more than all: a load, or memory beside `memory_mib`.
const MOST_PERCENT: f64 = 100_000.0;
/// Bytes of a MiB.
const MIB: u64 = 1024 * 1024;

/// The endings of names of units that run, or are in place, for long (systemd.unit(5)).
const UNIT_KINDS: [&str; 6] = [
    ".service", ".socket", ".mount", ".timer", ".slice", ".target",
];

/// A figure in percent, and when it is too high.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LimitConfig {
    /// Too high from here on, in percent.
    #[schemars(range(min = 0, max = 100_000))]
    warn_percent: Option<f64>,
    /// Well again from here downwards, in percent. Between the two the warning stays as it was.
    #[schemars(range(min = 0, max = 100_000))]
    clear_percent: Option<f64>,
    /// So many readings in a row raise the warning; one is taken every 3 minutes.
    #[schemars(range(min = 1, max = 480))]
    raise_cycles: Option<u32>,
    /// So many readings in a row clear it.
    #[schemars(range(min = 1, max = 480))]
    clear_cycles: Option<u32>,
}

/// When something that either is or is not becomes a warning.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CyclesConfig {
    /// So many readings in a row raise the warning; one is taken every 3 minutes.
    #[schemars(range(min = 1, max = 480))]
    raise_cycles: Option<u32>,
    /// So many readings in a row clear it.
    #[schemars(range(min = 1, max = 480))]
    clear_cycles: Option<u32>,
}

/// When a disk will be full.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DiskFullConfig {
    /// Too soon from here downwards, in hours.
    #[schemars(range(min = 1, max = 720))]
    warn_hours: Option<f64>,
    /// Well again from here on, in hours.
    #[schemars(range(min = 1, max = 720))]
    clear_hours: Option<f64>,
    /// The line is drawn through the readings of so many hours.
    #[schemars(range(min = 1, max = 72))]
    window_hours: Option<u32>,
    /// So many forecasts in a row raise the warning.
    #[schemars(range(min = 1, max = 480))]
    raise_cycles: Option<u32>,
    /// So many in a row clear it.
    #[schemars(range(min = 1, max = 480))]
    clear_cycles: Option<u32>,
}

/// A unit of systemd that is expected to run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UnitConfig {
    /// What `unit_memory` is held against, in MiB; by default the unit's own `MemoryMax`, and
    /// without one nothing is said of its memory.
    #[schemars(range(min = 1, max = 1_073_741_824))]
    memory_mib: Option<u64>,
}

/// What is watched of the machine, and from where on it is too bad.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(title = "echopilot: the watch over the machine")]
#[serde(deny_unknown_fields, default)]
struct HostConfig {
    /// Folders whose file systems are watched, as absolute paths. Default `["/"]`.
    #[schemars(length(max = 64))]
    mounts: Option<Vec<String>>,
    /// Units of systemd that are expected to run, by name, such as `shop.service`. Default: none.
    units: BTreeMap<String, UnitConfig>,
    /// Readings further apart are not "in a row", in seconds. Default 900.
    #[schemars(range(min = 60, max = 86_400))]
    gap_secs: Option<u32>,
    /// Busy processors, in percent of all. Default 90, clears at 75, 3 and 2 cycles.
    cpu: LimitConfig,
    /// Load of 5 minutes, in percent of the processors. Default 200, clears at 150, 3 and 2 cycles.
    load: LimitConfig,
    /// Memory that cannot be had any more. Default 90, clears at 80, 2 and 2 cycles.
    ram: LimitConfig,
    /// Swap in use. Default 80, clears at 60, 3 and 2 cycles.
    swap: LimitConfig,
    /// Time in which a task waited for a processor. Default 60, clears at 40, 3 and 2 cycles.
    pressure_cpu: LimitConfig,
    /// Time in which a task waited for memory. Default 10, clears at 5, 2 and 2 cycles.
    pressure_memory: LimitConfig,
    /// Time in which a task waited for a disk. Default 40, clears at 25, 3 and 2 cycles.
    pressure_io: LimitConfig,
    /// Room in use on each file system. Default 85, clears at 80, 1 and 1 cycle.
    disk: LimitConfig,
    /// Inodes in use on each file system. Default 85, clears at 80, 1 and 1 cycle.
    inodes: LimitConfig,
    /// When a file system will be full if it goes on like this. Default 24 hours, clears at 36,
    /// from the readings of 6 hours, 2 and 3 cycles.
    disk_full: DiskFullConfig,
    /// Handles in use, of the machine and of echopilot. Default 80, clears at 70, 2 and 2 cycles.
    fds: LimitConfig,
    /// Processes ended for want of memory. Default 1 and 20 cycles: an hour without one clears it.
    oom: CyclesConfig,
    /// A clock that runs free. Default 10 and 2 cycles.
    clock: CyclesConfig,
    /// A unit that does not run. Default 1 and 2 cycles.
    unit: CyclesConfig,
    /// A unit that systemd has started again. Default 1 and 20 cycles.
    unit_restarts: CyclesConfig,
    /// Memory of a unit. Default 90, clears at 80, 2 and 2 cycles.
    unit_memory: LimitConfig,
}

/// The file.
#[derive(Debug)]
pub struct HostFile;

/// The rules, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct HostRules {
    /// What is asked for.
    pub wanted: Arc<Wanted>,
    /// Bound of a unit's memory in bytes, where one was written.
    pub units: BTreeMap<String, Option<u64>>,
    /// Readings further apart are not in a row.
    pub gap: TimeDelta,
    /// The line to a full disk is drawn through so much of the past.
    pub forecast_window: TimeDelta,
    /// Of `cpu`.
    pub cpu: Rule,
    /// Of `load`.
    pub load: Rule,
    /// Of `ram`.
    pub ram: Rule,
    /// Of `swap`.
    pub swap: Rule,
    /// Of `pressure_cpu`.
    pub pressure_cpu: Rule,
    /// Of `pressure_memory`.
    pub pressure_memory: Rule,
    /// Of `pressure_io`.
    pub pressure_io: Rule,
    /// Of `disk`.
    pub disk: Rule,
    /// Of `inodes`.
    pub inodes: Rule,
    /// Of `disk_full`, in hours.
    pub disk_full: Rule,
    /// Of `fds`.
    pub fds: Rule,
    /// Of `oom`.
    pub oom: Rule,
    /// Of `clock`.
    pub clock: Rule,
    /// Of `unit`.
    pub unit: Rule,
    /// Of `unit_restarts`.
    pub unit_restarts: Rule,
    /// Of `unit_memory`.
    pub unit_memory: Rule,
}

impl Config for HostFile {
    const FILE: &'static str = "host.json";
    const SHIPPED: &'static str = include_str!("../../../configs/host.json");
    type Rules = HostRules;

    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<HostRules> {
        let raw: HostConfig = typed(tree, problems)?;
        let before = problems.count();
        let mounts = raw.mounts.clone().unwrap_or_else(|| vec!["/".to_owned()]);
        check_mounts(&mounts, problems);
        check_units(&raw.units, problems);
        let gap = raw.gap_secs.unwrap_or(GAP_SECS);
        if !(60..=86_400).contains(&gap) {
            let hint = "900 lets five readings be missed";
            problems.out_of_range(Path::root().key("gap_secs"), gap, "60..=86400", hint);
        }
        let rules = rules(&raw, mounts, gap, problems);
        (problems.count() == before).then_some(rules)
    }

    fn schema() -> Schema {
        schema_of::<HostConfig>()
    }
}

/// Seconds between two readings that are still "in a row": five at one every 3 minutes.
const GAP_SECS: u32 = 900;
/// Hours through whose readings the line to a full disk is drawn.
const WINDOW_HOURS: u32 = 6;

fn rules(raw: &HostConfig, mounts: Vec<String>, gap: u32, problems: &mut Problems) -> HostRules {
    let mut percent = |key: &str, raw: &LimitConfig, warn, clear, raise_cycles, clear_cycles| {
        let most = match key {
            "load" | "unit_memory" => MOST_PERCENT,
            _ => 100.0,
        };
        let rule = Rule {
            warn: raw.warn_percent.unwrap_or(warn),
            clear: raw.clear_percent.unwrap_or(clear),
            raise_cycles: raw.raise_cycles.unwrap_or(raise_cycles),
            clear_cycles: raw.clear_cycles.unwrap_or(clear_cycles),
            falling: false,
        };
        check_rule(key, "percent", &rule, most, problems);
        rule
    };
    let cpu = percent("cpu", &raw.cpu, 90.0, 75.0, 3, 2);
    let load = percent("load", &raw.load, 200.0, 150.0, 3, 2);
    let ram = percent("ram", &raw.ram, 90.0, 80.0, 2, 2);
    let swap = percent("swap", &raw.swap, 80.0, 60.0, 3, 2);
    let pressure_cpu = percent("pressure_cpu", &raw.pressure_cpu, 60.0, 40.0, 3, 2);
    let pressure_memory = percent("pressure_memory", &raw.pressure_memory, 10.0, 5.0, 2, 2);
    let pressure_io = percent("pressure_io", &raw.pressure_io, 40.0, 25.0, 3, 2);
    let disk = percent("disk", &raw.disk, 85.0, 80.0, 1, 1);
    let inodes = percent("inodes", &raw.inodes, 85.0, 80.0, 1, 1);
    let fds = percent("fds", &raw.fds, 80.0, 70.0, 2, 2);
    let unit_memory = percent("unit_memory", &raw.unit_memory, 90.0, 80.0, 2, 2);
    let mut cycles = |key: &str, raw: &CyclesConfig, raise_cycles, clear_cycles| {
        let raise_cycles = raw.raise_cycles.unwrap_or(raise_cycles);
        let clear_cycles = raw.clear_cycles.unwrap_or(clear_cycles);
        let rule = Rule::yes_or_no(raise_cycles, clear_cycles);
        check_cycles(key, &rule, problems);
        rule
    };
    let oom = cycles("oom", &raw.oom, 1, 20);
    let clock = cycles("clock", &raw.clock, 10, 2);
    let unit = cycles("unit", &raw.unit, 1, 2);
    let unit_restarts = cycles("unit_restarts", &raw.unit_restarts, 1, 20);
    let (disk_full, forecast_window) = disk_full(&raw.disk_full, problems);
    let units = raw.units.iter().map(|(name, unit)| {
        let most = unit.memory_mib.map(|mib| mib.saturating_mul(MIB));
        (name.clone(), most)
    });
    HostRules {
        wanted: Arc::new(Wanted {
            mounts,
            units: raw.units.keys().cloned().collect(),
        }),
        units: units.collect(),
        gap: TimeDelta::seconds(i64::from(gap)),
        forecast_window,
        cpu,
        load,
        ram,
        swap,
        pressure_cpu,
        pressure_memory,
        pressure_io,
        disk,
        inodes,
        disk_full,
        fds,
        oom,
        clock,
        unit,
        unit_restarts,
        unit_memory,
    }
}

fn disk_full(raw: &DiskFullConfig, problems: &mut Problems) -> (Rule, TimeDelta) {
    let rule = Rule {
        warn: raw.warn_hours.unwrap_or(24.0),
        clear: raw.clear_hours.unwrap_or(36.0),
        raise_cycles: raw.raise_cycles.unwrap_or(2),
        clear_cycles: raw.clear_cycles.unwrap_or(3),
        falling: true,
    };
    check_rule("disk_full", "hours", &rule, 720.0, problems);
    let hours = raw.window_hours.unwrap_or(WINDOW_HOURS);
    if !(1..=72).contains(&hours) {
        let path = Path::root().key("disk_full").key("window_hours");
        problems.out_of_range(path, hours, "1..=72", "6 hours are enough for most");
    }
    (rule, TimeDelta::hours(i64::from(hours)))
}

fn check_rule(key: &str, unit: &str, rule: &Rule, most: f64, problems: &mut Problems) {
    let path = Path::root().key(key);
    for (which, value) in [("warn", rule.warn), ("clear", rule.clear)] {
        if !(0.0..=most).contains(&value) {
            let path = path.key(&format!("{which}_{unit}"));
            problems.out_of_range(path, value, format!("0..={most}"), "");
        }
    }
    let (swapped, side, hint) = if rule.falling {
        let swapped = rule.clear < rule.warn;
        (swapped, "at least", "more hours left are the better ones")
    } else {
        let swapped = rule.clear > rule.warn;
        (
            swapped,
            "at most",
            "a warning must not clear where it is raised",
        )
    };
    if swapped {
        let allowed = format!("{side} the {} of `warn_{unit}`", rule.warn);
        let path = path.key(&format!("clear_{unit}"));
        problems.out_of_range(path, rule.clear, allowed, hint);
    }
    check_cycles(key, rule, problems);
}

fn check_cycles(key: &str, rule: &Rule, problems: &mut Problems) {
    for (which, cycles) in [
        ("raise_cycles", rule.raise_cycles),
        ("clear_cycles", rule.clear_cycles),
    ] {
        if !(1..=MOST_CYCLES).contains(&cycles) {
            let path = Path::root().key(key).key(which);
            problems.out_of_range(path, cycles, "1..=480", "1 means at once");
        }
    }
}

fn check_mounts(mounts: &[String], problems: &mut Problems) {
    let path = Path::root().key("mounts");
    if mounts.len() > MOST_WATCHED {
        problems.out_of_range(&path, mounts.len(), "at most 64 mounts", "");
    }
    for (at, mount) in mounts.iter().enumerate() {
        let clean = mount.starts_with('/') && !mount.chars().any(char::is_control);
        if !clean {
            let hint = "write it from the root on, such as \"/var\"";
            problems.not_allowed(
                path.index(at),
                format!("{mount:?}"),
                "an absolute path",
                hint,
            );
        }
        if mounts.iter().take(at).any(|earlier| earlier == mount) {
            problems.not_allowed(path.index(at), format!("{mount:?} again"), "each once", "");
        }
    }
}

fn check_units(units: &BTreeMap<String, UnitConfig>, problems: &mut Problems) {
    let path = Path::root().key("units");
    if units.len() > MOST_WATCHED {
        problems.out_of_range(&path, units.len(), "at most 64 units", "");
    }
    for name in units.keys() {
        let known = |c: char| c.is_ascii_alphanumeric() || ":_.\\@-".contains(c);
        let named = name.len() <= MOST_UNIT_NAME
            && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && name.chars().all(known)
            && UNIT_KINDS.iter().any(|kind| name.ends_with(kind));
        if !named {
            let allowed = "a unit's full name, such as \"shop.service\"";
            let hint = "`systemctl list-units` shows the names";
            problems.not_allowed(path.key(name), format!("the name `{name}`"), allowed, hint);
        }
    }
}
