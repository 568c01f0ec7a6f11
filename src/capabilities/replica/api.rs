//! Copies over HTTP: translates in, calls one verb, translates out.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::service::{Replica, ReplicaFault};
use crate::platform::http::{
    Call, HttpError, JsonBody, QueryParams, Reply, Route, Routes, Scope, json_bytes,
};
use crate::platform::standing::Part;
use crate::storage::files::epoch::Fence;
use crate::storage::replica::{Place, SourceError};

/// Bytes that are given at most in one answer: few enough to hold, enough that asking costs little.
const MOST_BYTES: usize = 8 << 20;
/// Hex digits of a follower's id.
const ID_DIGITS: usize = 16;

type Desk = State<Arc<Replica>>;

/// The rows of the route table.
pub(super) fn routes(replica: &Arc<Replica>) -> Routes {
    let state = || Arc::clone(replica);
    let mut rows = reads(replica);
    rows.extend([
        Route::post(
            "/api/replica/followers",
            Scope::Admin,
            "make a standby known: it is asked whether it took over before this home is written to",
        )
        .takes::<JoinRequest>(r#"{"id":"0123456789abcdef","url":"http://127.0.0.1:5001"}"#)
        .gives::<EpochReply>()
        .handler(post(join).with_state(state())),
        Route::post(
            "/api/replica/followers/{id}/forget",
            Scope::Admin,
            "forget a standby that ended and never took over",
        )
        .gives::<EpochReply>()
        .handler(post(forget).with_state(state())),
        Route::post(
            "/api/replica/fence",
            Scope::Admin,
            "stop writing for good, where the epoch is higher than ours: another copy took over",
        )
        .takes::<FenceRequest>(r#"{"epoch":1,"by":"http://127.0.0.1:5001"}"#)
        .gives::<FenceReply>()
        .handler(post(fence).with_state(state())),
        Route::post(
            "/api/replica/promote",
            Scope::Admin,
            "let a standby take over; a primary stays one",
        )
        .gives::<EpochReply>()
        .handler(post(promote).with_state(state())),
    ]);
    rows
}

fn reads(replica: &Arc<Replica>) -> Routes {
    let state = || Arc::clone(replica);
    let mut bytes = Route::get(
        "/api/replica/bytes",
        Scope::Admin,
        "bytes of one file of the home, none that is not on the medium",
    )
    .query("file=configs/flags.json&offset=0&most=65536")
    .handler(get(bytes).with_state(state()));
    bytes.media = "application/octet-stream";
    vec![
        Route::get(
            "/api/replica",
            Scope::Read,
            "primary, standby or fenced; how far behind; who follows",
        )
        .gives::<StatusReply>()
        .handler(get(status).with_state(state())),
        Route::get(
            "/api/replica/epoch",
            Scope::Public,
            "the epoch: of all copies the highest one writes",
        )
        .gives::<EpochReply>()
        .handler(get(own_epoch).with_state(state())),
        Route::get(
            "/api/replica/files",
            Scope::Admin,
            "the files of the home that a standby copies",
        )
        .query("snapshots=false")
        .handler(get(files).with_state(state())),
        bytes,
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JoinRequest {
    /// The standby's id: 16 hex digits.
    id: String,
    /// Where it can be asked.
    url: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FenceRequest {
    /// The epoch of whoever took over.
    epoch: u64,
    /// Where it is.
    by: String,
}

#[derive(Serialize, JsonSchema)]
struct EpochReply {
    /// The epoch.
    epoch: u64,
    /// `primary`, `standby` or `fenced`.
    part: &'static str,
    /// The standby's id; empty where this never was one.
    id: String,
}

#[derive(Serialize, JsonSchema)]
struct FenceReply {
    /// Whether this home takes no changes any more.
    fenced: bool,
}

#[derive(Serialize, JsonSchema)]
struct FollowerReply {
    /// Its id.
    id: String,
    /// Where it is asked.
    url: String,
}

#[derive(Serialize, JsonSchema)]
struct StatusReply {
    /// `primary`, `standby` or `fenced`.
    part: &'static str,
    /// The epoch.
    epoch: u64,
    /// What a standby follows.
    from: Option<String>,
    /// Seconds since everything there was had been fetched.
    behind_secs: Option<u64>,
    /// The last `seq` that is here, by journal.
    seqs: std::collections::BTreeMap<String, u64>,
    /// Why the last look at the source failed.
    problem: Option<String>,
    /// Journals that are not followed, and why.
    apart: std::collections::BTreeMap<String, String>,
    /// Why the old primary would not learn of a take-over, if that is so.
    unfenced: Option<String>,
    /// Who follows this home.
    followers: Vec<FollowerReply>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilesQuery {
    #[serde(default)]
    snapshots: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BytesQuery {
    file: String,
    inode: Option<u64>,
    #[serde(default)]
    offset: u64,
    most: Option<usize>,
}

impl From<ReplicaFault> for HttpError {
    fn from(fault: ReplicaFault) -> Self {
        let text = fault.to_string();
        match fault {
            ReplicaFault::Source(SourceError::Changed { .. }) => {
                Self::new(StatusCode::CONFLICT, "file_changed", text).hint("list the files again")
            }
            ReplicaFault::Unreachable { .. } => {
                Self::new(StatusCode::CONFLICT, "standby_unreachable", text)
                    .hint("name an address of the standby that this machine can reach")
            }
            ReplicaFault::TooMany => Self::new(StatusCode::CONFLICT, "too_many_standbys", text)
                .hint("`echopilot standby forget ID` makes room"),
            ReplicaFault::Unknown(_) => Self::not_found("standby_not_found", text)
                .hint("`echopilot standby status` lists them"),
            ReplicaFault::Io(cause) => Self::internal(&format!("{text}: {cause}")),
            ReplicaFault::Source(SourceError::Unreachable { source, .. }) => {
                Self::internal(&format!("{text}: {source}"))
            }
            ReplicaFault::Source(SourceError::Odd { .. }) => Self::internal(&text),
        }
    }
}

/// Runs what blocks on the disk where that is allowed.
async fn blocking<T: Send + 'static>(
    replica: Arc<Replica>,
    work: impl FnOnce(&Replica) -> Result<T, ReplicaFault> + Send + 'static,
) -> Result<T, HttpError> {
    let done = tokio::task::spawn_blocking(move || work(&replica)).await;
    let done = done.map_err(|_| HttpError::internal("a look at the files panicked"))?;
    Ok(done?)
}

fn epoch_reply(replica: &Replica) -> Result<EpochReply, HttpError> {
    let standing = replica.standing();
    Ok(EpochReply {
        epoch: replica.epoch()?,
        part: standing.part().word(),
        id: replica.id()?,
    })
}

async fn own_epoch(State(replica): Desk) -> Result<Reply<EpochReply>, HttpError> {
    Ok(Reply::ok(epoch_reply(&replica)?))
}

async fn status(State(replica): Desk) -> Result<Reply<StatusReply>, HttpError> {
    let standing = replica.standing();
    let (part, told) = (standing.part(), standing.following());
    let follows = part == Part::Standby;
    let behind = told.behind(replica.clock().uptime());
    let known = replica.followers()?.into_iter();
    Ok(Reply::ok(StatusReply {
        part: part.word(),
        epoch: replica.epoch()?,
        from: follows.then_some(told.from),
        behind_secs: follows.then_some(behind.as_secs()),
        seqs: told.seqs,
        problem: told.problem,
        apart: told.apart,
        unfenced: told.unfenced,
        followers: known
            .map(|one| FollowerReply {
                id: one.id,
                url: one.url,
            })
            .collect(),
    }))
}

async fn files(
    State(replica): Desk,
    QueryParams(query): QueryParams<FilesQuery>,
) -> Result<Response, HttpError> {
    let listing = blocking(replica, move |replica| replica.list(query.snapshots)).await?;
    let json = HeaderValue::from_static("application/json");
    let body = json_bytes(&listing);
    Ok(([(CONTENT_TYPE, json)], body).into_response())
}

async fn bytes(
    State(replica): Desk,
    QueryParams(query): QueryParams<BytesQuery>,
) -> Result<Response, HttpError> {
    let Some(place) = Place::parse(&query.file) else {
        let shown: String = query.file.chars().take(80).collect();
        let text = format!("`{}` is no file that is copied", shown.escape_debug());
        return Err(
            HttpError::not_found("file_not_found", text).hint("GET /api/replica/files lists them")
        );
    };
    let most = query.most.unwrap_or(MOST_BYTES).min(MOST_BYTES);
    let read = move |replica: &Replica| replica.bytes(&place, query.inode, query.offset, most);
    let bytes = blocking(replica, read).await?;
    let octets = HeaderValue::from_static("application/octet-stream");
    Ok(([(CONTENT_TYPE, octets)], bytes).into_response())
}

async fn join(
    State(replica): Desk,
    call: Call,
    JsonBody(body): JsonBody<JoinRequest>,
) -> Result<Reply<EpochReply>, HttpError> {
    if body.id.len() != ID_DIGITS || !body.id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let text = "an `id` has 16 hex digits";
        return Err(HttpError::bad_request("bad_id", text).hint("a standby draws its own"));
    }
    replica.join(&body.id, &body.url, call.now).await?;
    Ok(Reply::ok(epoch_reply(&replica)?))
}

async fn forget(
    State(replica): Desk,
    Path(id): Path<String>,
) -> Result<Reply<EpochReply>, HttpError> {
    let own = Arc::clone(&replica);
    blocking(own, move |replica| replica.forget(&id)).await?;
    Ok(Reply::ok(epoch_reply(&replica)?))
}

async fn fence(
    State(replica): Desk,
    call: Call,
    JsonBody(body): JsonBody<FenceRequest>,
) -> Result<Reply<FenceReply>, HttpError> {
    let fence = Fence {
        epoch: body.epoch,
        at: call.now,
        by: body.by.chars().take(200).collect(),
    };
    let fenced = replica.fence(fence).await?;
    Ok(Reply::ok(FenceReply { fenced }))
}

async fn promote(State(replica): Desk, call: Call) -> Result<Reply<EpochReply>, HttpError> {
    match replica.standing().part() {
        Part::Standby => replica.standing().ask_for_take_over(&call.caller.name),
        Part::Primary => {}
        Part::Fenced => {
            let text = "this home was taken over from, only a standby can take over";
            return Err(HttpError::new(StatusCode::CONFLICT, "fenced", text)
                .hint("`echopilot standby --from URL` makes it a standby of the new primary"));
        }
    }
    Ok(Reply::ok(epoch_reply(&replica)?))
}
