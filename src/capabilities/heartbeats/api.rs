//! Heartbeats over HTTP: translates in, calls one verb, translates out. A key leaves once, in the
//! answer to its drawing.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::{Line, Members};
use super::logic;
use super::model::{Cause, Health, Now, Signal, Watch};
use super::ping::refusal;
use super::service::{Heartbeats, series};
use crate::base::time;
use crate::platform::alerts::Severity;
use crate::platform::http::{Call, HttpError, JsonBody, QueryParams, Reply, Route, Routes, Scope};

/// Lines of a history given where the caller names no number.
const DEFAULT_LINES: usize = 20;
/// Lines of a history given at most in one answer; each may hold a body of 10,000 bytes.
const MOST_LINES: usize = 200;

/// The rows of the route table.
pub(super) fn routes(heartbeats: &Arc<Heartbeats>) -> Routes {
    let state = || Arc::clone(heartbeats);
    let drawn = "draw the key of a heartbeat; its address is shown once";
    vec![
        Route::get(
            "/api/heartbeats",
            Scope::Read,
            "all heartbeats: how each is and when due",
        )
        .gives::<ListReply>()
        .handler(get(list).with_state(state())),
        Route::get(
            "/api/heartbeats/{name}",
            Scope::Read,
            "one heartbeat with its newest signals and what was sent with them",
        )
        .query("limit=20")
        .gives::<ShowReply>()
        .handler(get(show).with_state(state())),
        Route::post(
            "/api/heartbeats/{name}/pause",
            Scope::Operate,
            "stop watching a heartbeat until it is resumed; an alert of it ends",
        )
        .gives::<BeatReply>()
        .handler(post(pause).with_state(state())),
        Route::post(
            "/api/heartbeats/{name}/resume",
            Scope::Operate,
            "watch a heartbeat again, from now on",
        )
        .gives::<BeatReply>()
        .handler(post(resume).with_state(state())),
        Route::post("/api/heartbeats/{name}/key", Scope::Operate, drawn)
            .takes::<KeyRequest>(r#"{"renew":false}"#)
            .gives::<KeyReply>()
            .creates()
            .handler(post(draw_key).with_state(state())),
    ]
}

type Shared = State<Arc<Heartbeats>>;

/// Answer of `GET /api/heartbeats`.
#[derive(Serialize, JsonSchema)]
struct ListReply {
    /// How many heartbeats.
    count: usize,
    /// The heartbeats, by name.
    heartbeats: Vec<BeatReply>,
}

/// One heartbeat.
#[derive(Serialize, JsonSchema)]
struct BeatReply {
    /// Its name.
    name: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    about: String,
    /// How it is: `new`, `up`, `running`, `late`, `down` or `paused`.
    state: Health,
    /// When it is due: a span, or five fields and a zone.
    cadence: String,
    /// How much later is still well, and how long a run may take, in seconds.
    grace_secs: u64,
    /// How bad it is when it is down.
    severity: Severity,
    /// Words for routing and grouping.
    tags: Vec<String>,
    /// Whether it has a key, so that calls can reach it.
    has_key: bool,
    /// Signals in all.
    pings: u64,
    /// The last signal.
    last_signal: Option<Signal>,
    /// When it came, UTC.
    last_ping_at: Option<String>,
    /// The last success, UTC.
    last_success_at: Option<String>,
    /// How long the last successful run took, in milliseconds.
    last_duration_ms: Option<u64>,
    /// Runs that have begun and are waited for.
    runs: usize,
    /// When the next success is due, UTC.
    due_at: Option<String>,
    /// From when on it is down without one, UTC.
    deadline_at: Option<String>,
    /// Who paused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_by: Option<String>,
    /// Since when it is down: when a sign of life was due, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    down_since: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<Cause>,
    /// In one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    /// The series that its samples are counted in.
    series: String,
}

fn described(heartbeats: &Heartbeats, watch: &Watch, now: &Now) -> BeatReply {
    let beat = heartbeats.beat(&watch.name);
    let is_watched = beat.paused.is_none() && beat.down.is_none();
    let due = logic::due(watch, &beat, now).filter(|_| is_watched);
    let down = beat.down.as_ref();
    BeatReply {
        name: watch.name.clone(),
        about: watch.about.clone(),
        state: logic::health(watch, &beat, now),
        cadence: watch.cadence.to_string(),
        grace_secs: watch.grace.as_secs(),
        severity: watch.severity,
        tags: watch.tags.clone(),
        has_key: watch.key.is_some(),
        pings: beat.pings,
        last_signal: beat.last.map(|(signal, _)| signal),
        last_ping_at: beat.last.map(|(_, at)| time::stamp(at.wall)),
        last_success_at: beat.success.map(|(at, _)| time::stamp(at.wall)),
        last_duration_ms: beat.success.and_then(|(_, took)| took),
        runs: logic::open_runs(&beat).count(),
        due_at: due.map(|due| time::stamp(now.wall_at(due.at))),
        deadline_at: due.map(|due| time::stamp(now.wall_at(due.until))),
        paused_by: beat.paused.as_ref().map(|(_, actor)| actor.clone()),
        down_since: down.map(|down| time::stamp(down.since)),
        cause: down.map(|down| down.cause),
        summary: down.map(|down| down.summary.clone()),
        series: series(&watch.name),
    }
}

async fn list(State(heartbeats): Shared, call: Call) -> Reply<ListReply> {
    let (rules, now) = (heartbeats.live.get_full(), heartbeats.present(call.now));
    let all = rules.rules.watches();
    let all: Vec<_> = all
        .map(|watch| described(&heartbeats, watch, &now))
        .collect();
    Reply::ok(ListReply {
        count: all.len(),
        heartbeats: all,
    })
}

/// Query of `GET /api/heartbeats/{name}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowQuery {
    limit: Option<usize>,
}

