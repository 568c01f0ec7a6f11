//! Writes what happens in the loop to its journal, in order. What storage refuses is kept and
//! written when it can be: watching goes on without a disk.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::event::{RunRecord, STREAM, TaskEvent};
use super::task::Outcome;
use super::view::RunsView;
use crate::platform::changes::{Change, ChangeKind, Changes};
use crate::seams::clock::Clock;
use crate::storage::engine::{Appending, Position, StorageError};
use crate::storage::journal::Journal;
use crate::storage::lines::Lines;
use crate::storage::view::{Kept, View as _};

/// Events that wait for storage at most; beyond them the oldest are given up, and that is said. A
/// few days of runs (our own choice).
const MOST_WAITING: usize = 20_000;
/// Bytes of members that a line usually has, for making room and for deciding when a checkpoint is
/// due.
const USUAL_BYTES: usize = 300;
/// Events in one group that is tried again; one group a look of the loop.
const MOST_AT_ONCE: usize = 2000;

/// Keeper of the journal and its view.
#[derive(Debug)]
pub(super) struct Recorder {
    view: Kept<RunsView>,
    changes: Changes,
    state: Mutex<State>,
    /// Groups on their way to the medium.
    under_way: AtomicUsize,
}

/// An event and when it happened.
type Noted = (TaskEvent, DateTime<Utc>);

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Noted>,
    is_writing: bool,
    refused: Option<StorageError>,
    given_up: u64,
}

impl Recorder {
    /// Folds the journal, which has been opened, and tells `changes` of failures.
    pub(super) fn open(
        journal: Journal,
        clock: Arc<dyn Clock>,
        changes: Changes,
    ) -> Result<Arc<Self>, StorageError> {
        let now = clock.now();
        let (view, _folded) = Kept::open(journal, clock, RunsView::default)?;
        // Of each task the last run is known; earlier ones were told by the process before this.
        for past in view.lock().tasks.values() {
            if let Some(last) = &past.last {
                note_failure(&changes, last, now);
            }
        }
        Ok(Arc::new(Self {
            view,
            changes,
            state: Mutex::default(),
            under_way: AtomicUsize::new(0),
        }))
    }

    /// What is on record.
    pub(super) fn view(&self) -> RunsView {
        self.view.lock().clone()
    }

    /// The journal.
    pub(super) fn journal(&self) -> &Journal {
        self.view.journal()
    }

    /// Writes `events`, which happened at `at`. They are kept where storage refuses them; the
    /// future then says so at once.
    pub(super) fn record(self: &Arc<Self>, events: Vec<TaskEvent>, at: DateTime<Utc>) -> Appending {
        {
            let mut state = self.state();
            if let Some(refused) = state.refused.clone() {
                let noted = events.into_iter().map(|event| (event, at));
                state.keep(noted);
                return Box::pin(std::future::ready(Err(refused)));
            }
        }
        let noted: Vec<Noted> = events.into_iter().map(|event| (event, at)).collect();
        self.append(noted, true)
    }

    /// Writes `event`, or does nothing: it is not kept where storage refuses it.
    pub(super) fn order(self: &Arc<Self>, event: TaskEvent, at: DateTime<Utc>) -> Appending {
        self.append(vec![(event, at)], false)
    }

    /// Tries again what storage refused.
    pub(super) fn retry(self: &Arc<Self>) {
        let again: Vec<Noted> = {
            let mut state = self.state();
            if state.is_writing || state.waiting.is_empty() {
                return;
            }
            state.is_writing = true;
            self.under_way.fetch_add(1, Ordering::AcqRel);
            state.waiting.iter().take(MOST_AT_ONCE).cloned().collect()
        };
        let lines = lines_of(&again);
        let recorder = Arc::clone(self);
        let committed = move |outcome: &Result<Position, StorageError>| {
            recorder.retried(&again, outcome);
            recorder.under_way.fetch_sub(1, Ordering::AcqRel);
        };
        // The outcome reaches us through `committed`; nobody waits for this future.
        drop(
            self.journal()
                .append(lines, None, Some(Box::new(committed))),
        );
    }

