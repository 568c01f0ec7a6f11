//! How channels are, over HTTP: translates out. Names secrets that are missing, never their values.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::Serialize;

use super::lane::{Condition, Lane};
use super::state::Dead;
use super::{Outbox, trial};
use crate::base::time::stamp;
use crate::capabilities::alerts::channels::rules::ChannelRules;
use crate::capabilities::alerts::model::Reason;
use crate::platform::http::{Call, HttpError, Reply, Route, Routes, Scope};

/// The rows of the route table.
pub(super) fn routes(outbox: &Arc<Outbox>) -> Routes {
    let state = || Arc::clone(outbox);
    vec![
        Route::get(
            "/api/alerts/channels",
            Scope::Read,
            "all channels: how each is, what waits, and what never arrived",
        )
        .gives::<ChannelsReply>()
        .handler(get(channels).with_state(state())),
        Route::post(
            "/api/alerts/notices/{id}/retry",
            Scope::Operate,
            "send a notice again that never arrived",
        )
        .gives::<RetryReply>()
        .handler(post(retry).with_state(state())),
    ]
}

/// Answer of `GET /api/alerts/channels`.
#[derive(Debug, Serialize, JsonSchema)]
struct ChannelsReply {
    /// How many channels.
    count: usize,
    /// By name.
    channels: Vec<ChannelReply>,
    /// Notices that never arrived, the newest last.
    dead: Vec<DeadReply>,
}

/// A channel.
#[derive(Debug, Serialize, JsonSchema)]
struct ChannelReply {
    /// Its name.
    name: String,
    /// What it is: `slack`, `telegram`, `resend`, `smtp`, `discord`, `ntfy`, `pagerduty`,
    /// `webhook` or `log`.
    kind: &'static str,
    /// How it is: `unknown`, `works`, `failing`, `broken`, `disabled` or `dry_run`.
    state: &'static str,
    /// Whether nothing is really sent, because a secret is missing.
    dry_run: bool,
    /// The secret that is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
    /// Why it does not work.
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// The cure.
    #[serde(skip_serializing_if = "String::is_empty")]
    hint: String,
    /// Since when it does not work, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// Notices that wait.
    waiting: usize,
    /// Notices that arrived.
    sent: u64,
    /// Tries that failed.
    failed: u64,
    /// Notices that never arrived.
    dead: u64,
    /// When the last one arrived, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_sent_at: Option<String>,
    /// Who takes over what it refuses, in this order.
    fallback: Vec<String>,
    /// After how long a notice is only summed up, in seconds.
    expiry_secs: u64,
}

/// A notice that never arrived.
#[derive(Debug, Serialize, JsonSchema)]
struct DeadReply {
    /// The notice.
    id: String,
    /// Its channel.
    channel: String,
    /// When that was known, UTC.
    at: String,
    /// Why.
    reason: String,
    /// The channel that has it instead.
    #[serde(skip_serializing_if = "String::is_empty")]
    fallback: String,
    /// The group it tells of.
    group: String,
    /// Its first alert.
    summary: String,
}

/// Answer of `POST /api/alerts/notices/{id}/retry`.
#[derive(Debug, Serialize, JsonSchema)]
struct RetryReply {
    /// The notice that goes out now.
    id: String,
    /// Its channel.
    channel: String,
}

async fn channels(State(outbox): State<Arc<Outbox>>) -> Reply<ChannelsReply> {
    let rules = (outbox.channels)();
    let state = outbox.state();
    let idle = Lane::default();
    let described = |rules: &Arc<ChannelRules>| {
        let lane = state.lanes.get(&rules.name).unwrap_or(&idle);
        described(rules, lane, outbox.sender.missing(rules))
    };
    let channels: Vec<ChannelReply> = rules.iter().map(described).collect();
    Reply::ok(ChannelsReply {
        count: channels.len(),
        channels,
        dead: state.dead.iter().map(dead).collect(),
    })
}

fn described(rules: &ChannelRules, lane: &Lane, missing: Option<String>) -> ChannelReply {
    let (mut state, since, found) = match &lane.condition {
        Condition::Unknown | Condition::DryRun { .. } => ("unknown", None, None),
        Condition::Works => ("works", None, None),
        Condition::Failing { since, found } => ("failing", Some(*since), Some(found)),
        Condition::Broken { since, found } => ("broken", Some(*since), Some(found)),
        Condition::Disabled { since, found, .. } => ("disabled", Some(*since), Some(found)),
    };
    let mut found = found.cloned().unwrap_or_default();
    if let Some(missing) = &missing {
        state = "dry_run";
        found.text = format!("no {missing}");
        found.hint = trial::given(missing);
    }
    ChannelReply {
        name: rules.name.clone(),
        kind: rules.kind.word(),
        state,
        dry_run: missing.is_some(),
        missing,
        reason: found.text,
        hint: found.hint,
        since: since.map(stamp),
        waiting: lane.waiting.len(),
        sent: lane.sent,
        failed: lane.failed,
        dead: lane.dead,
        last_sent_at: lane.last_sent_at.map(stamp),
        fallback: rules.fallback.clone(),
        expiry_secs: rules.expiry.as_secs(),
    }
}

fn dead(one: &Dead) -> DeadReply {
    let first = one.notice.alerts.first();
    DeadReply {
        id: one.notice.id.clone(),
        channel: one.notice.channel.clone(),
        at: stamp(one.at),
        reason: one.why.clone(),
        fallback: one.fallback.clone(),
        group: one.notice.group.clone(),
        summary: first.map(|alert| alert.summary.clone()).unwrap_or_default(),
    }
}

async fn retry(
    State(outbox): State<Arc<Outbox>>,
    call: Call,
    Path(id): Path<String>,
) -> Result<Reply<RetryReply>, HttpError> {
    let found = {
        let state = outbox.state();
        let found = state.dead.iter().rev().find(|one| one.notice.id == id);
        found.map(|one| one.notice.clone())
    };
    let Some(found) = found.filter(|notice| notice.reason != Reason::Test) else {
        let text = "there is no such notice among those that never arrived";
        let hint = "`echopilot alert channels` lists them";
        return Err(HttpError::not_found("notice_not_found", text).hint(hint));
    };
    let mut notice = (*found).clone();
    // Another identity: by the old one a channel may know that it refused it.
    notice.id = format!("{id}.{}", call.now.timestamp_millis());
    notice.at = call.now;
    // By its own channel, so that it changes nothing of what is known to be so now.
    notice.via = vec![notice.channel.clone()];
    if (outbox.channels)().named(&notice.channel).is_none() {
        let text = format!("there is no channel `{}` any more", notice.channel);
        let hint = "`echopilot alert channels` lists those that there are";
        return Err(HttpError::not_found("channel_not_found", text).hint(hint));
    }
    let reply = RetryReply {
        id: notice.id.clone(),
        channel: notice.channel.clone(),
    };
    outbox.queue(vec![notice]).await?;
    Ok(Reply::ok(reply))
}
