//! Counts by slot of time, in blocks that are made when first touched and dropped when they are
//! older than what is kept: a series that was quiet takes no room for its silence.

use super::pack::{put_varint, take_varint};
use super::rows::Counts;
use crate::storage::view::Reader;

/// Counts of the slots of a block, in numbers as small as they allow.
#[derive(Debug, Clone)]
enum Cells {
    Small(Box<[(u16, u16)]>),
    Middle(Box<[(u32, u32)]>),
    Large(Box<[(u64, u64)]>),
}

impl Cells {
    fn new(slots: u32) -> Self {
        Self::Small(vec![(0, 0); slots as usize].into_boxed_slice())
    }

    fn get(&self, slot: usize) -> Counts {
        let (total, bad) = match self {
            Self::Small(cells) => cells.get(slot).map(|(a, b)| ((*a).into(), (*b).into())),
            Self::Middle(cells) => cells.get(slot).map(|(a, b)| ((*a).into(), (*b).into())),
            Self::Large(cells) => cells.get(slot).copied(),
        }
        .unwrap_or_default();
        Counts { total, bad }
    }

    /// Sets a slot; the whole block becomes wider where its number does not fit.
    fn set(&mut self, slot: usize, Counts { total, bad }: Counts) {
        let fits = match self {
            Self::Small(cells) => put(cells, slot, u16::try_from(total), u16::try_from(bad)),
            Self::Middle(cells) => put(cells, slot, u32::try_from(total), u32::try_from(bad)),
            Self::Large(cells) => put(cells, slot, Ok::<_, ()>(total), Ok(bad)),
        };
        if !fits {
            *self = match self {
                Self::Small(cells) => Self::Middle(cells.iter().map(wider).collect()),
                Self::Middle(cells) => Self::Large(cells.iter().map(wider).collect()),
                Self::Large(_) => return,
            };
            self.set(slot, Counts { total, bad });
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Small(cells) => size_of_val(&**cells),
            Self::Middle(cells) => size_of_val(&**cells),
            Self::Large(cells) => size_of_val(&**cells),
        }
    }
}

/// Whether both numbers fit; then they are put.
fn put<T, E>(cells: &mut [(T, T)], slot: usize, total: Result<T, E>, bad: Result<T, E>) -> bool {
    let (Ok(total), Ok(bad)) = (total, bad) else {
        return false;
    };
    if let Some(cell) = cells.get_mut(slot) {
        *cell = (total, bad);
    }
    true
}

fn wider<N: Copy, W: From<N>>((total, bad): &(N, N)) -> (W, W) {
    ((*total).into(), (*bad).into())
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
pub(super) struct Ring {
    keep: Keep,
    /// By block number, in order.
    blocks: Vec<(u32, Cells)>,
}

impl Ring {
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
            let mut sum = cells.get(cell);
            sum.add(more);
            cells.set(cell, sum);
        }
    }

    fn make(&mut self, place: usize, number: u32) -> usize {
        self.blocks.reserve_exact(1);
        let cells = Cells::new(self.keep.per_block);
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
            .flat_map(move |(number, cells)| {
                let slot = move |place: u32| number * per_block + place;
                (0..per_block).map(move |place| (slot(place), cells.get(place as usize)))
            })
            .filter(move |(slot, counts)| counts.total > 0 && (from..until).contains(slot))
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
        let cells: usize = self.blocks.iter().map(|(_, cells)| cells.bytes()).sum();
        self.blocks.capacity() * size_of::<(u32, Cells)>() + cells
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
        let mut ring: Ring = Ring::new(KEEP);
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
        let mut ring: Ring = Ring::new(KEEP);
        for slot in [5, 7, 23, 24] {
            let mut counts = one(u64::from(slot));
            for _ in 0..3 {
                // From small numbers to large ones, in the same block.
                counts.total <<= 12;
                counts.bad += 1;
                ring.add(slot, counts);
            }
        }
        let mut saved = Vec::new();
        ring.save(&mut saved);
        let mut again: Ring = Ring::new(KEEP);
        let mut reader = Reader::new(&saved);
        again.restore(&mut reader).expect("whole");
        assert!(reader.is_empty());
        let all = |ring: &Ring| ring.slots(0, u32::MAX).collect::<Vec<_>>();
        assert_eq!(all(&again), all(&ring));
        let torn = &saved[..saved.len() - 1];
        assert!(again.restore(&mut Reader::new(torn)).is_none());
    }
}
