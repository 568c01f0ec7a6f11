//! The verbs: what is known of the probes, and a look now. And the one task that makes all looks.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::board::{Board, Last};
use super::config::ProbesConfig;
use super::event::{ProbeEvent, STREAM};
use super::logic::Phase;
use super::look::{Connectivity, Eyes, Look, Verdict};
use super::model::{Probe, ProbesRules};
use super::record::{self, Recorder, SOURCE};
use super::restored::Restored;
use crate::platform::alerts::Alerts;
use crate::platform::config::{Accepted, DaemonRules, Live};
use crate::platform::samples::{Counts, Rows, Samples};
use crate::platform::wiring::Wiring;
use crate::storage::engine::Mark;
use crate::storage::journal::read_lines;

/// Looks under way at most. Each may take its probe's timeout: this many let a thousand probes of
/// 30 s hang for 10 s each and delay nobody (our own choice).
const MOST_FLYING: usize = 400;
/// Pause before lines that storage refused are tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How old samples of ours get before they are written: a kill loses no more (our own choice).
const FLUSH: Duration = Duration::from_secs(30);

/// Spans over which uptime is told, with their names.
pub(super) const WINDOWS: [(&str, TimeDelta); 5] = [
    ("1h", TimeDelta::hours(1)),
    ("24h", TimeDelta::hours(24)),
    ("7d", TimeDelta::days(7)),
    ("30d", TimeDelta::days(30)),
    ("90d", TimeDelta::days(90)),
];

/// Why a verb did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    /// There is none of this name.
    #[error("there is no probe `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The name that was probably meant.
        nearest: Option<String>,
    },
    /// The daemon is stopping.
    #[error("the look at `{name}` was not made: the daemon is stopping")]
    Stopping {
        /// What was asked for.
        name: String,
    },
}

/// Nobody makes looks by themselves (yet).
const NOT_BEGUN: u8 = 0;
/// Looks are made.
const RUNNING: u8 = 1;
/// No more looks are made.
const ENDED: u8 = 2;

/// Who waits for a look, and since when it may have begun.
type Waiter = (Arc<str>, Duration, oneshot::Sender<()>);

/// The probes.
#[derive(Debug)]
pub(super) struct Probes {
    eyes: Arc<Eyes>,
    live: Live<ProbesRules>,
    daemon: Live<DaemonRules>,
    alerts: Alerts,
    samples: Samples,
    recorder: Recorder,
    board: Mutex<Board>,
    restored: Mutex<Restored>,
    waiters: Mutex<Vec<Waiter>>,
    adopted: Mutex<Option<Arc<Accepted<ProbesRules>>>>,
    changed: Notify,
    /// `NOT_BEGUN`, `RUNNING` or `ENDED`.
    pace: AtomicU8,
}

/// One probe as it is told.
#[derive(Debug)]
pub(super) struct Told {
    /// What is probed.
    pub(super) probe: Arc<Probe>,
    /// Where it stands.
    pub(super) phase: Phase,
    /// Since when.
    pub(super) since: Option<DateTime<Utc>>,
    /// Failures in a row.
    pub(super) failures: u32,
    /// The first failure of the row.
    pub(super) failing_since: Option<DateTime<Utc>>,
    /// Until when failures are planned.
    pub(super) maintained_until: Option<DateTime<Utc>>,
    /// The last look.
    pub(super) last: Option<Last>,
    /// How near the end of the certificate is.
    pub(super) cert: &'static str,
    /// Good and bad looks by window.
    pub(super) windows: [Counts; WINDOWS.len()],
}

