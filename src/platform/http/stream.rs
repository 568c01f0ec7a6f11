//! A client's connection as bytes: closes itself when the client stops taking its answer (rule H1),
//! and notes a head with both `Content-Length` and `Transfer-Encoding`, because hyper drops the
//! former beside the latter, and the pair must be refused (rule H4).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::patience::{Awaits, Patience};
use crate::platform::telemetry::HttpMetrics;

/// The two headers that tell where a body ends.
const LENGTH: &[u8] = b"content-length";
const CODING: &[u8] = b"transfer-encoding";

/// Bytes of a line that are kept while its end has not come: the longer name and what ends it.
const KEPT: usize = CODING.len() + 1;

/// Looks for heads with both headers in a stream of bytes. Heads end at an empty line, and so does
/// whatever is in front of one, so lines of one request are never taken for another's. No line of a
/// JSON or NDJSON body can look like one of the two.
#[derive(Debug, Default)]
struct PairScan {
    /// Beginning of the line whose end has not come.
    begun: [u8; KEPT],
    /// How much of it is there.
    kept: usize,
    length: bool,
    coding: bool,
}

impl PairScan {
    /// Whether a head with both came to light in `bytes`.
    fn finds(&mut self, bytes: &[u8]) -> bool {
        let mut found = false;
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let line = bytes.get(start..end).unwrap_or_default();
            start = end + 1;
            if self.kept == 0 {
                self.take(line);
            } else {
                self.keep(line);
                let begun = self.begun;
                let kept = std::mem::take(&mut self.kept);
                self.take(begun.get(..kept).unwrap_or_default());
            }
            found |= self.length && self.coding;
        }
        self.keep(bytes.get(start..).unwrap_or_default());
        found
    }

    /// Goes on with the line that has begun.
    fn keep(&mut self, more: &[u8]) {
        let room = self.begun.get_mut(self.kept..).unwrap_or_default();
        let count = room.len().min(more.len());
        for (place, byte) in room.iter_mut().zip(more) {
            *place = *byte;
        }
        self.kept += count;
    }

    /// Takes note of a line, of which the beginning is enough.
    fn take(&mut self, line: &[u8]) {
        match line.first() {
            None => (self.length, self.coding) = (false, false),
            Some(b'\r') if line.len() == 1 => (self.length, self.coding) = (false, false),
            Some(b'c' | b'C') => self.length |= is_header(line, LENGTH),
            Some(b't' | b'T') => self.coding |= is_header(line, CODING),
            Some(_) => {}
        }
    }
}

/// Whether `line` is a header of that name.
fn is_header(line: &[u8], name: &[u8]) -> bool {
    line.split_at_checked(name.len())
        .is_some_and(|(begin, rest)| {
            begin.eq_ignore_ascii_case(name) && matches!(rest.first(), Some(b':' | b' ' | b'\t'))
        })
}

/// The stream given to hyper.
pub(super) struct ClientStream {
    inner: TcpStream,
    patience: Arc<Patience>,
    /// How long the client may take nothing of its answer.
    stall: Duration,
    /// What was waited for before a write had to wait.
    before: Option<(Awaits, Duration)>,
    scan: PairScan,
    ambiguous: Arc<AtomicBool>,
    metrics: Arc<HttpMetrics>,
}

impl ClientStream {
    pub(super) fn new(
        stream: TcpStream,
        patience: Arc<Patience>,
        stall: Duration,
        ambiguous: Arc<AtomicBool>,
        metrics: Arc<HttpMetrics>,
    ) -> Self {
        Self {
            inner: stream,
            patience,
            stall,
            before: None,
            scan: PairScan::default(),
            ambiguous,
            metrics,
        }
    }

    /// Counts what the socket has taken.
    fn counted(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            let sent = &self.metrics.bytes_sent;
            sent.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
        self.noted(written)
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
            if !new.is_empty() {
                this.patience.heard();
            }
            if this.scan.finds(new) {
                this.ambiguous.store(true, Ordering::Relaxed);
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
        this.counted(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
        this.counted(written)
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
    fn h04_a_head_with_both_headers_is_found_however_it_is_cut() {
        let length = "POST / HTTP/1.1\r\nContent-Length: 2\r\nX-Y: 1\r\n\r\n{}";
        let coding = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
                      2\r\n{}\r\n0\r\n\r\n";
        let both = "POST / HTTP/1.1\r\ncontent-length: 2\r\nX-Y: 1\r\n\
                    TRANSFER-ENCODING: chunked\r\n\r\n";
        let bare = both.replace('\r', "");
        let near = "GET / HTTP/1.1\nContent-Lengths: 1\nX-Content-Length: 1\n\
                    Transfer-Encoding: chunked\n\n";
        for (text, expected) in [
            (length.repeat(2) + coding, false),
            (coding.repeat(2) + length, false),
            (near.to_owned(), false),
            (both.to_owned(), true),
            (bare, true),
            (length.to_owned() + both, true),
            (coding.to_owned() + both + coding, true),
        ] {
            for cut in 0..text.len() {
                let mut scan = PairScan::default();
                let (left, right) = text.as_bytes().split_at(cut);
                let found = scan.finds(left) | scan.finds(right);
                assert_eq!(found, expected, "cut at {cut}: {text}");
            }
            let mut scan = PairScan::default();
            let found = text.as_bytes().chunks(1).filter(|byte| scan.finds(byte));
            assert_eq!(found.count() > 0, expected, "byte by byte: {text}");
        }
    }
}
