//! Storage in plain files: one folder, one thread per stream, every promise of [`Engine`] kept by
//! `write`, `fdatasync` and `rename` alone. Rules L1–L17 and C1–C7 of the reliability reference.
//!
//! Lines of the engine's own are part of the streams: `segment.opened` at the head of each segment
//! but the first, `log.truncated` where somebody cut a file. What else happens to storage is told
//! in a stream of its own, `storage`.

pub(in crate::storage) mod documents;
pub mod epoch;
mod home;
mod joined;
mod keeper;
mod leases;
mod mending;
pub(in crate::storage) mod names;
mod notices;
mod opening;
pub(in crate::storage) mod packing;
pub(in crate::storage) mod reader;
pub(in crate::storage) mod reading;
pub(in crate::storage) mod recover;
mod replaced;
mod room;
mod runs;
mod seek;
pub(in crate::storage) mod segment;
mod settings;
mod stream;
mod tidying;
mod unseen;
mod watching;
mod writer;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

pub use home::{OpenError, boot_id};
pub use packing::text_of;
pub use reader::{FilesReader, HeldHome};
pub use seek::locate;
pub use settings::{FilesSettings, RESERVE_BYTES};

use self::documents::Documents;
use self::epoch::Lookout;
use self::home::Home;
use self::keeper::Keeper;
use self::leases::Leases;
use self::notices::Notices;
use self::reading::Scan;
use self::room::Room;
use self::seek::Seeker;
use self::segment::Env;
use self::stream::Stream;
use self::watching::Watch;
use super::engine::{
    Appending, Barred, Chunk, Document, DocumentError, Durability, Durable, Engine, Expect, Lease,
    Mark, Medium, OnCommit, OnDocument, Revision, Runs, Seek, SegmentInfo, StorageError,
    StreamHealth, StreamOptions,
};
use super::lines::Lines;
use super::replies;
use super::tidying::{Tidied, TidyPlan};
use crate::seams::clock::Clock;
use crate::seams::files::Files;

/// How the engine's own stream is written: never in anybody's way.
const OWN_STREAM: StreamOptions = StreamOptions {
    durability: Durability::Interval(Duration::from_secs(1)),
    segment_bytes: 16 << 20,
    segment_age: Duration::from_hours(30 * 24),
};

#[derive(Debug)]
struct Writing {
    stream: Arc<Stream>,
    thread: JoinHandle<()>,
}

/// The streams that are open, by name.
type Streams = RwLock<BTreeMap<String, Arc<Stream>>>;

#[derive(Debug, Default)]
struct Threads {
    writing: BTreeMap<String, Writing>,
    keeper: Option<Keeper>,
    watch: Option<Watch>,
    home: Option<Home>,
    closed: bool,
}

/// Storage in plain files.
#[derive(Debug)]
pub struct FilesEngine {
    env: Arc<Env>,
    documents: Arc<Documents>,
    leases: Leases,
    configs: PathBuf,
    streams: Arc<Streams>,
    seeker: Seeker,
    threads: Mutex<Threads>,
    /// Held by the pass that tidies, and once by whoever closes.
    tidying: Mutex<()>,
    closing: AtomicBool,
    /// When it was taken, by the clock's uptime.
    begun: Duration,
    runs: OnceLock<Runs>,
    reason: OnceLock<String>,
}

impl FilesEngine {
    /// Takes a home for this process; [`OpenError::Held`] when another one has it.
    /// [`OpenError::Barred`] when another copy of the home took over: nothing was written then.
    pub fn open(
        settings: FilesSettings,
        files: Arc<dyn Files>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let home = Home::take(Arc::clone(&files), &settings.home)?;
        let lookout = Lookout::new(Arc::clone(&files), &home.path);
        if let Some(why) = lookout.look() {
            let home = settings.home.display().to_string();
            return Err(OpenError::Barred { home, why });
        }
        let (logs, configs) = (home.path.join("logs"), home.path.join("configs"));
        let documents = Arc::new(Documents::new(
            Arc::clone(&files),
            configs.clone(),
            home.path.join("backups/configs"),
            logs.join(".views"),
            settings.private_documents,
        ));
        documents.sweep();
        let env = Arc::new(Env {
            room: Room::new(
                Arc::clone(&files),
                Arc::clone(&clock),
                logs.clone(),
                home.path.join(".echopilot/.reserve"),
                settings.reserve_bytes,
            ),
            lookout,
            boot_id: home::boot_id(&*files),
            notices: Notices::new(Arc::clone(&clock)),
            files: Arc::clone(&files),
            clock: Arc::clone(&clock),
            logs,
        });
        let engine = Self {
            leases: Leases::new(files, clock, home.path.join(".echopilot")),
            documents,
            configs,
            streams: Arc::default(),
            seeker: Seeker::default(),
            tidying: Mutex::default(),
            closing: AtomicBool::new(false),
            begun: env.clock.uptime(),
            runs: OnceLock::new(),
            reason: OnceLock::new(),
            threads: Mutex::new(Threads {
                home: Some(home),
                ..Threads::default()
            }),
            env,
        };
        engine.begin()?;
        Ok(engine)
    }

