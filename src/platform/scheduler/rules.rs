//! The rules a task runs by: its own defaults, and what `configs/tasks.json` says instead.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::plan::Slots;
use super::task::{DefaultCadence, Retries, Task};
use crate::base::calendar::{Cadence, Cron, Span, Zone};

/// A task is late half a period after it was due, but never sooner than this: shorter delays are
/// those of a busy machine (our own choice).
const LATE_AT_LEAST: TimeDelta = TimeDelta::seconds(30);
/// … and never later than this: a daily task that has not begun by then will not (our own choice).
const LATE_AT_MOST: TimeDelta = TimeDelta::minutes(5);
/// Past slots that `all` makes up for where nothing is said: those of a day (our own choice).
const ALL_WINDOW: TimeDelta = TimeDelta::days(1);
/// Runs at one time where nothing is said: enough that slow ones do not hold up the others, few
/// enough for one thread and two cores (our own choice).
pub const DEFAULT_MOST_RUNNING: usize = 16;
/// From this period on the first failed run is worth an alert, because the next try is far away.
const RARE: TimeDelta = TimeDelta::hours(1);
/// Failed runs in a row that are worth an alert where the next try is near (our own choice).
const FAILURES: u32 = 3;

/// What becomes of slots that passed while nothing ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missed {
    /// One run for all of them, at once.
    #[default]
    Once,
    /// None; a record says so.
    Skip,
    /// One run each, oldest first, for those within the window.
    All,
}

/// What becomes of a slot that comes while the run before is still going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// Nothing; a record says so.
    #[default]
    Skip,
    /// It follows at once; of several, the latest.
    Latest,
}

/// What `configs/tasks.json` says of one task; what it leaves out stays as the task has it.
#[derive(Debug, Clone, Default)]
pub struct Override {
    /// When it is due, and that cadence in words.
    pub cadence: Option<Cadence>,
    /// Whether it is not to run.
    pub is_paused: bool,
    /// Spread of its start.
    pub jitter: Option<Duration>,
    /// Bound of a run with all its tries.
    pub timeout: Option<Duration>,
    /// What becomes of missed slots.
    pub missed: Option<Missed>,
    /// How old a missed slot may be to be run still.
    pub missed_window: Option<Duration>,
    /// What becomes of overlapping slots.
    pub overlap: Option<Overlap>,
    /// When a start counts as late.
    pub late_after: Option<Duration>,
    /// When a run counts as too long.
    pub slow_after: Option<Duration>,
}

/// All of `configs/tasks.json`.
#[derive(Debug, Clone)]
pub struct LoopRules {
    /// Runs at one time.
    pub most_running: usize,
    /// By task, under its name or an alias.
    pub tasks: BTreeMap<String, Override>,
}

impl Default for LoopRules {
    fn default() -> Self {
        Self {
            most_running: DEFAULT_MOST_RUNNING,
            tasks: BTreeMap::new(),
        }
    }
}

impl LoopRules {
    /// What is said of `task`: under its name, else under an alias.
    pub fn of(&self, task: &dyn Task) -> Option<&Override> {
        std::iter::once(task.name())
            .chain(task.aliases().iter().copied())
            .find_map(|name| self.tasks.get(name))
    }
}

/// Slots that can be shared.
pub type SharedSlots = Arc<dyn Slots + Send + Sync>;

/// The rules of one task.
#[derive(Clone)]
pub struct TaskRules {
    /// When its slots fall.
    pub slots: SharedSlots,
    /// Its cadence in words, the zone not included.
    pub cadence: String,
    /// The zone of its calendar; `UTC` for intervals.
    pub zone: String,
    /// How much later than its slot it starts: always the same for one task.
    pub jitter: TimeDelta,
    /// Whether `configs/tasks.json` pauses it.
    pub is_paused: bool,
    /// What becomes of missed slots.
    pub missed: Missed,
    /// How old a missed slot may be.
    pub missed_window: Option<TimeDelta>,
    /// What becomes of overlapping slots.
    pub overlap: Overlap,
    /// Bound of a run with all its tries.
    pub timeout: Duration,
    /// When a start counts as late.
    pub late_after: TimeDelta,
    /// When a run counts as too long.
    pub slow_after: Duration,
    /// Failed runs in a row that are worth an alert.
    pub failures: u32,
    /// How often a failed run is tried again.
    pub retries: Retries,
}

