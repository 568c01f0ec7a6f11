//! The chain over a stream: composing lines that continue it, and reading lines against it.
//!
//! After a line that does not fit, the reading goes on from that line's own chain value, so that
//! one damaged line is one finding. A damaged line cannot be trusted to tell what it is, therefore
//! the other ways in which the next line could continue are kept in mind until one of them fits.

use sha2::{Digest, Sha256};

use super::line::{self, ChainValue, GENESIS, OwnLine};
use super::lines::Entry;
use crate::base::hex;

/// What a line turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Ours, and it continues the chain.
    Own,
    /// Ours, and the foreign line before it was one of ours once, now damaged.
    OwnAfterDamage,
    /// Has our form but does not continue the chain: damaged, or the lines before it are.
    Broken,
    /// Not ours.
    Foreign,
}

#[derive(Debug, Clone)]
struct Doubt {
    covered: Sha256,
    damage: bool,
}

/// A place in a stream, from which lines can be written or read.
#[derive(Debug, Clone)]
pub struct Chain {
    seq: u64,
    h: ChainValue,
    covered: Sha256,
    doubts: Vec<Doubt>,
}

fn seeded(h: &ChainValue) -> Sha256 {
    let mut covered = Sha256::new();
    covered.update(h);
    covered
}

impl Chain {
    /// Before the first line of a stream.
    pub fn genesis() -> Self {
        Self::after(0, GENESIS)
    }

    /// Right after the own line `seq` that ends with `h`.
    pub fn after(seq: u64, h: ChainValue) -> Self {
        Self {
            seq,
            h,
            covered: seeded(&h),
            doubts: Vec::new(),
        }
    }

    /// `seq` of the last own line.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Chain value of the last own line.
    pub fn h(&self) -> &ChainValue {
        &self.h
    }

    /// Goes on counting from `seq`, where the lines before are lost.
    pub fn skip_to(&mut self, seq: u64) {
        self.seq = seq;
    }

    /// Takes in bytes that are not ours.
    pub fn foreign(&mut self, bytes: &[u8]) {
        self.covered.update(bytes);
        for doubt in &mut self.doubts {
            doubt.covered.update(bytes);
        }
    }

    /// Appends the next own line to `out`.
    pub fn compose(&mut self, out: &mut Vec<u8>, entry: &Entry, members: &[u8]) {
        let covered = std::mem::replace(&mut self.covered, Sha256::new());
        self.seq += 1;
        self.h = line::compose_after(out, covered, self.seq, entry, members);
        self.covered.update(self.h);
        self.doubts.clear();
    }

    /// Appends a line that was written elsewhere to `out`, with its own number.
    pub fn relink(&mut self, out: &mut Vec<u8>, own: &OwnLine<'_>) {
        self.h = finish(&self.covered, own.covered);
        line::close_with(out, own.covered, &self.h);
        self.seq = own.seq;
        self.covered = seeded(&self.h);
        self.doubts.clear();
    }

    /// Reads one line, its end of line included if it has one.
    pub fn read(&mut self, whole: &[u8]) -> Verdict {
        let body = whole.strip_suffix(b"\n").unwrap_or(whole);
        let Some(own) = line::parse(body) else {
            self.foreign(whole);
            if let Some(h) = line::ending(body) {
                self.doubts.push(Doubt {
                    covered: seeded(&h),
                    damage: true,
                });
            }
            return Verdict::Foreign;
        };
        let computed = finish(&self.covered, own.covered);
        let verdict = if computed == own.h {
            Verdict::Own
        } else {
            let fitting = self
                .doubts
                .iter()
                .find(|doubt| finish(&doubt.covered, own.covered) == own.h);
            match fitting {
                Some(doubt) if doubt.damage => Verdict::OwnAfterDamage,
                Some(_) => Verdict::Own,
                None if names_its_past(&own) => Verdict::Own,
                None => Verdict::Broken,
            }
        };
        self.step(&own, verdict, computed, whole);
        verdict
    }

    fn step(&mut self, own: &OwnLine<'_>, verdict: Verdict, computed: ChainValue, whole: &[u8]) {
        let before = std::mem::replace(&mut self.covered, seeded(&own.h));
        self.doubts.clear();
        if verdict == Verdict::Broken {
            // It may be somebody's copy of a line of ours, or only its chain value may be damaged.
            let mut copied = before;
            copied.update(whole);
            for covered in [copied, seeded(&computed)] {
                self.doubts.push(Doubt {
                    covered,
                    damage: false,
                });
            }
        }
        self.seq = own.seq;
        self.h = own.h;
    }
}

/// Whether a line that opens a segment continues the chain from the place that it names itself,
/// because the segments before it are gone.
fn names_its_past(own: &OwnLine<'_>) -> bool {
    past_of(own).is_some()
}

/// The line that a line which opens a segment continues from: its `seq` and its chain value. `None`
/// where it does not fit what it says itself.
pub(super) fn past_of(own: &OwnLine<'_>) -> Option<(u64, ChainValue)> {
    if own.kind != b"segment.opened" {
        return None;
    }
    let after = |name: &[u8]| {
        let at = memchr::memmem::find(own.members, name)?;
        own.members.get(at + name.len()..)
    };
    let h = *after(b"\"prev_h\":\"")?.first_chunk::<16>()?;
    let digits = after(b"\"prev_seq\":")?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    let seq = std::str::from_utf8(digits.get(..end)?).ok()?.parse().ok()?;
    (finish(&seeded(&h), own.covered) == own.h).then_some((seq, h))
}

fn finish(covered: &Sha256, bytes: &[u8]) -> ChainValue {
    let mut hasher = covered.clone();
    hasher.update(bytes);
    hex::sixteen(&hasher.finalize())
}
