//! The routes: translate in, call one verb, translate out. Only here are status codes known.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::export::markdown;
use super::model::{Incident, State};
use super::reply::{Brief, Whole, impact_of};
use super::scan::ScanReply;
use super::service::{Done, IncidentError, Incidents};
use super::stats::Stats;
use crate::platform::http::{Call, HttpError, JsonBody, QueryParams, Reply, Route, Routes, Scope};

/// Incidents given where the caller names no number.
const DEFAULT_COUNT: usize = 50;
/// Incidents given at most in one answer.
const MOST_COUNT: usize = 500;
/// Letters of a note at most (our own choice: a page).
const MOST_LETTERS: usize = 4_000;

/// The rows of the route table.
pub(super) fn routes(incidents: &Arc<Incidents>) -> Routes {
    let state = || Arc::clone(incidents);
    let list = Route::get("/api/incidents", Scope::Read, "incidents, the newest first")
        .query("state=open&limit=20")
        .gives::<ListReply>()
        .handler(get(list).with_state(state()));
    let about = "how fast incidents of 90 days were found, taken up and over";
    let times = Route::get("/api/incidents/stats", Scope::Read, about)
        .gives::<StatsReply>()
        .handler(get(stats).with_state(state()));
    let about = "one incident: alerts, likely causes, impact, timeline";
    let show = Route::get("/api/incidents/{id}", Scope::Read, about)
        .gives::<Whole>()
        .handler(get(show).with_state(state()));
    let about = "one incident as a postmortem in Markdown";
    let mut export = Route::get("/api/incidents/{id}/export", Scope::Read, about)
        .handler(get(export).with_state(state()));
    export.media = "text/markdown";
    let about = "look into the reports for what is wrong now; an alert if nobody told of it";
    let scan = Route::post("/api/incidents/scan", Scope::Operate, about)
        .gives::<ScanReply>()
        .handler(post(scan).with_state(state()));
    let mut rows = vec![list, times, show, export, scan];
    rows.extend(acts(incidents));
    rows
}

fn acts(incidents: &Arc<Incidents>) -> Routes {
    let state = || Arc::clone(incidents);
    let row = |verb: Verb, path, about, example| {
        let handler = move |Shared(incidents): Shared<Arc<Incidents>>,
                            Path(id): Path<String>,
                            call: Call,
                            body: Bytes| act(verb, incidents, id, call, body);
        Route::post(path, Scope::Operate, about)
            .takes::<ActRequest>(example)
            .gives::<ActReply>()
            .handler(post(handler).with_state(state()))
    };
    let acknowledge = row(
        Verb::Acknowledge,
        "/api/incidents/{id}/acknowledge",
        "take an incident up, and its alerts: escalation stops",
        r#"{"text":"looking into it"}"#,
    );
    let resolve = row(
        Verb::Resolve,
        "/api/incidents/{id}/resolve",
        "say that an incident is over",
        r#"{"text":"rolled back"}"#,
    );
    let reopen = row(
        Verb::Reopen,
        "/api/incidents/{id}/reopen",
        "say that an incident is not over",
        r#"{"text":"still there"}"#,
    );
    let about = "write something down in the timeline of an incident";
    let note = Route::post("/api/incidents/{id}/notes", Scope::Operate, about)
        .takes::<NoteRequest>(r#"{"text":"the database was full"}"#)
        .gives::<ActReply>()
        .creates()
        .handler(post(note).with_state(state()));
    vec![acknowledge, resolve, reopen, note]
}

/// Query of `GET /api/incidents`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    state: Option<String>,
    limit: Option<usize>,
}

/// Answer of `GET /api/incidents`.
#[derive(Serialize, JsonSchema)]
struct ListReply {
    /// How many follow.
    count: usize,
    /// The newest first.
    incidents: Vec<Brief>,
    /// How fast those of 90 days were found, taken up and over.
    stats: Stats,
}

