//! How well the daemon is: what each part says of itself, and whether requests should come here.

use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// What a part says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "reason", rename_all = "lowercase")]
pub enum State {
    /// All is well.
    Ok,
    /// It works, less well than it should.
    Degraded(String),
    /// It does not work: requests should go elsewhere.
    Failed(String),
}

type Probe = Box<dyn Fn() -> State + Send + Sync>;

/// All parts that can say how they are.
#[derive(Default)]
pub struct Health {
    ready: AtomicBool,
    stopping: AtomicBool,
    parts: Mutex<Vec<(&'static str, Arc<Probe>)>>,
}

impl Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.checks()).finish()
    }
}

impl Health {
    /// Adds a part. Its probe must be quick and must not wait.
    pub fn add(&self, name: &'static str, probe: impl Fn() -> State + Send + Sync + 'static) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.push((name, Arc::new(Box::new(probe))));
    }

    /// The daemon serves from now on.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// The daemon is ending: it is not ready from now on (rule H6).
    pub fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// What each part says now; the daemon itself comes first.
    pub fn checks(&self) -> Vec<(&'static str, State)> {
        let parts = self
            .parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let own = if self.stopping.load(Ordering::Relaxed) {
            State::Failed("stopping".to_owned())
        } else if self.ready.load(Ordering::Relaxed) {
            State::Ok
        } else {
            State::Failed("starting".to_owned())
        };
        let rest = parts.into_iter().map(|(name, probe)| (name, probe()));
        std::iter::once(("daemon", own)).chain(rest).collect()
    }
}
