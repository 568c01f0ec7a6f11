//! The guard, running: looks at every objective, writes what has changed, tells it.
//!
//! Once a minute has ended it is judged whole. Within a minute alerts may only open, by what has
//! come in so far: so an outage is out before its first minute is over, and nothing closes or
//! shifts because a minute has just begun.
//!
//! Decisions follow from what is on record and from the samples, so that a minute whose lines
//! storage refused is simply decided again; alert events go out at once, journal or not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::config::SloConfig;
use super::event::{Change, STREAM, SloEvent, SloLine};
use super::excluded::{Counted, Excluded};
use super::findings;
use super::logic::{Look, Standing, alerts, look};
use super::model::{Kind, Past as _, minute_of};
use super::past::{Sampled, micros};
use super::rules::{SloRules, Watched};
use super::view::SloView;
use crate::platform::alerts::Alerts;
use crate::platform::config::Live;
use crate::platform::samples::Samples;
use crate::platform::wiring::Wiring;
use crate::seams::clock::Clock;
use crate::storage::engine::{Engine, Mark, StorageError};
use crate::storage::journal::{Journal, read_lines};
use crate::storage::lines::Lines;

/// Seconds after a minute has ended at which it is judged: what comes in by a log or a push a
/// moment late still counts, and a minute is left of the two in which an alert must be out.
const SETTLING: Duration = Duration::from_secs(1);

/// Seconds from one look to the next. A total outage after a clean hour needs 52 s to burn what
/// pages at 99.9 %: this leaves some of the minute in which it should be out.
const PACE: Duration = Duration::from_secs(5);

/// What one look decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Whole minutes, and all of it.
    Minute,
    /// The running minute too, and only what opens by it.
    Running,
}

/// SLOs, running.
#[derive(Debug)]
pub struct Slo {
    pub(super) live: Live<SloRules>,
    pub(super) samples: Samples,
    pub(super) engine: Arc<dyn Engine>,
    alerts: Alerts,
    journal: Journal,
    clock: Arc<dyn Clock>,
    view: Arc<Mutex<SloView>>,
    /// When the guard last looked.
    looked: Mutex<Option<DateTime<Utc>>>,
    /// One look at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Slo {
    /// Folds the journal and is ready.
    pub fn open(wiring: &Wiring) -> anyhow::Result<Arc<Self>> {
        let live = wiring.config::<SloConfig>()?;
        let journal = wiring.opened(STREAM)?;
        let mut view = SloView::default();
        read_lines(
            &*wiring.engine,
            STREAM,
            &Mark::default(),
            |line: SloLine| {
                view.fold(line);
            },
        )?;
        let samples = wiring.samples.clone();
        keep_fine(&samples, &live.get().rules);
        let kept = samples.clone();
        wiring
            .configs
            .on_accept::<SloConfig>(Arc::new(move |accepted| keep_fine(&kept, &accepted.rules)))?;
        Ok(Arc::new(Self {
            live,
            samples,
            engine: Arc::clone(&wiring.engine),
            alerts: wiring.alerts.clone(),
            journal,
            clock: Arc::clone(&wiring.clock),
            view: Arc::new(Mutex::new(view)),
            looked: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }))
    }

