//! The routes: translate in, call one verb, translate out. Only here are status codes known.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::errors::lost;
use super::event::{push_text, push_whole};
use super::query;
use super::record::{Fate, Recorded};
use super::service::Experiments;
use super::{batch, list};
use crate::platform::http::{
    Answer, Choice, HotAnswer, HotCall, HttpError, Route, Routes, Scope, json,
};
use crate::storage::engine::StorageError;

/// Bytes of one event's body at most; the rest of the route's limit is for batches.
const MAX_EVENT_BODY: usize = 64 * 1024;
/// Bytes of a batch at most (rule H2 of the reliability notes).
const MAX_BATCH_BODY: usize = 1 << 20;
/// Content type of a batch.
const NDJSON: &str = "application/x-ndjson";
/// Says why an assignment that was answered is not on record.
const DEGRADED: HeaderName = HeaderName::from_static("x-echopilot-degraded");

/// One event as it is sent. For the API's description; requests are read by [`super::body`].
#[derive(Debug, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogRequest {
    /// What happened: letters, digits and `_.:-`, at most 64.
    pub event: String,
    /// To whom: 1 to 256 bytes.
    pub user: String,
    /// In which experiment.
    pub exp: String,
    /// In which of its variants.
    pub variant: String,
    /// A number that belongs to it, such as an amount.
    pub value: Option<f64>,
    /// Makes the call idempotent: the same id and body is one line and one answer. 1 to 128 bytes.
    pub id: Option<String>,
}

/// The answer to one event.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LogReply {
    /// True.
    pub ok: bool,
    /// Number of its line in `logs/experiments.ndjson`.
    pub seq: u64,
    /// The id, where one was sent.
    pub id: Option<String>,
}

/// The answer to a batch.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BatchReply {
    /// True.
    pub ok: bool,
    /// Lines that were written.
    pub accepted: u64,
    /// Lines whose id was on record already.
    pub duplicates: u64,
    /// Lines that were refused.
    pub rejected: u64,
    /// Number of the first line that was written, where one was.
    pub first_seq: Option<u64>,
    /// Number of the last one.
    pub last_seq: Option<u64>,
    /// What became of each line that was not plainly written, or of all with `results=full`.
    pub results: Vec<Value>,
}

/// The answer to a log call. For the API's description; answers are written by hand.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum LogAnswer {
    /// To one event.
    One(LogReply),
    /// To a batch.
    Batch(BatchReply),
}

/// Parameters of the log call that are taken with a batch only.
const BATCH_CHOICES: [Choice; 2] = [
    Choice {
        name: "mode",
        values: &["each", "all"],
        about: "with a batch: write what is good, or everything or nothing",
    },
    Choice {
        name: "results",
        values: &["brief", "full"],
        about: "with a batch: tell of lines not plainly written, or of all",
    },
];

/// An assignment.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AssignReply {
    /// True.
    pub ok: bool,
    /// The user as sent.
    pub user: String,
    /// The experiment.
    pub experiment: String,
    /// The user's variant; always the same one.
    pub variant: String,
    /// What the experiment is about.
    pub description: String,
}

impl Experiments {
    /// The rows of the route table.
    pub fn routes(self: Arc<Self>) -> Routes {
        let (assign, log, list) = (Arc::clone(&self), Arc::clone(&self), self);
        let about = "Give a user's variant, and record the exposure the first time";
        let assign = Route::get("/api/exp/assign", Scope::Operate, about)
            .query("user=user123&exp=pricing_v2")
            .gives::<AssignReply>()
            .hot(Arc::new(move |call| assign.answer_assign(&call)));
        let about = "Record what users did; answered when it is on the disk";
        let mut log = Route::post("/api/exp/log", Scope::Operate, about)
            .takes::<LogRequest>(
                r#"{"event":"signup","user":"user123","exp":"pricing_v2","variant":"A"}"#,
            )
            .gives::<LogAnswer>()
            .hot(Arc::new(move |call| log.answer_log(&call)));
        log.also_takes = &[NDJSON];
        log.choices = &BATCH_CHOICES;
        log.body_limit = MAX_BATCH_BODY;
        let about = "List experiments with their exposures and events";
        let list = Route::get("/api/exp/list", Scope::Read, about)
            .gives::<list::ListReply>()
            .hot(Arc::new(move |call| {
                HotAnswer::Now(list.answer_list(&call))
            }));
        vec![assign, log, list]
    }

