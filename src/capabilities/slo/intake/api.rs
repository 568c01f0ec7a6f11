//! Samples over HTTP: pushing them, and how all sources are doing.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::push::{self, MAX_SAMPLES, Refused, SOURCE, SampleBody};
use super::status::SourceStatus;
use super::watch::Intake;
use crate::platform::http::{
    Call, Choice, HttpError, JsonBody, QueryParams, Reply, Route, Routes, Scope,
};

/// Bytes of a call at most: 10,000 samples of some 50 bytes.
const MAX_BODY: usize = 1 << 20;

/// The content type of several samples, one a line.
const NDJSON: &str = "application/x-ndjson";

/// What may be asked for beside the samples.
const CHOICES: [Choice; 1] = [Choice {
    name: "create_series",
    values: &["false", "true"],
    about: "make series that are not known yet",
}];

/// One sample or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PushRequest {
    /// Names this call: repeated, it counts nothing again.
    #[serde(default)]
    id: Option<String>,
    /// Several samples; instead of the members below.
    #[serde(default)]
    samples: Option<Vec<SampleBody>>,
    /// The series that one sample counts in.
    #[serde(default)]
    series: Option<String>,
    /// How many requests were good.
    #[serde(default)]
    good: Option<u64>,
    /// How many requests were bad.
    #[serde(default)]
    bad: Option<u64>,
    /// How long one request took, in milliseconds.
    #[serde(default)]
    duration_ms: Option<f64>,
    /// Whether that request was good. Default true.
    #[serde(default)]
    ok: Option<bool>,
    /// When it was, RFC 3339. Default now.
    #[serde(default)]
    ts: Option<String>,
    /// What these requests saw, variant by flag, at most 16: for the causes of incidents.
    #[serde(default)]
    flags: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PushQuery {
    #[serde(default)]
    create_series: bool,
    #[serde(default)]
    id: Option<String>,
}

/// Answer to a push.
#[derive(Debug, Serialize, JsonSchema)]
struct PushReply {
    /// Samples that were taken, or had been taken by an earlier call with the same id.
    accepted: usize,
    /// Whether they are in the journal. Without an `id` they will be within a second.
    durable: bool,
    /// Whether the id was known, so that nothing was counted again.
    repeated: bool,
}

/// Answer of `GET /api/slo/sources`.
#[derive(Debug, Serialize, JsonSchema)]
struct SourcesReply {
    /// How many there are.
    count: usize,
    /// The sources by name.
    sources: BTreeMap<String, SourceStatus>,
}

impl Intake {
    /// The rows of the route table.
    pub fn routes(self: &Arc<Self>) -> Routes {
        let state = || Arc::clone(self);
        let about = "count samples: numbers of good and bad requests, or durations";
        let mut push = Route::post("/api/slo/samples", Scope::Operate, about)
            .takes::<PushRequest>(r#"{"series":"jobs","good":99,"bad":1,"id":"run-4711"}"#)
            .gives::<PushReply>()
            .handler(post(take).with_state(state()));
        push.also_takes = &[NDJSON];
        push.choices = &CHOICES;
        push.body_limit = MAX_BODY;
        let about = "how the sources of samples are doing";
        let sources = Route::get("/api/slo/sources", Scope::Read, about)
            .gives::<SourcesReply>()
            .handler(get(tell).with_state(state()));
        vec![push, sources]
    }
}

async fn tell(State(intake): State<Arc<Intake>>) -> Reply<SourcesReply> {
    let sources = intake.board().all();
    Reply::ok(SourcesReply {
        count: sources.len(),
        sources,
    })
}

async fn take(
    State(intake): State<Arc<Intake>>,
    call: Call,
    QueryParams(query): QueryParams<PushQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Reply<PushReply>, HttpError> {
    let (samples, id) = if is_ndjson(&headers) {
        (lines(&body)?, query.id)
    } else {
        let (samples, id) = one_or_several(JsonBody::<PushRequest>::read(&body)?)?;
        (samples, id.or(query.id))
    };
    if samples.len() > MAX_SAMPLES {
        let detail = format!("{} samples, at most {MAX_SAMPLES} are taken", samples.len());
        let error = HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_samples", detail);
        return Err(error.hint("send several calls"));
    }
    if let Some(id) = &id {
        push::check_id(id).map_err(|refused| refusal(refused, None))?;
    }
    let rules = intake.live.get_full();
    let sources = &rules.rules.sources;
    let several = samples.len() > 1;
    let made = push::rows(
        &samples,
        sources,
        &intake.created,
        query.create_series,
        call.now,
    );
    let rows = made.map_err(|(at, refused)| refusal(refused, several.then_some(at)))?;
    let accepted = samples.len();
    let store = &intake.doors.samples;
    let Some(id) = id else {
        store.add(SOURCE, rows);
        push::record_flags(&samples, store.splits(), call.now);
        return Ok(Reply::accepted(PushReply {
            accepted,
            durable: false,
            repeated: false,
        }));
    };
    let committed = store.commit(SOURCE, rows, None, Some(&id)).await?;
    if !committed.repeated {
        push::record_flags(&samples, store.splits(), call.now);
    }
    Ok(Reply::ok(PushReply {
        accepted,
        durable: true,
        repeated: committed.repeated,
    }))
}

fn one_or_several(body: PushRequest) -> Result<(Vec<SampleBody>, Option<String>), HttpError> {
    let id = body.id;
    let none = body.good.is_none() && body.bad.is_none() && body.duration_ms.is_none();
    match (body.samples, body.series) {
        (Some(samples), None)
            if none && body.ok.is_none() && body.ts.is_none() && body.flags.is_empty() =>
        {
            Ok((samples, id))
        }
        (None, Some(series)) => {
            let one = SampleBody {
                series,
                good: body.good,
                bad: body.bad,
                duration_ms: body.duration_ms,
                ok: body.ok,
                ts: body.ts,
                flags: body.flags,
            };
            Ok((vec![one], id))
        }
        _ => {
            let detail = "the body is either one sample with `series`, or `samples`";
            let error = HttpError::bad_request("bad_sample", detail);
            Err(error.hint(r#"{"series":"jobs","good":99,"bad":1} or {"samples":[…],"id":"…"}"#))
        }
    }
}

/// Samples, one a line; blank lines are passed over.
fn lines(body: &[u8]) -> Result<Vec<SampleBody>, HttpError> {
    let mut samples = Vec::new();
    for (number, line) in (1_u32..).zip(body.split(|byte| *byte == b'\n')) {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let read = JsonBody::<SampleBody>::read(line);
        samples.push(read.map_err(|error: HttpError| error.with("line", u64::from(number)))?);
    }
    if samples.is_empty() {
        let error = HttpError::bad_request("empty_body", "the body has no samples");
        return Err(error.hint("one JSON object a line"));
    }
    Ok(samples)
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(NDJSON))
}

/// A refusal as an answer; `at` is the number of the sample among several.
fn refusal(refused: Refused, at: Option<usize>) -> HttpError {
    let status = match refused.code {
        "unknown_series" => StatusCode::NOT_FOUND,
        "series_taken" | "too_many_series" => StatusCode::CONFLICT,
        _ => StatusCode::BAD_REQUEST,
    };
    let mut error = HttpError::new(status, refused.code, refused.detail).hint(refused.hint);
    if let Some(nearest) = refused.nearest {
        error = error.with("nearest", nearest);
    }
    if let Some(at) = at {
        error = error.with("sample", at);
    }
    error
}
