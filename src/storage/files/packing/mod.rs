//! Packed segments: a sealed segment as an ordinary zstd file that can be entered in the middle and
//! survives damage.
//!
//! ```text
//! frame | frame | … | table | parity | table
//! ```
//!
//! Each frame is a zstd frame of its own with a checksum, about 256 KiB of text that ends with a
//! line. What follows stands in *skippable frames*, which every zstd program passes over:
//! `zstdcat FILE` gives the text of the segment and nothing else. The table tells where each frame
//! begins, in the file and in the text, its first line and how many it has, and the checksum of
//! every block of 4 KiB of the frames. It is there twice, before and after the parity: one block
//! for each 64 blocks of the frames, their exclusive or. Blocks of one group lie far apart, so that
//! a stretch of lost sectors costs each group one block, and each is worked out from the others.
//!
//! What was made by `zstd --rm` has no table and is read from its beginning.

mod check;
mod file;
mod format;
mod parity;
mod read;
mod write;

pub(in crate::storage) use check::{Damage, check};
pub use read::text_of;
pub(in crate::storage) use read::{Packed, open_text, text_facts};
pub(in crate::storage) use write::{Facts, Packing, text_sum};

/// Bytes of text in a frame, at most, but for one longer line. Source: large enough that zstd finds
/// what repeats, small enough to be unpacked in a millisecond.
pub(in crate::storage) const FRAME_BYTES: usize = 256 << 10;
/// Bytes of a block, which is what is checked and mended: the smallest piece that a disk loses.
pub(in crate::storage) const BLOCK_BYTES: usize = 4096;
/// Blocks that share one block of parity, at most: 1.6 % more bytes.
const GROUP_BLOCKS: usize = 64;

/// Length as the format keeps it.
fn wide(length: usize) -> u64 {
    length as u64
}

/// A length that must fit the memory of this machine.
fn narrow(length: u64) -> std::io::Result<usize> {
    usize::try_from(length).map_err(|_| std::io::ErrorKind::InvalidData.into())
}
