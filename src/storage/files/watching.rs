//! Noticing that a document changed (rules C3 and C4). Change notices are hints: a rename into
//! place is told at once, a write in place once the file is quiet, and whatever they miss is found
//! by looking.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use notify::event::{ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::documents::{self, Documents};
use crate::seams::clock::{Clock, SystemClock};
use crate::seams::files::{Files, Stat};
use crate::storage::engine::{OnDocument, Revision};

/// A file written in place counts as whole when it has been the same for this long; the reading
/// itself compares once more. Together under the 200 ms of rule C3 and the bar of 300 ms.
const SETTLE: Duration = Duration::from_millis(150);
/// How often the folder is compared by inode, size and time. Source: rule C4.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The same where there are no change notices.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// How often it is compared by content. Source: rule C4.
const HASH_EVERY: Duration = Duration::from_mins(1);
/// Stack of the thread: it calls the reload of a document.
const STACK_BYTES: usize = 2 << 20;

enum Signal {
    /// Written in place, or removed.
    Touched(String),
    /// Told already.
    Told(String),
    /// Notices were lost.
    Rescan,
    Stop,
}

type Callback = Arc<Mutex<Option<Arc<OnDocument>>>>;

/// The watch over one folder.
#[derive(Debug)]
pub(super) struct Watch {
    sender: Sender<Signal>,
    thread: Option<JoinHandle<()>>,
    watcher: Option<RecommendedWatcher>,
    callback: CallbackSlot,
}

struct CallbackSlot(Callback);

impl std::fmt::Debug for CallbackSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CallbackSlot")
    }
}

fn tell(callback: &Callback, name: &str) {
    let current = callback
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if let Some(changed) = current {
        changed(name);
    }
}

fn document_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    (documents::is_name(name) && documents::has_ending(name, "json")).then(|| name.to_owned())
}

fn heed(event: &Event, callback: &Callback, sender: &Sender<Signal>) {
    // The thread is gone only while the watch ends.
    let send = |signal| drop(sender.send(signal));
    if event.need_rescan() {
        return send(Signal::Rescan);
    }
    let named = event.paths.last().and_then(|path| document_of(path));
    match (event.kind, named) {
        (EventKind::Modify(ModifyKind::Name(RenameMode::To)), Some(name)) => {
            tell(callback, &name);
            send(Signal::Told(name));
        }
        (EventKind::Access(notify::event::AccessKind::Open(_)), _) => {}
        (_, Some(name)) => send(Signal::Touched(name)),
        _ => {}
    }
}

impl Watch {
    /// Begins to watch `configs`. Without change notices it looks more often, and says so.
    pub(super) fn start(
        files: Arc<dyn Files>,
        configs: &Path,
        documents: Arc<Documents>,
        changed: OnDocument,
    ) -> io::Result<Self> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let callback: Callback = Arc::new(Mutex::new(Some(Arc::new(changed))));
        let remote = files.remote_kind(configs).unwrap_or(None);
        let watcher = if remote.is_some() {
            None
        } else {
            begin_notices(configs, &callback, &sender)
        };
        if watcher.is_none() {
            tracing::warn!(
                file_system = remote.unwrap_or("unknown"),
                "no change notices for `configs`: it is looked at every second instead"
            );
        }
        let keeper = Keeper {
            files,
            configs: configs.to_owned(),
            documents,
            callback: Arc::clone(&callback),
            clock: SystemClock::new(),
            known: HashMap::new(),
            settling: HashMap::new(),
            look_every: if watcher.is_some() {
                LOOK_EVERY
            } else {
                POLL_EVERY
            },
        };
        let thread = std::thread::Builder::new()
            .name("documents".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || keeper.run(&receiver))?;
        Ok(Self {
            sender,
            thread: Some(thread),
            watcher,
            callback: CallbackSlot(callback),
        })
    }

    /// Somebody else is told from now on.
    pub(super) fn redirect(&self, changed: OnDocument) {
        *self
            .callback
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(changed));
    }

    /// Whether there are change notices.
    pub(super) fn has_notices(&self) -> bool {
        self.watcher.is_some()
    }

    /// Ends the watch; nobody is told of anything afterwards.
    pub(super) fn stop(mut self) {
        *self
            .callback
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
        drop(self.watcher.take());
        drop(self.sender.send(Signal::Stop));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watch over `configs` had panicked");
        }
    }
}

