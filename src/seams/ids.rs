//! The door to randomness: identifiers and key material.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

/// Random bytes fit for keys.
pub trait Ids: Send + Sync + Debug + 'static {
    /// 32 bytes that nobody can guess. Fails only where the system has no randomness to give.
    fn random(&self) -> std::io::Result<[u8; 32]>;
}

/// The system's generator, getrandom(2).
#[derive(Debug, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    fn random(&self) -> std::io::Result<[u8; 32]> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Ok(bytes)
    }
}

/// The same sequence in every run, for tests.
#[derive(Debug, Default)]
pub struct FakeIds {
    drawn: AtomicU64,
}

impl Ids for FakeIds {
    fn random(&self) -> std::io::Result<[u8; 32]> {
        let turn = self.drawn.fetch_add(1, Ordering::Relaxed);
        Ok(Sha256::digest(turn.to_le_bytes()).into())
    }
}
