//! Counts by slot of time, in blocks that are made when first touched and dropped when they are
//! older than what is kept: a series that was quiet takes no room for its silence.

use super::pack::{put_varint, take_varint};
use super::rows::Counts;
use crate::storage::view::Reader;

/// Counts of one slot, as small as they can be.
pub(super) trait Cell: Copy + Default {
    fn add(&mut self, more: Counts);
    fn counts(self) -> Counts;
}

/// Counts of a minute or an hour, up to 4,294,967,295: more than a million a second.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Small(u32, u32);

/// Counts of a day.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Large(u64, u64);

impl Cell for Small {
    fn add(&mut self, more: Counts) {
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        self.0 = self.0.saturating_add(small(more.total));
        self.1 = self.1.saturating_add(small(more.bad));
    }

    fn counts(self) -> Counts {
        Counts {
            total: self.0.into(),
            bad: self.1.into(),
        }
    }
}

impl Cell for Large {
    fn add(&mut self, more: Counts) {
        self.0 = self.0.saturating_add(more.total);
        self.1 = self.1.saturating_add(more.bad);
    }

    fn counts(self) -> Counts {
        Counts {
            total: self.0,
            bad: self.1,
        }
    }
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keep {
    /// Slots in a block.
    pub(super) per_block: u32,
    /// Blocks, the newest included.
    pub(super) blocks: u32,
}

impl Keep {
    /// The first slot that is kept when `newest` is the newest one.
    pub(super) fn oldest(self, newest: u32) -> u32 {
        let first = (newest / self.per_block + 1).saturating_sub(self.blocks);
        first * self.per_block
    }
}

/// The last blocks of slots.
#[derive(Debug, Clone)]
pub(super) struct Ring<C> {
    keep: Keep,
    /// By block number, in order.
    blocks: Vec<(u32, Box<[C]>)>,
}

impl<C: Cell> Ring<C> {
    pub(super) fn new(keep: Keep) -> Self {
        Self {
            keep,
            blocks: Vec::new(),
        }
    }

    /// The first slot that is kept; counts of earlier ones have been dropped.
    pub(super) fn oldest(&self) -> u32 {
        let newest = self.blocks.last().map_or(0, |(number, _)| *number);
        self.keep.oldest(newest * self.keep.per_block)
    }

    /// Adds to a slot, unless it is older than what is kept.
    pub(super) fn add(&mut self, slot: u32, more: Counts) {
        if slot < self.oldest() {
            return;
        }
        let number = slot / self.keep.per_block;
        let place = self.blocks.binary_search_by_key(&number, |(at, _)| *at);
        let place = place.unwrap_or_else(|place| self.make(place, number));
        let cell = (slot % self.keep.per_block) as usize;
        // A new block may have pushed out the oldest one.
        if let Some((_, cells)) = self.blocks.get_mut(place) {
            cells[cell].add(more);
        }
    }

    fn make(&mut self, place: usize, number: u32) -> usize {
        let cells = vec![C::default(); self.keep.per_block as usize].into_boxed_slice();
        self.blocks.insert(place, (number, cells));
        let oldest = self.oldest() / self.keep.per_block;
        let gone = self.blocks.partition_point(|(at, _)| *at < oldest);
        self.blocks.drain(..gone);
        place - gone
    }

    /// Slots of the range that hold something, in order.
    pub(super) fn slots(&self, from: u32, until: u32) -> impl Iterator<Item = (u32, Counts)> {
        let per_block = self.keep.per_block;
        let first = self
            .blocks
            .partition_point(|(number, _)| *number < from / per_block);
        let blocks = self.blocks.iter().skip(first);
        let blocks = blocks.take_while(move |(number, _)| number * per_block < until);
        blocks
            .flat_map(move |(number, cells)| (number * per_block..).zip(cells.iter()))
            .filter(move |(slot, _)| (from..until).contains(slot))
            .map(|(slot, cell)| (slot, cell.counts()))
            .filter(|(_, counts)| counts.total > 0)
    }

    /// Sum over a range of slots.
    pub(super) fn sum(&self, from: u32, until: u32) -> Counts {
        let mut sum = Counts::default();
        for (_, counts) in self.slots(from, until) {
            sum.add(counts);
        }
        sum
    }

    /// Bytes in use, for the estimate of memory.
    pub(super) fn bytes(&self) -> usize {
        let block = self.keep.per_block as usize * size_of::<C>();
        self.blocks.capacity() * size_of::<(u32, Box<[C]>)>() + self.blocks.len() * block
    }

    /// Writes what is held.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        put_varint(out, self.slots(0, u32::MAX).count() as u64);
        let mut before = 0;
        for (slot, counts) in self.slots(0, u32::MAX) {
            put_varint(out, u64::from(slot - before));
            put_varint(out, counts.total);
            put_varint(out, counts.bad);
            before = slot;
        }
    }

    /// Adds what [`Ring::save`] wrote.
    pub(super) fn restore(&mut self, saved: &mut Reader<'_>) -> Option<()> {
        let mut slot = 0_u32;
        for _ in 0..take_varint(saved)? {
            slot = slot.checked_add(u32::try_from(take_varint(saved)?).ok()?)?;
            let total = take_varint(saved)?;
            let bad = take_varint(saved)?;
            self.add(slot, Counts { total, bad });
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Keep = Keep {
        per_block: 10,
        blocks: 3,
    };

    fn one(total: u64) -> Counts {
        Counts { total, bad: 0 }
    }

    #[test]
    fn old_blocks_make_room_and_late_counts_find_their_slot() {
        let mut ring: Ring<Small> = Ring::new(KEEP);
        ring.add(100, one(1));
        ring.add(125, one(2));
        ring.add(119, one(4));
        ring.add(119, one(8));
        assert_eq!((ring.oldest(), ring.sum(0, u32::MAX)), (100, one(15)));
        ring.add(99, one(16));
        assert_eq!(ring.sum(0, 110), one(1));
        ring.add(130, one(32));
        assert_eq!((ring.oldest(), ring.sum(0, u32::MAX)), (110, one(46)));
        assert_eq!(ring.sum(119, 125), one(12));
        ring.add(1000, one(64));
        assert_eq!(
            ring.slots(0, u32::MAX).collect::<Vec<_>>(),
            [(1000, one(64))]
        );
    }

    #[test]
    fn what_is_saved_is_what_is_restored() {
        let mut ring: Ring<Large> = Ring::new(KEEP);
        for slot in [5, 7, 23, 24] {
            let counts = Counts {
                total: u64::from(slot) << 33,
                bad: 1,
            };
            ring.add(slot, counts);
        }
        let mut saved = Vec::new();
        ring.save(&mut saved);
        let mut again: Ring<Large> = Ring::new(KEEP);
        let mut reader = Reader::new(&saved);
        again.restore(&mut reader).expect("whole");
        assert!(reader.is_empty());
        let all = |ring: &Ring<Large>| ring.slots(0, u32::MAX).collect::<Vec<_>>();
        assert_eq!(all(&again), all(&ring));
        let torn = &saved[..saved.len() - 1];
        assert!(again.restore(&mut Reader::new(torn)).is_none());
    }
}
