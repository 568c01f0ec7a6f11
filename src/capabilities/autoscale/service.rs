//! The verbs of autoscale: look, tick, observe, tune.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use super::config::{AutoscaleConfig, AutoscaleRules};
use super::event::{self, Aims, Applied, Step, StepLine};
use super::executor::{Carried, Carrier};
use super::logic::{self, Action, Decision, Gate, Seen, Standing};
use super::tune::Targets;
use crate::base::json::{EditFault, Path};
use crate::platform::config::{Accepted, ConfigStore, EditError, Live};
use crate::platform::samples::Samples;
use crate::platform::switches::{Switched, Switches};
use crate::storage::engine::{Mark, StorageError};
use crate::storage::journal::{Journal, read_lines};

/// Minutes after which what the application pushed is not known any more: three ticks.
const STALE_MINUTES: i64 = 3;
/// Minutes of samples that a P95 is taken over.
const P95_MINUTES: i64 = 5;
/// Durations that a P95 needs (our own choice: below 20 it is the greatest of them).
const P95_SAMPLES: u64 = 20;

/// What the application pushed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Observation {
    /// Jobs that wait.
    pub(super) queue: Option<f64>,
    /// P95 in milliseconds.
    pub(super) p95_ms: Option<f64>,
    /// Workers.
    pub(super) workers: Option<u32>,
}

/// Everything that one decision was made of.
#[derive(Debug)]
pub(super) struct Look {
    /// The decision.
    pub(super) decision: Decision,
    /// What was seen.
    pub(super) seen: Seen,
    /// Where things stand, this tick included.
    pub(super) standing: Standing,
    /// The switches then.
    pub(super) switched: Switched,
    /// The rules then.
    pub(super) rules: Arc<Accepted<AutoscaleRules>>,
}

/// What came of a tick.
#[derive(Debug)]
pub(super) struct Ticked {
    /// What it was made of.
    pub(super) look: Look,
    /// Why nothing was carried out although it was decided.
    pub(super) planned: Option<String>,
    /// How carrying it out went.
    pub(super) carried: Option<Result<String, String>>,
}

/// Why targets were not applied.
#[derive(Debug, thiserror::Error)]
pub(super) enum TuneError {
    /// The file could not be edited.
    #[error(transparent)]
    Edit(#[from] EditError<EditFault>),
    /// Storage does not accept lines.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The edit itself died.
    #[error("the edit did not finish")]
    Lost,
}

#[derive(Debug, Default)]
struct State {
    standing: Standing,
    observed: Option<(DateTime<Utc>, Observation)>,
    /// A step that was begun by a process that is no more.
    unfinished: Option<Step>,
    /// The blocked step that was last written down: each is told once.
    frozen: Option<(Gate, Action)>,
}

/// Autoscale, running.
#[derive(Debug)]
pub(super) struct Autoscale {
    live: Live<AutoscaleRules>,
    configs: ConfigStore,
    journal: Journal,
    samples: Samples,
    switches: Switches,
    carrier: Carrier,
    state: Mutex<State>,
}

/// The parts it is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) live: Live<AutoscaleRules>,
    pub(super) configs: ConfigStore,
    pub(super) journal: Journal,
    pub(super) samples: Samples,
    pub(super) switches: Switches,
    pub(super) carrier: Carrier,
}

impl Autoscale {
    /// Folds the journal, which has been opened, and is ready.
    pub(super) fn open(parts: Parts) -> Result<Arc<Self>, StorageError> {
        let mut state = State::default();
        state.standing.workers = parts.live.get().rules.rule.workers_min;
        let (engine, stream) = (parts.journal.engine(), parts.journal.stream());
        read_lines(engine, stream, &Mark::default(), |line: StepLine| {
            state.fold(line);
        })?;
        let Parts {
            live,
            configs,
            journal,
            samples,
            switches,
            carrier,
        } = parts;
        Ok(Arc::new(Self {
            live,
            configs,
            journal,
            samples,
            switches,
            carrier,
            state: Mutex::new(state),
        }))
    }

