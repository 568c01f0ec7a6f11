//! Serving reads from a home that is not written to: by a standby, and by a primary that somebody
//! took over from. A whole process is put together over what is there, and after new lines came
//! another one beside it; new connections go to the newest, the older one drains. Nothing runs by
//! itself in them: no task, no router, no watch.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::net::TcpListener;

use crate::app::assemble::{self, App};
use crate::app::settings::{self, GivenKeys};
use crate::platform::auth::KeySpec;
use crate::platform::lifecycle::{Tasks, within};
use crate::platform::standing::Standing;
use crate::platform::wiring::Seams;
use crate::seams::clock::Clock;
use crate::seams::files::Files;
use crate::storage::engine::{Barred, Engine};
use crate::storage::files::FilesReader;

/// How often it is looked whether there is something new to put together.
const LOOK: Duration = Duration::from_secs(1);
/// Age at which a process is replaced when new lines came: reads are older than that by no more
/// than it takes to put the next one together.
const RENEW: Duration = Duration::from_secs(5);
/// Putting together takes no more than one part in this many of the time.
const SHARE: u32 = 10;
/// How long requests in work may take to end (rule H6 of the reliability notes).
const DRAIN: Duration = Duration::from_secs(20);
/// The same where everybody waits for it.
const SHORT_DRAIN: Duration = Duration::from_millis(500);
/// How often checkpoints are written: they can be large, and only make the next start quick.
const CHECKPOINTS: Duration = Duration::from_mins(10);
/// Wait after a failed accept (rule H3): long enough for a handle to come free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every process over this home is put together with.
pub(super) struct Parts {
    pub(super) home: PathBuf,
    pub(super) files: Arc<dyn Files>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) given: Arc<GivenKeys>,
    pub(super) local: KeySpec,
    pub(super) why: Arc<Barred>,
    pub(super) standing: Standing,
}

struct Generation {
    app: App,
    reader: Arc<FilesReader>,
}

/// What came since the last process was put together.
#[derive(Debug, Default)]
pub(super) struct News {
    lines: AtomicBool,
    papers: AtomicBool,
}

impl News {
    /// New lines are there; with `papers`, new configurations.
    pub(super) fn tell(&self, papers: bool) {
        self.lines.store(true, Ordering::Release);
        if papers {
            self.papers.store(true, Ordering::Release);
        }
    }
}

/// Whoever answers at the moment.
pub(super) struct Reading {
    parts: Arc<Parts>,
    current: Arc<ArcSwap<Generation>>,
    news: Arc<News>,
    tasks: Tasks,
}

fn build(parts: &Parts) -> anyhow::Result<Generation> {
    let (files, clock) = (Arc::clone(&parts.files), Arc::clone(&parts.clock));
    let why = Arc::clone(&parts.why);
    let reader = Arc::new(FilesReader::new(Arc::clone(&files), &parts.home, why));
    let mut seams = Seams::new(Arc::clone(&files), Arc::clone(&clock));
    seams.secrets = settings::secrets(&files, &parts.home);
    seams.standing = parts.standing.clone();
    let engine = Arc::clone(&reader) as Arc<dyn Engine>;
    let local = Some(parts.local.clone());
    let app = assemble::assemble(&parts.home, seams, engine, &parts.given, local)?;
    let standing = parts.standing.clone();
    app.health.add("standby", move || standing.state(&*clock));
    app.health.set_ready();
    Ok(Generation { app, reader })
}

impl Reading {
    /// Puts the first process together. To be called on the runtime.
    pub(super) fn begin(parts: Parts, tasks: &Tasks, news: Arc<News>) -> anyhow::Result<Self> {
        let first = build(&parts).context("cannot read the home")?;
        first.app.server.begin();
        Ok(Self {
            parts: Arc::new(parts),
            current: Arc::new(ArcSwap::from_pointee(first)),
            news,
            tasks: tasks.clone(),
        })
    }

    /// Where the configuration says to listen.
    pub(super) fn would_listen(&self) -> SocketAddr {
        self.current.load().app.daemon.get().rules.listen
    }

    /// Tells whoever follows a journal how far it has grown.
    pub(super) fn looker(&self) -> impl Fn() + Send + Sync + 'static {
        let current = Arc::clone(&self.current);
        move || current.load().reader.look()
    }

    /// Accepts connections until the tasks' soft word.
    pub(super) async fn accept(&self, listener: &TcpListener) {
        let stop = self.tasks.soft().clone();
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    failing = false;
                    self.current.load().app.server.adopt(stream, peer);
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(%error, "cannot accept connections, trying on");
                    }
                    within(&*self.parts.clock, ACCEPT_PAUSE, stop.cancelled()).await;
                }
            }
        }
    }

    /// Keeps what is read fresh until the tasks' soft word.
    pub(super) fn keep_fresh(&self) {
        let (parts, current) = (Arc::clone(&self.parts), Arc::clone(&self.current));
        let (news, tasks) = (Arc::clone(&self.news), self.tasks.clone());
        self.tasks.spawn("standby-reads", async move {
            let clock = Arc::clone(&parts.clock);
            let (mut built_at, mut pause) = (clock.uptime(), RENEW);
            let mut saved_at = Duration::ZERO;
            let stop = tasks.soft().clone();
            while within(&*clock, LOOK, stop.cancelled()).await.is_none() {
                let due = clock.uptime().saturating_sub(built_at) >= pause;
                let papers = news.papers.load(Ordering::Acquire);
                if !(papers || due && news.lines.load(Ordering::Acquire)) {
                    continue;
                }
                news.papers.store(false, Ordering::Release);
                news.lines.store(false, Ordering::Release);
                let begun = clock.uptime();
                let made = {
                    let parts = Arc::clone(&parts);
                    tokio::task::spawn_blocking(move || build(&parts)).await
                };
                built_at = clock.uptime();
                pause = RENEW.max(built_at.saturating_sub(begun) * SHARE);
                match made {
                    Ok(Ok(next)) => {
                        next.app.server.begin();
                        let old = current.swap(Arc::new(next));
                        let saves = built_at.saturating_sub(saved_at) >= CHECKPOINTS;
                        if saves {
                            saved_at = built_at;
                        }
                        let clock = Arc::clone(&clock);
                        tasks.spawn("standby-drain", retire(old, clock, DRAIN, saves));
                    }
                    Ok(Err(error)) => {
                        tracing::error!("reads stay as they were: {error:#}");
                        news.lines.store(true, Ordering::Release);
                    }
                    Err(_died) => news.lines.store(true, Ordering::Release),
                }
            }
        });
    }

    /// Lets requests in work end, shortly, and closes the process that answers. With `saves` it
    /// leaves checkpoints behind.
    pub(super) async fn end(&self, saves: bool) {
        let last = self.current.load_full();
        last.app.health.set_stopping();
        retire(last, Arc::clone(&self.parts.clock), SHORT_DRAIN, saves).await;
    }
}

async fn retire(old: Arc<Generation>, clock: Arc<dyn Clock>, drain: Duration, saves: bool) {
    old.app.tasks.stop(&*clock, drain).await;
    let closed = tokio::task::spawn_blocking(move || old.app.retire(saves));
    if closed.await.is_err() {
        tracing::error!("a process that only read panicked at its end");
    }
}
