//! The verbs of heartbeats: a signal is taken, a heartbeat is paused, resumed, given a key, asked
//! about.
//!
//! Signals of one heartbeat take turns, each decided on what is on record of the one before;
//! signals of different heartbeats are written together. An answer means that the line is durable.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, OwnedMutexGuard};

use super::config::{HeartbeatsConfig, HeartbeatsRules};
use super::event::{Event, Kind, Line, STREAM};
use super::logic;
use super::model::{Beat, Cause, Moment, Now, Ping, Signal, Watch};
use super::view::BeatsView;
use crate::base::hex;
use crate::base::json::{EditFault, Path};
use crate::base::names;
use crate::platform::alerts::Alerts;
use crate::platform::config::{ConfigStore, EditError, Live};
use crate::platform::limits::{Bucket, Quota};
use crate::platform::samples::{Rows, Samples};
use crate::platform::wiring::Wiring;
use crate::seams::clock::Clock;
use crate::seams::ids::{Ids, SystemIds};
use crate::storage::engine::{Mark, Position, StorageError};
use crate::storage::journal::each_line;
use crate::storage::lines::Lines;
use crate::storage::view::Kept;

/// Samples of heartbeats come from here.
const SOURCE: &str = "heartbeats";
/// Samples are written when they are this old. Our own choice: a kill costs ten seconds of them.
const SAMPLES_AGE: Duration = Duration::from_secs(10);
/// Signals a minute of one heartbeat: a job and its retries, never a loop gone wild.
const PINGS_PER_MINUTE: u32 = 120;
/// Calls a minute with keys that are none, all callers together. What they cost is one hash.
const UNKNOWN_PER_MINUTE: u32 = 600;

/// Why a verb was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeartbeatError {
    /// No such heartbeat.
    #[error("there is no heartbeat `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The one whose name is nearest.
        nearest: Option<String>,
    },
    /// It has a key, which was shown when it was drawn.
    #[error("`{name}` has a key already, which was shown when it was drawn")]
    HasKey {
        /// The heartbeat.
        name: String,
    },
    /// Too many signals.
    #[error("too many calls of this address in a minute")]
    TooMany {
        /// Seconds until the next may come.
        retry_secs: u32,
    },
    /// No key of ours.
    #[error("there is nothing at this address")]
    NoKey,
    /// The file could not be edited.
    #[error(transparent)]
    Edit(#[from] EditError<EditFault>),
    /// Storage does not accept lines.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Randomness or a thread failed.
    #[error("the work did not finish")]
    Lost,
}

/// Heartbeats, running.
#[derive(Debug)]
pub(super) struct Heartbeats {
    pub(super) live: Live<HeartbeatsRules>,
    pub(super) kept: Kept<BeatsView>,
    pub(super) alerts: Alerts,
    pub(super) clock: Arc<dyn Clock>,
    /// Rung whenever something was written, so that the next deadline is looked for anew.
    pub(super) changed: Notify,
    configs: ConfigStore,
    samples: Samples,
    ids: Arc<dyn Ids>,
    /// The wall clock and the monotonic one as they stood when this process began to look.
    began: (DateTime<Utc>, Duration),
    lanes: Mutex<HashMap<String, Arc<Lane>>>,
    quota: (Quota, Quota),
    unknown: Bucket,
    /// Successes that storage refused: the job has done its part.
    refused: Mutex<HashMap<String, Moment>>,
}