fn begin_notices(
    configs: &Path,
    callback: &Callback,
    sender: &Sender<Signal>,
) -> Option<RecommendedWatcher> {
    let (callback, sender) = (Arc::clone(callback), sender.clone());
    let handler = move |event: notify::Result<Event>| match event {
        Ok(event) => heed(&event, &callback, &sender),
        Err(_) => drop(sender.send(Signal::Rescan)),
    };
    let started = notify::recommended_watcher(handler).and_then(|mut watcher| {
        watcher.watch(configs, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    started
        .inspect_err(|error| tracing::warn!(%error, "change notices refused"))
        .ok()
}

struct Keeper {
    files: Arc<dyn Files>,
    configs: PathBuf,
    documents: Arc<Documents>,
    callback: Callback,
    clock: SystemClock,
    known: HashMap<String, (Stat, Option<Revision>)>,
    settling: HashMap<String, (Option<Stat>, Duration)>,
    look_every: Duration,
}

impl Keeper {
    fn run(mut self, signals: &Receiver<Signal>) {
        self.known = self
            .stats()
            .into_iter()
            .map(|(n, s)| (n, (s, None)))
            .collect();
        self.compare_contents();
        let (mut looked, mut hashed) = (self.clock.uptime(), self.clock.uptime());
        loop {
            let due = self
                .settling
                .values()
                .map(|(_, since)| *since + SETTLE)
                .min();
            let next = due.map_or(looked + self.look_every, |due| {
                due.min(looked + self.look_every)
            });
            match signals.recv_timeout(next.saturating_sub(self.clock.uptime())) {
                // A notice outweighs an equal stat: two writes within one tick of the file system's
                // clock have the same inode, size and time.
                Ok(Signal::Touched(name)) => self.settle_soon(name),
                // What was told is not what is there by now, perhaps: the next look compares anew.
                Ok(Signal::Told(name)) => drop(self.known.remove(&name)),
                Ok(Signal::Rescan) => self.tell_all(),
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = self.clock.uptime();
            self.settle(now);
            if now >= looked + self.look_every {
                looked = now;
                self.compare_stats();
            }
            if now >= hashed + HASH_EVERY {
                hashed = now;
                self.compare_contents();
            }
        }
    }

    fn stat(&self, name: &str) -> Option<Stat> {
        self.files.stat(&self.configs.join(name)).ok()
    }

    fn stats(&self) -> HashMap<String, Stat> {
        let names = self.files.list(&self.configs).unwrap_or_default();
        let documents = names
            .into_iter()
            .filter_map(|name| document_of(Path::new(&name)));
        documents
            .filter_map(|name| self.stat(&name).map(|stat| (name, stat)))
            .collect()
    }

    fn touch(&mut self, name: String) {
        let stat = self.stat(&name);
        let unchanged = match (&stat, self.known.get(&name)) {
            (Some(now), Some((known, _))) => documents::same(now, known),
            _ => false,
        };
        if !unchanged {
            self.settle_soon(name);
        }
    }

    fn settle_soon(&mut self, name: String) {
        let stat = self.stat(&name);
        self.settling.insert(name, (stat, self.clock.uptime()));
    }

    fn settle(&mut self, now: Duration) {
        let due: Vec<String> = self
            .settling
            .iter()
            .filter(|(_, (_, since))| *since + SETTLE <= now)
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            let stat = self.stat(&name);
            let before = self.settling.get(&name).and_then(|(before, _)| *before);
            let quiet = match (&before, &stat) {
                (Some(before), Some(stat)) => documents::same(before, stat),
                (None, None) => true,
                _ => false,
            };
            if quiet {
                self.settling.remove(&name);
                self.note(&name);
                tell(&self.callback, &name);
            } else {
                self.settling.insert(name, (stat, now));
            }
        }
    }

    fn note(&mut self, name: &str) {
        self.settling.remove(name);
        match self.stat(name) {
            Some(stat) => self.known.insert(name.to_owned(), (stat, None)),
            None => self.known.remove(name),
        };
    }

    fn compare_stats(&mut self) {
        let mut names: Vec<String> = self.stats().into_keys().collect();
        names.extend(self.known.keys().cloned());
        names.sort_unstable();
        names.dedup();
        for name in names {
            if !self.settling.contains_key(&name) {
                self.touch(name);
            }
        }
    }

    fn compare_contents(&mut self) {
        let names: Vec<String> = self.known.keys().cloned().collect();
        for name in names {
            let Ok(document) = self.documents.load(&name) else {
                continue;
            };
            let Some((_, known)) = self.known.get_mut(&name) else {
                continue;
            };
            let before = known.replace(document.revision.clone());
            if before.is_some_and(|before| before != document.revision) {
                tell(&self.callback, &name);
            }
        }
    }

    fn tell_all(&mut self) {
        let mut names: Vec<String> = self.stats().into_keys().collect();
        names.extend(self.known.keys().cloned());
        names.sort_unstable();
        names.dedup();
        for name in names {
            self.note(&name);
            tell(&self.callback, &name);
        }
    }
}
