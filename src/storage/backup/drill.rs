//! A drill: a backup is restored into a scratch folder, and what came out is compared with what the
//! home has now up to the same lines. Only a backup that was restored is one.

use std::path::Path;

use super::cut::{self, Cut};
use super::manifest::Manifest;
use super::restore::{self, History, RestoredJournal, restore};
use super::shelf::take_away;
use super::{BackupError, failed};
use crate::seams::files::Files;
use crate::storage::files::reading;
use crate::storage::line::OwnLine;

/// A backup that was restored and found to be good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drilled {
    /// When it was made.
    pub taken_at: String,
    /// Journals that came out as they are in the home.
    pub journals: u64,
    /// Their lines.
    pub lines: u64,
    /// Documents.
    pub documents: u64,
    /// Bytes restored.
    pub bytes: u64,
}

/// Restores `backup` to `scratch`, compares it with the journals of `home` where there is one, and
/// takes the scratch away again.
pub fn drill(
    files: &dyn Files,
    backup: &Path,
    scratch: &Path,
    home: Option<&Path>,
    history: &History,
) -> Result<Drilled, BackupError> {
    // What a drill left that was killed.
    if files.stat(scratch).is_ok() {
        take_away(files, scratch)?;
    }
    restore::tidy(files, scratch)?;
    let manifest = Manifest::read(files, backup)?;
    let bytes = enough_room(files, &manifest, scratch)?;
    let outcome = restored(files, backup, scratch, home, history);
    let gone = match files.stat(scratch) {
        Ok(_) => take_away(files, scratch),
        Err(_) => Ok(()),
    };
    let mut drilled = outcome?;
    gone?;
    drilled.bytes = bytes;
    Ok(drilled)
}

/// Refuses what would fill the disk under the daemon; gives the bytes that are needed.
fn enough_room(files: &dyn Files, manifest: &Manifest, scratch: &Path) -> Result<u64, BackupError> {
    let needed = manifest.files.iter().map(|file| file.size).sum();
    let folder = scratch.parent().unwrap_or(scratch);
    match files.space(folder) {
        Ok(space) if space.available < needed => Err(BackupError::Room {
            folder: folder.display().to_string(),
            available: space.available,
            needed,
        }),
        // Where the system does not tell, writing will.
        _ => Ok(needed),
    }
}

fn restored(
    files: &dyn Files,
    backup: &Path,
    scratch: &Path,
    home: Option<&Path>,
    history: &History,
) -> Result<Drilled, BackupError> {
    let restored = restore(files, backup, scratch, None, history)?;
    let mut drilled = Drilled {
        taken_at: restored.taken_at,
        journals: 0,
        lines: 0,
        documents: restored.documents.len() as u64,
        bytes: 0,
    };
    for journal in &restored.journals {
        if let Some(home) = home {
            compare(files, &scratch.join("logs"), &home.join("logs"), journal)?;
        }
        drilled.journals += 1;
        drilled.lines += journal.lines;
    }
    Ok(drilled)
}

/// Compares a restored journal with the one of the home up to the same line: number, chain value,
/// and how many lines there are since the first that the home still has.
fn compare(
    files: &dyn Files,
    scratch: &Path,
    logs: &Path,
    journal: &RestoredJournal,
) -> Result<(), BackupError> {
    if journal.last_seq == 0 {
        return Ok(());
    }
    let stream = &*journal.name;
    let layout = reading::layout(files, logs, stream).map_err(failed("read", logs))?;
    let oldest = match (layout.sealed.first(), &layout.active) {
        (Some(first), _) => first.first,
        (None, Some((file, _))) => reading::first_seq(&**file),
        (None, None) => 0,
    };
    let up_to = |logs: &Path| -> Result<Cut, BackupError> {
        let wanted = |own: &OwnLine<'_>| own.seq >= oldest && own.seq <= journal.last_seq;
        let mut count = 0;
        let counted = std::cell::RefCell::new(&mut count);
        let mut found = cut::find(files, logs, stream, &|own| {
            let is_wanted = wanted(own);
            **counted.borrow_mut() += u64::from(is_wanted);
            is_wanted
        })?;
        found.lines = count;
        Ok(found)
    };
    if oldest > journal.last_seq {
        // Nothing of it is left in the home.
        return Ok(());
    }
    let (then, now) = (up_to(scratch)?, up_to(logs)?);
    if (then.seq, then.h, then.lines) == (now.seq, now.h, now.lines) {
        return Ok(());
    }
    let told = |cut: &Cut| {
        let (lines, seq, h) = (cut.lines, cut.seq, String::from_utf8_lossy(&cut.h));
        format!("{lines} lines, last {seq} with {h}")
    };
    Err(BackupError::Differs {
        journal: stream.to_owned(),
        what: format!("the backup has {}, the home {}", told(&then), told(&now)),
    })
}