    fn begin(&self) -> Result<(), OpenError> {
        // Without its own stream the engine is silent, not useless.
        match Engine::open(self, notices::STREAM, OWN_STREAM) {
            Ok(()) => {
                if let Some(stream) = self.stream(notices::STREAM) {
                    self.env.notices.write_to(&stream);
                }
                // Once: there is no second beginning.
                let _begun_before = self.runs.set(runs::begin(self, &self.env));
                epoch::note(&*self.env.files, self.env.lookout.home(), &self.env.notices);
            }
            Err(error) => tracing::warn!(%error, "storage cannot note what happens to it"),
        }
        let keeper = Keeper::start(Arc::clone(&self.env), Arc::clone(&self.streams));
        let keeper = keeper.map_err(|source| OpenError::Io {
            what: "thread".to_owned(),
            source,
        })?;
        self.threads().keeper = Some(keeper);
        Ok(())
    }

    /// Whether changes of documents are noticed by the system, rather than by looking every second.
    pub fn has_change_notices(&self) -> bool {
        let threads = self.threads();
        threads.watch.as_ref().is_some_and(Watch::has_notices)
    }

    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a stream's files.
    fn reading<T>(
        &self,
        stream: &str,
        read: impl FnOnce(Scan<'_>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        if !names::is_stream(stream) {
            return Err(no_stream(stream));
        }
        read(Scan {
            files: &*self.env.files,
            logs: &self.env.logs,
            stream,
            visible: &|| self.stream(stream).and_then(|stream| stream.visible()),
        })
    }

    fn stream(&self, name: &str) -> Option<Arc<Stream>> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        streams.get(name).cloned()
    }
}

fn no_stream(name: &str) -> StorageError {
    StorageError::NoStream {
        stream: name.to_owned(),
    }
}

impl Engine for FilesEngine {
    fn open(&self, stream: &str, options: StreamOptions) -> Result<(), StorageError> {
        if !names::is_stream(stream) {
            return Err(no_stream(stream));
        }
        let mut threads = self.threads();
        if threads.closed {
            return Err(StorageError::Closed);
        }
        if threads.writing.contains_key(stream) {
            return Ok(());
        }
        let shared = Arc::new(Stream::new(stream, options));
        let thread = opening::start(&self.env, &shared)?;
        let writing = Writing {
            stream: Arc::clone(&shared),
            thread,
        };
        threads.writing.insert(stream.to_owned(), writing);
        drop(threads);
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        streams.insert(stream.to_owned(), shared);
        Ok(())
    }

    fn append(
        &self,
        stream: &str,
        expect: Expect,
        durability: Option<Durability>,
        lines: Lines,
        on_commit: Option<OnCommit>,
    ) -> Appending {
        if let Some(stream) = self.stream(stream) {
            return stream.enqueue(expect, durability, lines, on_commit);
        }
        let outcome = Err(no_stream(stream));
        if let Some(on_commit) = on_commit {
            on_commit(&outcome);
        }
        replies::ready(outcome)
    }

