//! What a capability is built from, and what it gives back: the only meeting point between the
//! platform and the capabilities.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::auth::{Gate, KeySpec};
use super::config::{Config, ConfigKind, ConfigStore, DaemonRules, Live};
use super::health::Health;
use super::http::Routes;
use super::lifecycle::Tasks;
use super::switches::Switches;
use crate::seams::clock::Clock;
use crate::storage::engine::{Engine, StorageError};

/// A capability as the list of all knows it.
#[derive(Debug, Clone, Copy)]
pub struct Descriptor {
    /// The plural noun that its folder, config, log, routes and CLI verb share.
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
    /// Its configuration file, for `echopilot check` and the schemas.
    pub config: ConfigKind,
    /// Builds it: reads its configuration, opens its journals, folds its views.
    pub build: fn(&Wiring) -> anyhow::Result<Arc<dyn Capability>>,
}

/// Work that goes on beside the requests until it is told to stop.
pub type Background = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A running capability.
pub trait Capability: Send + Sync + Debug + 'static {
    /// Its rows of the route table.
    fn routes(self: Arc<Self>) -> Routes;

    /// Its own work beside the requests.
    fn background(self: Arc<Self>, stop: CancellationToken) -> Vec<(&'static str, Background)>;

    /// What is wrong with it, in one sentence; `None` when nothing is.
    fn trouble(&self) -> Option<String>;

    /// Called once when no request is left: saves what makes the next start quick.
    fn close(&self);
}

/// The parts a capability may use.
#[derive(Debug, Clone)]
pub struct Wiring {
    /// Journals and documents.
    pub engine: Arc<dyn Engine>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
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
    /// Everything that runs.
    pub tasks: Tasks,
    /// What may act by itself; `flags` sets them, everyone else looks.
    pub switches: Switches,
}

impl Wiring {
    /// Loads a configuration and keeps it current.
    pub fn config<C: Config>(&self) -> anyhow::Result<Live<C::Rules>> {
        self.configs.register::<C>()
    }

    /// Makes a journal ready, with the durability and the segments that `echopilot.json` asks for.
    pub fn journal(&self, stream: &'static str) -> Result<(), StorageError> {
        self.engine
            .open(stream, self.daemon.get().rules.stream_options(stream))
    }
}
