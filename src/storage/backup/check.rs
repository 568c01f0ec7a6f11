//! Reading a backup against its manifest: every file, every chain, nothing besides.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::folder::{Written, pour};
use super::manifest::{JournalEntry, Manifest};
use super::{BackupError, Fault, failed};
use crate::seams::files::Files;
use crate::storage::anchors::Anchors;
use crate::storage::files::reading;
use crate::storage::verify::{StreamReport, verify};

/// Reads the backup in `folder` whole and gives its manifest, or names every file that is not what
/// the manifest says.
pub fn check(files: &dyn Files, folder: &Path) -> Result<Manifest, BackupError> {
    let _held = super::sync::opened(files, folder)?;
    checked(files, folder)
}

/// The same where the folder is held already.
pub(super) fn checked(files: &dyn Files, folder: &Path) -> Result<Manifest, BackupError> {
    let manifest = Manifest::read(files, folder)?;
    let mut faults = contents(files, folder, &manifest);
    faults.extend(strangers(files, folder, &manifest)?);
    if faults.is_empty() {
        faults = chains(files, folder, &manifest)?;
    }
    if faults.is_empty() {
        return Ok(manifest);
    }
    Err(BackupError::Damaged {
        folder: folder.display().to_string(),
        faults,
    })
}

/// Files whose bytes are not those of the manifest.
pub(super) fn contents(files: &dyn Files, folder: &Path, manifest: &Manifest) -> Vec<Fault> {
    let mut faults = Vec::new();
    for entry in &manifest.files {
        let what = match sum_of(files, &folder.join(&entry.path)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "it is missing".into(),
            Err(error) => format!("it cannot be read: {error}"),
            Ok(found) if found.size != entry.size => {
                let (found, size) = (found.size, entry.size);
                format!("it has {found} bytes, the manifest says {size}")
            }
            Ok(found) if found.sha256 != entry.sha256 => {
                "its content was changed: SHA-256 does not fit".into()
            }
            Ok(_) => continue,
        };
        faults.push(Fault {
            file: entry.path.clone(),
            what,
        });
    }
    faults
}

/// Size and checksum of a file.
pub(super) fn sum_of(files: &dyn Files, path: &Path) -> std::io::Result<Written> {
    let mut source = reading::plain(files.open_read(path)?, 0, u64::MAX)?;
    pour(&mut source, true, &mut |_| Ok(()))
}

/// Files in the folders of a backup that the manifest does not know. One more segment would be read
/// as part of its journal.
fn strangers(
    files: &dyn Files,
    folder: &Path,
    manifest: &Manifest,
) -> Result<Vec<Fault>, BackupError> {
    let mut inside: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    inside.entry("logs").or_default();
    for entry in &manifest.files {
        if let Some((above, name)) = entry.path.rsplit_once('/') {
            inside.entry(above).or_default().insert(name);
        }
    }
    let mut faults = Vec::new();
    for (above, known) in &inside {
        let path = folder.join(above);
        let found = files.list(&path).map_err(failed("read", &path))?;
        for name in found {
            let file = format!("{above}/{name}");
            if !known.contains(&*name) && !inside.contains_key(&*file) {
                let what = "it is not in the manifest".to_owned();
                faults.push(Fault { file, what });
            }
        }
    }
    Ok(faults)
}

/// Journals whose chains are not those of the manifest. Their bytes being right, this finds what
/// was wrong with the manifest itself.
fn chains(
    files: &dyn Files,
    folder: &Path,
    manifest: &Manifest,
) -> Result<Vec<Fault>, BackupError> {
    let reports = verify(files, &folder.join("logs"), &Anchors::default())?;
    let mut faults = Vec::new();
    for entry in &manifest.journals {
        let report = reports.iter().find(|report| report.stream == entry.name);
        let mut found = report.map(entry_of);
        if manifest.replica
            && let Some(found) = &mut found
        {
            // Not counted there: what was copied is compared byte by byte.
            (found.foreign_lines, found.bad_lines) = (entry.foreign_lines, entry.bad_lines);
        }
        if found.as_ref() == Some(entry) {
            continue;
        }
        let bad = report.and_then(StreamReport::first_bad);
        faults.push(match bad {
            Some(bad) => Fault {
                file: format!("logs/{}", bad.file),
                what: format!("line {}, seq {}: {}", bad.line, bad.seq, bad.what),
            },
            None => Fault {
                file: format!("logs/{}.ndjson", entry.name),
                what: "its lines are not those that the manifest counts".to_owned(),
            },
        });
    }
    Ok(faults)
}

/// A journal as the manifest tells it.
pub(super) fn entry_of(report: &StreamReport) -> JournalEntry {
    JournalEntry {
        name: report.stream.clone(),
        lines: report.lines,
        foreign_lines: report.foreign,
        bad_lines: report.bad_lines,
        last_seq: report.last_seq,
        h: text_of(&report.h),
    }
}

/// A chain value as text.
pub(super) fn text_of(h: &[u8; 16]) -> String {
    String::from_utf8_lossy(h).into_owned()
}
