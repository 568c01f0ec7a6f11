//! The only reader of the clock. Everything else is given a `now`.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

/// A wait that ends when its instant has come.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What time it is, and waiting for another.
pub trait Clock: Send + Sync + Debug + 'static {
    /// The wall clock, UTC. May step in either direction; never used to measure a span.
    fn now(&self) -> DateTime<Utc>;
    /// Time since this clock was made, on the monotonic clock. Never steps.
    fn uptime(&self) -> Duration;
    /// Ends once [`Clock::uptime`] has grown by `span`.
    fn sleep(&self, span: Duration) -> Sleep;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    origin: std::time::Instant,
}

impl SystemClock {
    /// A clock whose uptime starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the door to the clock")]
    pub fn new() -> Self {
        Self {
            origin: std::time::Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the door to the clock")]
impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
    fn uptime(&self) -> Duration {
        self.origin.elapsed()
    }
    fn sleep(&self, span: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(span))
    }
}

/// A clock that moves only when told to, for tests.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<(DateTime<Utc>, Duration)>,
    moved: watch::Sender<Duration>,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: DateTime<Utc>) -> Self {
        Self {
            state: Mutex::new((now, Duration::ZERO)),
            moved: watch::Sender::new(Duration::ZERO),
        }
    }

    /// Lets `span` pass on both clocks and wakes whoever waited for it.
    pub fn advance(&self, span: Duration) {
        let uptime = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.0 += TimeDelta::from_std(span).unwrap_or_default();
            state.1 += span;
            state.1
        };
        self.moved.send_replace(uptime);
    }

    /// Steps the wall clock alone, as an administrator or NTP does.
    pub fn step_wall(&self, by: TimeDelta) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0
    }
    fn uptime(&self) -> Duration {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1
    }
    fn sleep(&self, span: Duration) -> Sleep {
        let due = self.uptime() + span;
        let mut moved = self.moved.subscribe();
        Box::pin(async move {
            // An error means the clock is gone: nobody is left to wait for.
            let _gone = moved.wait_for(|uptime| *uptime >= due).await;
        })
    }
}
