//! What the result of a look makes of a probe. Pure: state, result, parent's verdict and `now` in,
//! state and what is to be told out.
//!
//! A probe is *up* or *down* after so many results in a row; between the two it is *failing*. One
//! that would be down waits for a verdict on its parent that is younger than its own failure:
//! while the parent may be the cause nobody is told, and once it is found to be, the probe is
//! *suppressed*. When the parent is back, the children start to count anew.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::event::ProbeEvent;
use super::model::Probe;

/// Where a probe stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing is known: no result yet, or our own network is the cause.
    Unknown,
    /// It is well.
    Up,
    /// It fails, not often enough yet or with its parent's verdict to come.
    Failing,
    /// It is down, and that has been told.
    Down,
    /// It fails because its parent is down.
    Suppressed,
}

impl Phase {
    /// One word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Failing => "failing",
            Self::Down => "down",
            Self::Suppressed => "suppressed",
        }
    }
}

/// Everything that is known of a probe from its results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// Where it stands.
    pub(super) phase: Phase,
    /// Since when; `None` before the first result.
    pub(super) since: Option<DateTime<Utc>>,
    /// Failures in a row.
    pub(super) failures: u32,
    /// Successes in a row.
    pub(super) successes: u32,
    /// The first failure of the row.
    pub(super) failing_since: Option<DateTime<Utc>>,
    /// Why it failed last.
    pub(super) reason: String,
    /// When it was told last that it is down.
    pub(super) told_at: Option<DateTime<Utc>>,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            phase: Phase::Unknown,
            since: None,
            failures: 0,
            successes: 0,
            failing_since: None,
            reason: String::new(),
            told_at: None,
        }
    }
}

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// A good answer.
    Good,
    /// A failure, and why.
    Bad(String),
    /// A failure that is planned: nothing follows from it.
    Planned,
    /// Nothing that says something of the target: our own network or machine failed.
    Nothing,
}

/// What is known of a probe's parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parent {
    /// There is none, or it is well, or nothing can be said of it.
    Clear,
    /// It is down, or suppressed itself.
    Down(Arc<str>),
    /// It was not looked at since the failure, or fails and is not down yet.
    Open,
}

impl Standing {
    fn enter(&mut self, phase: Phase, now: DateTime<Utc>) {
        if self.phase != phase || self.since.is_none() {
            self.phase = phase;
            self.since = Some(now);
        }
    }

    /// Whether it is neither sure that the probe is up nor that it is down.
    pub(super) fn is_unsure(&self) -> bool {
        match self.phase {
            Phase::Failing => true,
            Phase::Down | Phase::Suppressed => self.successes > 0,
            Phase::Up | Phase::Unknown => false,
        }
    }

    /// Whether enough failures have come in a row, and only the parent's verdict is missing.
    pub(super) fn is_waiting(&self, probe: &Probe) -> bool {
        self.phase == Phase::Failing && self.failures >= probe.failures_to_open
    }

    /// Takes a result.
    pub(super) fn take(
        &mut self,
        probe: &Probe,
        seen: Seen,
        parent: &Parent,
        now: DateTime<Utc>,
    ) -> Option<ProbeEvent> {
        match seen {
            Seen::Good => self.good(probe, now),
            Seen::Bad(reason) => {
                self.successes = 0;
                self.failures = self.failures.saturating_add(1);
                self.failing_since.get_or_insert(now);
                self.reason = reason;
                match self.phase {
                    Phase::Down => self.remind(probe, now),
                    Phase::Suppressed => None,
                    Phase::Unknown | Phase::Up | Phase::Failing => {
                        self.enter(Phase::Failing, now);
                        self.settle(probe, parent, now)
                    }
                }
            }
            Seen::Planned => {
                self.successes = 0;
                self.calm(now);
                None
            }
            Seen::Nothing => {
                self.calm(now);
                None
            }
        }
    }

    /// Forgets a row of failures that nothing follows from; what is down stays down.
    fn calm(&mut self, now: DateTime<Utc>) {
        if matches!(self.phase, Phase::Up | Phase::Failing | Phase::Unknown) {
            self.failures = 0;
            self.failing_since = None;
            self.enter(Phase::Unknown, now);
        }
    }

    fn good(&mut self, probe: &Probe, now: DateTime<Utc>) -> Option<ProbeEvent> {
        self.failures = 0;
        self.successes = self.successes.saturating_add(1);
        let was = self.phase;
        let told = matches!(was, Phase::Down | Phase::Suppressed);
        if told && self.successes < probe.successes_to_close {
            return None;
        }
        let began = self.failing_since.take();
        self.told_at = None;
        self.enter(Phase::Up, now);
        told.then(|| ProbeEvent::closed(probe, began.unwrap_or(now), was, now))
    }

    /// Decides on a row of failures that is long enough.
    pub(super) fn settle(
        &mut self,
        probe: &Probe,
        parent: &Parent,
        now: DateTime<Utc>,
    ) -> Option<ProbeEvent> {
        if !self.is_waiting(probe) {
            return None;
        }
        let began = self.failing_since.unwrap_or(now);
        match parent {
            Parent::Open => None,
            Parent::Clear => {
                self.enter(Phase::Down, now);
                self.told_at = Some(now);
                Some(ProbeEvent::opened(
                    probe,
                    began,
                    self.failures,
                    &self.reason,
                ))
            }
            Parent::Down(parent) => {
                self.enter(Phase::Suppressed, now);
                Some(ProbeEvent::suppressed(probe, began, parent, &self.reason))
            }
        }
    }

    fn remind(&mut self, probe: &Probe, now: DateTime<Utc>) -> Option<ProbeEvent> {
        let after = chrono::TimeDelta::from_std(probe.reminder?).ok()?;
        if now - self.told_at? < after {
            return None;
        }
        self.told_at = Some(now);
        let began = self.failing_since.unwrap_or(now);
        Some(ProbeEvent::reminded(probe, began, &self.reason, now))
    }

    /// The parent is well again, or gone: what was suppressed counts anew.
    pub(super) fn release(&mut self, probe: &Probe, now: DateTime<Utc>) -> Option<ProbeEvent> {
        if self.phase != Phase::Suppressed {
            return None;
        }
        self.failures = 0;
        self.successes = 0;
        self.enter(Phase::Failing, now);
        Some(ProbeEvent::released(&probe.name, probe.parent.as_deref()))
    }
}
