//! The store as those see it who hand rows over, and as it is opened and closed.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::line::{self, STREAM, TIERS};
use super::pending::Pending;
use super::rows::{Rows, minute_of};
use super::series::Wish;
use super::splits::Splits;
use super::state::{Event, State};
use super::tiers::{self, LastClosed};
use crate::seams::clock::Clock;
use crate::storage::engine::{Durability, Engine, OnCommit, Position, StorageError, StreamOptions};
use crate::storage::journal::Journal;
use crate::storage::view::{Checkpoint, Kept};

/// Minutes that a sample may be ahead of our clock: clocks of one machine and its neighbours agree
/// far better, and a row of next year would push real ones out (our own choice).
const MINUTES_AHEAD: u32 = 5;

/// Series at most; rows of further ones are refused. A light one takes some 10 kB (our own choice).
const MOST_SERIES: usize = 2_000;

/// What nobody waits for is on the medium within this time: a power cut takes no more than a kill.
const ON_THE_MEDIUM: Durability = Durability::Interval(Duration::from_secs(1));

/// What became of a commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// Samples that were not taken: too far in the future, or of one series too many.
    pub refused: u64,
    /// Whether the id was known: nothing has been counted again.
    pub repeated: bool,
}

/// The outcome of a commit, to be awaited. Dropping it does not take the commit back.
pub type Committing = Pin<Box<dyn Future<Output = Result<Committed, StorageError>> + Send>>;

/// The one store for samples. Cloning it gives another handle of the same.
#[derive(Debug, Clone)]
pub struct Samples {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) kept: Kept<State>,
    pub(super) tiers: Kept<LastClosed>,
    /// Always locked before the view, never the other way round.
    pending: Mutex<Pending>,
    splits: Splits,
}

impl Samples {
    /// Opens the journals of samples, each with `options` of its name, and works out what they
    /// mean.
    pub fn open(
        engine: &Arc<dyn Engine>,
        clock: &Arc<dyn Clock>,
        options: impl Fn(&str) -> StreamOptions,
    ) -> Result<Self, StorageError> {
        for stream in [STREAM, TIERS] {
            engine.open(stream, options(stream))?;
        }
        let journal = Journal::new(Arc::clone(engine), TIERS);
        let (tiers, _) = Kept::open(journal, Arc::clone(clock), LastClosed::default)?;
        let mut kept = open_view(engine, clock)?;
        if !agree(&kept, &tiers) {
            // The checkpoint is older than the last closing and does not know how far that went.
            kept.close();
            let name = Checkpoint::<State>::file_name(STREAM);
            let void = engine.save_derived(&name, b"void\n");
            tracing::warn!("hours of `{STREAM}` are counted anew: {void:?}");
            kept = open_view(engine, clock)?;
        }
        Ok(Self {
            inner: Arc::new(Inner {
                clock: Arc::clone(clock),
                kept,
                tiers,
                pending: Mutex::default(),
                splits: Splits::default(),
            }),
        })
    }

    /// Counts rows that may be lost when the process is killed before the next flush of `source`,
    /// see [`Samples::flush_every`]. They are visible at once. Gives the samples that were refused
    /// because they lie more than five minutes ahead of our clock.
    pub fn add(&self, source: &str, mut rows: Rows) -> u64 {
        let refused = self.refuse(&mut rows);
        let uptime = self.inner.clock.uptime();
        let mut pending = self.inner.pending();
        pending.refused = pending.refused.saturating_add(refused);
        pending.add(source, rows, uptime);
        refused
    }

    /// Good and bad requests by what a flag was to them.
    pub fn splits(&self) -> &Splits {
        &self.inner.splits
    }

    /// Rows that `source` adds are written when they are this old; one second where nothing is
    /// said. A source with few samples a minute should write each minute once.
    pub fn flush_every(&self, source: &str, age: Duration) {
        self.inner.pending().set_age(source, age);
    }

    /// Counts rows together with how far `source` has read, and with the id of the push: all of it
    /// or nothing, visible once it is in the journal. An id that is known counts nothing again.
    /// With an id, the outcome means that the rows are as durable as the journal is; without, they
    /// outlive a kill, and a power cut takes back the position with them.
    pub fn commit(
        &self,
        source: &str,
        mut rows: Rows,
        position: Option<Value>,
        id: Option<&str>,
    ) -> Committing {
        let refused = self.refuse(&mut rows);
        let inner = &self.inner;
        if let Some(id) = id {
            let mut pending = inner.pending();
            let known = inner.kept.lock().has_seen(id);
            if known || !pending.begin_id(id) {
                drop(pending);
                let before = inner.kept.journal().barrier(None);
                let committed = Committed {
                    refused: 0,
                    repeated: true,
                };
                return Box::pin(async move { before.await.map(|_| committed) });
            }
        }
        inner.pending().refused += refused;
        let at = inner.clock.now();
        let lines = line::counted(at, source, rows.iter(), position.as_ref(), id);
        let event = Event {
            seq: 0,
            source: source.into(),
            position,
            id: id.map(Into::into),
            rows: rows.into_list(),
        };
        let (count, bytes) = (lines.len(), lines.bytes());
        let owner = Arc::clone(inner);
        let on_commit: OnCommit = Box::new(move |outcome| {
            let mut pending = owner.pending();
            if let Some(id) = &event.id {
                pending.end_id(id);
            }
            owner.apply(outcome, event, (count, bytes));
            drop(pending);
        });
        let durability = if id.is_some() {
            None
        } else {
            Some(ON_THE_MEDIUM)
        };
        let appended = inner
            .kept
            .journal()
            .append(lines, durability, Some(on_commit));
        let committed = Committed {
            refused,
            repeated: false,
        };
        Box::pin(async move { appended.await.map(|_| committed) })
    }

