//! SLOs over HTTP: translates in, calls one verb, translates out.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use super::days::Detail;
use super::guard::Slo;
use super::replay::{ReplayError, Replayed, Span};
use super::report::Report;
use crate::base::names;
use crate::platform::http::{Call, HttpError, JsonBody, Reply, Route, Routes, Scope};

/// The rows of the route table.
pub(super) fn routes(slo: &Arc<Slo>) -> Routes {
    let state = || Arc::clone(slo);
    let mut replayed = Route::post(
        "/api/slo/replay",
        Scope::Operate,
        "what other rules would have fired on the recorded past; changes nothing",
    );
    replayed.body_limit = MOST_RULES;
    vec![
        Route::get(
            "/api/slo",
            Scope::Read,
            "all objectives, the worst first: budgets, burn rates, open alerts",
        )
        .gives::<Report>()
        .handler(get(report).with_state(state())),
        Route::get(
            "/api/slo/{objective}",
            Scope::Read,
            "one objective, with its budget by day",
        )
        .gives::<Detail>()
        .handler(get(detail).with_state(state())),
        replayed
            .takes::<ReplayRequest>(REPLAY_EXAMPLE)
            .gives::<Replayed>()
            .handler(post(replay).with_state(state())),
    ]
}

/// Bytes of a replay's body at most: rules of hundreds of objectives.
const MOST_RULES: usize = 512 << 10;

/// A body that asks for something small.
const REPLAY_EXAMPLE: &str = r#"{"config":"{\"objectives\":{\"web\":{\"series\":\"echopilot\",\"kind\":\"availability\",\"target_percent\":99.5}}}"}"#;

async fn report(State(slo): State<Arc<Slo>>, call: Call) -> Reply<Report> {
    Reply::ok(slo.report(call.now))
}

async fn detail(
    State(slo): State<Arc<Slo>>,
    Path(name): Path<String>,
    call: Call,
) -> Result<Reply<Detail>, HttpError> {
    if let Some(detail) = slo.detail(&name, call.now) {
        return Ok(Reply::ok(detail));
    }
    let rules = slo.live.get_full();
    let known = rules.rules.objectives.iter();
    let known = known.map(|watched| watched.objective.name.as_str());
    let error = HttpError::not_found(
        "objective_not_found",
        format!("there is no objective `{name}`"),
    );
    Err(match names::nearest(&name, known) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("`echopilot slo` lists all objectives"),
    })
}

/// Body of `POST /api/slo/replay`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReplayRequest {
    /// The text of another `slo.json`.
    config: String,
    /// What it is called in problems; `slo.json` where nothing is said.
    #[serde(default)]
    name: Option<String>,
    /// The first instant that is decided, UTC; the first sample where nothing is said.
    #[serde(default)]
    from: Option<String>,
    /// The end, UTC; now where nothing is said.
    #[serde(default)]
    until: Option<String>,
}

async fn replay(
    State(slo): State<Arc<Slo>>,
    call: Call,
    JsonBody(request): JsonBody<ReplayRequest>,
) -> Result<Reply<Replayed>, HttpError> {
    let span = Span {
        from: instant("from", request.from.as_deref())?,
        until: instant("until", request.until.as_deref())?,
        now: call.now,
    };
    let name = request.name.unwrap_or_else(|| "slo.json".to_owned());
    // Days of minutes are more than a moment's work: not on the thread that serves.
    let replayed = tokio::task::spawn_blocking(move || slo.replay(&name, &request.config, span))
        .await
        .map_err(|_| HttpError::internal("a replay did not finish"))?;
    Ok(Reply::ok(replayed?))
}

fn instant(
    name: &str,
    text: Option<&str>,
) -> Result<Option<chrono::DateTime<chrono::Utc>>, HttpError> {
    let Some(text) = text else { return Ok(None) };
    match chrono::DateTime::parse_from_rfc3339(text) {
        Ok(at) => Ok(Some(at.to_utc())),
        Err(_) => Err(HttpError::bad_request(
            "bad_instant",
            format!("`{name}` is \"{text}\", must be an RFC 3339 instant"),
        )
        .hint("write it like 2026-11-21T02:00:00Z")),
    }
}

impl From<ReplayError> for HttpError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Config(problems) => {
                let list = serde_json::to_value(&problems).unwrap_or_default();
                let detail = format!("{} problems in `{}`", problems.count(), problems.file());
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "config_refused", detail)
                    .hint("`echopilot check FILE` shows each with its line")
                    .with("problems", list)
            }
            ReplayError::Storage(error) => error.into(),
        }
    }
}
