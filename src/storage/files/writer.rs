//! The one thread that writes a stream: it takes what has gathered, writes it with one call, syncs
//! once, updates the views, and tells everybody (rules L1 and L2).

use std::sync::Arc;
use std::time::Duration;

use super::reading::{self, Visible};
use super::room::{FAILED, FULL};
use super::segment::{Active, Env, put_all};
use super::stream::{self, Group, Stream};
use super::unseen::Recent;
use crate::seams::files::is_full;
use crate::storage::chain::Chain;
use crate::storage::engine::{Barred, Durability, Expect, Position, StorageError};
use crate::storage::replies::Outcome;
use crate::storage::times::Times;

/// How often an idle stream is looked after. Source: rule L15 of the reliability reference.
const TICK: Duration = Duration::from_secs(1);
/// Bytes acknowledged before they are synced that are kept in memory, at most: then a sync is made
/// early. They are what would have to be written again after a failed sync.
const UNSYNCED_MAX: usize = 16 << 20;
/// How often a batch is composed anew because somebody else wrote to the file in the same moment.
const UNTANGLE_MAX: u32 = 50;

/// After so many of them the file is left to whoever writes to it without pause.
const LEAVE_AT: u32 = 10;

/// Why lines are refused.
#[derive(Debug, Clone)]
pub(super) enum Refusal {
    Full,
    Failed(Arc<std::io::Error>),
    /// Another copy of this home took over; never lifts.
    Barred(Arc<Barred>),
}

/// The writer of one stream.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) stream: Arc<Stream>,
    pub(super) env: Arc<Env>,
    /// `None` while there is no segment that could be written to.
    pub(super) active: Option<Active>,
    /// Whether the end of the stream was found, and whatever has the active segment's name is ours.
    pub(super) recovered: bool,
    /// Where the next line goes.
    pub(super) chain: Chain,
    /// `seq` of the last line known to be on the medium.
    pub(super) synced: u64,
    /// What was written after that line: it is written again should a sync fail.
    pub(super) unsynced: Vec<u8>,
    /// Bytes of `unsynced` up to the end of its last own line.
    pub(super) unsynced_own: usize,
    /// When what is acknowledged must be on the medium, by [`crate::seams::clock::Clock::uptime`].
    pub(super) sync_due: Option<Duration>,
    pub(super) refusing: Option<Refusal>,
    /// `seq` of the first line in the file that has the active segment's name.
    pub(super) first_at_path: u64,
    /// When the latest lines were written.
    pub(super) recent: Recent,
    /// The refusal that [`super::room::Room`] has counted for this stream.
    pub(super) counted: Option<&'static str>,
    pub(super) last_try: Duration,
    /// The batch as it will be on disk.
    pub(super) buffer: Vec<u8>,
    /// The times of its lines.
    pub(super) batch_times: Times,
}

impl Writer {
    /// Works until the stream is closed.
    pub(super) fn run(mut self) {
        self.publish();
        loop {
            let work = self.stream.wait(self.patience());
            self.stream.begin_turn(self.env.clock.uptime());
            if work.groups.is_empty() {
                self.tick();
            } else {
                self.commit(work.groups);
            }
            self.sync_if_due();
            if work.closing {
                break;
            }
            self.stream.end_turn();
        }
        if !self.unsynced.is_empty() {
            self.sync_now();
        }
        self.save_unsynced();
        self.publish();
        self.stream.end();
    }

    fn patience(&self) -> Duration {
        let now = self.env.clock.uptime();
        let due = self.sync_due.map(|due| due.saturating_sub(now));
        // Never zero: a clock that stands still must not make this spin.
        due.unwrap_or(TICK).clamp(Duration::from_millis(1), TICK)
    }

    fn tick(&mut self) {
        if self.heed_fence().is_err() {
            // Nothing is sealed, begun or mended in a home that is another's now.
        } else if self.refusing.is_some() {
            self.try_again();
        } else if let Err(error) = self.look_at_path() {
            self.refuse(error);
        } else {
            self.rotate_if_due();
            self.heed_room();
        }
        self.publish();
        self.stream.announce(self.chain.seq());
    }

