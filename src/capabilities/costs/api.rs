//! The routes: translate in, call one verb, translate out. Only here are status codes known.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::decimal::Decimal;
use super::event::{UsageRecorded, Used};
use super::legacy::OwnReply;
use super::model::{Month, Tokens};
use super::report::{ForecastReply, MonthReply};
use super::service::{Costs, MOST_USES, Taken, UsageError, UseFault};
use crate::base::money::TooLarge;
use crate::base::time::stamp;
use crate::platform::http::{Call, HttpError, JsonBody, QueryParams, Reply, Route, Routes, Scope};

/// Tokens of one kind in one use at most, a million millions: tokens cannot be taken back, and what
/// is far beyond would break the reckoning of its month for good (our own choice).
const MOST_TOKENS: u64 = 1_000_000_000_000;

/// Bytes of a batch of uses: 1,000 of 256 bytes.
const MAX_BODY: usize = 256 * 1024;

/// The rows of the route table.
pub(super) fn routes(costs: &Arc<Costs>) -> Routes {
    let state = || Arc::clone(costs);
    let about = "what the daemon itself uses a month: disk, processor, traffic, with prices";
    let own = Route::get("/api/costs/report", Scope::Read, about)
        .gives::<OwnReply>()
        .handler(get(own).with_state(state()));
    let about = "what a month has cost, by item and currency";
    let month = Route::get("/api/costs", Scope::Read, about)
        .query("month=2026-10")
        .gives::<MonthReply>()
        .handler(get(month).with_state(state()));
    let about = "what this month will cost, by two ways, each with an interval";
    let forecast = Route::get("/api/costs/forecast", Scope::Read, about)
        .gives::<ForecastReply>()
        .handler(get(forecast).with_state(state()));
    let about = "tell what was used of a metered item or a language model; one use or several";
    let mut usage = Route::post("/api/costs/usage", Scope::Operate, about)
        .takes::<UsageRequest>(r#"{"item":"egress","quantity":"1.5","id":"egress-2026-10-17"}"#)
        .gives::<UsageReply>()
        .handler(post(usage).with_state(state()));
    usage.body_limit = MAX_BODY;
    vec![own, month, forecast, usage]
}

async fn own(State(costs): State<Arc<Costs>>, call: Call) -> Result<Reply<OwnReply>, HttpError> {
    let reply = costs.own_reply(call.now).await;
    let (reply, _) = reply.map_err(|error| HttpError::internal(&format!("{error:#}")))?;
    Ok(Reply::ok(reply))
}

/// Query of `GET /api/costs`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MonthQuery {
    month: Option<String>,
}

async fn month(
    State(costs): State<Arc<Costs>>,
    call: Call,
    QueryParams(query): QueryParams<MonthQuery>,
) -> Result<Reply<MonthReply>, HttpError> {
    let month = match query.month.as_deref() {
        None => Month::of(call.now.date_naive()),
        Some(text) => Month::parse(text).ok_or_else(|| {
            let text: String = text.chars().take(32).collect();
            let told = format!("`month` is `{text}`, a month such as 2026-10 is needed");
            HttpError::bad_request("bad_parameter", told)
                .hint("without one the month of today is told")
        })?,
    };
    Ok(Reply::ok(costs.month_reply(month, call.now)?))
}

async fn forecast(
    State(costs): State<Arc<Costs>>,
    call: Call,
) -> Result<Reply<ForecastReply>, HttpError> {
    Ok(Reply::ok(costs.forecast_reply(call.now)?))
}

/// One use of a metered item or of a language model.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UseBody {
    /// The metered item; or `model`.
    #[serde(default)]
    item: Option<String>,
    /// How many units, such as `"1.5"`; below zero takes back what was told too much.
    #[serde(default)]
    quantity: Option<Decimal>,
    /// The language model; or `item`.
    #[serde(default)]
    model: Option<String>,
    /// Tokens read, and not from the provider's cache.
    #[serde(default)]
    input_tokens: Option<u64>,
    /// Tokens written.
    #[serde(default)]
    output_tokens: Option<u64>,
    /// Tokens read from the provider's cache; not counted in `input_tokens`.
    #[serde(default)]
    cached_tokens: Option<u64>,
    /// When, RFC 3339. Default: now. What lies in a month that has ended counts in that month.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    at: Option<DateTime<Utc>>,
    /// Names this use, 1 to 128 bytes: told again with the same id it is counted once.
    id: String,
}

/// Body of `POST /api/costs/usage`: one use, or several in `usage`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UsageRequest {
    /// The metered item; or `model`.
    #[serde(default)]
    item: Option<String>,
    /// How many units, such as `"1.5"`; below zero takes back what was told too much.
    #[serde(default)]
    quantity: Option<Decimal>,
    /// The language model; or `item`.
    #[serde(default)]
    model: Option<String>,
    /// Tokens read, and not from the provider's cache.
    #[serde(default)]
    input_tokens: Option<u64>,
    /// Tokens written.
    #[serde(default)]
    output_tokens: Option<u64>,
    /// Tokens read from the provider's cache; not counted in `input_tokens`.
    #[serde(default)]
    cached_tokens: Option<u64>,
    /// When, RFC 3339. Default: now.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    at: Option<DateTime<Utc>>,
    /// Names this use, 1 to 128 bytes: told again with the same id it is counted once.
    #[serde(default)]
    id: Option<String>,
    /// Several uses, at most 1,000; all are taken, or none.
    #[serde(default)]
    usage: Option<Vec<UseBody>>,
}

