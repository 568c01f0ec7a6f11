//! What readings mean: rates from two of them, figures with their rules, and which warnings are
//! raised or cleared. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::config::HostRules;
use super::model::{Change, Figure, Forecast, Key, Known, Rates, Rule, Warning, Watch, Watches};
use crate::seams::host::{
    ClockSync, CpuTicks, Handles, Reading, Traffic, UnitReading, UnitState, Volume,
};

/// Percent of a whole.
const WHOLE: f64 = 100.0;

/// `part` of `whole` in percent; `None` of nothing.
pub fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64 * WHOLE)
}

/// What happened between two readings, `elapsed` apart. A counter that went back was begun anew:
/// then nothing is said.
pub fn rates(before: &Reading, after: &Reading, elapsed: Duration) -> Rates {
    if before.boot_id != after.boot_id || elapsed.is_zero() {
        return Rates::default();
    }
    let busy = before.cpu.zip(after.cpu).and_then(|(a, b)| spent(a, b));
    let stalled = |a: Option<u64>, b: Option<u64>| {
        let waited = b?.checked_sub(a?)? as f64;
        let all = elapsed.as_secs_f64() * 1_000_000.0;
        Some((waited / all * WHOLE).min(WHOLE))
    };
    let (was, is) = (before.pressure, after.pressure);
    let disks = per_second(before.disks, after.disks, elapsed);
    let net = per_second(before.network, after.network, elapsed);
    Rates {
        cpu_percent: busy.map(|busy| busy.0),
        iowait_percent: busy.map(|busy| busy.1),
        steal_percent: busy.map(|busy| busy.2),
        pressure_cpu_percent: stalled(was.cpu, is.cpu),
        pressure_memory_percent: stalled(was.memory, is.memory),
        pressure_io_percent: stalled(was.io, is.io),
        disk_read: disks.map(|disks| disks.0),
        disk_write: disks.map(|disks| disks.1),
        net_in: net.map(|net| net.0),
        net_out: net.map(|net| net.1),
    }
}

/// Busy, waiting and stolen parts of all ticks between two readings, in percent. The share is of
/// the ticks and not of the clock, so a change in the number of processors does not matter.
fn spent(before: CpuTicks, after: CpuTicks) -> Option<(f64, f64, f64)> {
    let user = after.user.checked_sub(before.user)?;
    let system = after.system.checked_sub(before.system)?;
    let steal = after.steal.checked_sub(before.steal)?;
    // The kernel lets these two go back a little: a processor that is switched off, a task that
    // waited on one and woke on another.
    let idle = after.idle.saturating_sub(before.idle);
    let iowait = after.iowait.saturating_sub(before.iowait);
    let all = [user, system, steal, idle, iowait]
        .into_iter()
        .fold(0, u64::saturating_add);
    let busy = user.saturating_add(system).saturating_add(steal);
    Some((
        percent(busy, all)?,
        percent(iowait, all)?,
        percent(steal, all)?,
    ))
}

fn per_second(
    before: Option<Traffic>,
    after: Option<Traffic>,
    elapsed: Duration,
) -> Option<(f64, f64)> {
    let (before, after) = before.zip(after)?;
    let inward = after.inward.checked_sub(before.inward)?;
    let outward = after.outward.checked_sub(before.outward)?;
    let secs = elapsed.as_secs_f64();
    Some((inward as f64 / secs, outward as f64 / secs))
}

