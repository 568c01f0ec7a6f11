//! What a task should do now, as a pure question: its rules, what has been dealt with, the time.
//!
//! A *slot* is a due time on the wall clock. It is dealt with once: run, or skipped with a record.
//! What is kept is the highest slot dealt with, which slots below it never ran (*holes*, left by a
//! clock that jumped ahead), and how often the clock went back. From these follows that no slot
//! runs twice, whatever the clock does, and that a clock put right by NTP stops no watcher:
//! - ahead: the slots in between are missed; `once` runs the newest of them, late, for all;
//! - back, by the calendar: slots that ran do not run again; the next is the first that never did;
//! - back, by an interval: it goes on within two periods, a millisecond beside its old due times.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::rules::{Missed, TaskRules};

/// Slots of the past that are counted one by one; beyond, it is only known that there were as many.
/// A daily task for two years, or every minute for half a day (our own choice).
pub const MOST_COUNTED: u32 = 720;
/// Holes kept: each is one jump of the clock ahead, or one downtime (our own choice).
const MOST_HOLES: usize = 4;
/// Milliseconds by which due times after a step back may lie beside the old ones; more steps than
/// that, and the first ones are used again.
const MOST_SHIFT_MS: u32 = 1000;

/// When the slots of a task fall, by its cadence alone.
pub trait Slots {
    /// The first one after `at`; `None` when there is none.
    fn next_after(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>>;
    /// The last one not after `at`.
    fn last_at_or_before(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>>;
    /// How many there are after `after` and not after `until`; stops at `most`.
    fn count_between(&self, after: DateTime<Utc>, until: DateTime<Utc>, most: u32) -> u32;
    /// The span from slot to slot where they follow an interval; `None` by the calendar.
    fn interval(&self) -> Option<TimeDelta>;
}

/// What of a task has been dealt with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The highest slot dealt with; before there was one, when the task was first known.
    pub high: DateTime<Utc>,
    /// Below `high`: pairs of instants between which no slot has run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holes: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    /// Since the clock went back behind `high`: the last slot of an interval, or when it went back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<DateTime<Utc>>,
}

/// A slot that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueSlot {
    /// The slot.
    pub at: DateTime<Utc>,
    /// How many earlier ones it stands for, [`MOST_COUNTED`] being "at least".
    pub missed: u32,
    /// Whether it was not seen in time: nothing ran, or the clock jumped.
    pub is_late: bool,
    /// Whether it is only to be recorded.
    pub is_dropped: bool,
}

/// What is due, and when to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The slot to deal with now.
    pub due: Option<DueSlot>,
    /// When the next one is due, its jitter included; `None` = never.
    pub next: Option<DateTime<Utc>>,
}

impl Progress {
    /// Nothing dealt with yet; slots up to `known` are not ours.
    pub const fn since(known: DateTime<Utc>) -> Self {
        Self {
            high: known,
            holes: Vec::new(),
            behind: None,
        }
    }

    /// Takes note that `slot` is dealt with, and `missed` earlier ones with it.
    pub fn deal(&mut self, slot: DateTime<Utc>, missed: u32) {
        let is_known = |hole: &(DateTime<Utc>, _)| hole.0 == slot;
        if slot == self.high || self.behind == Some(slot) || self.holes.iter().any(is_known) {
            return;
        }
        if slot > self.high {
            if missed > 0 {
                if self.holes.len() == MOST_HOLES {
                    self.holes.remove(0);
                }
                self.holes.push((self.high, slot));
            }
            self.high = slot;
            self.behind = None;
            return;
        }
        match self
            .holes
            .iter_mut()
            .find(|(low, high)| *low < slot && slot < *high)
        {
            Some(hole) => hole.0 = slot,
            None => self.behind = Some(slot),
        }
    }

    /// Leaves out every slot up to `now`: the task was not meant to run.
    pub fn forgo(&mut self, now: DateTime<Utc>) {
        self.high = self.high.max(now);
        for hole in &mut self.holes {
            hole.0 = hole.0.max(now.min(hole.1));
        }
        self.went_back(now);
    }

    /// Takes note that the clock went back, to `now`.
    pub fn went_back(&mut self, now: DateTime<Utc>) {
        self.behind = (now < self.high).then_some(now);
    }
}

/// What is due at `now`, the clock having gone back `backs` times so far.
pub fn look(rules: &TaskRules, progress: &Progress, backs: u32, now: DateTime<Utc>) -> Look {
    let seen = now - rules.jitter;
    let due = find_due(rules, progress, backs, seen);
    let next = match due {
        // There may be more of them, or what the slot stands for goes on being counted.
        Some(due) => {
            let mut after = progress.clone();
            after.deal(due.at, due.missed);
            next_slot(rules, &after, backs, seen)
        }
        None => next_slot(rules, progress, backs, seen),
    };
    Look {
        due,
        next: next.map(|slot| slot + rules.jitter),
    }
}

