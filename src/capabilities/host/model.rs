//! What the host watch speaks of: its fixed list of warnings, their rules, and how far each one
//! has come.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};

/// A warning. The list is fixed: whoever reads `logs/ops_sentinel.ndjson` may rely on the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Warning {
    /// Processors are busy.
    HighCpu,
    /// More tasks want to run than there are processors for.
    HighLoad,
    /// Memory is used up.
    HighRam,
    /// Swap is used up.
    HighSwap,
    /// Tasks wait for a processor.
    HighPressureCpu,
    /// Tasks wait for memory.
    HighPressureMemory,
    /// Tasks wait for a disk.
    HighPressureIo,
    /// A file system has little room.
    HighDisk,
    /// A file system has few inodes left.
    HighInodes,
    /// A file system will be full soon if it goes on like this.
    DiskFullSoon,
    /// Few handles are left, to the machine or to this process.
    LowFds,
    /// The kernel has ended a process for want of memory.
    OomKill,
    /// The wall clock runs free.
    ClockUnsynced,
    /// A unit does not run.
    UnitFailed,
    /// systemd has started a unit again.
    UnitRestarted,
    /// A unit is near its bound of memory.
    HighUnitMemory,
}

impl Warning {
    /// All of them, in the order in which they are written.
    pub const ALL: [Self; 16] = [
        Self::HighCpu,
        Self::HighLoad,
        Self::HighRam,
        Self::HighSwap,
        Self::HighPressureCpu,
        Self::HighPressureMemory,
        Self::HighPressureIo,
        Self::HighDisk,
        Self::HighInodes,
        Self::DiskFullSoon,
        Self::LowFds,
        Self::OomKill,
        Self::ClockUnsynced,
        Self::UnitFailed,
        Self::UnitRestarted,
        Self::HighUnitMemory,
    ];

    /// Its word in files and answers.
    pub const fn word(self) -> &'static str {
        match self {
            Self::HighCpu => "high_cpu",
            Self::HighLoad => "high_load",
            Self::HighRam => "high_ram",
            Self::HighSwap => "high_swap",
            Self::HighPressureCpu => "high_pressure_cpu",
            Self::HighPressureMemory => "high_pressure_memory",
            Self::HighPressureIo => "high_pressure_io",
            Self::HighDisk => "high_disk",
            Self::HighInodes => "high_inodes",
            Self::DiskFullSoon => "disk_full_soon",
            Self::LowFds => "low_fds",
            Self::OomKill => "oom_kill",
            Self::ClockUnsynced => "clock_unsynced",
            Self::UnitFailed => "unit_failed",
            Self::UnitRestarted => "unit_restarted",
            Self::HighUnitMemory => "high_unit_memory",
        }
    }

    /// The warning with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.word() == word)
    }

    /// Whether it is about a unit of systemd, whose name then is part of the word.
    pub const fn is_of_unit(self) -> bool {
        matches!(
            self,
            Self::UnitFailed | Self::UnitRestarted | Self::HighUnitMemory
        )
    }
}

/// A warning about one thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Which.
    pub warning: Warning,
    /// Of what: a mount, a unit, `machine` or `echopilot` for handles; empty where there is one.
    pub of: String,
}

impl Key {
    /// A warning about the machine.
    pub const fn machine(warning: Warning) -> Self {
        Self {
            warning,
            of: String::new(),
        }
    }

    /// A warning about one of several things.
    pub fn of(warning: Warning, of: &str) -> Self {
        Self {
            warning,
            of: of.to_owned(),
        }
    }

    /// How it stands in the list of warnings of a line: `high_disk`, `unit_failed:shop.service`.
    pub fn listed(&self) -> String {
        if self.warning.is_of_unit() {
            format!("{}:{}", self.warning.word(), self.of)
        } else {
            self.warning.word().to_owned()
        }
    }
}

/// `high_cpu`, `high_disk:/var`: told apart from each other, and stable.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.warning.word())?;
        if self.of.is_empty() {
            Ok(())
        } else {
            write!(f, ":{}", self.of)
        }
    }
}

/// When a figure is too bad, and when it is well again. Between the two it stays as it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Bad from here on.
    pub warn: f64,
    /// Well again from here on.
    pub clear: f64,
    /// So many bad readings in a row raise the warning.
    pub raise_cycles: u32,
    /// So many good readings in a row clear it.
    pub clear_cycles: u32,
    /// Whether small figures are the bad ones, as with hours that are left.
    pub falling: bool,
}

impl Rule {
    /// For something that either is or is not, told as 1 or 0.
    pub const fn yes_or_no(raise_cycles: u32, clear_cycles: u32) -> Self {
        Self {
            warn: 1.0,
            clear: 0.0,
            raise_cycles,
            clear_cycles,
            falling: false,
        }
    }

    /// Whether `value` is too bad.
    pub fn is_bad(&self, value: f64) -> bool {
        if self.falling {
            value <= self.warn
        } else {
            value >= self.warn
        }
    }

    /// Whether `value` is well.
    pub fn is_good(&self, value: f64) -> bool {
        if self.falling {
            value >= self.clear
        } else {
            value <= self.clear
        }
    }
}

/// One figure of a reading, and the rule it is held against.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it would warn of.
    pub key: Key,
    /// Its value; `None` = unknown.
    pub value: Option<f64>,
    /// The rule.
    pub rule: Rule,
}

/// How far a warning has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watch {
    /// Bad readings in a row.
    pub bad: u32,
    /// Good readings in a row since it was raised.
    pub good: u32,
    /// When the row of bad readings began.
    pub from: Option<DateTime<Utc>>,
    /// Since when it is raised.
    pub since: Option<DateTime<Utc>>,
}

/// All warnings that are raised or on their way.
pub type Watches = BTreeMap<Key, Watch>;

/// A warning that was raised or cleared in this run.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Which.
    pub key: Key,
    /// Raised, else cleared.
    pub raised: bool,
    /// The figure that did it; `None` when the thing is not watched any more.
    pub value: Option<f64>,
    /// The rule it was held against.
    pub rule: Option<Rule>,
    /// The first bad reading of those that raised it.
    pub from: DateTime<Utc>,
}

/// Figures that take two readings.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Processor time that was not idle, in percent of all.
    pub cpu_percent: Option<f64>,
    /// Time that was idle but for waiting for disks, in percent of all.
    pub iowait_percent: Option<f64>,
    /// Time taken by other machines on the same hardware, in percent of all.
    pub steal_percent: Option<f64>,
    /// Time in which a task waited for a processor, in percent.
    pub pressure_cpu_percent: Option<f64>,
    /// The same for memory.
    pub pressure_memory_percent: Option<f64>,
    /// The same for disks.
    pub pressure_io_percent: Option<f64>,
    /// Bytes a second from disks.
    pub disk_read: Option<f64>,
    /// Bytes a second to disks.
    pub disk_write: Option<f64>,
    /// Bytes a second from the network.
    pub net_in: Option<f64>,
    /// Bytes a second to the network.
    pub net_out: Option<f64>,
}

/// Room of one file system at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Room {
    /// When.
    pub at: DateTime<Utc>,
    /// Bytes that programs could still have.
    pub available: u64,
}

/// When a file system will be full.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Forecast {
    /// Too few readings to say.
    TooFew,
    /// Not while it goes on like this.
    Never,
    /// In so many hours.
    Hours(f64),
}

/// Counters of the run before, for those warnings that tell of a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The machine's run they belong to.
    pub boot_id: Option<String>,
    /// OOM kills so far.
    pub oom_kills: Option<u64>,
    /// Restarts so far, by unit.
    pub restarts: BTreeMap<String, u64>,
}