/// All figures of a reading, known or not, each with its rule.
pub fn figures(
    rules: &HostRules,
    reading: &Reading,
    rates: &Rates,
    known: &Known,
    forecasts: &BTreeMap<String, Forecast>,
) -> Vec<Figure> {
    let mut found = Vec::new();
    let mut add = |key, value, rule| found.push(Figure { key, value, rule });
    let machine = Key::machine;
    add(machine(Warning::HighCpu), rates.cpu_percent, rules.cpu);
    add(machine(Warning::HighLoad), load(reading), rules.load);
    add(machine(Warning::HighRam), ram(reading), rules.ram);
    // Swap that was switched off is not watched any more, and cannot stay high.
    if reading.memory.is_none_or(|memory| memory.swap_total > 0) {
        add(machine(Warning::HighSwap), swap(reading), rules.swap);
    }
    for (warning, value, rule) in [
        (
            Warning::HighPressureCpu,
            rates.pressure_cpu_percent,
            rules.pressure_cpu,
        ),
        (
            Warning::HighPressureMemory,
            rates.pressure_memory_percent,
            rules.pressure_memory,
        ),
        (
            Warning::HighPressureIo,
            rates.pressure_io_percent,
            rules.pressure_io,
        ),
    ] {
        add(machine(warning), value, rule);
    }
    for (mount, volume) in &reading.volumes {
        let (disk, inodes) = (volume.and_then(disk), volume.and_then(inodes));
        let full = match forecasts.get(mount) {
            Some(Forecast::Hours(hours)) => Some(*hours),
            Some(Forecast::Never) => Some(f64::INFINITY),
            Some(Forecast::TooFew) | None => None,
        };
        add(Key::of(Warning::HighDisk, mount), disk, rules.disk);
        add(Key::of(Warning::HighInodes, mount), inodes, rules.inodes);
        add(Key::of(Warning::DiskFullSoon, mount), full, rules.disk_full);
    }
    let used = |handles: Option<Handles>| handles.and_then(|h| percent(h.open, h.most));
    for (whose, handles) in [
        ("machine", reading.handles),
        ("echopilot", reading.own_handles),
    ] {
        add(Key::of(Warning::LowFds, whose), used(handles), rules.fds);
    }
    let kills = oom_kills(reading, known).map(|kills| kills as f64);
    add(machine(Warning::OomKill), kills, rules.oom);
    let free = match reading.clock {
        ClockSync::Synced => Some(0.0),
        ClockSync::Unsynced => Some(1.0),
        ClockSync::Unknown => None,
    };
    add(machine(Warning::ClockUnsynced), free, rules.clock);
    for (name, unit) in &reading.units {
        unit_figures(rules, name, unit, known, &mut found);
    }
    found
}

fn unit_figures(
    rules: &HostRules,
    name: &str,
    unit: &UnitReading,
    known: &Known,
    found: &mut Vec<Figure>,
) {
    let down = match unit.state {
        UnitState::Active | UnitState::Changing => Some(0.0),
        UnitState::Failed | UnitState::Inactive | UnitState::Missing => Some(1.0),
        UnitState::Unknown => None,
    };
    let restarted = unit.restarts.map(|now| {
        let before = known.restarts.get(name).copied().unwrap_or(now);
        // Started by hand, it counts from zero again.
        now.saturating_sub(before) as f64
    });
    let most = rules
        .units
        .get(name)
        .copied()
        .flatten()
        .or(unit.memory_most);
    let memory = unit
        .memory
        .zip(most)
        .and_then(|(memory, most)| percent(memory, most));
    // Without a bound there is no share to watch, as long as systemd can be asked.
    let is_bounded = most.is_some() || unit.state == UnitState::Unknown;
    let memory = is_bounded.then_some((Warning::HighUnitMemory, memory, rules.unit_memory));
    let others = [
        (Warning::UnitFailed, down, rules.unit),
        (Warning::UnitRestarted, restarted, rules.unit_restarts),
    ];
    for (warning, value, rule) in others.into_iter().chain(memory) {
        let key = Key::of(warning, name);
        found.push(Figure { key, value, rule });
    }
}

/// Mean of 5 minutes in percent of the processors.
pub fn load(reading: &Reading) -> Option<f64> {
    let cpus = reading.cpus.filter(|cpus| *cpus > 0)?;
    Some(reading.load?.five / f64::from(cpus) * WHOLE)
}

/// Memory that cannot be had any more, in percent.
pub fn ram(reading: &Reading) -> Option<f64> {
    let memory = reading.memory?;
    percent(memory.total.saturating_sub(memory.available), memory.total)
}

