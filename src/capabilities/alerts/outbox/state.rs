//! What the journal means: which notices have not been sent, what each channel was told of each
//! group, how the channels are. A fold over its lines; the process goes on from there.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use siphasher::sip::SipHasher13;

use super::event::{Event, Fate, Kind};
use super::lane::{Condition, Lane, Waiting};
use crate::capabilities::alerts::channels::outcome::Found;
use crate::capabilities::alerts::model::{Notice, Reason, Status};
use crate::platform::alerts::Severity;

/// Ids of notices that are known to be on record, in memory: some hours of an alert storm.
const MOST_SEEN: usize = 65_536;
/// Dead letters that are listed.
const MOST_DEAD: usize = 200;
/// Alerts of one group and channel whose end was told, which are remembered at most beside those
/// that hold. Our own choice: a group in which something always holds may live for years.
const MOST_ENDED: usize = 1_000;
/// Outcomes that are remembered for who waits for them.
const MOST_OUTCOMES: usize = 256;

/// What a channel knows of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// When it was last told something.
    pub at: DateTime<Utc>,
    /// What it was last told of each alert, by key.
    pub alerts: BTreeMap<String, (Status, Severity)>,
    /// Alerts that the last notice counted without naming them.
    pub more: u32,
    /// Whether the last notice led to no page on which it can be acknowledged.
    pub needs_button: bool,
}

/// A notice that never arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// When that was known.
    pub at: DateTime<Utc>,
    /// The notice.
    pub notice: Arc<Notice>,
    /// Why.
    pub why: String,
    /// The channel that has it instead; empty where none.
    pub fallback: String,
}

/// Everything the outbox knows.
#[derive(Debug, Default)]
pub struct State {
    /// By channel.
    pub lanes: BTreeMap<String, Lane>,
    /// By group, then by channel.
    told: HashMap<String, BTreeMap<String, Told>>,
    seen: HashSet<u64>,
    seen_in_order: VecDeque<u64>,
    /// The newest last.
    pub dead: VecDeque<Dead>,
    outcomes: VecDeque<(String, Kind, Fate)>,
}

fn hashed(id: &str) -> u64 {
    SipHasher13::new().hash(id.as_bytes())
}

impl State {
    /// Whether the notice `id` is on record, or being put there.
    pub fn is_known(&self, id: &str) -> bool {
        self.seen.contains(&hashed(id))
    }

    /// Takes note that the notice `id` is being put on record.
    pub fn reserve(&mut self, id: &str) {
        if self.seen.insert(hashed(id)) {
            self.seen_in_order.push_back(hashed(id));
        }
        if self.seen_in_order.len() > MOST_SEEN
            && let Some(oldest) = self.seen_in_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }

    /// The notice `id` could not be put on record.
    pub fn release(&mut self, id: &str) {
        let id = hashed(id);
        self.seen.remove(&id);
        // From the end: what is released was reserved just before.
        let place = self.seen_in_order.iter().rposition(|known| *known == id);
        place.and_then(|place| self.seen_in_order.remove(place));
    }

    /// The lane of `channel`.
    pub fn lane(&mut self, channel: &str) -> &mut Lane {
        if !self.lanes.contains_key(channel) {
            self.lanes.insert(channel.to_owned(), Lane::default());
        }
        self.lanes.entry(channel.to_owned()).or_default()
    }

    /// What `channel` was last told of `group`.
    pub fn told(&self, group: &str, channel: &str) -> Option<&Told> {
        self.told.get(group)?.get(channel)
    }

    /// Every group and channel that something is told of.
    pub fn all_told(&self) -> impl Iterator<Item = (&str, &str, &Told)> {
        self.told.iter().flat_map(|(group, channels)| {
            let of = move |(channel, told)| (group.as_str(), String::as_str(channel), told);
            channels.iter().map(of)
        })
    }

    /// What became of the notice `id`, if that was lately.
    pub fn outcome(&self, id: &str) -> Option<&(String, Kind, Fate)> {
        self.outcomes.iter().rev().find(|(known, _, _)| known == id)
    }

    /// Takes a line of the journal: number `seq`, written at `at`, while the uptime is `now`. Gives
    /// what follows from it and is not on record: notices that need not be sent any more.
    pub fn fold(&mut self, seq: u64, at: DateTime<Utc>, event: Event, now: Clocks) -> Vec<Event> {
        match event {
            Event::Queued(notice) => self.queued(seq, Arc::new(*notice)),
            Event::Became(kind, fate) => {
                self.became(at, kind, *fate, now);
                Vec::new()
            }
        }
    }

