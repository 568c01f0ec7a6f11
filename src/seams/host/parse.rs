//! What the texts of `/proc`, of control groups and of systemd say. Pure; a text that is not what
//! it should be says nothing.

use std::collections::BTreeMap;

use super::{ClockSync, CpuTicks, Handles, Load, Memory, Traffic, UnitReading, UnitState};

/// Bytes of a sector in `/proc/diskstats`, whatever the disk's own (kernel's iostats.rst).
const SECTOR: u64 = 512;
/// Bytes of a kB in `/proc/meminfo` (proc(5)).
const KIB: u64 = 1024;

/// Beginnings of names of block devices that stand on others or hold nothing: what goes through
/// them is counted where it ends.
const NOT_DISKS: [&str; 6] = ["loop", "ram", "zram", "dm-", "md", "sr"];

/// Beginnings of names of interfaces whose bytes pass a card too, or never leave the machine.
const NOT_CARDS: [&str; 9] = [
    "lo", "veth", "docker", "br-", "virbr", "ifb", "dummy", "tun", "wg",
];

/// The numbers of a line, as many as there are before something else.
fn numbers(text: &str) -> impl Iterator<Item = u64> {
    text.split_ascii_whitespace()
        .map_while(|word| word.parse().ok())
}

/// The first line of `/proc/stat`, and how many processors follow.
pub(super) fn cpu(text: &str) -> (Option<CpuTicks>, Option<u32>) {
    let mut ticks = None;
    let mut cpus = 0_u32;
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("cpu") else {
            continue;
        };
        if !rest.starts_with(' ') {
            cpus += 1;
            continue;
        }
        let found: Vec<u64> = numbers(rest).collect();
        // user nice system idle [iowait irq softirq [steal [guest …]]]; guests are part of user.
        let [user, nice, system, idle, more @ ..] = found.as_slice() else {
            continue;
        };
        let at = |index: usize| more.get(index).copied().unwrap_or(0);
        ticks = Some(CpuTicks {
            user: user.saturating_add(*nice),
            system: system.saturating_add(at(1)).saturating_add(at(2)),
            idle: *idle,
            iowait: at(0),
            steal: at(3),
        });
    }
    (ticks, (cpus > 0).then_some(cpus))
}

/// `/proc/loadavg`.
pub(super) fn load(text: &str) -> Option<Load> {
    let mut means = text.split_ascii_whitespace().map(str::parse::<f64>);
    let mut next = || {
        let mean = means.next()?.ok()?;
        (mean.is_finite() && mean >= 0.0).then_some(mean)
    };
    Some(Load {
        one: next()?,
        five: next()?,
        fifteen: next()?,
    })
}

/// Total of the `some` line of one of `/proc/pressure/*`.
pub(super) fn pressure(text: &str) -> Option<u64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let total = some
        .split_ascii_whitespace()
        .find_map(|word| word.strip_prefix("total="))?;
    total.parse().ok()
}

/// The number behind `key` in a text of lines `key number …` or `key: number …`.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(key)?;
        let rest = rest.strip_prefix(':').unwrap_or(rest);
        if !rest.starts_with([' ', '\t']) {
            return None;
        }
        numbers(rest).next()
    })
}

/// `/proc/meminfo`.
pub(super) fn memory(text: &str) -> Option<Memory> {
    let bytes = |key| keyed(text, key).map(|kib| kib.saturating_mul(KIB));
    let total = bytes("MemTotal").filter(|total| *total > 0)?;
    // Kernels before 3.14 do not reckon what is available: then what is free or can be dropped.
    let available = bytes("MemAvailable").or_else(|| {
        let kept = bytes("Cached")?.saturating_sub(bytes("Shmem").unwrap_or(0));
        let parts = [bytes("MemFree")?, bytes("Buffers").unwrap_or(0), kept];
        Some(parts.into_iter().fold(0, u64::saturating_add))
    })?;
    Some(Memory {
        total,
        available: available.min(total),
        swap_total: bytes("SwapTotal").unwrap_or(0),
        swap_free: bytes("SwapFree").unwrap_or(0),
    })
}

/// `/proc/sys/fs/file-nr`: handed out, handed out but unused (always 0 today), at most.
pub(super) fn file_nr(text: &str) -> Option<Handles> {
    let found: Vec<u64> = numbers(text).collect();
    let [open, unused, most] = *found.as_slice() else {
        return None;
    };
    let open = open.saturating_sub(unused);
    (most > 0).then_some(Handles { open, most })
}

/// The bound on handles in `/proc/self/limits`.
pub(super) fn own_most(text: &str) -> Option<u64> {
    let rest = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    // `unlimited` is no number: then there is no bound to come near to.
    numbers(rest).next()
}

