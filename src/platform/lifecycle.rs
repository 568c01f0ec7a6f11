//! Beginning and end of everything that runs beside a request: each task is tracked, fenced against
//! panics and joined; stopping is asked for first (soft) and insisted on later (hard).

use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::seams::clock::Clock;

/// Runs `work` for at most `span`; `None` when it was not done by then.
pub async fn within<F: Future>(clock: &dyn Clock, span: Duration, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        output = &mut work => Some(output),
        () = clock.sleep(span) => None,
    }
}

/// All tasks of the process, and the two words that end them.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    soft: CancellationToken,
    hard: CancellationToken,
    failed: Arc<AtomicU64>,
    /// Names of those that panicked since somebody asked.
    fallen: Arc<Mutex<Vec<&'static str>>>,
    /// Why the process ends.
    reason: Arc<OnceLock<&'static str>>,
}

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Self {
        let hard = CancellationToken::new();
        Self {
            tracker: TaskTracker::new(),
            soft: hard.child_token(),
            hard,
            failed: Arc::new(AtomicU64::new(0)),
            fallen: Arc::default(),
            reason: Arc::default(),
        }
    }

    /// Cancelled when the process should stop: finish what is in hand, begin nothing new.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when patience has ended: stop now. Cancels [`Tasks::soft`] too.
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Notes why the process ends; the first word counts.
    pub fn end_by(&self, reason: &'static str) {
        // A second signal does not change why it began to end.
        let _told_before = self.reason.set(reason);
    }

    /// Why the process ends, as far as anybody said.
    pub fn reason(&self) -> Option<&'static str> {
        self.reason.get().copied()
    }

    /// How many tasks ended in a panic.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Names of the tasks that ended in a panic since this was asked last.
    pub fn take_fallen(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.fallen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many tasks are running.
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// Runs `work` as a task. A panic in it ends that task alone, and is reported.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the door to the executor"
    )]
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let (failed, fallen) = (Arc::clone(&self.failed), Arc::clone(&self.fallen));
        let fenced = AssertUnwindSafe(work).catch_unwind();
        tokio::spawn(self.tracker.track_future(async move {
            if fenced.await.is_err() {
                failed.fetch_add(1, Ordering::Relaxed);
                let mut fallen = fallen.lock().unwrap_or_else(PoisonError::into_inner);
                fallen.push(name);
                error!(task.name = name, "task `{name}` panicked and is gone");
            }
        }));
    }

    /// Asks all tasks to stop, waits for them up to `patience`, then insists. Whether all ended in
    /// time.
    pub async fn stop(&self, clock: &dyn Clock, patience: Duration) -> bool {
        self.soft.cancel();
        self.tracker.close();
        let ended = within(clock, patience, async {
            tokio::select! {
                () = self.tracker.wait() => true,
                () = self.hard.cancelled() => false,
            }
        });
        if ended.await == Some(true) {
            return true;
        }
        warn!(
            tasks = self.tracker.len(),
            "tasks did not stop in time, ending them"
        );
        self.hard.cancel();
        // A task that ignores the hard word too cannot hold the process for longer than this.
        within(clock, INSIST, self.tracker.wait()).await;
        false
    }
}

/// Starts work of this name again; `false` where there is none that could be.
type Restart = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Starts background work again that has panicked. Filled once, when that work is first started.
#[derive(Clone, Default)]
pub struct Reviver(Arc<OnceLock<Restart>>);

impl Debug for Reviver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reviver")
    }
}

impl Reviver {
    /// Fills it; a second call does nothing.
    pub fn complete(&self, restart: impl Fn(&str) -> bool + Send + Sync + 'static) {
        self.0.get_or_init(|| Box::new(restart));
    }

    /// Starts the work called `name` again. Whether there is such work.
    pub fn revive(&self, name: &str) -> bool {
        self.0.get().is_some_and(|restart| restart(name))
    }
}

