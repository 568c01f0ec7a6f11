//! Flags over HTTP: translates in, calls one verb, translates out.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use http::header::{ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::FlagValue;
use super::service::{FlagError, Flags, PastChange, SetDone, SetFlag};
use crate::base::time;
use crate::platform::http::{
    Answer, BasedOn, Body, Call, Condition, HotAnswer, HotCall, HttpError, JsonBody, QueryParams,
    Reply, Route, Routes, Scope, json,
};
use crate::storage::engine::Revision;

/// The rows of the route table.
pub(super) fn routes(flags: &Arc<Flags>) -> Routes {
    let hot = Arc::clone(flags);
    vec![
        Route::get("/api/flags/get", Scope::Read, "all flags and their values")
            .gives::<AllFlags>()
            .condition(Condition::Moved)
            .hot(Arc::new(move |call| HotAnswer::Now(Ok(all(&hot, &call))))),
        Route::post(
            "/api/flags/set",
            Scope::Operate,
            "set one flag; the file keeps its form",
        )
        .takes::<SetRequest>(r#"{"key":"ui.new_dashboard","value":true}"#)
        .gives::<SetReply>()
        .condition(Condition::Unmoved)
        .handler(post(set).with_state(Arc::clone(flags))),
        Route::get(
            "/api/flags/history",
            Scope::Read,
            "the newest changes, with who, before and after",
        )
        .query("key=ui.new_dashboard&limit=20")
        .gives::<HistoryReply>()
        .handler(get(history).with_state(Arc::clone(flags))),
        Route::get(
            "/api/admin/flags",
            Scope::Admin,
            "all flags in the admin form, values as strings",
        )
        .gives::<BTreeMap<String, AdminFlag>>()
        .handler(get(admin_list).with_state(Arc::clone(flags))),
        Route::post(
            "/api/admin/flags",
            Scope::Admin,
            "set one flag to true or false, as a string or bare",
        )
        .takes::<AdminSetRequest>(r#"{"key":"STABILIZE_MODE","value":"true"}"#)
        .gives::<AdminSetReply>()
        .condition(Condition::Unmoved)
        .handler(post(admin_set).with_state(Arc::clone(flags))),
    ]
}

/// Answer of `GET /api/flags/get`.
#[derive(JsonSchema)]
#[expect(
    dead_code,
    reason = "documents the answer, which is prepared by hand per revision"
)]
struct AllFlags {
    /// Always true.
    ok: bool,
    /// How many flags.
    count: u64,
    /// Value by key: true, false, a string, a number or null.
    flags: BTreeMap<String, serde_json::Value>,
}

/// Says that storage refuses, and how; what is read is as good as ever (rule L8).
const DEGRADED: HeaderName = HeaderName::from_static("x-echopilot-degraded");

fn all(flags: &Flags, call: &HotCall<'_>) -> Answer {
    let accepted = flags.live().get();
    let revision = accepted.revision.as_str().as_bytes();
    let asked = call
        .parts
        .headers
        .get(IF_NONE_MATCH)
        .map(HeaderValue::as_bytes);
    let unchanged = asked.is_some_and(|tags| names_revision(tags, revision));
    let mut answer = if unchanged {
        let mut answer = Answer::new(Body::empty());
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        answer
    } else {
        json(accepted.rules.answer())
    };
    let tag = accepted.rules.tag(&accepted.revision);
    answer.headers_mut().insert(ETAG, tag);
    if let Some(code) = flags.distress() {
        answer
            .headers_mut()
            .insert(DEGRADED, HeaderValue::from_static(code));
    }
    answer
}

/// Weak comparison over a list, as RFC 9110 §13.1.2 has it for `If-None-Match`.
fn names_revision(tags: &[u8], revision: &[u8]) -> bool {
    tags.split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .any(|tag| {
            let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
            tag == b"*"
                || tag
                    .strip_prefix(b"\"")
                    .and_then(|tag| tag.strip_suffix(b"\""))
                    == Some(revision)
        })
}

