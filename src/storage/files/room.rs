//! Room on the medium (rules L8 and L9): when to warn, when to refuse, when to accept again.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::seams::clock::Clock;
use crate::seams::files::{Files, Space};
use crate::storage::engine::Medium;

/// Below this share of the medium there is a warning. Source: rule L9 of the reliability reference.
const WARN_PERCENT: u64 = 10;
/// Below this share of the medium lines are refused. Source: rule L9.
const REFUSE_PERCENT: u64 = 2;
/// Below this many bytes lines are refused. Source: rule L9.
const REFUSE_BYTES: u64 = 64 << 20;
/// On a small medium the bound in bytes would be most of it: it is at most one part in this many.
const REFUSE_PART: u64 = 16;
/// Lines are accepted again at this many times the bound. Source: rule L9.
const LIFT_TIMES: u64 = 2;
/// How long a measurement of the room is good for.
const MEASURE_EVERY: Duration = Duration::from_millis(250);

/// Code of a stream that takes no lines for lack of room.
pub(super) const FULL: &str = "storage_full";
/// Code of a stream that takes no lines for any other reason.
pub(super) const FAILED: &str = "storage_failed";

/// How full the medium is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Enough.
    Ample,
    /// Less than ten per cent.
    Low,
    /// Too little to take what is not needed.
    Short,
}

/// Free bytes below which lines are refused, on a medium of `total` bytes.
pub(super) fn refuse_below(total: u64) -> u64 {
    let share = total / 100 * REFUSE_PERCENT;
    share.max(REFUSE_BYTES.min(total / REFUSE_PART))
}

fn level_of(space: Space) -> Level {
    if space.available < refuse_below(space.total) {
        Level::Short
    } else if space.available < space.total / 100 * WARN_PERCENT {
        Level::Low
    } else {
        Level::Ample
    }
}

/// Measures the room of one folder, and keeps a reserve to give away when it runs out.
#[derive(Debug)]
pub(super) struct Room {
    files: Arc<dyn Files>,
    clock: Arc<dyn Clock>,
    logs: PathBuf,
    reserve: PathBuf,
    reserve_bytes: u64,
    measured: Mutex<Option<(Duration, Level)>>,
    reserved: AtomicBool,
    low: AtomicBool,
    /// Streams that take no lines: for lack of room, and for other reasons.
    refusing: [AtomicU32; 2],
}

impl Room {
    pub(super) fn new(
        files: Arc<dyn Files>,
        clock: Arc<dyn Clock>,
        logs: PathBuf,
        reserve: PathBuf,
        reserve_bytes: u64,
    ) -> Self {
        Self {
            files,
            clock,
            logs,
            reserve,
            reserve_bytes,
            measured: Mutex::default(),
            reserved: AtomicBool::new(false),
            low: AtomicBool::new(false),
            refusing: Default::default(),
        }
    }

    /// One stream refuses by another code than before.
    pub(super) fn count(&self, before: Option<&'static str>, now: Option<&'static str>) {
        if before == now {
            return;
        }
        let place = |code: &str| &self.refusing[usize::from(code != FULL)];
        if let Some(code) = now {
            place(code).fetch_add(1, Ordering::Relaxed);
        }
        if let Some(code) = before {
            place(code).fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// How things stand, without a lock.
    pub(super) fn medium(&self) -> Medium {
        let [full, failed] = self
            .refusing
            .each_ref()
            .map(|streams| streams.load(Ordering::Relaxed) > 0);
        Medium {
            refusing: failed.then_some(FAILED).or(full.then_some(FULL)),
            low: self.low.load(Ordering::Relaxed),
        }
    }

    /// How full it is, as of a moment ago. What cannot be measured counts as ample: the write
    /// itself will tell.
    pub(super) fn level(&self) -> Level {
        let now = self.clock.uptime();
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, level)) = *measured
            && now.saturating_sub(at) < MEASURE_EVERY
            && now > Duration::ZERO
        {
            return level;
        }
        let level = self.files.space(&self.logs).map_or(Level::Ample, level_of);
        *measured = Some((now, level));
        self.low.store(level != Level::Ample, Ordering::Relaxed);
        level
    }

    /// Measured anew.
    pub(super) fn measure(&self) -> Level {
        *self.measured.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.level()
    }

    /// Whether there is so much room that lines may be accepted again.
    pub(super) fn lifts(&self) -> bool {
        self.files.space(&self.logs).map_or(true, |space| {
            space.available >= refuse_below(space.total) * LIFT_TIMES
        })
    }

    /// Gives the reserve away, so that what must still be written finds room.
    pub(super) fn spend_reserve(&self) {
        self.reserved.store(false, Ordering::Relaxed);
        // Not there, or not removable: there is nothing else to give away.
        let _nothing_to_give = self.files.remove(&self.reserve);
    }

    /// Makes the reserve where it is missing and there is ample room for it.
    pub(super) fn keep_reserve(&self) {
        if self.reserve_bytes == 0 || self.reserved.load(Ordering::Relaxed) {
            return;
        }
        let Ok(space) = self.files.space(&self.logs) else {
            return;
        };
        // On a small medium a small reserve: it must not be what fills it.
        let size = self
            .reserve_bytes
            .min(space.total / REFUSE_PART / LIFT_TIMES);
        let floor = refuse_below(space.total) * LIFT_TIMES;
        if space.available < floor + size || level_of(space) != Level::Ample {
            return;
        }
        // Where the file system cannot reserve, the bounds above have to do.
        let made = self.files.reserve(&self.reserve, size).is_ok();
        self.reserved.store(made, Ordering::Relaxed);
    }
}
