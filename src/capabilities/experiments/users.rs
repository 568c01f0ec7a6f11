//! All users ever seen, as small numbers: 16 bytes a slot, one memory access to find one.

use super::fingerprint::Fingerprint;
use crate::storage::view::{Reader, put_u32, put_u64};

/// Parts of the table. Each grows by itself, so that growth never doubles the whole.
const SHARDS: usize = 64;
/// Slots of a part that holds its first user.
const FIRST_SLOTS: usize = 16;
/// Bytes of a user in a checkpoint.
const SAVED_BYTES: usize = 12;

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    a: u64,
    b: u32,
    /// The user's number plus one; 0 = free.
    number: u32,
}

/// Users and their numbers, 0, 1, 2, … in order of first appearance.
#[derive(Debug)]
pub struct Users {
    shards: Vec<Shard>,
    count: u32,
}

#[derive(Debug, Default)]
struct Shard {
    /// A power of two of them, at most three quarters taken; linear probing.
    slots: Vec<Slot>,
    taken: usize,
}

impl Default for Users {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            count: 0,
        }
    }
}

impl Users {
    /// How many.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The number of a user who was seen before.
    pub fn find(&self, user: Fingerprint) -> Option<u32> {
        let shard = self.shards.get(shard_of(user))?;
        match shard.probe(user) {
            Probe::Found(number) => Some(number),
            Probe::Free(_) | Probe::Full => None,
        }
    }

    /// The number of a user, seen before or not.
    pub fn number(&mut self, user: Fingerprint) -> u32 {
        let next = self.count;
        let shard = &mut self.shards[shard_of(user)];
        let place = match shard.probe(user) {
            Probe::Found(number) => return number,
            Probe::Free(place) if shard.has_room() => place,
            Probe::Free(_) | Probe::Full => {
                shard.grow();
                match shard.probe(user) {
                    Probe::Free(place) => place,
                    Probe::Found(number) => return number,
                    Probe::Full => return next,
                }
            }
        };
        shard.slots[place] = Slot {
            a: user.a,
            b: user.b,
            number: next + 1,
        };
        shard.taken += 1;
        self.count += 1;
        next
    }

    /// Writes all users down, in order of their numbers.
    pub fn save(&self, out: &mut Vec<u8>) {
        put_u64(out, u64::from(self.count));
        let start = out.len();
        out.resize(start + self.count as usize * SAVED_BYTES, 0);
        let places = out.get_mut(start..).unwrap_or_default();
        for slot in self.shards.iter().flat_map(|shard| &shard.slots) {
            let Some(number) = slot.number.checked_sub(1) else {
                continue;
            };
            let at = number as usize * SAVED_BYTES;
            if let Some(place) = places.get_mut(at..at + SAVED_BYTES) {
                let (a, b) = place.split_at_mut(8);
                a.copy_from_slice(&slot.a.to_le_bytes());
                b.copy_from_slice(&slot.b.to_le_bytes());
            }
        }
    }

    /// What [`Users::save`] wrote.
    pub fn restore(saved: &mut Reader<'_>) -> Option<Self> {
        let mut users = Self::default();
        for number in 0..saved.count(SAVED_BYTES)? {
            let user = Fingerprint {
                a: saved.u64()?,
                b: saved.u32()?,
            };
            // Twice the same user would shift all numbers after it.
            if users.number(user) as usize != number {
                return None;
            }
        }
        Some(users)
    }
}

enum Probe {
    Found(u32),
    Free(usize),
    Full,
}

fn shard_of(user: Fingerprint) -> usize {
    (user.a >> 58) as usize
}

impl Shard {
    fn has_room(&self) -> bool {
        self.taken * 4 < self.slots.len() * 3
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a slot number is the low bits of a hash"
    )]
    fn probe(&self, user: Fingerprint) -> Probe {
        let Some(mask) = self.slots.len().checked_sub(1) else {
            return Probe::Full;
        };
        let mut at = user.a as usize & mask;
        loop {
            let slot = &self.slots[at];
            if slot.number == 0 {
                return Probe::Free(at);
            }
            if slot.a == user.a && slot.b == user.b {
                return Probe::Found(slot.number - 1);
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let larger = (self.slots.len() * 2).max(FIRST_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); larger]);
        for slot in old.into_iter().filter(|slot| slot.number != 0) {
            if let Probe::Free(at) = self.probe(Fingerprint {
                a: slot.a,
                b: slot.b,
            }) {
                self.slots[at] = slot;
            }
        }
    }
}

/// A set of user numbers: 64 Ki numbers to a chunk, a short sorted list or a bitmap, whichever is
/// smaller for it.
#[derive(Debug, Default)]
pub struct UserSet {
    chunks: Vec<Chunk>,
    count: u64,
}

