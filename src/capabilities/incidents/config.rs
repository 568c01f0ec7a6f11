//! `configs/incidents.json`: what belongs together, what comes back, where links lead, and what may
//! be done about it.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::Value;

use super::logic::Windows;
use crate::base::json::{Path, Tree};
use crate::base::problems::Problems;
use crate::platform::alerts::Severity;
use crate::platform::config::{Config, schema_of, typed};
use crate::platform::executor::{Executor, RawCommand, RawWebhook};
use crate::platform::hands::{PAUSE_TASK, SET_FLAG};
use crate::seams::outbound::Url;

/// The file.
#[derive(Debug)]
pub(super) struct IncidentsConfig;

/// Incidents: what belongs together, what comes back, and where links lead.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(title = "echopilot: incidents")]
#[serde(deny_unknown_fields, default)]
struct RawIncidents {
    /// How people reach this daemon, such as `https://ops.example.com`. With it, notices carry a
    /// signed link by which an incident can be acknowledged without a key.
    public_url: Option<String>,
    /// Hours for which such a link is good.
    #[schemars(range(min = 1, max = 720))]
    link_hours: u32,
    /// Seconds after its last alert in which an incident takes in related ones.
    #[schemars(range(max = 86_400))]
    join_secs: u32,
    /// Seconds after its end in which an incident is opened again instead of a new one.
    #[schemars(range(max = 86_400))]
    reopen_secs: u32,
    /// How often it comes back before it is called flapping.
    #[schemars(range(min = 1, max = 1_000))]
    flaps: u32,
    /// Whether recovery actions are only planned and written down.
    dry_run: bool,
    /// Recovery actions, by name. Only with the flag `INCIDENT_AUTORECOVER`, and never under
    /// `STABILIZE_MODE`.
    actions: BTreeMap<String, RawAction>,
}

/// A recovery action: for which alerts, how often, and exactly one of `command`, `webhook`,
/// `set_flag` and `pause_task`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawAction {
    /// The least severity: `error` or `critical`.
    #[serde(default = "error")]
    severity: Severity,
    /// Only alerts of this watcher, such as `probes`.
    #[serde(default)]
    source: Option<String>,
    /// Only alerts with these labels.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Seconds after which it may begin again.
    #[serde(default = "ten_minutes")]
    #[schemars(range(max = 86_400))]
    cooldown_secs: u32,
    /// How often it may begin within an hour.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 60))]
    most_per_hour: u32,
    /// A program, run without a shell; `{incident}` and `{key}` are filled in.
    #[serde(default)]
    command: Option<RawCommand>,
    /// A call, signed as Standard Webhooks are with the secret `INCIDENT_WEBHOOK_SECRET`.
    #[serde(default)]
    webhook: Option<RawWebhook>,
    /// A flag that is set.
    #[serde(default)]
    set_flag: Option<RawSetFlag>,
    /// A task that is paused.
    #[serde(default)]
    pause_task: Option<String>,
}

/// A flag that is set.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawSetFlag {
    /// The flag; there must be one.
    key: String,
    /// Its value.
    value: Value,
}

const fn error() -> Severity {
    Severity::Error
}

const fn ten_minutes() -> u32 {
    600
}

const fn three() -> u32 {
    3
}

impl Default for RawIncidents {
    fn default() -> Self {
        Self {
            public_url: None,
            link_hours: 72,
            join_secs: 300,
            reopen_secs: 1800,
            flaps: 3,
            dry_run: true,
            actions: BTreeMap::new(),
        }
    }
}

/// What an action does.
#[derive(Debug)]
pub(super) enum Deed {
    /// A program or a call.
    Carry(Executor),
    /// A flag is set.
    SetFlag {
        /// The flag.
        key: String,
        /// Its value.
        value: Value,
    },
    /// A task is paused.
    PauseTask(String),
}

impl Deed {
    /// The word for it.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Carry(executor) => executor.word(),
            Self::SetFlag { .. } => SET_FLAG,
            Self::PauseTask(_) => PAUSE_TASK,
        }
    }
}