    /// What the next tick would decide. Changes nothing.
    pub(super) fn look(&self, now: DateTime<Utc>) -> Look {
        let (rules, switched) = (self.live.get_full(), self.switches.get());
        let (mut standing, observed) = {
            let state = self.state();
            (state.standing, state.observed)
        };
        let fresh = |(at, _): &(DateTime<Utc>, Observation)| {
            now.signed_duration_since(*at) < TimeDelta::minutes(STALE_MINUTES)
        };
        let observed = observed.filter(fresh).map(|(_, observed)| observed);
        if let Some(workers) = observed.and_then(|observed| observed.workers) {
            standing.workers = workers;
        }
        let pushed = observed.and_then(|observed| observed.p95_ms);
        let seen = Seen {
            queue: observed.and_then(|observed| observed.queue),
            p95_ms: pushed.or_else(|| self.sampled_p95(&rules.rules, now)),
            margin_percent: margin_percent(),
        };
        let rule = &rules.rules.rule;
        standing.ticks = standing.ticks.after(&seen, rule);
        let decision = logic::decide(switched, &standing, &seen, rule, now);
        Look {
            decision,
            seen,
            standing,
            switched,
            rules,
        }
    }

    fn sampled_p95(&self, rules: &AutoscaleRules, now: DateTime<Utc>) -> Option<f64> {
        let series = rules.samples.as_deref()?;
        let from = now - TimeDelta::minutes(P95_MINUTES);
        let durations = self.samples.durations(series, from, now);
        let enough = durations.count() >= P95_SAMPLES;
        let micros = durations.quantile(0.95).filter(|_| enough)?;
        Some(micros as f64 / 1000.0)
    }

    /// Takes note of what the application says of itself.
    /// Gives the seconds for which it is known.
    pub(super) fn observe(&self, observation: Observation, now: DateTime<Utc>) -> i64 {
        self.state().observed = Some((now, observation));
        STALE_MINUTES * 60
    }

    /// Why a step would stay a plan, if it would.
    pub(super) fn planned_only(&self, rules: &AutoscaleRules) -> Option<String> {
        self.carrier.ready(rules).err()
    }

    /// One tick: looks, and carries out or writes down what comes of it.
    pub(super) async fn tick(&self, now: DateTime<Utc>) -> Result<Ticked, StorageError> {
        self.end_unfinished(now).await?;
        let look = self.look(now);
        self.state().standing = look.standing;
        let mut ticked = Ticked {
            look,
            planned: None,
            carried: None,
        };
        let (decision, rules) = (&ticked.look.decision, &ticked.look.rules.rules);
        if self.is_newly_frozen(decision) {
            let detail = Some(format!("{:?}", decision.gate).to_lowercase());
            self.write(event::FROZEN, now, &step_of(&ticked.look, now, detail))
                .await?;
        }
        if decision.action == Action::Hold {
            return Ok(ticked);
        }
        let mut step = step_of(&ticked.look, now, None);
        step.executor = rules.executor.as_ref().map(|one| one.word().to_owned());
        match self.carrier.ready(rules) {
            Err(why) => {
                step.detail = Some(why.clone());
                self.write(event::PLANNED, now, &step).await?;
                self.stepped(now, None);
                ticked.planned = Some(why);
            }
            Ok(executor) => {
                self.write(event::STARTED, now, &step).await?;
                self.stepped(now, None);
                let carried = self.carrier.carry_out(executor, &step, now).await;
                ticked.carried = Some(self.ended(step, carried, now).await?);
            }
        }
        Ok(ticked)
    }

    /// Writes down how a step ended.
    async fn ended(
        &self,
        mut step: Step,
        carried: Carried,
        now: DateTime<Utc>,
    ) -> Result<Result<String, String>, StorageError> {
        let (kind, said) = match &carried {
            Ok(said) => (event::DONE, said),
            Err(why) => (event::FAILED, why),
        };
        step.detail = Some(said.clone());
        self.write(kind, now, &step).await?;
        if carried.is_ok() {
            self.stepped(now, Some(step.to));
        }
        Ok(carried)
    }

