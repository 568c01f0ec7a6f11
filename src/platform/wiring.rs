//! What a capability is built from, and what it gives back: the only meeting point between the
//! platform and the capabilities.

use std::fmt::Debug;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::alerts::Alerts;
use super::auth::{Gate, KeySpec};
use super::changes::Changes;
use super::config::{Config, ConfigKind, ConfigStore, DaemonRules, Live};
use super::hands::Hands;
use super::health::Health;
use super::holds::Holds;
use super::http::Routes;
use super::lifecycle::{Reviver, Tasks};
use super::samples::Samples;
use super::scheduler::{Roster, Task};
use super::secrets::Secrets;
use super::standing::Standing;
use super::switches::Switches;
use super::telemetry::Metrics;
use super::watchdog::Vitals;
use crate::seams::clock::Clock;
use crate::seams::files::Files;
use crate::seams::host::{Host, RealHost};
use crate::seams::ids::SystemIds;
use crate::seams::outbound::{Outbound, SystemOutbound};
use crate::storage::engine::{Engine, StorageError};
use crate::storage::journal::Journal;

/// A capability as the list of all knows it.
#[derive(Debug, Clone, Copy)]
pub struct Descriptor {
    /// The plural noun that its folder, config, log, routes and CLI verb share.
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
    /// Its configuration file, for `echopilot check` and the schemas; `None` where there is nothing
    /// to choose.
    pub config: Option<ConfigKind>,
    /// Builds it: reads its configuration, opens its journals, folds its views.
    pub build: fn(&Wiring) -> anyhow::Result<Arc<dyn Capability>>,
}

/// Work that goes on beside the requests until it is told to stop.
pub type Background = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A running capability.
pub trait Capability: Send + Sync + Debug + 'static {
    /// Its rows of the route table.
    fn routes(self: Arc<Self>) -> Routes;

    /// Its rows of the task loop.
    fn tasks(self: Arc<Self>) -> Vec<Arc<dyn Task>> {
        Vec::new()
    }

    /// Its own work beside the requests.
    fn background(self: Arc<Self>, stop: CancellationToken) -> Vec<(&'static str, Background)>;

    /// What is wrong with it, in one sentence; `None` when nothing is.
    fn trouble(&self) -> Option<String>;

    /// Called once when no request is left: saves what makes the next start quick.
    fn close(&self);
}

/// The doors outward that a process is put together with.
#[derive(Debug, Clone)]
pub struct Seams {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The file system.
    pub files: Arc<dyn Files>,
    /// Other machines.
    pub outbound: Arc<dyn Outbound>,
    /// What the kernel tells of this machine.
    pub host: Arc<dyn Host>,
    /// What signs calls to other machines.
    pub secrets: Secrets,
    /// What this process is among the copies of its home.
    pub standing: Standing,
}

impl Seams {
    /// This file system and this clock, and the real form of every other door.
    pub fn new(files: Arc<dyn Files>, clock: Arc<dyn Clock>) -> Self {
        let outbound = SystemOutbound::new(Arc::clone(&clock), Arc::new(SystemIds));
        let host = RealHost::new(Arc::clone(&files), Arc::clone(&clock));
        Self {
            outbound: Arc::new(outbound),
            host: Arc::new(host),
            secrets: Secrets::default(),
            standing: Standing::default(),
            clock,
            files,
        }
    }
}

/// The parts a capability may use.
#[derive(Debug, Clone)]
pub struct Wiring {
    /// Journals and documents.
    pub engine: Arc<dyn Engine>,
    /// Where `configs/`, `logs/` and `backups/` are.
    pub home: Arc<Path>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The other doors outward.
    pub seams: Seams,
    /// Live configuration.
    pub configs: ConfigStore,
    /// The daemon's own rules.
    pub daemon: Live<DaemonRules>,
    /// Who may call.
    pub gate: Arc<Gate>,
    /// Keys that come from outside the home folder; they stay, whatever `keys.json` says.
    pub fixed_keys: Arc<[KeySpec]>,
    /// How every part is.
    pub health: Arc<Health>,
    /// What the watchers find.
    pub alerts: Alerts,
    /// What was changed lately.
    pub changes: Changes,
    /// What parts let others do.
    pub hands: Hands,
    /// What is counted and timed.
    pub samples: Samples,
    /// The page of counts.
    pub metrics: Metrics,
    /// All tasks, once every capability is built.
    pub roster: Roster,
    /// Everything that runs.
    pub tasks: Tasks,
    /// Starts again what has panicked.
    pub reviver: Reviver,
    /// What must turn for the daemon to live.
    pub vitals: Vitals,
    /// What may act by itself; `flags` sets them, everyone else looks.
    pub switches: Switches,
    /// What must stay of journals although it is old.
    pub holds: Holds,
}

impl Wiring {
    /// Loads a configuration and keeps it current.
    pub fn config<C: Config>(&self) -> anyhow::Result<Live<C::Rules>> {
        self.configs.register::<C>()
    }

    /// The journal `stream`, made ready.
    pub fn opened(&self, stream: &'static str) -> Result<Journal, StorageError> {
        self.journal(stream)?;
        Ok(Journal::new(Arc::clone(&self.engine), stream))
    }

    /// Makes a journal ready, with the durability and the segments that `echopilot.json` asks for.
    pub fn journal(&self, stream: &'static str) -> Result<(), StorageError> {
        self.engine
            .open(stream, self.daemon.get().rules.stream_options(stream))
    }
}
