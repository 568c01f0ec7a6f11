//! Silences in Alertmanager's shapes.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Compat;
use super::answer::{Bare, Fault};
use super::query::ListQuery;
use crate::base::time::stamp;
use crate::capabilities::alerts::matcher::{Matcher, Op, all_hold};
use crate::capabilities::alerts::silences::{Draft, Phase, Silence};
use crate::platform::http::Call;

/// A condition on a label.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct MatcherBody {
    /// The label.
    name: String,
    /// What it is compared with.
    value: String,
    /// Whether that is a regular expression.
    is_regex: bool,
    /// Whether it shall be so, or shall not. Default true.
    #[serde(default = "yes")]
    is_equal: bool,
}

const fn yes() -> bool {
    true
}

/// A silence as it is posted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PostableSilence {
    /// The silence that is edited; empty for a new one.
    #[serde(default)]
    id: String,
    /// What it covers: all must hold.
    matchers: Vec<MatcherBody>,
    /// From when on, RFC 3339.
    #[schemars(with = "String")]
    starts_at: DateTime<Utc>,
    /// Until when, RFC 3339.
    #[schemars(with = "String")]
    ends_at: DateTime<Utc>,
    /// Who makes it.
    created_by: String,
    /// Why.
    comment: String,
}

/// Answer to one that was posted.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Posted {
    /// Its identity.
    #[serde(rename = "silenceID")]
    id: String,
}

/// Where a silence is in its life.
#[derive(Debug, Serialize, JsonSchema)]
struct SilenceStatus {
    /// Where.
    state: Phase,
}

/// A silence.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct GettableSilence {
    /// Its identity.
    id: String,
    /// Where it is in its life.
    status: SilenceStatus,
    /// When it was made or changed, UTC.
    updated_at: String,
    /// Why it is there.
    comment: String,
    /// Who made it.
    created_by: String,
    /// Until when, UTC.
    ends_at: String,
    /// What it covers.
    matchers: Vec<MatcherBody>,
    /// From when on, UTC.
    starts_at: String,
}

fn gettable(silence: &Silence, now: DateTime<Utc>) -> GettableSilence {
    let matcher = |matcher: &Matcher| MatcherBody {
        name: matcher.name().to_owned(),
        value: matcher.value().to_owned(),
        is_regex: matcher.op().is_regex(),
        is_equal: matcher.op().is_equal(),
    };
    GettableSilence {
        id: silence.id.clone(),
        status: SilenceStatus {
            state: silence.phase(now),
        },
        updated_at: stamp(silence.changed_at),
        comment: silence.comment.clone(),
        created_by: silence.by.clone(),
        ends_at: stamp(silence.ends_at),
        matchers: silence.matchers.iter().map(matcher).collect(),
        starts_at: stamp(silence.starts_at),
    }
}

/// Those in force first, the soonest to end before the others; then those to come, the soonest
/// first; then those that are over, the latest first.
pub(super) async fn list(
    State(compat): State<Arc<Compat>>,
    call: Call,
    query: ListQuery,
) -> Bare<Vec<GettableSilence>> {
    let mut all = compat.silences.list();
    all.retain(|silence| {
        let made = query.creators.is_empty() || query.creators.contains(&silence.by);
        let words = silence.matchers.iter();
        let words = words.map(|one| (one.name().to_owned(), one.value().to_owned()));
        made && all_hold(&query.filter, &words.collect::<BTreeMap<_, _>>())
    });
    all.sort_by_key(|silence| {
        let order = match silence.phase(call.now) {
            Phase::Active => silence.ends_at.timestamp_millis(),
            Phase::Pending => silence.starts_at.timestamp_millis(),
            Phase::Expired => -silence.ends_at.timestamp_millis(),
        };
        (silence.phase(call.now), order)
    });
    Bare(
        all.iter()
            .map(|silence| gettable(silence, call.now))
            .collect(),
    )
}

pub(super) async fn get(
    State(compat): State<Arc<Compat>>,
    call: Call,
    Path(id): Path<String>,
) -> Result<Bare<GettableSilence>, Fault> {
    let unknown = || Fault::Said(StatusCode::NOT_FOUND, format!("there is no silence `{id}`"));
    let silence = compat.silences.find(&id).ok_or_else(unknown)?;
    Ok(Bare(gettable(&silence, call.now)))
}

pub(super) async fn post(
    State(compat): State<Arc<Compat>>,
    call: Call,
    body: Bytes,
) -> Result<Bare<Posted>, Fault> {
    let posted: PostableSilence = serde_json::from_slice(&body)
        .map_err(|error| Fault::bad(format!("the silence cannot be read: {error}")))?;
    let matchers = posted.matchers.iter().map(|one| {
        let op = Op::of(one.is_regex, one.is_equal);
        Matcher::new(&one.name, op, &one.value).map_err(|fault| Fault::bad(fault.to_string()))
    });
    let draft = Draft {
        edits: (!posted.id.is_empty()).then_some(posted.id),
        matchers: matchers.collect::<Result<_, _>>()?,
        starts_at: posted.starts_at,
        ends_at: posted.ends_at,
        by: posted.created_by,
        comment: posted.comment,
    };
    let id = compat.silences.create(draft, call.now).await?;
    Ok(Bare(Posted { id }))
}

pub(super) async fn delete(
    State(compat): State<Arc<Compat>>,
    call: Call,
    Path(id): Path<String>,
) -> Result<StatusCode, Fault> {
    let by = &call.caller.name;
    compat.silences.expire(&id, by, call.now).await?;
    Ok(StatusCode::OK)
}
