//! Whether every byte of a packed segment is as it was written.

use std::io;

use zstd::bulk::Decompressor;

use super::format::{Table, header, skippable};
use super::parity::{good_block, good_parity, mended_block, read_at};
use super::read::{Opened, Packed, open};
use super::{BLOCK_BYTES, wide};
use crate::seams::files::ReadFile;

/// A damaged place of a packed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::storage) struct Damage {
    /// Byte of the file at which it begins, to a block.
    pub(in crate::storage) offset: u64,
    /// First line of ours in the frame that it lies in; 0 = in none.
    pub(in crate::storage) seq: u64,
    /// What is wrong.
    pub(in crate::storage) what: &'static str,
    /// Whether text is lost by it.
    pub(in crate::storage) lost: bool,
}

const MENDED: &str = "damaged: a block of the packed file was changed; parity gives it back";
const LOST: &str = "damaged: blocks of the packed file were changed, beyond its parity";
const PARITY: &str = "damaged: the parity of the packed file was changed; no line is lost";
const TABLE: &str = "damaged: a table of the packed file was changed; no line is lost";
const LENGTH: &str = "damaged: the packed file is not as long as it was";
const BEREFT: &str = "damaged: all tables of the packed file were changed";

/// Every damaged place of a packed segment. What another program compressed has none that could be
/// told before it is unpacked.
pub(in crate::storage) fn check(file: Box<dyn ReadFile>) -> io::Result<Vec<Damage>> {
    match open(file)? {
        Opened::Packed(packed) => packed.damage(),
        Opened::Bare(_) => Ok(Vec::new()),
        Opened::Bereft(_) => Ok(vec![Damage {
            offset: 0,
            seq: 0,
            what: BEREFT,
            lost: false,
        }]),
    }
}

impl Packed {
    fn damage(&self) -> io::Result<Vec<Damage>> {
        let (file, table) = (&*self.file, &*self.table);
        let mut found = self.damaged_blocks()?;
        for group in 0..table.parity.len() {
            if good_parity(file, table, group).is_none() {
                found.push(beside(
                    table.parity_at() + wide(group * BLOCK_BYTES),
                    PARITY,
                ));
            }
        }
        let parity_header = header(table.parity.len() * BLOCK_BYTES);
        let encoded = skippable(&table.encode());
        for (at, wanted, what) in [
            (table.frames_len, &*encoded, TABLE),
            (table.parity_at(), &parity_header, PARITY),
            (table.second_at(), &encoded, TABLE),
        ] {
            if read_at(file, at, wanted.len())? != wanted {
                found.push(beside(at, what));
            }
        }
        if file.stat()?.size != table.file_len() {
            found.push(beside(table.file_len(), LENGTH));
        }
        Ok(found)
    }

    fn damaged_blocks(&self) -> io::Result<Vec<Damage>> {
        let (file, table) = (&*self.file, &*self.table);
        let mut found = Vec::new();
        let mut unpack = Decompressor::new()?;
        for index in 0..table.blocks.len() {
            if good_block(file, table, index).is_some() {
                continue;
            }
            let offset = wide(index) * wide(BLOCK_BYTES);
            let mended = mended_block(file, table, index).is_some();
            let frame = frame_at(table, offset);
            // Beyond parity a block may still hold nothing that the text needs.
            let lost = !mended && self.frame(frame, &mut unpack)?.is_none();
            found.push(Damage {
                offset,
                seq: table.frames.get(frame).map_or(0, |frame| frame.first_seq),
                what: if mended { MENDED } else { LOST },
                lost,
            });
        }
        Ok(found)
    }
}

/// The frame in which a byte of the file lies.
fn frame_at(table: &Table, offset: u64) -> usize {
    let after = table
        .frames
        .partition_point(|frame| frame.packed_offset <= offset);
    after.saturating_sub(1)
}

/// Damage to what is beside the frames.
fn beside(offset: u64, what: &'static str) -> Damage {
    Damage {
        offset,
        seq: 0,
        what,
        lost: false,
    }
}
