//! Groups of alerts, kept as the alert events come: what is in each, and when it is looked at next.
//! Values only: `now` is given, nothing waits, and a change costs the same however many there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::flapping::Changes;
use super::inhibited::{Index, Place};
use super::labels::{self, Labelled as _};
use super::matcher::quoted;
use super::rules::{AlertsRules, Route};
use crate::platform::alerts::{Active, Finding, Record, What};

/// The present on both clocks: what people see, and what never steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// The wall clock.
    pub(super) wall: DateTime<Utc>,
    /// Time since the start.
    pub(super) uptime: Duration,
}

impl Now {
    /// When it is `at`, on the clock that never steps: not before now, at most `most` from now.
    pub(super) fn until(&self, at: DateTime<Utc>, most: Duration) -> Duration {
        let left = (at - self.wall).to_std().unwrap_or_default();
        self.uptime + left.min(most)
    }
}

/// What is known of one alert.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// What was found; once it has ended, with how.
    pub(super) finding: Arc<Finding>,
    /// When it was noticed.
    pub(super) fired_at: DateTime<Utc>,
    /// When it ended; `None` while it holds.
    pub(super) ended_at: Option<DateTime<Utc>>,
    /// Whether somebody has taken it up.
    pub(super) is_acknowledged: bool,
    /// How often it came and went.
    pub(super) changes: Changes,
    /// The groups it is in.
    groups: Vec<Arc<str>>,
    /// What it may hide.
    sources: Vec<Place>,
}

/// An alert's place in one group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    /// From when on it may be told here: since the router knows it, or it was last hidden.
    pub(super) since: DateTime<Utc>,
    /// From when on it is waited for somebody to take it up: since it was noticed, or was last
    /// hidden.
    pub(super) open_since: DateTime<Utc>,
    /// It belongs to another group by now: here it is only told to have ended.
    pub(super) is_moved: bool,
}

/// Alerts that are told together.
#[derive(Debug)]
pub(super) struct Group {
    /// The labels it is made by.
    pub(super) labels: BTreeMap<String, String>,
    /// The route that leads to it; `None` where none does any more.
    pub(super) route: Option<Arc<Route>>,
    /// Its alerts, by key.
    pub(super) members: BTreeMap<Arc<str>, Member>,
    /// The channels that know of it.
    pub(super) told: BTreeSet<Arc<str>>,
    /// When it is looked at whole, on the clock that never steps.
    pub(super) tick: Duration,
    /// When it is looked at next: then, or sooner for an escalation.
    due: Duration,
}

/// When an alert came to hold, and since when it may be told.
type Times = (DateTime<Utc>, DateTime<Utc>);

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) entries: HashMap<Arc<str>, Entry>,
    by_id: HashMap<Arc<str>, Group>,
    due: BTreeSet<(Duration, Arc<str>)>,
    pub(super) inhibited: Index,
}

/// The identity of the group that `finding` is in on `route`: the same in every life of the
/// process.
pub(super) fn group_id(route: &Route, finding: &Finding) -> String {
    let mut id = format!("{}:{{", route.id);
    match &route.grouping.by {
        None => {
            id.push_str("key=");
            id.push_str(&quoted(&finding.key));
        }
        Some(names) => {
            for (at, name) in names.iter().enumerate() {
                let comma = if at > 0 { "," } else { "" };
                id.push_str(comma);
                id.push_str(name);
                id.push('=');
                id.push_str(&quoted(finding.label(name)));
            }
        }
    }
    id.push('}');
    id
}

/// The labels that the group is made by.
pub(super) fn group_labels(route: &Route, finding: &Finding) -> BTreeMap<String, String> {
    match &route.grouping.by {
        None => labels::all(finding),
        Some(names) => {
            let pair = |name: &String| (name.clone(), finding.label(name).to_owned());
            names.iter().map(pair).collect()
        }
    }
}

impl Groups {
    /// What holds, as it is found at the start or after a change of the rules.
    pub(super) fn fill(&mut self, active: &[Active], rules: &AlertsRules, now: Now) {
        for one in active {
            let key: Arc<str> = one.finding.key.as_str().into();
            let entry = self.entries.entry(Arc::clone(&key)).or_default();
            entry.finding = Arc::clone(&one.finding);
            entry.fired_at = one.fired_at;
            entry.is_acknowledged = one.acknowledged.is_some();
            self.join_all(&key, rules, (one.fired_at, one.fired_at), now);
        }
    }

