//! The fingerprint of a set of labels as Prometheus and Alertmanager compute it, so that an alert
//! has the same one here and there.

use crate::base::labels::Labels;

/// Offset basis of 64-bit FNV-1a.
/// Source: Fowler, Noll, Vo and others, RFC 9923, section 5.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
/// Prime of 64-bit FNV-1a, from the same place.
const PRIME: u64 = 0x0000_0100_0000_01b3;
/// Stands after every name and every value; no UTF-8 text holds it.
const SEPARATOR: u8 = 0xff;

/// The fingerprint of `labels`.
pub(super) fn of(labels: &Labels) -> u64 {
    let mut hash = OFFSET;
    let mut take = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    for (name, value) in labels {
        for part in [name, value] {
            part.bytes().for_each(&mut take);
            take(SEPARATOR);
        }
    }
    hash
}

/// As it is shown.
pub(super) fn text(fingerprint: u64) -> String {
    format!("{fingerprint:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_labels_are_the_offset_and_order_does_not_matter() {
        assert_eq!(text(of(&Labels::default())), "cbf29ce484222325");
        let one = Labels::from([("a", "b"), ("c", "d")]);
        let other = Labels::from([("c", "d"), ("a", "b")]);
        assert_eq!(of(&one), of(&other));
        assert_ne!(of(&one), of(&Labels::from([("a", "bc"), ("", "d")])));
    }
}
