//! What kind of file system the home is on: journals need one that keeps what was synced, tells of
//! changes and lets one process lock a folder.

use super::{Around, Notes};
use crate::seams::files::Stat;

/// The table of what is mounted, as this process sees it: proc(5).
const MOUNTS: &str = "proc/self/mountinfo";

/// A line of that table.
struct Mount<'t> {
    device: (u32, u32),
    point: &'t str,
    options: &'t str,
    kind: &'t str,
}

pub(super) fn look(around: &Around<'_>, notes: &mut Notes) {
    match around.files.remote_kind(around.home) {
        Ok(Some(kind)) => {
            return notes.warn(
                format!("the home is on {kind}: locks and change notices cannot be relied on"),
                "put the home on a local disk (ext4, xfs, btrfs) and its backups on the network",
            );
        }
        Ok(None) => {}
        Err(error) => return notes.skip(format!("the file system does not tell: {error}")),
    }
    // The dot follows a home that is a link.
    let stat = around.files.stat(&around.home.join("."));
    let table = around.machine(MOUNTS).unwrap_or_default();
    let Some(mount) = stat.ok().and_then(|stat| mount_of(&table, &stat, around)) else {
        return notes.ok("a local file system");
    };
    let kind = mount.kind;
    match kind {
        "tmpfs" | "ramfs" => notes.fail(
            format!("the home is on {kind}, in memory: everything is gone with the next start"),
            "put the home on a disk; `df -T` tells what is where",
        ),
        "overlay" | "aufs" => notes.warn(
            format!("the home is on {kind}: a container's own layer goes with the container"),
            "mount a volume at the home",
        ),
        _ => {}
    }
    if mount.options.split(',').any(|option| option == "ro") {
        notes.fail(
            format!(
                "the file system of the home is mounted read-only at `{}`",
                mount.point
            ),
            "`dmesg | tail` tells whether the disk failed; else `mount -o remount,rw`",
        );
    }
    notes.ok_otherwise(format!("{kind}, mounted at `{}`", mount.point));
}

/// The mount that holds the home: that of its device, else the deepest folder above it. Some file
/// systems (btrfs) give their files another device than their mount.
fn mount_of<'t>(table: &'t str, stat: &Stat, around: &Around<'_>) -> Option<Mount<'t>> {
    let device = (rustix::fs::major(stat.dev), rustix::fs::minor(stat.dev));
    let mounts: Vec<Mount<'t>> = table.lines().filter_map(parsed).collect();
    let above = |mount: &&Mount<'_>| around.home.starts_with(mount.point);
    let deepest = mounts
        .iter()
        .rposition(|mount| mount.device == device && above(&mount))
        .or_else(|| mounts.iter().rposition(|mount| mount.device == device))
        .or_else(|| {
            let deep = mounts.iter().enumerate().filter(|(_, mount)| above(mount));
            deep.max_by_key(|(_, mount)| mount.point.len())
                .map(|(at, _)| at)
        });
    mounts.into_iter().nth(deepest?)
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`.
fn parsed(line: &str) -> Option<Mount<'_>> {
    let (front, back) = line.split_once(" - ")?;
    let mut front = front.split(' ').skip(2);
    let (major, minor) = front.next()?.split_once(':')?;
    let point = front.nth(1)?;
    Some(Mount {
        device: (major.parse().ok()?, minor.parse().ok()?),
        point,
        options: front.next()?,
        kind: back.split(' ').next()?,
    })
}
