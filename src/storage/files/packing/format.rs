//! The table of a packed segment: what it holds, as bytes and back.
//!
//! All numbers are little-endian: magic (16 bytes), bytes of all frames, bytes of the text, SHA-256
//! of the text, last `seq` and its chain value, the counts of frames, blocks and groups (4 bytes
//! each), the frames (36 bytes each), the checksums of blocks and of parity blocks (8 bytes each),
//! SHA-256 of all that. After it in its skippable frame: its length (4 bytes) and an end mark.

use sha2::{Digest, Sha256};

use super::{BLOCK_BYTES, GROUP_BLOCKS, wide};
use crate::storage::line::ChainValue;

/// What a table begins with; the number is that of this form.
pub(super) const MAGIC: &[u8; 16] = b"echopilot pack 1";
/// What follows a table and its length.
pub(super) const END_MARK: &[u8; 8] = b"ep-table";
/// What a skippable frame begins with. Source: RFC 8878, section 3.1.2; the low four bits are free.
pub(super) const SKIPPABLE: u32 = 0x184D_2A5E;
/// Bytes of a skippable frame before its content.
pub(super) const HEADER_LEN: usize = 8;
/// Bytes after a table: its length and the end mark.
pub(super) const TRAILER_LEN: usize = 4 + END_MARK.len();
/// Bytes of SHA-256.
const SUM_LEN: usize = 32;
/// Bytes of a table before its frames.
const HEAD_LEN: usize = 16 + 8 + 8 + SUM_LEN + 8 + 16 + 12;
/// Bytes of one frame in a table.
const FRAME_LEN: usize = 36;

/// Checksum of a block: the first 64 bits of its SHA-256.
pub(super) type Sum = [u8; 8];

pub(super) fn sum_of(block: &[u8]) -> Sum {
    let digest = Sha256::digest(block);
    digest.first_chunk().copied().unwrap_or_default()
}

/// Where a frame begins, and what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::storage) struct Landmark {
    /// Byte of the file at which it begins.
    pub(in crate::storage) packed_offset: u64,
    /// Byte of the text at which it begins.
    pub(in crate::storage) text_offset: u64,
    /// `seq` of the first line of ours in it; where there is none, of the next to come.
    pub(in crate::storage) first_seq: u64,
    /// When that line was written, in milliseconds since 1970; 0 where nobody can tell.
    pub(in crate::storage) first_ts_ms: i64,
    /// Lines of ours in it.
    pub(in crate::storage) lines: u32,
}

/// What is known of a packed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) frames_len: u64,
    pub(super) text_len: u64,
    pub(super) text_sum: [u8; SUM_LEN],
    pub(super) last_seq: u64,
    pub(super) last_h: ChainValue,
    pub(super) frames: Vec<Landmark>,
    pub(super) blocks: Vec<Sum>,
    pub(super) parity: Vec<Sum>,
}

/// Groups of blocks that share a block of parity.
pub(super) fn groups_of(blocks: usize) -> usize {
    blocks.div_ceil(GROUP_BLOCKS)
}

/// Bytes of a table, or `None` where its counts make no sense.
fn table_len(frames: u32, blocks: u32, groups: u32) -> Option<usize> {
    let [frames, blocks, groups] =
        [frames, blocks, groups].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    let frames = frames.checked_mul(FRAME_LEN)?;
    let sums = blocks.checked_add(groups)?.checked_mul(8)?;
    (HEAD_LEN + SUM_LEN).checked_add(frames)?.checked_add(sums)
}

/// A skippable frame around `content`.
pub(super) fn skippable(content: &[u8]) -> Vec<u8> {
    let mut out = header(content.len()).to_vec();
    out.extend_from_slice(content);
    out
}

/// What a skippable frame with so many bytes begins with.
pub(super) fn header(content: usize) -> [u8; HEADER_LEN] {
    let mut out = [0; HEADER_LEN];
    let (magic, size) = out.split_at_mut(4);
    magic.copy_from_slice(&SKIPPABLE.to_le_bytes());
    // Whoever packs has bounded the segment.
    size.copy_from_slice(&u32::try_from(content).unwrap_or(u32::MAX).to_le_bytes());
    out
}

