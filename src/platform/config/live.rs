//! The rules in force, behind one pointer.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use chrono::{DateTime, Utc};

use crate::storage::engine::Revision;

/// A configuration that passed its check, with where it came from.
#[derive(Debug)]
pub struct Accepted<R> {
    /// The checked rules.
    pub rules: R,
    /// Content hash of the text they came from.
    pub revision: Revision,
    /// The text itself, as it stands on disk.
    pub text: Arc<[u8]>,
    /// When it was accepted.
    pub at: DateTime<Utc>,
    /// Who changed it: a caller's name, or `file`.
    pub actor: Arc<str>,
}

/// The rules in force; cheap to clone, never locks.
#[derive(Debug)]
pub struct Live<R> {
    current: Arc<ArcSwap<Accepted<R>>>,
}

impl<R> Clone for Live<R> {
    fn clone(&self) -> Self {
        Self {
            current: Arc::clone(&self.current),
        }
    }
}

impl<R> Live<R> {
    /// Rules that are in force from now on.
    pub fn new(first: Accepted<R>) -> Self {
        Self {
            current: Arc::new(ArcSwap::from_pointee(first)),
        }
    }

    /// What is in force now. One per request: hold it, do not ask twice.
    pub fn get(&self) -> Guard<Arc<Accepted<R>>> {
        self.current.load()
    }

    /// What is in force now, to be kept.
    pub fn get_full(&self) -> Arc<Accepted<R>> {
        self.current.load_full()
    }

    /// Puts other rules in force.
    pub fn set(&self, next: Arc<Accepted<R>>) {
        self.current.store(next);
    }
}
