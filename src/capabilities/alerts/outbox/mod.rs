//! The outbox: what is to be told, kept until it is. Sole writer of `logs/notices.ndjson`.
//!
//! A notice is on the medium before anything is sent, and its outcome is written afterwards: a kill
//! anywhere means that it is sent again, with the same id, by which channels that have a key for it
//! know it. Each channel has a lane of its own and waits for no other; within a group order is
//! kept. Decides nothing about whom to tell: that is the router's affair.

pub mod event;
pub mod lane;
pub mod state;

mod api;
mod buttons;
mod logic;
mod run;
mod trial;

use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use self::event::{Event, STREAM};
use self::lane::Condition;
pub use self::state::Told;
use self::state::{Clocks, State};
use super::channels::rules::Channels;
use super::channels::{Doors, Sender};
use super::config::AlertsConfig;
use super::model::Notice;
use super::rules::AlertsRules;
use crate::platform::alerts::Alerts;
use crate::platform::config::Live;
use crate::platform::http::Routes;
use crate::platform::wiring::{Background, Wiring};
use crate::seams::clock::Clock;
use crate::seams::ids::{Ids, SystemIds};
use crate::storage::engine::{Mark, Position, StorageError};
use crate::storage::journal::{Journal, each_line};
use crate::storage::lines::Lines;

/// Groups of lines that are appended at once.
const MOST_AT_ONCE: usize = 200;
/// How long a channel may fail before that is trouble, in seconds: a few minutes pass by
/// themselves.
const PATIENCE_SECS: i64 = 300;

/// The channels in force.
pub type ChannelsNow = Box<dyn Fn() -> Arc<Channels> + Send + Sync>;

/// The outbox.
pub struct Outbox {
    journal: Journal,
    clock: Arc<dyn Clock>,
    channels: ChannelsNow,
    sender: Sender,
    alerts: Alerts,
    ids: Arc<dyn Ids>,
    state: Mutex<State>,
    owed: Mutex<Owed>,
    /// Rung when there may be something to send or to write.
    woken: Notify,
    /// Grows with every outcome.
    outcomes: watch::Sender<u64>,
    /// Whether [`Outbox::run`] goes on: not where a command line answers for itself.
    is_running: AtomicBool,
}

/// Lines that tell what has happened already, and wait to be written.
#[derive(Debug, Default)]
struct Owed {
    /// Each group in one piece.
    groups: VecDeque<(DateTime<Utc>, Vec<Event>)>,
    /// Groups under way, the first ones.
    writing: usize,
    refused: Option<StorageError>,
}

impl Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

impl Outbox {
    /// Opens the journal and works out what it means.
    pub(super) fn open(wiring: &Wiring, live: Live<AlertsRules>) -> anyhow::Result<Arc<Self>> {
        let journal = wiring.opened(STREAM)?;
        let channels = Box::new(move || Arc::clone(&live.get().rules.channels));
        let own = Self::over(journal, Doors::of(wiring), &wiring.alerts, channels)?;
        let hook = Arc::downgrade(&own);
        let changed = move |_: &Arc<_>| {
            if let Some(own) = hook.upgrade() {
                own.reload();
            }
        };
        wiring
            .configs
            .on_accept::<AlertsConfig>(Arc::new(changed))?;
        Ok(own)
    }

    /// An outbox that keeps `journal`, which has been opened.
    pub fn over(
        journal: Journal,
        doors: Doors,
        alerts: &Alerts,
        channels: ChannelsNow,
    ) -> Result<Arc<Self>, StorageError> {
        let clock = Arc::clone(&doors.clock);
        let now = Clocks {
            wall: clock.now(),
            uptime: clock.uptime(),
        };
        let mut state = State::default();
        each_line(journal.engine(), STREAM, &Mark::default(), |line| {
            if let Some((seq, at, event)) = event::read(line) {
                // What follows is known without its line.
                drop(state.fold(seq, at, event, now));
            }
        })?;
        Ok(Arc::new(Self {
            journal,
            clock,
            channels,
            sender: Sender::new(doors),
            alerts: alerts.clone(),
            ids: Arc::new(SystemIds),
            state: Mutex::new(state),
            owed: Mutex::default(),
            woken: Notify::new(),
            outcomes: watch::Sender::new(0),
            is_running: AtomicBool::new(false),
        }))
    }

    /// Ends when every notice is on the medium, before any of them is sent. One whose id is on
    /// record already is passed over.
    pub async fn queue(self: &Arc<Self>, notices: Vec<Notice>) -> Result<(), StorageError> {
        let fresh: Vec<Notice> = {
            let mut state = self.state();
            let mut fresh = Vec::with_capacity(notices.len());
            for notice in notices {
                if !state.is_known(&notice.id) {
                    state.reserve(&notice.id);
                    fresh.push(notice);
                }
            }
            fresh
        };
        let at = self.clock.now();
        let mut lines = Lines::new();
        let events: Vec<Event> = fresh
            .into_iter()
            .map(|notice| Event::Queued(Box::new(notice)))
            .collect();
        for event in &events {
            event.push(&mut lines, at);
        }
        let own = Arc::clone(self);
        let committed = move |outcome: &Result<Position, StorageError>| {
            if let Ok(position) = outcome {
                own.recorded(position.first, at, events);
                return;
            }
            let mut state = own.state();
            for event in events.iter().rev() {
                if let Event::Queued(notice) = event {
                    state.release(&notice.id);
                }
            }
        };
        // Without lines it is a barrier: what others are putting on record is there by then.
        let appending = self.journal.append(lines, None, Some(Box::new(committed)));
        appending.await.map(|_position| ())
    }

