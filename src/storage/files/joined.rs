//! Lines of a sealed segment that a flipped bit has joined: the end of line between them reads as
//! another byte. A line of ours has a fixed beginning and a fixed end, and none of the bytes that
//! an end of line can turn into by one bit may stand between two objects of JSON: so both are
//! known for certain, and are given as they were written. `verify` names the place all the same.

use crate::storage::line;

/// What every line of ours begins with.
const HEAD: &[u8] = b"{\"seq\":";

/// Whether `byte` is an end of line with one bit turned.
fn was_end(byte: u8) -> bool {
    (byte ^ b'\n').is_power_of_two()
}

/// `whole` with lines that were joined taken apart, at the same places; `None` where none is.
pub(super) fn split(whole: &[u8]) -> Option<Vec<u8>> {
    let mut apart: Option<Vec<u8>> = None;
    for at in memchr::memmem::find_iter(whole, HEAD) {
        let Some(between) = at.checked_sub(1) else {
            continue;
        };
        if !whole.get(between).is_some_and(|byte| was_end(*byte)) {
            continue;
        }
        let known = apart.as_deref().unwrap_or(whole);
        let Some((before, after)) = known.split_at_checked(at) else {
            continue;
        };
        let start = memchr::memrchr(b'\n', before).map_or(0, |end| end + 1);
        let end = memchr::memchr(b'\n', after).unwrap_or(after.len());
        let first = before.get(start..between).and_then(line::parse);
        // What follows may be joined to a third one, and then ends as that one does.
        let second = after.get(..end).and_then(line::parse);
        let follows = first
            .zip(second)
            .is_some_and(|(first, second)| second.seq == first.seq + 1);
        if follows && let Some(byte) = apart.get_or_insert_with(|| whole.to_vec()).get_mut(between)
        {
            *byte = b'\n';
        }
    }
    apart
}

/// The last line of a sealed segment with its end of line, where that reads as another byte.
pub(super) fn ended(tail: &[u8]) -> Option<Vec<u8>> {
    let (last, body) = tail.split_last()?;
    let mut whole = (was_end(*last) && line::parse(body).is_some()).then(|| body.to_vec())?;
    whole.push(b'\n');
    Some(split(&whole).unwrap_or(whole))
}

/// Whether `whole` may hold joined lines: it has not as many lines as numbers, or its last line is
/// more than one.
pub(super) fn is_suspicious(whole: &[u8], numbers: Option<u64>) -> bool {
    let lines = memchr::memchr_iter(b'\n', whole).count() as u64;
    if numbers != Some(lines) {
        return true;
    }
    let body = whole.strip_suffix(b"\n").unwrap_or(whole);
    let last = memchr::memrchr(b'\n', body).map_or(0, |end| end + 1);
    let last = body.get(last + HEAD.len()..).unwrap_or_default();
    memchr::memmem::find(last, HEAD).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(seq: u64) -> String {
        format!(
            "{{\"seq\":{seq},\"ts\":\"2026-11-21T09:15:02.123Z\",\"kind\":\"x.y\",\
             \"h\":\"{seq:016}\"}}"
        )
    }

    #[test]
    fn joined_lines_are_taken_apart_and_nothing_else_is() {
        let text = format!("{}\n{}\n{}\n", own(1), own(2), own(3));
        assert_eq!(split(text.as_bytes()), None);
        assert!(!is_suspicious(text.as_bytes(), Some(3)));
        for bit in 0..8 {
            for (at, _) in text.match_indices('\n').take(2) {
                let mut flipped = text.clone().into_bytes();
                flipped[at] ^= 1 << bit;
                assert_eq!(split(&flipped).as_deref(), Some(text.as_bytes()), "{bit}");
                assert!(is_suspicious(&flipped, Some(3)));
            }
            let mut both = text.clone().into_bytes();
            let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
            both[ends[0]] ^= 1 << bit;
            both[ends[1]] ^= 1 << bit;
            assert_eq!(split(&both).as_deref(), Some(text.as_bytes()), "all three");
            let mut last = text.clone().into_bytes();
            last[ends[2]] ^= 1 << bit;
            let tail = &last[ends[1] + 1..];
            assert_eq!(ended(tail), Some(format!("{}\n", own(3)).into_bytes()));
        }
        // Two lines side by side in one member are somebody's text.
        for between in [",", " ", "\t", "x"] {
            let nested = format!("{}{between}{}\n", own(1), own(2));
            assert_eq!(split(nested.as_bytes()), None, "{between:?}");
        }
        let apart = format!("{}J{}\n", own(1), own(7));
        assert_eq!(split(apart.as_bytes()), None, "numbers do not follow");
    }
}
