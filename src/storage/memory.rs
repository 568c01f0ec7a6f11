//! Storage in memory, with the promises of [`Engine`] and no medium: for tests, and as the plainest
//! statement of what the promises are.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::chain::Chain;
use super::engine::{
    Appending, Chunk, Document, DocumentError, Durability, Engine, Expect, Lease, Mark, OnCommit,
    OnDocument, Position, Revision, Seek, SegmentInfo, StorageError, StreamHealth, StreamOptions,
};
use super::files::{names, reading};
use super::lines::Lines;
use super::replies::{self, Reply};
use super::search;
use crate::seams::clock::Clock;

#[derive(Debug)]
struct Log {
    bytes: Vec<u8>,
    chain: Chain,
    durability: Durability,
    acked: watch::Sender<u64>,
}

/// An append that a commit callback has made of the stream whose lock is held around it.
struct Later {
    expect: Expect,
    lines: Lines,
    on_commit: Option<OnCommit>,
    reply: Reply,
}

thread_local! {
    /// The streams whose commit callbacks run on this thread, and what they have appended to them
    /// meanwhile: it follows when the callback has ended, as with a writer's queue.
    static COMMITTING: RefCell<Vec<(*const Mutex<Log>, VecDeque<Later>)>> =
        const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
struct Holder {
    name: String,
    until: Duration,
    fence: u64,
}

#[derive(Default)]
struct Held {
    streams: BTreeMap<String, Arc<Mutex<Log>>>,
    documents: BTreeMap<String, Vec<u8>>,
    snapshots: HashMap<(String, Revision), Vec<u8>>,
    derived: HashMap<String, Vec<u8>>,
    leases: HashMap<String, Holder>,
    watcher: Option<Watcher>,
    closed: bool,
}

/// Tells of changed documents on a thread of its own, so that whoever changes one may hold locks
/// that the callback takes.
struct Watcher {
    names: mpsc::Sender<String>,
    thread: JoinHandle<()>,
}

impl Watcher {
    fn start(changed: OnDocument) -> io::Result<Self> {
        let (names, told) = mpsc::channel::<String>();
        let thread = std::thread::Builder::new()
            .name("memory-watch".to_owned())
            .spawn(move || told.iter().for_each(|name| changed(&name)))?;
        Ok(Self { names, thread })
    }

    /// Tells what is still to be told, and ends.
    fn end(self) {
        drop(self.names);
        // The callback itself may drop the last handle of the engine: it cannot wait for itself.
        if self.thread.thread().id() != std::thread::current().id() && self.thread.join().is_err() {
            tracing::error!("the watch over documents had panicked");
        }
    }
}

/// Storage in memory.
pub struct MemoryEngine {
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
}

impl std::fmt::Debug for MemoryEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryEngine").finish_non_exhaustive()
    }
}

/// What is to be appended next to the stream `this` by this thread; forgets the stream when
/// nothing is.
fn next_of(this: *const Mutex<Log>) -> Option<Later> {
    COMMITTING.with_borrow_mut(|all| {
        let place = all.iter().position(|(stream, _)| *stream == this)?;
        let next = all.get_mut(place).and_then(|(_, later)| later.pop_front());
        if next.is_none() {
            all.remove(place);
        }
        next
    })
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryEngine {
    /// Nothing in it yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            held: Mutex::default(),
        }
    }

    /// Writes a document as a person would, past every check, and tells the watcher.
    pub fn edit(&self, name: &str, body: &[u8]) {
        locked(&self.held)
            .documents
            .insert(name.to_owned(), body.to_vec());
        self.tell(name);
    }

    /// Removes a document as a person would, and tells the watcher.
    pub fn delete(&self, name: &str) {
        locked(&self.held).documents.remove(name);
        self.tell(name);
    }

    fn tell(&self, name: &str) {
        if let Some(watcher) = &locked(&self.held).watcher {
            // An error means that the callback has panicked, which the end reports.
            let _ended = watcher.names.send(name.to_owned());
        }
    }

    fn log(&self, stream: &str) -> Result<Arc<Mutex<Log>>, StorageError> {
        let held = locked(&self.held);
        if held.closed {
            return Err(StorageError::Closed);
        }
        held.streams
            .get(stream)
            .cloned()
            .ok_or_else(|| no_stream(stream))
    }
}

fn no_stream(stream: &str) -> StorageError {
    StorageError::NoStream {
        stream: stream.to_owned(),
    }
}

