//! Backups over HTTP: what there is, and how the replicas are. One is made by
//! `POST /api/tasks/backup/run`.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::logic;
use super::model::{Place, Proven, Reason, Replica, Synced};
use super::service::{Backups, candidate};
use super::view::ReplicaView;
use crate::base::time::stamp;
use crate::platform::http::{Call, HttpError, Reply, Route, Routes, Scope};

/// The rows of the route table.
pub(super) fn routes(backups: &Arc<Backups>) -> Routes {
    vec![
        Route::get(
            "/api/backups",
            Scope::Read,
            "the backups there are, why each is kept, the last drill, the replicas",
        )
        .gives::<ListReply>()
        .handler(get(list).with_state(Arc::clone(backups))),
    ]
}

/// Answer of `GET /api/backups`.
#[derive(Serialize, JsonSchema)]
struct ListReply {
    /// The folder they are in.
    folder: String,
    /// The backups, the newest first.
    backups: Vec<BackupReply>,
    /// Age of the newest, in seconds; `null` where there is none.
    newest_age_secs: Option<i64>,
    /// The last drill that passed.
    proven: Option<ProvenReply>,
    /// A drill that failed since.
    drill_failed: Option<FailedReply>,
    /// The replicas, as configured.
    replicas: Vec<ReplicaReply>,
}

/// A backup.
#[derive(Serialize, JsonSchema)]
struct BackupReply {
    /// Its name in the folder.
    name: String,
    /// When it was made, UTC.
    taken_at: String,
    /// Its age, in seconds.
    age_secs: i64,
    /// Version of the program that made it.
    version: String,
    /// Its files.
    files: u64,
    /// Bytes of them; what it shares with others is counted in each.
    bytes: u64,
    /// Lines of its journals.
    lines: u64,
    /// Why it is kept; empty where the next run takes it away.
    kept_as: Vec<Reason>,
}

/// A drill that passed.
#[derive(Serialize, JsonSchema)]
struct ProvenReply {
    /// When, UTC.
    at: String,
    /// What it showed.
    #[serde(flatten)]
    proven: Proven,
}

/// Something that failed.
#[derive(Serialize, JsonSchema)]
struct FailedReply {
    /// When, UTC.
    at: String,
    /// Why.
    why: String,
}

/// A replica.
#[derive(Serialize, JsonSchema)]
struct ReplicaReply {
    /// Its name.
    name: String,
    /// `folder` or `s3`.
    kind: &'static str,
    /// Where it is.
    place: String,
    /// How old what it shows is, in seconds; `null` where it was never brought up to date.
    lag_secs: Option<i64>,
    /// When everything in it was read back last, UTC.
    read_back_at: Option<String>,
    /// The last time that it was brought up to date.
    last: Option<Synced>,
    /// Why it was not brought up to date since.
    failed: Option<FailedReply>,
}

async fn list(
    State(backups): State<Arc<Backups>>,
    call: Call,
) -> Result<Reply<ListReply>, HttpError> {
    let looked = backups.look(&CancellationToken::new()).await;
    looked.map_err(|error| HttpError::internal(&error.0))?;
    let (rules, view) = (backups.live.get_full(), backups.view());
    let seen = backups.seen().unwrap_or_default();
    let candidates: Vec<_> = seen.iter().map(candidate).collect();
    let kept = logic::kept(&candidates, rules.rules.keep);
    let age = |at: DateTime<Utc>| (call.now - at).num_seconds().max(0);
    let rows = seen.iter().rev().map(|backup| BackupReply {
        name: backup.name.clone(),
        taken_at: stamp(backup.taken_at),
        age_secs: age(backup.taken_at),
        version: backup.version.clone(),
        files: backup.files,
        bytes: backup.bytes,
        lines: backup.lines,
        kept_as: kept
            .get(&*backup.name)
            .map(|reasons| reasons.iter().copied().collect())
            .unwrap_or_default(),
    });
    let failed = |(at, why): (DateTime<Utc>, String)| FailedReply { at: stamp(at), why };
    let replicas = rules.rules.replicas.iter().map(|replica| {
        let known = view
            .replicas
            .get(&replica.name)
            .cloned()
            .unwrap_or_default();
        shown(replica, known, call.now)
    });
    Ok(Reply::ok(ListReply {
        folder: backups.folder().display().to_string(),
        backups: rows.collect(),
        newest_age_secs: backups.newest_at(call.now).map(age),
        proven: view.proven.clone().map(|(at, proven)| ProvenReply {
            at: stamp(at),
            proven,
        }),
        drill_failed: view.unproven.clone().map(failed),
        replicas: replicas.collect(),
    }))
}

fn shown(replica: &Replica, known: ReplicaView, now: DateTime<Utc>) -> ReplicaReply {
    let (kind, place) = match &replica.place {
        Place::Folder(folder) => ("folder", folder.display().to_string()),
        Place::Bucket(bucket) => {
            let (endpoint, name, prefix) = (&bucket.endpoint, &bucket.bucket, &bucket.prefix);
            ("s3", format!("{endpoint}/{name}/{prefix}"))
        }
    };
    let synced = known.synced.map(|(_, synced)| synced);
    let lag = synced.as_ref().map(|synced| now - synced.taken_at);
    ReplicaReply {
        name: replica.name.clone(),
        kind,
        place,
        lag_secs: lag.map(|lag| lag.num_seconds().max(0)),
        read_back_at: known.read_back.map(stamp),
        last: synced,
        failed: known
            .failed
            .map(|(at, why)| FailedReply { at: stamp(at), why }),
    }
}
