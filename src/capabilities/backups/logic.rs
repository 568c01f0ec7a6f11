//! Which backups are kept, and what is told of backups, drills and replicas. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};

use super::model::{Keep, Reason};

/// A backup that may have to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its name.
    pub(super) name: String,
    /// When it was made.
    pub(super) taken_at: DateTime<Utc>,
    /// Whether we gave it its name.
    pub(super) is_ours: bool,
}

/// Why each backup is kept; what is not in it has to go.
///
/// Of each of the last days, ISO weeks and months (UTC) that have a backup the newest one is kept,
/// so that a home which was down for a month loses nothing by that. The newest of all stays, and so
/// does what a person named, which counts for nothing else.
pub(super) fn kept(all: &[Candidate], keep: Keep) -> BTreeMap<&str, BTreeSet<Reason>> {
    let mut reasons: BTreeMap<&str, BTreeSet<Reason>> = BTreeMap::new();
    let named = all.iter().filter(|one| !one.is_ours);
    for one in named {
        reasons.entry(&one.name).or_default().insert(Reason::Named);
    }
    let mut ours: Vec<&Candidate> = all.iter().filter(|one| one.is_ours).collect();
    ours.sort_by(|a, b| (b.taken_at, &b.name).cmp(&(a.taken_at, &a.name)));
    if let Some(newest) = ours.first() {
        reasons
            .entry(&newest.name)
            .or_default()
            .insert(Reason::Newest);
    }
    let day = |at: DateTime<Utc>| (at.year(), at.ordinal());
    let week = |at: DateTime<Utc>| (at.iso_week().year(), at.iso_week().week());
    let month = |at: DateTime<Utc>| (at.year(), at.month());
    let mut of_each = |count: usize, reason, period: &dyn Fn(DateTime<Utc>) -> (i32, u32)| {
        let mut seen = BTreeSet::new();
        for one in &ours {
            let period = period(one.taken_at);
            if seen.len() >= count && !seen.contains(&period) {
                break;
            }
            if seen.insert(period) {
                reasons.entry(&one.name).or_default().insert(reason);
            }
        }
    };
    of_each(keep.daily, Reason::Daily, &day);
    of_each(keep.weekly, Reason::Weekly, &week);
    of_each(keep.monthly, Reason::Monthly, &month);
    reasons
}

/// What is known of something that should be done again and again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// When it was done last.
    pub(super) last: Option<DateTime<Utc>>,
    /// Since when it is waited for, where it was never done.
    pub(super) awaited: DateTime<Utc>,
    /// How long that may be ago.
    pub(super) most: TimeDelta,
}

impl Known {
    /// Since when it is too long ago, at `now`; `None` where it is not.
    pub(super) fn late_since(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let due = self.last.unwrap_or(self.awaited) + self.most;
        (now > due).then_some(due)
    }
}

/// A span as people say it: `3 h`, `2 days`.
pub(super) fn spelled(span: TimeDelta) -> String {
    match span.num_minutes() {
        ..1 => "less than a minute".to_owned(),
        minutes @ 1..120 => format!("{minutes} min"),
        minutes @ 120..2880 => format!("{} h", minutes / 60),
        minutes => format!("{} days", minutes / 1440),
    }
}
