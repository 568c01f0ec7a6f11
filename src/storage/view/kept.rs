//! A view that is kept: shared, updated by commits, and saved now and then.
//!
//! A checkpoint is written after 32 MiB of new lines, after ten minutes with changes, and at the
//! end. The state is copied into bytes under the lock; finding the mark and writing the file happen
//! on a thread of their own, so that the journal's writer waits for the copy only.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Checkpoint, Folded, View, start};
use crate::seams::clock::Clock;
use crate::storage::engine::{Chunk, Mark, StorageError};
use crate::storage::journal::Journal;
use crate::storage::line;

/// New bytes after which a checkpoint is written: folding as many takes about 0.1 s at start.
const CHECKPOINT_BYTES: u64 = 32 << 20;
/// Age after which a checkpoint is written if anything has changed.
const CHECKPOINT_AGE: Duration = Duration::from_mins(10);
/// Bytes of a line besides its members: number, stamp, kind and chain value.
const ENVELOPE_BYTES: u64 = 100;

/// A view and its checkpoints.
#[derive(Debug)]
pub struct Kept<V: View> {
    inner: Arc<Inner<V>>,
    saver: Mutex<Option<(SyncSender<()>, JoinHandle<()>)>>,
}

#[derive(Debug)]
struct Inner<V> {
    journal: Journal,
    clock: Arc<dyn Clock>,
    view: Mutex<V>,
    saved: Mutex<Saved>,
    new_bytes: AtomicU64,
    saved_at_ms: AtomicU64,
}

#[derive(Debug)]
struct Saved {
    /// The place of the last checkpoint, from where the next mark is looked for.
    mark: Mark,
    /// The last attempt failed: there is something to save even if no line comes any more. It is
    /// not told by `new_bytes`, or each commit would begin another attempt.
    owed: bool,
}

impl<V: View> Kept<V> {
    /// Builds the view and keeps it from now on.
    pub fn open(
        journal: Journal,
        clock: Arc<dyn Clock>,
        fresh: impl Fn() -> V,
    ) -> Result<(Self, Folded), StorageError> {
        let (view, folded) = start(journal.engine(), journal.stream(), fresh)?;
        let inner = Arc::new(Inner {
            saved_at_ms: AtomicU64::new(millis(clock.uptime())),
            journal,
            clock,
            view: Mutex::new(view),
            saved: Mutex::new(Saved {
                mark: folded.mark,
                owed: false,
            }),
            new_bytes: AtomicU64::new(folded.bytes),
        });
        let (wake, woken) = sync_channel(1);
        let work = Arc::clone(&inner);
        let thread = thread::Builder::new()
            .name(format!("view-{}", V::NAME))
            .spawn(move || save_when_woken(&work, &woken))
            .map_err(|source| StorageError::Unreadable {
                stream: inner.journal.stream().to_owned(),
                source: Arc::new(source),
            })?;
        let saver = Mutex::new(Some((wake, thread)));
        Ok((Self { inner, saver }, folded))
    }

    /// The view, for as long as the guard lives; never across an await.
    pub fn lock(&self) -> MutexGuard<'_, V> {
        self.inner
            .view
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The journal it is a fold of.
    pub fn journal(&self) -> &Journal {
        &self.inner.journal
    }

    /// Takes note of `lines` committed lines with `bytes` bytes of members, once they are applied.
    pub fn grew(&self, lines: u64, bytes: u64) {
        let grown = bytes + lines * ENVELOPE_BYTES;
        let unsaved = self.inner.new_bytes.fetch_add(grown, Ordering::Relaxed) + grown;
        let age = millis(self.inner.clock.uptime())
            .saturating_sub(self.inner.saved_at_ms.load(Ordering::Relaxed));
        if unsaved >= CHECKPOINT_BYTES || u128::from(age) >= CHECKPOINT_AGE.as_millis() {
            let saver = self.saver.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((wake, _)) = &*saver {
                let _due_already = wake.try_send(());
            }
        }
    }

    /// Writes a checkpoint now, if anything is new since the last.
    pub fn save(&self) {
        self.inner.save();
    }

    /// Writes the last checkpoint and ends the saving thread.
    pub fn close(&self) {
        let saver = self
            .saver
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some((wake, thread)) = saver else { return };
        drop(wake);
        if thread.join().is_err() {
            tracing::error!("the thread that saves view `{}` has panicked", V::NAME);
        }
        self.inner.save();
    }
}

