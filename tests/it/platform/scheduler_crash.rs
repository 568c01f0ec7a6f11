//! Storage whose process dies at a chosen append, or that refuses for a while. What lies beneath is
//! the disk: it stays, with or without the lines of the last append.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use echopilot::storage::engine::{
    Appending, Chunk, Document, DocumentError, Durability, Engine, Expect, Lease, Mark, OnCommit,
    OnDocument, Revision, Seek, SegmentInfo, StorageError, StreamHealth, StreamOptions,
};
use echopilot::storage::lines::Lines;
use tokio::sync::watch;

/// The engine of one life.
#[derive(Debug)]
pub struct Mortal {
    disk: Arc<dyn Engine>,
    left: AtomicU64,
    keeps_last: AtomicBool,
    is_dead: AtomicBool,
    refuses: AtomicBool,
}

impl Mortal {
    pub fn over(disk: Arc<dyn Engine>) -> Arc<Self> {
        Arc::new(Self {
            disk,
            left: AtomicU64::new(u64::MAX),
            keeps_last: AtomicBool::new(false),
            is_dead: AtomicBool::new(false),
            refuses: AtomicBool::new(false),
        })
    }

    /// Dies at the `count`-th append from now. Its lines are on the disk or not; nobody is told.
    pub fn die_at(&self, count: u64, keeps_last: bool) {
        self.left.store(count, Ordering::SeqCst);
        self.keeps_last.store(keeps_last, Ordering::SeqCst);
    }

    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::SeqCst)
    }

    /// Refuses every append from now on, as a full disk does, or takes them again.
    pub fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }
}

impl Engine for Mortal {
    fn open(&self, stream: &str, options: StreamOptions) -> Result<(), StorageError> {
        self.disk.open(stream, options)
    }

    fn append(
        &self,
        stream: &str,
        expect: Expect,
        durability: Option<Durability>,
        lines: Lines,
        on_commit: Option<OnCommit>,
    ) -> Appending {
        if self.refuses.load(Ordering::SeqCst) {
            let full = StorageError::Full {
                stream: stream.to_owned(),
            };
            if let Some(on_commit) = on_commit {
                on_commit(&Err(full.clone()));
            }
            return Box::pin(std::future::ready(Err(full)));
        }
        if !self.is_dead() && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.is_dead.store(true, Ordering::SeqCst);
            if self.keeps_last.load(Ordering::SeqCst) {
                drop(self.disk.append(stream, expect, durability, lines, None));
            }
            return Box::pin(std::future::pending());
        }
        if self.is_dead() {
            return Box::pin(std::future::pending());
        }
        self.disk
            .append(stream, expect, durability, lines, on_commit)
    }

    fn scan(
        &self,
        stream: &str,
        from: &Mark,
        sink: &mut dyn FnMut(Chunk<'_>) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        self.disk.scan(stream, from, sink)
    }

    fn segments(&self, stream: &str) -> Result<Vec<SegmentInfo>, StorageError> {
        self.disk.segments(stream)
    }

    fn locate(&self, stream: &str, seek: &Seek) -> Result<Mark, StorageError> {
        self.disk.locate(stream, seek)
    }

    fn follow(&self, stream: &str) -> Result<watch::Receiver<u64>, StorageError> {
        self.disk.follow(stream)
    }

    fn health(&self, stream: &str) -> Option<StreamHealth> {
        self.disk.health(stream)
    }

    fn streams(&self) -> Vec<String> {
        self.disk.streams()
    }

    fn load(&self, name: &str) -> Result<Document, DocumentError> {
        self.disk.load(name)
    }

    fn replace(
        &self,
        name: &str,
        expect: Option<&Revision>,
        body: &[u8],
    ) -> Result<Revision, DocumentError> {
        self.disk.replace(name, expect, body)
    }

    fn watch_documents(&self, changed: OnDocument) -> Result<(), DocumentError> {
        self.disk.watch_documents(changed)
    }

    fn keep_snapshot(&self, name: &str, body: &[u8]) -> Result<(), DocumentError> {
        self.disk.keep_snapshot(name, body)
    }

    fn snapshot(&self, name: &str, revision: &Revision) -> Result<Document, DocumentError> {
        self.disk.snapshot(name, revision)
    }

    fn load_derived(&self, name: &str) -> Option<Vec<u8>> {
        self.disk.load_derived(name)
    }

    fn save_derived(&self, name: &str, body: &[u8]) -> Result<(), DocumentError> {
        self.disk.save_derived(name, body)
    }

    fn lease(&self, name: &str, holder: &str, ttl: Duration) -> Option<Lease> {
        self.disk.lease(name, holder, ttl)
    }

    fn close(&self) {}
}
