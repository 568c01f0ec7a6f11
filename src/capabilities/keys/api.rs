//! Keys over HTTP: translates in, calls one verb, translates out. A secret leaves once, in the
//! answer to its making.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::KeyEntry;
use super::service::{Asker, KeyError, Keys, MadeKey, NewKey};
use crate::base::time;
use crate::platform::http::{Call, HttpError, JsonBody, Reply, Role, Route, Routes, Scope};

/// Seconds for which a rotated key stays valid where nothing is said: a day, so that everything
/// that holds it can be told (our own choice).
const DEFAULT_OVERLAP_SECS: u32 = 86_400;

/// Longest life of a key that ends, in seconds: ten years; who wants more says nothing (our own
/// choice).
const MAX_LIFE_SECS: u64 = 315_360_000;

/// The rows of the route table.
pub(super) fn routes(keys: &Arc<Keys>) -> Routes {
    let state = || Arc::clone(keys);
    vec![
        Route::get(
            "/api/admin/keys",
            Scope::Admin,
            "all keys, without their secrets",
        )
        .gives::<ListReply>()
        .handler(get(list).with_state(state())),
        Route::post(
            "/api/admin/keys",
            Scope::Admin,
            "make a key; it is shown once",
        )
        .takes::<NewRequest>(r#"{"role":"reader","name":"grafana"}"#)
        .gives::<MadeReply>()
        .creates()
        .handler(post(create).with_state(state())),
        Route::post(
            "/api/admin/keys/{id}/rotate",
            Scope::Admin,
            "make a key in the place of another, which ends after an overlap",
        )
        .takes::<RotateRequest>(r#"{"overlap_secs":86400}"#)
        .gives::<MadeReply>()
        .creates()
        .handler(post(rotate).with_state(state())),
        Route::post(
            "/api/admin/keys/{id}/revoke",
            Scope::Admin,
            "take a key back at once",
        )
        .gives::<RevokedReply>()
        .handler(post(revoke).with_state(state())),
    ]
}

/// Answer of `GET /api/admin/keys`.
#[derive(Serialize, JsonSchema)]
struct ListReply {
    /// How many keys.
    count: usize,
    /// The keys, by identity.
    keys: Vec<KeyReply>,
}

/// One key.
#[derive(Serialize, JsonSchema)]
struct KeyReply {
    /// Its identity.
    id: String,
    /// What its holder may do.
    role: &'static str,
    /// For people.
    name: String,
    /// `live`, `early`, `expired` or `revoked`.
    state: &'static str,
    /// When it was made.
    created_at: String,
    /// Not valid before.
    not_before: Option<String>,
    /// Not valid from then on.
    not_after: Option<String>,
    /// When it was taken back.
    revoked_at: Option<String>,
    /// When it was last used.
    last_used_at: Option<String>,
    /// Requests a minute, where it has a bound of its own.
    per_minute: Option<u32>,
}

fn described(
    id: String,
    entry: KeyEntry,
    used: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> KeyReply {
    let at = |text: &Option<String>| {
        text.as_ref()
            .and_then(|text| text.parse::<DateTime<Utc>>().ok())
    };
    let state = if entry.revoked_at.is_some() {
        "revoked"
    } else if at(&entry.not_after).is_some_and(|end| end <= now) {
        "expired"
    } else if at(&entry.not_before).is_some_and(|begin| now < begin) {
        "early"
    } else {
        "live"
    };
    KeyReply {
        id,
        role: entry.role.name(),
        name: entry.name,
        state,
        created_at: entry.created_at,
        not_before: entry.not_before,
        not_after: entry.not_after,
        revoked_at: entry.revoked_at,
        last_used_at: used.map(time::stamp),
        per_minute: entry.per_minute,
    }
}

async fn list(State(keys): State<Arc<Keys>>, call: Call) -> Reply<ListReply> {
    let used: HashMap<String, DateTime<Utc>> = keys.gate().ring().last_used().into_iter().collect();
    let entries = keys.live().get_full().rules.entries.clone();
    let keys: Vec<_> = entries
        .into_iter()
        .map(|(id, entry)| {
            let used = used.get(&id).copied();
            described(id, entry, used, call.now)
        })
        .collect();
    Reply::ok(ListReply {
        count: keys.len(),
        keys,
    })
}

/// Body of `POST /api/admin/keys`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewRequest {
    /// What its holder may do: `reader`, `dash` or `admin`.
    role: String,
    /// For people: who holds it, what for.
    #[serde(default)]
    name: String,
    /// Seconds until it ends; it does not end where nothing is said.
    #[serde(default)]
    #[schemars(range(min = 1, max = 315_360_000))]
    expires_in_secs: Option<u64>,
    /// Requests a minute; the daemon's general bound where nothing is said.
    #[serde(default)]
    #[schemars(range(min = 1, max = 60_000_000))]
    per_minute: Option<u32>,
}

/// Answer to the making of a key.
#[derive(Serialize, JsonSchema)]
struct MadeReply {
    /// The key itself: shown this once, kept nowhere.
    key: String,
    /// Its identity.
    id: String,
    /// What its holder may do.
    role: &'static str,
    /// For people.
    name: String,
    /// Not valid from then on.
    not_after: Option<String>,
}

fn made_reply(made: MadeKey) -> Reply<MadeReply> {
    Reply::created(MadeReply {
        key: made.text.text.reveal().to_owned(),
        id: made.text.id,
        role: made.entry.role.name(),
        name: made.entry.name,
        not_after: made.entry.not_after,
    })
}

async fn create(
    State(keys): State<Arc<Keys>>,
    call: Call,
    JsonBody(request): JsonBody<NewRequest>,
) -> Result<Reply<MadeReply>, HttpError> {
    let role = [Role::Reader, Role::Dash, Role::Admin]
        .into_iter()
        .find(|role| role.name() == request.role)
        .ok_or_else(|| {
            HttpError::bad_request("bad_role", "`role` is not one of `reader`, `dash`, `admin`")
        })?;
    let not_after = request.expires_in_secs.map(|secs| end(call.now, secs));
    let new = NewKey {
        role,
        name: request.name,
        not_before: None,
        not_after: not_after.transpose()?,
        per_minute: request.per_minute,
    };
    Ok(made_reply(keys.create(new, asker(&call)).await?))
}

/// When a key ends that is good for `secs` from `now` on. An end that cannot be must not become a
/// key without one.
fn end(now: DateTime<Utc>, secs: u64) -> Result<DateTime<Utc>, HttpError> {
    let span = i64::try_from(secs).ok().and_then(TimeDelta::try_seconds);
    span.filter(|_| (1..=MAX_LIFE_SECS).contains(&secs))
        .and_then(|span| now.checked_add_signed(span))
        .ok_or_else(|| {
            let told = format!("`expires_in_secs` is {secs}, allowed are 1 to {MAX_LIFE_SECS}");
            HttpError::bad_request("bad_end", told)
                .hint("leave it out for a key that is good until it is revoked")
        })
}

/// Body of `POST /api/admin/keys/{id}/rotate`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RotateRequest {
    /// Seconds for which the old key stays valid; a day where nothing is said.
    #[serde(default)]
    #[schemars(range(max = 31_536_000))]
    overlap_secs: Option<u32>,
}

async fn rotate(
    State(keys): State<Arc<Keys>>,
    Path(id): Path<String>,
    call: Call,
    JsonBody(request): JsonBody<RotateRequest>,
) -> Result<Reply<MadeReply>, HttpError> {
    let overlap = request.overlap_secs.unwrap_or(DEFAULT_OVERLAP_SECS);
    let made = keys
        .rotate(&id, TimeDelta::seconds(i64::from(overlap)), asker(&call))
        .await?;
    Ok(made_reply(made))
}

/// Answer of `POST /api/admin/keys/{id}/revoke`.
#[derive(Serialize, JsonSchema)]
struct RevokedReply {
    /// The key that fails from now on.
    id: String,
}

async fn revoke(
    State(keys): State<Arc<Keys>>,
    Path(id): Path<String>,
    call: Call,
) -> Result<Reply<RevokedReply>, HttpError> {
    keys.revoke(&id, asker(&call)).await?;
    Ok(Reply::ok(RevokedReply { id }))
}

fn asker(call: &Call) -> Asker {
    Asker {
        name: Arc::clone(&call.caller.name),
        now: call.now,
    }
}

impl From<KeyError> for HttpError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unknown { .. } => Self::not_found("key_not_found", error.to_string())
                .hint("`echopilot key list` lists all keys"),
            KeyError::Revoked { .. } => {
                Self::new(http::StatusCode::CONFLICT, "key_revoked", error.to_string())
                    .hint("`echopilot key new` makes a key")
            }
            KeyError::Edit(error) => error.into(),
            KeyError::Storage(error) => error.into(),
            KeyError::Lost => Self::internal("a key edit did not finish"),
        }
    }
}
