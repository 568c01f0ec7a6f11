//! What this process is among the copies of its home: the one that writes, one that follows, or one
//! that was taken over from. Told by whoever follows, read by health, the API and the command line.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::health::State;
use crate::seams::clock::Clock;

/// A standby that has had no answer for so long says that it is not well: four looks of a second
/// each, and some patience (our own choice).
const LATE: Duration = Duration::from_secs(15);

/// What a process is among the copies of its home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Part {
    /// It writes.
    #[default]
    Primary,
    /// It follows another one.
    Standby,
    /// Another one took over, or may have.
    Fenced,
}

impl Part {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::Fenced => "fenced",
        }
    }
}

/// How following goes.
#[derive(Debug, Clone, Default)]
pub struct Following {
    /// The standby's id.
    pub id: String,
    /// Where the primary is: a URL or a folder.
    pub from: String,
    /// The primary's epoch, as far as it is known.
    pub epoch: u64,
    /// The last `seq` that is here, by journal.
    pub seqs: BTreeMap<String, u64>,
    /// When everything there was had last been fetched, by the monotonic clock.
    pub whole_at: Option<Duration>,
    /// When it began, by the monotonic clock.
    pub begun_at: Duration,
    /// Why the last look failed.
    pub problem: Option<String>,
    /// Journals that are not followed, and why.
    pub apart: BTreeMap<String, String>,
    /// Why the primary will not be kept from writing after a take-over, if that is so.
    pub unfenced: Option<String>,
}

impl Following {
    /// How long ago everything there was had been fetched; since the start where it never was.
    pub fn behind(&self, uptime: Duration) -> Duration {
        uptime.saturating_sub(self.whole_at.unwrap_or(self.begun_at))
    }
}

#[derive(Debug, Default)]
struct Inner {
    part: Part,
    following: Following,
    wanted_by: Option<String>,
}

/// What this process is among the copies of its home. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    inner: Arc<Mutex<Inner>>,
    asked: Arc<Notify>,
}

impl Standing {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of a process that plays `part`.
    #[must_use]
    pub fn of(part: Part) -> Self {
        let standing = Self::default();
        standing.inner().part = part;
        standing
    }

    /// What it is.
    pub fn part(&self) -> Part {
        self.inner().part
    }

    /// How following goes.
    pub fn following(&self) -> Following {
        self.inner().following.clone()
    }

    /// Changes what is told of following.
    pub fn note(&self, change: impl FnOnce(&mut Following)) {
        change(&mut self.inner().following);
    }

    /// Asks for a take-over, in the name of `by`.
    pub fn ask_for_take_over(&self, by: &str) {
        self.inner().wanted_by.get_or_insert_with(|| by.to_owned());
        self.asked.notify_one();
    }

    /// Ends when a take-over was asked for. Gives by whom.
    pub async fn asked(&self) -> String {
        loop {
            if let Some(by) = self.inner().wanted_by.clone() {
                return by;
            }
            self.asked.notified().await;
        }
    }

    /// How a standby is, for health; nothing is wrong with any other.
    pub fn state(&self, clock: &dyn Clock) -> State {
        let inner = self.inner();
        if inner.part != Part::Standby {
            return State::Ok;
        }
        let following = &inner.following;
        let behind = following.behind(clock.uptime());
        let why = if let Some((stream, why)) = following.apart.iter().next() {
            format!("`{stream}` is not followed: {why}")
        } else if behind >= LATE {
            let problem = following.problem.clone().unwrap_or_default();
            format!(
                "{} s behind `{}`: {problem}",
                behind.as_secs(),
                following.from
            )
        } else if let Some(unfenced) = &following.unfenced {
            unfenced.clone()
        } else {
            return State::Ok;
        };
        State::Degraded(why)
    }
}
