//! One journal line on disk:
//! `{"seq":1042,"ts":"2026-11-21T09:15:02.123Z","kind":"flag.changed",…,"h":"9f86d081884c7d65"}`.
//!
//! `h` chains the lines. It is the first 64 bits, as 16 hex digits, of SHA-256 over the 16 digits
//! of the previous own line's `h` (16 times `0` before the first line of a stream) and then every
//! byte after that line's end of line, up to and not including this line's own `,"h":"`. Lines that
//! echopilot did not write are therefore covered by the next own line.

use sha2::{Digest, Sha256};

use super::lines::Entry;
use crate::base::{digits, hex, time};

/// A chain value as it stands in a line.
pub type ChainValue = [u8; 16];

/// The chain value before the first line of a stream.
pub const GENESIS: ChainValue = [b'0'; 16];

/// What every own line begins with.
const HEAD: &[u8] = b"{\"seq\":";
/// What stands before the chain value.
const BEFORE_H: &[u8] = b",\"h\":\"";
/// What stands after it; the end of line follows.
const AFTER_H: &[u8] = b"\"}";
/// Bytes of `,"h":"0123456789abcdef"}`.
const TAIL_LEN: usize = BEFORE_H.len() + 16 + AFTER_H.len();

/// The chain value of a line: `covered` is all bytes since the previous own line's end of line, up
/// to this line's `,"h":"`.
pub fn link(previous: &ChainValue, covered: &[u8]) -> ChainValue {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(covered);
    hex::sixteen(&hasher.finalize())
}

/// Appends one whole line, end of line included, to `out`, and gives its chain value. Bytes in
/// `out` from `covered_from` on are those since the previous own line: usually `out.len()`, less
/// where foreign lines came in between.
pub fn compose(
    out: &mut Vec<u8>,
    covered_from: usize,
    previous: &ChainValue,
    seq: u64,
    entry: &Entry,
    members: &[u8],
) -> ChainValue {
    let mut covered = Sha256::new();
    covered.update(previous);
    covered.update(out.get(covered_from..).unwrap_or_default());
    compose_after(out, covered, seq, entry, members)
}

/// Appends one whole line as [`compose`] does. `covered` has taken in the previous line's chain
/// value and all bytes since, which need not be in memory.
pub fn compose_after(
    out: &mut Vec<u8>,
    mut covered: Sha256,
    seq: u64,
    entry: &Entry,
    members: &[u8],
) -> ChainValue {
    let start = out.len();
    out.extend_from_slice(HEAD);
    digits::push(out, seq);
    out.extend_from_slice(b",\"ts\":\"");
    time::push_stamp(out, entry.at);
    out.extend_from_slice(b"\",\"kind\":\"");
    out.extend_from_slice(entry.kind.as_bytes());
    out.push(b'"');
    if !members.is_empty() {
        out.push(b',');
        out.extend_from_slice(members);
    }
    covered.update(out.get(start..).unwrap_or_default());
    let h = hex::sixteen(&covered.finalize());
    out.extend_from_slice(BEFORE_H);
    out.extend_from_slice(&h);
    out.extend_from_slice(AFTER_H);
    out.push(b'\n');
    h
}

/// Appends the line of which `covered` is the beginning and `h` the chain value.
pub fn close_with(out: &mut Vec<u8>, covered: &[u8], h: &ChainValue) {
    out.extend_from_slice(covered);
    out.extend_from_slice(BEFORE_H);
    out.extend_from_slice(h);
    out.extend_from_slice(AFTER_H);
    out.push(b'\n');
}

/// The chain value that a line ends with, if it does, whatever stands before: what is left of an
/// own line whose beginning is damaged.
pub fn ending(line: &[u8]) -> Option<ChainValue> {
    let (_, tail) = line.split_at_checked(line.len().checked_sub(TAIL_LEN)?)?;
    let h: ChainValue = *tail
        .strip_prefix(BEFORE_H)?
        .strip_suffix(AFTER_H)?
        .first_chunk::<16>()?;
    hex::is_hex(&h).then_some(h)
}

/// An own line, taken apart without parsing its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnLine<'a> {
    /// Its number.
    pub seq: u64,
    /// When, as written.
    pub ts: &'a [u8],
    /// What, noun.past-verb.
    pub kind: &'a [u8],
    /// Its members without braces, as they were given to [`super::lines::Lines::push`].
    pub members: &'a [u8],
    /// Its chain value.
    pub h: ChainValue,
    /// The bytes before `,"h":"`.
    pub covered: &'a [u8],
}

/// Takes `line`, without its end of line, apart; `None` when echopilot did not write it, or when it
/// is damaged so that it does not look so any more.
pub fn parse(line: &[u8]) -> Option<OwnLine<'_>> {
    let (covered, _) = line.split_at_checked(line.len().checked_sub(TAIL_LEN)?)?;
    let h = ending(line)?;
    let rest = covered.strip_prefix(HEAD)?;
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    let (number, rest) = rest.split_at_checked(digits)?;
    let seq = parse_number(number)?;
    let (ts, rest) = rest
        .strip_prefix(b",\"ts\":\"")?
        .split_at_checked(time::STAMP_LEN)?;
    let rest = rest.strip_prefix(b"\",\"kind\":\"")?;
    let (kind, rest) = rest.split_at_checked(memchr::memchr(b'"', rest)?)?;
    let members = match rest.strip_prefix(b"\"")? {
        [] => &[][..],
        more => more.strip_prefix(b",")?,
    };
    Some(OwnLine {
        seq,
        ts,
        kind,
        members,
        h,
        covered,
    })
}

fn parse_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    Some(
        digits
            .iter()
            .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')),
    )
}
