//! The routes of deploys.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::deploys::Deploy;
use super::service::Incidents;
use crate::base::hex;
use crate::platform::http::{Call, HttpError, JsonBody, QueryParams, Reply, Route, Routes, Scope};
use crate::seams::ids::{Ids as _, SystemIds};
use crate::seams::outbound::Url;

/// Deploys given where the caller names no number.
const DEFAULT_COUNT: usize = 50;
/// Deploys given at most in one answer.
const MOST_COUNT: usize = 1_000;
/// Longest name or version, in bytes (our own choice).
const LONGEST: usize = 200;
/// Longest address, in bytes (our own choice).
const LONGEST_URL: usize = 2_000;
/// How far ahead of ours the clock of whoever releases may be.
const AHEAD: TimeDelta = TimeDelta::minutes(5);

/// The rows of the route table.
pub(super) fn routes(incidents: &Arc<Incidents>) -> Routes {
    let about = "tell of a release; the same `id` again changes nothing";
    let add = Route::post("/api/deploys", Scope::Operate, about)
        .takes::<DeployRequest>(r#"{"service":"shop","version":"1.4.2","id":"ci-1042"}"#)
        .gives::<DeployReply>()
        .creates()
        .handler(post(add).with_state(Arc::clone(incidents)));
    let list = Route::get("/api/deploys", Scope::Read, "releases, the last told first")
        .query("service=shop&limit=20")
        .gives::<DeploysReply>()
        .handler(get(list).with_state(Arc::clone(incidents)));
    vec![add, list]
}

/// Body of `POST /api/deploys`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeployRequest {
    /// What was released.
    service: String,
    /// As what.
    version: String,
    /// Who released it; the caller where left away.
    #[serde(default)]
    actor: Option<String>,
    /// Where more of it is shown.
    #[serde(default)]
    url: Option<String>,
    /// When it took effect, RFC 3339; now where left away.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    at: Option<DateTime<Utc>>,
    /// Makes the call repeatable: the same id is written once.
    #[serde(default)]
    id: Option<String>,
}

/// Answer of `POST /api/deploys`.
#[derive(Serialize, JsonSchema)]
struct DeployReply {
    /// Whether it was new.
    recorded: bool,
    /// The deploy as it is on record.
    deploy: Deploy,
}

fn checked(name: &str, text: String) -> Result<String, HttpError> {
    let is_good =
        !text.trim().is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control);
    if is_good {
        return Ok(text);
    }
    let detail = format!(
        "`{name}` has {} bytes, allowed is 1 to {LONGEST} bytes on one line",
        text.len()
    );
    Err(HttpError::bad_request("bad_deploy", detail)
        .hint(r#"send {"service":"shop","version":"1.4.2"}"#))
}

fn deploy_of(body: DeployRequest, call: &Call) -> Result<Deploy, HttpError> {
    let url = body.url.unwrap_or_default();
    if !url.is_empty() && (url.len() > LONGEST_URL || Url::parse(&url).is_err()) {
        let detail = format!("`url` is not an http or https URL of at most {LONGEST_URL} bytes");
        return Err(HttpError::bad_request("bad_deploy", detail)
            .hint("link to the release or to the run that made it"));
    }
    let at = body.at.unwrap_or(call.now);
    if at - call.now > AHEAD {
        let detail = "`at` lies ahead: a release is told when it has taken effect";
        return Err(HttpError::bad_request("bad_deploy", detail)
            .hint("leave `at` away for a release that is just done"));
    }
    let id = if let Some(id) = body.id {
        checked("id", id)?
    } else {
        let drawn = SystemIds.random();
        let drawn = drawn.map_err(|_| HttpError::internal("no randomness for an id"))?;
        format!("dep-{}", hex::of(drawn.get(..8).unwrap_or_default()))
    };
    Ok(Deploy {
        id,
        service: checked("service", body.service)?,
        version: checked("version", body.version)?,
        actor: match body.actor {
            Some(actor) => checked("actor", actor)?,
            None => call.caller.name.to_string(),
        },
        url,
        at,
    })
}

async fn add(
    Shared(incidents): Shared<Arc<Incidents>>,
    call: Call,
    JsonBody(body): JsonBody<DeployRequest>,
) -> Result<Response, HttpError> {
    let deploy = deploy_of(body, &call)?;
    let (deploy, recorded) = incidents.deploys.record(deploy, call.now).await?;
    if recorded {
        incidents.rank_again(call.now).await?;
    }
    let reply = DeployReply {
        recorded,
        deploy: (*deploy).clone(),
    };
    Ok(if recorded {
        Reply::created(reply).into_response()
    } else {
        Reply::ok(reply).into_response()
    })
}

/// Query of `GET /api/deploys`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeploysQuery {
    service: Option<String>,
    limit: Option<usize>,
}

/// Answer of `GET /api/deploys`.
#[derive(Serialize, JsonSchema)]
struct DeploysReply {
    /// How many follow.
    count: usize,
    /// The last told first.
    deploys: Vec<Deploy>,
}

async fn list(
    Shared(incidents): Shared<Arc<Incidents>>,
    QueryParams(query): QueryParams<DeploysQuery>,
) -> Result<Reply<DeploysReply>, HttpError> {
    let limit = query.limit.unwrap_or(DEFAULT_COUNT);
    if !(1..=MOST_COUNT).contains(&limit) {
        let detail = format!("`limit` is {limit}, must be in 1..={MOST_COUNT}");
        return Err(HttpError::bad_request("bad_query", detail));
    }
    let found = incidents.deploys.newest(query.service.as_deref(), limit);
    let deploys: Vec<Deploy> = found.iter().map(|one| (**one).clone()).collect();
    Ok(Reply::ok(DeploysReply {
        count: deploys.len(),
        deploys,
    }))
}
