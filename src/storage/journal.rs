//! One stream of an engine, bound: what a capability appends to.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::engine::{
    Appending, Chunk, Durability, Engine, Expect, Mark, OnCommit, StorageError, StreamHealth,
};
use super::lines::Lines;

/// A stream that only its owner appends to.
#[derive(Debug, Clone)]
pub struct Journal {
    engine: Arc<dyn Engine>,
    stream: &'static str,
}

impl Journal {
    /// The stream `stream` of `engine`, which has been opened there.
    pub fn new(engine: Arc<dyn Engine>, stream: &'static str) -> Self {
        Self { engine, stream }
    }

    /// Its name.
    pub fn stream(&self) -> &'static str {
        self.stream
    }

    /// The engine behind it.
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Appends a group; see [`Engine::append`].
    pub fn append(
        &self,
        lines: Lines,
        durability: Option<Durability>,
        on_commit: Option<OnCommit>,
    ) -> Appending {
        self.engine
            .append(self.stream, Expect::Any, durability, lines, on_commit)
    }

    /// Ends when everything appended before is acknowledged at `durability`.
    pub fn barrier(&self, durability: Option<Durability>) -> Appending {
        self.append(Lines::new(), durability, None)
    }

    /// Hands over all lines after `from`; see [`Engine::scan`].
    pub fn scan(
        &self,
        from: &Mark,
        sink: &mut dyn FnMut(Chunk<'_>) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        self.engine.scan(self.stream, from, sink)
    }

    /// State of the stream.
    pub fn health(&self) -> StreamHealth {
        self.engine.health(self.stream).unwrap_or_default()
    }
}

/// Hands every line after `from` that reads as a `T` to `sink`, in order; others are passed over.
pub fn read_lines<T: serde::de::DeserializeOwned>(
    engine: &dyn Engine,
    stream: &str,
    from: &Mark,
    mut sink: impl FnMut(T),
) -> Result<(), StorageError> {
    engine.scan(stream, from, &mut |chunk| {
        let lines = chunk.bytes.split(|byte| *byte == b'\n');
        lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .for_each(&mut sink);
        ControlFlow::Continue(())
    })
}