fn whole(name: &str, body: &[u8]) -> Result<Document, DocumentError> {
    if body.is_empty() {
        return Err(DocumentError::Empty {
            name: name.to_owned(),
        });
    }
    Ok(Document {
        body: body.to_vec(),
        revision: Revision::of(body),
    })
}

impl Log {
    /// Appends, lets the view know and tells who waits, in this order.
    fn take(&mut self, stream: &str, next: Later) {
        let outcome = self.append(stream, next.expect, &next.lines);
        if let Some(on_commit) = next.on_commit {
            on_commit(&outcome);
        }
        if let Ok(position) = &outcome {
            self.acked.send_replace(position.last);
        }
        replies::tell_all(vec![(next.reply, outcome)]);
    }

    fn append(
        &mut self,
        stream: &str,
        expect: Expect,
        lines: &Lines,
    ) -> Result<Position, StorageError> {
        let found = self.chain.seq();
        match expect {
            Expect::LastSeq(expected) if expected != found => Err(StorageError::Moved {
                stream: stream.to_owned(),
                expected,
                found,
            }),
            _ => {
                for (entry, members) in lines.iter() {
                    self.chain.compose(&mut self.bytes, entry, members);
                }
                Ok(Position {
                    first: found + 1,
                    last: self.chain.seq(),
                })
            }
        }
    }
}

impl Engine for MemoryEngine {
    fn open(&self, stream: &str, options: StreamOptions) -> Result<(), StorageError> {
        if !names::is_stream(stream) {
            return Err(no_stream(stream));
        }
        let mut held = locked(&self.held);
        if held.closed {
            return Err(StorageError::Closed);
        }
        held.streams.entry(stream.to_owned()).or_insert_with(|| {
            Arc::new(Mutex::new(Log {
                bytes: Vec::new(),
                chain: Chain::genesis(),
                durability: options.durability,
                acked: watch::Sender::new(0),
            }))
        });
        Ok(())
    }

    fn append(
        &self,
        stream: &str,
        expect: Expect,
        _durability: Option<Durability>,
        lines: Lines,
        on_commit: Option<OnCommit>,
    ) -> Appending {
        let log = match self.log(stream) {
            Ok(log) => log,
            Err(error) => {
                let outcome = Err(error);
                if let Some(on_commit) = on_commit {
                    on_commit(&outcome);
                }
                return replies::ready(outcome);
            }
        };
        let this = Arc::as_ptr(&log);
        let (reply, waiting) = replies::channel(None);
        let first = Later {
            expect,
            lines,
            on_commit,
            reply,
        };
        let is_first = COMMITTING.with_borrow_mut(|all| {
            if let Some((_, later)) = all.iter_mut().find(|(stream, _)| *stream == this) {
                later.push_back(first);
                return false;
            }
            all.push((this, VecDeque::from([first])));
            true
        });
        if is_first {
            // Held until the view knows: the next append must not reach it first.
            let mut log = locked(&log);
            while let Some(next) = next_of(this) {
                log.take(stream, next);
            }
        }
        waiting
    }

