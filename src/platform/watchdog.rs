//! The watchdog: tells the service manager that the daemon lives, only when it has just seen every
//! part of it turn: the writer of each journal, the task loop, and the runtime that serves.
//!
//! It is a thread of its own, because what it watches may stand still. A part that refuses work,
//! such as storage on a full disk, turns and is well; one that does not come back is stuck, and a
//! new process is the cure: no notice goes out until the service manager starts one. It ends
//! nothing itself, and owns no data.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Notify;
use tracing::{error, info, warn};

use super::lifecycle::{self, Tasks};
use crate::seams::clock::Clock;
use crate::storage::engine::{Engine, STUCK_AFTER};

/// How often it looks, at most (our own choice: the warning below wants seconds).
const LOOK: Duration = Duration::from_secs(1);
/// A part that takes longer to turn is slow. Source: goal figures of the reliability reference, as
/// etcd warns.
const SLOW_AFTER: Duration = Duration::from_secs(1);
/// Notices within the time that the service manager waits for one. Source: `sd_watchdog_enabled(3)`
/// asks for two, and one may be late.
const NOTICES: u32 = 3;
/// Looks between two notices: a late answer is seen soon after it came.
const LOOKS: u32 = 4;
/// Stack of the thread.
const STACK_BYTES: usize = 256 << 10;
/// How the writers are called; which one it is stands in the text.
const WRITERS: &str = "the writers of the journals";

/// One part that turns, or does not.
struct Vital {
    name: &'static str,
    /// Has it turn at once.
    ask: Box<dyn Fn() + Send + Sync>,
    /// Uptime at which it last turned; `None` before the first time.
    turned: Box<dyn Fn() -> Option<Duration> + Send + Sync>,
}

/// The parts whose turning is watched. Cheap to clone.
#[derive(Clone, Default)]
pub struct Vitals(Arc<Mutex<Vec<Arc<Vital>>>>);

impl Debug for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.all().iter().map(|one| one.name))
            .finish()
    }
}

impl Vitals {
    /// Has `name` watched: `ask` makes it turn, `turned` tells when it last did. Neither may wait.
    pub fn add(
        &self,
        name: &'static str,
        ask: impl Fn() + Send + Sync + 'static,
        turned: impl Fn() -> Option<Duration> + Send + Sync + 'static,
    ) {
        let vital = Arc::new(Vital {
            name,
            ask: Box::new(ask),
            turned: Box::new(turned),
        });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(vital);
    }

    /// Has the runtime watched: a task of it must be run.
    pub fn add_runtime(&self, tasks: &Tasks, clock: &Arc<dyn Clock>) {
        let (asked, turned) = (Arc::new(Notify::new()), Arc::new(AtomicU64::new(0)));
        let (heard, stop) = (Arc::clone(&asked), tasks.soft().clone());
        let (noted, clock) = (Arc::clone(&turned), Arc::clone(clock));
        tasks.spawn("pulse", async move {
            while stop.run_until_cancelled(heard.notified()).await.is_some() {
                noted.store(millis(clock.uptime()), Ordering::Release);
            }
        });
        let ask = move || asked.notify_one();
        let turned = move || Some(Duration::from_millis(turned.load(Ordering::Acquire)));
        self.add("the runtime", ask, turned);
    }

    fn all(&self) -> Vec<Arc<Vital>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The bounds that hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    /// Between two looks.
    look: Duration,
    /// Between two notices.
    notice: Duration,
    /// When a part is slow.
    slow: Duration,
    /// When a part is stuck.
    stuck: Duration,
}

impl Pace {
    /// `patience` is how long the service manager waits for a notice; `None` when it does not.
    fn of(patience: Option<Duration>) -> Self {
        let notice = patience.map_or(STUCK_AFTER, |patience| patience / NOTICES);
        Self {
            look: LOOK.min(notice / LOOKS).max(Duration::from_millis(1)),
            notice,
            slow: SLOW_AFTER.min(notice / 2),
            stuck: STUCK_AFTER.min(notice),
        }
    }
}

/// How bad it is with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Slow,
    Stuck,
}

/// What is waited for, and for how long.
struct Wait {
    name: &'static str,
    lasts: Duration,
    text: String,
}

/// The running watchdog; it ends when this is dropped.
#[derive(Debug)]
pub struct Watchdog {
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Begins to watch. The service manager is told of life where it asked to be.
    pub fn start(
        vitals: Vitals,
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let pace = Pace::of(sd_notify::watchdog_enabled());
        let (stop, stopped) = channel();
        let eye = Eye {
            asked: BTreeMap::new(),
            told: BTreeMap::new(),
            noticed: None,
            pace,
            vitals,
            engine,
            clock,
        };
        let thread = std::thread::Builder::new()
            .name("watchdog".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || eye.watch(&stopped))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ended = self.stop.send(());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the watchdog had panicked");
        }
    }
}

