//! `/ping/{key}`: where jobs call. Whoever knows the key may, and learns nothing but `OK`; a key
//! that is none and a path that is none look the same.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use serde::Deserialize;

use super::model::{Ping, Signal, Watch};
use super::service::{HeartbeatError, Heartbeats};
use crate::platform::http::{Call, HttpError, Route, Routes, Scope};

/// Bytes of a body that are kept, the first ones: what a job says of itself, not its log.
const MOST_KEPT: usize = 10_000;
/// Bytes of a body that are read; a longer one is refused, for jobs must know. As for every body.
const MOST_READ: usize = 512 * 1024;
/// Bytes of a run's id at most: a UUID has 36.
const MOST_RID: usize = 64;

/// The rows of the route table.
pub(super) fn routes(heartbeats: &Arc<Heartbeats>) -> Routes {
    let state = || Arc::clone(heartbeats);
    let success = "a job of yours says that it has done its work";
    let other = "a job says `start`, `fail`, `log` or its exit code, 0 to 255";
    let rows = vec![
        Route::get("/ping/{key}", Scope::Public, success).handler(get(plain).with_state(state())),
        Route::post("/ping/{key}", Scope::Public, success).handler(post(plain).with_state(state())),
        Route::get("/ping/{key}/{signal}", Scope::Public, other)
            .handler(get(signalled).with_state(state())),
        Route::post("/ping/{key}/{signal}", Scope::Public, other)
            .handler(post(signalled).with_state(state())),
    ];
    rows.into_iter().map(open_to_jobs).collect()
}

/// Jobs send what they have, and share their address with others: each key has a limit of its own.
fn open_to_jobs(row: Route) -> Route {
    let mut row = row.plain();
    row.also_takes = &["*"];
    row.limited = false;
    row.body_limit = MOST_READ;
    row
}

/// Query of a signal. What else stands there is passed over: a sign of life is not refused for it.
#[derive(Debug, Deserialize)]
struct PingQuery {
    #[serde(default)]
    rid: String,
}

async fn plain(
    State(heartbeats): State<Arc<Heartbeats>>,
    Path(key): Path<String>,
    call: Call,
    query: Query<PingQuery>,
    body: Bytes,
) -> Result<&'static str, HttpError> {
    let watch = heartbeats.with_key(&key).map_err(refusal)?;
    taken(
        &heartbeats,
        &watch,
        Ping::of(Signal::Success),
        call,
        &query.rid,
        &body,
    )
    .await
}

async fn signalled(
    State(heartbeats): State<Arc<Heartbeats>>,
    Path((key, word)): Path<(String, String)>,
    call: Call,
    query: Query<PingQuery>,
    body: Bytes,
) -> Result<&'static str, HttpError> {
    let watch = heartbeats.with_key(&key).map_err(refusal)?;
    let ping = signal(&word).ok_or_else(|| {
        let text = "a signal is `start`, `fail`, `log` or an exit code, 0 to 255";
        HttpError::bad_request("bad_signal", text)
            .hint("leave it away to say that the work is done: `/ping/KEY`")
    })?;
    taken(&heartbeats, &watch, ping, call, &query.rid, &body).await
}

fn signal(word: &str) -> Option<Ping> {
    Some(match word {
        "start" => Ping::of(Signal::Start),
        "fail" => Ping::of(Signal::Fail),
        "log" => Ping::of(Signal::Log),
        _ => {
            let digits = word.bytes().all(|byte| byte.is_ascii_digit());
            Ping {
                exit_code: Some(word.parse().ok().filter(|_| digits)?),
                ..Ping::of(Signal::Exit)
            }
        }
    })
}

async fn taken(
    heartbeats: &Arc<Heartbeats>,
    watch: &Watch,
    mut ping: Ping,
    call: Call,
    rid: &str,
    body: &Bytes,
) -> Result<&'static str, HttpError> {
    if rid.len() > MOST_RID || !rid.bytes().all(|byte| byte.is_ascii_graphic()) {
        let text = format!("`rid` must have at most {MOST_RID} letters, digits and marks");
        return Err(HttpError::bad_request("bad_rid", text)
            .hint("draw one for each run, as `uuidgen` does, and send it with both ends"));
    }
    rid.clone_into(&mut ping.rid);
    (ping.body, ping.is_cut) = kept(body);
    heartbeats.ping(watch, &ping, call.now).await?;
    Ok("OK")
}

/// As much of a body as is kept, and whether there was more. What is no UTF-8 is replaced.
fn kept(body: &[u8]) -> (Option<String>, bool) {
    if body.is_empty() {
        return (None, false);
    }
    let is_cut = body.len() > MOST_KEPT;
    let mut head = body.get(..MOST_KEPT).unwrap_or(body);
    // A character that the cut went through is left out, not replaced.
    if is_cut
        && let Err(error) = std::str::from_utf8(head)
        && error.error_len().is_none()
    {
        head = head.get(..error.valid_up_to()).unwrap_or(head);
    }
    (Some(String::from_utf8_lossy(head).into_owned()), is_cut)
}

/// As HTTP tells it.
pub(super) fn refusal(error: HeartbeatError) -> HttpError {
    match error {
        HeartbeatError::NoKey => HttpError::not_found("not_found", error.to_string())
            .hint("`echopilot heartbeat url NAME` gives the address of a heartbeat"),
        HeartbeatError::TooMany { retry_secs } => {
            HttpError::too_many("rate_limited", error.to_string(), retry_secs)
        }
        HeartbeatError::Unknown { ref nearest, .. } => {
            let refused = HttpError::not_found("heartbeat_not_found", error.to_string());
            match nearest {
                Some(name) => refused
                    .hint(format!("did you mean `{name}`?"))
                    .with("nearest", name.as_str()),
                None => refused.hint("name it in `configs/heartbeats.json`"),
            }
        }
        HeartbeatError::HasKey { .. } => {
            HttpError::new(http::StatusCode::CONFLICT, "has_key", error.to_string())
                .hint("add \"renew\": true to draw another; the old address ends at once")
        }
        HeartbeatError::Edit(edit) => edit.into(),
        HeartbeatError::Storage(storage) => storage.into(),
        HeartbeatError::Lost => HttpError::internal("a key could not be drawn or written"),
    }
}
