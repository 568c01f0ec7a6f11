//! The verbs of alerts: take up, try a route, show the groups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::groups::{group_id, group_labels};
use super::inhibited::Index;
use super::labels::{self, level};
use super::outbox::Outbox;
use super::rules::{AlertsRules, Route};
use super::silences::Silences;
use crate::base::names::nearest;
use crate::platform::alerts::{Active, Alerts, Finding, Severity};
use crate::platform::config::Live;
use crate::storage::engine::StorageError;

/// What the verbs work with.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) live: Live<AlertsRules>,
    pub(super) silences: Arc<Silences>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) alerts: Alerts,
}

/// Where an alert goes on one route.
#[derive(Debug)]
pub(super) struct Way {
    /// The route.
    pub(super) route: Arc<Route>,
    /// The group's identity.
    pub(super) group: String,
    /// The labels that the group is made by.
    pub(super) group_labels: BTreeMap<String, String>,
    /// Who is told.
    pub(super) channels: Vec<Arc<str>>,
    /// Of those, who is quiet now, and until when.
    pub(super) quiet: Vec<(Arc<str>, DateTime<Utc>)>,
}

/// What becomes of an alert.
#[derive(Debug)]
pub(super) struct Fate {
    /// Its labels as routing sees them.
    pub(super) labels: BTreeMap<String, String>,
    /// How bad it is.
    pub(super) severity: Severity,
    /// Where it goes.
    pub(super) ways: Vec<Way>,
    /// Silences that cover it, by id.
    pub(super) silenced_by: Vec<String>,
    /// The inhibition that hides it, by its place in the file.
    pub(super) inhibited_by: Option<usize>,
    /// Who else is told when nobody takes it up: seconds after it was noticed, and channels.
    pub(super) steps: Vec<(i64, Vec<Arc<str>>)>,
}

/// A group as it is now.
#[derive(Debug)]
pub(super) struct Shown {
    /// Where its alerts go.
    pub(super) way: Way,
    /// What each channel was last told, and when.
    pub(super) told: Vec<(String, DateTime<Utc>)>,
    /// Its alerts: each with silences and the inhibition that hide it.
    pub(super) alerts: Vec<(Active, Vec<String>, Option<usize>)>,
}