    /// Whether nothing is on its way to the medium.
    pub(super) fn is_settled(&self) -> bool {
        self.under_way.load(Ordering::Acquire) == 0
    }

    /// What is wrong with it, in one sentence.
    pub(super) fn trouble(&self) -> Option<String> {
        let state = self.state();
        let refused = state.refused.as_ref()?;
        let (waiting, lost) = (state.waiting.len(), state.given_up);
        Some(match lost {
            0 => format!("tasks run, {waiting} of their records wait for storage: {refused}"),
            _ => format!("tasks run, {waiting} of their records wait, {lost} are lost: {refused}"),
        })
    }

    /// Saves what makes the next start quick.
    pub(super) fn close(self: &Arc<Self>) {
        self.retry();
        self.view.close();
    }

    fn append(self: &Arc<Self>, noted: Vec<Noted>, is_kept: bool) -> Appending {
        let lines = lines_of(&noted);
        let recorder = Arc::clone(self);
        self.under_way.fetch_add(1, Ordering::AcqRel);
        let committed = move |outcome: &Result<Position, StorageError>| {
            match outcome {
                Ok(position) => recorder.applied(&noted, position.last),
                Err(refused) if is_kept => {
                    let mut state = recorder.state();
                    state.keep(noted);
                    state.refused = Some(refused.clone());
                }
                Err(_) => {}
            }
            recorder.under_way.fetch_sub(1, Ordering::AcqRel);
        };
        self.journal()
            .append(lines, None, Some(Box::new(committed)))
    }

    fn applied(&self, noted: &[Noted], last: u64) {
        let mut view = self.view.lock();
        for (event, at) in noted {
            view.apply_event(event, *at);
            if let TaskEvent::Finished(record) = event {
                note_failure(&self.changes, record, *at);
            }
        }
        view.reached(last);
        drop(view);
        let lines = noted.len();
        self.view.grew(lines as u64, (lines * USUAL_BYTES) as u64);
    }

    fn retried(&self, again: &[Noted], outcome: &Result<Position, StorageError>) {
        if let Ok(position) = outcome {
            self.applied(again, position.last);
        }
        let mut state = self.state();
        state.is_writing = false;
        if outcome.is_err() {
            return;
        }
        let done = again.len().min(state.waiting.len());
        state.waiting.drain(..done);
        if state.waiting.is_empty() {
            state.refused = None;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep(&mut self, noted: impl IntoIterator<Item = Noted>) {
        self.waiting.extend(noted);
        // Events under way are at the front; they are never the ones given up.
        let busy = if self.is_writing { MOST_AT_ONCE } else { 0 };
        let over = self.waiting.len().saturating_sub(MOST_WAITING);
        if over > 0 {
            self.waiting.drain(busy..busy + over);
            self.given_up += over as u64;
        }
    }
}

fn lines_of(noted: &[Noted]) -> Lines {
    let mut lines = Lines::with_capacity(noted.len(), noted.len() * USUAL_BYTES);
    for (event, at) in noted {
        event.push(&mut lines, *at);
    }
    lines
}

/// Tells `changes` of a run that failed. Its own name tells it from others, not the line, which a
/// view that was saved does not know.
fn note_failure(changes: &Changes, record: &RunRecord, now: DateTime<Utc>) {
    if record.outcome != Outcome::Failed {
        return;
    }
    let task = &record.task;
    let why = record.error.as_ref().or(record.reason.as_ref());
    let why = why.map_or("no reason told", String::as_str);
    let change = Change {
        at: record.ended,
        kind: ChangeKind::TaskFailure,
        name: task.clone(),
        summary: format!("task `{task}` failed: {why}"),
        actor: String::new(),
        scope: Vec::new(),
        source: (STREAM, 0),
    };
    changes.note(change, now);
}
