//! How long a connection may keep us waiting (rules H1 and H6): one deadline for each, a store to
//! move it, and one task that looks at all of them a few times a second.
//!
//! A timer of the runtime for each head, body and request costs more than checking a key does;
//! these bounds are seconds long and need no more than a coarse look.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::seams::clock::Clock;

/// How often deadlines are looked at: far below the shortest of them, far above what it costs.
const LOOK: Duration = Duration::from_millis(100);
/// How long a connection between two requests stays open once we stop: a request that is on its way
/// is answered, and told to come back on another connection (our own choice: more than the pause of
/// a busy client, less than a person notices).
const LINGER: Duration = Duration::from_secs(1);
/// The same for a connection that has not said anything yet: who connects is about to ask (our own
/// choice: more than a busy machine holds a client up).
const LINGER_NEW: Duration = Duration::from_secs(3);
/// How often they are looked at while stopping, when somebody waits for the last to end.
const LOOK_STOPPING: Duration = Duration::from_millis(5);

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaits {
    /// A request head, be it the first or the next.
    Head,
    /// More of a body.
    Body,
    /// Our own answer.
    Answer,
    /// The client to take its answer.
    Taking,
}

/// The patience with one connection.
#[derive(Debug)]
pub(super) struct Patience {
    clock: Arc<dyn Clock>,
    /// For a whole head, and for silence between requests.
    head: Duration,
    /// Milliseconds of uptime when it ends, times four, plus what is awaited.
    due: AtomicU64,
    spent: AtomicBool,
    /// Something of a request has come since the last answer.
    begun: AtomicBool,
    /// No answer was ever given here.
    is_new: AtomicBool,
    stopping: AtomicBool,
    closing: AtomicBool,
    over: AtomicBool,
    task: AtomicWaker,
}

const KINDS: [Awaits; 4] = [Awaits::Head, Awaits::Body, Awaits::Answer, Awaits::Taking];

fn pack(awaits: Awaits, at: Duration) -> u64 {
    let kind = KINDS.iter().position(|kind| *kind == awaits).unwrap_or(0) as u64;
    let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
    millis.min(u64::MAX >> 2) << 2 | kind
}

fn unpack(due: u64) -> (Awaits, Duration) {
    let kind = KINDS
        .get((due & 3) as usize)
        .copied()
        .unwrap_or(Awaits::Head);
    (kind, Duration::from_millis(due >> 2))
}

impl Patience {
    /// Patience that begins to wait for a head, each time for at most `head`.
    pub(super) fn new(clock: Arc<dyn Clock>, head: Duration) -> Self {
        let patience = Self {
            clock,
            head,
            due: AtomicU64::new(0),
            spent: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            is_new: AtomicBool::new(true),
            stopping: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            over: AtomicBool::new(false),
            task: AtomicWaker::new(),
        };
        patience.wait_for(Awaits::Head, patience.now().saturating_add(head));
        patience
    }

    /// Something came from the client.
    pub(super) fn heard(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    /// From `now` on the next head is waited for, the answer to the last being made.
    pub(super) fn wait_for_head(&self, now: Duration) {
        self.begun.store(false, Ordering::Relaxed);
        self.is_new.store(false, Ordering::Relaxed);
        self.wait_for(Awaits::Head, now.saturating_add(self.head));
    }

    /// Uptime now.
    pub(super) fn now(&self) -> Duration {
        self.clock.uptime()
    }

    /// From now on `awaits` is waited for, until `at`.
    pub(super) fn wait_for(&self, awaits: Awaits, at: Duration) {
        self.due.store(pack(awaits, at), Ordering::Relaxed);
    }

    /// What is waited for, and until when.
    pub(super) fn current(&self) -> (Awaits, Duration) {
        unpack(self.due.load(Ordering::Relaxed))
    }

    /// Whether `awaits` was waited for too long.
    pub(super) fn is_spent_on(&self, awaits: Awaits) -> bool {
        if !self.spent.load(Ordering::Acquire) {
            return false;
        }
        let (kind, at) = self.current();
        if at > self.now() {
            // What was spent has been met in the meantime: another wait has begun.
            self.spent.store(false, Ordering::Release);
            return false;
        }
        kind == awaits
    }

    /// Whether the connection should end after the next answer.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Whether the connection should end unless a request has begun to come.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire) && !self.begun.load(Ordering::Relaxed)
    }

    /// Whether the connection should end at once.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
            || self.is_spent_on(Awaits::Head)
            || self.is_spent_on(Awaits::Taking)
    }

    /// Whom to wake when any of this changes.
    pub(super) fn register(&self, task: &Waker) {
        self.task.register(task);
    }

    fn look(&self, now: Duration) {
        if self.current().1 <= now && !self.spent.swap(true, Ordering::AcqRel) {
            self.task.wake();
        }
    }

    fn tell(&self, word: &AtomicBool) {
        if !word.swap(true, Ordering::AcqRel) {
            self.task.wake();
        }
    }
}

/// Looks after the patience with all connections.
#[derive(Debug, Default)]
pub(super) struct Watch {
    all: Mutex<Vec<Weak<Patience>>>,
    arrived: Notify,
    complete: AtomicBool,
}

impl Watch {
    /// Looks after one more.
    pub(super) fn add(&self, patience: &Arc<Patience>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::downgrade(patience));
        if all.len() == 1 {
            self.arrived.notify_one();
        }
    }

    /// No connection comes after those that are here.
    pub(super) fn no_more(&self) {
        self.complete.store(true, Ordering::Release);
    }

    /// Runs until `stop`, and then until the last connection has ended: from `stop` on they end
    /// after their next answer, or when none is asked for, and are made to on `hard` or when
    /// `drain` has passed.
    pub(super) async fn run(
        &self,
        clock: &dyn Clock,
        stop: &CancellationToken,
        hard: &CancellationToken,
        drain: impl Fn() -> Duration,
    ) {
        while !stop.is_cancelled() {
            let look = async {
                if self.each(|patience| patience.look(clock.uptime())) == 0 {
                    self.arrived.notified().await;
                }
                clock.sleep(LOOK).await;
            };
            stop.run_until_cancelled(look).await;
        }
        let begun = clock.uptime();
        let until = begun + drain();
        loop {
            let now = clock.uptime();
            let waited = now.saturating_sub(begun);
            let over = hard.is_cancelled() || now >= until;
            let left = self.each(|patience| {
                patience.tell(&patience.stopping);
                let is_new = patience.is_new.load(Ordering::Relaxed);
                if waited >= if is_new { LINGER_NEW } else { LINGER } {
                    patience.tell(&patience.closing);
                }
                patience.look(now);
                if over {
                    patience.tell(&patience.over);
                }
            });
            if left == 0 && self.complete.load(Ordering::Acquire) {
                return;
            }
            hard.run_until_cancelled(clock.sleep(LOOK_STOPPING)).await;
            if hard.is_cancelled() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Does something to each that still lives; gives their number.
    fn each(&self, act: impl Fn(&Patience)) -> usize {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|patience| match patience.upgrade() {
            Some(patience) => {
                act(&patience);
                true
            }
            None => false,
        });
        all.len()
    }
}
