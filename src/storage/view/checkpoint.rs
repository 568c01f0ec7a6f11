//! The checkpoint of a view: a file that may be lost, damaged or stale at any time without harm.
//!
//! Form: `echopilot view 1\n`, then little-endian: view name and stream (each as length and bytes),
//! version, the state, the mark (seq, h, segment, offset), and SHA-256 of all of that. It is only
//! used when every part is as expected; otherwise the journal is folded anew.

use sha2::{Digest, Sha256};

use super::View;
use crate::storage::engine::Mark;

/// What the file begins with; the number is that of this form.
const MAGIC: &[u8] = b"echopilot view 1\n";
/// Bytes of SHA-256.
const SUM_LEN: usize = 32;

/// A view as it stood at a mark.
#[derive(Debug)]
pub struct Checkpoint<V> {
    /// The state.
    pub view: V,
    /// The place in the journal up to which it is folded.
    pub mark: Mark,
}

impl<V: View> Checkpoint<V> {
    /// Name of the derived file that keeps it.
    pub fn file_name(stream: &str) -> String {
        format!("{stream}.{}.view", V::NAME)
    }

    /// Begins a file: `view` is saved into it, its place in the journal follows by
    /// [`Checkpoint::finish`]. The state is never copied a second time.
    pub fn begin(stream: &str, view: &V) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        put_bytes(&mut out, V::NAME.as_bytes());
        put_bytes(&mut out, stream.as_bytes());
        put_u32(&mut out, V::VERSION);
        view.save(&mut out);
        out
    }

    /// Ends a file that was begun.
    pub fn finish(out: &mut Vec<u8>, mark: &Mark) {
        put_u64(out, mark.seq);
        out.extend_from_slice(&mark.h);
        put_u64(out, mark.segment);
        put_u64(out, mark.offset);
        let sum = Sha256::digest(&*out);
        out.extend_from_slice(&sum);
    }

    /// The checkpoint in `file`, if it is whole, of this view, of this stream and of this version.
    pub fn decode(stream: &str, file: &[u8]) -> Option<Self> {
        let (covered, sum) = file.split_at_checked(file.len().checked_sub(SUM_LEN)?)?;
        if Sha256::digest(covered)[..] != *sum {
            return None;
        }
        let mut reader = Reader::new(covered.strip_prefix(MAGIC)?);
        let fits = reader.bytes()? == V::NAME.as_bytes()
            && reader.bytes()? == stream.as_bytes()
            && reader.u32()? == V::VERSION;
        if !fits {
            return None;
        }
        let view = V::restore(&mut reader)?;
        let mark = Mark {
            seq: reader.u64()?,
            h: *reader.take(16)?.first_chunk()?,
            segment: reader.u64()?,
            offset: reader.u64()?,
        };
        (reader.is_empty() && view.last_seq() == mark.seq).then_some(Self { view, mark })
    }
}

/// Appends a number, little-endian.
pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a number, little-endian.
pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends the length and the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what the `put_` functions wrote; every step may find the end.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(head)
    }

    /// A number.
    pub fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(*self.take(4)?.first_chunk()?))
    }

    /// A number.
    pub fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(*self.take(8)?.first_chunk()?))
    }

    /// A count of things of at least `size` bytes each, never more than can follow.
    pub fn count(&mut self, size: usize) -> Option<usize> {
        let count = usize::try_from(self.u64()?).ok()?;
        (count.checked_mul(size)? <= self.rest.len()).then_some(count)
    }

    /// Bytes after their length.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.count(1)?;
        self.take(count)
    }

    /// Text after its length.
    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}