/// How long a task may take to notice the hard word (our own choice; it only has to drop things).
const INSIST: Duration = Duration::from_secs(1);

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes SIGXFSZ from now on and does nothing about it, so that a file size limit shows as an error
/// of the write and not as our death (rule L10 of the reliability notes). To be called within a
/// runtime, before the first write.
pub fn survive_size_limits() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    // The handler stays for the life of the process; nobody needs to be told.
    drop(signal(SignalKind::from_raw(SIGXFSZ))?);
    Ok(())
}

/// Raises the bound on open handles to what the system lets us have: shells give 1,024, which is
/// fewer than the connections that may be open.
pub fn raise_handle_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        warn!(%error, "cannot raise the number of open handles, it stays");
    }
}

/// Handles that connections leave to journals, documents and backups (our own estimate: some 20 are
/// open at rest).
const OWN_HANDLES: usize = 64;

/// How many connections the bound on open handles has room for.
pub fn handles_for_connections() -> usize {
    use rustix::process::{Resource, getrlimit};
    let most = getrlimit(Resource::Nofile).current;
    let most = most.map_or(usize::MAX, |most| {
        usize::try_from(most).unwrap_or(usize::MAX)
    });
    // Under a very small bound both share what there is.
    most.saturating_sub(OWN_HANDLES).max(most / 2)
}

/// Obeys the system's signals until the end: the first SIGTERM or SIGINT asks to stop, the second
/// insists.
pub fn obey_signals(tasks: &Tasks) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let (soft, hard) = (tasks.soft.clone(), tasks.hard.clone());
    let own = tasks.clone();
    // Not tracked: it ends with the process, and nobody may wait for it.
    #[expect(
        clippy::disallowed_methods,
        reason = "it outlives all tracked tasks by intent"
    )]
    tokio::spawn(async move {
        loop {
            let signal = tokio::select! {
                _ = term.recv() => "SIGTERM",
                _ = int.recv() => "SIGINT",
            };
            own.end_by(signal);
            if soft.is_cancelled() {
                hard.cancel();
            } else {
                info!("stopping: finishing what is in hand; a second signal stops at once");
                soft.cancel();
            }
        }
    });
    Ok(())
}

/// Number of the signal for an exceeded file size limit: signal(7), x86 and ARM.
const SIGXFSZ: i32 = 25;

/// Tells the service manager, if there is one, that we serve.
pub fn notify_ready(status: &str) {
    notify(&[
        sd_notify::NotifyState::Ready,
        sd_notify::NotifyState::Status(status),
    ]);
}

/// Tells the service manager, if there is one, what we are doing.
pub fn notify_status(status: &str) {
    notify(&[sd_notify::NotifyState::Status(status)]);
}

/// Tells the service manager, if there is one, that we live. For the watchdog alone.
pub(super) fn notify_watchdog() {
    notify(&[sd_notify::NotifyState::Watchdog]);
}

/// Tells the service manager, if there is one, that we live, and how: for a process that only
/// reads, which has no writer and no scheduler to look at.
pub fn notify_alive(status: &str) {
    notify(&[
        sd_notify::NotifyState::Watchdog,
        sd_notify::NotifyState::Status(status),
    ]);
}

/// Tells the service manager, if there is one, that we read our settings again; `notify_ready`
/// follows.
pub fn notify_reloading() {
    let mut states = vec![sd_notify::NotifyState::Reloading];
    // From systemd 253 on it wants to know when; a clock that cannot be read is told as no time.
    states.extend(sd_notify::NotifyState::monotonic_usec_now());
    notify(&states);
}

/// Asks the service manager, if there is one, to wait `span` longer for our start or our end.
pub(super) fn notify_more_time(span: Duration, status: &str) {
    let micros = u32::try_from(span.as_micros()).unwrap_or(u32::MAX);
    notify(&[
        sd_notify::NotifyState::ExtendTimeoutUsec(micros),
        sd_notify::NotifyState::Status(status),
    ]);
}

/// Tells the service manager, if there is one, that we are ending.
pub fn notify_stopping() {
    notify(&[sd_notify::NotifyState::Stopping]);
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "cannot tell the service manager");
    }
}
