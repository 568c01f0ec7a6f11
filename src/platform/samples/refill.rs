//! A series that is to be kept more closely than it has been is counted anew from the journals,
//! beside the commits that go on meanwhile.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::rows::Row;
use super::series::{Series, Wish};
use super::state::{Parser, State};
use super::store::{Inner, Samples};
use super::tiers;
use crate::storage::engine::{Mark, StorageError};
use crate::storage::view::View as _;

/// Series by name, and how closely they are to be kept.
type Wishes = HashMap<Box<str>, Wish>;

/// What came while series are counted anew.
#[derive(Debug)]
pub(super) struct Refilling {
    wishes: Wishes,
    /// The last line that is read; what comes after it is in `rows`.
    end: u64,
    rows: Vec<(u64, Row)>,
}

impl Refilling {
    /// Takes note of a row of line `seq`.
    pub(super) fn push(&mut self, seq: u64, row: Row) {
        if self.wishes.contains_key(&row.series) {
            self.rows.push((seq, row));
        }
    }
}

impl State {
    /// Adds a wish; a new series is kept like that from the start.
    pub(super) fn wish(&mut self, series: &str, wish: Wish) {
        self.wishes.entry(series.into()).or_default().add(wish);
    }

    /// Whether a series is not kept as closely as it is wished for.
    pub(super) fn is_behind_wishes(&self) -> bool {
        let mut wishes = self.wishes.iter();
        wishes.any(|(name, wish)| self.find(name).is_some_and(|one| !one.wish.covers(wish)))
    }

    /// What has to be counted anew, and up to which line; the rows after it are remembered.
    fn begin_refill(&mut self) -> Option<(Wishes, u64)> {
        let behind = self.wishes.iter().filter_map(|(name, wish)| {
            let series = self.find(name).filter(|one| !one.wish.covers(wish))?;
            let mut both = series.wish.clone();
            both.add(wish.clone());
            Some((name.clone(), both))
        });
        let wishes: Wishes = behind.collect();
        let end = self.last_seq();
        self.refilling = (!wishes.is_empty()).then(|| Refilling {
            wishes: wishes.clone(),
            end,
            rows: Vec::new(),
        });
        self.refilling.as_ref().map(|one| (wishes, one.end))
    }

    /// Takes over the series that have been counted anew.
    fn end_refill(&mut self, mut anew: Self) {
        let Some(refilling) = self.refilling.take() else {
            return;
        };
        for (seq, row) in refilling.rows {
            anew.take_row(seq, "", row);
        }
        for (name, wish) in refilling.wishes {
            let number = self.number(&name, "");
            let Some(old) = self.series_mut(number) else {
                continue;
            };
            let fresh = || Series::new(&name, "", wish.clone());
            let mut new = anew.find(&name).cloned().unwrap_or_else(fresh);
            new.source = std::mem::take(&mut old.source);
            new.first = new.first.min(old.first);
            new.last = new.last.max(old.last);
            *old = new;
        }
    }
}

impl Samples {
    /// Counts series anew that are to be kept more closely than they have been.
    pub async fn refill(&self) {
        let begun = self.inner.kept.lock().begin_refill();
        let Some((wishes, end)) = begun else { return };
        let inner = Arc::clone(&self.inner);
        let refilled = tokio::task::spawn_blocking(move || inner.refill(wishes, end)).await;
        match refilled {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("cannot read the past of series: {error}"),
            Err(_) => tracing::error!("reading the past of series has panicked"),
        }
        self.inner.kept.lock().refilling = None;
    }
}

impl Inner {
    fn refill(&self, wishes: Wishes, end: u64) -> Result<(), StorageError> {
        let journal = self.kept.journal();
        let mut anew = tiers::seed(journal.engine(), |series| wishes.get(series).cloned())?;
        anew.wishes = wishes;
        let mut parser = Parser::default();
        journal.scan(&Mark::default(), &mut |chunk| {
            for text in chunk.bytes.split(|byte| *byte == b'\n') {
                let Some(event) = parser.take(text).ok().flatten() else {
                    continue;
                };
                if event.seq > end {
                    return ControlFlow::Break(());
                }
                for row in event.rows {
                    if anew.wishes.contains_key(&row.series) {
                        anew.take_row(event.seq, &event.source, row);
                    }
                }
            }
            ControlFlow::Continue(())
        })?;
        self.kept.lock().end_refill(anew);
        Ok(())
    }
}
