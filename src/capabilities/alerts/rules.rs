//! `configs/alerts.json`, checked: what routing goes by.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::channels::rules::Channels;
use super::labels::Labelled;
use super::matcher::{Matcher, all_hold};
use crate::base::calendar::Window;
use crate::platform::alerts::{Finding, Severity};

/// The checked file.
#[derive(Debug)]
pub(super) struct AlertsRules {
    /// Ways to people, by name.
    pub(super) channels: Arc<Channels>,
    /// Channels of each severity, for what no route gives channels.
    pub(super) levels: [Arc<[Arc<str>]>; 4],
    /// Routes in order, the last one for what none of the others ends with.
    pub(super) routes: Vec<Arc<Route>>,
    /// What hides what.
    pub(super) inhibit: Vec<Inhibition>,
    /// When what is held back.
    pub(super) quiet_hours: Vec<Quiet>,
    /// Who else is told when nobody takes it up.
    pub(super) escalate: Vec<Escalation>,
    /// When an alert flaps.
    pub(super) flapping: Flapping,
}

/// Where some alerts go, and how they are told.
#[derive(Debug)]
pub(super) struct Route {
    /// What names it in identities of groups: its conditions, or `default`.
    pub(super) id: Arc<str>,
    /// All must hold.
    pub(super) matchers: Vec<Matcher>,
    /// Its channels; `None`: those of the severity.
    pub(super) channels: Option<Arc<[Arc<str>]>>,
    /// Whether later routes are looked at too.
    pub(super) goes_on: bool,
    /// How alerts are told together.
    pub(super) grouping: Grouping,
}

/// How alerts are told together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grouping {
    /// Alerts with the same values of these labels are told together; `None`: each alone.
    pub(super) by: Option<Arc<[String]>>,
    /// How long more of a new group is waited for.
    pub(super) wait: Duration,
    /// The same where something critical is in it.
    pub(super) critical_wait: Duration,
    /// Pause between two looks at a group that was told of.
    pub(super) interval: Duration,
    /// When what has not changed is told again.
    pub(super) repeat: TimeDelta,
}

impl Grouping {
    /// How long an alert of `severity` waits for others.
    pub(super) fn wait_for(&self, severity: Severity) -> Duration {
        match severity {
            Severity::Critical => self.critical_wait,
            _ => self.wait,
        }
    }
}

/// What holds hides something else.
#[derive(Debug)]
pub(super) struct Inhibition {
    /// What must hold.
    pub(super) source: Vec<Matcher>,
    /// What is hidden meanwhile.
    pub(super) target: Vec<Matcher>,
    /// Labels that must have the same values in both.
    pub(super) equal: Vec<String>,
}

/// Hours in which some alerts wait.
#[derive(Debug)]
pub(super) struct Quiet {
    /// When.
    pub(super) window: Window,
    /// Which severities, by their place.
    pub(super) levels: [bool; 4],
    /// On which channels; `None`: on all.
    pub(super) channels: Option<Vec<String>>,
}

/// Who else is told when nobody takes it up.
#[derive(Debug)]
pub(super) struct Escalation {
    /// Of what.
    pub(super) matchers: Vec<Matcher>,
    /// The least severity.
    pub(super) severity: Severity,
    /// Steps, the soonest first.
    pub(super) steps: Vec<Step>,
}

/// A step of an escalation.
#[derive(Debug)]
pub(super) struct Step {
    /// How long after it was noticed.
    pub(super) after: TimeDelta,
    /// Who is told then.
    pub(super) channels: Vec<Arc<str>>,
}

/// When an alert flaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flapping {
    /// More changes than this make it; 0: never.
    pub(super) changes: usize,
    /// Within this time.
    pub(super) within: TimeDelta,
    /// It ends after this time without a change.
    pub(super) stable: TimeDelta,
}

/// The place of a severity in lists of all four.
pub(super) const fn place(severity: Severity) -> usize {
    match severity {
        Severity::Info => 0,
        Severity::Warning => 1,
        Severity::Error => 2,
        Severity::Critical => 3,
    }
}

impl AlertsRules {
    /// The routes that `labels` takes, in order: the last of them ends the search.
    pub(super) fn routes_of<'r>(
        &'r self,
        labels: &(impl Labelled + ?Sized),
    ) -> Vec<&'r Arc<Route>> {
        let mut taken = Vec::new();
        for route in &self.routes {
            // The route for the rest is for what no other has taken.
            let is_rest = route.matchers.is_empty() && !taken.is_empty();
            if !is_rest && all_hold(&route.matchers, labels) {
                taken.push(route);
                if !route.goes_on {
                    break;
                }
            }
        }
        taken
    }

    /// The channels that an alert of `severity` has on `route`.
    pub(super) fn channels_on<'r>(
        &'r self,
        route: &'r Route,
        severity: Severity,
    ) -> &'r [Arc<str>] {
        let [info, warning, error, critical] = &self.levels;
        match &route.channels {
            Some(channels) => channels,
            None => match severity {
                Severity::Info => info,
                Severity::Warning => warning,
                Severity::Error => error,
                Severity::Critical => critical,
            },
        }
    }

    /// Until when an alert of `severity` waits on `channel`, if it does.
    pub(super) fn quiet_until(
        &self,
        severity: Severity,
        channel: &str,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let held = |quiet: &&Quiet| {
            let on = |channels: &Vec<String>| channels.iter().any(|one| one == channel);
            quiet.levels.get(place(severity)) == Some(&true)
                && quiet.channels.as_ref().is_none_or(on)
        };
        let ends = self.quiet_hours.iter().filter(held);
        ends.filter_map(|quiet| quiet.window.open_at(now))
            .map(|(_, end)| end)
            .max()
    }

    /// Whom an alert escalates to, and how long after it was noticed.
    pub(super) fn steps_of<'r>(&'r self, finding: &Finding) -> impl Iterator<Item = &'r Step> {
        let taken = |one: &&'r Escalation| {
            finding.severity >= one.severity && all_hold(&one.matchers, finding)
        };
        let all: Vec<_> = self.escalate.iter().filter(taken).collect();
        all.into_iter().flat_map(|one| &one.steps)
    }
}
