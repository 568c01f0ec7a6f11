//! One look at one group: what each channel is told now, and when to look again. Pure but for
//! asking the outbox what was told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::groups::{Entry, Group, Groups, Member, Now};
use super::logic::{Case, Standing, is_counted, is_named, notice_id, reason};
use super::model::Reason;
use super::outbox::{Outbox, Told};
use super::rules::{AlertsRules, Route};
use super::silences::Silence;

/// What a look goes by.
#[derive(Debug)]
pub(super) struct Look<'a> {
    pub(super) rules: &'a AlertsRules,
    /// Silences in force.
    pub(super) silences: &'a [Arc<Silence>],
    pub(super) outbox: &'a Outbox,
    pub(super) now: Now,
}

/// What one channel is to be told, by keys of alerts.
#[derive(Debug)]
pub(super) struct Saying {
    pub(super) id: String,
    pub(super) channel: Arc<str>,
    pub(super) reason: Reason,
    /// What holds, the worst first, and those the channel does not know before others.
    pub(super) firing: Vec<Arc<str>>,
    /// What it was told to hold and has ended.
    pub(super) ended: Vec<Arc<str>>,
}

/// What comes of a look at a group.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) sayings: Vec<Saying>,
    /// Keys that are hidden now.
    pub(super) hidden: Vec<Arc<str>>,
    /// Keys whose end waits to be told.
    waiting: BTreeSet<Arc<str>>,
    /// Keys that have ended, of which no channel knows anything any more once this is said.
    pub(super) over: Vec<Arc<str>>,
    /// When something that waits may be told: the end of quiet hours.
    pub(super) quiet_end: Option<DateTime<Utc>>,
    /// When somebody else is told, if nobody takes it up.
    pub(super) escalates_at: Option<DateTime<Utc>>,
}

/// An alert of the group.
struct One<'a> {
    key: &'a Arc<str>,
    entry: &'a Entry,
    member: Member,
    is_hidden: bool,
    /// Flapping counts as holding until it is stable.
    holds: bool,
}

