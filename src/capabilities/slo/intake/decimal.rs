//! Decimal numbers as logs write them, made whole without floating point where that is possible:
//! `0.123` seconds are 123,000,000 nanoseconds exactly.

/// The number times `10^power`, rounded down; `None` for what is negative, too large or no number.
pub fn scaled(text: &[u8], power: u32) -> Option<u64> {
    let mut value: u64 = 0;
    let mut at = 0;
    let mut left = power;
    let mut point = None;
    for (index, byte) in text.iter().enumerate() {
        at = index + 1;
        match byte {
            b'0'..=b'9' if point.is_none() || left > 0 => {
                value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
                left -= u32::from(point.is_some());
            }
            // Digits beyond the unit wanted.
            b'0'..=b'9' => {}
            b'.' if point.is_none() && index > 0 => point = Some(index),
            b'e' | b'E' => return by_float(text, power),
            _ => return None,
        }
    }
    if at == 0 || point == Some(at - 1) {
        return None;
    }
    value.checked_mul(10_u64.checked_pow(left)?)
}

/// The rare form with an exponent.
fn by_float(text: &[u8], power: u32) -> Option<u64> {
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let scaled = number * 10_f64.powi(i32::try_from(power).ok()?);
    whole(scaled)
}

/// A float that is a count: not negative, not beyond what counts hold.
pub(super) fn whole(number: f64) -> Option<u64> {
    /// 2^63: floats above it do not all fit.
    const MOST: f64 = 9_223_372_036_854_775_808.0;
    if !(0.0..MOST).contains(&number) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked in the line above"
    )]
    let whole = number as u64;
    Some(whole)
}

/// A unit of time, by the power of ten of nanoseconds in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Secs,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

impl Unit {
    /// Decimal places from this unit to nanoseconds.
    pub fn power(self) -> u32 {
        match self {
            Self::Secs => 9,
            Self::Millis => 6,
            Self::Micros => 3,
            Self::Nanos => 0,
        }
    }
}

/// A span in nanoseconds: a number in `unit`, or numbers that carry their own units (`12ms`,
/// `1m2.5s`).
pub fn span(text: &[u8], unit: Unit) -> Option<u64> {
    match text.last()? {
        b'0'..=b'9' => scaled(text, unit.power()),
        _ => spelt(text),
    }
}

/// Numbers with units, one after the other.
fn spelt(mut text: &[u8]) -> Option<u64> {
    let mut total: u64 = 0;
    while !text.is_empty() {
        let number = text
            .iter()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'.'))?;
        let (digits, rest) = text.split_at(number);
        let word = rest
            .iter()
            .position(|byte| matches!(byte, b'0'..=b'9' | b'.'))
            .unwrap_or(rest.len());
        let (word, rest) = rest.split_at(word);
        let (power, times) = match word {
            b"ns" => (0, 1),
            b"us" | b"\xc2\xb5s" | b"\xce\xbcs" => (3, 1),
            b"ms" => (6, 1),
            b"s" => (9, 1),
            b"m" => (9, 60),
            b"h" => (9, 3600),
            _ => return None,
        };
        let part = scaled(digits, power)?.checked_mul(times)?;
        total = total.checked_add(part)?;
        text = rest;
    }
    Some(total)
}
