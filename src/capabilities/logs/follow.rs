//! One client that follows a journal: a task that catches up, then sends each line when it is on
//! record, as server-sent events, until the client, the daemon or the journal ends it.
//!
//! `id` is the line's `seq`, so that a client that comes back goes on after the last line it has.
//! A line that echopilot did not write has no number and goes out without `id`, before the next
//! line that has one. A slow client is waited for: nothing piles up but one stretch of lines, and
//! the server's patience with the connection ends it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::batches::{Batch, Batches, Position};
use crate::base::digits;
use crate::seams::clock::Clock;
use crate::storage::engine::{Engine, Seek, StorageError};
use crate::storage::filter::Filter;

/// Silence after which a sign of life is sent. Proxies give up after 60 s (nginx) or more.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Rest between two looks, so that a busy journal costs each client fifty turns a second at most.
const PACE: Duration = Duration::from_millis(20);
/// What a browser waits before it comes back, in milliseconds: about as long as a restart takes.
const RETRY_MS: u32 = 2_000;
/// Bytes of a foreign line that is told; longer ones are passed over.
const FOREIGN_MAX: usize = 64 << 10;
/// Bytes sent in one piece.
const SEND_MAX: usize = 64 << 10;
/// How long a journal that cannot be read is left alone.
const TROUBLE: Duration = Duration::from_secs(1);
/// How often in a row reading may fail before the client is sent away.
const TROUBLES_MAX: u32 = 10;

/// A client and what it wants.
pub(super) struct Follower {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) batches: Arc<Batches>,
    pub(super) stream: String,
    pub(super) filter: Filter,
    /// Where to begin.
    pub(super) from: Seek,
    pub(super) out: mpsc::Sender<Bytes>,
    pub(super) stop: CancellationToken,
    /// Its place among the followers, given back when it ends.
    pub(super) seat: OwnedSemaphorePermit,
}

/// It is over: the client has gone, or the daemon goes.
struct Over;

impl Follower {
    /// Follows until something ends it.
    pub(super) async fn run(self) {
        let stop = self.stop.clone();
        let gone = self.out.clone();
        let following = async {
            let Over = self.follow().await;
            drop(self.seat);
        };
        tokio::select! {
            () = following => {}
            () = stop.cancelled() => {}
            () = gone.closed() => {}
        }
    }

    async fn follow(&self) -> Over {
        let mut grown = self.engine.follow(&self.stream).ok();
        let Ok(mut position) = self.begin().await else {
            return Over;
        };
        // The client knows from the first moment where it stands.
        let mut hello = format!("retry: {RETRY_MS}\n: {} after", self.stream).into_bytes();
        push_id(&mut hello, position.seq);
        let mut told = position.seq;
        if self.send(hello).await.is_err() {
            return Over;
        }
        let mut troubles = 0;
        loop {
            if let Some(grown) = &mut grown {
                grown.borrow_and_update();
            }
            let found = self.batches.after(&self.engine, &self.stream, &position);
            let waited = match found.await {
                Ok(Some(batch)) => {
                    troubles = 0;
                    match self.pass_on(&batch, &mut position, &mut told).await {
                        Ok(()) => self.clock.sleep(PACE).await,
                        Err(Over) => return Over,
                    }
                    continue;
                }
                Ok(None) => self.wait(&mut grown, position.seq, &mut told).await,
                Err(error) => self.trouble(&error, &mut troubles).await,
            };
            if waited.is_err() {
                return Over;
            }
        }
    }

    async fn begin(&self) -> Result<Position, Over> {
        let (engine, stream, from) = (Arc::clone(&self.engine), self.stream.clone(), self.from);
        let seeking = tokio::task::spawn_blocking(move || engine.locate(&stream, &from));
        match seeking.await {
            Ok(Ok(mark)) => Ok(Position::at(mark)),
            Ok(Err(error)) => {
                tracing::warn!(stream = self.stream, %error, "a journal cannot be followed");
                Err(Over)
            }
            // Told where panics are told.
            Err(_panicked) => Err(Over),
        }
    }