    fn scan(
        &self,
        stream: &str,
        from: &Mark,
        sink: &mut dyn FnMut(Chunk<'_>) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        self.reading(stream, |scan| match scan.run(from, sink) {
            // Open, and not on the medium: it could not be made yet.
            Err(StorageError::NoStream { .. })
                if from.seq == 0 && self.stream(stream).is_some() =>
            {
                Ok(())
            }
            outcome => outcome,
        })
    }

    fn segments(&self, stream: &str) -> Result<Vec<SegmentInfo>, StorageError> {
        let known = self.stream(stream);
        let last = known.as_ref().map(|stream| *stream.follow().borrow());
        self.reading(stream, |scan| {
            let found = seek::list(&scan, last);
            let found = found.map_err(|error| scan.unreadable(error))?;
            if found.is_empty() && known.is_none() {
                return Err(no_stream(stream));
            }
            Ok(found)
        })
    }

    fn locate(&self, stream: &str, seek: &Seek) -> Result<Mark, StorageError> {
        self.reading(stream, |scan| match self.seeker.locate(&scan, *seek) {
            Err(StorageError::NoStream { .. }) if self.stream(stream).is_some() => {
                Ok(Mark::default())
            }
            outcome => outcome,
        })
    }

    fn follow(&self, stream: &str) -> Result<watch::Receiver<u64>, StorageError> {
        let found = self.stream(stream).ok_or_else(|| no_stream(stream))?;
        Ok(found.follow())
    }

    fn health(&self, stream: &str) -> Option<StreamHealth> {
        self.stream(stream).map(|stream| stream.health())
    }

    fn medium(&self) -> Medium {
        let refusing = self.barred().map(|why| why.code());
        let medium = self.env.room.medium();
        Medium {
            refusing: refusing.or(medium.refusing),
            ..medium
        }
    }

    fn barred(&self) -> Option<Arc<Barred>> {
        self.env.lookout.why_if_up()
    }

    fn durable(&self, stream: &str) -> Option<Durable> {
        let seen = self.stream(stream)?.visible()?;
        Some(Durable {
            inode: seen.inode,
            size: seen.durable,
        })
    }

    fn longest_wait(&self) -> Option<(String, Duration)> {
        let now = self.env.clock.uptime();
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        let at_work = streams.iter().filter_map(|(name, stream)| {
            let lasts = stream.turn_lasts(now)?;
            Some((name, lasts))
        });
        let (name, lasts) = at_work.max_by_key(|(_, lasts)| *lasts)?;
        Some((name.clone(), lasts))
    }

    fn streams(&self) -> Vec<String> {
        let files = self.env.files.list(&self.env.logs).unwrap_or_default();
        let mut found = names::streams_among(&files);
        // One that is open may have lost its only file to somebody who moved it.
        let open = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        found.extend(open.keys().cloned());
        drop(open);
        found.sort_unstable();
        found.dedup();
        found
    }

    fn load(&self, name: &str) -> Result<Document, DocumentError> {
        self.documents.load(name)
    }

    fn replace(
        &self,
        name: &str,
        expect: Option<&Revision>,
        body: &[u8],
    ) -> Result<Revision, DocumentError> {
        if let Some(why) = self.env.lookout.look() {
            let (name, source) = (name.to_owned(), why.as_io());
            return Err(DocumentError::Io { name, source });
        }
        self.documents.replace(name, expect, body)
    }

    fn watch_documents(&self, changed: OnDocument) -> Result<(), DocumentError> {
        let mut threads = self.threads();
        if let Some(watch) = &threads.watch {
            watch.redirect(changed);
            return Ok(());
        }
        let documents = Arc::clone(&self.documents);
        let files = Arc::clone(&self.env.files);
        let watch = Watch::start(files, &self.configs, documents, changed);
        threads.watch = Some(watch.map_err(|source| DocumentError::Io {
            name: "configs".to_owned(),
            source,
        })?);
        Ok(())
    }

    fn keep_snapshot(&self, name: &str, body: &[u8]) -> Result<(), DocumentError> {
        self.documents.keep_snapshot(name, body)
    }

    fn snapshot(&self, name: &str, revision: &Revision) -> Result<Document, DocumentError> {
        self.documents.snapshot(name, revision)
    }

    fn load_derived(&self, name: &str) -> Option<Vec<u8>> {
        self.documents.load_derived(name)
    }

    fn save_derived(&self, name: &str, body: &[u8]) -> Result<(), DocumentError> {
        self.documents.save_derived(name, body)
    }

    fn save_report(&self, name: &str, body: &[u8]) -> Result<(), DocumentError> {
        self.documents.save_report(name, body)
    }

    fn lease(&self, name: &str, holder: &str, ttl: Duration) -> Option<Lease> {
        self.leases.take(name, holder, ttl)
    }

    fn runs(&self) -> Option<Runs> {
        self.runs.get().cloned()
    }

    fn ends_by(&self, reason: &str) {
        // The first word counts: what comes after it is only how it ends.
        let _told_before = self.reason.set(reason.to_owned());
    }

    fn tidy(
        &self,
        plan: &TidyPlan,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Tidied, StorageError> {
        self.tidy_now(plan, stop)
    }

    fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        drop(self.tidying.lock());
        let mut threads = self.threads();
        if std::mem::replace(&mut threads.closed, true) {
            return;
        }
        let uptime = self.env.clock.uptime().saturating_sub(self.begun);
        let reason = self.reason.get().map(String::as_str);
        runs::end(&self.env.notices, reason, uptime.as_secs());
        let watch = threads.watch.take();
        let keeper = threads.keeper.take();
        let mut writing = std::mem::take(&mut threads.writing);
        let home = threads.home.take();
        drop(threads);
        if let Some(watch) = watch {
            watch.stop();
        }
        if let Some(keeper) = keeper {
            keeper.stop();
        }
        // The own stream last: the others may still have something to say.
        let own = writing.remove(notices::STREAM);
        for group in [
            writing.into_values().collect(),
            own.into_iter().collect::<Vec<_>>(),
        ] {
            for one in &group {
                one.stream.begin_close();
            }
            for one in group {
                if one.thread.join().is_err() {
                    tracing::error!(stream = one.stream.name, "a writer had panicked");
                }
            }
        }
        drop(home);
    }
}

impl Drop for FilesEngine {
    fn drop(&mut self) {
        self.close();
    }
}
