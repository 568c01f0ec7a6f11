//! Numbers and histograms as few bytes: seven bits a byte, differences rather than values.

use super::histogram::Histogram;
use crate::storage::view::Reader;

/// Appends a number, its lowest seven bits first; a byte above 127 is followed by another.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// A number as [`put_varint`] wrote it.
pub(super) fn take_varint(saved: &mut Reader<'_>) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *saved.take(1)?.first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Appends text after its length.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Text as [`put_text`] wrote it.
pub(super) fn take_text<'a>(saved: &mut Reader<'a>) -> Option<&'a str> {
    let length = usize::try_from(take_varint(saved)?).ok()?;
    std::str::from_utf8(saved.take(length)?).ok()
}

/// Appends a histogram.
pub(super) fn put_histogram(out: &mut Vec<u8>, histogram: &Histogram) {
    put_varint(out, histogram.max().unwrap_or(0));
    put_varint(out, histogram.buckets().len() as u64);
    let mut before = 0;
    for (bucket, n) in histogram.buckets() {
        put_varint(out, u64::from(bucket - before));
        put_varint(out, n);
        before = bucket;
    }
}

/// Adds a histogram that [`put_histogram`] wrote to `sum`.
pub(super) fn take_histogram(saved: &mut Reader<'_>, sum: &mut Histogram) -> Option<()> {
    let max = take_varint(saved)?;
    let mut bucket = 0_u16;
    for _ in 0..take_varint(saved)? {
        bucket = bucket.checked_add(u16::try_from(take_varint(saved)?).ok()?)?;
        sum.add_bucket(bucket, take_varint(saved)?);
    }
    sum.raise_max(max);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_come_back() {
        for value in [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            u64::from(u32::MAX),
            u64::MAX,
        ] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            let mut reader = Reader::new(&out);
            assert_eq!(take_varint(&mut reader), Some(value));
            assert!(reader.is_empty());
        }
        assert_eq!(take_varint(&mut Reader::new(&[0xff; 11])), None);
    }

    #[test]
    fn a_histogram_comes_back() {
        let mut histogram = Histogram::default();
        for micros in [0, 1, 99, 5_000, 5_001, 1 << 40] {
            histogram.add(micros, micros + 1);
        }
        let mut out = Vec::new();
        put_histogram(&mut out, &histogram);
        let mut again = Histogram::default();
        take_histogram(&mut Reader::new(&out), &mut again).expect("whole");
        assert_eq!(again, histogram);
    }
}