    /// Sends what is asked for of a stretch, and moves on behind it.
    async fn pass_on(
        &self,
        batch: &Batch,
        position: &mut Position,
        told: &mut u64,
    ) -> Result<(), Over> {
        let from = *position;
        let after = match self.from {
            Seek::After(seq) | Seek::Within { after: seq, .. } => seq.max(from.seq),
            Seek::Since(_) => from.seq,
        };
        let mut text = Vec::new();
        for (piece, line) in batch.after(&from) {
            let fresh = if piece.own {
                piece.seq > after
            } else {
                piece.seq >= after && is_plain(line)
            };
            if !fresh || !self.filter.passes(line) {
                continue;
            }
            push_event(&mut text, piece.own.then_some(piece.seq), line);
            if piece.own {
                *told = piece.seq;
            }
            if text.len() >= SEND_MAX {
                self.send(std::mem::take(&mut text)).await?;
            }
        }
        *position = Position {
            seq: batch.end.seq.max(from.seq),
            ..batch.end
        };
        if text.is_empty() {
            Ok(())
        } else {
            self.send(text).await
        }
    }

    /// Waits for lines, and lets the client know every now and then that all is well, and up to
    /// where there was nothing for it.
    async fn wait(
        &self,
        grown: &mut Option<watch::Receiver<u64>>,
        seq: u64,
        told: &mut u64,
    ) -> Result<(), Over> {
        let growing = async {
            match grown {
                Some(grown) => grown.changed().await.map_err(|_closed| Over),
                // Nobody writes it: only the client or the daemon ends this.
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            grown = growing => grown,
            () = self.clock.sleep(HEARTBEAT) => {
                let mut text = b": all is well".to_vec();
                if *told < seq {
                    push_id(&mut text, seq);
                    *told = seq;
                } else {
                    text.extend_from_slice(b"\n\n");
                }
                self.send(text).await
            }
        }
    }

    async fn trouble(&self, error: &StorageError, troubles: &mut u32) -> Result<(), Over> {
        *troubles += 1;
        if *troubles > TROUBLES_MAX || matches!(error, StorageError::Closed) {
            tracing::warn!(stream = self.stream, %error, "a follower is sent away");
            return Err(Over);
        }
        self.clock.sleep(TROUBLE).await;
        Ok(())
    }

    async fn send(&self, text: Vec<u8>) -> Result<(), Over> {
        self.out.send(Bytes::from(text)).await.map_err(|_gone| Over)
    }
}

/// Whether a foreign line can be told as text: no person writes zeros, and what is that long is no
/// note.
fn is_plain(line: &[u8]) -> bool {
    line.len() <= FOREIGN_MAX && memchr::memchr(0, line).is_none()
}

/// An event without data: it only moves the client's last id.
fn push_id(text: &mut Vec<u8>, seq: u64) {
    text.extend_from_slice(b"\nid: ");
    digits::push(text, seq);
    text.extend_from_slice(b"\n\n");
}

fn push_event(text: &mut Vec<u8>, number: Option<u64>, line: &[u8]) {
    if let Some(seq) = number {
        text.extend_from_slice(b"id: ");
        digits::push(text, seq);
        text.push(b'\n');
    }
    let body = line.strip_suffix(b"\n").unwrap_or(line);
    let body = body.strip_suffix(b"\r").unwrap_or(body);
    // A carriage return would end the field.
    for part in body.split(|byte| *byte == b'\r') {
        text.extend_from_slice(b"data: ");
        text.extend_from_slice(part);
        text.push(b'\n');
    }
    text.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_event_whatever_is_in_it() {
        let mut text = Vec::new();
        push_event(&mut text, Some(7), b"{\"seq\":7}\n");
        push_event(&mut text, None, b"a\rb\r\n");
        push_id(&mut text, 9);
        let expected = "id: 7\ndata: {\"seq\":7}\n\ndata: a\ndata: b\n\n\nid: 9\n\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
