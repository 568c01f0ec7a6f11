//! The routes: translate in, call one verb, translate out. Only here are status codes known.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::logic::{Limits, Verdict};
use super::model::LATENCY;
use super::service::{Anomalies, AnomalyError, Listed};
use crate::base::time::stamp;
use crate::platform::http::{Call, HttpError, JsonBody, QueryParams, Reply, Route, Routes, Scope};

/// Bytes of a batch of values: 10,000 numbers of 25 digits.
const MAX_BODY: usize = 256 * 1024;

/// The rows of the route table.
pub(super) fn routes(anomalies: &Arc<Anomalies>) -> Routes {
    let state = || Arc::clone(anomalies);
    let about = "Ask whether a latency is unlike the last ones; a question does not train";
    let ask = Route::get("/ops/anomaly_ai", Scope::Read, about)
        .query("latency_ms=250")
        .gives::<AskReply>()
        .handler(get(ask).with_state(state()));
    let about = "List series with their windows, models and last anomalies";
    let list = Route::get("/api/anomalies", Scope::Read, about)
        .gives::<ListReply>()
        .handler(get(list).with_state(state()));
    let about = "Judge values of a series and take them in; answered when they are on the disk";
    let mut train = Route::post("/api/anomalies/{series}/samples", Scope::Operate, about)
        .takes::<TrainRequest>(r#"{"values":[81.5,79,250]}"#)
        .gives::<TrainReply>()
        .handler(post(train).with_state(state()));
    train.body_limit = MAX_BODY;
    vec![ask, list, train]
}

/// Query of `GET /ops/anomaly_ai`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskQuery {
    latency_ms: Option<String>,
}

/// Answer of `GET /ops/anomaly_ai`.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum AskReply {
    /// Before there are samples enough.
    NotReady(NotReadyReply),
    /// A verdict.
    Ready(ReadyReply),
}

/// Before there are samples enough.
#[derive(Serialize, JsonSchema)]
struct NotReadyReply {
    /// Always false.
    ready: bool,
    /// Always `model_not_trained`.
    reason: &'static str,
    /// Samples so far.
    samples: usize,
    /// Samples that are needed.
    samples_needed: usize,
}

/// What is said of a latency.
#[derive(Serialize, JsonSchema)]
struct ReadyReply {
    /// Always true.
    ready: bool,
    /// Above 0 it is beyond both limits.
    score: f64,
    /// Whether it would be an anomaly.
    anomaly: bool,
    /// The latency that was asked for.
    latency_ms: Value,
    /// Standard deviations from the mean.
    z_score: f64,
    /// Always `z-score+iqr`.
    method: &'static str,
    /// Whether it is beyond the limits and no worse than an anomaly just before.
    damped: bool,
    /// Samples it is compared with.
    samples: usize,
}

/// A whole number is shown as one: `80`, not `80.0`.
fn number(value: f64) -> Value {
    /// Up to here every whole number is exact in a double.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and within the exact range"
    )]
    if value.fract() == 0.0 && value.abs() <= EXACT {
        Value::from(value as i64)
    } else {
        Value::from(value)
    }
}

async fn ask(
    State(anomalies): State<Arc<Anomalies>>,
    call: Call,
    QueryParams(query): QueryParams<AskQuery>,
) -> Result<Reply<AskReply>, HttpError> {
    const HINT: &str = "GET /ops/anomaly_ai?latency_ms=250";
    let text = query.latency_ms.ok_or_else(|| {
        let told = "the query parameter `latency_ms` is missing";
        HttpError::bad_request("missing_parameter", told).hint(HINT)
    })?;
    let bad = || {
        let told = "`latency_ms` is no number that can be measured";
        HttpError::bad_request("bad_parameter", told).hint(HINT)
    };
    let value: f64 = text.parse().map_err(|_| bad())?;
    let asked = anomalies.ask(LATENCY, value, call.now);
    let (verdict, samples) = asked.map_err(|_| bad())?;
    let needed = anomalies.live().get().rules.limits.ready;
    Ok(Reply::ok(match verdict {
        None => AskReply::NotReady(NotReadyReply {
            ready: false,
            reason: "model_not_trained",
            samples,
            samples_needed: needed,
        }),
        Some(said) => AskReply::Ready(ReadyReply {
            ready: true,
            score: said.score,
            anomaly: said.anomaly,
            latency_ms: number(value),
            z_score: said.z,
            method: "z-score+iqr",
            damped: said.damped,
            samples,
        }),
    }))
}

/// Body of `POST /api/anomalies/{series}/samples`: one value or several.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TrainRequest {
    /// One value.
    #[serde(default)]
    value: Option<f64>,
    /// Several, oldest first; at most 10,000.
    #[serde(default)]
    values: Vec<f64>,
}

/// Answer of `POST /api/anomalies/{series}/samples`.
#[derive(Serialize, JsonSchema)]
struct TrainReply {
    /// The series.
    series: String,
    /// Values of it so far.
    n: u64,
    /// Whether it is judged.
    ready: bool,
    /// How many of the call's values are anomalies.
    anomalies: usize,
    /// What is said of each value, in order.
    verdicts: Vec<VerdictReply>,
}

/// What is said of one value.
#[derive(Serialize, JsonSchema)]
struct VerdictReply {
    /// The value.
    value: Value,
    /// Whether there were samples enough before it.
    ready: bool,
    /// Above 0 it is beyond both limits.
    score: Option<f64>,
    /// Standard deviations from the mean.
    z_score: Option<f64>,
    /// Whether it is an anomaly.
    anomaly: bool,
    /// Whether it is beyond the limits and no worse than an anomaly just before.
    damped: bool,
}