/// Answer of `GET /api/heartbeats/{name}`.
#[derive(Serialize, JsonSchema)]
struct ShowReply {
    /// The heartbeat.
    #[serde(flatten)]
    heartbeat: BeatReply,
    /// Its newest lines in `logs/heartbeats.ndjson`, the oldest of them first.
    history: Vec<LineReply>,
}

/// One line of a history.
#[derive(Serialize, JsonSchema)]
struct LineReply {
    /// Number of the line.
    seq: u64,
    /// When, UTC.
    ts: String,
    /// What happened, such as `heartbeat.pinged`.
    kind: String,
    /// The rest of the line.
    #[serde(flatten)]
    members: Members,
}

impl From<Line> for LineReply {
    fn from(line: Line) -> Self {
        Self {
            seq: line.seq,
            ts: time::stamp(line.ts),
            kind: line.kind,
            members: line.members,
        }
    }
}

async fn show(
    State(heartbeats): Shared,
    Path(name): Path<String>,
    QueryParams(query): QueryParams<ShowQuery>,
    call: Call,
) -> Result<Reply<ShowReply>, HttpError> {
    let limit = query.limit.unwrap_or(DEFAULT_LINES);
    if !(1..=MOST_LINES).contains(&limit) {
        let detail = format!("`limit` is {limit}, must be in 1..={MOST_LINES}");
        return Err(HttpError::bad_request("bad_query", detail));
    }
    let watch = heartbeats.watch(&name).map_err(refusal)?;
    let heartbeat = described(&heartbeats, &watch, &heartbeats.present(call.now));
    let read = move || heartbeats.history(&name, limit);
    let history = tokio::task::spawn_blocking(read)
        .await
        .map_err(|_| HttpError::internal("the thread that read a heartbeat's history died"))??;
    let history = history.into_iter().map(LineReply::from).collect();
    Ok(Reply::ok(ShowReply { heartbeat, history }))
}

async fn pause(
    State(heartbeats): Shared,
    Path(name): Path<String>,
    call: Call,
) -> Result<Reply<BeatReply>, HttpError> {
    let paused = heartbeats.pause(&name, &call.caller.name, call.now).await;
    let watch = paused.map_err(refusal)?;
    Ok(Reply::ok(described(
        &heartbeats,
        &watch,
        &heartbeats.present(call.now),
    )))
}

async fn resume(
    State(heartbeats): Shared,
    Path(name): Path<String>,
    call: Call,
) -> Result<Reply<BeatReply>, HttpError> {
    let resumed = heartbeats.resume(&name, &call.caller.name, call.now).await;
    let watch = resumed.map_err(refusal)?;
    Ok(Reply::ok(described(
        &heartbeats,
        &watch,
        &heartbeats.present(call.now),
    )))
}

/// Body of `POST /api/heartbeats/{name}/key`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KeyRequest {
    /// Draw another key where there is one; the old address ends at once.
    #[serde(default)]
    renew: bool,
}

/// Answer of `POST /api/heartbeats/{name}/key`.
#[derive(Serialize, JsonSchema)]
struct KeyReply {
    /// The heartbeat.
    name: String,
    /// Its key, shown this once; only its digest is kept.
    key: String,
    /// The path that the job calls, behind the address of this server.
    path: String,
}

async fn draw_key(
    State(heartbeats): Shared,
    Path(name): Path<String>,
    call: Call,
    JsonBody(body): JsonBody<KeyRequest>,
) -> Result<Reply<KeyReply>, HttpError> {
    let actor = &call.caller.name;
    let drawn = heartbeats
        .draw_key(&name, body.renew, actor, call.now)
        .await;
    let key = drawn.map_err(refusal)?;
    let path = format!("/ping/{key}");
    Ok(Reply::created(KeyReply { name, key, path }))
}