/// Swap in use, in percent; without swap there is nothing to say.
pub fn swap(reading: &Reading) -> Option<f64> {
    let memory = reading.memory?;
    let used = memory.swap_total.saturating_sub(memory.swap_free);
    percent(used, memory.swap_total)
}

/// Room in use, in percent of what programs without privilege may use, as `df` reckons it.
pub fn disk(volume: Volume) -> Option<f64> {
    percent(volume.used, volume.used.saturating_add(volume.available))
}

/// Inodes in use, in percent.
pub fn inodes(volume: Volume) -> Option<f64> {
    let all = volume.inodes_used.saturating_add(volume.inodes_free);
    percent(volume.inodes_used, all)
}

/// Kills since the run before, also if the machine was started anew in between. The first run of
/// all knows of none: it cannot tell new ones from old ones.
fn oom_kills(reading: &Reading, known: &Known) -> Option<u64> {
    let now = reading.oom_kills?;
    match known.oom_kills {
        Some(before) if known.boot_id == reading.boot_id => Some(now.saturating_sub(before)),
        // Another run of the machine: its count began at zero.
        Some(_) => Some(now),
        None => Some(0),
    }
}

/// What the next run has to know of this one. What could not be read now stays as it was.
pub fn known(reading: &Reading, before: &Known) -> Known {
    let mut restarts = BTreeMap::new();
    for (name, unit) in &reading.units {
        let count = unit.restarts.or_else(|| before.restarts.get(name).copied());
        restarts.extend(count.map(|count| (name.clone(), count)));
    }
    if reading.oom_kills.is_some() {
        return Known {
            boot_id: reading.boot_id.clone(),
            oom_kills: reading.oom_kills,
            restarts,
        };
    }
    Known {
        restarts,
        ..before.clone()
    }
}

/// Holds figures against their rules. After a `gap` in the readings nothing is in a row any more;
/// what is raised stays so until it is seen to be well.
pub fn judge(
    watches: &Watches,
    figures: &[Figure],
    now: DateTime<Utc>,
    gap: bool,
) -> (Watches, Vec<Change>) {
    let mut after = Watches::new();
    let mut changes = Vec::new();
    for figure in figures {
        let mut watch = watches.get(&figure.key).copied().unwrap_or_default();
        if gap {
            (watch.bad, watch.good) = (0, 0);
            watch.from = watch.from.filter(|_| watch.since.is_some());
        }
        if let Some(value) = figure.value
            && let Some(raised) = step(&mut watch, &figure.rule, value, now)
        {
            let from = watch.from.unwrap_or(now);
            (watch.from, watch.since) = (raised.then_some(from), raised.then_some(now));
            changes.push(Change {
                key: figure.key.clone(),
                raised,
                value: Some(value),
                rule: Some(figure.rule),
                from,
            });
        }
        if watch != Watch::default() {
            after.insert(figure.key.clone(), watch);
        }
    }
    // What is not watched any more, because the configuration says so, cannot stay raised.
    for (key, watch) in watches {
        let gone = figures.iter().all(|figure| figure.key != *key);
        if let (true, Some(since)) = (gone, watch.since) {
            changes.push(Change {
                key: key.clone(),
                raised: false,
                value: None,
                rule: None,
                from: watch.from.unwrap_or(since),
            });
        }
    }
    (after, changes)
}

/// Takes one known value; whether it raises or clears the warning.
fn step(watch: &mut Watch, rule: &Rule, value: f64, now: DateTime<Utc>) -> Option<bool> {
    if watch.since.is_none() {
        if !rule.is_bad(value) {
            *watch = Watch::default();
            return None;
        }
        if watch.bad == 0 {
            watch.from = Some(now);
        }
        watch.bad = watch.bad.saturating_add(1);
        let raised = watch.bad >= rule.raise_cycles.max(1);
        if raised {
            watch.bad = 0;
        }
        return raised.then_some(true);
    }
    if !rule.is_good(value) {
        watch.good = 0;
        return None;
    }
    watch.good = watch.good.saturating_add(1);
    let cleared = watch.good >= rule.clear_cycles.max(1);
    if cleared {
        watch.good = 0;
    }
    cleared.then_some(false)
}
