//! Which mails of a mailbox have not been read yet, as ranges of their numbers: the queue. A mail
//! is in it until it is read, whether somebody has seen it elsewhere or not.

use serde::{Deserialize, Serialize};

/// Ranges at most; beyond, the two lowest become one, and what lies between is asked for again (our
/// own choice).
const MOST_RANGES: usize = 32;

/// Numbers of mails, as ranges that ascend and do not touch; both ends are in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending(Vec<(u32, u32)>);

impl Pending {
    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds `from` to `to`, which lie above all others.
    pub fn push(&mut self, from: u32, to: u32) {
        if from > to {
            return;
        }
        match self.0.last_mut() {
            Some((_, last)) if from <= last.saturating_add(1) => *last = to.max(*last),
            _ => self.0.push((from, to)),
        }
        while self.0.len() > MOST_RANGES {
            let (first, _) = self.0.remove(0);
            if let Some(next) = self.0.first_mut() {
                next.0 = first;
            }
        }
    }

    /// The uppermost numbers, at most `widest` of them.
    pub fn top(&self, widest: u32) -> Option<(u32, u32)> {
        let &(from, to) = self.0.last()?;
        Some((from.max(to.saturating_sub(widest.saturating_sub(1))), to))
    }

    /// Takes everything from `from` upwards out.
    pub fn done_down_to(&mut self, from: u32) {
        while let Some((first, last)) = self.0.last_mut() {
            if *last < from {
                return;
            }
            if *first < from {
                *last = from - 1;
                return;
            }
            self.0.pop();
        }
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_come_first_and_what_is_left_is_kept() {
        let mut pending = Pending::default();
        pending.push(1, 100);
        assert_eq!(pending.top(30), Some((71, 100)));
        pending.done_down_to(81);
        pending.push(101, 110);
        assert_eq!(pending.top(30), Some((101, 110)));
        pending.done_down_to(101);
        assert_eq!(pending.top(30), Some((51, 80)));
        pending.push(111, 90);
        assert_eq!(pending.top(500), Some((1, 80)));
        pending.done_down_to(1);
        assert!(pending.is_empty() && pending.top(9).is_none());
    }

    #[test]
    fn ranges_are_bounded_and_none_is_forgotten() {
        let mut pending = Pending::default();
        for at in 0..1000 {
            pending.push(at * 10 + 1, at * 10 + 5);
        }
        assert_eq!(pending.0.len(), MOST_RANGES);
        assert_eq!(pending.0[0].0, 1);
        assert_eq!(pending.top(9), Some((9991, 9995)));
    }
}
