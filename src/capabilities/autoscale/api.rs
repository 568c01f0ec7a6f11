//! The routes: translate in, call one verb, translate out. Only here are status codes known.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::logic::{Action, Gate, is_profit_frozen};
use super::service::{Autoscale, Look, Observation, TuneError};
use super::tune::{MOST_MEASURED, Targets, suggest};
use crate::platform::http::{Call, HttpError, JsonBody, QueryParams, Reply, Route, Routes, Scope};

/// The rows of the route table.
pub(super) fn routes(autoscale: &Arc<Autoscale>) -> Routes {
    let state = || Arc::clone(autoscale);
    let about = "Suggest targets from what is measured now; changes nothing";
    let tune = Route::get("/ops/auto_tune", Scope::Read, about)
        .query("current_p95=80&current_queue=1")
        .gives::<TuneReply>()
        .handler(get(tune));
    let about = "Write the suggested targets into `configs/autoscale.json`, under your name";
    let apply = Route::post("/ops/auto_tune/apply", Scope::Operate, about)
        .takes::<TuneRequest>(r#"{"current_p95":500,"current_queue":1}"#)
        .gives::<AppliedReply>()
        .handler(post(apply).with_state(state()));
    let about = "What the next tick would decide, and why; changes nothing";
    let dryrun = Route::get("/ops/autoscale/dryrun", Scope::Read, about)
        .gives::<DryrunReply>()
        .handler(get(dryrun).with_state(state()));
    let about = "Tell what the application sees of itself; known for three minutes";
    let observe = Route::post("/api/autoscale/observations", Scope::Operate, about)
        .takes::<ObserveRequest>(r#"{"queue":3,"p95_ms":120,"workers":2}"#)
        .gives::<ObservedReply>()
        .handler(post(observe).with_state(state()));
    vec![tune, apply, dryrun, observe]
}

/// Measures that targets are made of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TuneQuery {
    current_p95: Option<String>,
    current_queue: Option<String>,
}

/// Body of `POST /ops/auto_tune/apply`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TuneRequest {
    /// P95 now, in milliseconds.
    current_p95: f64,
    /// Jobs that wait now.
    current_queue: f64,
}

/// Answer of `GET /ops/auto_tune`.
#[derive(Serialize, JsonSchema)]
struct TuneReply {
    /// Always `ok`.
    status: &'static str,
    /// Targets that fit.
    suggestions: TargetsReply,
}

/// Targets.
#[derive(Serialize, JsonSchema)]
struct TargetsReply {
    /// P95 to aim at, in milliseconds: 0.8 of the present one, 20 to 2000.
    p95_target_ms: u64,
    /// Jobs that may wait: twice as many as now, 10 at least.
    queue_max_depth: u64,
}

impl From<Targets> for TargetsReply {
    fn from(targets: Targets) -> Self {
        Self {
            p95_target_ms: targets.p95_target_ms,
            queue_max_depth: targets.queue_max_depth,
        }
    }
}

/// Answer of `POST /ops/auto_tune/apply`.
#[derive(Serialize, JsonSchema)]
struct AppliedReply {
    /// Always `ok`.
    status: &'static str,
    /// What `configs/autoscale.json` aims at now.
    applied: TargetsReply,
    /// Its revision.
    revision: String,
}

/// A call that is right.
const TUNE_HINT: &str = "GET /ops/auto_tune?current_p95=80&current_queue=1";

fn unmeasured(name: &str) -> HttpError {
    let told = format!("`{name}` is no measure, allowed are numbers from 0 to {MOST_MEASURED:e}");
    HttpError::bad_request("bad_parameter", told).hint(TUNE_HINT)
}

fn targets(current_p95: f64, current_queue: f64) -> Result<Targets, HttpError> {
    suggest(current_p95, current_queue).ok_or_else(|| unmeasured("current_p95` or `current_queue"))
}

async fn tune(QueryParams(query): QueryParams<TuneQuery>) -> Result<Reply<TuneReply>, HttpError> {
    let number = |name, text: Option<String>| match text {
        None => {
            let told = format!("the query parameter `{name}` is missing");
            Err(HttpError::bad_request("missing_parameter", told).hint(TUNE_HINT))
        }
        Some(text) => text.parse().map_err(|_| unmeasured(name)),
    };
    let targets = targets(
        number("current_p95", query.current_p95)?,
        number("current_queue", query.current_queue)?,
    )?;
    Ok(Reply::ok(TuneReply {
        status: "ok",
        suggestions: targets.into(),
    }))
}