    /// What `channel` was last told of `group`, queued or sent; `None` for nothing, or where
    /// everything it was told of has ended and that was told too.
    pub fn told(&self, group: &str, channel: &str) -> Option<Told> {
        self.state().told(group, channel).cloned()
    }

    /// Every group and channel that something is told of: those that [`Outbox::told`] knows.
    pub fn all_told(&self) -> Vec<(String, String)> {
        let state = self.state();
        let both = |(group, channel, _): (&str, &str, _)| (group.to_owned(), channel.to_owned());
        state.all_told().map(both).collect()
    }

    /// Rows of the route table: how channels are, and trying them.
    pub fn routes(self: &Arc<Self>) -> Routes {
        let mut rows = api::routes(self);
        rows.extend(trial::routes(self));
        rows
    }

    /// What goes on beside the requests: sending, and listening for buttons.
    pub fn background(
        self: &Arc<Self>,
        stop: &CancellationToken,
    ) -> Vec<(&'static str, Background)> {
        let sending = Arc::clone(self).run(stop.clone());
        let listening = Arc::clone(self).listen(stop.clone());
        vec![
            ("alerts-outbox", Box::pin(sending)),
            ("alerts-buttons", Box::pin(listening)),
        ]
    }

    /// The channels are other ones: what was in the way here may not be any more.
    pub fn reload(&self) {
        self.state().hurry_broken();
        self.woken.notify_one();
    }

    /// What is wrong with it, in one sentence.
    pub fn trouble(&self) -> Option<String> {
        if let Some(refused) = &self.owed().refused {
            return Some(format!("outcomes of notices wait for storage: {refused}"));
        }
        let now = self.clock.now();
        let channels = (self.channels)();
        let state = self.state();
        let sick = state.lanes.iter().filter_map(|(name, lane)| {
            channels.named(name)?;
            match &lane.condition {
                Condition::Broken { found, .. } => {
                    Some(format!("channel `{name}` is broken: {}", found.text))
                }
                Condition::Disabled { found, .. } => Some(format!(
                    "channel `{name}` wants no more calls: {}",
                    found.text
                )),
                Condition::Failing { since, found } => {
                    let patience = TimeDelta::seconds(PATIENCE_SECS);
                    (now - since > patience)
                        .then(|| format!("channel `{name}` fails: {}", found.text))
                }
                _ => None,
            }
        });
        let sick: Vec<String> = sick.collect();
        (!sick.is_empty()).then(|| sick.join("; "))
    }

    fn clocks(&self) -> Clocks {
        Clocks {
            wall: self.clock.now(),
            uptime: self.clock.uptime(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn owed(&self) -> MutexGuard<'_, Owed> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lines are on record from number `first` on: notices among them may be sent from now on. Runs
    /// on the journal's writer thread.
    fn recorded(self: &Arc<Self>, first: u64, at: DateTime<Utc>, events: Vec<Event>) {
        let now = self.clocks();
        let mut follow = Vec::new();
        {
            let mut state = self.state();
            for (event, seq) in events.into_iter().zip(first..) {
                // What became of a notice was taken note of when it did.
                if matches!(event, Event::Queued(_)) {
                    follow.extend(state.fold(seq, at, event, now));
                }
            }
        }
        if !follow.is_empty() {
            self.owe(at, follow);
        }
        // Nothing is appended from here: the writer's thread may not wait for itself.
        self.woken.notify_one();
    }

    /// Sees to it that `events` are written, in one piece and in order. They have happened: where
    /// storage refuses them now, they are written later.
    fn owe(&self, at: DateTime<Utc>, events: Vec<Event>) {
        self.owed().groups.push_back((at, events));
    }

    /// Writes what is owed, unless that is under way.
    fn pump(self: &Arc<Self>) {
        let (lines, count) = {
            let mut owed = self.owed();
            if owed.writing > 0 || owed.groups.is_empty() {
                return;
            }
            let mut lines = Lines::new();
            let count = owed.groups.len().min(MOST_AT_ONCE);
            for (at, events) in owed.groups.iter().take(count) {
                for event in events {
                    event.push(&mut lines, *at);
                }
            }
            owed.writing = count;
            (lines, count)
        };
        let own = Arc::clone(self);
        let committed = move |outcome: &Result<Position, StorageError>| {
            let written: Vec<_> = {
                let mut owed = own.owed();
                owed.writing = 0;
                match outcome {
                    Ok(_) => {
                        owed.refused = None;
                        owed.groups.drain(..count).collect()
                    }
                    Err(refused) => {
                        owed.refused = Some(refused.clone());
                        Vec::new()
                    }
                }
            };
            if let Ok(position) = outcome {
                let mut first = position.first;
                for (at, events) in written {
                    let count = events.len() as u64;
                    own.recorded(first, at, events);
                    first += count;
                }
            }
            own.woken.notify_one();
        };
        // The outcome reaches us through `committed`; nobody waits for this future.
        drop(self.journal.append(lines, None, Some(Box::new(committed))));
    }

    /// Writes all that is owed, before the process ends; not where storage refuses it.
    async fn write_last(self: &Arc<Self>) {
        loop {
            self.pump();
            if self.owed().groups.is_empty() {
                return;
            }
            self.woken.notified().await;
            if self.owed().refused.is_some() {
                return;
            }
        }
    }

    /// Tells those who wait for an outcome that there is one.
    fn tell_outcome(&self) {
        self.outcomes.send_modify(|count| *count += 1);
    }

    /// Pause before lines that storage refused are tried again.
    const RETRY: Duration = Duration::from_secs(1);
}