impl Service {
    /// Takes up the findings `keys` in the name of `by`. Gives how many nobody had taken up, and
    /// those that do not hold.
    pub(super) async fn acknowledge(
        &self,
        keys: &[String],
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(usize, Vec<String>), StorageError> {
        let unknown = |key: &&String| !self.alerts.holds(key);
        let unknown: BTreeSet<&String> = keys.iter().filter(unknown).collect();
        let known = keys.iter().map(String::as_str);
        let count = self.alerts.acknowledge(known, by, now);
        if count > 0 {
            self.alerts.settled().await?;
        }
        Ok((count, unknown.into_iter().cloned().collect()))
    }

    /// What would become of an alert with these labels now.
    pub(super) fn fate(
        &self,
        labels: BTreeMap<String, String>,
        now: DateTime<Utc>,
    ) -> Result<Fate, LabelFault> {
        let live = self.live.get_full();
        let rules = &live.rules;
        let finding = finding_of(labels)?;
        let mut index = Index::default();
        for active in self.alerts.active() {
            index.insert(&rules.inhibit, &*active.finding);
        }
        let steps = rules.steps_of(&finding);
        let steps = steps.map(|step| (step.after.num_seconds(), step.channels.clone()));
        Ok(Fate {
            labels: labels::all(&finding),
            severity: finding.severity,
            ways: ways(rules, &finding, now),
            silenced_by: self.silences.silenced_by(&finding, now),
            inhibited_by: index.hides(&rules.inhibit, &finding),
            steps: steps.collect(),
        })
    }

    /// All groups that something holds in, by their identities.
    pub(super) fn groups(&self, now: DateTime<Utc>) -> BTreeMap<String, Shown> {
        let live = self.live.get_full();
        let rules = &live.rules;
        let active = self.alerts.active();
        let silences = self.silences.active(now);
        let mut index = Index::default();
        for one in &active {
            index.insert(&rules.inhibit, &*one.finding);
        }
        let mut told = BTreeMap::<String, Vec<(String, DateTime<Utc>)>>::new();
        for (group, channel) in self.outbox.all_told() {
            if let Some(known) = self.outbox.told(&group, &channel) {
                told.entry(group).or_default().push((channel, known.at));
            }
        }
        let mut groups = BTreeMap::<String, Shown>::new();
        for one in active {
            let covering = silences
                .iter()
                .filter(|silence| silence.covers(&*one.finding));
            let silenced_by: Vec<_> = covering.map(|silence| silence.id.clone()).collect();
            let inhibited_by = index.hides(&rules.inhibit, &*one.finding);
            for way in ways(rules, &one.finding, now) {
                let told = &mut told;
                let id = way.group.clone();
                let shown = groups.entry(id).or_insert_with_key(|id| Shown {
                    way: Way {
                        route: Arc::clone(&way.route),
                        channels: Vec::new(),
                        quiet: Vec::new(),
                        group: way.group.clone(),
                        group_labels: way.group_labels.clone(),
                    },
                    told: told.remove(id).unwrap_or_default(),
                    alerts: Vec::new(),
                });
                add(&mut shown.way.channels, way.channels);
                add(&mut shown.way.quiet, way.quiet);
                let (one, silenced_by) = (one.clone(), silenced_by.clone());
                shown.alerts.push((one, silenced_by, inhibited_by));
            }
        }
        groups
    }
}

fn add<T: Ord>(to: &mut Vec<T>, more: Vec<T>) {
    to.extend(more);
    to.sort_unstable();
    to.dedup();
}

fn ways(rules: &AlertsRules, finding: &Finding, now: DateTime<Utc>) -> Vec<Way> {
    let way = |route: &Arc<Route>| {
        let channels = rules.channels_on(route, finding.severity).to_vec();
        let until = |channel: &Arc<str>| {
            let end = rules.quiet_until(finding.severity, channel, now)?;
            Some((Arc::clone(channel), end))
        };
        Way {
            route: Arc::clone(route),
            group: group_id(route, finding),
            group_labels: group_labels(route, finding),
            quiet: channels.iter().filter_map(until).collect(),
            channels,
        }
    };
    let mut ways: Vec<Way> = rules.routes_of(finding).into_iter().map(way).collect();
    ways.dedup_by(|one, other| one.group == other.group);
    ways
}

/// Why labels are none of an alert.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LabelFault {
    /// It is not said how bad it is.
    #[error("`level` is `{found}`, must be info, warning, error or critical")]
    Level {
        /// What was found.
        found: String,
        /// The word that is meant, perhaps.
        nearest: Option<&'static str>,
    },
    /// No label has such a name.
    #[error("`{0}` is not allowed as the name of a label, must be a word such as `source`")]
    Name(String),
}

/// All severities, the least first.
const ALL: [Severity; 4] = [
    Severity::Info,
    Severity::Warning,
    Severity::Error,
    Severity::Critical,
];

/// An alert with these labels: `level` says how bad it is, else `severity` where it is one of the
/// same words; error without. A `severity` may be a word of others, a `level` may not.
fn finding_of(labels: BTreeMap<String, String>) -> Result<Finding, LabelFault> {
    // What a condition is made of: rather a slip than a name.
    let odd = |c: char| c.is_whitespace() || c.is_control() || "{}\",~=!".contains(c);
    if let Some(name) = labels
        .keys()
        .find(|name| name.is_empty() || name.contains(odd))
    {
        return Err(LabelFault::Name(name.clone()));
    }
    let named = |word: &String| ALL.into_iter().find(|one| level(*one) == word);
    let severity = match labels.get("level") {
        Some(found) => named(found).ok_or_else(|| LabelFault::Level {
            found: found.clone(),
            nearest: nearest(found, ALL.map(level)),
        })?,
        None => labels
            .get("severity")
            .and_then(named)
            .unwrap_or(Severity::Error),
    };
    let text = |name: &str| labels.get(name).cloned().unwrap_or_default();
    Ok(Finding {
        key: text("alertname"),
        source: text("source"),
        severity,
        labels: labels.into(),
        ..Finding::default()
    })
}