    /// A step that the process before this one began and did not end has an unknown outcome.
    async fn end_unfinished(&self, now: DateTime<Utc>) -> Result<(), StorageError> {
        let Some(mut step) = self.state().unfinished.clone() else {
            return Ok(());
        };
        step.detail =
            Some("the process ended during the step; its outcome is not known".to_owned());
        self.write(event::FAILED, now, &step).await?;
        self.state().unfinished = None;
        Ok(())
    }

    /// Whether a gate blocks a step that has not been told of yet.
    fn is_newly_frozen(&self, decision: &Decision) -> bool {
        let blocks = matches!(decision.gate, Gate::Stabilize | Gate::Profit);
        let frozen =
            (blocks && decision.wanted != Action::Hold).then_some((decision.gate, decision.wanted));
        let mut state = self.state();
        let new = frozen.is_some() && state.frozen != frozen;
        state.frozen = frozen;
        new
    }

    fn stepped(&self, now: DateTime<Utc>, workers: Option<u32>) {
        let mut state = self.state();
        state.standing.stepped_at = Some(now);
        state.standing.ticks = logic::Ticks::default();
        if let Some(workers) = workers {
            state.standing.workers = workers;
        }
    }

    async fn write(
        &self,
        kind: &'static str,
        now: DateTime<Utc>,
        step: &Step,
    ) -> Result<(), StorageError> {
        let lines = event::line(kind, now, step);
        self.journal.append(lines, None, None).await.map(drop)
    }

    /// Writes `targets` into the configuration, in the name of `actor`, and that down.
    pub(super) async fn apply(
        self: &Arc<Self>,
        targets: Targets,
        actor: &Arc<str>,
        now: DateTime<Utc>,
    ) -> Result<Arc<Accepted<AutoscaleRules>>, TuneError> {
        let seen = self.live.get_full();
        let (own, base, by) = (Arc::clone(self), seen.revision.clone(), Arc::clone(actor));
        let edited = tokio::task::spawn_blocking(move || {
            own.configs
                .edit::<AutoscaleConfig, EditFault>(Some(base), by, |edit| {
                    let set = |key: &str| Path::root().key(key);
                    edit.set(set("p95_target_ms"), &targets.p95_target_ms.into())?;
                    edit.set(set("queue_max_depth"), &targets.queue_max_depth.into())
                })
        });
        let accepted = edited.await.map_err(|_died| TuneError::Lost)??;
        let applied = Applied {
            before: aims(&seen.rules),
            after: aims(&accepted.rules),
            actor,
            revision: &accepted.revision.to_string(),
        };
        let lines = event::line(event::APPLIED, now, &applied);
        self.journal.append(lines, None, None).await?;
        Ok(accepted)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fold(&mut self, line: StepLine) {
        let StepLine { ts, kind, step } = line;
        match &*kind {
            event::PLANNED => self.standing.stepped_at = Some(ts),
            event::STARTED => {
                self.standing.stepped_at = Some(ts);
                self.unfinished = Some(step);
            }
            event::DONE => {
                self.standing.workers = step.to;
                self.unfinished = None;
            }
            event::FAILED => self.unfinished = None,
            _ => {}
        }
    }
}

/// The step that the rule asks for, whether or not a gate blocks it.
fn step_of(look: &Look, now: DateTime<Utc>, detail: Option<String>) -> Step {
    let from = look.standing.workers;
    let decision = &look.decision;
    let to = match decision.wanted {
        Action::Up => from.saturating_add(1),
        Action::Down => from.saturating_sub(1),
        Action::Hold => from,
    };
    Step {
        step: format!("step-{}", now.timestamp_millis()),
        action: decision.wanted,
        from,
        to,
        reason: decision.reason.clone(),
        executor: None,
        detail,
    }
}

fn aims(rules: &AutoscaleRules) -> Aims {
    Aims {
        p95_target_ms: rules.p95_target_ms,
        queue_max_depth: rules.queue_max_depth,
    }
}

/// The profit margin in percent. There is no ledger yet to take it from, so it is not known, and
/// the guard freezes nothing.
const fn margin_percent() -> Option<f64> {
    None
}
