//! `echopilot backup`: only reads the home and writes the backup, with or without a daemon.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use super::args::{BackupArgs, BackupVerb};
use super::failure::{DONE, Failure, HELD, Outcome};
use super::output::{Output, size};
use crate::base::time;
use crate::capabilities::backups::config::{BackupsConfig, BackupsRules};
use crate::platform::config::{Config as _, HISTORY, read};
use crate::seams::clock::Clock;
use crate::seams::files::{Files, is_full, read_whole};
use crate::storage::backup::{BackupError, Taken, check, drill, list, newest, take};
use crate::storage::engine::DocumentError;

/// Where a drill restores to, in the folder of backups: another place than the daemon's own, and
/// the same for all of them, so that what a killed one left is found.
const SCRATCH: &str = ".drill-by-hand.tmp";

/// Backs `home` up, or looks at what there is.
pub(super) fn run(
    args: &BackupArgs,
    home: &Path,
    files: &dyn Files,
    clock: &dyn Clock,
    output: &mut Output,
) -> Outcome {
    match &args.verb {
        None => {}
        Some(BackupVerb::List) => return shelved(home, files, output),
        Some(BackupVerb::Check { folder }) => return checked(folder, files, output),
        Some(BackupVerb::Drill { folder }) => {
            return drilled(folder.as_deref(), home, files, output);
        }
    }
    let to = match &args.to {
        Some(to) => to.clone(),
        None => shelf(home, files)?,
    };
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

/// The rules of the home's `configs/backups.json`; those of `{}` where there is none.
pub(super) fn rules(home: &Path, files: &dyn Files) -> Result<BackupsRules, Failure> {
    /// Bytes of the file that are read: far more than a person writes.
    const MOST: u64 = 1 << 20;
    let path = home.join("configs").join(BackupsConfig::FILE);
    let text = match files.open_read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => b"{}".to_vec(),
        opened => opened
            .and_then(|mut file| read_whole(&mut *file, MOST))
            .with_context(|| format!("cannot read `{}`", path.display()))?,
    };
    read::<BackupsConfig>(BackupsConfig::FILE, &text).map_err(|problems| {
        let what = problems.iter().next().map(|one| one.message.clone());
        let what = what.unwrap_or_default();
        Failure::new(format!("`{}` cannot be used: {what}", path.display()))
            .hint("`echopilot check` shows the place")
    })
}

/// The folder that backups are made in.
fn shelf(home: &Path, files: &dyn Files) -> Result<PathBuf, Failure> {
    Ok(home.join(rules(home, files)?.folder))
}

fn shelved(home: &Path, files: &dyn Files, output: &mut Output) -> Outcome {
    let folder = shelf(home, files)?;
    let found = list(files, &folder).map_err(failure)?;
    if output.json() {
        let rows = found.iter().rev().map(|one| {
            json!({
                "name": one.name,
                "taken_at": time::stamp(one.taken_at),
                "files": one.files,
                "lines": one.lines,
                "bytes": one.bytes,
                "version": one.version,
            })
        });
        let rows: Vec<_> = rows.collect();
        output.value(&json!({ "folder": folder, "backups": rows }))?;
        return Ok(DONE);
    }
    let rows: Vec<Vec<String>> = found
        .iter()
        .rev()
        .map(|one| {
            let (files, lines) = (one.files.to_string(), one.lines.to_string());
            let at = time::stamp(one.taken_at);
            vec![one.name.clone(), at, files, lines, size(one.bytes)]
        })
        .collect();
    output.table(&["BACKUP", "TAKEN AT", "FILES", "LINES", "SIZE"], &rows)?;
    Ok(DONE)
}

fn checked(folder: &Path, files: &dyn Files, output: &mut Output) -> Outcome {
    let manifest = check(files, folder).map_err(failure)?;
    let lines: u64 = manifest.journals.iter().map(|one| one.lines).sum();
    let (count, taken_at) = (manifest.files.len(), &manifest.taken_at);
    if output.json() {
        output.value(&json!({
            "ok": true,
            "taken_at": taken_at,
            "files": count,
            "lines": lines,
            "is_replica": manifest.replica,
        }))?;
    } else {
        output.line(&format!(
            "{count} files, {lines} lines, as of {taken_at}: all good"
        ))?;
    }
    Ok(DONE)
}

fn drilled(named: Option<&Path>, home: &Path, files: &dyn Files, output: &mut Output) -> Outcome {
    let shelf = shelf(home, files)?;
    let backup = match named {
        Some(folder) => folder.to_owned(),
        None => newest(files, &shelf).map_err(failure)?.ok_or_else(|| {
            Failure::new(format!("there is no backup in `{}`", shelf.display()))
                .hint("`echopilot backup` makes one")
        })?,
    };
    let scratch = shelf.join(SCRATCH);
    let drilled = drill(files, &backup, &scratch, Some(home), &HISTORY).map_err(failure)?;
    let (journals, lines, taken_at) = (drilled.journals, drilled.lines, &drilled.taken_at);
    if output.json() {
        output.value(&json!({
            "ok": true,
            "backup": backup,
            "taken_at": taken_at,
            "journals": journals,
            "lines": lines,
        }))?;
    } else {
        output.line(&backup.display().to_string())?;
        output.talk(&format!(
            "{lines} lines of {journals} journals, as of {taken_at}, came out as they are in the \
             home"
        ));
    }
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
    let own = error.hint();
    let mut failure = Failure::from(anyhow::Error::new(error));
    failure.hint = hint.or(failure.hint).or(own);
    match code {
        Some(code) => failure.code(code),
        None => failure,
    }
}
