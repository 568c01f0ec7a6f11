//! Stretches of lines on their way to those who follow: read once, whoever follows, because most of
//! them stand at the same place. Bounded, and never behind what is on disk.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Mutex;

use crate::storage::engine::{Engine, Mark, Seek, StorageError};
use crate::storage::line;
use crate::storage::numbering::Numbering;

/// Stretches kept, each of about a megabyte at most.
const KEPT: usize = 8;
/// Bytes of foreign lines in a row that are told; what is more is passed over.
const FOREIGN_MAX: usize = 1 << 20;

/// A place right after a line of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// Its `seq`; 0 = the beginning.
    pub(super) seq: u64,
    /// The same, for the files.
    pub(super) mark: Mark,
}

impl Position {
    /// Right after the line that `mark` names.
    pub(super) fn at(mark: Mark) -> Self {
        Self {
            seq: mark.seq,
            mark,
        }
    }
}

/// One line of a stretch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    /// Its number, or that of the last line of ours in front of it.
    pub(super) seq: u64,
    /// Whether it is ours.
    pub(super) own: bool,
    start: usize,
    end: usize,
}

/// A stretch of lines that ends with one of ours.
#[derive(Debug)]
pub(super) struct Batch {
    stream: String,
    from: Position,
    /// Where it ends.
    pub(super) end: Position,
    text: Bytes,
    pieces: Vec<Piece>,
}

impl Batch {
    /// The lines after `position`, each with its end.
    pub(super) fn after(&self, position: &Position) -> impl Iterator<Item = (Piece, &[u8])> {
        let start = self.start_after(position).unwrap_or(usize::MAX);
        let pieces = self.pieces.iter().filter(move |piece| piece.start >= start);
        pieces.map(|piece| {
            let line = self.text.get(piece.start..piece.end).unwrap_or_default();
            (*piece, line)
        })
    }

    /// Where in the text what follows `position` begins; `None` where nothing in it does.
    fn start_after(&self, position: &Position) -> Option<usize> {
        if *position == self.from {
            return Some(0);
        }
        let (here, end) = (&position.mark, &self.end.mark);
        let begin = end.offset.checked_sub(self.text.len() as u64)?;
        let within = here.segment == end.segment && (begin..end.offset).contains(&here.offset);
        within.then(|| usize::try_from(here.offset - begin).ok())?
    }
}

/// The latest stretches.
#[derive(Debug, Default)]
pub(super) struct Batches {
    kept: Mutex<VecDeque<Arc<Batch>>>,
}

impl Batches {
    /// A stretch in which lines after `position` are; `None` when there are none yet.
    pub(super) async fn after(
        &self,
        engine: &Arc<dyn Engine>,
        stream: &str,
        position: &Position,
    ) -> Result<Option<Arc<Batch>>, StorageError> {
        // Held while it is read: who waits here wants the same stretch, most of the time.
        let mut kept = self.kept.lock().await;
        let fits =
            |batch: &&Arc<Batch>| batch.stream == stream && batch.start_after(position).is_some();
        if let Some(batch) = kept.iter().rev().find(fits) {
            return Ok(Some(Arc::clone(batch)));
        }
        let (engine, name, from) = (Arc::clone(engine), stream.to_owned(), *position);
        let reading = tokio::task::spawn_blocking(move || read(&*engine, &name, from));
        // A panic is reported where panics are; there is nothing to tell of it here.
        let Some(batch) = reading.await.unwrap_or(Ok(None))? else {
            return Ok(None);
        };
        let batch = Arc::new(batch);
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&batch));
        Ok(Some(batch))
    }
}

/// Reads what follows `from`. Where its line is not there any more, because segments were given up,
/// packed or put in place of others, the place is sought again by number.
fn read(engine: &dyn Engine, stream: &str, from: Position) -> Result<Option<Batch>, StorageError> {
    match scan(engine, stream, from) {
        Err(StorageError::BadMark { .. }) => {
            let mark = engine.locate(stream, &Seek::After(from.seq))?;
            let again = Position {
                seq: from.seq.max(mark.seq),
                mark,
            };
            let found = scan(engine, stream, again)?;
            Ok(found.map(|batch| Batch { from, ..batch }))
        }
        read => read,
    }
}

fn scan(engine: &dyn Engine, stream: &str, from: Position) -> Result<Option<Batch>, StorageError> {
    let mut numbering = Numbering::after(from.mark.seq, from.mark.h);
    let mut foreign: Vec<u8> = Vec::new();
    let mut found = None;
    engine.scan(stream, &from.mark, &mut |chunk| {
        let Some(end) = chunk.end else {
            // Nothing of ours yet: it is told with the line of ours that follows.
            numbering_of(&mut numbering, chunk.bytes);
            if foreign.len() + chunk.bytes.len() <= FOREIGN_MAX {
                foreign.extend_from_slice(chunk.bytes);
            }
            return ControlFlow::Continue(());
        };
        let mut pieces = Vec::new();
        let mut text = std::mem::take(&mut foreign);
        let seq = numbering.seq();
        push_lines(&mut pieces, &text, 0, |_| (false, seq));
        let before = text.len();
        text.extend_from_slice(own_part(chunk.bytes));
        push_lines(&mut pieces, &text, before, |line| {
            (numbering.take(line).is_some(), numbering.seq())
        });
        let seq = numbering.seq();
        found = Some(Batch {
            stream: stream.to_owned(),
            from,
            end: Position {
                seq,
                mark: Mark { seq, ..end },
            },
            text: Bytes::from(text),
            pieces,
        });
        ControlFlow::Break(())
    })?;
    Ok(found)
}

fn numbering_of(numbering: &mut Numbering, bytes: &[u8]) {
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        numbering.take(line);
    }
}

/// `bytes` up to the end of the last line of ours.
fn own_part(bytes: &[u8]) -> &[u8] {
    let mut end = bytes.len();
    while end > 0 {
        let before = bytes.get(..end - 1).unwrap_or_default();
        let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let body = before.get(start..).unwrap_or_default();
        if line::parse(body).is_some() {
            break;
        }
        end = start;
    }
    bytes.get(..end).unwrap_or_default()
}

fn push_lines(
    pieces: &mut Vec<Piece>,
    text: &[u8],
    from: usize,
    mut number: impl FnMut(&[u8]) -> (bool, u64),
) {
    let mut start = from;
    for line in text
        .get(from..)
        .unwrap_or_default()
        .split_inclusive(|byte| *byte == b'\n')
    {
        let end = start + line.len();
        let (own, seq) = number(line);
        pieces.push(Piece {
            seq,
            own,
            start,
            end,
        });
        start = end;
    }
}