async fn list(
    Shared(incidents): Shared<Arc<Incidents>>,
    call: Call,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Reply<ListReply>, HttpError> {
    let limit = query.limit.unwrap_or(DEFAULT_COUNT);
    if !(1..=MOST_COUNT).contains(&limit) {
        let detail = format!("`limit` is {limit}, must be in 1..={MOST_COUNT}");
        return Err(HttpError::bad_request("bad_query", detail));
    }
    let wanted: fn(&Incident) -> bool = match query.state.as_deref() {
        None | Some("all") => |_| true,
        Some("open") => |one| one.state == State::Open,
        Some("acknowledged") => |one| one.state == State::Acknowledged,
        Some("resolved") => |one| one.state == State::Resolved,
        Some("live") => Incident::is_live,
        Some(other) => {
            let detail = format!(
                "`state` is `{other}`, allowed are open, acknowledged, resolved, live and all"
            );
            return Err(HttpError::bad_request("bad_query", detail));
        }
    };
    let book = incidents.book();
    let found = book.newest().filter(|one| wanted(one)).take(limit);
    let found: Vec<Brief> = found.map(|one| Brief::of(one)).collect();
    Ok(Reply::ok(ListReply {
        count: found.len(),
        incidents: found,
        stats: Stats::of(book.newest().map(|one| &**one), call.now),
    }))
}

/// Answer of `GET /api/incidents/stats`.
#[derive(Serialize, JsonSchema)]
struct StatsReply {
    /// All of them.
    stats: Stats,
}

async fn stats(Shared(incidents): Shared<Arc<Incidents>>, call: Call) -> Reply<StatsReply> {
    let book = incidents.book();
    let stats = Stats::of(book.newest().map(|one| &**one), call.now);
    Reply::ok(StatsReply { stats })
}

fn find(incidents: &Incidents, id: &str) -> Result<Arc<Incident>, HttpError> {
    let found = incidents.book().find(id).cloned();
    found.ok_or_else(|| IncidentError::Absent(id.to_owned()).into())
}

async fn show(
    Shared(incidents): Shared<Arc<Incidents>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Reply<Whole>, HttpError> {
    let incident = find(&incidents, &id)?;
    let impact = impact_of(&incident, &incidents.wiring.samples, call.now);
    Ok(Reply::ok(Whole::of(&incident, impact)))
}

async fn export(
    Shared(incidents): Shared<Arc<Incidents>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, HttpError> {
    let incident = find(&incidents, &id)?;
    let impact = impact_of(&incident, &incidents.wiring.samples, call.now);
    let text = markdown(&incident, impact.as_ref(), call.now);
    let mut answer = Response::new(text.into());
    let kind = HeaderValue::from_static("text/markdown; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(answer)
}

async fn scan(Shared(incidents): Shared<Arc<Incidents>>, call: Call) -> Reply<ScanReply> {
    Reply::ok(incidents.scan(call.now).await)
}

/// Body of what is done to an incident; may be left away.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ActRequest {
    /// What you want to say about it.
    text: String,
}

/// Body of `POST /api/incidents/{id}/notes`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoteRequest {
    /// What you want to say about it.
    text: String,
}

/// Answer to what was done to an incident.
#[derive(Serialize, JsonSchema)]
struct ActReply {
    /// Whether anything is different.
    changed: bool,
    /// The incident as it is now.
    incident: Brief,
}

fn text_of(body: &Bytes) -> Result<String, HttpError> {
    if body.is_empty() {
        return Ok(String::new());
    }
    bounded(&JsonBody::<ActRequest>::read(body)?.text)
}

fn bounded(text: &str) -> Result<String, HttpError> {
    let found = text.chars().count();
    if found > MOST_LETTERS {
        let detail = format!("`text` has {found} letters, at most {MOST_LETTERS} are allowed");
        return Err(HttpError::bad_request("bad_text", detail).hint("link to the long story"));
    }
    Ok(text.trim().to_owned())
}

impl From<Done> for ActReply {
    fn from(done: Done) -> Self {
        Self {
            changed: done.changed,
            incident: Brief::of(&done.incident),
        }
    }
}

/// What is done to an incident by a call whose body may be left away.
#[derive(Clone, Copy)]
enum Verb {
    Acknowledge,
    Resolve,
    Reopen,
}

async fn act(
    verb: Verb,
    incidents: Arc<Incidents>,
    id: String,
    call: Call,
    body: Bytes,
) -> Result<Reply<ActReply>, HttpError> {
    let (text, by, now) = (text_of(&body)?, &call.caller.name, call.now);
    let done = match verb {
        Verb::Acknowledge => incidents.acknowledge(&id, by, &text, now).await,
        Verb::Resolve => incidents.resolve(&id, by, &text, now).await,
        Verb::Reopen => incidents.reopen(&id, by, &text, now).await,
    };
    Ok(Reply::ok(done?.into()))
}

async fn note(
    Shared(incidents): Shared<Arc<Incidents>>,
    Path(id): Path<String>,
    call: Call,
    JsonBody(body): JsonBody<NoteRequest>,
) -> Result<Reply<ActReply>, HttpError> {
    let text = bounded(&body.text)?;
    if text.is_empty() {
        let error = HttpError::bad_request("bad_text", "`text` is empty, a note says something");
        return Err(error.hint(r#"send {"text":"the database was full"}"#));
    }
    let done = incidents
        .note(&id, &call.caller.name, &text, call.now)
        .await?;
    Ok(Reply::created(done.into()))
}

impl From<IncidentError> for HttpError {
    fn from(error: IncidentError) -> Self {
        let told = error.to_string();
        match error {
            IncidentError::Absent(_) => Self::not_found("incident_not_found", told)
                .hint("`echopilot incident list` lists them"),
            IncidentError::Over(_) => Self::new(StatusCode::CONFLICT, "incident_resolved", told)
                .hint("reopen it first, if it is not over"),
            IncidentError::Storage(storage) => storage.into(),
        }
    }
}
