//! The verbs: list the journals, read a page of one, follow one. Bounds are kept here.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};

use super::batches::Batches;
use super::follow::Follower;
use super::page::{self, Ask, Page, Place};
use crate::base::names;
use crate::platform::lifecycle::Tasks;
use crate::platform::wiring::Wiring;
use crate::seams::clock::Clock;
use crate::storage::engine::{Engine, Mark, Seek, SegmentInfo, StorageError, StreamHealth};
use crate::storage::filter::Filter;
use crate::storage::line;

/// Pages read at once: each keeps a thread and a disk busy.
const READERS_MAX: usize = 2;
/// Clients that follow at once, each with a connection, a task and two pieces of 64 KiB.
pub(super) const FOLLOWERS_MAX: usize = 256;
/// Pieces that wait for a client.
const PIECES: usize = 1;

/// What is known of a journal.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) name: String,
    pub(super) segments: Vec<SegmentInfo>,
    /// Instant of its last line, as written there.
    pub(super) last_ts: Option<String>,
    /// `None` where no part of this version writes it.
    pub(super) health: Option<StreamHealth>,
}

/// Why something cannot be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogsError {
    /// There is no such journal.
    #[error("there is no journal `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What may have been meant.
        nearest: Option<String>,
        /// What there is.
        known: Vec<String>,
    },
    /// Every place is taken.
    #[error("{FOLLOWERS_MAX} clients follow already, more are not taken")]
    Crowded,
    /// It cannot be read.
    #[error("cannot read `{name}`")]
    Unreadable {
        /// The journal.
        name: String,
        #[source]
        source: StorageError,
    },
}

/// The journals, to be read.
#[derive(Debug)]
pub(super) struct Logs {
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    readers: Arc<Semaphore>,
    followers: Arc<Semaphore>,
    batches: Arc<Batches>,
}

impl Logs {
    pub(super) fn new(wiring: &Wiring) -> Self {
        Self {
            engine: Arc::clone(&wiring.engine),
            clock: Arc::clone(&wiring.clock),
            tasks: wiring.tasks.clone(),
            readers: Arc::new(Semaphore::new(READERS_MAX)),
            followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
            batches: Arc::default(),
        }
    }

    /// All journals, by name.
    pub(super) async fn list(&self) -> Result<Vec<Summary>, LogsError> {
        self.reading("logs", |engine| {
            let names = engine.streams().into_iter();
            names.map(|name| summary(engine, name)).collect()
        })
        .await
    }

    /// One page.
    pub(super) async fn page(&self, name: &str, mut ask: Ask) -> Result<Page, LogsError> {
        let stream = name.to_owned();
        // A number that is not there yet was lost with a restore or a power cut: who asks from it
        // goes on at the end, or would pass over what comes under it now.
        if let Some(health) = self.engine.health(name)
            && ask.from.after > health.last_seq
        {
            ask.from = Place {
                after: health.last_seq,
                skip: 0,
            };
        }
        self.reading(name, move |engine| page::read(engine, &stream, &ask))
            .await
    }

    /// Lines as they come, as server-sent events. `from` is where to begin; `None`: with what comes
    /// from now on.
    pub(super) fn follow(
        &self,
        name: &str,
        from: Option<Seek>,
        filter: Filter,
    ) -> Result<mpsc::Receiver<Bytes>, LogsError> {
        let last = match self.engine.health(name) {
            Some(health) => health.last_seq,
            None if self.engine.streams().iter().any(|known| known == name) => u64::MAX,
            None => return Err(self.unknown(name)),
        };
        let seats = Arc::clone(&self.followers).try_acquire_owned();
        let seat = seats.map_err(|_all_taken| LogsError::Crowded)?;
        // A number that is not there yet was lost with a power cut, or by a restore: what comes
        // under it now is news.
        let from = match from.unwrap_or(Seek::After(last)) {
            Seek::After(after) => Seek::After(after.min(last)),
            Seek::Within {
                after,
                since,
                until,
            } => Seek::Within {
                after: after.min(last),
                since,
                until,
            },
            since @ Seek::Since(_) => since,
        };
        let (out, pieces) = mpsc::channel(PIECES);
        let follower = Follower {
            engine: Arc::clone(&self.engine),
            clock: Arc::clone(&self.clock),
            batches: Arc::clone(&self.batches),
            stream: name.to_owned(),
            filter,
            from,
            out,
            stop: self.tasks.soft().clone(),
            seat,
        };
        self.tasks.spawn("log-follower", follower.run());
        Ok(pieces)
    }

    /// Reads on a thread where waiting is allowed.
    async fn reading<T: Send + 'static>(
        &self,
        name: &str,
        read: impl FnOnce(&dyn Engine) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, LogsError> {
        let readers = Arc::clone(&self.readers);
        let Ok(_place) = readers.acquire_owned().await else {
            return Err(self.failed(name, StorageError::Closed));
        };
        let engine = Arc::clone(&self.engine);
        let outcome = tokio::task::spawn_blocking(move || read(&*engine)).await;
        outcome
            .unwrap_or(Err(StorageError::Closed))
            .map_err(|error| self.failed(name, error))
    }

    fn failed(&self, name: &str, source: StorageError) -> LogsError {
        match source {
            StorageError::NoStream { .. } => self.unknown(name),
            source => LogsError::Unreadable {
                name: name.to_owned(),
                source,
            },
        }
    }

    fn unknown(&self, name: &str) -> LogsError {
        let known = self.engine.streams();
        let nearest = names::nearest(name, known.iter().map(String::as_str));
        LogsError::Unknown {
            name: name.to_owned(),
            nearest: nearest.map(str::to_owned),
            known,
        }
    }
}

fn summary(engine: &dyn Engine, name: String) -> Result<Summary, StorageError> {
    let segments = engine.segments(&name)?;
    let last = segments.last().map_or(0, |segment| segment.last);
    let mark = match last {
        0 => Mark::default(),
        last => engine.locate(&name, &Seek::After(last - 1))?,
    };
    let mut last_ts = None;
    engine.scan(&name, &mark, &mut |chunk| {
        for line in chunk.bytes.split(|byte| *byte == b'\n') {
            if let Some(own) = line::parse(line) {
                last_ts = String::from_utf8(own.ts.to_vec()).ok();
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(Summary {
        segments,
        last_ts,
        health: engine.health(&name),
        name,
    })
}