/// One heartbeat's place in the queue.
#[derive(Debug, Default)]
struct Lane {
    turn: Arc<tokio::sync::Mutex<()>>,
    bucket: Bucket,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Heartbeats {
    /// Loads the file, opens the journal and works out what it means.
    pub(super) fn open(wiring: &Wiring) -> anyhow::Result<Arc<Self>> {
        let live = wiring.config::<HeartbeatsConfig>()?;
        let journal = wiring.opened(STREAM)?;
        let clock = Arc::clone(&wiring.clock);
        let (kept, _) = Kept::open(journal, Arc::clone(&clock), BeatsView::default)?;
        wiring.samples.flush_every(SOURCE, SAMPLES_AGE);
        let own = Arc::new(Self {
            live,
            kept,
            alerts: wiring.alerts.clone(),
            changed: Notify::new(),
            configs: wiring.configs.clone(),
            samples: wiring.samples.clone(),
            ids: Arc::new(SystemIds),
            began: (clock.now(), clock.uptime()),
            lanes: Mutex::default(),
            quota: (
                Quota::per_minute(PINGS_PER_MINUTE),
                Quota::per_minute(UNKNOWN_PER_MINUTE),
            ),
            unknown: Bucket::default(),
            refused: Mutex::default(),
            clock,
        });
        let hook = Arc::downgrade(&own);
        let changed = move |_: &Arc<_>| {
            if let Some(own) = hook.upgrade() {
                own.changed.notify_one();
            }
        };
        wiring
            .configs
            .on_accept::<HeartbeatsConfig>(Arc::new(changed))?;
        Ok(own)
    }

    /// The present, where the wall clock shows `wall`.
    pub(super) fn present(&self, wall: DateTime<Utc>) -> Now {
        let (began, uptime) = self.began;
        let passed = self.clock.uptime().saturating_sub(uptime);
        let steady = began + TimeDelta::from_std(passed).unwrap_or_default();
        Now {
            wall,
            steady,
            began,
        }
    }

    /// What is known of `name`. A success that only storage refused counts.
    pub(super) fn beat(&self, name: &str) -> Beat {
        let mut beat = self.kept.lock().beat(name);
        if let Some(refused) = locked(&self.refused).get(name) {
            beat.basis = Some(*refused);
        }
        beat
    }

    /// The heartbeat `name`.
    pub(super) fn watch(&self, name: &str) -> Result<Arc<Watch>, HeartbeatError> {
        let rules = self.live.get();
        if let Some(watch) = rules.rules.named(name) {
            return Ok(Arc::clone(watch));
        }
        let known = rules.rules.watches().map(|watch| watch.name.as_str());
        Err(HeartbeatError::Unknown {
            name: name.to_owned(),
            nearest: names::nearest(name, known).map(str::to_owned),
        })
    }

    /// The heartbeat that `key` belongs to, if it has signals left in this minute.
    pub(super) fn with_key(&self, key: &str) -> Result<Arc<Watch>, HeartbeatError> {
        let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        let live = self.live.get();
        let found = live.rules.with_key(&digest);
        let found = found.or_else(|| live.rules.with_slug(key)).cloned();
        let uptime = self.clock.uptime();
        let verdict = match &found {
            Some(watch) => self.lane(&watch.name).bucket.take(&self.quota.0, uptime),
            None => self.unknown.take(&self.quota.1, uptime),
        };
        if !verdict.allowed {
            let retry_secs = verdict.retry_secs;
            return Err(HeartbeatError::TooMany { retry_secs });
        }
        found.ok_or(HeartbeatError::NoKey)
    }

    fn lane(&self, name: &str) -> Arc<Lane> {
        let mut lanes = locked(&self.lanes);
        if let Some(lane) = lanes.get(name) {
            return Arc::clone(lane);
        }
        Arc::clone(lanes.entry(name.to_owned()).or_default())
    }

    /// The turn of `name`, unless a signal of it is being written.
    pub(super) fn try_turn(&self, name: &str) -> Option<OwnedMutexGuard<()>> {
        Arc::clone(&self.lane(name).turn).try_lock_owned().ok()
    }

    async fn turn(&self, name: &str) -> OwnedMutexGuard<()> {
        Arc::clone(&self.lane(name).turn).lock_owned().await
    }

    /// Takes a signal; it is durable when this ends.
    pub(super) async fn ping(
        self: &Arc<Self>,
        watch: &Watch,
        ping: &Ping,
        wall: DateTime<Utc>,
    ) -> Result<(), StorageError> {
        let _turn = self.turn(&watch.name).await;
        let now = self.present(wall);
        let beat = self.kept.lock().beat(&watch.name);
        let events = logic::on_ping(watch, &beat, ping, &now);
        let written = self.write(events, &now).await;
        if ping.outcome() == Some(true) {
            let mut refused = locked(&self.refused);
            if written.is_err() {
                refused.insert(watch.name.clone(), now.moment());
            } else {
                refused.remove(&watch.name);
            }
        }
        written
    }

    /// Stops watching `name` until it is resumed.
    pub(super) async fn pause(
        self: &Arc<Self>,
        name: &str,
        actor: &str,
        wall: DateTime<Utc>,
    ) -> Result<Arc<Watch>, HeartbeatError> {
        self.switch(Kind::Paused, name, actor, wall).await
    }

    /// Watches `name` again, from now on.
    pub(super) async fn resume(
        self: &Arc<Self>,
        name: &str,
        actor: &str,
        wall: DateTime<Utc>,
    ) -> Result<Arc<Watch>, HeartbeatError> {
        self.switch(Kind::Resumed, name, actor, wall).await
    }

    async fn switch(
        self: &Arc<Self>,
        kind: Kind,
        name: &str,
        actor: &str,
        wall: DateTime<Utc>,
    ) -> Result<Arc<Watch>, HeartbeatError> {
        let watch = self.watch(name)?;
        let _turn = self.turn(name).await;
        let is_paused = self.kept.lock().beat(name).paused.is_some();
        if is_paused != (kind == Kind::Paused) {
            let event = Event::by(kind, name, actor);
            self.write(vec![event], &self.present(wall)).await?;
        }
        Ok(watch)
    }

    /// Draws a key for `name`, which nobody but the caller is told. Where it has one, only if that
    /// is to end.
    pub(super) async fn draw_key(
        self: &Arc<Self>,
        name: &str,
        renew: bool,
        actor: &Arc<str>,
        wall: DateTime<Utc>,
    ) -> Result<String, HeartbeatError> {
        let seen = self.live.get_full();
        if self.watch(name)?.key.is_some() && !renew {
            let name = name.to_owned();
            return Err(HeartbeatError::HasKey { name });
        }
        let drawn = self.ids.random().map_err(|_none| HeartbeatError::Lost)?;
        // 128 bits are beyond guessing, and an address stays short enough for a crontab.
        let key = hex::of(drawn.get(..16).unwrap_or_default());
        let digest = hex::of(&Sha256::digest(key.as_bytes()));
        let path = Path::root().key("heartbeats").key(name).key("key_sha256");
        let event = Event::by(Kind::KeyDrawn, name, actor);
        self.write(vec![event], &self.present(wall)).await?;
        let (own, actor, base) = (Arc::clone(self), Arc::clone(actor), seen.revision.clone());
        let edited = tokio::task::spawn_blocking(move || {
            own.configs
                .edit::<HeartbeatsConfig, EditFault>(Some(base), actor, |edit| {
                    edit.set(path, &digest.into())
                })
        });
        edited.await.map_err(|_died| HeartbeatError::Lost)??;
        Ok(key)
    }

    /// Writes what happened, in one piece. What is known changes before this ends, even where
    /// nobody waits for it any more.
    pub(super) async fn write(
        self: &Arc<Self>,
        events: Vec<Event>,
        now: &Now,
    ) -> Result<(), StorageError> {
        let mut lines = Lines::new();
        for event in &events {
            event.push(&mut lines, now.wall);
        }
        let (own, at) = (Arc::clone(self), now.moment());
        let (count, bytes) = (lines.len() as u64, lines.bytes() as u64);
        let committed = move |outcome: &Result<Position, StorageError>| {
            let Ok(position) = outcome else { return };
            {
                let mut view = own.kept.lock();
                for event in &events {
                    view.apply_event(event, at);
                }
                crate::storage::view::View::reached(&mut *view, position.last);
            }
            own.kept.grew(count, bytes);
            own.count(&events, at.wall);
            own.changed.notify_one();
        };
        let appending = self
            .kept
            .journal()
            .append(lines, None, Some(Box::new(committed)));
        appending.await.map(|_position| ())
    }

    /// Counts what ended, and what should have, as samples of `heartbeat:NAME`.
    fn count(&self, events: &[Event], at: DateTime<Utc>) {
        let mut rows = Rows::new();
        for event in events {
            let members = &event.members;
            let bad = match event.kind {
                Kind::Pinged => {
                    let signal = members.signal.unwrap_or(Signal::Log);
                    signal
                        .outcome(members.exit_code)
                        .map(|is_success| !is_success)
                }
                // A failure was counted as the signal it came with.
                Kind::WentDown => (members.cause != Some(Cause::Failed)).then_some(true),
                _ => None,
            };
            let Some(bad) = bad else { continue };
            let took = members
                .duration_ms
                .map(|millis| millis.saturating_mul(1000));
            rows.add(&series(&members.name), at, 1, u64::from(bad), took);
        }
        if !rows.is_empty() {
            self.samples.add(SOURCE, rows);
        }
    }

    /// The newest `limit` lines of `name`, the oldest of them first.
    pub(super) fn history(&self, name: &str, limit: usize) -> Result<Vec<Line>, StorageError> {
        let needle = format!("\"name\":\"{name}\"");
        let finder = memchr::memmem::Finder::new(needle.as_bytes());
        let mut newest: VecDeque<Vec<u8>> = VecDeque::new();
        let engine = self.kept.journal().engine();
        each_line(engine, STREAM, &Mark::default(), |line| {
            if finder.find(line).is_none() {
                return;
            }
            if newest.len() >= limit {
                newest.pop_front();
            }
            newest.push_back(line.to_vec());
        })?;
        let read = |line: &Vec<u8>| serde_json::from_slice::<Line>(line).ok();
        let own = |line: &Line| line.members.name == name;
        Ok(newest.iter().filter_map(read).filter(own).collect())
    }

    /// Forgets refused signals of heartbeats that are not watched any more.
    pub(super) fn forget_refused(&self, rules: &HeartbeatsRules) {
        locked(&self.refused).retain(|name, _| rules.named(name).is_some());
    }

    /// What is wrong with it, in one sentence.
    pub(super) fn trouble(&self) -> Option<String> {
        let refused = locked(&self.refused).len();
        (refused > 0).then(|| format!("signals of {refused} heartbeats could not be written"))
    }
}

/// The series that samples of the heartbeat `name` are counted in.
pub(super) fn series(name: &str) -> String {
    format!("heartbeat:{name}")
}