fn save_when_woken<V: View>(inner: &Inner<V>, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        inner.save();
    }
}

impl<V: View> Inner<V> {
    fn save(&self) {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let unsaved = self.new_bytes.swap(0, Ordering::Relaxed);
        self.saved_at_ms
            .store(millis(self.clock.uptime()), Ordering::Relaxed);
        if unsaved == 0 && !saved.owed {
            return;
        }
        saved.owed = true;
        let stream = self.journal.stream();
        let (mut file, seq) = {
            let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
            (Checkpoint::begin(stream, &*view), view.last_seq())
        };
        let Some(mark) = self.mark_of(seq, &saved.mark) else {
            tracing::warn!(
                "line {seq} of `{}` not found, no checkpoint",
                self.journal.stream()
            );
            return;
        };
        Checkpoint::<V>::finish(&mut file, &mark);
        let name = Checkpoint::<V>::file_name(stream);
        match self.journal.engine().save_derived(&name, &file) {
            Ok(()) => *saved = Saved { mark, owed: false },
            Err(error) => tracing::warn!("cannot save checkpoint `{name}`: {error}"),
        }
    }

    /// The place after line `seq`, looked for from a mark before it; where that does not fit any
    /// more, because somebody edited what lies before it, from the first line on.
    fn mark_of(&self, seq: u64, from: &Mark) -> Option<Mark> {
        if seq == from.seq {
            return Some(*from);
        }
        let found = match self.mark_after(seq, from) {
            Err(StorageError::BadMark { .. }) => self.mark_after(seq, &Mark::default()),
            done => done,
        };
        found.unwrap_or_else(|error| {
            tracing::warn!("cannot look for line {seq}: {error}");
            None
        })
    }

    fn mark_after(&self, seq: u64, from: &Mark) -> Result<Option<Mark>, StorageError> {
        let mut found = None;
        self.journal.scan(from, &mut |chunk| {
            found = mark_in(&chunk, seq);
            if found.is_some() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        Ok(found)
    }
}

/// The place after line `seq`, if it lies in `chunk`.
fn mark_in(chunk: &Chunk<'_>, seq: u64) -> Option<Mark> {
    let end = chunk.end.filter(|end| end.seq >= seq)?;
    if end.seq == seq {
        return Some(end);
    }
    let (mut after, mut last_own, mut found) = (0_u64, 0_u64, None);
    for own in chunk.bytes.split_inclusive(|byte| *byte == b'\n') {
        after += own.len() as u64;
        let Some(own) = own.strip_suffix(b"\n").and_then(line::parse) else {
            continue;
        };
        last_own = after;
        if own.seq == seq {
            found = Some((after, own.h));
        }
    }
    let (at, h) = found?;
    // `end` lies after the chunk's last own line: count back from there.
    let offset = end.offset.saturating_sub(last_own - at);
    Some(Mark {
        seq,
        h,
        segment: end.segment,
        offset,
    })
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_inside_a_chunk_as_if_the_chunk_ended_there() {
        let own = |seq: u64| {
            format!(
                "{{\"seq\":{seq},\"ts\":\"2026-11-21T09:15:02.123Z\",\"kind\":\"x.y\",\
                 \"h\":\"{seq:016}\"}}\n"
            )
        };
        let text = own(8) + "left by hand\n" + &own(9) + &own(10) + "by hand again\n";
        let all_own = text.len() - "by hand again\n".len();
        let mark = |seq, after: usize| Mark {
            seq,
            h: *format!("{seq:016}")
                .as_bytes()
                .first_chunk()
                .expect("16 digits"),
            segment: 5,
            offset: 1000 + after as u64,
        };
        let chunk = Chunk {
            bytes: text.as_bytes(),
            end: Some(mark(10, all_own)),
        };
        assert_eq!(mark_in(&chunk, 8), Some(mark(8, own(8).len())));
        assert_eq!(mark_in(&chunk, 9), Some(mark(9, all_own - own(10).len())));
        assert_eq!(mark_in(&chunk, 10), Some(mark(10, all_own)));
        assert_eq!(mark_in(&chunk, 11), None);
        assert_eq!(mark_in(&chunk, 7), None);
    }
}