    /// Keeps minutes of `series` for 72 hours rather than two, and for each threshold in
    /// microseconds how many samples took longer, for as long as counts are kept. What has been
    /// kept once stays. For a series that has been counted already, the store reads its past again;
    /// that is there some seconds later.
    pub fn keep_fine(&self, series: &str, thresholds_us: &[u64]) {
        let wish = Wish::of(thresholds_us);
        self.inner.kept.lock().wish(series, wish);
    }

    /// Hands everything that has been added to the journal now.
    pub fn flush(&self) {
        self.inner.flush(true);
    }

    /// The same, and ends when all of it is there or storage has refused it.
    pub async fn flushed(&self) -> Result<(), StorageError> {
        self.inner.flush(true);
        self.inner.kept.journal().barrier(None).await.map(|_| ())
    }

    /// Writes what is left and saves what makes the next start quick.
    pub fn close(&self) {
        self.inner.flush(true);
        let (done, ended) = mpsc::channel();
        let on_commit: OnCommit = Box::new(move |_| {
            // An error means that nobody waits any more.
            let _ended = done.send(());
        });
        let journal = self.inner.kept.journal();
        drop(journal.append(crate::storage::lines::Lines::new(), None, Some(on_commit)));
        // The engine calls back in every case; an error means that it is gone.
        let _told = ended.recv();
        self.inner.kept.close();
        self.inner.tiers.close();
    }

    /// Takes out what may not be counted.
    fn refuse(&self, rows: &mut Rows) -> u64 {
        let newest = newest_minute(self.inner.clock.now());
        let mut refused = rows.refuse(|row| row.minute > newest);
        let state = self.inner.kept.lock();
        if state.series().len() >= MOST_SERIES {
            let over = rows.refuse(|row| state.find(&row.series).is_none());
            refused = refused.saturating_add(over);
        }
        refused
    }
}

fn newest_minute(now: DateTime<Utc>) -> u32 {
    minute_of(now).saturating_add(MINUTES_AHEAD)
}

fn open_view(
    engine: &Arc<dyn Engine>,
    clock: &Arc<dyn Clock>,
) -> Result<Kept<State>, StorageError> {
    let journal = Journal::new(Arc::clone(engine), STREAM);
    let failed = Cell::new(None);
    let fresh = || {
        tiers::seed(&**engine, |_| Some(Wish::default())).unwrap_or_else(|error| {
            failed.set(Some(error));
            State::default()
        })
    };
    let (kept, _) = Kept::open(journal, Arc::clone(clock), fresh)?;
    match failed.take() {
        Some(error) => {
            kept.close();
            Err(error)
        }
        None => Ok(kept),
    }
}

/// Whether the view knows of the last closing, or can be told of it.
fn agree(kept: &Kept<State>, tiers: &Kept<LastClosed>) -> bool {
    let last = tiers.lock().closed;
    let mut state = kept.lock();
    if state
        .closing
        .as_ref()
        .is_some_and(|(closed, _)| *closed == last)
    {
        state.end_closing();
    } else {
        state.abort_closing();
    }
    last.through <= state.closed.through && last.until <= state.closed.until
}

impl Inner {
    pub(super) fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the rows of those sources that are due, or of all.
    pub(super) fn flush(self: &Arc<Self>, all: bool) {
        let due = self.pending().due(self.clock.uptime(), all);
        for source in due {
            self.write(&source);
        }
    }

    fn write(self: &Arc<Self>, source: &str) {
        let at = self.clock.now();
        let (ticket, lines) = {
            let mut pending = self.pending();
            let Some((ticket, rows)) = pending.begin(source) else {
                return;
            };
            (ticket, line::counted(at, source, rows.iter(), None, None))
        };
        let (count, bytes) = (lines.len(), lines.bytes());
        let owner = Arc::clone(self);
        let on_commit: OnCommit = Box::new(move |outcome| {
            let mut pending = owner.pending();
            let Some((source, rows)) = pending.end(ticket) else {
                return;
            };
            if outcome.is_err() {
                pending.add(&source, rows, owner.clock.uptime());
                return;
            }
            let event = Event {
                source,
                rows: rows.into_list(),
                ..Event::default()
            };
            // Under both locks: nobody sees the rows twice, and nobody misses them.
            owner.apply(outcome, event, (count, bytes));
            drop(pending);
        });
        // The outcome reaches us through the callback; nobody waits for this future.
        drop(
            self.kept
                .journal()
                .append(lines, Some(ON_THE_MEDIUM), Some(on_commit)),
        );
    }

    fn apply(
        &self,
        outcome: &Result<Position, StorageError>,
        mut event: Event,
        (lines, bytes): (usize, usize),
    ) {
        if let Ok(position) = outcome {
            event.seq = position.last;
            self.kept.lock().take(event);
            self.kept.grew(lines as u64, bytes as u64);
        }
    }
}
