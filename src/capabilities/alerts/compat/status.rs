//! What Alertmanager's `GET /api/v2/status` tells: there is no cluster, and the configuration in
//! the terms that its tools know.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::listing::all_receivers;
use crate::base::time::stamp;
use crate::capabilities::alerts::rules::AlertsRules;

/// The release of Alertmanager whose API is answered, that of Debian 12.
const FOLLOWED: &str = "0.25.0";

/// Answer of `GET /api/v2/status`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    /// Other instances; there are none.
    cluster: Cluster,
    /// What runs.
    version_info: VersionInfo,
    /// What it goes by.
    config: Config,
    /// Since when it runs, UTC.
    uptime: String,
}

/// Other instances.
#[derive(Debug, Serialize, JsonSchema)]
struct Cluster {
    /// Always `disabled`.
    status: &'static str,
    /// Always empty.
    peers: [(); 0],
}

/// What runs.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct VersionInfo {
    /// The release of Alertmanager whose API is answered: amtool compares it with its own.
    version: &'static str,
    /// Our own version.
    revision: &'static str,
    /// Always `echopilot`.
    branch: &'static str,
    /// Always empty.
    build_user: &'static str,
    /// Always empty.
    build_date: &'static str,
    /// Always empty.
    go_version: &'static str,
}

/// What it goes by.
#[derive(Debug, Serialize, JsonSchema)]
struct Config {
    /// YAML in Alertmanager's terms: the receivers and the waits, without addresses. The routes
    /// themselves are in `configs/alerts.json`.
    original: String,
}

/// The answer.
pub(super) fn of(rules: &AlertsRules, started: DateTime<Utc>) -> Status {
    Status {
        cluster: Cluster {
            status: "disabled",
            peers: [],
        },
        version_info: VersionInfo {
            version: FOLLOWED,
            revision: env!("CARGO_PKG_VERSION"),
            branch: "echopilot",
            build_user: "",
            build_date: "",
            go_version: "",
        },
        config: Config {
            original: original(rules),
        },
        uptime: stamp(started),
    }
}

fn original(rules: &AlertsRules) -> String {
    let mut yaml = String::from("global:\n  resolve_timeout: 5m\nroute:\n  receiver: \"log\"\n");
    if let Some(last) = rules.routes.last() {
        let own = &last.grouping;
        let by: Vec<_> = match &own.by {
            Some(by) => by.iter().map(|name| format!("{name:?}")).collect(),
            None => vec!["\"...\"".to_owned()],
        };
        // Writing to a string cannot fail.
        let _written = write!(
            yaml,
            "  group_by: [{}]\n  group_wait: {}s\n  group_interval: {}s\n  repeat_interval: {}s\n",
            by.join(", "),
            own.wait.as_secs(),
            own.interval.as_secs(),
            own.repeat.num_seconds(),
        );
    }
    yaml.push_str("receivers:\n");
    for receiver in all_receivers(rules) {
        let _written = writeln!(yaml, "- name: {:?}", receiver.name);
    }
    yaml
}
