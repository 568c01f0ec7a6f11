//! A client's connection as bytes: closes itself when the client stops taking its answer (rule H1),
//! and counts the `Content-Length` lines it saw, because hyper drops that header where a
//! `Transfer-Encoding` stands beside it, and the pair must be refused (rule H4).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::patience::{Awaits, Patience};

/// What a line must begin with to be counted.
const LENGTH: &[u8] = b"content-length";

/// Counts the lines of a stream of bytes that are a `Content-Length` header. No line of a JSON or
/// NDJSON body can look like one.
#[derive(Debug)]
struct LineScan {
    /// Bytes of [`LENGTH`] that the current line has matched; `None` once it cannot be one.
    matched: Option<usize>,
}

impl LineScan {
    const fn new() -> Self {
        Self { matched: Some(0) }
    }

    /// How many such lines are completed (up to their name) in `bytes`.
    fn count(&mut self, bytes: &[u8]) -> u32 {
        let mut found = self.advance(bytes);
        for end in memchr::memchr_iter(b'\n', bytes) {
            self.matched = Some(0);
            found += self.advance(bytes.get(end + 1..).unwrap_or_default());
        }
        found
    }

    /// Goes on with the current line; 1 when it turns out to be one.
    fn advance(&mut self, rest: &[u8]) -> u32 {
        let Some(matched) = self.matched else {
            return 0;
        };
        let wanted = LENGTH.get(matched..).unwrap_or_default();
        let length = wanted.len().min(rest.len());
        let (Some(have), Some(want)) = (rest.get(..length), wanted.get(..length)) else {
            return 0;
        };
        if !have.eq_ignore_ascii_case(want) {
            self.matched = None;
            return 0;
        }
        let complete = length == wanted.len();
        self.matched = (!complete).then_some(matched + length);
        u32::from(complete)
    }
}

/// The stream given to hyper.
pub(super) struct ClientStream {
    inner: TcpStream,
    patience: Arc<Patience>,
    /// How long the client may take nothing of its answer.
    stall: Duration,
    /// What was waited for before a write had to wait.
    before: Option<(Awaits, Duration)>,
    scan: LineScan,
    lengths: Arc<AtomicU32>,
}

impl ClientStream {
    pub(super) fn new(
        stream: TcpStream,
        patience: Arc<Patience>,
        stall: Duration,
        lengths: Arc<AtomicU32>,
    ) -> Self {
        Self {
            inner: stream,
            patience,
            stall,
            before: None,
            scan: LineScan::new(),
            lengths,
        }
    }

    /// Takes note of a write that has to wait, and of its going on.
    fn noted<T>(&mut self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match (&written, self.before) {
            (Poll::Pending, None) => {
                self.before = Some(self.patience.current());
                let until = self.patience.now() + self.stall;
                self.patience.wait_for(Awaits::Taking, until);
            }
            (Poll::Ready(_), Some((awaits, due))) => {
                self.before = None;
                if awaits == Awaits::Head {
                    // Time spent on taking an answer is not time spent on sending the next head.
                    self.patience.wait_for_head(self.patience.now());
                } else {
                    self.patience.wait_for(awaits, due);
                }
            }
            _ => {}
        }
        written
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(cx, buffer);
        if read.is_ready() {
            let new = buffer.filled().get(before..).unwrap_or_default();
            let lengths = this.scan.count(new);
            if lengths > 0 {
                this.lengths.fetch_add(lengths, Ordering::Relaxed);
            }
        }
        read
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.noted(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
        this.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let done = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.noted(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h04_length_lines_are_counted_however_they_are_cut() {
        let text = b"POST / HTTP/1.1\r\nContent-Length: 5\r\nX-Content-Length: 5\r\n\
                     content-length : 5\r\ncontent-lengt: 1\r\n\r\n{\"content-length\": 1}";
        for cut in 0..text.len() {
            let mut scan = LineScan::new();
            let (left, right) = text.split_at(cut);
            assert_eq!(scan.count(left) + scan.count(right), 2, "cut at {cut}");
        }
    }
}
