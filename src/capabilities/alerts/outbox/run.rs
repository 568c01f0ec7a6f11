//! The work of the outbox: looks which notices may leave, sends them, writes what came of it. All
//! channels at the same time, one notice of each.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio_util::sync::CancellationToken;

use super::event::{Event, Fate, Kind};
use super::lane::{Condition, Next};
use super::state::{Clocks, State};
use super::{Outbox, logic};
use crate::capabilities::alerts::channels::outcome::{Fault, Found, Outcome};
use crate::capabilities::alerts::channels::rules::{ChannelRules, Channels};
use crate::capabilities::alerts::model::{Notice, Reason};
use crate::platform::lifecycle::within;

/// Notices that wait for one channel at most; beyond them the older ones are summed up. Our own
/// choice: nobody reads as many, and it bounds what an alert storm costs.
const MOST_WAITING: usize = 500;
/// How long a failed try keeps other notices of the channel back at most: they show whether it
/// works again.
const MOST_PAUSE: Duration = Duration::from_mins(1);
/// How long what is being sent may take once the process is to end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A notice on its way.
struct Landing {
    rules: Arc<ChannelRules>,
    seq: u64,
    notice: Arc<Notice>,
    outcome: Outcome,
}

/// A notice that leaves.
struct Departure {
    rules: Arc<ChannelRules>,
    seq: u64,
    notice: Arc<Notice>,
}

/// Says that the outbox runs, until it is dropped.
struct Running<'a>(&'a AtomicBool);