async fn apply(
    State(autoscale): State<Arc<Autoscale>>,
    call: Call,
    JsonBody(request): JsonBody<TuneRequest>,
) -> Result<Reply<AppliedReply>, HttpError> {
    let targets = targets(request.current_p95, request.current_queue)?;
    let applied = autoscale
        .apply(targets, &call.caller.name, call.now)
        .await?;
    let revision = applied.revision.to_string();
    Ok(Reply::ok(AppliedReply {
        status: "ok",
        applied: targets.into(),
        revision: revision.clone(),
    })
    .etag(&revision))
}

/// Answer of `GET /ops/autoscale/dryrun`.
#[derive(Serialize, JsonSchema)]
struct DryrunReply {
    /// `hold`, `up` or `down`.
    action: Action,
    /// Why.
    reason: String,
    /// Whether `STABILIZE_MODE` is on.
    stabilize_mode: bool,
    /// What decided: `stabilize`, `disabled`, `profit` or `rule`.
    gate: Gate,
    /// Workers now.
    workers: u32,
    /// Workers after the step.
    target_workers: u32,
    /// Why a step would stay a plan; null when it would be carried out.
    planned_only: Option<String>,
    /// What it was decided by.
    metrics: MetricsReply,
}

/// What a decision is made of; null for what is not known.
#[derive(Serialize, JsonSchema)]
struct MetricsReply {
    /// Jobs that wait.
    queue: Option<f64>,
    /// Jobs that may wait.
    queue_max_depth: u64,
    /// P95 in milliseconds.
    p95_ms: Option<f64>,
    /// P95 that is too slow, in milliseconds.
    p95_target_ms: u64,
    /// Ticks in a row with P95 over its target, the next one included.
    slow_ticks: u32,
    /// Idle ticks in a row, the next one included.
    idle_ticks: u32,
    /// Profit margin in percent.
    profit_margin_pct: Option<f64>,
    /// Why the margin is not known.
    profit_note: Option<&'static str>,
    /// Whether the margin is too small for another worker.
    profit_frozen: bool,
}

async fn dryrun(State(autoscale): State<Arc<Autoscale>>, call: Call) -> Reply<DryrunReply> {
    let Look {
        decision,
        seen,
        standing,
        switched,
        rules,
    } = autoscale.look(call.now);
    let rules = &rules.rules;
    let no_margin = seen.margin_percent.is_none();
    Reply::ok(DryrunReply {
        action: decision.action,
        reason: decision.reason,
        stabilize_mode: switched.is_stabilized(),
        gate: decision.gate,
        workers: standing.workers,
        target_workers: decision.to,
        planned_only: autoscale.planned_only(rules),
        metrics: MetricsReply {
            queue: seen.queue,
            queue_max_depth: rules.queue_max_depth,
            p95_ms: seen.p95_ms,
            p95_target_ms: rules.p95_target_ms,
            slow_ticks: standing.ticks.slow,
            idle_ticks: standing.ticks.idle,
            profit_margin_pct: seen.margin_percent,
            profit_note: no_margin.then_some("there is no ledger yet to take the margin from"),
            profit_frozen: is_profit_frozen(&seen, &rules.rule),
        },
    })
}

/// Body of `POST /api/autoscale/observations`; what is left out is not known.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ObserveRequest {
    /// Jobs that wait.
    #[serde(default)]
    queue: Option<f64>,
    /// P95 in milliseconds.
    #[serde(default)]
    p95_ms: Option<f64>,
    /// Workers there are.
    #[serde(default)]
    #[schemars(range(max = 10_000))]
    workers: Option<u32>,
}

/// Answer of `POST /api/autoscale/observations`.
#[derive(Serialize, JsonSchema)]
struct ObservedReply {
    /// Seconds for which it is known.
    known_for_secs: i64,
}

async fn observe(
    State(autoscale): State<Arc<Autoscale>>,
    call: Call,
    JsonBody(request): JsonBody<ObserveRequest>,
) -> Result<Reply<ObservedReply>, HttpError> {
    for (name, value) in [("queue", request.queue), ("p95_ms", request.p95_ms)] {
        if value.is_some_and(|value| !(0.0..=MOST_MEASURED).contains(&value)) {
            return Err(unmeasured(name).hint(r#"send {"queue":3,"p95_ms":120,"workers":2}"#));
        }
    }
    let observation = Observation {
        queue: request.queue,
        p95_ms: request.p95_ms,
        workers: request.workers,
    };
    let known_for_secs = autoscale.observe(observation, call.now);
    Ok(Reply::ok(ObservedReply { known_for_secs }))
}

impl From<TuneError> for HttpError {
    fn from(error: TuneError) -> Self {
        match error {
            TuneError::Edit(error) => error.into(),
            TuneError::Storage(error) => error.into(),
            TuneError::Lost => Self::internal("an edit of the targets did not finish"),
        }
    }
}
