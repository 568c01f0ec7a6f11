//! The machine itself. Files are read through [`Files`], on a thread of their own: a file system
//! that has gone away (NFS) may keep whoever asks for its room waiting for ever.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::parse::{self, Shown};
use super::{
    ClockSync, Handles, Host, Looking, Reading, Traffic, UnitReading, Volume, Wanted, commands,
};
use crate::seams::clock::Clock;
use crate::seams::files::Files;

/// Bytes of one of these texts that are read at most: `/proc/stat` of a machine with 1,000
/// processors has some 200 KiB.
const MOST_TEXT: usize = 1024 * 1024;
/// Bytes of the first read. Texts under `/proc/sys` are given in one read or cut.
const FIRST_READ: usize = 16 * 1024;
/// Longest wait for a file system to say how much room it has (our own choice).
const PATIENCE: Duration = Duration::from_secs(5);

/// The machine.
#[derive(Debug, Clone)]
pub struct RealHost {
    files: Arc<dyn Files>,
    clock: Arc<dyn Clock>,
    root: PathBuf,
    /// Whether there are programs to be asked.
    programs: bool,
    /// Folders whose file system has not answered yet.
    waiting: Arc<Mutex<HashSet<String>>>,
}

impl RealHost {
    /// The machine as this process sees it.
    pub fn new(files: Arc<dyn Files>, clock: Arc<dyn Clock>) -> Self {
        Self {
            programs: true,
            ..Self::under(Path::new("/"), files, clock)
        }
    }

