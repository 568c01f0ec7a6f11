//! The other files in a log's folder: where a file went that was being read, and which files were
//! begun and set aside while nobody looked.

use std::io;
use std::path::{Path, PathBuf};

use super::mark::{ENOUGH, Mark};
use crate::seams::files::{Files, Stat};

/// Names of a folder that are looked at; logs are kept by dozens.
const MAX_NAMES: usize = 4096;

/// Endings of files that cannot be read as they are.
const PACKED: [&str; 5] = [".gz", ".zst", ".xz", ".bz2", ".lz4"];

/// A file beside the log.
#[derive(Debug, Clone)]
pub(super) struct Sibling {
    pub(super) path: PathBuf,
    pub(super) stat: Stat,
    /// Whether its name is that of the log with a number or a date.
    pub(super) rotated: bool,
    /// Whether it is compressed.
    pub(super) packed: bool,
}

/// The plain files in the folder of `log`, `log` itself left out, last written first.
pub(super) fn siblings(files: &dyn Files, log: &Path) -> io::Result<Vec<Sibling>> {
    let folder = log.parent().unwrap_or(Path::new("."));
    let own = log.file_name().and_then(|name| name.to_str());
    let own = own.unwrap_or_default();
    let mut found = Vec::new();
    for name in files.list(folder)?.into_iter().take(MAX_NAMES) {
        let path = folder.join(&name);
        // One that goes away meanwhile is none.
        let Ok(stat) = files.stat(&path) else {
            continue;
        };
        if name == own || !stat.plain {
            continue;
        }
        let packed = PACKED.iter().find_map(|ending| name.strip_suffix(ending));
        found.push(Sibling {
            rotated: is_rotated(own, packed.unwrap_or(&name)),
            packed: packed.is_some(),
            path,
            stat,
        });
    }
    found.sort_by_key(|sibling| std::cmp::Reverse(sibling.stat.mtime_ns));
    Ok(found)
}

/// Those that may hold what `mark` was made in, the likeliest first: the same inode, then any file
/// long enough, if the mark's fingerprint alone can tell.
pub(super) fn likely<'s>(all: &'s [Sibling], mark: &Mark) -> impl Iterator<Item = &'s Sibling> {
    let mark = *mark;
    let readable = move |s: &&Sibling| !s.packed && s.stat.size >= mark.offset;
    let same = all.iter().filter(move |s| s.stat.inode == mark.inode);
    let other = all
        .iter()
        .filter(move |s| s.stat.inode != mark.inode && usize::from(mark.print_bytes) >= ENOUGH);
    same.chain(other).filter(readable)
}

/// Whether `name` is what rotation makes of `own`: `access.log.1`, `access.log-20261121`,
/// `access-20261121.log`. Within the name only dates count, for `access-2.log` may be a log of its
/// own.
fn is_rotated(own: &str, name: &str) -> bool {
    /// Digits of a date without the year's century would still be six; a whole date has eight.
    const DATE: usize = 8;
    let marks = |text: &str| {
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let known = |byte: u8| byte.is_ascii_digit() || b".-_T:Z".contains(&byte);
        text.bytes().all(known).then_some(digits)
    };
    if let Some(tail) = name.strip_prefix(own) {
        return tail.starts_with(['.', '-', '_']) && marks(tail).is_some_and(|d| d > 0);
    }
    let Some((stem, ending)) = own.rsplit_once('.') else {
        return false;
    };
    let inner = name
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_suffix(ending));
    let inner = inner.and_then(|rest| rest.strip_suffix('.'));
    inner.is_some_and(|inner| {
        inner.starts_with(['.', '-', '_']) && marks(inner).is_some_and(|digits| digits >= DATE)
    })
}

#[cfg(test)]
mod tests {
    use super::is_rotated;

    #[test]
    fn only_numbers_and_dates_make_a_rotated_name() {
        for name in [
            "access.log.1",
            "access.log.12",
            "access.log-20261121",
            "access.log.2026-11-21T09:15:02Z",
            "access-20261121.log",
            "access-2026-11-21T09-15-02.123.log",
        ] {
            assert!(is_rotated("access.log", name), "{name}");
        }
        for name in [
            "access.log",
            "access.log.",
            "access.log.old",
            "access.log1",
            "access-2.log",
            "access-admin.log",
            "access2.log.1",
            "error.log.1",
            "access-20261121.txt",
        ] {
            assert!(!is_rotated("access.log", name), "{name}");
        }
    }
}
