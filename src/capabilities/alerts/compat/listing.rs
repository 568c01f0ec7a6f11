//! Lists of what holds in Alertmanager's shapes: single alerts, and groups as routing makes them.
//! Alerts of our own watchers stand among them, with the labels that routing sees.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::accept::fingerprint_in;
use super::query::ListQuery;
use super::{Compat, fingerprint};
use crate::base::labels::Labels;
use crate::base::time::stamp;
use crate::capabilities::alerts::labels::{Labelled as _, all};
use crate::capabilities::alerts::matcher::all_hold;
use crate::capabilities::alerts::rules::{AlertsRules, Inhibition};
use crate::capabilities::alerts::silences::Silence;
use crate::platform::alerts::{Active, Finding};

/// The receiver of what no channel is told: it is on record all the same.
const LOG: &str = "log";
/// How far away the end of what our own watchers found is shown, which has none.
const OPEN_END: TimeDelta = TimeDelta::minutes(5);

/// Who is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub(super) struct Receiver {
    /// The name of a channel, or `log`.
    pub(super) name: String,
}

/// Whether an alert is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum AlertState {
    /// It is.
    Active,
    /// A silence or another alert hides it.
    Suppressed,
}

/// Whether an alert is told, and what hides it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct AlertStatus {
    /// Whether it is told.
    state: AlertState,
    /// Ids of silences.
    silenced_by: Vec<String>,
    /// Fingerprints of alerts.
    inhibited_by: Vec<String>,
    /// Always empty: quiet hours are by channel.
    muted_by: Vec<String>,
}

/// An alert that holds.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct GettableAlert {
    /// What else is told of it.
    annotations: Labels,
    /// When it ends unless it is repeated, UTC.
    ends_at: String,
    /// Its identity.
    fingerprint: String,
    /// Who is told.
    receivers: Vec<Receiver>,
    /// When it began, UTC.
    starts_at: String,
    /// Whether it is told.
    status: AlertStatus,
    /// When it was last heard of, UTC.
    updated_at: String,
    /// Where more of it is shown.
    #[serde(rename = "generatorURL", skip_serializing_if = "String::is_empty")]
    generator_url: String,
    /// What it concerns.
    labels: Labels,
}

/// Alerts that are told together.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AlertGroup {
    /// The labels that the group is made by.
    labels: Labels,
    /// Who is told.
    receiver: Receiver,
    /// Its alerts.
    alerts: Vec<GettableAlert>,
}

/// What a group is found by: its labels, and who is told.
type Place = (Vec<(String, String)>, Receiver);

/// An alert that holds, before it is written out.
struct Found<'a> {
    active: &'a Active,
    /// All labels, of one of our own watchers also those that routing adds.
    labels: Labels,
    fingerprint: u64,
    silenced_by: Vec<String>,
    inhibited_by: Vec<u64>,
}

impl Found<'_> {
    fn finding(&self) -> &Finding {
        &self.active.finding
    }
}

impl Compat {
    /// Alerts that `query` asks for, by fingerprint.
    pub(super) fn list(&self, query: &ListQuery, now: DateTime<Utc>) -> Vec<GettableAlert> {
        let rules = self.live.get_full();
        let active = self.alerts.active();
        let found = self.found(&active, &rules.rules, query, now);
        let listed = found.iter().filter_map(|found| {
            let receivers = receivers(&rules.rules, found.finding());
            let taken = query.takes(receivers.iter().map(|one| &*one.name));
            taken.then(|| self.gettable(found, receivers, now))
        });
        listed.collect()
    }

    /// Groups that `query` asks for, by their labels and then their receivers.
    pub(super) fn groups(&self, query: &ListQuery, now: DateTime<Utc>) -> Vec<AlertGroup> {
        let rules = self.live.get_full();
        let active = self.alerts.active();
        let mut groups: BTreeMap<Place, Vec<_>> = BTreeMap::new();
        for found in self.found(&active, &rules.rules, query, now) {
            let finding = found.finding();
            let receivers = receivers(&rules.rules, finding);
            for route in rules.rules.routes_of(finding) {
                let by: Vec<_> = match &route.grouping.by {
                    Some(by) => by
                        .iter()
                        .map(|name| (&**name, finding.label(name)))
                        .collect(),
                    None => found.labels.iter().collect(),
                };
                let by = by.into_iter();
                let by: Vec<_> = by
                    .map(|(name, value)| (name.into(), value.into()))
                    .collect();
                let channels = rules.rules.channels_on(route, finding.severity).iter();
                let mut names: Vec<_> = channels.map(ToString::to_string).collect();
                if names.is_empty() {
                    names.push(LOG.to_owned());
                }
                for name in names.into_iter().filter(|name| query.takes([&**name])) {
                    let alert = self.gettable(&found, receivers.clone(), now);
                    let place = (by.clone(), Receiver { name });
                    groups.entry(place).or_default().push(alert);
                }
            }
        }
        let group = |((labels, receiver), alerts): ((Vec<_>, _), _)| AlertGroup {
            labels: labels.into_iter().collect(),
            receiver,
            alerts,
        };
        groups.into_iter().map(group).collect()
    }

