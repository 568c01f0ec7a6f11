//! Histograms by slot of time, packed into one run of bytes: a minute with two probes takes some
//! ten bytes. The slot that grows is kept unpacked; late ones are written behind the others, and
//! put together when the run has grown by a quarter.

use std::collections::BTreeMap;

use super::histogram::Histogram;
use super::pack::{put_histogram, put_varint, take_histogram, take_varint};
use super::ring::Keep;
use crate::storage::view::Reader;

/// Bytes that a run may grow by before it is put in order, besides a quarter (our own choice).
const SLACK: usize = 128;

/// The last slots.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    keep: Keep,
    newest: u32,
    current: Histogram,
    /// Slot, length, histogram; again and again.
    packed: Vec<u8>,
    /// Bytes of `packed` when it was last in order.
    ordered: usize,
}

impl Shelf {
    pub(super) fn new(keep: Keep) -> Self {
        Self {
            keep,
            newest: 0,
            current: Histogram::default(),
            packed: Vec::new(),
            ordered: 0,
        }
    }

    /// The first slot that is kept.
    pub(super) fn oldest(&self) -> u32 {
        self.keep.oldest(self.newest)
    }

    /// Adds to a slot, unless it is older than what is kept.
    pub(super) fn add(&mut self, slot: u32, more: &Histogram) {
        if more.is_empty() || slot < self.oldest() {
            return;
        }
        if slot > self.newest {
            let full = std::mem::take(&mut self.current);
            push(&mut self.packed, self.newest, &full);
            self.newest = slot;
        }
        if slot == self.newest {
            self.current.merge(more);
        } else {
            push(&mut self.packed, slot, more);
        }
        if self.packed.len() > self.ordered + self.ordered / 4 + SLACK {
            self.put_in_order();
        }
    }

    /// Sum over a range of slots.
    pub(super) fn sum(&self, from: u32, until: u32, sum: &mut Histogram) {
        let wanted = from.max(self.oldest())..until;
        let mut reader = Reader::new(&self.packed);
        while let Some((slot, bytes)) = next(&mut reader) {
            if wanted.contains(&slot) {
                // What was packed here can be read.
                let _whole = take_histogram(&mut Reader::new(bytes), sum);
            }
        }
        if wanted.contains(&self.newest) {
            sum.merge(&self.current);
        }
    }

    /// Bytes in use, for the estimate of memory.
    pub(super) fn bytes(&self) -> usize {
        self.packed.capacity() + self.current.bytes()
    }

    fn put_in_order(&mut self) {
        let mut by_slot: BTreeMap<u32, Histogram> = BTreeMap::new();
        let oldest = self.oldest();
        let mut reader = Reader::new(&self.packed);
        while let Some((slot, bytes)) = next(&mut reader) {
            if slot >= oldest {
                let sum = by_slot.entry(slot).or_default();
                let _whole = take_histogram(&mut Reader::new(bytes), sum);
            }
        }
        let mut packed = Vec::new();
        for (slot, histogram) in &by_slot {
            push(&mut packed, *slot, histogram);
        }
        packed.shrink_to_fit();
        self.ordered = packed.len();
        self.packed = packed;
    }

    /// Writes what is held.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.newest));
        put_histogram(out, &self.current);
        put_varint(out, self.packed.len() as u64);
        out.extend_from_slice(&self.packed);
    }

    /// Adds what [`Shelf::save`] wrote.
    pub(super) fn restore(&mut self, saved: &mut Reader<'_>) -> Option<()> {
        let newest = u32::try_from(take_varint(saved)?).ok()?;
        let mut current = Histogram::default();
        take_histogram(saved, &mut current)?;
        let length = usize::try_from(take_varint(saved)?).ok()?;
        let mut packed = Reader::new(saved.take(length)?);
        while !packed.is_empty() {
            let (slot, bytes) = next(&mut packed)?;
            let mut one = Histogram::default();
            take_histogram(&mut Reader::new(bytes), &mut one)?;
            self.add(slot, &one);
        }
        self.add(newest, &current);
        Some(())
    }
}

fn push(packed: &mut Vec<u8>, slot: u32, histogram: &Histogram) {
    if histogram.is_empty() {
        return;
    }
    let mut bytes = Vec::new();
    put_histogram(&mut bytes, histogram);
    // Growing by little keeps the many small shelves small.
    packed.reserve_exact(bytes.len() + 10);
    put_varint(packed, u64::from(slot));
    put_varint(packed, bytes.len() as u64);
    packed.extend_from_slice(&bytes);
}

fn next<'a>(packed: &mut Reader<'a>) -> Option<(u32, &'a [u8])> {
    let slot = u32::try_from(take_varint(packed)?).ok()?;
    let length = usize::try_from(take_varint(packed)?).ok()?;
    Some((slot, packed.take(length)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_told_apart_whatever_their_order() {
        let keep = Keep {
            per_block: 60,
            blocks: 3,
        };
        let mut shelf = Shelf::new(keep);
        let mut told: BTreeMap<u32, Histogram> = BTreeMap::new();
        for step in 0..2000_u32 {
            // Forwards, with late ones mixed in.
            let slot = 1000 + step / 8 - (step % 5) * 3;
            let mut one = Histogram::default();
            one.add(u64::from(step * 37 % 9000), 1);
            shelf.add(slot, &one);
            told.entry(slot).or_default().merge(&one);
        }
        let oldest = shelf.oldest();
        assert_eq!(oldest, 1080);
        for (slot, expected) in told.range(oldest..) {
            let mut sum = Histogram::default();
            shelf.sum(*slot, slot + 1, &mut sum);
            assert_eq!(sum, *expected, "slot {slot}");
        }
        let mut saved = Vec::new();
        shelf.save(&mut saved);
        let mut again = Shelf::new(keep);
        again.restore(&mut Reader::new(&saved)).expect("whole");
        let (mut left, mut right) = (Histogram::default(), Histogram::default());
        shelf.sum(0, u32::MAX, &mut left);
        again.sum(0, u32::MAX, &mut right);
        assert_eq!(left, right);
        assert!(shelf.packed.len() < 5000, "{} bytes", shelf.packed.len());
    }
}
