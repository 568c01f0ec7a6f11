//! Whole numbers as decimal digits, without an allocation of their own.

/// Digits of the largest number.
const MOST: usize = 20;

/// A number's digits.
#[derive(Debug, Clone, Copy)]
pub struct Digits {
    text: [u8; MOST],
    start: usize,
}

impl Digits {
    /// The digits of `number`.
    pub const fn of(number: u64) -> Self {
        let mut text = [0; MOST];
        let mut rest = number;
        let mut start = MOST;
        loop {
            start -= 1;
            text[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return Self { text, start };
            }
        }
    }

    /// They themselves, ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(self.start..).unwrap_or_default()
    }
}

/// Appends `number` in decimal.
pub fn push(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(Digits::of(number).as_bytes());
}