    /// Takes in what happened.
    pub(super) fn apply(&mut self, record: &Record, rules: &AlertsRules, now: Now) {
        let key: Arc<str> = match self.entries.get_key_value(record.finding.key.as_str()) {
            Some((key, _)) => Arc::clone(key),
            None if matches!(record.what, What::Fired | What::Changed) => {
                record.finding.key.as_str().into()
            }
            None => return,
        };
        let entry = self.entries.entry(Arc::clone(&key)).or_default();
        match record.what {
            What::Acknowledged { .. } => entry.is_acknowledged = true,
            What::Fired | What::Changed => {
                if record.what == What::Fired {
                    entry.is_acknowledged = false;
                    entry.changes.note(record.at, &rules.flapping);
                }
                entry.finding = Arc::clone(&record.finding);
                entry.fired_at = record.fired_at;
                entry.ended_at = None;
                self.join_all(&key, rules, (record.at, now.wall), now);
            }
            What::Resolved => {
                entry.changes.note(record.at, &rules.flapping);
                entry.finding = Arc::clone(&record.finding);
                entry.ended_at = Some(record.at);
                let places = std::mem::take(&mut entry.sources);
                self.inhibited.remove(&places);
                self.leave_untold(&key);
            }
        }
    }

    /// Puts the alert `key` into its groups, and takes it out of others. `times`: when it came to
    /// hold, and since when it may be told.
    fn join_all(&mut self, key: &Arc<str>, rules: &AlertsRules, times: Times, now: Now) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        self.inhibited.remove(&entry.sources);
        let finding = Arc::clone(&entry.finding);
        entry.sources = self.inhibited.insert(&rules.inhibit, &*finding);
        let before = std::mem::take(&mut entry.groups);
        let mut after = Vec::new();
        for route in rules.routes_of(&*finding) {
            let id: Arc<str> = group_id(route, &finding).into();
            if !after.contains(&id) {
                self.join(&id, key, route, times, now);
                after.push(id);
            }
        }
        for id in before {
            if after.contains(&id) {
                continue;
            }
            let Some(group) = self.by_id.get_mut(&id) else {
                continue;
            };
            if group.told.is_empty() {
                self.remove_member(&id, key);
            } else if let Some(member) = group.members.get_mut(key) {
                member.is_moved = true;
                after.push(id);
            }
        }
        if let Some(entry) = self.entries.get_mut(key) {
            entry.groups = after;
        }
    }

    fn join(
        &mut self,
        id: &Arc<str>,
        key: &Arc<str>,
        route: &Arc<Route>,
        (at, since): Times,
        now: Now,
    ) {
        let Some(entry) = self.entries.get(key) else {
            return;
        };
        let severity = entry.finding.severity;
        let wait = route.grouping.wait_for(severity);
        let wait_over = at + TimeDelta::from_std(wait).unwrap_or_default();
        let deadline = now.until(wait_over, wait);
        let member = Member {
            since,
            open_since: entry.fired_at,
            is_moved: false,
        };
        let Some(group) = self.by_id.get_mut(id) else {
            let group = Group {
                labels: group_labels(route, &entry.finding),
                route: Some(Arc::clone(route)),
                members: BTreeMap::from([(Arc::clone(key), member)]),
                told: BTreeSet::new(),
                tick: deadline,
                due: deadline,
            };
            self.by_id.insert(Arc::clone(id), group);
            self.due.insert((deadline, Arc::clone(id)));
            return;
        };
        group.route = Some(Arc::clone(route));
        match group.members.get_mut(key) {
            Some(known) => known.is_moved = false,
            None => {
                group.members.insert(Arc::clone(key), member);
            }
        }
        // What nobody was told of is new as a whole; what is critical waits for no interval.
        let hurries = severity == crate::platform::alerts::Severity::Critical;
        if (group.told.is_empty() || hurries) && deadline < group.tick {
            group.tick = deadline;
            let due = deadline.min(group.due);
            self.plan(id, due);
        }
    }

    /// An alert that ended before anybody was told of it is never told, unless it flaps.
    fn leave_untold(&mut self, key: &Arc<str>) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if entry.changes.is_flapping() {
            return;
        }
        let groups = std::mem::take(&mut entry.groups);
        let (kept, left): (Vec<_>, Vec<_>) = groups.into_iter().partition(|id| {
            let group = self.by_id.get(id);
            group.is_some_and(|group| !group.told.is_empty())
        });
        entry.groups = kept;
        for id in &left {
            self.remove_member(id, key);
        }
    }

    fn remove_member(&mut self, id: &Arc<str>, key: &Arc<str>) {
        let Some(group) = self.by_id.get_mut(id) else {
            return;
        };
        group.members.remove(key);
        if group.members.is_empty() {
            let due = group.due;
            self.by_id.remove(id);
            self.due.remove(&(due, Arc::clone(id)));
        }
    }

    /// Takes `key` out of the group `id`, where all that was told of it is told.
    pub(super) fn forget(&mut self, id: &Arc<str>, key: &Arc<str>) {
        self.remove_member(id, key);
        if let Some(entry) = self.entries.get_mut(key) {
            entry.groups.retain(|one| one != id);
        }
    }

    /// Takes in what a channel was told of a group in an earlier life, or by earlier rules.
    pub(super) fn remember(
        &mut self,
        id: &str,
        channel: &str,
        at: DateTime<Utc>,
        rules: &AlertsRules,
        now: Now,
    ) {
        let id: Arc<str> = id.into();
        let group = self.by_id.entry(Arc::clone(&id)).or_insert_with(|| Group {
            labels: BTreeMap::new(),
            route: None,
            members: BTreeMap::new(),
            told: BTreeSet::new(),
            tick: now.uptime,
            due: now.uptime,
        });
        let grouping = group.route.as_deref().map(|route| &route.grouping);
        let last = rules.routes.last().map(|route| &route.grouping);
        let interval = grouping.or(last).map_or(Duration::ZERO, |one| one.interval);
        let next = at + TimeDelta::from_std(interval).unwrap_or_default();
        let next = now.until(next, interval);
        // The next look is one interval after the last notice, to whomever.
        if group.told.is_empty() || next > group.tick {
            group.tick = next;
        }
        group.told.insert(channel.into());
        let tick = group.tick;
        self.plan(&id, tick);
    }

    /// Takes in an alert that a group was told of in an earlier life and that has ended, or that
    /// is not in it any more.
    pub(super) fn recall(&mut self, id: &str, key: &str, ended: Option<(&Arc<Finding>, Ended)>) {
        let Some((id, _)) = self.by_id.get_key_value(id) else {
            return;
        };
        let (id, key): (Arc<str>, Arc<str>) = (Arc::clone(id), key.into());
        let entry = self.entries.entry(Arc::clone(&key)).or_default();
        if let Some((finding, ended)) = ended {
            entry.finding = Arc::clone(finding);
            entry.fired_at = ended.fired_at;
            entry.ended_at = Some(ended.at);
        }
        if !entry.groups.contains(&id) {
            entry.groups.push(Arc::clone(&id));
        }
        let since = entry.fired_at;
        if let Some(group) = self.by_id.get_mut(&id) {
            let is_moved = true;
            let place = group.members.entry(key);
            place.or_insert(Member {
                since,
                open_since: since,
                is_moved,
            });
        }
    }

    /// Takes note of a change of an earlier life, for flapping alone.
    pub(super) fn note_change(&mut self, record: &Record, rules: &AlertsRules) {
        if !matches!(record.what, What::Fired | What::Resolved) {
            return;
        }
        let key = record.finding.key.as_str();
        if !self.entries.contains_key(key) {
            let entry = Entry {
                finding: Arc::clone(&record.finding),
                fired_at: record.fired_at,
                ended_at: Some(record.at),
                ..Entry::default()
            };
            self.entries.insert(key.into(), entry);
        }
        if let Some(entry) = self.entries.get_mut(key) {
            entry.changes.note(record.at, &rules.flapping);
        }
    }

    /// Takes it that the flapping of an earlier life was told then.
    pub(super) fn mark_flapping_told(&mut self) {
        for entry in self.entries.values_mut() {
            if entry.groups.iter().any(|id| {
                let group = self.by_id.get(id);
                group.is_some_and(|group| !group.told.is_empty())
            }) {
                entry.changes.told();
            }
        }
    }

    /// Ends the flapping of what is stable at `now`.
    pub(super) fn settle_flapping(&mut self, rules: &AlertsRules, now: DateTime<Utc>) {
        for entry in self.entries.values_mut() {
            entry.changes.settle(now, &rules.flapping);
        }
    }

    /// Takes note that `keys` are hidden in the group `id` at `now`.
    pub(super) fn hide(&mut self, id: &str, keys: &[Arc<str>], now: DateTime<Utc>) {
        let Some(group) = self.by_id.get_mut(id) else {
            return;
        };
        for key in keys {
            if let Some(member) = group.members.get_mut(key) {
                // Journals tell milliseconds: told at this instant is not told of it.
                member.since = now + TimeDelta::milliseconds(1);
                member.open_since = now;
            }
        }
    }

    /// The group `id`.
    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Group> {
        self.by_id.get_mut(id)
    }

    /// The group `id`.
    pub(super) fn get(&self, id: &str) -> Option<&Group> {
        self.by_id.get(id)
    }

    /// Looks at the group `id` next at `due`.
    pub(super) fn plan(&mut self, id: &Arc<str>, due: Duration) {
        if let Some(group) = self.by_id.get_mut(id) {
            self.due.remove(&(group.due, Arc::clone(id)));
            group.due = due;
            self.due.insert((due, Arc::clone(id)));
        }
    }

    /// The groups that are to be looked at by now.
    pub(super) fn ripe(&self, now: Now) -> Vec<Arc<str>> {
        let ripe = self.due.iter().take_while(|(due, _)| *due <= now.uptime);
        ripe.map(|(_, id)| Arc::clone(id)).collect()
    }

    /// When the next group is to be looked at.
    pub(super) fn next(&self) -> Option<Duration> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Takes away groups that nothing is in any more, and alerts that nothing need be known of.
    pub(super) fn sweep(&mut self, rules: &AlertsRules, now: DateTime<Utc>) {
        self.entries.retain(|_, entry| {
            let is_over = entry.changes.is_over(now, &rules.flapping);
            entry.ended_at.is_none() || !entry.groups.is_empty() || !is_over
        });
    }
}

/// How an alert ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    /// When it was noticed.
    pub(super) fired_at: DateTime<Utc>,
    /// When it ended.
    pub(super) at: DateTime<Utc>,
}