impl VerdictReply {
    fn of(value: f64, verdict: Option<Verdict>) -> Self {
        Self {
            value: number(value),
            ready: verdict.is_some(),
            score: verdict.map(|said| said.score),
            z_score: verdict.map(|said| said.z),
            anomaly: verdict.is_some_and(|said| said.anomaly),
            damped: verdict.is_some_and(|said| said.damped),
        }
    }
}

async fn train(
    State(anomalies): State<Arc<Anomalies>>,
    Path(series): Path<String>,
    call: Call,
    JsonBody(request): JsonBody<TrainRequest>,
) -> Result<Reply<TrainReply>, HttpError> {
    let values = match request.value {
        Some(value) if request.values.is_empty() => vec![value],
        None => request.values,
        Some(_) => {
            let told = "the body has both `value` and `values`";
            return Err(HttpError::bad_request("bad_body", told).hint("send one of them"));
        }
    };
    let trained = anomalies.train(&series, &values, None, call.now).await?;
    let verdicts: Vec<_> = trained
        .verdicts
        .into_iter()
        .map(|(value, verdict)| VerdictReply::of(value, verdict))
        .collect();
    Ok(Reply::ok(TrainReply {
        series,
        n: trained.seen,
        ready: trained.ready,
        anomalies: verdicts.iter().filter(|one| one.anomaly).count(),
        verdicts,
    }))
}

/// Answer of `GET /api/anomalies`.
#[derive(Serialize, JsonSchema)]
struct ListReply {
    /// How many follow.
    count: usize,
    /// What all of them go by.
    limits: LimitsReply,
    /// The series, by name.
    series: Vec<SeriesReply>,
}

/// What the detector goes by.
#[derive(Serialize, JsonSchema)]
struct LimitsReply {
    /// Samples that are kept.
    window: usize,
    /// Samples from which on there is a verdict.
    ready: usize,
    /// Deviations that are the limit.
    z: f64,
    /// Interquartile ranges outside the quartiles that are the limit.
    iqr: f64,
    /// Samples after an anomaly in which the next one must be worse.
    damper_samples: u64,
    /// How much worse.
    damper_factor: f64,
}

/// One series.
#[derive(Serialize, JsonSchema)]
struct SeriesReply {
    /// Its name.
    series: String,
    /// Values so far.
    n: u64,
    /// Values in its window.
    window: usize,
    /// Whether it is judged.
    ready: bool,
    /// What its window says.
    model: Option<ModelReply>,
    /// Anomalies so far.
    anomalies: u64,
    /// The last of them.
    last_anomaly: Option<LastReply>,
}

/// What a window says.
#[derive(Serialize, JsonSchema)]
struct ModelReply {
    /// Arithmetic mean.
    mean: f64,
    /// Standard deviation.
    deviation: f64,
    /// Lower quartile.
    lower_quartile: f64,
    /// Upper quartile.
    upper_quartile: f64,
    /// Values it was made from.
    samples: usize,
    /// When it was made, UTC.
    at: String,
}

/// An anomaly.
#[derive(Serialize, JsonSchema)]
struct LastReply {
    /// When it was found, UTC.
    at: String,
    /// Which of the series' values, counted from 1.
    sample: u64,
    /// The value.
    value: f64,
    /// Its score.
    score: f64,
    /// Its z-score.
    z_score: f64,
}

async fn list(State(anomalies): State<Arc<Anomalies>>, call: Call) -> Reply<ListReply> {
    let limits = anomalies.live().get().rules.limits;
    let series: Vec<_> = anomalies
        .list(call.now)
        .into_iter()
        .map(|listed| described(listed, &limits))
        .collect();
    Reply::ok(ListReply {
        count: series.len(),
        limits: LimitsReply {
            window: limits.window,
            ready: limits.ready,
            z: limits.z,
            iqr: limits.iqr,
            damper_samples: limits.damper_samples,
            damper_factor: limits.damper_factor,
        },
        series,
    })
}

fn described(listed: Listed, limits: &Limits) -> SeriesReply {
    let Listed {
        name,
        series,
        model,
    } = listed;
    SeriesReply {
        series: name,
        n: series.detector.seen(),
        window: series.detector.window().len(),
        ready: series.detector.is_ready(limits),
        model: model.map(|model| ModelReply {
            mean: model.mean,
            deviation: model.deviation,
            lower_quartile: model.lower,
            upper_quartile: model.upper,
            samples: model.samples,
            at: stamp(model.at),
        }),
        anomalies: series.anomalies,
        last_anomaly: series.last.map(|(at, anomaly)| LastReply {
            at: stamp(at),
            sample: anomaly.sample,
            value: anomaly.value,
            score: anomaly.score,
            z_score: anomaly.z_score,
        }),
    }
}

impl From<AnomalyError> for HttpError {
    fn from(error: AnomalyError) -> Self {
        let told = error.to_string();
        match error {
            AnomalyError::BadName { .. } => Self::bad_request("bad_series", told)
                .hint("POST /api/anomalies/checkout.p95/samples"),
            AnomalyError::BadValue { .. } => Self::bad_request("bad_value", told)
                .hint("leave out what was not measured; 0 is a value"),
            AnomalyError::BadCount { .. } => Self::bad_request("bad_values", told)
                .hint(r#"send {"value":81.5} or {"values":[81.5,79]}"#),
            AnomalyError::Full { .. } => Self::new(StatusCode::CONFLICT, "too_many_series", told)
                .hint("raise `series_max` in `configs/anomalies.json`"),
            AnomalyError::Storage(error) => error.into(),
        }
    }
}
