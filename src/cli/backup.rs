//! `echopilot backup`: only reads the home and writes the backup, with or without a daemon.

use std::path::Path;

use serde_json::json;

use super::args::BackupArgs;
use super::failure::{DONE, Failure, HELD, Outcome};
use super::output::{Output, size};
use crate::seams::clock::Clock;
use crate::seams::files::{Files, is_full};
use crate::storage::backup::{BackupError, Taken, take};
use crate::storage::engine::DocumentError;

/// Backs `home` up.
pub(super) fn run(
    args: &BackupArgs,
    home: &Path,
    files: &dyn Files,
    clock: &dyn Clock,
    output: &mut Output,
) -> Outcome {
    let to = args.to.clone().unwrap_or_else(|| home.join("backups"));
    let taken = take(files, clock, home, &to).map_err(failure)?;
    for note in &taken.notes {
        output.talk(&format!("note: {note}"));
    }
    let (copied, linked) = (taken.copied_bytes, taken.linked_bytes);
    if output.json() {
        output.value(&json!({
            "ok": true,
            "folder": taken.folder,
            "taken_at": taken.manifest.taken_at,
            "files": taken.manifest.files.len(),
            "bytes": copied + linked,
            "copied_bytes": copied,
            "linked_bytes": linked,
            "journals": taken.manifest.journals,
            "left_out": taken.manifest.left_out,
            "notes": taken.notes,
        }))?;
        return Ok(DONE);
    }
    show(&taken, output)?;
    output.next(&format!(
        "echopilot restore {} --to DIR",
        taken.folder.display()
    ));
    Ok(DONE)
}

fn show(taken: &Taken, output: &mut Output) -> Result<(), Failure> {
    let lines: u64 = taken.manifest.journals.iter().map(|one| one.lines).sum();
    let (files, journals) = (taken.manifest.files.len(), taken.manifest.journals.len());
    let copied = size(taken.copied_bytes);
    let linked = match taken.linked_bytes {
        0 => String::new(),
        bytes => format!(", {} shared with the backup before", size(bytes)),
    };
    output.line(&taken.folder.display().to_string())?;
    output.talk(&format!(
        "{files} files, {lines} lines of {journals} journals, {copied} written{linked}; \
         read back and verified"
    ));
    Ok(())
}

/// The cure for each way in which a backup or a restore fails.
pub(super) fn failure(error: BackupError) -> Failure {
    let (hint, code) = match &error {
        BackupError::Busy { .. } => (Some("wait until it is done".to_owned()), Some(HELD)),
        BackupError::Nothing { .. } => (Some("is `--home` the right folder?".to_owned()), None),
        BackupError::Room { .. } => (
            Some("make room, or name another disk by `--to`".into()),
            None,
        ),
        BackupError::Io { source, .. } if is_full(source) => (
            Some("make room, or name another disk by `--to`; nothing was left behind".into()),
            None,
        ),
        BackupError::Io { source, .. }
        | BackupError::Document(DocumentError::Io { source, .. })
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            (Some("run it as the daemon's user".to_owned()), None)
        }
        BackupError::Document(DocumentError::Unsettled { .. }) => {
            (Some("try again when it is saved".to_owned()), None)
        }
        BackupError::Damaged { .. } => (
            Some("use another backup; nothing was written".to_owned()),
            None,
        ),
        BackupError::Occupied { .. } => (
            Some("name a folder that is empty or does not exist".to_owned()),
            None,
        ),
        BackupError::NoStream { known, .. } => {
            (Some(format!("there are: {}", known.join(", "))), None)
        }
        _ => (None, None),
    };
    let mut failure = Failure::from(anyhow::Error::new(error));
    failure.hint = hint.or(failure.hint);
    match code {
        Some(code) => failure.code(code),
        None => failure,
    }
}
