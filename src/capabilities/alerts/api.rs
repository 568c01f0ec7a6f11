//! Alerts over HTTP: translates in, calls one verb, translates out.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::service::{Fate, LabelFault, Service, Shown, Way};
use crate::base::time::stamp;
use crate::platform::alerts::Severity;
use crate::platform::http::{Call, HttpError, JsonBody, Reply, Route, Routes, Scope};

/// Keys that are taken up by one call at most.
const MOST_KEYS: usize = 1000;
/// Labels of an alert that is tried at most.
const MOST_LABELS: usize = 64;
/// Alerts of one group that are listed at most; all are counted.
const MOST_LISTED: usize = 200;

/// The rows of the route table.
pub(super) fn routes(service: &Arc<Service>) -> Routes {
    let state = || Arc::clone(service);
    let tried = r#"{"labels":{"alertname":"probe","level":"critical","source":"probes"}}"#;
    vec![
        Route::get(
            "/api/alerts/groups",
            Scope::Read,
            "what holds, as people are told of it: groups, channels, what was told",
        )
        .gives::<GroupsReply>()
        .handler(get(groups).with_state(state())),
        Route::post(
            "/api/alerts/route",
            Scope::Operate,
            "where an alert with these labels would go now; nothing is sent",
        )
        .takes::<RouteRequest>(tried)
        .gives::<RouteReply>()
        .handler(post(route).with_state(state())),
        Route::post(
            "/api/alerts/acknowledge",
            Scope::Operate,
            "take up alerts: they are not repeated and do not escalate",
        )
        .takes::<AcknowledgeRequest>(r#"{"keys":["probe:absent"]}"#)
        .gives::<AcknowledgeReply>()
        .handler(post(acknowledge).with_state(state())),
    ]
}

type Shared = State<Arc<Service>>;

/// Body of `POST /api/alerts/acknowledge`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AcknowledgeRequest {
    /// Keys of alerts, such as `probe:web`; at most 1000.
    keys: Vec<String>,
}

/// Answer of `POST /api/alerts/acknowledge`.
#[derive(Serialize, JsonSchema)]
struct AcknowledgeReply {
    /// How many nobody had taken up before.
    acknowledged: usize,
    /// Keys of which nothing holds.
    unknown: Vec<String>,
}

async fn acknowledge(
    State(service): Shared,
    call: Call,
    JsonBody(body): JsonBody<AcknowledgeRequest>,
) -> Result<Reply<AcknowledgeReply>, HttpError> {
    if !(1..=MOST_KEYS).contains(&body.keys.len()) {
        let detail = format!(
            "`keys` has {} entries, must be in 1..={MOST_KEYS}",
            body.keys.len()
        );
        return Err(HttpError::bad_request("bad_keys", detail));
    }
    let by = &call.caller.name;
    let (acknowledged, unknown) = service.acknowledge(&body.keys, by, call.now).await?;
    Ok(Reply::ok(AcknowledgeReply {
        acknowledged,
        unknown,
    }))
}

/// Body of `POST /api/alerts/route`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RouteRequest {
    /// Labels of the alert. `level` says how bad it is: info, warning, error or critical; else
    /// `severity` where it is one of these words; `error` without.
    labels: BTreeMap<String, String>,
}

/// Answer of `POST /api/alerts/route`.
#[derive(Serialize, JsonSchema)]
struct RouteReply {
    /// Always true: nothing is sent.
    dry_run: bool,
    /// The labels that routing goes by.
    labels: BTreeMap<String, String>,
    /// How bad it is.
    level: Severity,
    /// The routes that take it, in order.
    routes: Vec<WayReply>,
    /// Ids of the silences that cover it now.
    silenced_by: Vec<String>,
    /// The inhibition that hides it now, such as `inhibit[0]`.
    inhibited_by: Option<String>,
    /// Who else is told when nobody takes it up.
    escalation: Vec<StepReply>,
}

/// A route that takes it.
#[derive(Serialize, JsonSchema)]
struct WayReply {
    /// Its conditions, or `default`.
    route: String,
    /// The identity of the group.
    group: String,
    /// The labels that the group is made by.
    group_labels: BTreeMap<String, String>,
    /// Who is told.
    channels: Vec<String>,
    /// Channels that are quiet now, each with the end of that, UTC.
    quiet: BTreeMap<String, String>,
    /// How long more of a new group is waited for, in seconds.
    group_wait_secs: u64,
    /// The same where something critical is in it, in seconds.
    critical_wait_secs: u64,
    /// Pause between two looks at the group, in seconds.
    group_interval_secs: u64,
    /// When what has not changed is told again, in seconds.
    repeat_interval_secs: i64,
}

/// A step of an escalation.
#[derive(Serialize, JsonSchema)]
struct StepReply {
    /// How long after it was noticed, in seconds.
    after_secs: i64,
    /// Who is told then.
    channels: Vec<String>,
}

fn names(channels: &[Arc<str>]) -> Vec<String> {
    channels.iter().map(ToString::to_string).collect()
}

