//! Folding a journal into a view at start: from a good checkpoint, or from the first line on.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;

use super::{Checkpoint, View};
use crate::storage::engine::{Chunk, Engine, Mark, StorageError};

/// Batches on their way from the parsing to the applying thread. Two let both sides work at once;
/// one more evens out chunks of different length.
const BATCHES_AHEAD: usize = 3;

/// What a start found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Folded {
    /// `seq` of the checkpoint it began from; 0 = from the first line.
    pub from_seq: u64,
    /// Bytes folded.
    pub bytes: u64,
    /// The place up to which the view is folded.
    pub mark: Mark,
}

/// The view of `stream` as of now. `fresh` makes an empty one. Uses two threads where there are two
/// cores.
pub fn start<V: View>(
    engine: &dyn Engine,
    stream: &str,
    fresh: impl Fn() -> V,
) -> Result<(V, Folded), StorageError> {
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if let Some(good) = load::<V>(engine, stream) {
        match fold(engine, stream, good.view, &good.mark, threads) {
            Err(StorageError::BadMark { .. }) => {
                tracing::warn!(
                    "checkpoint of `{stream}` is of another past, folding from the start"
                );
            }
            done => return done,
        }
    }
    fold(engine, stream, fresh(), &Mark::default(), threads)
}

fn load<V: View>(engine: &dyn Engine, stream: &str) -> Option<Checkpoint<V>> {
    let name = Checkpoint::<V>::file_name(stream);
    let file = engine.load_derived(&name)?;
    let good = Checkpoint::decode(stream, &file);
    if good.is_none() {
        tracing::warn!("checkpoint `{name}` is damaged or of another version, folding anew");
    }
    good
}

/// Folds the lines after `from` into `view`.
pub fn fold<V: View>(
    engine: &dyn Engine,
    stream: &str,
    mut view: V,
    from: &Mark,
    threads: usize,
) -> Result<(V, Folded), StorageError> {
    let mut done = Folded {
        from_seq: from.seq,
        bytes: 0,
        mark: *from,
    };
    let mut parser = view.parser();
    if threads < 2 {
        let mut batch = V::Batch::default();
        engine.scan(stream, from, &mut |chunk| {
            V::parse(&mut parser, chunk.bytes, &mut batch);
            view.apply(&mut batch);
            done.passed(&chunk);
            ControlFlow::Continue(())
        })?;
    } else {
        piped(engine, stream, &mut view, parser, &mut done)?;
    }
    view.reached(done.mark.seq);
    Ok((view, done))
}

impl Folded {
    fn passed(&mut self, chunk: &Chunk<'_>) {
        self.bytes += chunk.bytes.len() as u64;
        if let Some(end) = chunk.end {
            self.mark = end;
        }
    }
}

/// Scan and parse on a thread of their own, apply on this one.
fn piped<V: View>(
    engine: &dyn Engine,
    stream: &str,
    view: &mut V,
    mut parser: V::Parser,
    done: &mut Folded,
) -> Result<(), StorageError> {
    let (full_in, full): (SyncSender<V::Batch>, Receiver<V::Batch>) = sync_channel(BATCHES_AHEAD);
    let (empty_in, empty) = channel::<V::Batch>();
    thread::scope(|scope| {
        let parsing = scope.spawn(move || {
            let from = done.mark;
            engine.scan(stream, &from, &mut |chunk| {
                let mut batch = empty.try_recv().unwrap_or_default();
                V::parse(&mut parser, chunk.bytes, &mut batch);
                done.passed(&chunk);
                match full_in.send(batch) {
                    Ok(()) => ControlFlow::Continue(()),
                    // The other side is gone: it panicked, and the scope will say so.
                    Err(_) => ControlFlow::Break(()),
                }
            })
        });
        while let Ok(mut batch) = full.recv() {
            view.apply(&mut batch);
            // The parsing thread may be done already; then the buffer is simply freed.
            drop(empty_in.send(batch));
        }
        parsing
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
