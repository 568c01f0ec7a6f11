//! The verbs of backups: one is made and the old ones go, one is restored as a proof, all are
//! listed. Work on files is done on threads of its own, and ends when the run is told to stop.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::config::{BackupsConfig, BackupsRules};
use super::event::{Awaited, DrillFailed, Event, Line, Removed, STREAM, Taken};
use super::logic::{self, Candidate};
use super::model::{Keep, Proven};
use super::view::BackupsView;
use crate::platform::config::{HISTORY, Live};
use crate::platform::scheduler::{Pass, Summary, TaskError};
use crate::platform::wiring::Wiring;
use crate::seams::files::Files;
use crate::storage::backup::{
    self, BackupError, Drilled, Shelved, Stoppable, drill, list, newest, remove, tidy,
};
use crate::storage::engine::StorageError;
use crate::storage::journal::{Journal, read_lines};
use crate::storage::lines::Lines;

/// Name of the folder that a drill restores into, in the folder of backups: hidden, and the same
/// for all of them, so that what a killed one left is found.
const SCRATCH: &str = ".drill.tmp";

/// How far ahead of the clock a backup may be dated: what a clock is set back by in everyday life
/// (our own choice).
const AHEAD: TimeDelta = TimeDelta::minutes(5);

/// Backups, running.
#[derive(Debug)]
pub(super) struct Backups {
    pub(super) wiring: Wiring,
    pub(super) live: Live<BackupsRules>,
    pub(super) journal: Journal,
    view: Arc<Mutex<BackupsView>>,
    /// What was last seen in the folder; `None` before the first look.
    seen: Mutex<Option<Arc<Vec<Shelved>>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A failure as a run tells it: the whole chain, and the cure where there is one.
pub(super) fn told(error: BackupError) -> TaskError {
    anyhow::Error::new(error).into()
}

impl Backups {
    /// Loads the file, opens the journal and works out what it means.
    pub(super) fn open(wiring: &Wiring) -> anyhow::Result<Arc<Self>> {
        let live = wiring.config::<BackupsConfig>()?;
        let journal = wiring.opened(STREAM)?;
        let mut view = BackupsView::default();
        read_lines(
            journal.engine(),
            STREAM,
            &crate::storage::engine::Mark::default(),
            |line: Line| view.take(line.ts, &line.event),
        )?;
        Ok(Arc::new(Self {
            wiring: wiring.clone(),
            live,
            journal,
            view: Arc::new(Mutex::new(view)),
            seen: Mutex::default(),
        }))
    }

    /// What is known, as it is now.
    pub(super) fn view(&self) -> BackupsView {
        locked(&self.view).clone()
    }

    /// What was last seen in the folder of backups.
    pub(super) fn seen(&self) -> Option<Arc<Vec<Shelved>>> {
        locked(&self.seen).clone()
    }

    /// When the newest backup was made, whoever made it.
    ///
    /// One that is dated ahead of the clock tells nothing: the clock was set back since, and the
    /// ones that are made now are older.
    pub(super) fn newest_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let is_past = |at: &DateTime<Utc>| *at <= now + AHEAD;
        match self.seen() {
            Some(seen) => seen.iter().rev().map(|one| one.taken_at).find(is_past),
            None => locked(&self.view).taken.filter(is_past),
        }
    }

    /// Writes what happened; what is known changes when it is on record.
    pub(super) async fn record(
        &self,
        events: Vec<Event>,
        at: DateTime<Utc>,
    ) -> Result<(), StorageError> {
        let mut lines = Lines::new();
        for event in &events {
            event.push(&mut lines, at);
        }
        let view = Arc::clone(&self.view);
        let committed = move |outcome: &Result<_, StorageError>| {
            if outcome.is_ok() {
                let mut view = locked(&view);
                for event in &events {
                    view.take(at, event);
                }
            }
        };
        let appending = self.journal.append(lines, None, Some(Box::new(committed)));
        appending.await.map(|_position| ())
    }

    /// Says that the first backup is waited for, where nothing was said yet.
    pub(super) async fn await_first(&self) {
        let view = self.view();
        if view.awaited.is_none() && view.taken.is_none() {
            let now = self.wiring.clock.now();
            if let Err(error) = self.record(vec![Event::Awaited(Awaited {})], now).await {
                tracing::warn!(%error, "cannot note that the first backup is waited for");
            }
        }
    }

    /// The folder of backups, as the configuration says now.
    pub(super) fn folder(&self) -> PathBuf {
        self.wiring.home.join(&self.live.get().rules.folder)
    }