impl<'a> Running<'a> {
    fn begin(flag: &'a AtomicBool) -> Self {
        flag.store(true, Ordering::Relaxed);
        Self(flag)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

type Flights = FuturesUnordered<Pin<Box<dyn Future<Output = Landing> + Send>>>;

impl Outbox {
    /// Sends until told to stop.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let _running = Running::begin(&self.is_running);
        // What was on its way when this was last interrupted is not any more.
        self.state().ground();
        let mut flights = Flights::new();
        let mut retry = None;
        loop {
            let (departures, next) = self.departures();
            for departure in departures {
                flights.push(Box::pin(Arc::clone(&self).fly(departure)));
            }
            let now = self.clock.uptime();
            let again = self.write_owed(&mut retry, now);
            let next = again.into_iter().chain(next).min();
            let pause = next.map(|next| next.saturating_sub(now));
            let waited = async {
                match pause {
                    Some(pause) => self.clock.sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(landing) = flights.next(), if !flights.is_empty() => self.landed(landing),
                () = self.woken.notified() => {}
                () = waited => {}
            }
        }
        let last = async {
            while let Some(landing) = flights.next().await {
                self.landed(landing);
            }
        };
        // What has no outcome by then is sent again at the next start, under the same id.
        within(&*self.clock, LAST_WORDS, last).await;
        // What has one is not, so that it must be on record.
        within(&*self.clock, LAST_WORDS, self.write_last()).await;
    }

    /// Writes what is owed; where storage has refused it, when the time for another try has come.
    /// Gives that time.
    fn write_owed(
        self: &Arc<Self>,
        retry: &mut Option<Duration>,
        now: Duration,
    ) -> Option<Duration> {
        if self.owed().refused.is_none() {
            *retry = None;
        } else {
            let at = *retry.get_or_insert(now + Self::RETRY);
            if now < at {
                return Some(at);
            }
            *retry = None;
        }
        self.pump();
        None
    }

    async fn fly(self: Arc<Self>, departure: Departure) -> Landing {
        let Departure { rules, seq, notice } = departure;
        // One notice that cannot be put into a form must not end the lanes of all others.
        let sending = AssertUnwindSafe(self.sender.send(&rules, &notice)).catch_unwind();
        let outcome = sending.await.unwrap_or_else(|_told| Outcome::Again {
            found: Found::new(
                "sending it panicked",
                "the log has where; it is a fault of ours",
            ),
            after: None,
            fault: Fault::Notice,
        });
        Landing {
            rules,
            seq,
            notice,
            outcome,
        }
    }

    /// What leaves now, and the uptime at which to look again.
    fn departures(self: &Arc<Self>) -> (Vec<Departure>, Option<Duration>) {
        let channels = (self.channels)();
        let now = self.clocks();
        let mut leaving = Vec::new();
        let mut soonest: Option<Duration> = None;
        let mut owed = Vec::new();
        {
            let mut state = self.state();
            let busy = state
                .lanes
                .iter()
                .filter(|(_, lane)| !lane.waiting.is_empty());
            let names: Vec<String> = busy.map(|(name, _)| name.clone()).collect();
            for name in names {
                let Some(rules) = channels.named(&name) else {
                    owed.extend(state.give_up(&name, &channels, now.wall));
                    continue;
                };
                owed.extend(state.refuse_disabled(rules, &channels, now.wall));
                owed.extend(state.sum_up(rules, now.wall));
                let pace = rules.kind.pace();
                let lane = state.lane(&name);
                match lane.next(pace, now.uptime) {
                    Next::Now(seq) => {
                        lane.leaves(seq, pace, now.uptime);
                        leaving.extend(lane.waiting.get(&seq).map(|one| Departure {
                            rules: Arc::clone(rules),
                            seq,
                            notice: Arc::clone(&one.notice),
                        }));
                    }
                    Next::At(at) => soonest = Some(soonest.map_or(at, |known| known.min(at))),
                    Next::Never => {}
                }
            }
        }
        for events in owed {
            self.owe(now.wall, events);
            self.tell_outcome();
        }
        (leaving, soonest)
    }

    /// Takes note of what came of a try.
    fn landed(self: &Arc<Self>, landing: Landing) {
        let Landing {
            rules,
            seq,
            notice,
            outcome,
        } = landing;
        let now = self.clocks();
        let channels = (self.channels)();
        let events = {
            let mut state = self.state();
            let lane = state.lane(&rules.name);
            lane.flying = None;
            let attempts = lane.waiting.get(&seq).map_or(0, |one| one.attempts);
            let mut fate = Fate::of(&notice);
            fate.attempt = attempts + 1;
            match outcome {
                Outcome::Sent { reference } => {
                    fate.reference = reference;
                    state.note(now.wall, Kind::Sent, fate)
                }
                Outcome::DryRun { missing } => {
                    fate.reason = format!("no {missing}");
                    state.note(now.wall, Kind::DryRun, fate)
                }
                Outcome::Final { found, disables } => {
                    if disables {
                        fate.disables.clone_from(&rules.definition);
                    }
                    state.bury(&rules, &channels, &notice, (fate, found), now.wall)
                }
                Outcome::Again { found, .. }
                    if notice.reason == Reason::Test
                        || fate.attempt >= logic::most_tries(&rules.kind) =>
                {
                    state.bury(&rules, &channels, &notice, (fate, found), now.wall)
                }
                Outcome::Again {
                    found,
                    after,
                    fault,
                } => {
                    let mut events = state.failed(&rules, seq, fate, (found, after, fault), now);
                    events.extend(state.overtaken(&rules.name, seq, now.wall));
                    events
                }
            }
        };
        self.owe(now.wall, events);
        self.tell_outcome();
    }
}

impl State {
    /// Nothing is on its way.
    fn ground(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.flying = None;
        }
    }

    /// What waits for a channel that something here kept from working is tried at once.
    pub(super) fn hurry_broken(&mut self) {
        for lane in self.lanes.values_mut() {
            if matches!(lane.condition, Condition::Broken { .. }) {
                lane.not_before = Duration::ZERO;
                for one in lane.waiting.values_mut() {
                    one.due = Duration::ZERO;
                }
            }
        }
    }

    /// Takes note of what became of a notice, and gives the line to be written.
    fn note(&mut self, at: DateTime<Utc>, kind: Kind, fate: Fate) -> Vec<Event> {
        let clocks = Clocks {
            wall: at,
            uptime: Duration::ZERO,
        };
        self.became(at, kind, fate.clone(), clocks);
        vec![Event::Became(kind, Box::new(fate))]
    }

    /// A try failed, and another will be made.
    fn failed(
        &mut self,
        rules: &ChannelRules,
        seq: u64,
        mut fate: Fate,
        (found, after, fault): (Found, Option<Duration>, Fault),
        now: Clocks,
    ) -> Vec<Event> {
        let is_ours = fault == Fault::Ours;
        let own = || logic::pause(&rules.kind, is_ours, &fate.id, fate.attempt);
        let pause = after.unwrap_or_else(own);
        fate.retry_at = Some(now.after(pause));
        (fate.found, fate.hint) = (found.text.clone(), found.hint.clone());
        let events = self.note(now.wall, Kind::Failed, fate);
        let lane = self.lane(&rules.name);
        let gate = after.unwrap_or(pause.min(MOST_PAUSE));
        lane.not_before = lane.not_before.max(now.uptime + gate);
        if is_ours {
            lane.breaks(now.wall, found, None);
        }
        if let Some(one) = lane.waiting.get_mut(&seq) {
            one.due = now.uptime + pause;
            one.is_blameless = fault != Fault::Notice;
        }
        events
    }

    /// What was on its way when all of it ended, and did not arrive, need not be sent any more.
    fn overtaken(&mut self, channel: &str, seq: u64, at: DateTime<Utc>) -> Vec<Event> {
        let lane = self.lane(channel);
        let Some(one) = lane.waiting.get(&seq).map(|one| Arc::clone(&one.notice)) else {
            return Vec::new();
        };
        if !one.is_overtaken() {
            return Vec::new();
        }
        let later = lane
            .waiting
            .range(seq + 1..)
            .map(|(_, later)| &later.notice);
        let mut over = later.filter(|later| later.group == one.group && later.ends_all());
        let Some(by) = over.next().map(|by| by.id.clone()) else {
            return Vec::new();
        };
        let mut fate = Fate::of(&one);
        fate.by = by;
        self.note(at, Kind::Superseded, fate)
    }

    /// `notice` never arrives on its channel: another takes it over where one is named.
    fn bury(
        &mut self,
        rules: &ChannelRules,
        channels: &Channels,
        notice: &Arc<Notice>,
        (mut fate, found): (Fate, Found),
        at: DateTime<Utc>,
    ) -> Vec<Event> {
        fate.why.clone_from(&found.text);
        (fate.found, fate.hint) = (found.text, found.hint);
        let mut events = Vec::new();
        let other = logic::fallback(channels, rules, notice);
        if let Some(other) = other.filter(|_| notice.reason != Reason::Test) {
            fate.fallback.clone_from(&other.name);
            let copy = logic::taken_over(notice, &other.name);
            let is_told = self.lane(&other.name).knows(notice);
            if !is_told && !self.is_known(&copy.id) {
                self.reserve(&copy.id);
                events.push(Event::Queued(Box::new(copy)));
            }
        }
        events.extend(self.note(at, Kind::Dead, fate));
        events
    }

    /// Nothing arrives on a channel that is not configured any more.
    fn give_up(&mut self, name: &str, channels: &Channels, at: DateTime<Utc>) -> Vec<Vec<Event>> {
        let resting: Vec<Arc<Notice>> = self
            .lane(name)
            .resting()
            .map(|(_, one)| Arc::clone(&one.notice))
            .collect();
        let mut all = Vec::new();
        for notice in resting {
            let mut fate = Fate::of(&notice);
            fate.why = format!("there is no channel `{name}` any more");
            // Who it was for before may have others.
            let others = notice.via.iter().filter_map(|via| channels.named(via));
            let other = others
                .flat_map(|rules| &rules.fallback)
                .find(|other| *other != name && !notice.via.contains(other));
            let mut events = Vec::new();
            if let Some(other) = other.filter(|other| channels.named(other).is_some()) {
                fate.fallback.clone_from(other);
                let copy = logic::taken_over(&notice, other);
                if !self.lane(other).knows(&notice) && !self.is_known(&copy.id) {
                    self.reserve(&copy.id);
                    events.push(Event::Queued(Box::new(copy)));
                }
            }
            events.extend(self.note(at, Kind::Dead, fate));
            all.push(events);
        }
        all
    }

    /// A channel that wants no more calls gets none while it is configured as it was then.
    fn refuse_disabled(
        &mut self,
        rules: &ChannelRules,
        channels: &Channels,
        at: DateTime<Utc>,
    ) -> Vec<Vec<Event>> {
        let lane = self.lane(&rules.name);
        let Condition::Disabled {
            found, definition, ..
        } = lane.condition.clone()
        else {
            return Vec::new();
        };
        if definition != rules.definition {
            lane.condition = Condition::Unknown;
            return Vec::new();
        }
        let resting: Vec<Arc<Notice>> = lane
            .resting()
            .map(|(_, one)| Arc::clone(&one.notice))
            .collect();
        let mut all = Vec::new();
        for notice in resting {
            let mut fate = Fate::of(&notice);
            fate.disables.clone_from(&definition);
            all.push(self.bury(rules, channels, &notice, (fate, found.clone()), at));
        }
        all
    }

    /// What waits too long, or too many, becomes one digest.
    fn sum_up(&mut self, rules: &ChannelRules, at: DateTime<Utc>) -> Option<Vec<Event>> {
        let expiry = TimeDelta::from_std(rules.expiry).unwrap_or(TimeDelta::MAX);
        let lane = self.lane(&rules.name);
        let count = lane.resting().count();
        let surplus = count.saturating_sub(MOST_WAITING);
        let is_fresh = |notice: &Notice| notice.reason == Reason::Test || notice.at + expiry > at;
        let overdue: Vec<Arc<Notice>> = lane
            .resting()
            .enumerate()
            .filter(|(index, (_, one))| {
                let is_digest = one.notice.reason == Reason::Digest;
                !is_digest && (*index < surplus || !is_fresh(&one.notice))
            })
            .map(|(_, (_, one))| Arc::clone(&one.notice))
            .collect();
        if overdue.is_empty() {
            return None;
        }
        // A digest that has not been sent either is told with the new one.
        let earlier = lane
            .resting()
            .filter(|(_, one)| one.notice.reason == Reason::Digest)
            .map(|(_, one)| Arc::clone(&one.notice));
        let all: Vec<Arc<Notice>> = earlier.chain(overdue).collect();
        let digest = logic::digest(&rules.name, &all, at);
        self.reserve(&digest.id);
        let by = digest.id.clone();
        // First what is told instead: half of this on the medium must lose nothing.
        let mut events = vec![Event::Queued(Box::new(digest))];
        for notice in &all {
            let mut fate = Fate::of(notice);
            fate.by.clone_from(&by);
            events.extend(self.note(at, Kind::Expired, fate));
        }
        Some(events)
    }
}
