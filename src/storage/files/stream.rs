//! What a stream's appenders, readers and its writer thread share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::reading::Visible;
use crate::storage::engine::{
    Appending, Durability, Expect, OnCommit, StorageError, StreamHealth, StreamOptions,
};
use crate::storage::line::{ChainValue, GENESIS};
use crate::storage::lines::Lines;
use crate::storage::replies::{self, Outcome, Reply};

/// Groups that wait before the writer is woken without waiting for the turn to end.
/// Source: rule L2 of the reliability reference, at most 256 events a batch are waited for.
const WAKE_AT_GROUPS: usize = 256;

/// An append on its way.
pub(super) struct Group {
    pub(super) expect: Expect,
    pub(super) durability: Option<Durability>,
    pub(super) lines: Lines,
    pub(super) on_commit: Option<OnCommit>,
    pub(super) reply: Reply,
}

#[derive(Default)]
struct Queue {
    groups: Vec<Group>,
    /// The writer should look now.
    due: bool,
    /// A task that will wake the writer is on its way.
    deferred: bool,
    /// The writer finishes, or has finished: nothing more is taken.
    closing: bool,
}

/// What the writer finds when it wakes.
pub(super) struct Work {
    pub(super) groups: Vec<Group>,
    pub(super) closing: bool,
}

/// One stream.
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) options: StreamOptions,
    queue: Mutex<Queue>,
    wake: Condvar,
    acked: watch::Sender<u64>,
    health: Mutex<StreamHealth>,
    visible: Mutex<Option<Visible>>,
    /// The last line that is on the medium, and its chain value.
    anchor: Mutex<(u64, ChainValue)>,
    /// Uptime in milliseconds, plus one, at which the writer's turn began; 0 = it waits for work.
    turn_since: AtomicU64,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stream {
    pub(super) fn new(name: &str, options: StreamOptions) -> Self {
        Self {
            name: name.to_owned(),
            options,
            queue: Mutex::default(),
            wake: Condvar::new(),
            acked: watch::Sender::new(0),
            health: Mutex::new(StreamHealth {
                durability: Some(options.durability),
                ..StreamHealth::default()
            }),
            visible: Mutex::default(),
            anchor: Mutex::new((0, GENESIS)),
            turn_since: AtomicU64::new(0),
        }
    }

    /// Puts an append in the queue. Within a runtime the writer is woken by a task that runs after
    /// everything that is ready now, so that all requests of one turn become one batch.
    pub(super) fn enqueue(
        self: &Arc<Self>,
        expect: Expect,
        durability: Option<Durability>,
        lines: Lines,
        on_commit: Option<OnCommit>,
    ) -> Appending {
        let runtime = Handle::try_current().ok();
        let (reply, waiting) = replies::channel(runtime.clone());
        let group = Group {
            expect,
            durability,
            lines,
            on_commit,
            reply,
        };
        let mut queue = locked(&self.queue);
        if queue.closing {
            drop(queue);
            answer(vec![(group, Err(StorageError::Closed))], || {});
            return waiting;
        }
        queue.groups.push(group);
        if queue.due {
            return waiting;
        }
        match runtime {
            Some(runtime) if queue.groups.len() < WAKE_AT_GROUPS => {
                if !std::mem::replace(&mut queue.deferred, true) {
                    drop(queue);
                    let stream = Arc::clone(self);
                    drop(runtime.spawn(async move { stream.nudge() }));
                }
            }
            _ => {
                queue.due = true;
                drop(queue);
                self.wake.notify_one();
            }
        }
        waiting
    }

    /// Lets the writer look at the queue.
    pub(super) fn nudge(&self) {
        let mut queue = locked(&self.queue);
        queue.deferred = false;
        queue.due = true;
        drop(queue);
        self.wake.notify_one();
    }

    /// Asks the writer to finish.
    pub(super) fn begin_close(&self) {
        let mut queue = locked(&self.queue);
        queue.closing = true;
        drop(queue);
        self.wake.notify_one();
    }

    /// Waits for work, at most `span`.
    pub(super) fn wait(&self, span: Duration) -> Work {
        let queue = locked(&self.queue);
        let (mut queue, _) = self
            .wake
            .wait_timeout_while(queue, span, |queue| !queue.due && !queue.closing)
            .unwrap_or_else(PoisonError::into_inner);
        queue.due = false;
        Work {
            groups: std::mem::take(&mut queue.groups),
            closing: queue.closing,
        }
    }

    /// The writer is at work from `now` on, until [`Stream::end_turn`].
    pub(super) fn begin_turn(&self, now: Duration) {
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX - 1);
        self.turn_since.store(millis + 1, Ordering::Relaxed);
    }

    /// The writer waits for work.
    pub(super) fn end_turn(&self) {
        self.turn_since.store(0, Ordering::Relaxed);
    }

    /// How long the writer has been at one turn; `None` while it waits for work.
    pub(super) fn turn_lasts(&self, now: Duration) -> Option<Duration> {
        let since = self.turn_since.load(Ordering::Relaxed).checked_sub(1)?;
        Some(now.saturating_sub(Duration::from_millis(since)))
    }

    /// The writer is gone: whatever still waits, and whatever comes, is refused.
    pub(super) fn end(&self) {
        let mut queue = locked(&self.queue);
        queue.closing = true;
        self.end_turn();
        let left = std::mem::take(&mut queue.groups);
        drop(queue);
        let refuse = |group| (group, Err(StorageError::Closed));
        answer(left.into_iter().map(refuse).collect(), || {});
    }

    pub(super) fn announce(&self, seq: u64) {
        self.acked.send_if_modified(|known| {
            let grown = seq > *known;
            *known = seq.max(*known);
            grown
        });
    }

    pub(super) fn follow(&self) -> watch::Receiver<u64> {
        self.acked.subscribe()
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut StreamHealth)) {
        change(&mut locked(&self.health));
    }

    pub(super) fn health(&self) -> StreamHealth {
        let mut health = locked(&self.health).clone();
        health.last_seq = *self.acked.borrow();
        health
    }

    pub(super) fn show(&self, visible: Option<Visible>) {
        *locked(&self.visible) = visible;
    }

    pub(super) fn set_anchor(&self, seq: u64, h: ChainValue) {
        *locked(&self.anchor) = (seq, h);
    }

    pub(super) fn anchor(&self) -> (u64, ChainValue) {
        *locked(&self.anchor)
    }

    pub(super) fn visible(&self) -> Option<Visible> {
        *locked(&self.visible)
    }
}

/// Tells each group's view, then whoever follows by `announce`, then the appenders.
pub(super) fn answer(groups: Vec<(Group, Outcome)>, announce: impl FnOnce()) {
    let mut told = Vec::with_capacity(groups.len());
    for (mut group, outcome) in groups {
        if let Some(on_commit) = group.on_commit.take() {
            // A fault in a view must not take the writer down with it: the line is on the medium.
            let call = std::panic::AssertUnwindSafe(|| on_commit(&outcome));
            if std::panic::catch_unwind(call).is_err() {
                tracing::error!("a view panicked on a line that is stored");
            }
        }
        told.push((group.reply, outcome));
    }
    announce();
    replies::tell_all(told);
}