    /// A machine whose `proc`, `sys` and `run` lie in the folder `root`, and which has no programs:
    /// for tests.
    pub fn under(root: &Path, files: Arc<dyn Files>, clock: Arc<dyn Clock>) -> Self {
        Self {
            files,
            clock,
            root: root.to_owned(),
            programs: false,
            waiting: Arc::default(),
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        let mut file = self.files.open_read(&self.root.join(name)).ok()?;
        let mut bytes = vec![0; FIRST_READ];
        let mut filled = 0;
        loop {
            let read = file.read(bytes.get_mut(filled..)?).ok()?;
            if read == 0 {
                break;
            }
            filled += read;
            if filled >= MOST_TEXT {
                return None;
            }
            if filled == bytes.len() {
                bytes.resize(filled * 2, 0);
            }
        }
        bytes.truncate(filled);
        // Names of devices need not be UTF-8; the figures are.
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn kernel(&self) -> Reading {
        let stat = self.text("proc/stat");
        let (cpu, cpus) = stat.as_deref().map_or((None, None), parse::cpu);
        let stall = |name: &str| parse::pressure(&self.text(&format!("proc/pressure/{name}"))?);
        let boot = self.text("proc/sys/kernel/random/boot_id");
        Reading {
            boot_id: boot
                .map(|id| id.trim().to_owned())
                .filter(|id| !id.is_empty()),
            cpu,
            cpus,
            load: self.text("proc/loadavg").as_deref().and_then(parse::load),
            pressure: super::Pressure {
                cpu: stall("cpu"),
                memory: stall("memory"),
                io: stall("io"),
            },
            memory: self.text("proc/meminfo").as_deref().and_then(parse::memory),
            oom_kills: self
                .text("proc/vmstat")
                .and_then(|text| parse::keyed(&text, "oom_kill")),
            handles: self
                .text("proc/sys/fs/file-nr")
                .as_deref()
                .and_then(parse::file_nr),
            own_handles: self.own_handles(),
            disks: self.disks(),
            network: self
                .text("proc/net/dev")
                .as_deref()
                .and_then(parse::network),
            ..Reading::default()
        }
    }

    fn own_handles(&self) -> Option<Handles> {
        let most = parse::own_most(&self.text("proc/self/limits")?)?;
        let open = self.files.list(&self.root.join("proc/self/fd")).ok()?;
        // A missing folder is listed as an empty one; a process has handles.
        let open = u64::try_from(open.len()).unwrap_or(u64::MAX);
        (open > 0).then_some(Handles { open, most })
    }

    fn disks(&self) -> Option<Traffic> {
        let whole = self.files.list(&self.root.join("sys/block")).ok()?;
        parse::disks(&self.text("proc/diskstats")?, &whole)
    }

    /// What the unit's control group says, which needs neither D-Bus nor privilege; where there is
    /// no version 2 of control groups it says nothing.
    fn group(&self, shown: Shown) -> UnitReading {
        let mut unit = shown.unit;
        if let Some(group) = &shown.group {
            let file = |name: &str| self.text(&format!("sys/fs/cgroup{group}/{name}"));
            let one = |name: &str| file(name).as_deref().and_then(parse::number);
            unit.memory = one("memory.current").or(unit.memory);
            unit.memory_most = one("memory.max").or(unit.memory_most);
            unit.tasks = one("pids.current").or(unit.tasks);
            unit.cpu_micros = file("cpu.stat").and_then(|text| parse::keyed(&text, "usage_usec"));
            unit.oom_kills = file("memory.events").and_then(|text| parse::keyed(&text, "oom_kill"));
        }
        if let Some(main) = shown.main {
            let status = self.text(&format!("proc/{main}/status"));
            let resident = status.and_then(|text| parse::keyed(&text, "VmRSS"));
            unit.main_resident = resident.map(|kib| kib.saturating_mul(1024));
        }
        unit
    }

    fn waiting(&self) -> MutexGuard<'_, HashSet<String>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room on the file system that holds `mount`. One that does not answer is not asked again
    /// before it has: otherwise each look would cost a thread.
    async fn volume(&self, mount: String) -> Option<Volume> {
        if !self.waiting().insert(mount.clone()) {
            return None;
        }
        let own = self.clone();
        let asking = tokio::task::spawn_blocking(move || {
            let found = rustix::fs::statvfs(Path::new(&mount));
            own.waiting().remove(&mount);
            let found = found.ok()?;
            let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
            Some(Volume {
                used: bytes(found.f_blocks.saturating_sub(found.f_bfree)),
                available: bytes(found.f_bavail),
                inodes_used: found.f_files.saturating_sub(found.f_ffree),
                inodes_free: found.f_favail,
            })
        });
        tokio::select! {
            biased;
            answer = asking => answer.ok().flatten(),
            () = self.clock.sleep(PATIENCE) => None,
        }
    }

    async fn volumes(&self, wanted: &Wanted) -> BTreeMap<String, Option<Volume>> {
        let asked = wanted.mounts.iter().map(|mount| async {
            let volume = self.volume(mount.clone()).await;
            (mount.clone(), volume)
        });
        futures_util::future::join_all(asked)
            .await
            .into_iter()
            .collect()
    }

    async fn units(&self, wanted: &Wanted) -> BTreeMap<String, UnitReading> {
        let mut shown = BTreeMap::new();
        if self.programs
            && !wanted.units.is_empty()
            && let Some(text) = commands::units(&*self.clock, &wanted.units).await
        {
            shown = parse::units(&text, &wanted.units);
        }
        let each = wanted.units.iter().map(|name| {
            let unit = shown.remove(name).map(|shown| self.group(shown));
            (name.clone(), unit.unwrap_or_default())
        });
        each.collect()
    }

    /// `timedatectl` tells what the kernel thinks, whoever holds the clock. Where it cannot be
    /// asked, the mark that systemd-timesyncd leaves is proof enough; its absence is none.
    async fn clock_sync(&self) -> ClockSync {
        if self.programs
            && let Some(said) = commands::clock_synced(&*self.clock).await
        {
            return parse::clock(&said);
        }
        let mark = self.root.join("run/systemd/timesync/synchronized");
        if self.files.stat(&mark).is_ok() {
            ClockSync::Synced
        } else {
            ClockSync::Unknown
        }
    }
}

impl Host for RealHost {
    fn read(&self, wanted: Arc<Wanted>) -> Looking<'_> {
        Box::pin(async move {
            let own = self.clone();
            let kernel = tokio::task::spawn_blocking(move || own.kernel());
            let (kernel, volumes, units, clock) = tokio::join!(
                kernel,
                self.volumes(&wanted),
                self.units(&wanted),
                self.clock_sync()
            );
            Reading {
                volumes,
                clock,
                units,
                ..kernel.unwrap_or_default()
            }
        })
    }
}
