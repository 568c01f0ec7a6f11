//! A tape archive of a few files in memory: the plain form that every `tar` reads (ustar, POSIX
//! 1003.1-1988). Names are ours and short; owners and times are left out: they tell of people.

/// Bytes of a block, and of a head: the format's own unit.
const BLOCK: usize = 512;
/// Bytes of a name at most.
const NAME_BYTES: usize = 100;

/// The archive of `entries`, each a name and its bytes. Names that are too long are cut.
pub(super) fn archive(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, body) in entries {
        out.extend_from_slice(&head(name, body.len()));
        out.extend_from_slice(body);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    // Two empty blocks are the end.
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}

/// The head of one file: fields at fixed places, numbers in octal digits.
fn head(name: &str, size: usize) -> [u8; BLOCK] {
    let mut head = [0_u8; BLOCK];
    let mut put = |at: usize, text: &[u8]| {
        for (place, byte) in head.iter_mut().skip(at).zip(text) {
            *place = *byte;
        }
    };
    let name = name.as_bytes();
    put(0, name.get(..NAME_BYTES).unwrap_or(name));
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    // The sum is taken with blanks in its own place.
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    for (place, byte) in head.iter_mut().skip(148).zip(sum.as_bytes()) {
        *place = *byte;
    }
    head
}