    fn found<'a>(
        &self,
        active: &'a [Active],
        rules: &AlertsRules,
        query: &ListQuery,
        now: DateTime<Utc>,
    ) -> Vec<Found<'a>> {
        let silences = self.silences.active(now);
        let mut all: Vec<_> = active.iter().map(|one| found(one, &silences)).collect();
        for rule in &rules.inhibit {
            inhibit(rule, &mut all);
        }
        all.retain(|found| {
            let is_silenced = !found.silenced_by.is_empty();
            let is_inhibited = !found.inhibited_by.is_empty();
            (query.active || is_silenced || is_inhibited)
                && (query.silenced || !is_silenced)
                && (query.inhibited || !is_inhibited)
                && all_hold(&query.filter, found.finding())
        });
        all.sort_by_key(|found| found.fingerprint);
        all
    }

    fn gettable(
        &self,
        found: &Found<'_>,
        receivers: Vec<Receiver>,
        now: DateTime<Utc>,
    ) -> GettableAlert {
        let finding = found.finding();
        let hold = self.held.find(found.fingerprint);
        let suppressed = !found.silenced_by.is_empty() || !found.inhibited_by.is_empty();
        let status = AlertStatus {
            state: if suppressed {
                AlertState::Suppressed
            } else {
                AlertState::Active
            },
            silenced_by: found.silenced_by.clone(),
            inhibited_by: found
                .inhibited_by
                .iter()
                .copied()
                .map(fingerprint::text)
                .collect(),
            muted_by: Vec::new(),
        };
        GettableAlert {
            annotations: match fingerprint_in(&finding.key) {
                Some(_) => finding.annotations.clone(),
                None => own_annotations(finding),
            },
            ends_at: stamp(hold.map_or(now + OPEN_END, |hold| hold.until)),
            fingerprint: fingerprint::text(found.fingerprint),
            receivers,
            starts_at: stamp(finding.started_at),
            status,
            updated_at: stamp(hold.map_or(found.active.fired_at, |hold| hold.said_at)),
            generator_url: finding.url.clone(),
            labels: found.labels.clone(),
        }
    }
}

fn found<'a>(active: &'a Active, silences: &[Arc<Silence>]) -> Found<'a> {
    let finding = &*active.finding;
    let (fingerprint, labels) = if let Some(fingerprint) = fingerprint_in(&finding.key) {
        (fingerprint, finding.labels.clone())
    } else {
        let labels = Labels::from(all(finding));
        (fingerprint::of(&labels), labels)
    };
    let covering = silences.iter().filter(|silence| silence.covers(finding));
    Found {
        active,
        labels,
        fingerprint,
        silenced_by: covering.map(|silence| silence.id.clone()).collect(),
        inhibited_by: Vec::new(),
    }
}

/// What our own watchers found, in the annotation that people look at.
fn own_annotations(finding: &Finding) -> Labels {
    let mut annotations = finding.annotations.clone();
    if !annotations.contains_key("summary") {
        annotations.insert("summary", &*finding.summary);
    }
    annotations
}

/// Notes what is hidden by `rule`, and by what. What is on both sides of a rule is not hidden by
/// others that are, else two alerts could hide each other.
fn inhibit(rule: &Inhibition, all: &mut [Found<'_>]) {
    let values = |finding: &Finding| -> Vec<String> {
        let value = |name: &String| finding.label(name).to_owned();
        rule.equal.iter().map(value).collect()
    };
    let mut sources: HashMap<Vec<String>, Vec<(u64, bool)>> = HashMap::new();
    for found in all.iter() {
        let finding = found.finding();
        if all_hold(&rule.source, finding) {
            let both = all_hold(&rule.target, finding);
            let same = sources.entry(values(finding)).or_default();
            same.push((found.fingerprint, both));
        }
    }
    if sources.is_empty() {
        return;
    }
    for found in all {
        let finding = found.finding();
        if !all_hold(&rule.target, finding) {
            continue;
        }
        let is_source = all_hold(&rule.source, finding);
        let hiding = sources.get(&values(finding)).into_iter().flatten();
        let hiding = hiding.filter(|(_, both)| !(is_source && *both));
        let first = hiding.map(|(source, _)| *source).next();
        found.inhibited_by.extend(first);
    }
}

/// Who is told of `finding`, each once.
fn receivers(rules: &AlertsRules, finding: &Finding) -> Vec<Receiver> {
    let routes = rules.routes_of(finding);
    let channels = routes
        .iter()
        .flat_map(|route| rules.channels_on(route, finding.severity));
    let mut names: Vec<_> = channels.map(ToString::to_string).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        names.push(LOG.to_owned());
    }
    names.into_iter().map(|name| Receiver { name }).collect()
}

/// Everybody who can be told, by name.
pub(super) fn all_receivers(rules: &AlertsRules) -> Vec<Receiver> {
    let names = rules.channels.names().chain([LOG]);
    let mut all: Vec<_> = names
        .map(|name| Receiver {
            name: name.to_owned(),
        })
        .collect();
    all.sort_unstable();
    all
}
