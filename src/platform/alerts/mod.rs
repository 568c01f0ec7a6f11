//! Alert events: what the watchers find, told once when it begins and once when it ends. Sole
//! writer of `logs/alerts.ndjson`; whoever delivers alerts reads that journal.
//!
//! Watchers say what they see each time they look; saying the same again writes nothing. What
//! storage refuses is kept in order and written when it can be.

mod event;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use event::{AlertEvent, AlertLine, Members};
pub use event::{Finding, STREAM, Severity};

use super::http::{HotAnswer, Route, Routes, Scope, json};
use crate::seams::clock::Clock;
use crate::storage::engine::{Engine, Mark, StorageError};
use crate::storage::journal::{Journal, read_lines};
use crate::storage::lines::Lines;

/// Pause before lines that storage refused are tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Lines that wait for storage at most; beyond them the oldest are given up, and that is said. Our
/// own choice: far more than a person would read.
const MOST_WAITING: usize = 10_000;
/// Lines in one group.
const MOST_AT_ONCE: usize = 500;

/// A finding that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// What was found.
    pub finding: Finding,
    /// When it was noticed.
    pub fired_at: DateTime<Utc>,
}

/// The alert events. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Alerts {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    journal: Journal,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// As the journal has it.
    active: BTreeMap<String, Active>,
    /// As the watchers have said, written or not.
    said: BTreeMap<String, Active>,
    /// Lines to be written, in order.
    waiting: VecDeque<(AlertEvent, DateTime<Utc>)>,
    writing: bool,
    refused: Option<StorageError>,
    given_up: u64,
}

impl Alerts {
    /// Folds the journal, which has been opened.
    pub fn open(engine: &Arc<dyn Engine>) -> Result<Self, StorageError> {
        let mut state = State::default();
        read_lines(&**engine, STREAM, &Mark::default(), |line: AlertLine| {
            state.fold(line);
        })?;
        state.said = state.active.clone();
        Ok(Self {
            inner: Arc::new(Inner {
                journal: Journal::new(Arc::clone(engine), STREAM),
                state: Mutex::new(state),
            }),
        })
    }

    /// Says that `finding` holds. Writes a line if it did not before, or was less or more severe.
    pub fn raise(&self, mut finding: Finding, now: DateTime<Utc>) {
        // Journals tell milliseconds.
        finding.started_at = finding.started_at.trunc_subsecs(3);
        {
            let mut state = self.state();
            let fired_at = match state.said.get(&finding.key) {
                Some(same) if same.finding.severity == finding.severity => return,
                Some(other) => other.fired_at,
                None => now,
            };
            let known = Active {
                finding: finding.clone(),
                fired_at,
            };
            let event = match state.said.insert(finding.key.clone(), known) {
                None => AlertEvent::Fired(finding),
                Some(_) => AlertEvent::Changed(finding),
            };
            state.put(event, now);
        }
        self.pump();
    }

    /// Says that the finding `key` does not hold any more, and how it ended. Nothing happens where
    /// it did not hold.
    pub fn resolve(&self, key: &str, now: DateTime<Utc>, how: impl Into<String>) {
        {
            let mut state = self.state();
            let Some(ended) = state.said.remove(key) else {
                return;
            };
            let mut finding = ended.finding;
            finding.summary = how.into();
            let fired_at = ended.fired_at;
            state.put(AlertEvent::Resolved { finding, fired_at }, now);
        }
        self.pump();
    }

    /// What `source` has said and not taken back, by key.
    pub fn said_by(&self, source: &str) -> Vec<Active> {
        let state = self.state();
        let of = |one: &&Active| one.finding.source == source;
        state.said.values().filter(of).cloned().collect()
    }

    /// Whether `key` holds.
    pub fn holds(&self, key: &str) -> bool {
        self.state().said.contains_key(key)
    }

    /// Everything that is on record and has not ended, by key.
    pub fn active(&self) -> Vec<Active> {
        self.state().active.values().cloned().collect()
    }

    /// What is wrong with it, in one sentence.
    pub fn trouble(&self) -> Option<String> {
        let state = self.state();
        let waiting = state.waiting.len();
        state
            .refused
            .as_ref()
            .map(|refused| format!("{waiting} alert events wait for storage: {refused}"))
    }

    /// Writes again what storage refused, until told to stop.
    pub async fn keep_trying(self, clock: Arc<dyn Clock>, stop: CancellationToken) {
        while stop.run_until_cancelled(clock.sleep(RETRY)).await.is_some() {
            let behind = self.state().refused.is_some();
            if behind {
                self.pump();
            }
        }
    }

