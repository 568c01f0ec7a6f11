//! The guard, running: looks at every objective once a minute, writes what has changed, tells it.
//!
//! Decisions follow from what is on record and from the samples, so that a minute whose lines
//! storage refused is simply decided again; alert events go out at once, journal or not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::config::SloConfig;
use super::event::{STREAM, SloEvent, SloLine};
use super::excluded::{Counted, Excluded};
use super::findings;
use super::logic::{Look, Standing, look};
use super::model::{Kind, minute_of};
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

    /// Looks once a minute, until told to stop.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let now = self.clock.now();
            let into = now.timestamp_millis().rem_euclid(60_000).unsigned_abs();
            let rest = Duration::from_millis(60_000 - into) + SETTLING;
            let pause = self.clock.sleep(rest);
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
            if let Err(error) = self.look(self.clock.now()).await {
                tracing::warn!("what changed for the SLOs waits for storage: {error}");
            }
        }
    }

    /// One look at every objective: writes and tells what is different. May be repeated.
    pub async fn look(&self, now: DateTime<Utc>) -> Result<(), StorageError> {
        let _turn = self.turn.lock().await;
        let accepted = self.live.get_full();
        let rules = &accepted.rules;
        let housekeeping = self.housekeeping(rules, accepted.at, now);
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
            let seen = self.judge(watched, &view.standing(name), &view.excluded(name), now);
            for change in seen.changes {
                let objective = name.clone();
                events.push(SloEvent::Changed { objective, change });
            }
            // An objective never hides behind the one before it on a single thread.
            tokio::task::yield_now().await;
        }
        for event in &events {
            after.apply(event, now);
        }
        findings::tell(&self.alerts, rules, &after, &events, now);
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
