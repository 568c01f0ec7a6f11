//! A silence: alerts that some conditions fit are not told for a time.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::Matcher;
use crate::capabilities::alerts::labels::Labelled;
use crate::capabilities::alerts::matcher::all_hold;

/// A silence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::capabilities::alerts) struct Silence {
    /// Its identity, in the form of a UUID.
    pub(in crate::capabilities::alerts) id: String,
    /// Who made it.
    pub(in crate::capabilities::alerts) by: String,
    /// Why.
    pub(in crate::capabilities::alerts) comment: String,
    /// What it covers: all must hold.
    pub(in crate::capabilities::alerts) matchers: Vec<Matcher>,
    /// From when on.
    pub(in crate::capabilities::alerts) starts_at: DateTime<Utc>,
    /// Until when; that instant is not part of it.
    pub(in crate::capabilities::alerts) ends_at: DateTime<Utc>,
    /// When it was made or changed.
    pub(in crate::capabilities::alerts) changed_at: DateTime<Utc>,
}

/// Where a silence is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::capabilities::alerts) enum Phase {
    /// It is in force.
    Active,
    /// It has not begun.
    Pending,
    /// It is over.
    Expired,
}

impl Silence {
    /// Where it is in its life at `now`.
    pub(in crate::capabilities::alerts) fn phase(&self, now: DateTime<Utc>) -> Phase {
        if now >= self.ends_at {
            Phase::Expired
        } else if now < self.starts_at {
            Phase::Pending
        } else {
            Phase::Active
        }
    }

    /// Whether it is in force at `now`.
    pub(in crate::capabilities::alerts) fn is_active(&self, now: DateTime<Utc>) -> bool {
        self.phase(now) == Phase::Active
    }

    /// Whether it covers what has these labels, while it is in force.
    pub(in crate::capabilities::alerts) fn covers(
        &self,
        labels: &(impl Labelled + ?Sized),
    ) -> bool {
        all_hold(&self.matchers, labels)
    }
}

/// A silence as somebody asks for it.
#[derive(Debug, Clone)]
pub(in crate::capabilities::alerts) struct Draft {
    /// The silence that it is an edit of.
    pub(in crate::capabilities::alerts) edits: Option<String>,
    /// What it covers.
    pub(in crate::capabilities::alerts) matchers: Vec<Matcher>,
    /// From when on; one in the past means from now on.
    pub(in crate::capabilities::alerts) starts_at: DateTime<Utc>,
    /// Until when.
    pub(in crate::capabilities::alerts) ends_at: DateTime<Utc>,
    /// Who asks for it.
    pub(in crate::capabilities::alerts) by: String,
    /// Why.
    pub(in crate::capabilities::alerts) comment: String,
}