struct Eye {
    /// When each part was asked to turn, while it has not.
    asked: BTreeMap<&'static str, Duration>,
    told: BTreeMap<&'static str, Level>,
    /// When the service manager was last told.
    noticed: Option<Duration>,
    pace: Pace,
    vitals: Vitals,
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
}

impl Eye {
    fn watch(mut self, stopped: &Receiver<()>) {
        self.look();
        while stopped.recv_timeout(self.pace.look) == Err(RecvTimeoutError::Timeout) {
            self.look();
        }
    }

    fn look(&mut self) {
        // Parts say when they turned in whole milliseconds.
        let now = Duration::from_millis(millis(self.clock.uptime()));
        let waits = self.waits(now);
        for wait in &waits {
            self.tell(wait);
        }
        self.tell_moved(&waits);
        let due = self
            .noticed
            .is_none_or(|noticed| now.saturating_sub(noticed) >= self.pace.notice);
        let is_stuck = waits.iter().any(|wait| wait.lasts >= self.pace.stuck);
        if due && !is_stuck {
            lifecycle::notify_watchdog();
            self.noticed = Some(now);
            self.ask(now);
        }
    }

    /// Everything that has not turned since it was asked, and the writer that is at work.
    fn waits(&mut self, now: Duration) -> Vec<Wait> {
        let mut waits = Vec::new();
        for vital in self.vitals.all() {
            let Some(asked) = self.asked.get(vital.name).copied() else {
                continue;
            };
            if (vital.turned)().is_some_and(|turned| turned >= asked) {
                self.asked.remove(vital.name);
                continue;
            }
            let lasts = now.saturating_sub(asked);
            let text = format!("{} has not turned for {}", vital.name, secs(lasts));
            waits.push(Wait {
                name: vital.name,
                lasts,
                text,
            });
        }
        if let Some((stream, lasts)) = self.engine.longest_wait() {
            let long = secs(lasts);
            let text = format!("`{stream}` has been at one write or sync for {long}");
            waits.push(Wait {
                name: WRITERS,
                lasts,
                text,
            });
        }
        waits
    }

    fn ask(&mut self, now: Duration) {
        for vital in self.vitals.all() {
            self.asked.entry(vital.name).or_insert(now);
            (vital.ask)();
        }
    }

    /// One line when a part gets slow, and one when it is stuck.
    fn tell(&mut self, wait: &Wait) {
        let level = if wait.lasts >= self.pace.stuck {
            Level::Stuck
        } else if wait.lasts >= self.pace.slow {
            Level::Slow
        } else {
            return;
        };
        if self.told.get(wait.name).is_some_and(|told| *told >= level) {
            return;
        }
        self.told.insert(wait.name, level);
        match level {
            Level::Slow => warn!("{}: a slow disk, or a busy machine", wait.text),
            Level::Stuck => {
                let cure =
                    "it is stuck, and the service manager hears nothing of us until it moves";
                error!("{}: {cure}", wait.text);
                lifecycle::notify_status(&format!("stuck: {}", wait.text));
            }
        }
    }

    fn tell_moved(&mut self, waits: &[Wait]) {
        let slow = self.pace.slow;
        self.told.retain(|name, level| {
            let still = |wait: &Wait| wait.name == *name && wait.lasts >= slow;
            if waits.iter().any(still) {
                return true;
            }
            info!("{name}: turning again");
            if *level == Level::Stuck {
                lifecycle::notify_status("serving again");
            }
            false
        });
    }
}

fn secs(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

#[test]
fn bounds_follow_from_what_the_service_manager_waits() {
    let secs = Duration::from_secs;
    let usual = Pace::of(Some(secs(30)));
    assert_eq!((usual.look, usual.notice), (secs(1), secs(10)));
    assert_eq!((usual.slow, usual.stuck), (secs(1), secs(10)));
    assert_eq!(Pace::of(None), usual, "it warns without a watchdog too");
    let long = Pace::of(Some(secs(600)));
    assert_eq!((long.notice, long.stuck), (secs(200), secs(10)));
    let short = Pace::of(Some(secs(3)));
    assert_eq!((short.look, short.notice), (secs(1) / 4, secs(1)));
    assert_eq!((short.slow, short.stuck), (secs(1) / 2, secs(1)));
}
