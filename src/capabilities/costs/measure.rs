//! What the daemon itself uses: the size of its folders, its processor time, the bytes it sends.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::event::StorageMeasured;
use crate::platform::telemetry::Metrics;
use crate::seams::files::{Files, read_whole};

/// Folders of the home that are measured (`product.md` §4).
const FOLDERS: [&str; 2] = ["logs", "backups"];
/// Names that are looked at most: a home with more is not measured to the end.
const MOST_NAMES: usize = 1_000_000;
/// Milliseconds of a tick in `/proc/PID/stat`: `USER_HZ` is 100 on every Linux that Rust runs on.
const TICK_MS: u64 = 10;
/// Bytes of `/proc/self/stat` at most: one page, which it never fills.
const MOST_STAT: u64 = 4096;

/// The size of `logs/` and `backups/`. A file with several names counts once; what goes away
/// meanwhile does not count.
pub(super) fn storage(files: &dyn Files, home: &Path) -> StorageMeasured {
    let mut sum = StorageMeasured::default();
    let mut seen = HashSet::new();
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|name| home.join(name)).collect();
    let mut names = 0;
    while let Some(folder) = folders.pop() {
        for name in files.list(&folder).unwrap_or_default() {
            names += 1;
            if names > MOST_NAMES {
                return sum;
            }
            let path = folder.join(name);
            let Ok(stat) = files.stat(&path) else {
                continue;
            };
            if stat.folder {
                folders.push(path);
                continue;
            }
            if !stat.plain || (stat.nlink > 1 && !seen.insert((stat.dev, stat.inode))) {
                continue;
            }
            sum.files += 1;
            sum.disk_bytes += stat.allocated;
            sum.apparent_bytes += stat.size;
        }
    }
    sum
}

/// Processor time of this process and of the programs it ran to their end, in milliseconds.
pub(super) fn cpu_ms(files: &dyn Files) -> Option<u64> {
    let mut file = files.open_read(Path::new("/proc/self/stat")).ok()?;
    let text = String::from_utf8(read_whole(&mut *file, MOST_STAT).ok()?).ok()?;
    cpu_of(&text)
}

/// Sum of utime, stime, cutime and cstime: proc(5). Fields are counted after the name, which
/// stands in parentheses and may hold anything.
fn cpu_of(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(4);
    let ticks: Vec<u64> = ticks.map(|text| text.parse().ok()).collect::<Option<_>>()?;
    (ticks.len() == 4).then(|| ticks.iter().sum::<u64>().saturating_mul(TICK_MS))
}

/// Bytes that were sent since the start.
pub(super) fn bytes_sent(metrics: &Metrics) -> u64 {
    let served = metrics.served();
    served.map_or(0, |(_, counts)| counts.bytes_sent.load(Ordering::Relaxed))
}

#[test]
fn processor_time_is_that_of_the_process_and_its_children() {
    let stat = "17 (a) b (c) R 1 17 17 0 -1 4194304 100 0 0 0 250 50 7 3 20 0 1 0 100 0 0";
    assert_eq!(cpu_of(stat), Some(3100));
    for bad in [
        "",
        "17 (a",
        "17 (a) R 1",
        "17 (a) R 1 1 1 0 -1 4 1 0 0 0 x 1 1 1",
    ] {
        assert_eq!(cpu_of(bad), None, "{bad:?}");
    }
}
