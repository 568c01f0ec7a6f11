//! What is written to `logs/autoscale.ndjson`. Version 1; old lines stay readable for ever.
//!
//! `scaling.planned`, `scaling.frozen`, `scaling.started`, `scaling.done`, `scaling.failed`, all
//! with `{step, action, from, to, reason, executor?, detail?}`: a step that stays a plan, one that
//! a gate has blocked, and one that is carried out, from its beginning to its end. `detail` says
//! why it stayed a plan, which gate blocked it, or what the executor said.
//! `targets.applied {before, after, actor, revision}`: what `configs/autoscale.json` aims at.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::logic::Action;
use crate::storage::lines::Lines;

/// Name of the journal.
pub const STREAM: &str = "autoscale";
/// A step that is not carried out, by setting or for want of an executor.
pub const PLANNED: &str = "scaling.planned";
/// A step that a gate has blocked.
pub const FROZEN: &str = "scaling.frozen";
/// A step begins.
pub const STARTED: &str = "scaling.started";
/// It is done.
pub const DONE: &str = "scaling.done";
/// It was not.
pub const FAILED: &str = "scaling.failed";
/// Targets were written into the configuration.
pub const APPLIED: &str = "targets.applied";

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Names it, also towards its executor.
    pub step: String,
    /// Which way.
    pub action: Action,
    /// Workers before.
    pub from: u32,
    /// Workers after.
    pub to: u32,
    /// Why.
    pub reason: String,
    /// What carries it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    /// Why it stayed a plan, which gate blocked it, or what the executor said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Targets as they are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Aims {
    pub(super) p95_target_ms: u64,
    pub(super) queue_max_depth: u64,
}

/// Members of `targets.applied`.
#[derive(Debug, Serialize)]
pub(super) struct Applied<'a> {
    pub(super) before: Aims,
    pub(super) after: Aims,
    pub(super) actor: &'a str,
    pub(super) revision: &'a str,
}

/// One line of the journal, as a group of its own.
pub(super) fn line(kind: &'static str, at: DateTime<Utc>, members: &impl Serialize) -> Lines {
    let mut lines = Lines::new();
    lines.push_members(kind, at, members);
    lines
}

/// A line about a step, as it is read back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StepLine {
    /// When.
    pub ts: DateTime<Utc>,
    /// Event kind.
    pub kind: Cow<'static, str>,
    /// The step.
    #[serde(flatten)]
    pub step: Step,
}
