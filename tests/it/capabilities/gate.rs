//! An engine whose appends can be held back or refused, as a slow or full disk does.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use echopilot::storage::engine::{
    Appending, Chunk, Document, DocumentError, Durability, Engine, Expect, Lease, Mark, OnCommit,
    OnDocument, Position, Revision, Seek, SegmentInfo, StorageError, StreamHealth, StreamOptions,
};
use echopilot::storage::lines::Lines;
use tokio::sync::{oneshot, watch};

type Outcome = Result<Position, StorageError>;

/// An append that waits behind the gate.
struct Held {
    stream: String,
    durability: Option<Durability>,
    lines: Lines,
    on_commit: Option<OnCommit>,
    reply: oneshot::Sender<Outcome>,
}

#[derive(Default)]
enum Mode {
    #[default]
    Open,
    Hold(Vec<Held>),
    Refuse,
}

/// The gate before an engine.
pub struct Gate {
    inner: Arc<dyn Engine>,
    mode: Mutex<Mode>,
    asked: Mutex<Vec<Option<Durability>>>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate")
    }
}

impl Gate {
    pub fn new(inner: Arc<dyn Engine>) -> Self {
        Self {
            inner,
            mode: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    /// The durability of each append since the last call.
    pub fn asked(&self) -> Vec<Option<Durability>> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// From now on appends wait.
    pub fn hold(&self) {
        *self.mode.lock().unwrap() = Mode::Hold(Vec::new());
    }

    /// From now on appends are refused, those that wait as well.
    pub fn refuse(&self) {
        let held = std::mem::replace(&mut *self.mode.lock().unwrap(), Mode::Refuse);
        each(held, |held| {
            let outcome = Err(StorageError::Full {
                stream: held.stream,
            });
            tell(held.on_commit, &outcome);
            drop(held.reply.send(outcome));
        });
    }

    /// Lets everything through, in order.
    pub fn open_up(&self) {
        let held = std::mem::take(&mut *self.mode.lock().unwrap());
        each(held, |held| {
            let Held {
                stream,
                durability,
                lines,
                on_commit,
                reply,
            } = held;
            let appending = self
                .inner
                .append(&stream, Expect::Any, durability, lines, on_commit);
            // The caller's runtime is inside a call: another thread waits for the writer.
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                drop(reply.send(runtime.block_on(appending)));
            });
        });
    }
}

fn each(mode: Mode, act: impl Fn(Held)) {
    if let Mode::Hold(held) = mode {
        held.into_iter().for_each(act);
    }
}

fn tell(on_commit: Option<OnCommit>, outcome: &Outcome) {
    if let Some(told) = on_commit {
        told(outcome);
    }
}

impl Engine for Gate {
    fn append(
        &self,
        stream: &str,
        expect: Expect,
        durability: Option<Durability>,
        lines: Lines,
        on_commit: Option<OnCommit>,
    ) -> Appending {
        self.asked.lock().unwrap().push(durability);
        let mut mode = self.mode.lock().unwrap();
        let (reply, told) = oneshot::channel();
        match &mut *mode {
            Mode::Open => {
                drop(mode);
                return self
                    .inner
                    .append(stream, expect, durability, lines, on_commit);
            }
            Mode::Hold(held) => {
                let stream = stream.to_owned();
                held.push(Held {
                    stream,
                    durability,
                    lines,
                    on_commit,
                    reply,
                });
            }
            Mode::Refuse => {
                drop(mode);
                let outcome = Err(StorageError::Full {
                    stream: stream.to_owned(),
                });
                tell(on_commit, &outcome);
                drop(reply.send(outcome));
            }
        }
        Box::pin(async { told.await.unwrap_or(Err(StorageError::Closed)) })
    }

    fn open(&self, stream: &str, options: StreamOptions) -> Result<(), StorageError> {
        self.inner.open(stream, options)
    }

    fn scan(
        &self,
        stream: &str,
        from: &Mark,
        sink: &mut dyn FnMut(Chunk<'_>) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        self.inner.scan(stream, from, sink)
    }

    fn segments(&self, stream: &str) -> Result<Vec<SegmentInfo>, StorageError> {
        self.inner.segments(stream)
    }

    fn locate(&self, stream: &str, seek: &Seek) -> Result<Mark, StorageError> {
        self.inner.locate(stream, seek)
    }

    fn follow(&self, stream: &str) -> Result<watch::Receiver<u64>, StorageError> {
        self.inner.follow(stream)
    }

    fn health(&self, stream: &str) -> Option<StreamHealth> {
        self.inner.health(stream)
    }

    fn streams(&self) -> Vec<String> {
        self.inner.streams()
    }

    fn load(&self, name: &str) -> Result<Document, DocumentError> {
        self.inner.load(name)
    }

    fn replace(
        &self,
        name: &str,
        expect: Option<&Revision>,
        body: &[u8],
    ) -> Result<Revision, DocumentError> {
        self.inner.replace(name, expect, body)
    }

    fn watch_documents(&self, changed: OnDocument) -> Result<(), DocumentError> {
        self.inner.watch_documents(changed)
    }

    fn keep_snapshot(&self, name: &str, body: &[u8]) -> Result<(), DocumentError> {
        self.inner.keep_snapshot(name, body)
    }

    fn snapshot(&self, name: &str, revision: &Revision) -> Result<Document, DocumentError> {
        self.inner.snapshot(name, revision)
    }

    fn load_derived(&self, name: &str) -> Option<Vec<u8>> {
        self.inner.load_derived(name)
    }

    fn save_derived(&self, name: &str, body: &[u8]) -> Result<(), DocumentError> {
        self.inner.save_derived(name, body)
    }

    fn lease(&self, name: &str, holder: &str, ttl: Duration) -> Option<Lease> {
        self.inner.lease(name, holder, ttl)
    }

    fn close(&self) {
        self.inner.close();
    }
}
