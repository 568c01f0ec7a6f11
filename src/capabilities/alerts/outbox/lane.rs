//! One channel's lane: what waits for it, how it is, and when the next notice may leave. Pure: time
//! is given.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use siphasher::sip::SipHasher13;

use crate::capabilities::alerts::channels::outcome::Found;
use crate::capabilities::alerts::channels::rules::Pace;
use crate::capabilities::alerts::model::Notice;

/// Notices whose group and time are remembered.
const MOST_RECENT: usize = 256;

/// A notice that has not been sent.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The notice.
    pub notice: Arc<Notice>,
    /// Tries so far.
    pub attempts: u32,
    /// The uptime from which on it may be tried.
    pub due: Duration,
    /// The last try failed by nothing of its own: once the channel works, it need not wait.
    pub is_blameless: bool,
}

/// How a channel is, by the last that came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Condition {
    /// Nothing is known.
    #[default]
    Unknown,
    /// The last notice arrived.
    Works,
    /// Tries fail, and are made again.
    Failing {
        /// Since when.
        since: DateTime<Utc>,
        /// Why the last one failed.
        found: Found,
    },
    /// It refused a notice for good.
    Broken {
        /// Since when.
        since: DateTime<Utc>,
        /// Why.
        found: Found,
    },
    /// It wants no more calls while it is configured as it is.
    Disabled {
        /// Since when.
        since: DateTime<Utc>,
        /// Why.
        found: Found,
        /// The configuration.
        definition: String,
    },
    /// Nothing is sent, because a secret is missing.
    DryRun {
        /// The secret.
        missing: String,
    },
}

/// What waits for one channel, and how it is.
#[derive(Debug, Default)]
pub struct Lane {
    /// By the number of its line, so in order.
    pub waiting: BTreeMap<u64, Waiting>,
    /// The one that is being sent.
    pub flying: Option<u64>,
    /// How the channel is.
    pub condition: Condition,
    /// Nothing leaves before this uptime.
    pub not_before: Duration,
    /// The uptime at which the whole burst is free again.
    full_at: Duration,
    /// Notices that arrived.
    pub sent: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Notices that never arrive.
    pub dead: u64,
    /// When the last one arrived.
    pub last_sent_at: Option<DateTime<Utc>>,
    /// What was queued lately, by group and time.
    recent: VecDeque<u64>,
}

/// Whether something may leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// This one, now.
    Now(u64),
    /// Nothing before this uptime.
    At(Duration),
    /// Nothing, until something happens.
    Never,
}

impl Lane {
    /// Takes note that `notice` was queued.
    pub fn heard_of(&mut self, notice: &Notice) {
        self.recent.push_back(told_of(notice));
        if self.recent.len() > MOST_RECENT {
            self.recent.pop_front();
        }
    }

    /// Whether what `notice` tells was queued for this channel by itself.
    pub fn knows(&self, notice: &Notice) -> bool {
        self.recent.contains(&told_of(notice))
    }

    /// What may leave at uptime `now`: of each group only the oldest, the worst first.
    pub fn next(&self, pace: Pace, now: Duration) -> Next {
        if self.flying.is_some() {
            return Next::Never;
        }
        let mut seen = HashSet::new();
        let firsts = self
            .waiting
            .iter()
            .filter(|(_, one)| seen.insert(one.notice.group.as_str()));
        let mut soonest: Option<Duration> = None;
        let mut best: Option<(u64, &Waiting)> = None;
        for (seq, one) in firsts {
            if one.due > now {
                soonest = Some(soonest.map_or(one.due, |known| known.min(one.due)));
            } else if best.is_none_or(|(_, known)| known.notice.severity < one.notice.severity) {
                best = Some((*seq, one));
            }
        }
        let gate = self.not_before.max(self.free_at(pace));
        match (best, soonest) {
            (Some((seq, _)), _) if gate <= now => Next::Now(seq),
            (Some(_), _) => Next::At(gate),
            (None, Some(soonest)) => Next::At(soonest.max(gate)),
            (None, None) => Next::Never,
        }
    }

    /// The uptime at which one may leave, by its pace.
    fn free_at(&self, pace: Pace) -> Duration {
        let ahead = pace.every.saturating_mul(pace.burst.saturating_sub(1));
        self.full_at.saturating_sub(ahead)
    }

    /// The notice `seq` leaves at uptime `now`.
    pub fn leaves(&mut self, seq: u64, pace: Pace, now: Duration) {
        self.flying = Some(seq);
        self.full_at = self.full_at.max(now) + pace.every;
    }

    /// The channel works: who waited only because it did not, need not any more.
    pub fn works(&mut self, at: DateTime<Utc>) {
        self.condition = Condition::Works;
        self.not_before = Duration::ZERO;
        self.sent += 1;
        self.last_sent_at = Some(at);
        for one in self.waiting.values_mut() {
            if one.is_blameless {
                one.due = Duration::ZERO;
            }
        }
    }

    /// A try failed; more will be made.
    pub fn fails(&mut self, at: DateTime<Utc>, found: Found) {
        let since = match &self.condition {
            Condition::Failing { since, .. } => *since,
            _ => at,
        };
        self.failed += 1;
        // What is broken is not better for failing in another way.
        if !matches!(self.condition, Condition::Broken { .. }) {
            self.condition = Condition::Failing { since, found };
        }
    }

    /// A notice was refused for good.
    pub fn breaks(&mut self, at: DateTime<Utc>, found: Found, disables: Option<String>) {
        let since = match &self.condition {
            Condition::Broken { since, .. } | Condition::Disabled { since, .. } => *since,
            _ => at,
        };
        self.condition = match disables {
            Some(definition) => Condition::Disabled {
                since,
                found,
                definition,
            },
            None => Condition::Broken { since, found },
        };
    }

    /// Numbers of the notices that wait and are not being sent, in order.
    pub fn resting(&self) -> impl Iterator<Item = (u64, &Waiting)> {
        let flying = self.flying;
        let all = self.waiting.iter().map(|(seq, one)| (*seq, one));
        all.filter(move |(seq, _)| Some(*seq) != flying)
    }
}

/// What a notice tells, whoever it is for.
fn told_of(notice: &Notice) -> u64 {
    let at = notice.at.timestamp_millis();
    SipHasher13::new().hash(format!("{at} {}", notice.group).as_bytes())
}
