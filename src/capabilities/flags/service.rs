//! The verbs of flags: read, set, history.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use super::config::{FlagsConfig, FlagsRules};
use super::event::{FlagChange, FlagLine, STREAM};
use super::model::{FlagValue, MAX_KEY, is_flag_key};
use super::recorder::Recorder;
use crate::base::json::{EditFault, Path};
use crate::base::names;
use crate::platform::config::{Accepted, ConfigStore, EditError, Live};
use crate::platform::hands::Order;
use crate::platform::wiring::Wiring;
use crate::storage::engine::{Engine, Mark, Revision, StorageError};
use crate::storage::journal::each_line;

/// Flags, running.
#[derive(Debug)]
pub(super) struct Flags {
    live: Live<FlagsRules>,
    configs: ConfigStore,
    engine: Arc<dyn Engine>,
    recorder: Arc<Recorder>,
    turn: Mutex<()>,
}

/// Why a flag was not set.
#[derive(Debug, thiserror::Error)]
pub(super) enum FlagError {
    /// No such flag, and it was not asked to create it.
    #[error("there is no flag `{key}`")]
    Unknown {
        /// What was asked for.
        key: String,
        /// The flag whose name is nearest.
        nearest: Option<String>,
    },
    /// Not a name a flag may have.
    #[error("`{key}` is not a flag name: letters, digits and `_.:/-`, at most {MAX_KEY} bytes")]
    BadKey {
        /// What was asked for.
        key: String,
    },
    /// The file could not be edited.
    #[error(transparent)]
    Edit(#[from] EditError<EditFault>),
    /// Storage does not accept lines.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The edit itself died.
    #[error("the edit did not finish")]
    Lost,
}

/// A flag to be set.
#[derive(Debug)]
pub(super) struct SetFlag {
    /// The flag.
    pub key: String,
    /// Its new value.
    pub value: FlagValue,
    /// Whether it may be a new one.
    pub create: bool,
    /// The revision the caller has seen; `None` for the one in force.
    pub base: Option<Revision>,
    /// The caller's name.
    pub actor: Arc<str>,
}

/// A flag that has been set.
#[derive(Debug)]
pub(super) struct SetDone {
    /// What it was.
    pub before: Option<FlagValue>,
    /// The revision that is in force now.
    pub accepted: Arc<Accepted<FlagsRules>>,
}

/// One line of the history.
#[derive(Debug)]
pub(super) struct PastChange {
    /// Number of the journal line.
    pub seq: u64,
    /// When.
    pub ts: DateTime<Utc>,
    /// What changed.
    pub change: FlagChange,
    /// Who: a caller, such as `key:alice(ab12cd34)`, or `file`.
    pub actor: String,
    /// The revision that brought it.
    pub revision: String,
}

impl Flags {
    /// Loads the file, opens the journal and records what changed while nobody looked.
    pub(super) fn open(wiring: &Wiring) -> anyhow::Result<Arc<Self>> {
        let live = wiring.config::<FlagsConfig>()?;
        wiring.journal(STREAM)?;
        let (changes, now) = (wiring.changes.clone(), wiring.clock.now());
        let recorder = Recorder::open(Arc::clone(&wiring.engine), changes, now)?;
        let (hook, switches) = (Arc::clone(&recorder), wiring.switches.clone());
        wiring
            .configs
            .on_accept::<FlagsConfig>(Arc::new(move |accepted| {
                switches.set(accepted.rules.switched());
                hook.accept(accepted);
            }))?;
        let (configs, engine) = (wiring.configs.clone(), Arc::clone(&wiring.engine));
        Ok(Arc::new(Self {
            live,
            configs,
            engine,
            recorder,
            turn: Mutex::default(),
        }))
    }

    /// The flags in force.
    pub(super) fn live(&self) -> &Live<FlagsRules> {
        &self.live
    }

    /// The code by which storage refuses lines, if it does. Takes no lock.
    pub(super) fn distress(&self) -> Option<&'static str> {
        self.engine.medium().refusing
    }

    /// The keeper of the history.
    pub(super) fn recorder(&self) -> &Arc<Recorder> {
        &self.recorder
    }

    /// Sets one flag in the file, keeping everything else in it as it stands; ends when the history
    /// line is durable.
    pub(super) async fn set(self: &Arc<Self>, order: SetFlag) -> Result<SetDone, FlagError> {
        self.refuse_when_storage_does()?;
        let flags = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || flags.edit(order))
            .await
            .map_err(|_| FlagError::Lost)??;
        self.recorder.settled().await?;
        Ok(done)
    }

    /// Sets a flag that there is, for a part that acts by itself.
    pub(super) async fn set_for(self: &Arc<Self>, order: Order) -> Result<String, String> {
        let value = FlagValue::from_json(&order.value.to_string());
        let set = SetFlag {
            value: value.ok_or("a flag holds one bare value")?,
            key: order.on,
            create: false,
            base: None,
            actor: order.by,
        };
        let done = self.set(set).await.map_err(|error| error.to_string())?;
        Ok(format!("at revision {}", done.accepted.revision))
    }

    fn edit(&self, order: SetFlag) -> Result<SetDone, FlagError> {
        let SetFlag {
            key,
            value,
            create,
            base,
            actor,
        } = order;
        // One at a time: what was there before is told for each, and none is based on the past.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = self.live.get_full();
        let before = seen.rules.get(&key).cloned();
        if before.is_none() && !create {
            let nearest = names::nearest(&key, seen.rules.iter().map(|(name, _)| name));
            let nearest = nearest.map(str::to_owned);
            return Err(FlagError::Unknown { key, nearest });
        }
        if !is_flag_key(&key) {
            return Err(FlagError::BadKey { key });
        }
        let path = Path::root().key(&key);
        let value = value.as_json();
        let base = base.or_else(|| Some(seen.revision.clone()));
        let accepted = self
            .configs
            .edit::<FlagsConfig, _>(base, actor, |edit| edit.set(path, &value))?;
        Ok(SetDone { before, accepted })
    }

    /// A flip whose history cannot be written is refused before it happens (rule L8).
    fn refuse_when_storage_does(&self) -> Result<(), FlagError> {
        let stream = STREAM.to_owned();
        if let Some(why) = self.engine.barred() {
            return Err(StorageError::Barred { stream, why }.into());
        }
        match self
            .engine
            .health(STREAM)
            .and_then(|health| health.refusing)
        {
            None => Ok(()),
            Some("storage_full") => Err(StorageError::Full { stream }.into()),
            Some(_) => {
                let source = Arc::new(std::io::Error::other("writes are refused"));
                Err(StorageError::Failed { stream, source }.into())
            }
        }
    }

    /// The newest `limit` changes, oldest of them first; of one flag if `key` is given.
    pub(super) fn history(
        &self,
        key: Option<&str>,
        limit: usize,
    ) -> Result<Vec<PastChange>, StorageError> {
        let mut newest = VecDeque::with_capacity(limit.min(1024));
        each_line(&*self.engine, STREAM, &Mark::default(), |line| {
            let line = FlagLine::parse(line);
            let Some(line) = line.filter(|line| key.is_none_or(|key| line.key == key)) else {
                return;
            };
            if newest.len() == limit {
                newest.pop_front();
            }
            newest.push_back(PastChange {
                seq: line.seq,
                ts: line.ts,
                change: line.change(),
                actor: line.actor.clone().into_owned(),
                revision: line.revision.clone().into_owned(),
            });
        })?;
        Ok(newest.into())
    }
}