impl Table {
    /// The table with what follows it in its skippable frame.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&self.frames_len.to_le_bytes());
        out.extend_from_slice(&self.text_len.to_le_bytes());
        out.extend_from_slice(&self.text_sum);
        out.extend_from_slice(&self.last_seq.to_le_bytes());
        out.extend_from_slice(&self.last_h);
        for count in [self.frames.len(), self.blocks.len(), self.parity.len()] {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            out.extend_from_slice(&count.to_le_bytes());
        }
        for frame in &self.frames {
            out.extend_from_slice(&frame.packed_offset.to_le_bytes());
            out.extend_from_slice(&frame.text_offset.to_le_bytes());
            out.extend_from_slice(&frame.first_seq.to_le_bytes());
            out.extend_from_slice(&frame.first_ts_ms.to_le_bytes());
            out.extend_from_slice(&frame.lines.to_le_bytes());
        }
        for sum in self.blocks.iter().chain(&self.parity) {
            out.extend_from_slice(sum);
        }
        let sum = Sha256::digest(&out);
        out.extend_from_slice(&sum);
        let length = u32::try_from(out.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(END_MARK);
        out
    }

    /// Bytes of the table that begins with `head`, if it looks like one.
    pub(super) fn len_by_head(head: &[u8]) -> Option<usize> {
        let counts = head.strip_prefix(MAGIC)?.get(HEAD_LEN - 12 - 16..)?;
        let mut numbers = Numbers(counts);
        table_len(numbers.u32()?, numbers.u32()?, numbers.u32()?)
    }

    /// Bytes that [`Table::len_by_head`] wants to see.
    pub(super) const fn head_len() -> usize {
        HEAD_LEN
    }

    /// Reads what [`Table::encode`] wrote, without what follows the table.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (covered, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM_LEN)?)?;
        if Self::len_by_head(covered)? != bytes.len() || Sha256::digest(covered)[..] != *sum {
            return None;
        }
        let mut numbers = Numbers(covered.strip_prefix(MAGIC)?);
        let (frames_len, text_len) = (numbers.u64()?, numbers.u64()?);
        let text_sum = *numbers.take(SUM_LEN)?.first_chunk()?;
        let last_seq = numbers.u64()?;
        let last_h = *numbers.take(16)?.first_chunk()?;
        let (frames, blocks, groups) = (numbers.u32()?, numbers.u32()?, numbers.u32()?);
        let frames = (0..frames).map(|_| {
            Some(Landmark {
                packed_offset: numbers.u64()?,
                text_offset: numbers.u64()?,
                first_seq: numbers.u64()?,
                first_ts_ms: i64::from_le_bytes(*numbers.take(8)?.first_chunk()?),
                lines: numbers.u32()?,
            })
        });
        let frames = frames.collect::<Option<Vec<_>>>()?;
        let mut sums = |count: u32| -> Option<Vec<Sum>> {
            let one = |_| numbers.take(8)?.first_chunk().copied();
            (0..count).map(one).collect()
        };
        let (blocks, parity) = (sums(blocks)?, sums(groups)?);
        let table = Self {
            frames_len,
            text_len,
            text_sum,
            last_seq,
            last_h,
            frames,
            blocks,
            parity,
        };
        table.makes_sense().then_some(table)
    }

    fn makes_sense(&self) -> bool {
        let rising = |of: fn(&Landmark) -> u64, end: u64| {
            let starts = self.frames.iter().map(of);
            let ends = starts.clone().skip(1).chain([end]);
            starts.clone().next().unwrap_or(0) == 0 && starts.zip(ends).all(|(a, b)| a < b)
        };
        wide(self.blocks.len()) == self.frames_len.div_ceil(wide(BLOCK_BYTES))
            && self.parity.len() == groups_of(self.blocks.len())
            && rising(|frame| frame.packed_offset, self.frames_len)
            && rising(|frame| frame.text_offset, self.text_len)
    }

    /// Bytes of a skippable frame that holds this table.
    pub(super) fn framed_len(&self) -> u64 {
        let sums = self.blocks.len() + self.parity.len();
        let table = HEAD_LEN + SUM_LEN + FRAME_LEN * self.frames.len() + 8 * sums;
        wide(HEADER_LEN + table + TRAILER_LEN)
    }

    /// Where the skippable frame with the parity begins.
    pub(super) fn parity_at(&self) -> u64 {
        self.frames_len + self.framed_len()
    }

    /// Bytes of the whole file.
    pub(super) fn file_len(&self) -> u64 {
        self.second_at() + self.framed_len()
    }

    /// Where the second table's skippable frame begins.
    pub(super) fn second_at(&self) -> u64 {
        self.parity_at() + wide(HEADER_LEN + self.parity.len() * BLOCK_BYTES)
    }

    /// Where frame `index` ends, in the file and in the text.
    pub(super) fn end_of(&self, index: usize) -> (u64, u64) {
        let next = self.frames.get(index + 1);
        next.map_or((self.frames_len, self.text_len), |next| {
            (next.packed_offset, next.text_offset)
        })
    }
}

/// Takes numbers off the front of bytes; every step may find the end.
struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(*self.take(4)?.first_chunk()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(*self.take(8)?.first_chunk()?))
    }
}
