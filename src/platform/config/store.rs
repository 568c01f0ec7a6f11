//! All configurations of a daemon: registered once, reloaded when their files change.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use super::edits::Edits;
use super::kind::Config;
use super::live::{Accepted, Live};
use super::record::{LastGood, Recorder};
use super::slot::{AnySlot, Doors, OnAccept, Slot};
use super::status::{ConfigStatus, EditError};
use crate::base::json::Edit;
use crate::platform::changes::Changes;
use crate::seams::clock::Clock;
use crate::storage::engine::{Engine, Revision};

/// The live configurations. Cheap to clone.
#[derive(Clone)]
pub struct ConfigStore {
    inner: Arc<Inner>,
}

struct Inner {
    doors: Arc<Doors>,
    /// The last texts in force when this process started.
    last_good: HashMap<String, LastGood>,
    slots: RwLock<Slots>,
}

#[derive(Default)]
struct Slots {
    by_file: BTreeMap<&'static str, Arc<dyn AnySlot>>,
    by_type: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl ConfigStore {
    /// A store over `engine`; begins to watch the documents, and tells `memory` of every edit.
    pub fn new(
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        memory: Changes,
    ) -> anyhow::Result<Self> {
        let edits = Edits::new(memory);
        let (recorder, last_good) = Recorder::start(Arc::clone(&engine), edits, clock.now())?;
        let inner = Arc::new(Inner {
            doors: Arc::new(Doors {
                engine,
                clock,
                recorder,
            }),
            last_good,
            slots: RwLock::default(),
        });
        let watched = Arc::downgrade(&inner);
        let changed = Box::new(move |file: &str| refresh(&watched, file));
        if let Err(error) = inner.doors.engine.watch_documents(changed) {
            let error = anyhow::Error::new(error);
            tracing::error!("edits by hand are not noticed before the next start: {error:#}");
        }
        Ok(Self { inner })
    }

    /// Loads a configuration and keeps it up to date from now on. Never refuses to start on a bad
    /// file: it then runs on the last good text, or on the shipped one, and says so. Registering
    /// twice gives the same rules.
    pub fn register<C: Config>(&self) -> anyhow::Result<Live<C::Rules>> {
        if let Some(slot) = self.slot::<C>() {
            return Ok(slot.live.clone());
        }
        let good = self.inner.last_good.get(C::FILE);
        let slot = Arc::new(Slot::<C>::open(Arc::clone(&self.inner.doors), good)?);
        {
            let mut slots = self
                .inner
                .slots
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            slots
                .by_file
                .insert(C::FILE, Arc::clone(&slot) as Arc<dyn AnySlot>);
            slots
                .by_type
                .insert(TypeId::of::<C>(), Arc::clone(&slot) as _);
        }
        // A change between the first look and now had nobody to be told to.
        slot.refresh();
        Ok(slot.live.clone())
    }

    /// Has `hook` called after each swap, and once at once for what is in force. Calls come in the
    /// order of the swaps and must neither wait long nor edit the same document.
    pub fn on_accept<C: Config>(&self, hook: OnAccept<C::Rules>) -> anyhow::Result<()> {
        let Some(slot) = self.slot::<C>() else {
            anyhow::bail!("`{}` is not registered", C::FILE);
        };
        slot.on_accept(hook);
        Ok(())
    }

    /// Changes a document by `change` and puts the result in force at once, in the name of `actor`.
    ///
    /// `base` is the revision that the change was made for; by default the one in force. The file
    /// must still be at it. Blocks on the disk: call it where that is allowed.
    pub fn edit<C: Config, E>(
        &self,
        base: Option<Revision>,
        actor: Arc<str>,
        change: impl FnOnce(&mut Edit) -> Result<(), E>,
    ) -> Result<Arc<Accepted<C::Rules>>, EditError<E>> {
        let slot = self
            .slot::<C>()
            .ok_or(EditError::Unknown { file: C::FILE })?;
        slot.edit(base, actor, change)
    }

    /// State of all configurations, by file name.
    pub fn status(&self) -> Vec<ConfigStatus> {
        self.all().iter().map(|slot| slot.status()).collect()
    }

    /// State of one; `None` where no such configuration was registered.
    pub fn status_of<C: Config>(&self) -> Option<ConfigStatus> {
        Some(self.slot::<C>()?.status())
    }

    /// Whether every file is in force as it is on disk.
    pub fn is_healthy(&self) -> bool {
        self.all()
            .iter()
            .all(|slot| slot.status().degraded.is_none())
    }

    /// Looks at every file now, as the watcher would.
    pub fn refresh_all(&self) {
        for slot in self.all() {
            slot.refresh();
        }
    }

    /// Waits until everything accepted and rejected so far is in the journal.
    pub fn flush(&self) {
        self.inner.doors.recorder.flush();
    }

    /// Writes what is left to be recorded and ends the recording thread. Call it before the engine
    /// is closed.
    pub fn close(&self) {
        self.inner.doors.recorder.close();
    }

    fn all(&self) -> Vec<Arc<dyn AnySlot>> {
        let slots = self
            .inner
            .slots
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        slots.by_file.values().cloned().collect()
    }

    fn slot<C: Config>(&self) -> Option<Arc<Slot<C>>> {
        let slots = self
            .inner
            .slots
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let slot = slots.by_type.get(&TypeId::of::<C>()).cloned()?;
        slot.downcast().ok()
    }
}

impl std::fmt::Debug for ConfigStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigStore")
            .field("files", &self.status())
            .finish()
    }
}

/// The watcher's call: on its own thread, down to the swap.
fn refresh(watched: &Weak<Inner>, file: &str) {
    let slot = watched.upgrade().and_then(|inner| {
        let slots = inner.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.by_file.get(file).cloned()
    });
    if let Some(slot) = slot {
        slot.refresh();
    }
}
