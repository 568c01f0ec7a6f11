//! Which number a line has, told line by line. A line's own word is not enough: one flipped digit
//! must not make a reader believe that it is far behind, and a copy that a person put into the file
//! must not be told twice.

use super::line::{self, ChainValue};

/// Bytes of foreign lines kept for checking the next line of ours against. More than a person
/// writes by hand.
const KEPT_MAX: usize = 1 << 20;

/// A reader's place among the numbers.
#[derive(Debug, Clone)]
pub struct Numbering {
    seq: u64,
    h: ChainValue,
    /// Whether a line was read, or is known to stand before.
    begun: bool,
    /// What stands after the last line of our form.
    between: Vec<u8>,
    /// Where a damaged line of ours ends in `between`, and its chain value.
    doubt: Option<(ChainValue, usize)>,
}

impl Numbering {
    /// Right after the line `seq` that ends with `h`; `seq` 0: before every line, also where the
    /// first lines were given up.
    pub fn after(seq: u64, h: ChainValue) -> Self {
        Self {
            seq,
            h,
            begun: seq > 0,
            between: Vec::new(),
            doubt: None,
        }
    }

    /// The last number that was given.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The number of `whole`, a line with its end: `None` where it is not ours, or not what it says
    /// it is.
    pub fn take(&mut self, whole: &[u8]) -> Option<u64> {
        let body = whole.strip_suffix(b"\n").unwrap_or(whole);
        let Some(own) = line::parse(body) else {
            if self.between.len() + whole.len() <= KEPT_MAX {
                self.between.extend_from_slice(whole);
            }
            if let Some(h) = line::ending(body) {
                self.doubt = Some((h, self.between.len()));
            }
            return None;
        };
        let fits = self.seq.checked_add(1) == Some(own.seq)
            || !self.begun
            || own.seq > self.seq && self.leads_to(&own);
        self.h = own.h;
        self.between.clear();
        self.doubt = None;
        if !fits {
            return None;
        }
        self.seq = own.seq;
        self.begun = true;
        Some(own.seq)
    }

    /// Whether a line that leaves out numbers does so for a reason.
    fn leads_to(&self, own: &line::OwnLine<'_>) -> bool {
        // These say themselves that lines are missing.
        if matches!(own.kind, b"segment.opened" | b"log.truncated") {
            return true;
        }
        let linked = |h: &ChainValue, from: usize| {
            let mut covered = self.between.get(from..).unwrap_or_default().to_vec();
            covered.extend_from_slice(own.covered);
            line::link(h, &covered) == own.h
        };
        linked(&self.h, 0) || self.doubt.is_some_and(|(h, from)| linked(&h, from))
    }
}
