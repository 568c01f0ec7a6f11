//! What probes tell: lines of `logs/probes.ndjson`, in order, and the alert events that follow from
//! them. What storage refuses is kept and written when it can be; alerts do not wait for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::event::ProbeEvent;
use super::model::ProbesRules;
use crate::platform::alerts::{Alerts, Finding, Severity};
use crate::storage::engine::StorageError;
use crate::storage::journal::Journal;
use crate::storage::lines::Lines;

/// What findings of ours are said to come from.
pub(super) const SOURCE: &str = "probes";

/// Lines that wait for storage at most; beyond them the oldest are given up. Our own choice: twice
/// what all probes together say when everything goes down and comes back.
const MOST_WAITING: usize = 20_000;
/// Lines in one group.
const MOST_AT_ONCE: usize = 500;

/// The writer of the journal. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Recorder {
    journal: Journal,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(ProbeEvent, DateTime<Utc>)>,
    writing: bool,
    refused: Option<StorageError>,
}

impl Recorder {
    /// Nothing to be written yet.
    pub(super) fn new(journal: Journal) -> Self {
        Self {
            journal,
            state: Arc::default(),
        }
    }

    /// Writes `event` as soon as storage takes it.
    pub(super) fn write(&self, event: ProbeEvent, now: DateTime<Utc>) {
        {
            let mut state = self.state();
            // Lines under way are at the front; they are never the ones given up.
            let busy = if state.writing { MOST_AT_ONCE } else { 0 };
            if state.waiting.len() >= MOST_WAITING && state.waiting.remove(busy).is_some() {
                tracing::error!("a line of probes is lost: storage takes none and too many wait");
            }
            state.waiting.push_back((event, now));
        }
        self.pump();
    }

    /// Tries again what storage refused.
    pub(super) fn retry(&self) {
        if self.is_behind() {
            self.pump();
        }
    }

    /// Whether storage has refused a line that still waits.
    pub(super) fn is_behind(&self) -> bool {
        self.state().refused.is_some()
    }

    fn pump(&self) {
        let (lines, count) = {
            let mut state = self.state();
            if state.writing || state.waiting.is_empty() {
                return;
            }
            let mut lines = Lines::new();
            for (event, at) in state.waiting.iter().take(MOST_AT_ONCE) {
                lines.push_members(event.kind, *at, event);
            }
            state.writing = true;
            let count = lines.len();
            (lines, count)
        };
        let own = self.clone();
        let committed = move |outcome: &Result<_, StorageError>| {
            {
                let mut state = own.state();
                state.writing = false;
                state.refused = outcome.as_ref().err().cloned();
                if outcome.is_ok() {
                    let count = count.min(state.waiting.len());
                    state.waiting.drain(..count);
                }
            }
            if outcome.is_ok() {
                own.pump();
            }
        };
        // The outcome reaches us through `committed`; nobody waits for this future.
        drop(self.journal.append(lines, None, Some(Box::new(committed))));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Identity of the finding that `probe` is down.
pub(super) fn down_key(probe: &str) -> String {
    format!("probe:{probe}")
}

/// Identity of the finding that the end of `probe`'s certificate is near.
pub(super) fn cert_key(probe: &str) -> String {
    format!("probe:{probe}:certificate")
}

/// Raises or ends the finding that follows from `event`, if one does.
pub(super) fn tell(alerts: &Alerts, rules: &ProbesRules, event: &ProbeEvent, now: DateTime<Utc>) {
    match event.kind {
        "probe.opened" => {
            let failures = event.failures.unwrap_or_default();
            let reason = event.reason.as_deref().unwrap_or_default();
            let times = if failures == 1 {
                "time"
            } else {
                "times in a row"
            };
            let summary = format!(
                "probe `{}` ({}) is down: failed {failures} {times}, last: {reason}",
                event.probe, event.target
            );
            let began = event.failing_since.unwrap_or(now);
            alerts.raise(down(rules, &event.probe, summary, began), now);
        }
        "probe.closed" => {
            let secs = event.down_secs.unwrap_or_default();
            let how = event.reason.as_ref().map_or_else(
                || format!("probe `{}` is up again after {}", event.probe, span(secs)),
                |reason| {
                    format!(
                        "probe `{}` was down for {}; {reason}",
                        event.probe,
                        span(secs)
                    )
                },
            );
            alerts.resolve(&down_key(&event.probe), now, how);
        }
        "certificate.flagged" => tell_cert(alerts, rules, event, now),
        _ => {}
    }
}

/// The finding that `probe` is down.
pub(super) fn down(
    rules: &ProbesRules,
    probe: &str,
    summary: String,
    started_at: DateTime<Utc>,
) -> Finding {
    let known = rules.probes.get(probe);
    let mut labels = known.map(|probe| probe.labels.clone()).unwrap_or_default();
    labels.insert("probe".into(), probe.to_owned());
    let kind = known.map_or("", |probe| probe.check.kind());
    labels.insert("kind".into(), kind.to_owned());
    Finding {
        key: down_key(probe),
        source: SOURCE.into(),
        severity: known.map_or(Severity::Critical, |probe| probe.severity),
        summary,
        started_at,
        labels: labels.into(),
        ..Finding::default()
    }
}

fn tell_cert(alerts: &Alerts, rules: &ProbesRules, event: &ProbeEvent, now: DateTime<Utc>) {
    let key = cert_key(&event.probe);
    let days = event.days_left.unwrap_or_default();
    let end = event.not_after.unwrap_or(now).format("%Y-%m-%d");
    let severity = match event.level {
        Some("critical") => Severity::Critical,
        Some("warning") => Severity::Warning,
        _ => {
            let how = match &event.reason {
                Some(reason) => format!("the certificate of `{}`: {reason}", event.probe),
                None => format!("the certificate of `{}` now holds until {end}", event.probe),
            };
            alerts.resolve(&key, now, how);
            return;
        }
    };
    let left = match days {
        ..0 => format!("ended on {end}"),
        0 => format!("ends within a day, on {end}"),
        1 => format!("ends in 1 day, on {end}"),
        _ => format!("ends in {days} days, on {end}"),
    };
    let probe = rules.probes.get(event.probe.as_str());
    let target = probe
        .map(|probe| probe.check.to_string())
        .unwrap_or_default();
    let mut labels: BTreeMap<_, _> = probe.map(|one| one.labels.clone()).unwrap_or_default();
    labels.insert("probe".into(), event.probe.clone());
    labels.insert("kind".into(), "certificate".into());
    let finding = Finding {
        key,
        source: SOURCE.into(),
        severity,
        summary: format!(
            "the certificate of probe `{}` ({target}) {left}",
            event.probe
        ),
        started_at: now,
        labels: labels.into(),
        ..Finding::default()
    };
    alerts.raise(finding, now);
}

/// `75 s`, `12 min`, `3 h 5 min`: as much as a person wants.
fn span(secs: i64) -> String {
    match secs {
        ..120 => format!("{secs} s"),
        120..7_200 => format!("{} min", secs / 60),
        _ => format!("{} h {} min", secs / 3_600, secs % 3_600 / 60),
    }
}