impl UsageRequest {
    fn uses(self) -> Result<Vec<UseBody>, HttpError> {
        let alone = self.item.is_none() && self.model.is_none() && self.id.is_none();
        match (self.usage, self.id) {
            (Some(several), None) if alone => Ok(several),
            (None, Some(id)) => Ok(vec![UseBody {
                item: self.item,
                quantity: self.quantity,
                model: self.model,
                input_tokens: self.input_tokens,
                output_tokens: self.output_tokens,
                cached_tokens: self.cached_tokens,
                at: self.at,
                id,
            }]),
            (None, None) => Err(bad_use(
                "`id` is missing: without it a repeated call counts twice",
            )),
            (Some(_), _) => Err(bad_use("the body is one use, or has several in `usage`")),
        }
    }
}

fn bad_use(told: &str) -> HttpError {
    let hint = r#"{"item":"egress","quantity":"1.5","id":"…"} or {"model":"…","input_tokens":900,"id":"…"}"#;
    HttpError::bad_request("bad_usage", told).hint(hint)
}

impl UseBody {
    fn read(self, now: DateTime<Utc>) -> Result<UsageRecorded, HttpError> {
        let has_tokens = self.input_tokens.is_some()
            || self.output_tokens.is_some()
            || self.cached_tokens.is_some();
        let (item, used) = match (self.item, self.model) {
            (Some(item), None) if !has_tokens => {
                let quantity = self
                    .quantity
                    .ok_or_else(|| bad_use("`quantity` is missing"))?;
                (item, Used::Quantity(quantity.0))
            }
            (None, Some(model)) if has_tokens && self.quantity.is_none() => {
                let tokens = Tokens {
                    input: self.input_tokens.unwrap_or_default(),
                    output: self.output_tokens.unwrap_or_default(),
                    cached: self.cached_tokens.unwrap_or_default(),
                };
                let most = tokens.input.max(tokens.output).max(tokens.cached);
                if most > MOST_TOKENS {
                    let told = format!("a use of {most} tokens, allowed are {MOST_TOKENS}");
                    return Err(bad_use(&told));
                }
                (model, Used::Tokens(tokens))
            }
            _ => {
                let told = "a use is of an `item` with a `quantity`, or of a `model` with tokens";
                return Err(bad_use(told));
            }
        };
        Ok(UsageRecorded {
            id: self.id,
            item,
            used,
            at: self.at.unwrap_or(now),
            late: false,
        })
    }
}

/// What became of one use.
#[derive(Serialize, JsonSchema)]
struct UseReply {
    /// Its id.
    id: String,
    /// The month it counts in.
    month: String,
    /// Whether it was known: nothing was written.
    repeated: bool,
    /// Whether its month had ended; it counts in it all the same.
    late: bool,
    /// Whether `configs/costs.json` has no price for it yet.
    unpriced: bool,
    /// When it was, UTC.
    at: String,
}

/// Answer of `POST /api/costs/usage`.
#[derive(Serialize, JsonSchema)]
struct UsageReply {
    /// Uses that were written.
    accepted: usize,
    /// Uses that were known.
    repeated: usize,
    /// What became of each, in order.
    results: Vec<UseReply>,
}

async fn usage(
    State(costs): State<Arc<Costs>>,
    call: Call,
    JsonBody(request): JsonBody<UsageRequest>,
) -> Result<Reply<UsageReply>, HttpError> {
    let uses = request.uses()?.into_iter().map(|one| one.read(call.now));
    let uses = uses.collect::<Result<Vec<_>, _>>()?;
    let taken = costs.record(uses, call.now).await?;
    let repeated = taken.iter().filter(|one| one.repeated).count();
    let reply = |taken: &Taken| UseReply {
        id: taken.usage.id.clone(),
        month: Month::of(taken.usage.at.date_naive()).to_string(),
        repeated: taken.repeated,
        late: taken.usage.late,
        unpriced: taken.unpriced,
        at: stamp(taken.usage.at),
    };
    Ok(Reply::ok(UsageReply {
        accepted: taken.len() - repeated,
        repeated,
        results: taken.iter().map(reply).collect(),
    }))
}

impl From<TooLarge> for HttpError {
    fn from(error: TooLarge) -> Self {
        let told = format!("the costs cannot be told: {error}");
        Self::new(StatusCode::CONFLICT, "too_large", told)
            .hint("look for a wrong price in `configs/costs.json`, or a wrong quantity")
    }
}

impl From<UsageError> for HttpError {
    fn from(error: UsageError) -> Self {
        let told = error.to_string();
        let (place, fault) = match error {
            UsageError::Storage(error) => return error.into(),
            UsageError::BadCount { .. } => {
                let hint = format!("send at most {MOST_USES} uses a call");
                return Self::bad_request("bad_usage", told).hint(hint);
            }
            UsageError::Bad { place, fault } => (place, fault),
        };
        let error = match fault {
            UseFault::Unknown { nearest, .. } => {
                let error = Self::not_found("unknown_item", told)
                    .hint("add it under `metered` in `configs/costs.json`");
                match nearest {
                    Some(nearest) => error.with("nearest", nearest),
                    None => error,
                }
            }
            UseFault::Conflict { .. } => Self::new(StatusCode::CONFLICT, "id_conflict", told)
                .hint("one id names one use; take another id for another use"),
            UseFault::Measured { .. } => Self::new(StatusCode::CONFLICT, "measured", told)
                .hint("give it `\"source\": \"pushed\"` in `configs/costs.json` to tell it here"),
            UseFault::Full => Self::new(StatusCode::CONFLICT, "too_many_items", told)
                .hint("tell models by their bare names, without dates or users"),
            UseFault::Id { .. }
            | UseFault::Name
            | UseFault::Time { .. }
            | UseFault::TooLarge(_) => {
                Self::bad_request("bad_usage", told).hint("see `docs/costs.md`")
            }
        };
        error.with("use", place)
    }
}
