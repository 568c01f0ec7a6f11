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

/// The lines in `bytes`; empty ones, such as what follows the last line break, are none.
pub fn lines_of(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.filter(|line| !line.is_empty())
}

/// Hands every line after `from` to `sink`, in order.
pub fn each_line(
    engine: &dyn Engine,
    stream: &str,
    from: &Mark,
    mut sink: impl FnMut(&[u8]),
) -> Result<(), StorageError> {
    engine.scan(stream, from, &mut |chunk| {
        lines_of(chunk.bytes).for_each(&mut sink);
        ControlFlow::Continue(())
    })
}

/// Hands every line after `from` that reads as a `T` to `sink`, in order; others are passed over.
pub fn read_lines<T: serde::de::DeserializeOwned>(
    engine: &dyn Engine,
    stream: &str,
    from: &Mark,
    mut sink: impl FnMut(T),
) -> Result<(), StorageError> {
    each_line(engine, stream, from, |line| {
        if let Ok(read) = serde_json::from_slice(line) {
            sink(read);
        }
    })
}
