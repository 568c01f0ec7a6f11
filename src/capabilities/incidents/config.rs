//! `configs/incidents.json`: what belongs together, what comes back, and where links lead.

use chrono::TimeDelta;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use super::logic::Windows;
use crate::base::json::{Path, Tree};
use crate::base::problems::Problems;
use crate::platform::config::{Config, schema_of, typed};
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
}

impl Default for RawIncidents {
    fn default() -> Self {
        Self {
            public_url: None,
            link_hours: 72,
            join_secs: 300,
            reopen_secs: 1800,
            flaps: 3,
        }
    }
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
        })
    }

    fn schema() -> Schema {
        schema_of::<RawIncidents>()
    }
}