/// Body of `POST /api/flags/set`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetRequest {
    /// The flag.
    key: String,
    /// Its new value.
    #[schemars(schema_with = "bare_schema")]
    value: serde_json::Value,
    /// Create the flag where there is none.
    #[serde(default)]
    create: bool,
}

fn bare_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": ["boolean", "string", "number", "null"] })
}

/// Answer of `POST /api/flags/set`.
#[derive(Serialize, JsonSchema)]
struct SetReply {
    /// The flag.
    key: String,
    /// What it was; absent for a new flag.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    before: Option<FlagValue>,
    /// What it is.
    #[schemars(with = "serde_json::Value")]
    value: FlagValue,
    /// Whether anything changed.
    changed: bool,
    /// Content hash of the file now; send it as `If-Match` with the next change.
    revision: String,
}

async fn set(
    State(flags): State<Arc<Flags>>,
    call: Call,
    BasedOn(base): BasedOn,
    JsonBody(body): JsonBody<SetRequest>,
) -> Result<Reply<SetReply>, HttpError> {
    let value = FlagValue::from_json(&body.value.to_string())
        .ok_or_else(|| HttpError::bad_request("bad_value", "a flag holds one bare value"))?;
    let done = change(&flags, call, base, &body.key, &value, body.create).await?;
    let revision = done.accepted.revision.as_str().to_owned();
    let changed = done.before.as_ref() != Some(&value);
    let reply = SetReply {
        key: body.key,
        before: done.before,
        value,
        changed,
        revision,
    };
    let tag = reply.revision.clone();
    Ok(Reply::ok(reply).etag(&tag))
}

async fn change(
    flags: &Arc<Flags>,
    call: Call,
    base: Option<Revision>,
    key: &str,
    value: &FlagValue,
    create: bool,
) -> Result<SetDone, HttpError> {
    let (key, value) = (key.to_owned(), value.clone());
    let order = SetFlag {
        key,
        value,
        create,
        base,
        actor: call.caller.name,
    };
    flags.set(order).await.map_err(refusal)
}

fn refusal(error: FlagError) -> HttpError {
    match error {
        FlagError::Unknown {
            ref key,
            ref nearest,
        } => {
            let refused = HttpError::not_found("flag_not_found", error.to_string());
            match nearest {
                Some(name) => refused
                    .hint(format!(
                        "did you mean `{name}`? to make `{key}`, add \"create\": true"
                    ))
                    .with("nearest", name.as_str()),
                None => refused.hint(format!("to make `{key}`, add \"create\": true")),
            }
        }
        FlagError::BadKey { .. } => HttpError::bad_request("bad_key", error.to_string())
            .hint("choose a name such as `ui.new_dashboard`"),
        FlagError::Edit(edit) => edit.into(),
        FlagError::Storage(storage) => storage.into(),
        FlagError::Lost => HttpError::internal("the thread that edited flags.json died"),
    }
}

/// Query of `GET /api/flags/history`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    key: Option<String>,
    limit: Option<usize>,
}

/// Changes given where the caller names no number.
const DEFAULT_CHANGES: usize = 50;
/// Changes given at most in one answer.
const MOST_CHANGES: usize = 1000;

/// Answer of `GET /api/flags/history`.
#[derive(Serialize, JsonSchema)]
struct HistoryReply {
    /// How many changes follow.
    count: usize,
    /// Oldest first.
    changes: Vec<ChangeReply>,
}

#[derive(Serialize, JsonSchema)]
struct ChangeReply {
    /// Number of the line in `logs/feature_flags.ndjson`.
    seq: u64,
    /// When, UTC.
    ts: String,
    /// `flag.created`, `flag.changed` or `flag.deleted`.
    kind: &'static str,
    /// The flag.
    key: String,
    /// What it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    before: Option<FlagValue>,
    /// What it became.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    after: Option<FlagValue>,
    /// Who: `key:NAME(ID)`, `key:ID` where the key has no name, `env:dash` or
    /// `credential:dash`, `local` for the command line, or `file` for an edit by hand.
    actor: String,
    /// The revision that brought it.
    revision: String,
}

