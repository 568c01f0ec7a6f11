//! Experiments, running: the rules in force, the journal and its view.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::event::STREAM;
use super::fingerprint::Key;
use super::ids::WINDOW;
use super::model::ExperimentsRules;
use super::view::ExperimentsView;
use crate::platform::config::{DaemonRules, EXPOSURES, Live};
use crate::seams::clock::Clock;
use crate::storage::engine::{Durability, Engine, Position, StorageError, StreamHealth};
use crate::storage::journal::Journal;
use crate::storage::view::{Folded, Kept, View};

/// Experiments, running.
#[derive(Debug)]
pub struct Experiments {
    pub(super) live: Live<ExperimentsRules>,
    daemon: Live<DaemonRules>,
    pub(super) kept: Kept<ExperimentsView>,
    pub(super) key: Key,
    /// Held from the look into the view until the lines are handed to the engine: what the view
    /// says is on its way is then really before everything that comes later.
    submitting: Mutex<()>,
    folded: Folded,
}

impl Experiments {
    /// Folds the journal, which must have been opened in `engine`, and is ready.
    pub fn open(
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        live: Live<ExperimentsRules>,
        daemon: Live<DaemonRules>,
    ) -> anyhow::Result<Arc<Self>> {
        Self::open_with_window(engine, clock, live, daemon, WINDOW)
    }

    /// [`Experiments::open`] that remembers another number of ids, unless a checkpoint says it.
    pub fn open_with_window(
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        live: Live<ExperimentsRules>,
        daemon: Live<DaemonRules>,
        window: usize,
    ) -> anyhow::Result<Arc<Self>> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret)
            .map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
        let fresh = || ExperimentsView::new(Key(secret), window);
        let (kept, folded) = Kept::open(Journal::new(engine, STREAM), clock, fresh)?;
        let key = kept.lock().key();
        Ok(Arc::new(Self {
            live,
            daemon,
            kept,
            key,
            submitting: Mutex::new(()),
            folded,
        }))
    }

    /// How the start went.
    pub fn folded(&self) -> Folded {
        self.folded
    }

    /// State of the journal.
    pub fn health(&self) -> StreamHealth {
        self.kept.journal().health()
    }

    /// When an exposure counts as recorded, as `echopilot.json` says now.
    pub(super) fn exposure_durability(&self) -> Durability {
        self.daemon.get().rules.durability(EXPOSURES)
    }

    /// Saves the view. To be called once no request is left.
    pub fn close(&self) {
        self.kept.close();
    }

    /// See [`Experiments::submitting`].
    pub(super) fn submit(&self) -> MutexGuard<'_, ()> {
        self.submitting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the view by lines that storage took or refused; runs on the journal's writer thread.
    pub(super) fn committed(
        &self,
        outcome: &Result<Position, StorageError>,
        bytes: usize,
        change: impl FnOnce(&mut ExperimentsView, Option<u64>),
    ) {
        let mut view = self.kept.lock();
        match outcome {
            Ok(position) => {
                change(&mut view, Some(position.first));
                view.reached(position.last);
                drop(view);
                self.kept
                    .grew(position.last + 1 - position.first, bytes as u64);
            }
            Err(_) => change(&mut view, None),
        }
    }
}
