//! Authentication: one checker for every form of credential. Keys live in an immutable ring that is
//! swapped whole, so a revoked key fails on the next request.

mod credential;
mod ring;

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

pub use credential::{Credentials, KeyText};
pub use ring::{Key, KeyRing, KeySpec, KeyUse};

/// The ring in force.
#[derive(Debug, Default)]
pub struct Gate {
    ring: ArcSwap<KeyRing>,
}

impl Gate {
    /// A gate that knows the keys of `ring`.
    pub fn new(ring: KeyRing) -> Self {
        Self {
            ring: ArcSwap::from_pointee(ring),
        }
    }

    /// The ring in force.
    pub fn ring(&self) -> Guard<Arc<KeyRing>> {
        self.ring.load()
    }

    /// Puts another ring in force, from the next request on. Keys that stay keep what is known of
    /// their use.
    pub fn replace(&self, specs: Vec<KeySpec>) {
        let next = KeyRing::after(&self.ring.load(), specs);
        self.ring.store(Arc::new(next));
    }
}
