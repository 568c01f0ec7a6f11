//! Views: what a journal means now, kept in memory as a fold over its lines.
//!
//! A view never is the truth; the journal is. It is built once at start, from a checkpoint and the
//! lines after it or from the first line on, and afterwards each commit is applied to it on the
//! journal's writer thread. Folding is split in two so that two cores can share it: [`View::parse`]
//! turns raw lines into a compact batch and touches no state of the view, [`View::apply`] takes the
//! batches in order.

mod batch;
mod checkpoint;
mod fold;
mod kept;

pub use batch::LineBatch;
pub use checkpoint::{Checkpoint, Reader, put_bytes, put_u32, put_u64};
pub use fold::{Folded, fold, start};
pub use kept::Kept;

/// A fold over one journal.
pub trait View: Send + Sized + 'static {
    /// Names the checkpoint file, together with the stream.
    const NAME: &'static str;
    /// Grows with every change of the meaning or the saved form; older checkpoints are then unread.
    const VERSION: u32;

    /// What a stretch of lines means, not yet applied. Reused, so that a fold allocates little.
    type Batch: Default + Send;
    /// What parsing needs to know and to remember: never the view's state.
    type Parser: Send;

    /// A parser for one fold, to be used with all chunks of it in order.
    fn parser(&self) -> Self::Parser;

    /// Reads whole lines into an empty `batch`. Lines that echopilot did not write, or that are
    /// damaged, are counted in the batch and otherwise passed over.
    fn parse(parser: &mut Self::Parser, lines: &[u8], batch: &mut Self::Batch);

    /// Applies a batch and leaves it empty.
    fn apply(&mut self, batch: &mut Self::Batch);

    /// `seq` of the last line applied.
    fn last_seq(&self) -> u64;

    /// Tells that the lines up to `seq` are applied, though they may have meant nothing.
    fn reached(&mut self, seq: u64);

    /// Writes the whole state down.
    fn save(&self, out: &mut Vec<u8>);

    /// The state that [`View::save`] wrote; `None` when it does not make sense.
    fn restore(saved: &mut Reader<'_>) -> Option<Self>;
}