    /// Does `work` on a thread of its own, with files that end when `stop` does.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        stop: &CancellationToken,
        work: impl FnOnce(&Arc<dyn Files>) -> Result<T, BackupError> + Send + 'static,
    ) -> Result<Result<T, BackupError>, TaskError> {
        let files = Arc::clone(&self.wiring.seams.files);
        let files: Arc<dyn Files> = Arc::new(Stoppable::new(files, stop.clone()));
        let done = tokio::task::spawn_blocking(move || work(&files)).await;
        if stop.is_cancelled() && !matches!(done, Ok(Ok(_))) {
            return Err(TaskError("it was told to stop before it was done".into()));
        }
        done.map_err(|_died| TaskError("the thread that did the work died".to_owned()))
    }

    /// Looks into the folder again.
    pub(super) async fn look(&self, stop: &CancellationToken) -> Result<(), TaskError> {
        let folder = self.folder();
        let looked = self.aside(stop, move |files| list(&**files, &folder));
        let found = looked.await?.map_err(told)?;
        *locked(&self.seen) = Some(Arc::new(found));
        Ok(())
    }

    /// One backup, and the old ones go.
    pub(super) async fn take(&self, pass: &Pass) -> Result<Summary, TaskError> {
        let (keep, folder) = (self.live.get().rules.keep, self.folder());
        let (home, clock) = (
            Arc::clone(&self.wiring.home),
            Arc::clone(&self.wiring.clock),
        );
        let to = folder.clone();
        let outside = (!folder.starts_with(&*home)).then(|| folder.display().to_string());
        let held = outside.is_some() && self.view().outside == outside;
        let taking = self.aside(&pass.stop, move |files| {
            // A disk that is not mounted: its place would be filled on the disk of the home.
            if held && list(&**files, &to)?.is_empty() {
                let folder = to.display().to_string();
                return Err(BackupError::Emptied { folder });
            }
            backup::take(&**files, &*clock, &home, &to)
        });
        let taken = match taking.await? {
            Err(error @ BackupError::Busy { .. }) => {
                return Ok(Summary::skipped(error.to_string()));
            }
            taken => taken.map_err(told)?,
        };
        let manifest = &taken.manifest;
        let line = Taken {
            name: name_of(&taken.folder),
            folder: outside,
            files: manifest.files.len() as u64,
            lines: manifest.journals.iter().map(|one| one.lines).sum(),
            bytes: manifest.files.iter().map(|file| file.size).sum(),
            copied_bytes: taken.copied_bytes,
            left_out: manifest
                .left_out
                .iter()
                .map(|one| one.path.clone())
                .collect(),
        };
        for note in &taken.notes {
            tracing::warn!("backup `{}`: {note}", line.name);
        }
        let output = json!({
            "name": line.name,
            "files": line.files,
            "bytes": line.bytes,
            "copied_bytes": line.copied_bytes,
        });
        let name = line.name.clone();
        self.record(vec![Event::Taken(line)], pass.now).await?;
        let removed = self.prune((folder, name), keep, pass).await;
        self.look(&pass.stop).await?;
        let mut output = output;
        output["removed"] = removed?.into();
        Ok(Summary::ok(output))
    }

    /// Takes away what is not to be kept; gives how many.
    async fn prune(
        &self,
        (folder, made): (PathBuf, String),
        keep: Keep,
        pass: &Pass,
    ) -> Result<usize, TaskError> {
        let work = move |files: &Arc<dyn Files>| pruned(&**files, (&folder, &made), keep);
        let pruning = self.aside(&pass.stop, work);
        let (removed, outcome) = pruning.await?.map_err(told)?;
        let count = removed.len();
        if count > 0 {
            self.record(removed, pass.now).await?;
        }
        outcome.map_err(told)?;
        Ok(count)
    }

    /// Restores the newest backup and compares it with what there is.
    pub(super) async fn prove(&self, pass: &Pass) -> Result<Summary, TaskError> {
        let (folder, home) = (self.folder(), Arc::clone(&self.wiring.home));
        let proving = self.aside(&pass.stop, move |files| {
            let Some(newest) = newest(&**files, &folder)? else {
                return Ok(None);
            };
            let scratch = folder.join(SCRATCH);
            let drilled = drill(&**files, &newest, &scratch, Some(&home), &HISTORY);
            Ok(Some((name_of(&newest), drilled)))
        });
        let Some((backup, drilled)) = proving.await?.map_err(told)? else {
            return Ok(Summary::skipped("there is no backup yet"));
        };
        if pass.stop.is_cancelled() && drilled.is_err() {
            return Err(TaskError("it was told to stop before it was done".into()));
        }
        match drilled {
            Err(error @ BackupError::Busy { .. }) => Ok(Summary::skipped(error.to_string())),
            Ok(drilled) => {
                let proven = proven(backup, &drilled, pass.now);
                let output = json!(proven);
                self.record(vec![Event::Proven(proven)], pass.now).await?;
                Ok(Summary::ok(output))
            }
            Err(error) => {
                let why = told(error);
                let line = DrillFailed {
                    backup,
                    why: why.0.clone(),
                };
                let line = vec![Event::DrillFailed(line)];
                self.record(line, pass.now).await?;
                Err(why)
            }
        }
    }
}

/// The name of a folder.
fn name_of(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn proven(backup: String, drilled: &Drilled, now: DateTime<Utc>) -> Proven {
    Proven {
        backup,
        taken_at: drilled.taken_at.parse().unwrap_or(now),
        journals: drilled.journals,
        lines: drilled.lines,
        bytes: drilled.bytes,
    }
}

/// Takes away what is not to be kept: what has gone, and what came in between. The one that was
/// just `made` stays, even where the clock was set back and all others are dated after it.
fn pruned(
    files: &dyn Files,
    (folder, made): (&Path, &str),
    keep: Keep,
) -> Result<(Vec<Event>, Result<(), BackupError>), BackupError> {
    tidy(files, folder)?;
    let all = list(files, folder)?;
    let candidates: Vec<Candidate> = all.iter().map(candidate).collect();
    let kept = logic::kept(&candidates, keep);
    let mut removed = Vec::new();
    for one in candidates
        .iter()
        .filter(|one| one.name != made && !kept.contains_key(&*one.name))
    {
        if let Err(error) = remove(files, folder, &one.name) {
            return Ok((removed, Err(error)));
        }
        removed.push(Event::Removed(Removed {
            name: one.name.clone(),
            taken_at: one.taken_at,
        }));
    }
    Ok((removed, Ok(())))
}

/// A backup as the rules see it.
pub(super) fn candidate(backup: &Shelved) -> Candidate {
    Candidate {
        name: backup.name.clone(),
        taken_at: backup.taken_at,
        is_ours: backup.is_ours,
    }
}