    fn commit(&mut self, groups: Vec<Group>) {
        if let Err(refusal) = self.prepare() {
            self.publish();
            let name = self.stream.name.clone();
            let refuse = |group| (group, Err(refusal.as_error(&name)));
            return stream::answer(groups.into_iter().map(refuse).collect(), || {});
        }
        let mut outcomes = Vec::with_capacity(groups.len());
        let mut stored = Err(Refusal::Failed(Arc::new(
            std::io::ErrorKind::ResourceBusy.into(),
        )));
        for attempt in 0..UNTANGLE_MAX {
            if attempt == LEAVE_AT
                && let Err(error) = self.leave_to_others()
            {
                stored = Err(self.refuse(error));
                break;
            }
            let before = self.chain.clone();
            outcomes.clear();
            self.compose(&groups, &mut outcomes, &before);
            let sync = self.must_sync(&groups, &outcomes);
            stored = match self.store(&before).and_then(|()| self.tangled(&before)) {
                // Taken back: nobody is told of it unless the next attempt succeeds.
                Ok(true) => continue,
                Ok(false) if sync => self.make_sure(),
                Ok(false) => Ok(()),
                Err(refusal) => Err(refusal),
            };
            if stored.is_err() {
                self.chain = before;
            }
            break;
        }
        if let Err(refusal) = stored {
            for outcome in &mut outcomes {
                *outcome = Err(refusal.as_error(&self.stream.name));
            }
        }
        self.publish();
        // After the write: whoever fenced this home before now may not have seen these lines.
        if let Err(refusal) = self.heed_fence() {
            for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_ok()) {
                *outcome = Err(refusal.as_error(&self.stream.name));
            }
        }
        let answers = groups.into_iter().zip(outcomes).collect();
        stream::answer(answers, || self.stream.announce(self.chain.seq()));
    }

    /// Gets ready to write: a segment that is where it should be, and room for more.
    fn prepare(&mut self) -> Result<(), Refusal> {
        self.heed_fence()?;
        if self.refusing.is_some() && self.may_try() {
            self.try_again();
        }
        if self.refusing.is_none() {
            self.heed_room();
        }
        if self.refusing.is_none() {
            match self.look_at_path() {
                Ok(()) => self.rotate_if_due(),
                Err(error) => drop(self.refuse(error)),
            }
        }
        self.refusing.clone().map_or(Ok(()), Err)
    }

    fn compose(&mut self, groups: &[Group], outcomes: &mut Vec<Outcome>, before: &Chain) {
        self.buffer.clear();
        self.batch_times = Times::NONE;
        if self.active.as_ref().is_some_and(|active| active.ragged) {
            // Somebody's last line lacks its end: ours must not be glued to it.
            self.buffer.push(b'\n');
            self.chain.foreign(b"\n");
        }
        for group in groups {
            let found = self.chain.seq();
            match group.expect {
                Expect::LastSeq(expected) if expected != found => {
                    outcomes.push(Err(StorageError::Moved {
                        stream: self.stream.name.clone(),
                        expected,
                        found,
                    }));
                    continue;
                }
                _ => {}
            }
            for (entry, members) in group.lines.iter() {
                self.chain.compose(&mut self.buffer, entry, members);
                self.batch_times.take(entry.at.timestamp_millis());
            }
            outcomes.push(Ok(Position {
                first: found + 1,
                last: self.chain.seq(),
            }));
        }
        if self.buffer == b"\n" {
            // Nothing of ours came after it: the next batch will end that line.
            self.buffer.clear();
            self.chain.clone_from(before);
        }
    }

    /// Whether somebody is promised more than the page cache; notes when the others are due.
    fn must_sync(&mut self, groups: &[Group], outcomes: &[Outcome]) -> bool {
        let mut now_needed = self.unsynced.len() + self.buffer.len() > UNSYNCED_MAX;
        let stream_wide = self.stream.options.durability;
        for (group, outcome) in groups.iter().zip(outcomes) {
            let asked = group
                .durability
                .map_or(stream_wide, |asked| asked.within(stream_wide));
            match asked {
                _ if outcome.is_err() => {}
                Durability::Os => {}
                Durability::Always => now_needed = true,
                Durability::Interval(span) => {
                    let due = self.env.clock.uptime() + span;
                    self.sync_due = Some(self.sync_due.map_or(due, |known| known.min(due)));
                }
            }
        }
        now_needed
    }

    /// Writes the batch. On an error the file is as before, or another one.
    fn store(&mut self, before: &Chain) -> Result<(), Refusal> {
        let Some(active) = self.active.as_mut() else {
            return Err(self.refuse(std::io::ErrorKind::NotFound.into()));
        };
        if !self.buffer.is_empty() {
            if let Err(error) = put_all(&mut *active.file, &self.buffer) {
                let cut = active.file.set_len(active.size);
                if cut.is_ok() && is_full(&error) {
                    return Err(self.refuse(error));
                }
                return self.replace_segment(&error);
            }
            let own = self.chain.seq() - before.seq();
            active.lines += own;
            active.times.go_on(&self.batch_times);
            active.ragged = false;
        }
        if let Some(active) = self.active.as_mut() {
            self.recent.wrote(active.size, self.env.clock.now());
            active.size += self.buffer.len() as u64;
        }
        if !self.buffer.is_empty() {
            self.unsynced.extend_from_slice(&self.buffer);
            self.unsynced_own = self.unsynced.len();
        }
        Ok(())
    }

    /// Syncs what was just written; on an error it is in another file, or taken back.
    fn make_sure(&mut self) -> Result<(), Refusal> {
        if self.unsynced.is_empty() {
            return Ok(());
        }
        let Err(error) = self.timed_sync() else {
            self.mark_synced();
            return Ok(());
        };
        let kept = self.unsynced.len().saturating_sub(self.buffer.len());
        self.store_elsewhere(&error, kept)
    }

    /// Begins a segment with what is not synced, the batch included; on an error only the first
    /// `kept` bytes of it are acknowledged.
    pub(super) fn store_elsewhere(
        &mut self,
        error: &std::io::Error,
        kept: usize,
    ) -> Result<(), Refusal> {
        // The batch is part of what is not synced already.
        self.buffer.clear();
        self.replace_segment(error)
            .inspect_err(|_| self.keep_unsynced(kept))
    }

    /// Forgets what was not synced after the first `kept` bytes of it.
    pub(super) fn keep_unsynced(&mut self, kept: usize) {
        self.unsynced.truncate(kept);
        self.unsynced_own = reading::last_own(&self.unsynced).map_or(0, |(_, _, end)| end);
    }

    /// Syncs the active segment; the slowest time is kept for health.
    pub(super) fn timed_sync(&mut self) -> std::io::Result<()> {
        let Some(active) = self.active.as_mut() else {
            return Err(std::io::ErrorKind::NotFound.into());
        };
        let begun = self.env.clock.uptime();
        active.file.sync_data()?;
        let took = self.env.clock.uptime().saturating_sub(begun);
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.stream
            .note(|health| health.slowest_sync_us = health.slowest_sync_us.max(took));
        Ok(())
    }

    /// Everything up to the chain's place is on the medium.
    pub(super) fn mark_synced(&mut self) {
        self.synced = self.chain.seq();
        // What others wrote after our last line stays: the next line covers it, wherever it goes.
        self.unsynced.drain(..self.unsynced_own);
        self.unsynced_own = 0;
        if !self.buffer.is_empty() {
            self.unsynced.clear();
        }
        self.sync_due = None;
    }

    fn sync_if_due(&mut self) {
        let now = self.env.clock.uptime();
        if self.sync_due.is_some_and(|due| due <= now) {
            self.sync_now();
        }
    }

    /// Syncs what is acknowledged already; a failure costs the segment, not the lines.
    pub(super) fn sync_now(&mut self) {
        self.buffer.clear();
        if self.active.is_none() {
            // They are kept until a segment can be begun, and are synced with it.
            self.sync_due = None;
            return;
        }
        if let Err(error) = self.timed_sync() {
            // The outcome is in the state; nobody waits for this sync.
            let _told_by_health = self.replace_segment(&error);
        } else {
            self.mark_synced();
        }
    }

    /// Lets readers and health see how things stand.
    pub(super) fn publish(&mut self) {
        let visible = self.active.as_ref().map(|active| Visible {
            first: active.first,
            size: active.size,
            inode: active.inode,
            times: Some(active.times),
            durable: active.size.saturating_sub(self.unsynced.len() as u64),
        });
        self.stream.show(visible);
        let refusing = self.refusing.as_ref().map(Refusal::code);
        self.stream.note(|health| {
            health.active_bytes = visible.map_or(0, |seen| seen.size);
            health.refusing = refusing;
        });
        self.env.room.count(self.counted, refusing);
        self.counted = refusing;
        if self.recovered && self.synced == self.chain.seq() {
            self.stream.set_anchor(self.synced, *self.chain.h());
        }
    }
}

impl Refusal {
    pub(super) fn of(error: std::io::Error) -> Self {
        if is_full(&error) {
            Self::Full
        } else {
            Self::Failed(error.into())
        }
    }

    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Full => FULL,
            Self::Failed(_) => FAILED,
            Self::Barred(why) => why.code(),
        }
    }

    pub(super) fn as_error(&self, stream: &str) -> StorageError {
        let stream = stream.to_owned();
        match self {
            Self::Full => StorageError::Full { stream },
            Self::Failed(source) => StorageError::Failed {
                stream,
                source: Arc::clone(source),
            },
            Self::Barred(why) => StorageError::Barred {
                stream,
                why: Arc::clone(why),
            },
        }
    }
}
