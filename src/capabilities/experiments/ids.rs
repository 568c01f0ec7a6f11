//! Idempotency ids that were seen, in a bounded window: the last one to two halves of it.
//!
//! Two generations: when the young one is full it becomes the old one, and what was old is
//! forgotten. An id is therefore remembered for at least half a window of newer ids.

use hashbrown::HashTable;

use super::fingerprint::Fingerprint;
use crate::storage::view::{Reader, put_u32, put_u64};

/// Ids remembered at most, unless a test asks for fewer. At some 35 bytes each this is about 35 MB
/// when full; an application that sends 100 ids a second is covered for at least 80 minutes.
pub const WINDOW: usize = 1_000_000;

/// `seq` of an id whose line is on its way to the journal.
const IN_FLIGHT: u64 = 0;
/// `seq` of an id whose line was not accepted by storage: as if it had never come.
const DEAD: u64 = u64::MAX;
/// Bytes of an id in a checkpoint.
const SAVED_BYTES: usize = 24;

#[derive(Debug, Clone, Copy)]
struct Entry {
    seq: u64,
    a: u64,
    b: u32,
    body: u32,
}

impl Entry {
    fn new(seq: u64, id: Fingerprint, body: u32) -> Self {
        Self {
            seq,
            a: id.a,
            b: id.b,
            body,
        }
    }
}

#[derive(Debug, Default)]
struct Generation {
    number: u64,
    entries: Vec<Entry>,
    index: HashTable<u32>,
}

/// The window.
#[derive(Debug)]
pub struct Ids {
    half: usize,
    young: Generation,
    old: Generation,
}

/// Where an id's entry stands, so that it is found again without looking, and what it is, should
/// the window have forgotten it meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    generation: u64,
    place: u32,
    body: u32,
    id: Fingerprint,
}

/// What is known of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nothing; it is in flight from now on.
    New(Ticket),
    /// The same call was made before and its line is on its way.
    InFlight,
    /// The same call was made before and is this line.
    Line(u64),
    /// Another call was made under this id.
    Conflict,
}

impl Ids {
    /// A window of `window` ids.
    pub fn new(window: usize) -> Self {
        let old = Generation::default();
        Self {
            half: (window / 2).max(1),
            young: Generation { number: 1, ..old },
            old: Generation::default(),
        }
    }

    /// What is known of `id`; a new one counts as in flight from now on.
    pub fn claim(&mut self, id: Fingerprint, body: u32) -> Seen {
        match self.entry(id) {
            None | Some(Entry { seq: DEAD, .. }) => {
                let (generation, place) = self.put(Entry::new(IN_FLIGHT, id, body));
                Seen::New(Ticket {
                    generation,
                    place,
                    body,
                    id,
                })
            }
            Some(entry) if entry.body != body => Seen::Conflict,
            Some(Entry { seq: IN_FLIGHT, .. }) => Seen::InFlight,
            Some(entry) => Seen::Line(entry.seq),
        }
    }

    /// The line of an id that is not in flight any more.
    pub fn line(&self, id: Fingerprint) -> Option<u64> {
        self.entry(id)
            .map(|entry| entry.seq)
            .filter(|seq| !matches!(*seq, IN_FLIGHT | DEAD))
    }

    /// The line of a claimed id is in the journal.
    pub fn settle(&mut self, ticket: Ticket, seq: u64) {
        if let Some(entry) = self.at(ticket) {
            entry.seq = seq;
            return;
        }
        // Forgotten while it was in flight, yet a line: a retry must find it, unless one came
        // before this and now stands for the id.
        if matches!(self.entry(ticket.id), None | Some(Entry { seq: DEAD, .. })) {
            self.put(Entry::new(seq, ticket.id, ticket.body));
        }
    }

    /// The line of a claimed id was refused: the id is free again.
    pub fn release(&mut self, ticket: Ticket) {
        if let Some(entry) = self.at(ticket) {
            entry.seq = DEAD;
        }
    }

    /// An id read from the journal. A second line of it can only be there if the window had
    /// forgotten the first; then it was new again, and is here too.
    pub fn replay(&mut self, id: Fingerprint, body: u32, seq: u64) {
        self.put(Entry::new(seq, id, body));
    }

    /// How many are remembered.
    pub fn count(&self) -> usize {
        self.young.entries.len() + self.old.entries.len()
    }

    fn entry(&self, id: Fingerprint) -> Option<Entry> {
        let found = |generation: &Generation| {
            let place = generation.find(id)?;
            Some(generation.entries[place as usize])
        };
        // The young one first: what it holds is newer than an old entry of the same id.
        found(&self.young).or_else(|| found(&self.old))
    }

    fn at(&mut self, ticket: Ticket) -> Option<&mut Entry> {
        let Self { young, old, .. } = self;
        let generation = [young, old]
            .into_iter()
            .find(|generation| generation.number == ticket.generation)?;
        generation.entries.get_mut(ticket.place as usize)
    }

    /// Puts an entry among the young ones, whatever the old ones hold: left there, it would be
    /// forgotten with them. Gives generation and place.
    fn put(&mut self, entry: Entry) -> (u64, u32) {
        let id = Fingerprint {
            a: entry.a,
            b: entry.b,
        };
        if let Some(place) = self.young.find(id) {
            self.young.entries[place as usize] = entry;
            return (self.young.number, place);
        }
        if self.young.entries.len() >= self.half {
            let next = Generation {
                number: self.young.number + 1,
                ..Generation::default()
            };
            self.old = std::mem::replace(&mut self.young, next);
        }
        let place = u32::try_from(self.young.entries.len()).unwrap_or(u32::MAX);
        let Generation {
            entries,
            index,
            number,
        } = &mut self.young;
        entries.push(entry);
        index.insert_unique(entry.a, place, |place| entries[*place as usize].a);
        (*number, place)
    }

    /// Writes down what is settled.
    pub fn save(&self, out: &mut Vec<u8>) {
        put_u64(out, self.half as u64);
        for generation in [&self.old, &self.young] {
            let settled = || {
                generation
                    .entries
                    .iter()
                    .filter(|e| !matches!(e.seq, IN_FLIGHT | DEAD))
            };
            let count = settled().count();
            out.reserve(count * SAVED_BYTES + 8);
            put_u64(out, count as u64);
            for entry in settled() {
                put_u64(out, entry.seq);
                put_u64(out, entry.a);
                put_u32(out, entry.b);
                put_u32(out, entry.body);
            }
        }
    }

    /// What [`Ids::save`] wrote.
    pub fn restore(saved: &mut Reader<'_>) -> Option<Self> {
        let half = usize::try_from(saved.u64()?).ok()?;
        let mut ids = Self::new(half.checked_mul(2)?);
        for young in [false, true] {
            let count = saved.count(SAVED_BYTES)?;
            let generation = if young { &mut ids.young } else { &mut ids.old };
            let Generation { entries, index, .. } = generation;
            entries.reserve(count);
            index.reserve(count, |place| entries[*place as usize].a);
            for place in 0..u32::try_from(count).ok()? {
                let seq = saved.u64()?;
                let id = Fingerprint {
                    a: saved.u64()?,
                    b: saved.u32()?,
                };
                entries.push(Entry::new(seq, id, saved.u32()?));
                index.insert_unique(id.a, place, |place| entries[*place as usize].a);
            }
        }
        Some(ids)
    }
}

impl Generation {
    fn find(&self, id: Fingerprint) -> Option<u32> {
        let same = |place: &u32| {
            let entry = &self.entries[*place as usize];
            entry.a == id.a && entry.b == id.b
        };
        self.index.find(id.a, same).copied()
    }
}
