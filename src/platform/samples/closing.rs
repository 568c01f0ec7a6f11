//! The store's own work beside the requests: rows are written when they are due, and hours and
//! days are closed.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use super::line::{self, Written};
use super::rows::minute_of;
use super::series::HOUR;
use super::state::Closed;
use super::store::{Inner, Samples};
use crate::storage::engine::{Durability, OnCommit, StorageError};
use crate::storage::lines::Lines;

/// How often the store looks whether rows are due.
const TICK: Duration = Duration::from_secs(1);
/// Looks after which it looks for hours to close too: once a minute.
const LOOKS_PER_CLOSING: u32 = 60;
/// How long an hour stays open after its end, so that stragglers find it so (our own choice; what
/// comes later makes another row).
const GRACE: TimeDelta = TimeDelta::minutes(5);

impl Samples {
    /// The store's own work. To be run as one task; ends when `stop` says so.
    pub async fn run(self, stop: CancellationToken) {
        let (mut looks, mut closed_at) = (0_u32, None);
        while stop
            .run_until_cancelled(self.inner.clock.sleep(TICK))
            .await
            .is_some()
        {
            self.inner.flush(false);
            looks += 1;
            if looks < LOOKS_PER_CLOSING && !self.inner.kept.lock().is_behind_wishes() {
                continue;
            }
            looks = 0;
            self.refill().await;
            let until = self.hours_until();
            // Once an hour, whichever way the clock went: what is late waits for the next.
            if closed_at != Some(until) {
                match self.close_hours().await {
                    Ok(_) => closed_at = Some(until),
                    Err(error) => tracing::warn!("cannot close hours of samples: {error}"),
                }
            }
        }
    }

    /// The first minute of the hour that is still open.
    fn hours_until(&self) -> u32 {
        minute_of(self.inner.clock.now() - GRACE) / HOUR * HOUR
    }

    /// Writes the hours and days that have ended to their journal. Whether there was one.
    pub async fn close_hours(&self) -> Result<bool, StorageError> {
        let inner = &self.inner;
        let until = {
            let state = inner.kept.lock();
            if state.closing.is_some() || !state.open.is_due(self.hours_until()) {
                return Ok(false);
            }
            self.hours_until().max(state.closed.until)
        };
        // What a closing counts must not be lost to a power cut that leaves the closing.
        let owner = Arc::clone(inner);
        let begin: OnCommit = Box::new(move |outcome| {
            if let Ok(position) = outcome {
                let through = position.last;
                let closed = Closed { through, until };
                owner.kept.lock().begin_closing(closed);
                // It is not a line, and yet the next checkpoint must be written for it.
                owner.kept.grew(1, 0);
            }
        });
        let journal = inner.kept.journal();
        let barrier = journal.append(Lines::new(), Some(Durability::Always), Some(begin));
        barrier.await?;
        // A checkpoint that knows what is on its way makes the next start exact whatever happens.
        let owner = Arc::clone(inner);
        if tokio::task::spawn_blocking(move || owner.kept.save())
            .await
            .is_err()
        {
            tracing::error!("saving a checkpoint of samples has panicked");
        }
        let Some(lines) = inner.closing_lines() else {
            return Ok(false);
        };
        let (count, bytes) = (lines.len(), lines.bytes());
        let owner = Arc::clone(inner);
        let end: OnCommit = Box::new(move |outcome| {
            let mut state = owner.kept.lock();
            match outcome {
                Ok(position) => {
                    state.end_closing();
                    owner.tiers.lock().set(state.closed, position.last);
                    drop(state);
                    owner.kept.grew(1, 0);
                    owner.tiers.grew(count as u64, bytes as u64);
                }
                Err(_) => state.abort_closing(),
            }
        });
        let written = inner.tiers.journal().append(lines, None, Some(end));
        written.await.map(|_| true)
    }
}

impl Inner {
    fn closing_lines(&self) -> Option<Lines> {
        let state = self.kept.lock();
        let (closed, open) = state.closing.as_ref()?;
        let (mut hours, mut days) = (Written::default(), Written::default());
        for (number, mut row) in open.hours() {
            let series = state.series().get(number as usize)?;
            row.series.clone_from(&series.name);
            hours.tier(&row, &series.source);
        }
        for (number, mut row) in open.whole_days(closed.until).days() {
            let series = state.series().get(number as usize)?;
            row.series.clone_from(&series.name);
            days.tier(&row, &series.source);
        }
        let at = self.clock.now();
        Some(line::closed(
            at,
            (closed.through, closed.until),
            &hours,
            &days,
        ))
    }
}
