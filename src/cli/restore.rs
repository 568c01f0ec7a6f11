//! `echopilot restore`: a new home from a backup. Touches no other home.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::args::RestoreArgs;
use super::backup::{failure, rules};
use super::failure::{DONE, Failure, Outcome};
use super::output::{Output, word};
use crate::app;
use crate::base::{calendar, time};
use crate::capabilities::backups::model::Place;
use crate::platform::config::HISTORY;
use crate::seams::clock::Clock;
use crate::seams::files::{Files, RealFiles};
use crate::storage::backup::{
    BackupError, MANIFEST, Restored, RestoredDocument, TextFrom, Until, restore, take_away,
};

/// Restores what `args` names.
pub(super) fn run(
    args: &RestoreArgs,
    home: &Path,
    files: &dyn Files,
    clock: &dyn Clock,
    output: &mut Output,
) -> Outcome {
    let fetched;
    let from = match args.from.to_str().and_then(|text| text.strip_prefix("s3:")) {
        Some(name) => {
            fetched = fetch(name, home, &args.to, output)?;
            fetched.0.clone()
        }
        None => find(&args.from, home, files)?,
    };
    let until = args
        .until
        .as_deref()
        .map(|text| until(text, clock.now()))
        .transpose()?;
    let restored = restore(files, &from, &args.to, until.as_ref(), &HISTORY).map_err(failure)?;
    if let Some(Until::Time(at)) = &until
        && time::stamp(*at) > restored.taken_at
    {
        let taken = &restored.taken_at;
        output.talk(&format!(
            "note: the backup was made at {taken}; nothing after that is in it"
        ));
    }
    for document in &restored.documents {
        if let Some(note) = note(document) {
            output.talk(&format!("note: {note}"));
        }
    }
    if output.json() {
        output.value(&told(&restored))?;
    } else {
        show(&restored, until.is_some(), output)?;
        let to = word(&args.to.display().to_string());
        output.next_elsewhere(&format!("echopilot serve --home {to}"));
    }
    Ok(DONE)
}

/// A replica that was fetched; taken away when it was restored, or was not.
struct Fetched(PathBuf);

impl Drop for Fetched {
    fn drop(&mut self) {
        if let Err(error) = take_away(&RealFiles, &self.0) {
            tracing::warn!(%error, "a scratch folder is left");
        }
    }
}

/// Fetches the replica `name` from its bucket to a folder beside the new home.
fn fetch(name: &str, home: &Path, to: &Path, output: &mut Output) -> Result<Fetched, Failure> {
    let rules = rules(home, &RealFiles)?;
    let known = rules.replicas.iter().find(|one| one.name == name);
    let Some(Place::Bucket(bucket)) = known.map(|one| &one.place) else {
        return Err(Failure::new(format!(
            "`configs/backups.json` names no replica `{name}` in a bucket"
        ))
        .hint("write its row there; `--home` says which folder `configs/` is in"));
    };
    output.talk(&format!("fetching the replica `{name}` from its bucket"));
    let folder = to.file_name().unwrap_or_default().to_string_lossy();
    let scratch = to.with_file_name(format!(".{folder}.fetched"));
    let fetched = app::fetch::replica(home, bucket, scratch)?;
    fetched.map(Fetched).map_err(failure)
}

/// The backup that a name stands for: a folder, or one in `backups/` of the home.
fn find(named: &Path, home: &Path, files: &dyn Files) -> Result<PathBuf, Failure> {
    let is_backup = |folder: &Path| files.stat(&folder.join(MANIFEST)).is_ok();
    let all = home.join("backups");
    let candidates = [named.to_owned(), all.join(named)];
    if let Some(found) = candidates.iter().find(|folder| is_backup(folder)) {
        return Ok(found.clone());
    }
    let newest = [named, &*all].into_iter().find_map(|folder| {
        let listed = files.list(folder).ok()?;
        let visible = listed.iter().rev().filter(|name| !name.starts_with('.'));
        visible
            .map(|name| folder.join(name))
            .find(|folder| is_backup(folder))
    });
    let missing = failure(BackupError::NoBackup {
        folder: named.display().to_string(),
    });
    Err(match newest {
        Some(newest) => missing.hint(format!("the newest one is `{}`", newest.display())),
        None => missing.hint("`echopilot backup` makes one"),
    })
}

fn until(text: &str, now: DateTime<Utc>) -> Result<Until, Failure> {
    if let Some(at) = calendar::instant(text, now) {
        return Ok(Until::Time(at));
    }
    let line = text.rsplit_once(':').and_then(|(stream, seq)| {
        Some(Until::Line {
            stream: stream.to_owned(),
            seq: seq.parse().ok()?,
        })
    });
    line.ok_or_else(|| {
        Failure::new(format!(
            "`--until` is `{text}`, which is no instant and no line of a journal"
        ))
        .hint("write 2026-11-21T09:15:00Z, 2h, or experiments:1042")
    })
}

/// What is not as one would expect of a document.
fn note(document: &RestoredDocument) -> Option<String> {
    let name = &document.name;
    match &document.from {
        TextFrom::Backup | TextFrom::Then => None,
        TextFrom::Newest => Some(format!(
            "`{name}` is the one of the backup, not of that time: what was revoked stays so"
        )),
        TextFrom::Untold => Some(format!(
            "`{name}` is the one of the backup: no line tells what was in force at that time"
        )),
        TextFrom::Lost(revision) => Some(format!(
            "`{name}` is the one of the backup: revision {revision}, in force at that time, is \
             not in it"
        )),
    }
}

fn told(restored: &Restored) -> Value {
    let journals: Vec<Value> = restored
        .journals
        .iter()
        .map(|one| {
            json!({
                "name": one.name,
                "lines": one.lines,
                "last_seq": one.last_seq,
                "h": one.h,
                "backup_last_seq": one.backup_last_seq,
            })
        })
        .collect();
    let documents: Vec<Value> = restored
        .documents
        .iter()
        .map(|one| {
            let (from, lost) = match &one.from {
                TextFrom::Backup => ("backup", None),
                TextFrom::Then => ("then", None),
                TextFrom::Newest => ("newest", None),
                TextFrom::Untold => ("untold", None),
                TextFrom::Lost(revision) => ("lost", Some(revision)),
            };
            let (name, revision) = (&one.name, &one.revision);
            json!({ "name": name, "revision": revision, "from": from, "missing_revision": lost })
        })
        .collect();
    json!({
        "ok": true,
        "folder": restored.folder,
        "taken_at": restored.taken_at,
        "journals": journals,
        "documents": documents,
    })
}

fn show(restored: &Restored, cut: bool, output: &mut Output) -> Result<(), Failure> {
    let rows: Vec<Vec<String>> = restored
        .journals
        .iter()
        .map(|one| {
            let left = one.backup_last_seq.saturating_sub(one.last_seq);
            let numbers = [one.lines, one.last_seq, left].map(|number| number.to_string());
            let [lines, last, left] = numbers;
            vec![one.name.clone(), lines, last, left, one.h.clone()]
        })
        .collect();
    output.table(&["JOURNAL", "LINES", "LAST", "LEFT OUT", "H"], &rows)?;
    for one in &restored.documents {
        output.line(&format!("configs/{} at {}", one.name, one.revision))?;
    }
    output.talk(if cut {
        "each journal was read back: it is whole up to its last line, and its chain fits"
    } else {
        "each journal was read back: lines, last line and chain are those of the manifest"
    });
    Ok(())
}
