//! Short stand-ins for users, ids and bodies: keyed hashes, so that nobody outside can make two
//! collide.

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// The secret of one view; kept in its checkpoint, made anew with each full fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(pub [u8; 16]);

/// 96 bits of a keyed 128-bit hash. Among ten million users the chance that any two share one is
/// about 10⁻¹⁵ (n² ÷ 2⁹⁷), so counts of them are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint {
    /// The first 64 bits.
    pub a: u64,
    /// 32 more.
    pub b: u32,
}

impl Key {
    /// The fingerprint of a user or an id.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "32 of the 64 bits are kept on purpose"
    )]
    pub fn of(&self, text: &[u8]) -> Fingerprint {
        let hash = SipHasher13::new_with_key(&self.0).hash(text);
        Fingerprint {
            a: hash.h1,
            b: hash.h2 as u32,
        }
    }

    /// 32 bits over what a logged event says, to tell a repeated call from another one under the
    /// same id.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "32 of the 64 bits are kept on purpose"
    )]
    pub fn of_event(&self, group: &[u8], user: Fingerprint, value: Option<f64>) -> u32 {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(group);
        hasher.write_u64(user.a);
        hasher.write_u32(user.b);
        // A number no JSON text can give stands for "no value".
        hasher.write_u64(value.unwrap_or(f64::NAN).to_bits());
        hasher.finish128().h1 as u32
    }
}

/// A hash of a few dozen bytes for finding a place in a table of names, of which there are few.
pub fn bucket(bytes: &[u8]) -> u64 {
    /// An odd number with well mixed bits: 2⁶⁴ divided by the golden ratio.
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = bytes.as_chunks::<8>();
    let step = |hash: u64, word: u64| (hash ^ word).wrapping_mul(MIX).rotate_left(29);
    let hash = words
        .iter()
        .fold(MIX, |hash, word| step(hash, u64::from_le_bytes(*word)));
    let hash = rest
        .iter()
        .fold(hash, |hash, byte| step(hash, u64::from(*byte)));
    step(hash, bytes.len() as u64).wrapping_mul(MIX)
}
