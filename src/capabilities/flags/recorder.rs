//! Turns each accepted `configs/flags.json` into history lines, once and in order.
//!
//! What has been recorded is itself a fold over the journal. A change made while the daemon was
//! down, or while the disk refused writes, is therefore found by comparing, and written late rather
//! than never.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::config::FlagsRules;
use super::event::{FlagChange, FlagLine, STREAM};
use super::logic;
use super::model::FlagValue;
use crate::platform::changes::{Change, ChangeKind, Changes};
use crate::platform::config::Accepted;
use crate::storage::engine::{Engine, Expect, Mark, Position, StorageError};
use crate::storage::journal::each_line;
use crate::storage::lines::Lines;

/// The line that the history begins with. What the first text of the file makes was not changed by
/// anybody, and is told to nobody as a change.
const FIRST_LINE: u64 = 1;
/// Who a first text is from: no caller, but the program itself, or the file that it found.
const BY_NOBODY: [&str; 2] = ["shipped", "file"];

/// Keeper of the flags' history.
#[derive(Debug)]
pub(super) struct Recorder {
    engine: Arc<dyn Engine>,
    changes: Changes,
    state: Mutex<State>,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Default)]
struct State {
    values: BTreeMap<String, FlagValue>,
    updated_at: BTreeMap<String, DateTime<Utc>>,
    queue: VecDeque<Arc<Accepted<FlagsRules>>>,
    queued: u64,
    writing: bool,
}

/// How many accepted texts are on record, and the last refusal of storage if it came after them.
#[derive(Debug, Default, Clone)]
struct Progress {
    recorded: u64,
    refused: Option<StorageError>,
}

impl Recorder {
    /// Folds what is on record, and tells `known` of it.
    pub(super) fn open(
        engine: Arc<dyn Engine>,
        known: Changes,
        now: DateTime<Utc>,
    ) -> Result<Arc<Self>, StorageError> {
        let mut state = State::default();
        let mut first: Option<(DateTime<Utc>, String)> = None;
        each_line(&*engine, STREAM, &Mark::default(), |line| {
            let Some(line) = FlagLine::parse(line) else {
                return;
            };
            let change = line.change();
            state.apply(&change, line.ts);
            if line.seq == FIRST_LINE && BY_NOBODY.contains(&&*line.actor) {
                first = Some((line.ts, line.revision.clone().into_owned()));
            }
            let is_first = |(at, revision): &(DateTime<Utc>, String)| {
                *at == line.ts && *revision == line.revision
            };
            if !first.as_ref().is_some_and(is_first) {
                known.note(told(&change, line.ts, &line.actor, line.seq), now);
            }
        })?;
        let progress = watch::Sender::new(Progress::default());
        Ok(Arc::new(Self {
            engine,
            changes: known,
            state: Mutex::new(state),
            progress,
        }))
    }

    /// Takes note of a text that is in force now; its lines follow without being waited for.
    pub(super) fn accept(self: &Arc<Self>, accepted: &Arc<Accepted<FlagsRules>>) {
        {
            let mut state = self.state();
            state.queue.push_back(Arc::clone(accepted));
            state.queued += 1;
        }
        self.pump();
    }

    /// Ends once everything accepted so far is on record, or storage has refused it.
    pub(super) async fn settled(&self) -> Result<(), StorageError> {
        let goal = self.state().queued;
        let mut progress = self.progress.subscribe();
        let seen = progress
            .wait_for(|seen| seen.recorded >= goal || seen.refused.is_some())
            .await;
        match seen {
            Ok(seen) if seen.recorded >= goal => Ok(()),
            Ok(seen) => Err(seen.refused.clone().unwrap_or(StorageError::Closed)),
            Err(_) => Err(StorageError::Closed),
        }
    }

    /// When `key` changed last, as far as it is on record.
    pub(super) fn updated_at(&self, key: &str) -> Option<DateTime<Utc>> {
        self.state().updated_at.get(key).copied()
    }

    /// Whether a change still waits for storage.
    pub(super) fn is_behind(&self) -> bool {
        self.progress.borrow().refused.is_some()
    }

    /// Writes what is due, unless a write is under way. Called again when that one has ended, and
    /// by a timer after a refusal.
    pub(super) fn pump(self: &Arc<Self>) {
        let Some((lines, changes, accepted)) = self.next_lines() else {
            return;
        };
        let recorder = Arc::clone(self);
        let committed = move |outcome: &Result<Position, StorageError>| {
            recorder.committed(outcome, &changes, &accepted);
        };
        // The outcome reaches us through `committed`; nobody waits for this future.
        drop(
            self.engine
                .append(STREAM, Expect::Any, None, lines, Some(Box::new(committed))),
        );
    }

    fn next_lines(&self) -> Option<(Lines, Vec<FlagChange>, Arc<Accepted<FlagsRules>>)> {
        let mut state = self.state();
        if state.writing {
            return None;
        }
        while let Some(accepted) = state.queue.front().cloned() {
            let changes = logic::diff(&state.values, accepted.rules.iter());
            if changes.is_empty() {
                state.queue.pop_front();
                let recorded = state.queued - state.queue.len() as u64;
                self.progress.send_replace(Progress {
                    recorded,
                    refused: None,
                });
                continue;
            }
            let mut lines = Lines::new();
            for change in &changes {
                change.push(
                    &mut lines,
                    accepted.at,
                    &accepted.actor,
                    accepted.revision.as_str(),
                );
            }
            state.writing = true;
            self.progress.send_modify(|seen| seen.refused = None);
            return Some((lines, changes, accepted));
        }
        None
    }

    fn committed(
        self: &Arc<Self>,
        outcome: &Result<Position, StorageError>,
        changes: &[FlagChange],
        accepted: &Accepted<FlagsRules>,
    ) {
        let mut state = self.state();
        state.writing = false;
        let first = match outcome {
            Ok(position) => position.first,
            Err(refused) => {
                self.progress
                    .send_modify(|seen| seen.refused = Some(refused.clone()));
                return;
            }
        };
        let at = accepted.at;
        let is_first = first == FIRST_LINE && BY_NOBODY.contains(&&*accepted.actor);
        for (change, seq) in changes.iter().zip(first..) {
            state.apply(change, at);
            if !is_first {
                self.changes
                    .note(told(change, at, &accepted.actor, seq), at);
            }
        }
        state.queue.pop_front();
        let recorded = state.queued - state.queue.len() as u64;
        // Under the lock: a later count must not be overtaken by an earlier one.
        self.progress.send_replace(Progress {
            recorded,
            refused: None,
        });
        drop(state);
        self.pump();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, change: &FlagChange, at: DateTime<Utc>) {
        self.updated_at.insert(change.key.clone(), at);
        match &change.after {
            Some(value) => self.values.insert(change.key.clone(), value.clone()),
            None => self.values.remove(&change.key),
        };
    }
}

/// A change as the memory of changes has it.
fn told(change: &FlagChange, at: DateTime<Utc>, actor: &str, seq: u64) -> Change {
    let (key, plain) = (&change.key, |value: &FlagValue| value.to_plain());
    let summary = match (
        change.before.as_ref().map(plain),
        change.after.as_ref().map(plain),
    ) {
        (Some(before), Some(after)) => format!("flag `{key}` went from {before} to {after}"),
        (None, Some(after)) => format!("flag `{key}` was made, with the value {after}"),
        _ => format!("flag `{key}` was deleted"),
    };
    Change {
        at,
        kind: ChangeKind::Flag,
        name: key.clone(),
        summary,
        actor: actor.to_owned(),
        scope: Vec::new(),
        source: (STREAM, seq),
    }
}
