//! Blocks of a packed segment against their checksums, and working a lost one out from the others
//! of its group.
//!
//! Block `i` of `n` belongs to group `i % groups`: neighbours belong to different groups. The last
//! block counts as filled up with zeros.

use std::io;

use super::format::{HEADER_LEN, Sum, Table, groups_of, sum_of};
use super::{BLOCK_BYTES, narrow, wide};
use crate::seams::files::ReadFile;

/// Reads `length` bytes from `at`; fewer where the file ends.
pub(super) fn read_at(file: &dyn ReadFile, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        let rest = bytes.get_mut(filled..).unwrap_or_default();
        match file.read_at(rest, at + wide(filled)) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Adds `block` to a sum of exclusive ors.
fn fold_in(parity: &mut [u8], block: &[u8]) {
    for (sum, byte) in parity.iter_mut().zip(block) {
        *sum ^= byte;
    }
}

/// The checksums of all blocks of the first `length` bytes, the parity blocks one after the other,
/// and their checksums.
pub(super) fn work_out(
    file: &dyn ReadFile,
    length: u64,
) -> io::Result<(Vec<Sum>, Vec<u8>, Vec<Sum>)> {
    let blocks = narrow(length.div_ceil(wide(BLOCK_BYTES)))?;
    let groups = groups_of(blocks);
    let mut sums = Vec::with_capacity(blocks);
    let mut parity = vec![0; groups * BLOCK_BYTES];
    for index in 0..blocks {
        let block = raw_block(file, length, index)?;
        sums.push(sum_of(&block));
        let start = index % groups * BLOCK_BYTES;
        fold_in(
            parity
                .get_mut(start..start + BLOCK_BYTES)
                .unwrap_or_default(),
            &block,
        );
    }
    let parity_sums = parity.chunks(BLOCK_BYTES).map(sum_of).collect();
    Ok((sums, parity, parity_sums))
}

/// Block `index` of the first `length` bytes as it is in the file.
fn raw_block(file: &dyn ReadFile, length: u64, index: usize) -> io::Result<Vec<u8>> {
    let at = wide(index) * wide(BLOCK_BYTES);
    let size = narrow((length.saturating_sub(at)).min(wide(BLOCK_BYTES)))?;
    let block = read_at(file, at, size)?;
    if block.len() < size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(block)
}

/// Block `index`, if it is as it was.
pub(super) fn good_block(file: &dyn ReadFile, table: &Table, index: usize) -> Option<Vec<u8>> {
    let block = raw_block(file, table.frames_len, index).ok()?;
    (table.blocks.get(index) == Some(&sum_of(&block))).then_some(block)
}

/// Parity block `group`, if it is as it was.
pub(super) fn good_parity(file: &dyn ReadFile, table: &Table, group: usize) -> Option<Vec<u8>> {
    let at = table.parity_at() + wide(HEADER_LEN + group * BLOCK_BYTES);
    let block = read_at(file, at, BLOCK_BYTES).ok()?;
    (table.parity.get(group) == Some(&sum_of(&block))).then_some(block)
}

/// Block `index` worked out from the others of its group; `None` where another one is lost too.
pub(super) fn mended_block(file: &dyn ReadFile, table: &Table, index: usize) -> Option<Vec<u8>> {
    let (blocks, groups) = (table.blocks.len(), table.parity.len());
    let group = index.checked_rem(groups)?;
    let mut mended = good_parity(file, table, group)?;
    for other in (group..blocks).step_by(groups).filter(|one| *one != index) {
        fold_in(&mut mended, &good_block(file, table, other)?);
    }
    let at = wide(index) * wide(BLOCK_BYTES);
    let size = (table.frames_len - at).min(wide(BLOCK_BYTES));
    mended.truncate(narrow(size).ok()?);
    (table.blocks.get(index) == Some(&sum_of(&mended))).then_some(mended)
}

/// The bytes from `from` to `to` of the frames, each block mended that is not as it was, and how
/// many were. `None` where one cannot be.
pub(super) fn mended_range(
    file: &dyn ReadFile,
    table: &Table,
    from: u64,
    to: u64,
) -> Option<(Vec<u8>, u64)> {
    let size = wide(BLOCK_BYTES);
    let (first, end) = (narrow(from / size).ok()?, narrow(to.div_ceil(size)).ok()?);
    let (mut bytes, mut mended) = (Vec::new(), 0);
    for index in first..end {
        if let Some(block) = good_block(file, table, index) {
            bytes.extend_from_slice(&block);
        } else {
            bytes.extend_from_slice(&mended_block(file, table, index)?);
            mended += 1;
        }
    }
    let skip = narrow(from - wide(first) * size).ok()?;
    let length = narrow(to - from).ok()?;
    let wanted = bytes.get(skip..skip + length)?.to_vec();
    Some((wanted, mended))
}