    fn queued(&mut self, seq: u64, notice: Arc<Notice>) -> Vec<Event> {
        self.reserve(&notice.id);
        self.tell(&notice);
        let lane = self.lane(&notice.channel);
        lane.heard_of(&notice);
        let mut over = Vec::new();
        if notice.ends_all() {
            let of_group =
                |one: &Waiting| one.notice.group == notice.group && one.notice.is_overtaken();
            let resting = lane.resting();
            let seqs: Vec<u64> = resting
                .filter_map(|(seq, one)| of_group(one).then_some(seq))
                .collect();
            for seq in seqs {
                if let Some(one) = lane.waiting.remove(&seq) {
                    let mut fate = Fate::of(&one.notice);
                    fate.by.clone_from(&notice.id);
                    over.push(Event::Became(Kind::Superseded, Box::new(fate)));
                }
            }
        }
        let waiting = Waiting {
            notice,
            attempts: 0,
            due: Duration::ZERO,
            is_blameless: false,
        };
        lane.waiting.insert(seq, waiting);
        over
    }

    /// Takes note of what the channel of `notice` knows from now on.
    fn tell(&mut self, notice: &Notice) {
        let is_own = notice.via.is_empty();
        if !is_own || matches!(notice.reason, Reason::Digest | Reason::Test) {
            return;
        }
        let channels = self.told.entry(notice.group.clone()).or_default();
        let told = channels
            .entry(notice.channel.clone())
            .or_insert_with(|| Told {
                at: notice.at,
                alerts: BTreeMap::new(),
                more: 0,
                needs_button: false,
            });
        (told.at, told.more) = (notice.at, notice.more);
        told.needs_button = notice.ack_url.is_none();
        for alert in &notice.alerts {
            let known = (alert.status, alert.severity);
            told.alerts.insert(alert.key.clone(), known);
        }
        let holds = |(status, _): &(Status, Severity)| *status == Status::Firing;
        if told.alerts.len() > MOST_ENDED {
            let ended = told.alerts.values().filter(|known| !holds(known)).count();
            if ended > MOST_ENDED {
                let here: HashSet<&str> = notice.alerts.iter().map(|one| &*one.key).collect();
                told.alerts
                    .retain(|key, known| holds(known) || here.contains(key.as_str()));
            }
        }
        if !told.alerts.values().any(holds) {
            channels.remove(&notice.channel);
            if channels.is_empty() {
                self.told.remove(&notice.group);
            }
        }
    }

    /// Takes note of what became of a notice.
    pub fn became(&mut self, at: DateTime<Utc>, kind: Kind, fate: Fate, now: Clocks) {
        let lane = self.lane(&fate.channel);
        let found = Found::new(fate.found.clone(), fate.hint.clone());
        let place = lane
            .waiting
            .iter()
            .find(|(_, one)| one.notice.id == fate.id)
            .map(|(seq, _)| *seq);
        let mut gone = None;
        if kind == Kind::Failed {
            lane.fails(at, found);
            if let Some(one) = place.and_then(|seq| lane.waiting.get_mut(&seq)) {
                one.attempts = fate.attempt;
                one.due = fate
                    .retry_at
                    .map_or(Duration::ZERO, |retry| now.when(retry, at));
            }
        } else {
            gone = place.and_then(|seq| lane.waiting.remove(&seq));
            match kind {
                Kind::Sent => lane.works(at),
                Kind::DryRun => {
                    let missing = fate.reason.strip_prefix("no ").unwrap_or(&fate.reason);
                    lane.condition = Condition::DryRun {
                        missing: missing.to_owned(),
                    };
                }
                Kind::Dead => {
                    lane.dead += 1;
                    if !fate.found.is_empty() {
                        let disables = Some(fate.disables.clone());
                        lane.breaks(at, found, disables.filter(|text| !text.is_empty()));
                    }
                }
                Kind::Failed | Kind::Superseded | Kind::Expired => {}
            }
        }
        // Whoever sent a test was told what came of it, and nobody sends it again.
        let gone = gone.filter(|one| one.notice.reason != Reason::Test);
        if let (Kind::Dead, Some(gone)) = (kind, gone) {
            self.dead.push_back(Dead {
                at,
                notice: gone.notice,
                why: fate.why.clone(),
                fallback: fate.fallback.clone(),
            });
            if self.dead.len() > MOST_DEAD {
                self.dead.pop_front();
            }
        }
        self.outcomes.push_back((fate.id.clone(), kind, fate));
        if self.outcomes.len() > MOST_OUTCOMES {
            self.outcomes.pop_front();
        }
    }
}

/// Both clocks, as they stand together.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// The wall clock.
    pub wall: DateTime<Utc>,
    /// The monotonic one.
    pub uptime: Duration,
}

impl Clocks {
    /// The uptime at which the wall clock shows `at`; now where that is over. `since` is when that
    /// was decided: where the clock was set back behind it, no longer than was meant then.
    pub fn when(&self, at: DateTime<Utc>, since: DateTime<Utc>) -> Duration {
        self.uptime + (at - self.wall.max(since)).to_std().unwrap_or_default()
    }

    /// What the wall clock shows after `span`.
    pub fn after(&self, span: Duration) -> DateTime<Utc> {
        self.wall + chrono::TimeDelta::from_std(span).unwrap_or_default()
    }
}