impl Debug for TaskRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.cadence, self.zone)
    }
}

impl TaskRules {
    /// The rules of `task` with what `over` says instead.
    pub fn of(task: &dyn Task, over: Option<&Override>, now: DateTime<Utc>) -> Self {
        let plain = Override::default();
        let over = over.unwrap_or(&plain);
        let cadence = over.cadence.clone().unwrap_or_else(|| usual(task));
        let period = period(&cadence, now);
        let timeout = over.timeout.unwrap_or_else(|| task.limit());
        let missed = over.missed.unwrap_or_default();
        let all = (missed == Missed::All).then_some(ALL_WINDOW);
        Self {
            jitter: over
                .jitter
                .map_or(TimeDelta::zero(), |most| jitter(task.name(), most)),
            cadence: words(&cadence),
            zone: cadence.zone().name().to_owned(),
            slots: Arc::new(cadence),
            is_paused: over.is_paused,
            missed,
            missed_window: over.missed_window.map(delta).or(all),
            overlap: over.overlap.unwrap_or_default(),
            timeout,
            late_after: over
                .late_after
                .map_or_else(|| (period / 2).clamp(LATE_AT_LEAST, LATE_AT_MOST), delta),
            slow_after: over.slow_after.unwrap_or(timeout / 2),
            failures: if period >= RARE { 1 } else { FAILURES },
            retries: task.retries(),
        }
    }
}

/// The cadence that a task has by itself.
fn usual(task: &dyn Task) -> Cadence {
    match task.cadence() {
        DefaultCadence::Every(span) => Cadence::every(Span::secs(span.as_secs().max(1))),
        DefaultCadence::Cron { cron, zone } => Cron::parse(cron)
            .and_then(|cron| Zone::parse(zone).map(|zone| Cadence::cron(cron, zone))),
    }
    .unwrap_or_else(|error| {
        // Only a bug of ours writes one that cannot be read; the other tasks go on.
        tracing::error!("task `{}` has no cadence: {error}", task.name());
        Cadence::fixed("0 0 1 1 *")
    })
}

/// The cadence in words, without its zone.
fn words(cadence: &Cadence) -> String {
    let whole = cadence.to_string();
    let zone = cadence.zone().name();
    match whole.strip_suffix(zone) {
        Some(bare) => bare.trim_end().to_owned(),
        None => whole,
    }
}

/// The span from the next slot to the one after it.
fn period(cadence: &Cadence, now: DateTime<Utc>) -> TimeDelta {
    let next = cadence.next_after(now);
    let after = next.and_then(|next| cadence.next_after(next));
    next.zip(after)
        .map_or(LATE_AT_MOST * 2, |(next, after)| after - next)
}

/// How much later than its slot the task `name` starts, of at most `most`: the same each time, so
/// that its runs keep their distance, and different for each task.
fn jitter(name: &str, most: Duration) -> TimeDelta {
    let digest = Sha256::digest(name);
    let share = u64::from_be_bytes(*digest.first_chunk().unwrap_or(&[0; 8]));
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    delta(Duration::from_millis(if most == 0 {
        0
    } else {
        share % most
    }))
}

/// A span as the calendar counts; longer ones than it knows are its longest.
fn delta(span: Duration) -> TimeDelta {
    TimeDelta::from_std(span).unwrap_or(TimeDelta::MAX)
}

impl Slots for Cadence {
    fn next_after(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        Cadence::next_after(self, at)
    }

    fn last_at_or_before(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        Cadence::last_at_or_before(self, at)
    }

    fn count_between(&self, after: DateTime<Utc>, until: DateTime<Utc>, most: u32) -> u32 {
        if self.interval().is_some() {
            let count = self.fires_between(after, until, 0).count;
            return u32::try_from(count).unwrap_or(u32::MAX).min(most);
        }
        let slots = self.fires_after(after).take_while(|slot| *slot <= until);
        u32::try_from(slots.take(most as usize).count()).unwrap_or(most)
    }

    fn interval(&self) -> Option<TimeDelta> {
        Cadence::interval(self).map(Span::as_delta)
    }
}
