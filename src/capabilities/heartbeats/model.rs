//! What a heartbeat is: signals that jobs send, and what is known of each job.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::calendar::Cadence;
use crate::platform::alerts::Severity;

/// What a job says with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// It has done its work.
    Success,
    /// It begins.
    Start,
    /// It could not do its work.
    Fail,
    /// A note that changes nothing.
    Log,
    /// It ended with an exit code; 0 is a success, every other one a failure.
    Exit,
}

impl Signal {
    /// How a run ended, with the exit code that came with the signal: `Some(true)` for a success;
    /// `None` where nothing ended.
    pub fn outcome(self, exit_code: Option<u8>) -> Option<bool> {
        match self {
            Self::Success => Some(true),
            Self::Fail => Some(false),
            Self::Exit => Some(exit_code == Some(0)),
            Self::Start | Self::Log => None,
        }
    }
}

/// Why a heartbeat is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// No success came in time.
    Missed,
    /// A run began and did not end within the grace time.
    TooLong,
    /// The job said that it failed.
    Failed,
}

/// How a heartbeat is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Never heard of; it is not watched before its first signal.
    New,
    /// As it should be.
    Up,
    /// As it should be, and a run has begun.
    Running,
    /// Due, and within the grace time.
    Late,
    /// Too late, too long or failed.
    Down,
    /// Not watched until somebody resumes it.
    Paused,
}

/// An instant on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment {
    /// The wall clock's, which may step.
    pub wall: DateTime<Utc>,
    /// The same on the steady time of this process; `None` for what an earlier process saw.
    #[serde(skip)]
    pub steady: Option<DateTime<Utc>>,
}

/// The present: the wall clock, and the time that never steps. Steady time is the wall clock as it
/// stood when this process began to look, and what has passed since on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// The wall clock.
    pub wall: DateTime<Utc>,
    /// Steady time.
    pub steady: DateTime<Utc>,
    /// When this process began to look, on both.
    pub began: DateTime<Utc>,
}

impl Now {
    /// The present as a moment.
    pub fn moment(&self) -> Moment {
        Moment {
            wall: self.wall,
            steady: Some(self.steady),
        }
    }

    /// When `moment` was, on the steady time. What an earlier process saw cannot lie ahead of the
    /// beginning of this one, whatever the wall clock says.
    pub fn steady_of(&self, moment: &Moment) -> DateTime<Utc> {
        moment.steady.unwrap_or(moment.wall.min(self.began))
    }

    /// What the wall clock shows at `steady`, as it goes now.
    pub fn wall_at(&self, steady: DateTime<Utc>) -> DateTime<Utc> {
        self.wall + (steady - self.steady)
    }

    /// When the wall clock will show `wall`, as it goes now.
    pub fn steady_at(&self, wall: DateTime<Utc>) -> DateTime<Utc> {
        self.steady + (wall - self.wall)
    }
}

/// A run that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The run's id; empty for a job that gives none.
    pub rid: String,
    /// When it began.
    pub began: Moment,
    /// It has been told that it takes too long, and is not waited for any more.
    pub overdue: bool,
}

/// From when on a heartbeat is down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Down {
    /// When a sign of life was due, UTC.
    pub since: DateTime<Utc>,
    /// Why.
    pub cause: Cause,
    /// In one sentence.
    pub summary: String,
}

/// A time in which nothing is held against a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excuse {
    /// When it was given: only what was due by then is excused.
    pub at: Moment,
    /// How long.
    pub secs: u64,
}

/// What is known of one heartbeat: a fold over its lines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Beat {
    /// Signals in all.
    pub pings: u64,
    /// The last signal of any kind.
    pub last: Option<(Signal, Moment)>,
    /// The last success, and how long that run took, in milliseconds.
    pub success: Option<(Moment, Option<u64>)>,
    /// From when the next one is expected: the last success, or when it was resumed.
    pub basis: Option<Moment>,
    /// Runs that have begun.
    pub runs: Vec<Run>,
    /// Set while it is down.
    pub down: Option<Down>,
    /// Set while it is paused: when and by whom.
    pub paused: Option<(DateTime<Utc>, String)>,
    /// The last excuse.
    pub excuse: Option<Excuse>,
    /// How it came back last, in one sentence.
    pub came_up: Option<String>,
}

/// What is expected of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Its name.
    pub name: String,
    /// For people.
    pub about: String,
    /// When it is due.
    pub cadence: Cadence,
    /// How much later is still well, and how long a run may take.
    pub grace: Duration,
    /// Words for routing and grouping.
    pub tags: Vec<String>,
    /// How bad it is when it is down.
    pub severity: Severity,
    /// A success ends a pause.
    pub resumes_by_ping: bool,
    /// Its name alone is an address.
    pub slug: bool,
    /// SHA-256 of its key.
    pub key: Option<[u8; 32]>,
}

impl Watch {
    /// The grace time for sums with instants.
    pub fn grace(&self) -> TimeDelta {
        TimeDelta::from_std(self.grace).unwrap_or(TimeDelta::MAX)
    }
}

/// A signal as it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// What it says.
    pub signal: Signal,
    /// The exit code.
    pub exit_code: Option<u8>,
    /// The run's id; empty for none.
    pub rid: String,
    /// What was sent with it, cut.
    pub body: Option<String>,
    /// There was more of the body than is kept.
    pub is_cut: bool,
}

impl Ping {
    /// A signal without anything else.
    pub fn of(signal: Signal) -> Self {
        Self {
            signal,
            exit_code: None,
            rid: String::new(),
            body: None,
            is_cut: false,
        }
    }

    /// How the run ended: `Some(true)` for a success; `None` where nothing ended.
    pub fn outcome(&self) -> Option<bool> {
        self.signal.outcome(self.exit_code)
    }
}
