//! What a stretch of lines means to a view that takes each line by itself.

use crate::storage::journal::lines_of;

/// Lines read, not yet taken in.
#[derive(Debug)]
pub struct LineBatch<T> {
    said: Vec<T>,
    last_seq: u64,
}

impl<T> Default for LineBatch<T> {
    fn default() -> Self {
        Self {
            said: Vec::new(),
            last_seq: 0,
        }
    }
}

impl<T> LineBatch<T> {
    /// Reads whole lines. `read` gives the number of a line of ours, and what it says where that
    /// means something.
    pub fn read(&mut self, lines: &[u8], read: impl Fn(&[u8]) -> Option<(u64, Option<T>)>) {
        for (seq, said) in lines_of(lines).filter_map(read) {
            self.last_seq = seq;
            self.said.extend(said);
        }
    }

    /// Hands over what was said, in order, and is empty afterwards. Gives the number of the last
    /// line; 0 where there was none.
    pub fn take(&mut self, take: impl FnMut(T)) -> u64 {
        self.said.drain(..).for_each(take);
        std::mem::take(&mut self.last_seq)
    }
}