impl Look<'_> {
    /// Looks at the group `id`; only for escalations where its interval has not passed.
    pub(super) fn at(&self, groups: &Groups, id: &str) -> Verdict {
        let mut verdict = Verdict::default();
        let Some(group) = groups.get(id) else {
            return verdict;
        };
        let is_whole = group.tick <= self.now.uptime;
        let ones = self.ones(groups, group, &mut verdict);
        for channel in self.channels(group, &ones) {
            let told = self.outbox.told(id, &channel);
            let told = told.as_ref();
            let (firing, ended, is_hiding) = self.sides(group, &ones, &channel, told, &mut verdict);
            let keys: Vec<&str> = ended.iter().map(|key| &***key).collect();
            let case = Case {
                told,
                firing: &firing,
                ended: &keys,
                is_hiding,
                repeat: repeat(group.route.as_deref(), self.rules),
            };
            let why = reason(&case, self.now.wall);
            let why = why.filter(|why| is_whole || *why == Reason::Escalation);
            if let Some(reason) = why {
                let id = notice_id(id, &channel, &case);
                let firing = in_order(firing, groups);
                let ended: Vec<_> = ended.into_iter().map(Arc::clone).collect();
                verdict.sayings.push(Saying {
                    id,
                    channel,
                    reason,
                    firing,
                    ended,
                });
            } else {
                let ended = ended.into_iter().map(Arc::clone);
                verdict.waiting.extend(ended);
            }
        }
        let waiting = &verdict.waiting;
        let is_over = |one: &&One<'_>| !one.holds && !waiting.contains(one.key);
        if is_whole {
            let over = ones.iter().filter(is_over);
            verdict.over = over.map(|one| Arc::clone(one.key)).collect();
        }
        verdict
    }

    fn ones<'g>(
        &self,
        groups: &'g Groups,
        group: &'g Group,
        verdict: &mut Verdict,
    ) -> Vec<One<'g>> {
        let mut ones = Vec::with_capacity(group.members.len());
        for (key, member) in &group.members {
            let Some(entry) = groups.entries.get(key) else {
                continue;
            };
            let is_flapping = entry.changes.is_flapping();
            let holds = entry.ended_at.is_none() || is_flapping;
            let is_hidden = holds
                && (self.silences.iter().any(|one| one.covers(&*entry.finding))
                    || groups
                        .inhibited
                        .hides(&self.rules.inhibit, &*entry.finding)
                        .is_some());
            if is_hidden {
                verdict.hidden.push(Arc::clone(key));
            }
            ones.push(One {
                key,
                entry,
                member: *member,
                is_hidden,
                holds,
            });
        }
        ones
    }

    /// The channels that may be told something of the group.
    fn channels(&self, group: &Group, ones: &[One<'_>]) -> BTreeSet<Arc<str>> {
        let mut channels = group.told.clone();
        for one in ones.iter().filter(|one| one.holds && !one.is_hidden) {
            if let Some(route) = &group.route {
                let severity = one.entry.finding.severity;
                let on_route = self.rules.channels_on(route, severity);
                channels.extend(on_route.iter().cloned());
            }
            for step in self.rules.steps_of(&one.entry.finding) {
                channels.extend(step.channels.iter().cloned());
            }
        }
        // What was told on a channel that is gone cannot be taken back.
        channels.retain(|channel| self.rules.channels.named(channel).is_some());
        channels
    }

    /// What holds, what has ended, and whether something known is hidden, for `channel`.
    fn sides<'o>(
        &self,
        group: &Group,
        ones: &'o [One<'_>],
        channel: &str,
        told: Option<&Told>,
        verdict: &mut Verdict,
    ) -> (Vec<Standing<'o>>, Vec<&'o Arc<str>>, bool) {
        let (mut firing, mut ended, mut is_hiding) = (Vec::new(), Vec::new(), false);
        for one in ones {
            let severity = one.entry.finding.severity;
            let named = told.is_some_and(|told| is_named(told, one.key));
            let quiet_end = self.rules.quiet_until(severity, channel, self.now.wall);
            if !one.holds {
                match quiet_end {
                    _ if !named => {}
                    Some(_) => {
                        verdict.quiet_end = sooner(verdict.quiet_end, quiet_end);
                        verdict.waiting.insert(Arc::clone(one.key));
                        is_hiding = true;
                    }
                    None => ended.push(one.key),
                }
                continue;
            }
            if one.is_hidden || one.member.is_moved {
                is_hiding |= named;
                continue;
            }
            let is_escalated = self.is_escalated(group, one, channel, verdict);
            let is_known =
                named || is_escalated.is_some() && is_counted(told, one.key, one.member.since);
            if !is_known {
                let wanted = is_escalated.is_some() && !one.entry.is_acknowledged;
                if wanted && quiet_end.is_some() {
                    verdict.quiet_end = sooner(verdict.quiet_end, quiet_end);
                }
                if !wanted || quiet_end.is_some() {
                    continue;
                }
            }
            firing.push(Standing {
                key: one.key,
                severity,
                fired_at: one.entry.fired_at,
                is_told: is_known,
                is_acknowledged: one.entry.is_acknowledged,
                is_quiet: quiet_end.is_some(),
                is_escalated: is_escalated == Some(true),
                is_flapping_news: one.entry.changes.is_news(),
            });
        }
        (firing, ended, is_hiding)
    }

    /// Whether `channel` hears of an alert only because nobody takes it up; `None`: not at all.
    fn is_escalated(
        &self,
        group: &Group,
        one: &One<'_>,
        channel: &str,
        verdict: &mut Verdict,
    ) -> Option<bool> {
        let finding = &one.entry.finding;
        if let Some(route) = &group.route {
            let on_route = self.rules.channels_on(route, finding.severity);
            if on_route.iter().any(|one| &**one == channel) {
                return Some(false);
            }
        }
        if one.entry.is_acknowledged || group.route.is_none() {
            return None;
        }
        let mut found = None;
        for step in self.rules.steps_of(finding) {
            if !step.channels.iter().any(|one| &**one == channel) {
                continue;
            }
            let at = one.member.open_since + step.after;
            if at <= self.now.wall {
                found = Some(true);
            } else {
                verdict.escalates_at = sooner(verdict.escalates_at, Some(at));
            }
        }
        found
    }
}

fn sooner(one: Option<DateTime<Utc>>, other: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    one.into_iter().chain(other).min()
}

fn last_route(rules: &AlertsRules) -> Option<&Route> {
    rules.routes.last().map(|route| &**route)
}

fn repeat(route: Option<&Route>, rules: &AlertsRules) -> TimeDelta {
    let route = route.or_else(|| last_route(rules));
    route.map_or(TimeDelta::MAX, |route| route.grouping.repeat)
}

/// Pause between two looks at a group of this route.
pub(super) fn interval(route: Option<&Route>, rules: &AlertsRules) -> Duration {
    let route = route.or_else(|| last_route(rules));
    route.map_or(Duration::from_mins(5), |route| route.grouping.interval)
}

/// Keys in the order in which they are told: the worst first, of those the unknown ones first.
fn in_order(mut firing: Vec<Standing<'_>>, groups: &Groups) -> Vec<Arc<str>> {
    firing.sort_by_key(|one| (std::cmp::Reverse(one.severity), one.is_told, one.fired_at));
    let key = |one: &Standing<'_>| {
        let known = groups.entries.get_key_value(one.key);
        known.map(|(key, _)| Arc::clone(key))
    };
    firing.iter().filter_map(key).collect()
}