    fn scan(
        &self,
        stream: &str,
        from: &Mark,
        sink: &mut dyn FnMut(Chunk<'_>) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        let log = self.log(stream)?;
        // A copy, so that the sink may take its time while others append.
        let bytes = locked(&log).bytes.clone();
        let start = usize::try_from(from.offset).unwrap_or(usize::MAX);
        if from.seq > 0 {
            let before = bytes.get(..start).unwrap_or_default();
            let fits = before.ends_with(b"\n")
                && reading::last_own(before)
                    .is_some_and(|(seq, h, end)| (seq, h, end) == (from.seq, from.h, start));
            if !fits {
                return Err(StorageError::BadMark {
                    stream: stream.to_owned(),
                });
            }
        }
        let rest = bytes
            .get(if from.seq > 0 { start } else { 0 }..)
            .unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        let end = reading::last_own(rest).map(|(seq, h, end)| Mark {
            seq,
            h,
            segment: 1,
            offset: (bytes.len() - rest.len() + end) as u64,
        });
        let _whole_stream_told = sink(Chunk { bytes: rest, end });
        Ok(())
    }

    fn segments(&self, stream: &str) -> Result<Vec<SegmentInfo>, StorageError> {
        let log = self.log(stream)?;
        let log = locked(&log);
        Ok(vec![SegmentInfo {
            file: format!("{stream}.ndjson"),
            first: 1,
            last: log.chain.seq(),
            bytes: log.bytes.len() as u64,
            sealed: false,
            suspect: false,
            packed: false,
        }])
    }

    fn locate(&self, stream: &str, seek: &Seek) -> Result<Mark, StorageError> {
        let bytes = locked(&*self.log(stream)?).bytes.clone();
        Ok(search::in_memory(&bytes, *seek))
    }

    fn follow(&self, stream: &str) -> Result<watch::Receiver<u64>, StorageError> {
        Ok(locked(&*self.log(stream)?).acked.subscribe())
    }

    fn health(&self, stream: &str) -> Option<StreamHealth> {
        let log = self.log(stream).ok()?;
        let log = locked(&log);
        Some(StreamHealth {
            last_seq: log.chain.seq(),
            active_bytes: log.bytes.len() as u64,
            segments: 1,
            durability: Some(log.durability),
            ..StreamHealth::default()
        })
    }

    fn streams(&self) -> Vec<String> {
        locked(&self.held).streams.keys().cloned().collect()
    }

    fn load(&self, name: &str) -> Result<Document, DocumentError> {
        let held = locked(&self.held);
        match held.documents.get(name) {
            Some(body) => whole(name, body),
            None => Err(DocumentError::Absent {
                name: name.to_owned(),
            }),
        }
    }

    fn replace(
        &self,
        name: &str,
        expect: Option<&Revision>,
        body: &[u8],
    ) -> Result<Revision, DocumentError> {
        let mut held = locked(&self.held);
        let found = held.documents.get(name).map(|old| Revision::of(old));
        match (expect, found) {
            (None, None) => {}
            (Some(expected), Some(found)) if *expected == found => {
                if let Some(old) = held.documents.get(name).cloned() {
                    held.snapshots.insert((name.to_owned(), found), old);
                }
            }
            (_, Some(found)) => {
                return Err(DocumentError::Moved {
                    name: name.to_owned(),
                    expected: expect.cloned().unwrap_or_else(|| Revision::of(&[])),
                    found,
                });
            }
            (Some(_), None) => {
                return Err(DocumentError::Absent {
                    name: name.to_owned(),
                });
            }
        }
        held.documents.insert(name.to_owned(), body.to_vec());
        drop(held);
        self.tell(name);
        Ok(Revision::of(body))
    }

    fn watch_documents(&self, changed: OnDocument) -> Result<(), DocumentError> {
        let watcher = Watcher::start(changed).map_err(|source| DocumentError::Io {
            name: String::new(),
            source,
        })?;
        let earlier = locked(&self.held).watcher.replace(watcher);
        if let Some(earlier) = earlier {
            earlier.end();
        }
        Ok(())
    }

    fn keep_snapshot(&self, name: &str, body: &[u8]) -> Result<(), DocumentError> {
        let key = (name.to_owned(), Revision::of(body));
        locked(&self.held).snapshots.insert(key, body.to_vec());
        Ok(())
    }

    fn snapshot(&self, name: &str, revision: &Revision) -> Result<Document, DocumentError> {
        let held = locked(&self.held);
        let key = (name.to_owned(), revision.clone());
        match held.snapshots.get(&key) {
            Some(body) => whole(name, body),
            None => Err(DocumentError::Absent {
                name: name.to_owned(),
            }),
        }
    }

    fn load_derived(&self, name: &str) -> Option<Vec<u8>> {
        locked(&self.held).derived.get(name).cloned()
    }

    fn save_derived(&self, name: &str, body: &[u8]) -> Result<(), DocumentError> {
        locked(&self.held)
            .derived
            .insert(name.to_owned(), body.to_vec());
        Ok(())
    }

    fn lease(&self, name: &str, holder: &str, ttl: Duration) -> Option<Lease> {
        let now = self.clock.uptime();
        let mut held = locked(&self.held);
        let fence = match held.leases.get(name) {
            Some(current) if current.name == holder && current.until > now => current.fence,
            Some(current) if current.until > now => return None,
            Some(current) => current.fence + 1,
            None => 1,
        };
        let taken = Holder {
            name: holder.to_owned(),
            until: now + ttl,
            fence,
        };
        held.leases.insert(name.to_owned(), taken);
        Some(Lease {
            name: name.to_owned(),
            fence,
        })
    }

    fn close(&self) {
        let watcher = {
            let mut held = locked(&self.held);
            held.closed = true;
            held.watcher.take()
        };
        if let Some(watcher) = watcher {
            watcher.end();
        }
    }
}