impl Probes {
    /// Reads the configuration and the journal; nothing is looked at yet.
    pub(super) fn open(wiring: &Wiring) -> anyhow::Result<Arc<Self>> {
        let live = wiring.config::<ProbesConfig>()?;
        let journal = wiring.opened(STREAM)?;
        let mut restored = Restored::default();
        read_lines(&*wiring.engine, STREAM, &Mark::default(), |line| {
            restored.fold(line);
        })?;
        wiring.samples.flush_every(SOURCE, FLUSH);
        let probes = Arc::new(Self {
            eyes: Arc::new(Eyes {
                clock: Arc::clone(&wiring.clock),
                outbound: Arc::clone(&wiring.seams.outbound),
                connectivity: Connectivity::default(),
            }),
            live,
            daemon: wiring.daemon.clone(),
            alerts: wiring.alerts.clone(),
            samples: wiring.samples.clone(),
            recorder: Recorder::new(journal),
            board: Mutex::default(),
            restored: Mutex::new(restored),
            waiters: Mutex::default(),
            adopted: Mutex::default(),
            changed: Notify::new(),
            pace: AtomicU8::new(NOT_BEGUN),
        });
        probes.adopt();
        let woken = Arc::downgrade(&probes);
        wiring
            .configs
            .on_accept::<ProbesConfig>(Arc::new(move |_| {
                if let Some(probes) = woken.upgrade() {
                    probes.changed.notify_one();
                }
            }))?;
        Ok(probes)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiters(&self) -> MutexGuard<'_, Vec<Waiter>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now, to the millisecond that lines have.
    fn now(&self) -> DateTime<Utc> {
        self.eyes.clock.now().trunc_subsecs(3)
    }

    /// Takes the rules in force, unless they are taken already.
    fn adopt(&self) {
        let accepted = self.live.get_full();
        {
            let mut adopted = self.adopted.lock().unwrap_or_else(PoisonError::into_inner);
            if adopted
                .as_ref()
                .is_some_and(|same| Arc::ptr_eq(same, &accepted))
            {
                return;
            }
            *adopted = Some(Arc::clone(&accepted));
        }
        let (uptime, now) = (self.eyes.clock.uptime(), self.now());
        let events = {
            let mut restored = self.restored.lock().unwrap_or_else(PoisonError::into_inner);
            self.board()
                .adopt(&accepted.rules, &mut restored, uptime, now)
        };
        self.tell(&accepted.rules, events, now);
        self.reconcile(&accepted.rules, now);
    }

    /// Findings of ours hold exactly for the probes that are down: what a crash came between is
    /// made up for.
    fn reconcile(&self, rules: &ProbesRules, now: DateTime<Utc>) {
        let mut keys = std::collections::BTreeSet::new();
        let mut raised = Vec::new();
        for entry in self.board().entries() {
            let name: &str = &entry.probe.name;
            let standing = &entry.standing;
            if standing.phase == Phase::Down {
                keys.insert(record::down_key(name));
                let began = standing.failing_since.unwrap_or(now);
                let summary = format!("probe `{name}` is down: {}", standing.reason);
                raised.push(record::down(rules, name, summary, began));
            }
            if entry.cert.is_near() {
                keys.insert(record::cert_key(name));
            }
        }
        for active in self.alerts.said_by(SOURCE) {
            if !keys.contains(&active.finding.key) {
                let how = "what was probed is not probed any more, or is well";
                self.alerts.resolve(&active.finding.key, now, how);
            }
        }
        for finding in raised {
            self.alerts.raise(finding, now);
        }
    }

    fn tell(&self, rules: &ProbesRules, events: Vec<ProbeEvent>, now: DateTime<Utc>) {
        for event in events {
            record::tell(&self.alerts, rules, &event, now);
            self.recorder.write(event, now);
        }
    }

    /// Makes all looks, until told to stop.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut flights: FuturesUnordered<BoxFuture<'static, Look>> = FuturesUnordered::new();
        self.pace.store(RUNNING, Ordering::Relaxed);
        loop {
            self.launch(&mut flights);
            let (full, next) = {
                let board = self.board();
                (board.flying() >= MOST_FLYING, board.next_due())
            };
            let uptime = self.eyes.clock.uptime();
            // Where everything flies, only a landing makes room.
            let idle = next
                .filter(|_| !full)
                .map_or(Duration::from_hours(1), |next| next.saturating_sub(uptime));
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(look) = flights.next() => self.land(look),
                () = self.changed.notified() => self.adopt_changes(),
                () = self.eyes.clock.sleep(idle) => {}
            }
        }
        // Under the lock: who comes later sees that nobody looks any more.
        let mut waiters = self.waiters();
        self.pace.store(ENDED, Ordering::Relaxed);
        waiters.clear();
    }

    /// Writes again what storage refused, until told to stop.
    pub(super) async fn keep_trying(self: Arc<Self>, stop: CancellationToken) {
        let pause = || self.eyes.clock.sleep(RETRY);
        while stop.run_until_cancelled(pause()).await.is_some() {
            self.recorder.retry();
        }
    }

    /// Woken by a change of the rules, or by somebody who asks for a look.
    fn adopt_changes(&self) {
        self.adopt();
        let uptime = self.eyes.clock.uptime();
        let mut waiters = self.waiters();
        let mut board = self.board();
        // Who waits for a probe that is gone is told so by being let go.
        waiters.retain(|(name, since, _)| board.hasten(name, *since, uptime));
    }

    fn launch(&self, flights: &mut FuturesUnordered<BoxFuture<'static, Look>>) {
        loop {
            let uptime = self.eyes.clock.uptime();
            let mut board = self.board();
            if board.flying() >= MOST_FLYING {
                return;
            }
            let Some((probe, late, decides)) = board.launch(uptime) else {
                return;
            };
            drop(board);
            flights.push(self.flight(probe, uptime, late, decides));
        }
    }

    /// A look that begins now, `begun` on the monotonic clock.
    fn flight(
        &self,
        probe: Arc<Probe>,
        begun: Duration,
        late: Duration,
        decides: bool,
    ) -> BoxFuture<'static, Look> {
        let (eyes, at) = (Arc::clone(&self.eyes), self.now());
        let (accepted, daemon) = (self.live.get_full(), self.daemon.get_full());
        Box::pin(async move {
            let (allow, targets) = (&daemon.rules.outbound, &accepted.rules.connectivity);
            let sight = eyes.look(&probe, allow, targets, decides).await;
            Look {
                probe,
                begun,
                at,
                late,
                sight,
            }
        })
    }

    fn land(&self, look: Look) {
        let accepted = self.live.get_full();
        let (uptime, now) = (self.eyes.clock.uptime(), self.now());
        let (name, begun, at) = (Arc::clone(&look.probe.name), look.begun, look.at);
        let told = self.board().land(look, &accepted.rules, uptime, now);
        if let Some((bad, took)) = told.sample {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            let mut rows = Rows::new();
            rows.add(&series(&name), at, 1, u64::from(bad), Some(micros));
            self.samples.add(SOURCE, rows);
        }
        self.tell(&accepted.rules, told.events, now);
        let mut waiters = self.waiters();
        let (served, rest) = std::mem::take(&mut *waiters)
            .into_iter()
            .partition(|(waited, since, _)| *waited == name && begun >= *since);
        *waiters = rest;
        drop(waiters);
        let served: Vec<Waiter> = served;
        for (_, _, waiter) in served {
            // Who does not wait any more needs no answer.
            let _gone = waiter.send(());
        }
    }

    /// Looks at `name` now and gives what is known then.
    pub(super) async fn check(&self, name: &str) -> Result<Told, ProbeError> {
        let probe = self.known(name)?;
        let since = self.eyes.clock.uptime();
        if self.pace.load(Ordering::Relaxed) != NOT_BEGUN {
            let (tell, told) = oneshot::channel();
            {
                let mut waiters = self.waiters();
                // The end may have come meanwhile: then nobody would answer.
                if self.pace.load(Ordering::Relaxed) == ENDED {
                    drop(tell);
                } else {
                    waiters.push((probe, since, tell));
                }
            }
            self.changed.notify_one();
            if told.await.is_err() {
                self.known(name)?;
                let name = name.to_owned();
                return Err(ProbeError::Stopping { name });
            }
        } else if let Some((probe, decides)) = self.board_take(&probe, since) {
            // Nobody makes looks here: the command line works on a folder without a daemon.
            let look = self.flight(probe, since, Duration::ZERO, decides).await;
            self.land(look);
        }
        self.told(name)
    }

    fn board_take(&self, name: &str, uptime: Duration) -> Option<(Arc<Probe>, bool)> {
        self.board().take(name, uptime)
    }

    fn known(&self, name: &str) -> Result<Arc<str>, ProbeError> {
        let board = self.board();
        let entry = board.get(name).ok_or_else(|| {
            let known = board.entries().map(|entry| &*entry.probe.name);
            let nearest = crate::base::names::nearest(name, known);
            ProbeError::Unknown {
                name: name.to_owned(),
                nearest: nearest.map(str::to_owned),
            }
        })?;
        Ok(Arc::clone(&entry.probe.name))
    }

    /// What is known of `name`.
    fn told(&self, name: &str) -> Result<Told, ProbeError> {
        self.known(name)?;
        let all = self.all();
        let one = all.into_iter().find(|one| &*one.probe.name == name);
        one.ok_or_else(|| ProbeError::Stopping {
            name: name.to_owned(),
        })
    }

    /// What is known of every probe, by name.
    pub(super) fn all(&self) -> Vec<Told> {
        let (accepted, now) = (self.live.get(), self.now());
        let rules = &accepted.rules;
        let told = |entry: &super::board::Entry| Told {
            probe: Arc::clone(&entry.probe),
            phase: entry.standing.phase,
            since: entry.standing.since,
            failures: entry.standing.failures,
            failing_since: entry.standing.failing_since,
            maintained_until: rules.maintained_until(&entry.probe.name, now),
            last: entry.last.clone(),
            cert: entry.cert.word(),
            windows: Default::default(),
        };
        let mut all: Vec<Told> = self.board().entries().map(told).collect();
        for one in &mut all {
            one.windows = self.windows(&one.probe.name, now);
        }
        all
    }

    fn windows(&self, name: &str, now: DateTime<Utc>) -> [Counts; WINDOWS.len()] {
        let series = series(name);
        // The minute under way counts too.
        let until = now + TimeDelta::minutes(1);
        WINDOWS.map(|(_, span)| self.samples.counts(&series, now - span, until))
    }

    /// How long the daemon runs.
    pub(super) fn running_for(&self) -> Duration {
        self.eyes.clock.uptime()
    }

    /// Since when this machine is offline, and the latest that a look has begun after its time.
    pub(super) fn network(&self) -> (Option<DateTime<Utc>>, Duration) {
        let board = self.board();
        (board.offline_since, board.latest)
    }

    /// What is wrong with the probing itself, in one sentence.
    pub(super) fn trouble(&self) -> Option<String> {
        if self.recorder.is_behind() {
            return Some("lines of probes wait for storage".into());
        }
        let board = self.board();
        let unable = board.entries().find_map(|entry| {
            let sight = &entry.last.as_ref()?.sight;
            let ours = sight.verdict == Verdict::Unable && sight.online != Some(false);
            ours.then(|| (entry.probe.name.to_string(), sight.clone()))
        });
        drop(board);
        let (name, sight) = unable?;
        Some(format!(
            "probe `{name}` cannot look: {}; {}",
            sight.reason, sight.hint
        ))
    }
}

/// The name of a probe's samples.
pub(super) fn series(name: &str) -> String {
    format!("probe:{name}")
}