    /// The row that lists what is active.
    pub fn routes(&self) -> Routes {
        let own = self.clone();
        let about = "what the watchers have found and has not ended";
        vec![
            Route::get("/api/alerts", Scope::Read, about)
                .gives::<AlertsReply>()
                .hot(Arc::new(move |_call| {
                    let reply = AlertsReply::of(&own.active());
                    HotAnswer::Now(Ok(json(serde_json::to_string(&reply).unwrap_or_default())))
                })),
        ]
    }

    fn pump(&self) {
        let Some((lines, count)) = self.state().next_lines() else {
            return;
        };
        let alerts = self.clone();
        let committed = move |outcome: &Result<_, StorageError>| {
            alerts.state().committed(outcome.as_ref().err(), count);
            if outcome.is_ok() {
                alerts.pump();
            }
        };
        // The outcome reaches us through `committed`; nobody waits for this future.
        drop(
            self.inner
                .journal
                .append(lines, None, Some(Box::new(committed))),
        );
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fold(&mut self, line: AlertLine) {
        let key = line.finding.key.clone();
        match line.kind.as_str() {
            "alert.fired" | "alert.changed" => {
                let before = self.active.get(&key);
                let active = Active {
                    fired_at: before.map_or(line.ts, |before| before.fired_at),
                    finding: line.finding,
                };
                self.active.insert(key, active);
            }
            "alert.resolved" => {
                self.active.remove(&key);
            }
            _ => {}
        }
    }

    fn put(&mut self, event: AlertEvent, at: DateTime<Utc>) {
        // Lines under way are at the front; they are never the ones given up.
        let busy = if self.writing { MOST_AT_ONCE } else { 0 };
        if self.waiting.len() >= MOST_WAITING && self.waiting.remove(busy).is_some() {
            self.given_up += 1;
            if self.given_up == 1 {
                tracing::error!("alert events are lost: storage takes none and too many wait");
            }
        }
        self.waiting.push_back((event, at));
    }

    fn next_lines(&mut self) -> Option<(Lines, usize)> {
        if self.writing || self.waiting.is_empty() {
            return None;
        }
        let mut lines = Lines::new();
        for (event, at) in self.waiting.iter().take(MOST_AT_ONCE) {
            let finding = event.finding();
            let fired_at = match event {
                AlertEvent::Resolved { fired_at, .. } => Some(*fired_at),
                _ => None,
            };
            let members = Members {
                key: &finding.key,
                source: &finding.source,
                severity: finding.severity,
                summary: &finding.summary,
                started_at: finding.started_at,
                fired_at,
                labels: &finding.labels,
            };
            lines.push_members(event.kind(), *at, &members);
        }
        self.writing = true;
        let count = lines.len();
        Some((lines, count))
    }

    fn committed(&mut self, refused: Option<&StorageError>, count: usize) {
        self.writing = false;
        self.refused = refused.cloned();
        if refused.is_some() {
            return;
        }
        for (event, at) in self.waiting.drain(..count.min(self.waiting.len())) {
            let key = event.finding().key.clone();
            match event {
                AlertEvent::Fired(finding) => {
                    let fired_at = at;
                    self.active.insert(key, Active { finding, fired_at });
                }
                AlertEvent::Changed(finding) => {
                    if let Some(active) = self.active.get_mut(&key) {
                        active.finding = finding;
                    }
                }
                AlertEvent::Resolved { .. } => {
                    self.active.remove(&key);
                }
            }
        }
    }
}

/// Answer of `GET /api/alerts`.
#[derive(Serialize, JsonSchema)]
struct AlertsReply {
    /// Always true.
    ok: bool,
    /// How many follow.
    count: usize,
    /// By key.
    alerts: Vec<AlertReply>,
}

/// A finding that has not ended.
#[derive(Serialize, JsonSchema)]
struct AlertReply {
    /// Its identity.
    key: String,
    /// The capability that found it.
    source: String,
    /// How bad it is.
    severity: Severity,
    /// What was found.
    summary: String,
    /// The first bad sample, UTC.
    started_at: String,
    /// When it was noticed, UTC.
    fired_at: String,
    /// What it concerns.
    labels: BTreeMap<String, String>,
}

impl AlertsReply {
    fn of(active: &[Active]) -> Self {
        let reply = |one: &Active| AlertReply {
            key: one.finding.key.clone(),
            source: one.finding.source.clone(),
            severity: one.finding.severity,
            summary: one.finding.summary.clone(),
            started_at: crate::base::time::stamp(one.finding.started_at),
            fired_at: crate::base::time::stamp(one.fired_at),
            labels: one.finding.labels.clone(),
        };
        Self {
            ok: true,
            count: active.len(),
            alerts: active.iter().map(reply).collect(),
        }
    }
}