/// `/proc/diskstats`: bytes through the disks named in `whole`, which has no partitions.
pub(super) fn disks(text: &str, whole: &[String]) -> Option<Traffic> {
    let mut sum = Traffic::default();
    let mut seen = false;
    for line in text.lines() {
        // major minor name reads merged sectors ms writes merged sectors ms …
        let mut words = line.split_ascii_whitespace().skip(2);
        let Some(name) = words.next() else { continue };
        let counted = whole.iter().any(|disk| disk == name)
            && !NOT_DISKS.iter().any(|start| name.starts_with(start));
        let counts: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
        if let (true, [_, _, read, _, _, _, written, ..]) = (counted, counts.as_slice()) {
            seen = true;
            sum.inward = sum.inward.saturating_add(read.saturating_mul(SECTOR));
            sum.outward = sum.outward.saturating_add(written.saturating_mul(SECTOR));
        }
    }
    seen.then_some(sum)
}

/// `/proc/net/dev`: bytes through the network cards.
pub(super) fn network(text: &str) -> Option<Traffic> {
    let mut sum = Traffic::default();
    let mut seen = false;
    for line in text.lines() {
        let Some((name, rest)) = line.split_once(':') else {
            continue;
        };
        let name = name.trim();
        let counts: Vec<u64> = numbers(rest).collect();
        // Eight figures of what came in, then eight of what went out; bytes lead both.
        let [received, _, _, _, _, _, _, _, sent, ..] = counts.as_slice() else {
            continue;
        };
        // A machine whose only interface is the loopback has no traffic; that is known.
        seen = true;
        if !NOT_CARDS.iter().any(|start| name.starts_with(start)) {
            sum.inward = sum.inward.saturating_add(*received);
            sum.outward = sum.outward.saturating_add(*sent);
        }
    }
    seen.then_some(sum)
}

/// A control group's file with one number; `max` is no number.
pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The words `yes` and `no` of `timedatectl show --property=NTPSynchronized --value`.
pub(super) fn clock(text: &str) -> ClockSync {
    match text.trim() {
        "yes" => ClockSync::Synced,
        "no" => ClockSync::Unsynced,
        _ => ClockSync::Unknown,
    }
}

/// One unit of `systemctl show`, and where its control group and its main process are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) unit: UnitReading,
    pub(super) group: Option<String>,
    pub(super) main: Option<u64>,
}

/// The output of `systemctl show` for the units `asked`: one block each, in their order.
pub(super) fn units(text: &str, asked: &[String]) -> BTreeMap<String, Shown> {
    let blocks: Vec<Shown> = text
        .split("\n\n")
        .filter(|block| !block.trim().is_empty())
        .map(unit)
        .collect();
    // Another number of blocks than of units: nobody knows whose they are.
    if blocks.len() != asked.len() {
        return BTreeMap::new();
    }
    asked.iter().cloned().zip(blocks).collect()
}

fn unit(block: &str) -> Shown {
    let value = |key: &str| {
        let with = |line: &'_ str| line.strip_prefix(key)?.strip_prefix('=').map(str::to_owned);
        block.lines().find_map(with)
    };
    // systemd writes all ones, or `[not set]`, for a number it does not have.
    let count = |key: &str| {
        let found: u64 = value(key)?.parse().ok()?;
        (found != u64::MAX).then_some(found)
    };
    let active = value("ActiveState").unwrap_or_default();
    let sub = value("SubState").unwrap_or_default();
    let loaded = value("LoadState").unwrap_or_default();
    let result = value("Result").filter(|result| !result.is_empty() && result != "success");
    let state = match (loaded.as_str(), active.as_str(), sub.as_str()) {
        ("not-found", ..) => UnitState::Missing,
        // Between two tries of a program that does not stay up.
        (_, "failed", _) | (_, _, "auto-restart") => UnitState::Failed,
        (_, "active" | "reloading" | "refreshing", _) => UnitState::Active,
        (_, "inactive", _) => UnitState::Inactive,
        (_, "activating" | "deactivating" | "maintenance", _) => UnitState::Changing,
        _ => UnitState::Unknown,
    };
    let said = match (state, result) {
        (UnitState::Missing, _) => "not found".to_owned(),
        (UnitState::Unknown, _) => String::new(),
        (_, Some(result)) => format!("{active} ({sub}, {result})"),
        (_, None) => format!("{active} ({sub})"),
    };
    Shown {
        unit: UnitReading {
            state,
            said,
            restarts: count("NRestarts"),
            memory: count("MemoryCurrent"),
            memory_most: count("MemoryMax"),
            tasks: count("TasksCurrent"),
            ..UnitReading::default()
        },
        group: value("ControlGroup").filter(|group| group.starts_with('/')),
        main: count("MainPID").filter(|pid| *pid > 0),
    }
}
