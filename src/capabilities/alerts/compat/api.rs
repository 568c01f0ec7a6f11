//! The rows and handlers of Alertmanager's API v2, and of its webhook as input.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{delete, get, post};
use bytes::Bytes;
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Compat;
use super::accept::{Door, PostedAlert};
use super::answer::{Bare, Fault};
use super::listing::{AlertGroup, GettableAlert, Receiver, all_receivers};
use super::query::ListQuery;
use super::silences::{self, GettableSilence, PostableSilence, Posted};
use super::status::{self, Status};
use crate::platform::http::{Call, Choice, HttpError, Reply, Route, Routes, Scope};

/// Bytes of alerts in one call at most: some hundred with long texts. Prometheus sends at most 64
/// together unless told otherwise.
const MAX_BODY: usize = 512 << 10;

/// How all paths of Alertmanager's API begin.
const UNDER: &str = "/api/v2/";

/// An alert that ended long ago: an example that raises nothing.
const ALERTS: &str = r#"[{"labels":{"alertname":"Example","severity":"warning"},"annotations":{"summary":"an example"},"endsAt":"2026-01-01T00:00:00Z"}]"#;
/// A message of an Alertmanager about the same.
const MESSAGE: &str = r#"{"version":"4","groupKey":"{}:{alertname=\"Example\"}","status":"resolved","truncatedAlerts":0,"alerts":[{"status":"resolved","labels":{"alertname":"Example"},"startsAt":"2026-01-01T00:00:00Z","endsAt":"2026-01-01T00:05:00Z"}]}"#;
/// A silence of what is never raised.
const SILENCE: &str = r#"{"matchers":[{"name":"alertname","value":"Example","isRegex":false,"isEqual":true}],"startsAt":"2026-01-01T00:00:00Z","endsAt":"2099-01-01T00:00:00Z","createdBy":"alice","comment":"an example"}"#;

const fn choice(name: &'static str, about: &'static str) -> Choice {
    Choice {
        name,
        values: &["true", "false"],
        about,
    }
}

/// Which alerts are listed.
const CHOICES: [Choice; 4] = [
    choice("active", "list what is told"),
    choice("silenced", "list what a silence hides"),
    choice("inhibited", "list what another alert hides"),
    choice(
        "unprocessed",
        "taken and passed over: there is nothing unprocessed",
    ),
];

impl Compat {
    /// The rows of the route table.
    pub(in crate::capabilities::alerts) fn routes(self: &Arc<Self>) -> Routes {
        let mut rows = self.alert_routes();
        rows.extend(self.silence_routes());
        // amtool cannot read a problem document, and says so instead of what it says.
        for row in &mut rows {
            row.bare_errors = row.path.starts_with(UNDER).then_some(UNDER);
        }
        rows
    }

    fn alert_routes(self: &Arc<Self>) -> Routes {
        let state = || Arc::clone(self);
        let about = "take alerts, as Alertmanager does: Prometheus and amtool send them here";
        let mut take = Route::post("/api/v2/alerts", Scope::Operate, about)
            .takes::<Vec<PostedAlert>>(ALERTS)
            .handler(post(post_alerts).with_state(state()));
        take.body_limit = MAX_BODY;
        let about = "take the message of an Alertmanager's webhook, version 4";
        let mut hook = Route::post("/api/alerts/webhook", Scope::Operate, about)
            .takes::<Message>(MESSAGE)
            .gives::<MessageReply>()
            .handler(post(post_message).with_state(state()));
        hook.body_limit = MAX_BODY;
        let filter = "filter=severity%3D%22critical%22&receiver=.*";
        let about = "what holds, in Alertmanager's shape";
        let mut list = Route::get("/api/v2/alerts", Scope::Read, about)
            .query(filter)
            .gives::<Vec<GettableAlert>>()
            .handler(get(list_alerts).with_state(state()));
        list.choices = &CHOICES;
        let about = "what holds, in groups as it is told, in Alertmanager's shape";
        let mut groups = Route::get("/api/v2/alerts/groups", Scope::Read, about)
            .query(filter)
            .gives::<Vec<AlertGroup>>()
            .handler(get(list_groups).with_state(state()));
        groups.choices = &CHOICES;
        let about = "what runs and by which rules, in Alertmanager's shape";
        let status = Route::get("/api/v2/status", Scope::Read, about)
            .gives::<Status>()
            .handler(get(tell_status).with_state(state()));
        let about = "who can be told, in Alertmanager's shape";
        let receivers = Route::get("/api/v2/receivers", Scope::Read, about)
            .gives::<Vec<Receiver>>()
            .handler(get(list_receivers).with_state(state()));
        vec![take, list, groups, status, receivers, hook]
    }

