//! Bringing the replicas up to date, one after the other; one that cannot be reached does not keep
//! the others from it.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::event::{Event, SyncFailed};
use super::model::{Place, Replica, Synced};
use super::reach::{self, Means};
use super::service::Backups;
use super::view::ReplicaView;
use crate::platform::scheduler::{Pass, Summary, TaskError};
use crate::seams::clock::Clock;
use crate::seams::files::Files;
use crate::storage::backup::BackupError;
use crate::storage::backup::sync::{self, FolderTarget, Options, sync};

impl Backups {
    /// Brings all replicas up to date.
    pub(super) async fn sync(&self, pass: &Pass) -> Result<Summary, TaskError> {
        let rules = self.live.get_full();
        if rules.rules.replicas.is_empty() {
            return Ok(Summary::skipped("configs/backups.json names no replica"));
        }
        let (mut output, mut faults) = (Vec::new(), Vec::new());
        for replica in &rules.rules.replicas {
            match self.sync_one(replica, pass).await? {
                Ok(told) => output.push(told),
                Err(why) => faults.push(format!("`{}`: {why}", replica.name)),
            }
        }
        if faults.is_empty() {
            return Ok(Summary::ok(json!({ "replicas": output })));
        }
        Err(TaskError(faults.join("; ")))
    }

    /// Brings one up to date and writes down how it went.
    async fn sync_one(
        &self,
        replica: &Replica,
        pass: &Pass,
    ) -> Result<Result<Value, String>, TaskError> {
        let known = self
            .view()
            .replicas
            .remove(&replica.name)
            .unwrap_or_default();
        let options = options(replica, &known, pass.now);
        let outcome = self.synced(replica, options, pass).await?;
        let now = self.wiring.clock.now();
        match outcome {
            Err(error @ BackupError::Busy { .. }) => Ok(Ok(json!({
                "name": replica.name,
                "skipped": error.to_string(),
            }))),
            Err(error) => {
                let why = cured(error);
                let failed = SyncFailed {
                    replica: replica.name.clone(),
                    why: why.clone(),
                };
                self.record(vec![Event::SyncFailed(failed)], now).await?;
                Ok(Err(why))
            }
            Ok(synced) => {
                for note in &synced.notes {
                    tracing::warn!("replica `{}`: {note}", replica.name);
                }
                let line = line(&replica.name, synced, options, now);
                let told = json!({
                    "name": line.replica,
                    "files": line.files,
                    "sent_files": line.sent_files,
                    "sent_bytes": line.sent_bytes,
                    "mended": line.mended.len(),
                    "lost": line.lost.len(),
                });
                let lost = line.lost.join(", ");
                self.record(vec![Event::Synced(line)], now).await?;
                if lost.is_empty() {
                    return Ok(Ok(told));
                }
                Ok(Err(format!(
                    "damaged or missing, and not in the home: {lost}"
                )))
            }
        }
    }

    async fn synced(
        &self,
        replica: &Replica,
        options: Options,
        pass: &Pass,
    ) -> Result<Result<sync::Synced, BackupError>, TaskError> {
        let (home, clock) = (
            Arc::clone(&self.wiring.home),
            Arc::clone(&self.wiring.clock),
        );
        match &replica.place {
            Place::Folder(folder) => {
                let folder = folder.clone();
                let work = move |files: &Arc<dyn Files>| {
                    into_folder(&**files, &*clock, (&home, &folder), options)
                };
                self.aside(&pass.stop, work).await
            }
            Place::Bucket(bucket) => {
                let means = Means {
                    secrets: self.wiring.seams.secrets.clone(),
                    outbound: Arc::clone(&self.wiring.seams.outbound),
                    allow: Arc::clone(&self.wiring.daemon.get().rules.outbound),
                    runtime: tokio::runtime::Handle::current(),
                    stop: pass.stop.clone(),
                };
                let mut target = match reach::target(bucket, &means) {
                    Ok(target) => target,
                    Err(why) => return Ok(Err(BackupError::Unopened(why))),
                };
                let work = move |files: &Arc<dyn Files>| {
                    sync(&**files, &*clock, &home, &mut target, options)
                };
                self.aside(&pass.stop, work).await
            }
        }
    }
}

fn into_folder(
    files: &dyn Files,
    clock: &dyn Clock,
    (home, folder): (&Path, &Path),
    options: Options,
) -> Result<sync::Synced, BackupError> {
    let mut target = FolderTarget::open(files, folder, home, options.is_known)?;
    sync(files, clock, home, &mut target, options)
}

fn options(replica: &Replica, known: &ReplicaView, now: DateTime<Utc>) -> Options {
    let due = known
        .read_back
        .is_none_or(|at| now - at >= replica.read_back);
    Options {
        keeps_removed: replica.keeps_removed,
        reads_back: due,
        is_known: known.synced.is_some(),
    }
}

fn line(name: &str, synced: sync::Synced, options: Options, now: DateTime<Utc>) -> Synced {
    let manifest = &synced.manifest;
    Synced {
        replica: name.to_owned(),
        taken_at: manifest.taken_at.parse().unwrap_or(now),
        files: manifest.files.len() as u64,
        bytes: manifest.files.iter().map(|file| file.size).sum(),
        sent_files: synced.sent_files,
        sent_bytes: synced.sent_bytes,
        is_read_back: options.reads_back,
        mended: synced.mended,
        lost: synced.lost,
    }
}

/// The whole chain of an error, and its cure.
fn cured(error: BackupError) -> String {
    let hint = error.hint();
    let told = format!("{:#}", anyhow::Error::new(error));
    match hint {
        Some(hint) => format!("{told}; hint: {hint}"),
        None => told,
    }
}