/// Members of a chunk from which on its bitmap (8 KiB) is the smaller form.
const DENSE_FROM: usize = 4096;
/// Words of a chunk's bitmap: 64 Ki bits.
const WORDS: usize = 1024;

#[derive(Debug)]
enum Chunk {
    Sparse(Vec<u16>),
    Dense(Box<[u64; WORDS]>),
}

impl UserSet {
    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether `number` is in.
    pub fn contains(&self, number: u32) -> bool {
        let (chunk, low) = split(number);
        match self.chunks.get(chunk) {
            None => false,
            Some(Chunk::Sparse(list)) => list.binary_search(&low).is_ok(),
            Some(Chunk::Dense(words)) => words[usize::from(low >> 6)] >> (low & 63) & 1 == 1,
        }
    }

    /// Puts `number` in; whether it was not.
    pub fn insert(&mut self, number: u32) -> bool {
        let (chunk, low) = split(number);
        if self.chunks.len() <= chunk {
            self.chunks
                .resize_with(chunk + 1, || Chunk::Sparse(Vec::new()));
        }
        let new = self.chunks[chunk].insert(low);
        self.count += u64::from(new);
        new
    }

    /// Writes it down.
    pub fn save(&self, out: &mut Vec<u8>) {
        put_u64(out, self.chunks.len() as u64);
        for chunk in &self.chunks {
            match chunk {
                Chunk::Sparse(list) => {
                    put_u32(out, u32::try_from(list.len()).unwrap_or(0));
                    for low in list {
                        out.extend_from_slice(&low.to_le_bytes());
                    }
                }
                Chunk::Dense(words) => {
                    put_u32(out, u32::MAX);
                    words.iter().for_each(|word| put_u64(out, *word));
                }
            }
        }
    }

    /// What [`UserSet::save`] wrote.
    pub fn restore(saved: &mut Reader<'_>) -> Option<Self> {
        let mut set = Self::default();
        for _ in 0..saved.count(4)? {
            let count = saved.u32()?;
            if count == u32::MAX {
                let mut words = Box::new([0; WORDS]);
                for word in words.iter_mut() {
                    *word = saved.u64()?;
                    set.count += u64::from(word.count_ones());
                }
                set.chunks.push(Chunk::Dense(words));
            } else {
                let bytes = saved.take(count as usize * 2)?;
                let list: Vec<u16> = bytes
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|low| u16::from_le_bytes(*low))
                    .collect();
                if !list.is_sorted_by(|left, right| left < right) {
                    return None;
                }
                set.count += u64::from(count);
                set.chunks.push(Chunk::Sparse(list));
            }
        }
        Some(set)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a number is split in two halves"
)]
fn split(number: u32) -> (usize, u16) {
    ((number >> 16) as usize, number as u16)
}

impl Chunk {
    fn insert(&mut self, low: u16) -> bool {
        match self {
            Self::Dense(words) => {
                let (word, bit) = (&mut words[usize::from(low >> 6)], 1 << (low & 63));
                let new = *word & bit == 0;
                *word |= bit;
                new
            }
            Self::Sparse(list) => {
                // Numbers mostly come in growing order: look at the end first.
                let place = match list.last() {
                    Some(highest) if *highest < low => list.len(),
                    _ => match list.binary_search(&low) {
                        Ok(_) => return false,
                        Err(place) => place,
                    },
                };
                list.insert(place, low);
                if list.len() >= DENSE_FROM {
                    let mut words = Box::new([0_u64; WORDS]);
                    self.add_to(&mut words);
                    *self = Self::Dense(words);
                }
                true
            }
        }
    }

    fn add_to(&self, words: &mut [u64; WORDS]) {
        match self {
            Self::Sparse(list) => {
                for low in list {
                    words[usize::from(low >> 6)] |= 1 << (low & 63);
                }
            }
            Self::Dense(own) => words
                .iter_mut()
                .zip(&**own)
                .for_each(|(word, own)| *word |= own),
        }
    }
}

/// How many users are in two or more of `sets`.
pub fn in_several(sets: &[&UserSet]) -> u64 {
    let chunks = sets.iter().map(|set| set.chunks.len()).max().unwrap_or(0);
    let several = |at: usize| {
        let (mut once, mut twice) = ([0_u64; WORDS], [0_u64; WORDS]);
        for chunk in sets.iter().filter_map(|set| set.chunks.get(at)) {
            let mut own = [0_u64; WORDS];
            chunk.add_to(&mut own);
            for ((once, twice), own) in once.iter_mut().zip(&mut twice).zip(own) {
                *twice |= *once & own;
                *once |= own;
            }
        }
        twice
            .iter()
            .map(|word| u64::from(word.count_ones()))
            .sum::<u64>()
    };
    (0..chunks).map(several).sum()
}