fn place(inhibition: usize) -> String {
    format!("inhibit[{inhibition}]")
}

impl From<Way> for WayReply {
    fn from(way: Way) -> Self {
        let grouping = &way.route.grouping;
        let quiet = way.quiet.iter();
        Self {
            route: way.route.id.to_string(),
            channels: names(&way.channels),
            quiet: quiet
                .map(|(channel, end)| (channel.to_string(), stamp(*end)))
                .collect(),
            group_wait_secs: grouping.wait.as_secs(),
            critical_wait_secs: grouping.critical_wait.as_secs(),
            group_interval_secs: grouping.interval.as_secs(),
            repeat_interval_secs: grouping.repeat.num_seconds(),
            group: way.group,
            group_labels: way.group_labels,
        }
    }
}

impl From<Fate> for RouteReply {
    fn from(fate: Fate) -> Self {
        let step = |(after_secs, channels): (i64, Vec<Arc<str>>)| StepReply {
            after_secs,
            channels: names(&channels),
        };
        Self {
            dry_run: true,
            labels: fate.labels,
            level: fate.severity,
            routes: fate.ways.into_iter().map(WayReply::from).collect(),
            silenced_by: fate.silenced_by,
            inhibited_by: fate.inhibited_by.map(place),
            escalation: fate.steps.into_iter().map(step).collect(),
        }
    }
}

async fn route(
    State(service): Shared,
    call: Call,
    JsonBody(body): JsonBody<RouteRequest>,
) -> Result<Reply<RouteReply>, HttpError> {
    if body.labels.len() > MOST_LABELS {
        let count = body.labels.len();
        let detail = format!("`labels` has {count} entries, must be at most {MOST_LABELS}");
        return Err(HttpError::bad_request("bad_labels", detail));
    }
    let work = move || service.fate(body.labels, call.now);
    let fate = tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| HttpError::internal("the thread that tried a route died"))??;
    Ok(Reply::ok(fate.into()))
}

impl From<LabelFault> for HttpError {
    fn from(fault: LabelFault) -> Self {
        let error = Self::bad_request("bad_labels", fault.to_string());
        match fault {
            LabelFault::Level { nearest, .. } => {
                let near = nearest.unwrap_or("critical");
                error.hint(format!("such as `level={near}`"))
            }
            LabelFault::Name(_) => error.hint(
                "an alert has labels with values, such as `source=probes`; conditions such as \
                 `probe=~web` belong into routes and silences",
            ),
        }
    }
}

/// Answer of `GET /api/alerts/groups`.
#[derive(Serialize, JsonSchema)]
struct GroupsReply {
    /// How many groups.
    count: usize,
    /// The groups, by identity.
    groups: Vec<GroupReply>,
}

/// Alerts that are told together.
#[derive(Serialize, JsonSchema)]
struct GroupReply {
    /// Where they go.
    #[serde(flatten)]
    way: WayReply,
    /// When each channel was last told of it, UTC; those that know nothing are not here.
    told_at: BTreeMap<String, String>,
    /// How many alerts.
    count: usize,
    /// The alerts, at most 200 of them.
    alerts: Vec<MemberReply>,
}

/// An alert of a group.
#[derive(Serialize, JsonSchema)]
struct MemberReply {
    /// Its key.
    key: String,
    /// What people call it: its key, or where another program found it its name and first labels.
    name: String,
    /// How bad it is.
    level: Severity,
    /// What was found.
    summary: String,
    /// When it was noticed, UTC.
    fired_at: String,
    /// Who has taken it up.
    acknowledged_by: Option<String>,
    /// Ids of the silences that cover it.
    silenced_by: Vec<String>,
    /// The inhibition that hides it, such as `inhibit[0]`.
    inhibited_by: Option<String>,
}

impl From<Shown> for GroupReply {
    fn from(shown: Shown) -> Self {
        let told = shown.told.into_iter();
        let count = shown.alerts.len();
        let listed = shown.alerts.into_iter().take(MOST_LISTED);
        Self {
            way: shown.way.into(),
            told_at: told.map(|(channel, at)| (channel, stamp(at))).collect(),
            count,
            alerts: listed
                .map(|(one, silenced_by, inhibited_by)| MemberReply {
                    key: one.finding.key.clone(),
                    name: one.finding.name(),
                    level: one.finding.severity,
                    summary: one.finding.summary.clone(),
                    fired_at: stamp(one.fired_at),
                    acknowledged_by: one.acknowledged.map(|(_, by)| by),
                    silenced_by,
                    inhibited_by: inhibited_by.map(place),
                })
                .collect(),
        }
    }
}

async fn groups(State(service): Shared, call: Call) -> Result<Reply<GroupsReply>, HttpError> {
    let work = move || service.groups(call.now);
    let groups = tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| HttpError::internal("the thread that worked out the groups died"))?;
    let groups: Vec<GroupReply> = groups.into_values().map(GroupReply::from).collect();
    Ok(Reply::ok(GroupsReply {
        count: groups.len(),
        groups,
    }))
}