impl From<PastChange> for ChangeReply {
    fn from(past: PastChange) -> Self {
        let kind = past.change.kind();
        let (key, before, after) = (past.change.key, past.change.before, past.change.after);
        let (actor, revision) = (past.actor, past.revision);
        Self {
            seq: past.seq,
            ts: time::stamp(past.ts),
            kind,
            key,
            before,
            after,
            actor,
            revision,
        }
    }
}

async fn history(
    State(flags): State<Arc<Flags>>,
    QueryParams(query): QueryParams<HistoryQuery>,
) -> Result<Reply<HistoryReply>, HttpError> {
    let limit = query.limit.unwrap_or(DEFAULT_CHANGES);
    if !(1..=MOST_CHANGES).contains(&limit) {
        let detail = format!("`limit` is {limit}, must be in 1..={MOST_CHANGES}");
        return Err(HttpError::bad_request("bad_query", detail));
    }
    let read = move || flags.history(query.key.as_deref(), limit);
    let past = tokio::task::spawn_blocking(read)
        .await
        .map_err(|_| HttpError::internal("the thread that read the flags' history died"))??;
    let changes: Vec<ChangeReply> = past.into_iter().map(ChangeReply::from).collect();
    Ok(Reply::ok(HistoryReply {
        count: changes.len(),
        changes,
    }))
}

/// One flag in the admin form.
#[derive(Serialize, JsonSchema)]
struct AdminFlag {
    /// Its value as a string.
    value: String,
    /// When it changed last, UTC, `2025-11-08 14:00:00`.
    updated_at: String,
}

fn admin_time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

async fn admin_list(
    State(flags): State<Arc<Flags>>,
) -> (HeaderMap, Json<BTreeMap<String, AdminFlag>>) {
    let accepted = flags.live().get_full();
    let entry = |(key, value): (&str, &FlagValue)| {
        let updated_at = admin_time(flags.recorder().updated_at(key).unwrap_or(accepted.at));
        (
            key.to_owned(),
            AdminFlag {
                value: value.to_plain(),
                updated_at,
            },
        )
    };
    let mut headers = HeaderMap::new();
    headers.insert(ETAG, accepted.rules.tag(&accepted.revision));
    (headers, Json(accepted.rules.iter().map(entry).collect()))
}

/// Body of `POST /api/admin/flags`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AdminSetRequest {
    /// The flag.
    key: String,
    /// `true` or `false`, as a string or bare.
    #[schemars(schema_with = "switch_schema")]
    value: Switch,
}

/// A switch: as the admin form writes it, or bare.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Switch {
    /// As JSON has it.
    Bare(bool),
    /// As a word.
    Word(SwitchWord),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SwitchWord {
    True,
    False,
}

impl Switch {
    fn is_on(self) -> bool {
        match self {
            Self::Bare(on) => on,
            Self::Word(word) => word == SwitchWord::True,
        }
    }
}

fn switch_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "enum": ["true", "false", true, false] })
}

/// Answer of `POST /api/admin/flags`.
#[derive(Serialize, JsonSchema)]
struct AdminSetReply {
    /// The flag.
    key: String,
    /// Its value as a string.
    value: String,
    /// When it changed last, UTC.
    updated_at: String,
    /// Content hash of the file now.
    revision: String,
}

async fn admin_set(
    State(flags): State<Arc<Flags>>,
    call: Call,
    BasedOn(base): BasedOn,
    JsonBody(body): JsonBody<AdminSetRequest>,
) -> Result<Reply<AdminSetReply>, HttpError> {
    let value = FlagValue::Bool(body.value.is_on());
    let done = change(&flags, call, base, &body.key, &value, false).await?;
    let updated_at = flags
        .recorder()
        .updated_at(&body.key)
        .unwrap_or(done.accepted.at);
    let revision = done.accepted.revision.as_str().to_owned();
    let (value, updated_at) = (value.to_plain(), admin_time(updated_at));
    let tag = revision.clone();
    let reply = AdminSetReply {
        key: body.key,
        value,
        updated_at,
        revision,
    };
    Ok(Reply::ok(reply).etag(&tag))
}