    fn answer_assign(self: &Arc<Self>, hot: &HotCall<'_>) -> HotAnswer {
        match self.try_assign(hot) {
            Ok(answer) => answer,
            Err(error) => HotAnswer::Now(Err(error)),
        }
    }

    fn try_assign(self: &Arc<Self>, hot: &HotCall<'_>) -> Result<HotAnswer, HttpError> {
        let text = hot.parts.uri.query().unwrap_or_default();
        let [user, exp] = query::parse(text, ["user", "exp"])?;
        let user = user.ok_or_else(|| missing("user"))?;
        let exp = exp.ok_or_else(|| missing("exp"))?;
        let seen = self.live.get();
        let assigned = self.assign(&seen, hot.call.now, &user, &exp)?;
        let tail = &assigned.variant.answer_tail;
        let mut body = Vec::with_capacity(24 + user.len() + tail.len());
        body.extend_from_slice(b"{\"ok\":true,\"user\":\"");
        push_text(&mut body, &user);
        body.extend_from_slice(tail);
        let Some(recording) = assigned.recording else {
            return Ok(HotAnswer::Now(Ok(json(body))));
        };
        Ok(HotAnswer::Later(Box::pin(async move {
            let mut answer = json(body);
            if let Err(error) = recording.ended().await {
                let code = HeaderValue::from_static(storage_code(&error));
                answer.headers_mut().insert(DEGRADED, code);
            }
            Ok(answer)
        })))
    }

    fn answer_log(self: &Arc<Self>, hot: &HotCall<'_>) -> HotAnswer {
        if is_ndjson(&hot.parts.headers) {
            return batch::answer(self, hot);
        }
        match self.try_log(hot) {
            Ok(answer) => answer,
            Err(error) => HotAnswer::Now(Err(error)),
        }
    }

    fn try_log(self: &Arc<Self>, hot: &HotCall<'_>) -> Result<HotAnswer, HttpError> {
        let [] = query::parse(hot.parts.uri.query().unwrap_or_default(), [])?;
        if hot.body.len() > MAX_EVENT_BODY {
            let detail = format!(
                "the event has {} bytes, at most 65536 are read",
                hot.body.len()
            );
            let hint = "several events go as `Content-Type: application/x-ndjson`, one a line";
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Err(HttpError::new(status, "body_too_large", detail).hint(hint));
        }
        let seen = self.live.get();
        let mut recorded = self.record(
            &seen.rules,
            hot.call.now,
            false,
            std::iter::once(&hot.body[..]),
        );
        if let Some(Fate::Refused(refusal)) = recorded.fates.first() {
            return Err(refusal.clone().into());
        }
        // Read again for its id only where there is one: the answer repeats it.
        let body = hot.body.clone();
        if let Some(line) = known_line(&recorded) {
            return Ok(HotAnswer::Now(Ok(logged(line, &body))));
        }
        Ok(HotAnswer::Later(Box::pin(async move {
            let first = recorded.settled().await.map_err(HttpError::from)?.first;
            let line = match recorded.fates.first() {
                Some(Fate::Repeated(id)) => recorded.line_of(*id).ok_or_else(lost)?,
                _ => first,
            };
            Ok(logged(line, &body))
        })))
    }
}

/// The line of an event that was on record before its call.
fn known_line(recorded: &Recorded) -> Option<u64> {
    match recorded.fates.first() {
        Some(Fate::Repeated(id)) => recorded.line_of(*id),
        _ => None,
    }
}

/// `{"ok":true,"seq":17,"id":"…"}`: nothing in it differs between a call and its repetition.
fn logged(line: u64, body: &[u8]) -> Answer {
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(b"{\"ok\":true,\"seq\":");
    push_whole(&mut out, i64::try_from(line).unwrap_or(i64::MAX));
    let id = super::body::parse(body).ok().and_then(|event| event.id);
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":\"");
        push_text(&mut out, &id);
        out.push(b'"');
    }
    out.push(b'}');
    json(out)
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    let named = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = named
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(NDJSON)
}

fn missing(name: &'static str) -> HttpError {
    let detail = format!("the query parameter `{name}` is missing");
    HttpError::bad_request("missing_parameter", detail)
        .hint("GET /api/exp/assign?user=user123&exp=pricing_v2")
}

/// The word that says how storage refuses.
fn storage_code(error: &StorageError) -> &'static str {
    match error {
        StorageError::Full { .. } => "storage_full",
        StorageError::Barred { why, .. } => why.code(),
        _ => "storage_failed",
    }
}
