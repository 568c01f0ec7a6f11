//! Bytes as lower-case hex digits.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// `bytes` as hex digits, two each.
pub fn of(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| pair(*byte))
        .map(char::from)
        .collect()
}

/// The first eight of `bytes` as 16 ASCII digits; missing bytes count as zero.
pub fn sixteen(bytes: &[u8]) -> [u8; 16] {
    let mut out = [b'0'; 16];
    for (place, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *place = pair(*byte);
    }
    out
}

/// Whether `text` is lower-case hex throughout.
pub fn is_hex(text: &[u8]) -> bool {
    text.iter()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

const fn pair(byte: u8) -> [u8; 2] {
    [DIGITS[(byte >> 4) as usize], DIGITS[(byte & 15) as usize]]
}