/// A recovery action, checked.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) name: String,
    /// The least severity.
    pub(super) severity: Severity,
    /// Only alerts of this watcher.
    pub(super) source: Option<String>,
    /// Only alerts with these labels.
    pub(super) labels: BTreeMap<String, String>,
    /// How long after it began it may begin again.
    pub(super) cooldown: TimeDelta,
    /// How often it may begin within an hour.
    pub(super) most_per_hour: u32,
    /// What it does.
    pub(super) deed: Deed,
}

/// The rules, checked.
#[derive(Debug)]
pub(super) struct IncidentsRules {
    /// What decides.
    pub(super) windows: Windows,
    /// How people reach this daemon, without a `/` at its end.
    pub(super) public_url: Option<String>,
    /// How long a link is good.
    pub(super) link_span: TimeDelta,
    /// Whether actions are only planned.
    pub(super) dry_run: bool,
    /// Recovery actions, by name.
    pub(super) actions: Vec<Action>,
}

impl Config for IncidentsConfig {
    const FILE: &'static str = "incidents.json";
    const SHIPPED: &'static str = include_str!("../../../configs/incidents.json");
    type Rules = IncidentsRules;

    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<IncidentsRules> {
        let raw: RawIncidents = typed(tree, problems)?;
        let before = problems.count();
        if let Some(url) = &raw.public_url
            && let Err(fault) = Url::parse(url)
        {
            let place = Path::root().key("public_url");
            let allowed = "an http or https URL";
            problems.not_allowed(place, fault.refused(), allowed, fault.hint);
        }
        let actions = raw.actions.iter();
        let actions: Vec<Action> = actions
            .filter_map(|(name, raw)| action(name, raw, problems))
            .collect();
        let seconds = |secs: u32| TimeDelta::seconds(i64::from(secs));
        (problems.count() == before).then(|| IncidentsRules {
            windows: Windows {
                join: seconds(raw.join_secs),
                reopen: seconds(raw.reopen_secs),
                flaps: raw.flaps,
            },
            public_url: raw
                .public_url
                .map(|url| url.trim_end_matches('/').to_owned()),
            link_span: TimeDelta::hours(i64::from(raw.link_hours)),
            dry_run: raw.dry_run,
            actions,
        })
    }

    fn schema() -> Schema {
        schema_of::<RawIncidents>()
    }
}

fn action(name: &str, raw: &RawAction, problems: &mut Problems) -> Option<Action> {
    let place = Path::root().key("actions").key(name);
    if raw.severity < Severity::Error {
        let hint = "less than `error` is no incident";
        problems.not_allowed(place.key("severity"), "less", "`error` or `critical`", hint);
        return None;
    }
    Some(Action {
        name: name.to_owned(),
        severity: raw.severity,
        source: raw.source.clone(),
        labels: raw.labels.clone(),
        cooldown: TimeDelta::seconds(i64::from(raw.cooldown_secs)),
        most_per_hour: raw.most_per_hour,
        deed: deed(raw, &place, problems)?,
    })
}

fn deed(raw: &RawAction, place: &Path, problems: &mut Problems) -> Option<Deed> {
    match (&raw.command, &raw.webhook, &raw.set_flag, &raw.pause_task) {
        (Some(command), None, None, None) => {
            Executor::of_command(command, &place.key("command"), problems).map(Deed::Carry)
        }
        (None, Some(webhook), None, None) => {
            Executor::of_webhook(webhook, &place.key("webhook"), problems).map(Deed::Carry)
        }
        (None, None, Some(set), None) => Some(Deed::SetFlag {
            key: set.key.clone(),
            value: set.value.clone(),
        }),
        (None, None, None, Some(task)) => Some(Deed::PauseTask(task.clone())),
        _ => {
            let hint = "write an action for each; which of them is first is not promised";
            let allowed = "exactly one of `command`, `webhook`, `set_flag` and `pause_task`";
            problems.not_allowed(place, "none or several", allowed, hint);
            None
        }
    }
}