    /// Looks until told to stop: at each minute's end, and every few seconds within it.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let pace = u64::try_from(PACE.as_millis()).unwrap_or(u64::MAX);
        // What was before the start waits for a whole minute, until sources have caught up.
        let mut judged = minute_of(self.clock.now());
        loop {
            let settled = self.clock.now() - SETTLING;
            let into = settled.timestamp_millis().unsigned_abs() % pace;
            let pause = self.clock.sleep(Duration::from_millis(pace - into));
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
            let now = self.clock.now();
            let ended = minute_of(now - SETTLING);
            let scope = if ended > judged {
                Scope::Minute
            } else {
                Scope::Running
            };
            judged = judged.max(ended);
            if let Err(error) = self.look(now, scope).await {
                tracing::warn!("what changed for the SLOs waits for storage: {error}");
            }
        }
    }

    /// One look at every objective: writes and tells what is different. May be repeated.
    pub async fn look(&self, now: DateTime<Utc>, scope: Scope) -> Result<(), StorageError> {
        let _turn = self.turn.lock().await;
        let accepted = self.live.get_full();
        let rules = &accepted.rules;
        let housekeeping = match scope {
            Scope::Minute => self.housekeeping(rules, accepted.at, now),
            Scope::Running => Vec::new(),
        };
        let mut view = self.view().clone();
        for event in &housekeeping {
            view.apply(event, now);
        }
        // What storage refuses is decided again a minute later; objectives are judged all the same.
        let kept = self.write(housekeeping, now).await;
        let mut after = view.clone();
        let mut events = Vec::new();
        for watched in &rules.objectives {
            let name = &watched.objective.name;
            let (standing, excluded) = (view.standing(name), view.excluded(name));
            let changes = match scope {
                Scope::Minute => self.judge(watched, &standing, &excluded, now).changes,
                Scope::Running => self.opens(watched, &standing, &excluded, now),
            };
            for change in changes {
                let objective = name.clone();
                events.push(SloEvent::Changed { objective, change });
            }
            // An objective never hides behind the one before it on a single thread.
            tokio::task::yield_now().await;
        }
        for event in &events {
            after.apply(event, now);
        }
        if scope == Scope::Minute || !events.is_empty() {
            findings::tell(&self.alerts, rules, &after, &events, now);
        }
        self.write(events, now).await.and(kept)?;
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        Ok(())
    }

    /// What an objective looks like at `now`.
    pub fn judge(
        &self,
        watched: &Watched,
        standing: &Standing,
        excluded: &Excluded,
        now: DateTime<Utc>,
    ) -> Look {
        let objective = &watched.objective;
        let sampled = Sampled::new(&self.samples, objective);
        let past = Counted {
            past: &sampled,
            excluded,
        };
        // Whole minutes only: half a minute more or less would make alerts come and go.
        look(objective, standing, &past, minute_of(now))
    }

    /// What opens by the running minute, as far as it has come. Most minutes hold nothing bad, and
    /// cost no more than to see that.
    fn opens(
        &self,
        watched: &Watched,
        standing: &Standing,
        excluded: &Excluded,
        now: DateTime<Utc>,
    ) -> Vec<Change> {
        let objective = &watched.objective;
        let sampled = Sampled::new(&self.samples, objective);
        let past = Counted {
            past: &sampled,
            excluded,
        };
        let until = minute_of(now) + 1;
        if past.tally(until - 1, until).bad == 0 {
            return Vec::new();
        }
        let (_, mut changes) = alerts(objective, standing, &past, until);
        changes.retain(|change| matches!(change, Change::Fired { .. }));
        changes
    }

    /// What follows from the file alone: objectives and planned work that came or went.
    fn housekeeping(
        &self,
        rules: &SloRules,
        accepted_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Vec<SloEvent> {
        let view = self.view();
        let known = |name: &&String| rules.find(name).is_none();
        let removed = view.standings.keys().filter(known);
        let removed = removed.map(|name| SloEvent::Removed {
            objective: name.clone(),
        });
        let withdrawn = view.declared.keys();
        let withdrawn = withdrawn
            .filter(|window| window.until > now && !rules.maintenance.contains(window))
            .map(|window| SloEvent::Withdrawn {
                window: window.clone(),
            });
        let declared = rules.maintenance.iter();
        let declared = declared
            .filter(|window| window.until > accepted_at && !view.declared.contains_key(window))
            .map(|window| SloEvent::Declared {
                window: window.clone(),
                declared_at: accepted_at,
            });
        removed.chain(withdrawn).chain(declared).collect()
    }

    async fn write(&self, events: Vec<SloEvent>, now: DateTime<Utc>) -> Result<(), StorageError> {
        if events.is_empty() {
            return Ok(());
        }
        let mut lines = Lines::new();
        for event in &events {
            event.push(&mut lines, now);
        }
        let view = Arc::clone(&self.view);
        let committed = move |outcome: &Result<_, StorageError>| {
            if outcome.is_ok() {
                let mut view = view.lock().unwrap_or_else(PoisonError::into_inner);
                for event in &events {
                    view.apply(event, now);
                }
            }
        };
        let written = self.journal.append(lines, None, Some(Box::new(committed)));
        written.await.map(|_| ())
    }

    /// What is on record.
    pub fn view(&self) -> MutexGuard<'_, SloView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the guard last looked and could write what it saw.
    pub fn looked(&self) -> Option<DateTime<Utc>> {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep_fine(samples: &Samples, rules: &SloRules) {
    let mut thresholds: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for watched in &rules.objectives {
        let of = thresholds.entry(&watched.objective.series).or_default();
        if let Kind::Latency { threshold_ms } = watched.objective.kind {
            of.push(micros(threshold_ms));
        }
    }
    for (series, thresholds) in thresholds {
        samples.keep_fine(series, &thresholds);
    }
}
