//! The thread that ships: one look after the other, until the end or a take-over.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::oneshot;

use super::reading::News;
use super::upstream::{Gate, Gated, Record, Upstream};
use crate::platform::standing::Standing;
use crate::seams::clock::Clock;
use crate::storage::files::epoch::Fence;
use crate::storage::replica::{Fault, Shipper, SourceError};

/// How often the primary is told again that somebody follows.
const JOIN_EVERY: Duration = Duration::from_mins(1);
/// How long the last look may take before the take-over goes on without it. Source: the bar of 5 s
/// for a take-over.
const LAST_LOOK: Duration = Duration::from_secs(2);
/// How long a write of ours that is under way is waited for.
const OWN_WRITE: Duration = Duration::from_millis(10);

enum Word {
    End,
    TakeOver(Fence, oneshot::Sender<Result<(), String>>),
}

/// What the thread and whoever serves reads share.
#[derive(Default)]
pub(super) struct Shared {
    /// What came.
    pub(super) news: Arc<News>,
    /// Tells whoever follows a journal here how far it has grown; there once reads are served.
    pub(super) look: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// Where the primary can ask us; there once reads are served.
    pub(super) url: OnceLock<String>,
}

impl Shared {
    fn look(&self) {
        if let Some(look) = self.look.get() {
            look();
        }
    }
}

/// What the thread works with.
pub(super) struct Work {
    pub(super) upstream: Box<dyn Upstream>,
    pub(super) shipper: Shipper,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) standing: Standing,
    pub(super) shared: Arc<Shared>,
    pub(super) record: Record,
    pub(super) gate: Gate,
    pub(super) joined_at: Option<Duration>,
    pub(super) failing: bool,
}

/// The running thread.
pub(super) struct Shipping {
    words: Sender<Word>,
    gate: Gate,
    thread: JoinHandle<()>,
}

impl Shipping {
    pub(super) fn start(work: Work) -> anyhow::Result<Self> {
        let (words, heard) = channel();
        let gate = work.gate.clone();
        let thread = std::thread::Builder::new()
            .name("standby-shipping".to_owned())
            .spawn(move || work.run(&heard))
            .context("cannot start the thread that ships")?;
        Ok(Self {
            words,
            gate,
            thread,
        })
    }

    /// Ends it; the primary is told that nobody follows.
    pub(super) async fn end(self) {
        let _ended = self.words.send(Word::End);
        let joined = tokio::task::spawn_blocking(move || self.thread.join());
        if !matches!(joined.await, Ok(Ok(()))) {
            tracing::error!("the thread that ships panicked");
        }
    }

    /// Fences the source, fetches what is there, and ends; nothing is shipped after this returns.
    /// Gives why it is not sure that the source does not write, if so.
    pub(super) async fn last_look(self, clock: &dyn Clock, fence: Fence) -> Result<(), String> {
        let (done, outcome) = oneshot::channel();
        let _ended = self.words.send(Word::TakeOver(fence, done));
        let late = || Err("it did not answer in time".to_owned());
        let fenced = tokio::select! {
            biased;
            outcome = outcome => outcome.unwrap_or_else(|_ended| late()),
            () = clock.sleep(LAST_LOOK) => late(),
        };
        // A thread that has panicked writes nothing more, and leaves the gate as it was.
        while !self.gate.try_shut() && !self.thread.is_finished() {
            clock.sleep(OWN_WRITE).await;
        }
        fenced
    }
}

impl Work {
    fn run(mut self, heard: &Receiver<Word>) {
        loop {
            self.look_once(false);
            match heard.recv_timeout(self.upstream.pause()) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Word::TakeOver(fence, done)) => {
                    // First the fence: what is acknowledged after it is not acknowledged at all.
                    let fenced = self.upstream.fence(&fence);
                    self.look_once(true);
                    // Nobody waiting any more is no fault.
                    let _late = done.send(fenced);
                    return;
                }
                Ok(Word::End) | Err(RecvTimeoutError::Disconnected) => {
                    if let Err(error) = self.upstream.leave(&self.record.marker.id) {
                        tracing::warn!("the primary does not know that its standby ended: {error}");
                    }
                    return;
                }
            }
        }
    }

    fn look_once(&mut self, everything: bool) {
        if !everything {
            self.join_if_due();
        }
        let mut gated = Gated {
            inner: &mut *self.upstream,
            gate: &self.gate,
            record: &mut self.record,
        };
        let outcome = self.shipper.pass(&mut gated, everything);
        self.gate.rest();
        let now = self.clock.uptime();
        match outcome {
            Ok(pass) => {
                if pass.changed {
                    self.shared.look();
                    self.shared.news.tell(pass.papers_changed);
                }
                if std::mem::replace(&mut self.failing, false) {
                    tracing::info!("the source answers again");
                }
                self.standing.note(|told| {
                    told.epoch = told.epoch.max(pass.epoch);
                    told.seqs.extend(pass.seqs);
                    told.apart = pass.apart;
                    told.problem = None;
                    told.whole_at = Some(now);
                });
            }
            // It is just being rotated, or edited.
            Err(Fault::Source(SourceError::Changed { .. })) => {
                self.shared.look();
                self.shared.news.tell(false);
            }
            Err(fault) => {
                let fault = format!("{:#}", anyhow::Error::new(fault));
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!("{fault}; trying on");
                }
                self.standing.note(|told| told.problem = Some(fault));
            }
        }
    }

    fn join_if_due(&mut self) {
        let Some(url) = self.shared.url.get() else {
            return;
        };
        let now = self.clock.uptime();
        let due = self
            .joined_at
            .is_none_or(|at| now.saturating_sub(at) >= JOIN_EVERY);
        if !due {
            return;
        }
        let joined = self.upstream.join(&self.record.marker.id, url);
        let unfenced = joined.err();
        if unfenced.is_none() {
            self.joined_at = Some(now);
        }
        let before = self.standing.following().unfenced;
        if let Some(why) = unfenced
            .as_ref()
            .filter(|_| before.is_none() && !self.failing)
        {
            tracing::error!("{why}");
        }
        self.standing.note(|told| told.unfenced = unfenced);
    }
}
