//! Is there room: bytes and inodes on the file system of the home.

use super::{Around, Notes};

/// Percent of a disk below which it is told: where the daemon itself begins to warn (rule L9 of
/// the reliability notes).
const LOW_PERCENT: u64 = 10;
/// Percent below which journals are about to stop (our own choice).
const EMPTY_PERCENT: u64 = 2;
/// Bytes of one MiB.
const MIB: u64 = 1 << 20;

pub(super) fn look(around: &Around<'_>, notes: &mut Notes) {
    let free = "make room: `du -xsh * | sort -h` in the home; old folders in `backups/` may go \
                once they are elsewhere";
    let space = match around.files.space(around.home) {
        Ok(space) => space,
        Err(error) => return notes.skip(format!("the file system does not tell: {error}")),
    };
    let reserve = around.rules().map_or(0, |rules| rules.reserve_bytes);
    let (total, left) = (space.total / MIB, space.available / MIB);
    let told = format!("{left} of {total} MiB are free");
    let percent = share(space.available, space.total);
    if space.available <= reserve || percent < EMPTY_PERCENT {
        notes.fail(format!("{told}: journals are about to stop"), free);
    } else if percent < LOW_PERCENT {
        notes.warn(told.clone(), free);
    }
    inodes(around, notes);
    notes.ok_otherwise(told);
}

fn inodes(around: &Around<'_>, notes: &mut Notes) {
    let home = around.home.display().to_string();
    let volume = around.reading.volumes.get(&home).copied().flatten();
    // A file system without a fixed number says 0 of 0.
    let Some(volume) = volume.filter(|volume| volume.inodes_used + volume.inodes_free > 0) else {
        return;
    };
    let all = volume.inodes_used.saturating_add(volume.inodes_free);
    let percent = share(volume.inodes_free, all);
    let told = format!("{} of {all} inodes are free", volume.inodes_free);
    let cure = "files, not bytes, are too many: `du --inodes -x / | sort -n | tail` names where";
    if percent < EMPTY_PERCENT {
        notes.fail(told, cure);
    } else if percent < LOW_PERCENT {
        notes.warn(told, cure);
    }
}

/// `part` of `all` in percent; all of nothing.
fn share(part: u64, all: u64) -> u64 {
    match all {
        0 => 100,
        all => u64::try_from(u128::from(part) * 100 / u128::from(all)).unwrap_or(100),
    }
}