fn find_due(
    rules: &TaskRules,
    progress: &Progress,
    backs: u32,
    seen: DateTime<Utc>,
) -> Option<DueSlot> {
    if seen >= progress.high {
        return missed_or_due(rules, progress.high, seen);
    }
    if let Some(interval) = rules.slots.interval() {
        if !is_far_behind(rules, progress, interval, seen) {
            return None;
        }
        let shift = shift(backs);
        let from = progress.behind.unwrap_or(seen);
        let slot = rules.slots.last_at_or_before(seen - shift)? + shift;
        return (slot > from).then(|| {
            let count = rules
                .slots
                .count_between(from - shift, slot - shift, MOST_COUNTED);
            due_slot(rules, slot, count.saturating_sub(1), seen)
        });
    }
    let slot = rules.slots.last_at_or_before(seen)?;
    let (low, _) = *hole_with(progress, slot)?;
    missed_or_due(rules, low, seen)
}

/// The slot to deal with of those after `dealt` and up to `seen`.
fn missed_or_due(rules: &TaskRules, dealt: DateTime<Utc>, seen: DateTime<Utc>) -> Option<DueSlot> {
    let newest = rules
        .slots
        .last_at_or_before(seen)
        .filter(|slot| *slot > dealt)?;
    let within = |slot: DateTime<Utc>| rules.missed_window.is_none_or(|span| seen - slot <= span);
    if rules.missed == Missed::All {
        let from = rules.missed_window.map_or(dealt, |span| {
            dealt.max(seen - span - TimeDelta::milliseconds(1))
        });
        let oldest = rules.slots.next_after(from).unwrap_or(newest).min(newest);
        let count = rules.slots.count_between(dealt, oldest, MOST_COUNTED);
        let mut due = due_slot(rules, oldest, count.saturating_sub(1), seen);
        due.is_dropped = due.is_late && !within(oldest);
        return Some(due);
    }
    let count = rules.slots.count_between(dealt, newest, MOST_COUNTED);
    let mut due = due_slot(rules, newest, count.saturating_sub(1), seen);
    due.is_dropped = due.is_late && (rules.missed == Missed::Skip || !within(newest));
    Some(due)
}

fn due_slot(rules: &TaskRules, at: DateTime<Utc>, missed: u32, seen: DateTime<Utc>) -> DueSlot {
    DueSlot {
        at,
        missed,
        is_late: seen - at > rules.late_after,
        is_dropped: false,
    }
}

/// The first slot that is to come and has not run.
fn next_slot(
    rules: &TaskRules,
    progress: &Progress,
    backs: u32,
    seen: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    if seen >= progress.high {
        return rules.slots.next_after(progress.high);
    }
    if let Some(interval) = rules.slots.interval() {
        if is_far_behind(rules, progress, interval, seen) {
            let shift = shift(backs);
            let from = progress.behind.map_or(seen, |dealt| dealt.max(seen));
            return Some(rules.slots.next_after(from - shift)? + shift);
        }
        return rules.slots.next_after(progress.high);
    }
    let next = rules.slots.next_after(seen)?;
    if next > progress.high || hole_with(progress, next).is_some() {
        return Some(next);
    }
    // The next hole that a slot to come lies in, or else what follows all that ran.
    let coming = progress.holes.iter().filter_map(|(low, high)| {
        let slot = rules.slots.next_after((*low).max(seen))?;
        (slot < *high).then_some(slot)
    });
    coming
        .min()
        .or_else(|| rules.slots.next_after(progress.high))
}

/// Whether the clock is so far behind what ran that an interval cannot wait for it to catch up.
fn is_far_behind(
    rules: &TaskRules,
    progress: &Progress,
    interval: TimeDelta,
    seen: DateTime<Utc>,
) -> bool {
    rules
        .slots
        .next_after(progress.high)
        .is_some_and(|next| next - seen > interval * 2)
}

fn hole_with(progress: &Progress, slot: DateTime<Utc>) -> Option<&(DateTime<Utc>, DateTime<Utc>)> {
    progress
        .holes
        .iter()
        .find(|(low, high)| *low < slot && slot < *high)
}

fn shift(backs: u32) -> TimeDelta {
    TimeDelta::milliseconds(i64::from(backs % MOST_SHIFT_MS))
}
