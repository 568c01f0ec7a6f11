//! What the system lets the daemon have: open files and memory.

use super::{Around, Notes, UNIT};

/// Open files below which connections are few: what most systems give by default (1,024) is not
/// enough for the shipped 4,096 connections.
const FEW_FILES: u64 = 4096;
/// Bytes of memory below which a bound is too tight: what the daemon uses with a million users
/// (our own measurement), doubled.
const TIGHT_MEMORY: u64 = 256 << 20;
/// Percent of a memory bound from which it is told.
const FULL_PERCENT: u64 = 90;

pub(super) fn look(around: &Around<'_>, notes: &mut Notes) {
    let own = around.pid();
    let table = own.and_then(|pid| around.machine(&format!("proc/{pid}/limits")));
    let files = table.as_deref().and_then(open_files);
    let files = files.or_else(|| around.reading.own_handles.map(|handles| handles.most));
    let who = if own.is_some() {
        "the daemon"
    } else {
        "a daemon started here"
    };
    if let Some(most) = files.filter(|most| *most < FEW_FILES) {
        notes.warn(
            format!("{who} may open {most} files: connections are bounded by that"),
            "LimitNOFILE=65536 in the unit, or `ulimit -n 65536` before the start",
        );
    }
    memory(around, notes);
    match files {
        Some(most) => notes.ok_otherwise(format!("{who} may open {most} files")),
        None => notes.ok_otherwise("no bound is tight, as far as this machine tells"),
    }
}

fn memory(around: &Around<'_>, notes: &mut Notes) {
    let group = around.pid().and_then(|pid| {
        let text = around.machine(&format!("proc/{pid}/cgroup"))?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
        Some(path.trim_start_matches('/').to_owned())
    });
    let number = |name: &str| {
        let group = group.as_deref()?;
        let text = around.machine(&format!("sys/fs/cgroup/{group}/{name}"))?;
        text.trim().parse::<u64>().ok()
    };
    let unit = around.reading.units.get(UNIT);
    let most = number("memory.max").or_else(|| unit?.memory_most);
    let used = number("memory.current").or_else(|| unit?.memory);
    let Some(most) = most else {
        return;
    };
    let mib = |bytes: u64| bytes >> 20;
    let cure = "raise MemoryHigh= and MemoryMax= by `sudo systemctl edit echopilot`";
    if most < TIGHT_MEMORY {
        notes.warn(format!("its memory is bounded to {} MiB", mib(most)), cure);
    }
    if let Some(used) = used
        && used.saturating_mul(100) > most.saturating_mul(FULL_PERCENT)
    {
        let (used, most) = (mib(used), mib(most));
        notes.warn(format!("it uses {used} of {most} MiB of memory"), cure);
    }
    if let Some(kills) = unit
        .and_then(|unit| unit.oom_kills)
        .filter(|kills| *kills > 0)
    {
        let what = format!("the kernel ended it {kills} times for want of memory");
        notes.warn(what, cure);
    }
}

/// The soft bound on open files in a text of `/proc/PID/limits`.
fn open_files(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find(|line| line.starts_with("Max open files"))?;
    line.split_ascii_whitespace().nth(3)?.parse().ok()
}
