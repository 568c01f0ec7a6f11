//! Silences over HTTP: translates in, calls one verb, translates out.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{Draft, Phase, Silence};
use super::{Matcher, SilenceError, Silences};
use crate::base::calendar::Span;
use crate::base::time::stamp;
use crate::platform::http::{Call, HttpError, JsonBody, Reply, Route, Routes, Scope};

/// The rows of the route table.
pub(in crate::capabilities::alerts) fn routes(silences: &Arc<Silences>) -> Routes {
    let state = || Arc::clone(silences);
    let example = r#"{"matchers":["probe=absent"],"for":"2h","comment":"moving the shop"}"#;
    vec![
        Route::get(
            "/api/silences",
            Scope::Read,
            "all silences, those in force first; over ones for five days",
        )
        .gives::<ListReply>()
        .handler(get(list).with_state(state())),
        Route::post(
            "/api/silences",
            Scope::Operate,
            "silence the alerts that some conditions fit, for a time and a reason",
        )
        .takes::<SilenceRequest>(example)
        .gives::<SilenceReply>()
        .creates()
        .handler(post(create).with_state(state())),
        Route::post(
            "/api/silences/{id}/expire",
            Scope::Operate,
            "end a silence now",
        )
        .gives::<SilenceReply>()
        .handler(post(expire).with_state(state())),
    ]
}

type Shared = State<Arc<Silences>>;

/// Body of `POST /api/silences`: `for` or `ends_at` says until when.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SilenceRequest {
    /// Conditions that must all hold: `source=probes`, `probe=~"web|api"`.
    matchers: Vec<String>,
    /// Why.
    comment: String,
    /// From when on, RFC 3339. Default: now.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    starts_at: Option<DateTime<Utc>>,
    /// Until when, RFC 3339.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    ends_at: Option<DateTime<Utc>>,
    /// How long: `2h`, `3d`.
    #[serde(default, rename = "for")]
    lasts: Option<String>,
    /// The silence that this is an edit of.
    #[serde(default)]
    edits: Option<String>,
}

/// A silence.
#[derive(Serialize, JsonSchema)]
struct SilenceReply {
    /// Its id.
    id: String,
    /// Where it is in its life: `active`, `pending` or `expired`.
    phase: Phase,
    /// Conditions that must all hold.
    matchers: Vec<String>,
    /// Who made it.
    by: String,
    /// Why.
    comment: String,
    /// From when on, UTC.
    starts_at: String,
    /// Until when, UTC.
    ends_at: String,
}

impl SilenceReply {
    fn of(silence: &Silence, now: DateTime<Utc>) -> Self {
        Self {
            id: silence.id.clone(),
            phase: silence.phase(now),
            matchers: silence.matchers.iter().map(ToString::to_string).collect(),
            by: silence.by.clone(),
            comment: silence.comment.clone(),
            starts_at: stamp(silence.starts_at),
            ends_at: stamp(silence.ends_at),
        }
    }
}

/// Answer of `GET /api/silences`.
#[derive(Serialize, JsonSchema)]
struct ListReply {
    /// How many silences.
    count: usize,
    /// The silences.
    silences: Vec<SilenceReply>,
}

async fn list(State(silences): Shared, call: Call) -> Reply<ListReply> {
    let mut all = silences.list();
    all.sort_by_key(|one| (one.phase(call.now), one.ends_at));
    let silences: Vec<_> = all
        .iter()
        .map(|one| SilenceReply::of(one, call.now))
        .collect();
    Reply::ok(ListReply {
        count: silences.len(),
        silences,
    })
}

async fn create(
    State(silences): Shared,
    call: Call,
    JsonBody(body): JsonBody<SilenceRequest>,
) -> Result<Reply<SilenceReply>, HttpError> {
    let bad = |detail: String| HttpError::bad_request("bad_silence", detail);
    let starts_at = body.starts_at.unwrap_or(call.now);
    let ends_at = match (&body.lasts, body.ends_at) {
        (None, Some(at)) => at,
        (Some(span), None) => {
            let span = Span::parse(span)
                .map_err(|error| bad(format!("`for`: {error}")).hint(error.hint.clone()))?;
            starts_at + span.as_delta()
        }
        _ => {
            let detail = "exactly one of `for` and `ends_at` says until when".to_owned();
            return Err(bad(detail).hint("such as \"for\": \"2h\""));
        }
    };
    let matchers = body.matchers.iter().map(|text| Matcher::parse(text));
    let matchers = matchers
        .collect::<Result<_, _>>()
        .map_err(|fault| bad(fault.to_string()).hint("such as `source=probes`"))?;
    let draft = Draft {
        edits: body.edits,
        matchers,
        starts_at,
        ends_at,
        by: call.caller.name.to_string(),
        comment: body.comment,
    };
    let id = silences.create(draft, call.now).await.map_err(refusal)?;
    let made = silences
        .find(&id)
        .ok_or_else(|| refusal(SilenceError::Unknown { id }))?;
    Ok(Reply::created(SilenceReply::of(&made, call.now)))
}

async fn expire(
    State(silences): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Reply<SilenceReply>, HttpError> {
    let by = &call.caller.name;
    silences.expire(&id, by, call.now).await.map_err(refusal)?;
    let ended = silences
        .find(&id)
        .ok_or_else(|| refusal(SilenceError::Unknown { id }))?;
    Ok(Reply::ok(SilenceReply::of(&ended, call.now)))
}

/// The refusal as an answer.
fn refusal(error: SilenceError) -> HttpError {
    let detail = error.to_string();
    match error {
        SilenceError::Unknown { .. } => HttpError::not_found("silence_not_found", detail)
            .hint("`echopilot alert silence list` lists them"),
        SilenceError::Over { .. } => HttpError::new(StatusCode::CONFLICT, "silence_over", detail),
        SilenceError::Refused { .. } => HttpError::bad_request("bad_silence", detail),
        SilenceError::Storage(error) => error.into(),
        SilenceError::Lost => HttpError::internal("no identity could be drawn for a silence"),
    }
}
