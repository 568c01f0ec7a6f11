//! `configs/alerts.json`: who is told what, when and by which channel. Secrets are named here,
//! never held.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use super::channels::config::ChannelConfig;
use super::read::read_rules;
use super::rules::AlertsRules;
use crate::base::json::Tree;
use crate::base::problems::Problems;
use crate::platform::alerts::Severity;
use crate::platform::config::{Config, schema_of, typed};

/// The router: who is told what, when and by which channel. Applied as soon as the file is saved.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(title = "echopilot: alerts")]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAlerts {
    /// Ways to people, by name. Default: none.
    pub(super) channels: BTreeMap<String, ChannelConfig>,
    /// Channels of each severity, for what no route gives channels.
    pub(super) levels: RawLevels,
    /// Labels by which alerts are told together; `["..."]` alone: each alert by itself. Default
    /// `["alertname", "source"]`.
    pub(super) group_by: Option<Vec<String>>,
    /// How long more of a new group is waited for: `30s`; 0s to 1h. Default `30s`.
    pub(super) group_wait: Option<String>,
    /// The same for what is critical. Default `10s`, or `group_wait` where that is shorter.
    pub(super) critical_wait: Option<String>,
    /// Pause between two looks at a group that was told of: `5m`; 1s to 1d. Default `5m`.
    pub(super) group_interval: Option<String>,
    /// When what has not changed is told again: `4h`; 1m to 30d, not less than `group_interval`.
    /// Looked at when `group_interval` has passed. Default `4h`.
    pub(super) repeat_interval: Option<String>,
    /// Routes in order: the first one whose conditions all hold takes the alert, and the search
    /// ends there unless it says `continue`. Default: none.
    pub(super) routes: Vec<RawRoute>,
    /// What holds hides something else. Default: nothing.
    pub(super) inhibit: Vec<RawInhibition>,
    /// Hours in which some alerts wait. Default: none.
    pub(super) quiet_hours: Vec<RawQuiet>,
    /// Who else is told when nobody acknowledges. Default: nobody.
    pub(super) escalate: Vec<RawEscalation>,
    /// When an alert that comes and goes is told once as flapping.
    pub(super) flapping: RawFlapping,
}

/// Channels of each severity, by name: `*` is every channel, `log` none: everything is in
/// `logs/alerts.ndjson` anyway.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLevels {
    /// Good to know. Default `["log"]`.
    pub(super) info: Option<Vec<String>>,
    /// Somebody should look within days. Default `["*"]`.
    pub(super) warning: Option<Vec<String>>,
    /// Somebody should look today. Default `["*"]`.
    pub(super) error: Option<Vec<String>>,
    /// Somebody must act now. Default `["*"]`.
    pub(super) critical: Option<Vec<String>>,
}

/// Where some alerts go.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRoute {
    /// Conditions on labels that must all hold: `source=probes`, `probe=~"web|api"`, `env!=test`.
    /// Besides its own labels an alert has `alertname`, `severity`, `level` and `source`.
    #[serde(rename = "match")]
    pub(super) matches: Vec<String>,
    /// Channels, as in `levels`. Default: those of the severity.
    pub(super) channels: Option<Vec<String>>,
    /// Whether later routes are looked at too. Default false.
    #[serde(rename = "continue")]
    pub(super) goes_on: bool,
    /// As above, for this route.
    pub(super) group_by: Option<Vec<String>>,
    /// As above, for this route.
    pub(super) group_wait: Option<String>,
    /// As above, for this route.
    pub(super) critical_wait: Option<String>,
    /// As above, for this route.
    pub(super) group_interval: Option<String>,
    /// As above, for this route.
    pub(super) repeat_interval: Option<String>,
}

/// What holds hides something else.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawInhibition {
    /// Conditions that an alert which hides others meets.
    pub(super) source: Vec<String>,
    /// Conditions that an alert which is hidden meets.
    pub(super) target: Vec<String>,
    /// Labels that must have the same values in both; one that is missing counts as empty.
    pub(super) equal: Vec<String>,
}

/// Hours in which some alerts wait; they are told when the hours end, if they still hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawQuiet {
    /// Days on which they begin: `mon-fri`, `sat,sun`, `*`. Default `*`.
    pub(super) days: Option<String>,
    /// When they begin: `22:00`.
    pub(super) start: String,
    /// How long they are: `9h`; 1m to 7d.
    pub(super) length: String,
    /// By whose clocks, such as `Europe/London`. Default `UTC`.
    pub(super) zone: Option<String>,
    /// Severities that wait. Default all but `critical`.
    pub(super) levels: Option<Vec<Severity>>,
    /// Channels that are quiet. Default: all.
    pub(super) channels: Option<Vec<String>>,
}

/// Who else is told when nobody acknowledges.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawEscalation {
    /// Conditions on labels, as in a route. Default: none, so every alert.
    #[serde(rename = "match")]
    pub(super) matches: Vec<String>,
    /// The least severity. Default `critical`.
    pub(super) severity: Option<Severity>,
    /// Steps in order.
    pub(super) steps: Vec<RawStep>,
}

/// A step of an escalation.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawStep {
    /// How long after the alert was noticed: `15m`; 1m to 7d.
    pub(super) after: String,
    /// Channels that are told then, besides those that were.
    pub(super) channels: Vec<String>,
}

/// When an alert that comes and goes is told once as flapping.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawFlapping {
    /// More changes than this within `within`; 0: never. Default 6, so the fourth time it fires.
    pub(super) changes: Option<u32>,
    /// How far back changes count: `1h`; 1m to 1d. Default `1h`.
    pub(super) within: Option<String>,
    /// It ends after this time without a change: `30m`; 1m to 1d. Default `30m`.
    pub(super) stable: Option<String>,
}

/// The file.
#[derive(Debug)]
pub(super) struct AlertsConfig;

impl Config for AlertsConfig {
    const FILE: &'static str = "alerts.json";
    const SHIPPED: &'static str = include_str!("../../../configs/alerts.json");
    type Rules = AlertsRules;

    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<AlertsRules> {
        let raw: RawAlerts = typed(tree, problems)?;
        let before = problems.count();
        let rules = read_rules(&raw, problems);
        (problems.count() == before).then_some(rules)
    }

    fn schema() -> Schema {
        schema_of::<RawAlerts>()
    }
}