    fn silence_routes(self: &Arc<Self>) -> Routes {
        let state = || Arc::clone(self);
        let about = "all silences, in Alertmanager's shape";
        let list = Route::get("/api/v2/silences", Scope::Read, about)
            .query("filter=alertname%3D%22Example%22&creator=alice")
            .gives::<Vec<GettableSilence>>()
            .handler(get(silences::list).with_state(state()));
        let about = "make a silence or change one, in Alertmanager's shape";
        let make = Route::post("/api/v2/silences", Scope::Operate, about)
            .takes::<PostableSilence>(SILENCE)
            .gives::<Posted>()
            .handler(post(silences::post).with_state(state()));
        let path = "/api/v2/silence/{id}";
        let about = "one silence, in Alertmanager's shape";
        let one = Route::get(path, Scope::Read, about)
            .gives::<GettableSilence>()
            .handler(get(silences::get).with_state(state()));
        let about = "end a silence, as Alertmanager does";
        let end = Route::new(Method::DELETE, path, Scope::Operate, about)
            .handler(delete(silences::delete).with_state(state()));
        vec![list, make, one, end]
    }
}

async fn post_alerts(
    State(compat): State<Arc<Compat>>,
    call: Call,
    body: Bytes,
) -> Result<StatusCode, Fault> {
    let posted: Vec<PostedAlert> = serde_json::from_slice(&body)
        .map_err(|error| Fault::bad(format!("the alerts cannot be read: {error}")))?;
    // As Alertmanager: what is good is taken, whatever is wrong with the rest.
    let faults = compat.take_all(posted, Door::Api, call.now);
    compat.alerts.settled().await?;
    match faults {
        Some(faults) => Err(Fault::bad(faults)),
        None => Ok(StatusCode::OK),
    }
}

/// The message of an Alertmanager's webhook.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Message {
    /// Version of this form; 4 is known.
    version: String,
    /// Names the group there; each of its alerts keeps it as the annotation `group_key`.
    #[serde(default)]
    group_key: String,
    /// Alerts that were left away because there were too many.
    #[serde(default)]
    truncated_alerts: u64,
    /// The alerts of the group.
    #[serde(default)]
    alerts: Vec<MessageAlert>,
}

/// An alert of such a message.
#[derive(Debug, Deserialize, JsonSchema)]
struct MessageAlert {
    /// `firing` or `resolved`.
    #[serde(default)]
    status: String,
    #[serde(flatten)]
    alert: PostedAlert,
}

/// Answer to it.
#[derive(Debug, Serialize, JsonSchema)]
struct MessageReply {
    /// Alerts that were taken.
    accepted: usize,
    /// Alerts that the sender left away because there were too many: they are not known here.
    truncated: u64,
}

async fn post_message(
    State(compat): State<Arc<Compat>>,
    call: Call,
    body: Bytes,
) -> Result<Reply<MessageReply>, HttpError> {
    let refused = |why: String| {
        HttpError::bad_request("bad_message", format!("cannot take the message: {why}"))
            .hint("point an Alertmanager's `webhook_configs` here; its messages are of version 4")
    };
    let message: Message =
        serde_json::from_slice(&body).map_err(|error| refused(error.to_string()))?;
    if message.version != "4" {
        return Err(refused(format!(
            "its `version` is `{}`, not `4`",
            message.version
        )));
    }
    if message.truncated_alerts > 0 {
        tracing::warn!(
            "an Alertmanager left {} alerts of a group away: set `max_alerts: 0` there",
            message.truncated_alerts
        );
    }
    let accepted = message.alerts.len();
    let now = call.now;
    let posted = message.alerts.into_iter().map(|one| {
        let MessageAlert { status, mut alert } = one;
        if status == "resolved" {
            // Its end may be told by a clock that is ahead of ours.
            alert.ends_at = Some(crate::base::time::stamp(now));
            alert.starts_at = None;
        } else {
            alert.ends_at = None;
        }
        if !message.group_key.is_empty() {
            let mut annotations = alert.annotations.unwrap_or_default();
            annotations.insert("group_key", &*message.group_key);
            alert.annotations = Some(annotations);
        }
        alert
    });
    let faults = compat.take_all(posted.collect(), Door::Webhook, now);
    compat.alerts.settled().await?;
    match faults {
        Some(faults) => Err(refused(faults)),
        None => Ok(Reply::ok(MessageReply {
            accepted,
            truncated: message.truncated_alerts,
        })),
    }
}

async fn list_alerts(
    State(compat): State<Arc<Compat>>,
    call: Call,
    query: ListQuery,
) -> Bare<Vec<GettableAlert>> {
    Bare(compat.list(&query, call.now))
}

async fn list_groups(
    State(compat): State<Arc<Compat>>,
    call: Call,
    query: ListQuery,
) -> Bare<Vec<AlertGroup>> {
    Bare(compat.groups(&query, call.now))
}

async fn list_receivers(State(compat): State<Arc<Compat>>) -> Bare<Vec<Receiver>> {
    Bare(all_receivers(&compat.live.get().rules))
}

async fn tell_status(State(compat): State<Arc<Compat>>) -> Bare<Status> {
    Bare(status::of(&compat.live.get().rules, compat.started))
}
