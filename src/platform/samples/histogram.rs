//! Durations as counts in buckets that grow by one part in fifty: sums and quantiles of any number
//! of samples, each within 1 % of the truth, that can be merged in any order.
//!
//! The bounds are whole microseconds worked out with whole numbers only, so that every machine
//! finds the same bucket: bucket `i` holds the values from `bounds[i]` up to, not including,
//! `bounds[i + 1]`, with `bounds[0] = 0` and each next one `bound + max(1, bound / 50)`. Below 100
//! microseconds a bucket is one value. The last one holds everything from about a day on.
//! Has no file of its own; see `docs/samples.md`. Never keeps a value itself, but the greatest.

/// How many buckets there are, the open one at the end included. The last bound is the first at
/// or above 24 hours; a test holds the two together.
pub const BUCKETS: usize = 1154;

/// A bucket is at most one part in this many wide, so that its middle is within half of that, 1 %,
/// of each of its values. Source: ops notes, quantiles (gamma 1.02).
const PARTS: u64 = 50;

/// Buckets that are made room for at a time: thousands of histograms are kept, most of them small
/// (our own choice).
const GROWTH: usize = 8;

/// Where each bucket begins, in microseconds.
static BOUNDS: [u64; BUCKETS] = bounds();

const fn bounds() -> [u64; BUCKETS] {
    let mut bounds = [0; BUCKETS];
    let mut index = 1;
    while index < BUCKETS {
        let before: u64 = bounds[index - 1];
        let step = before / PARTS;
        bounds[index] = before + if step == 0 { 1 } else { step };
        index += 1;
    }
    bounds
}

/// The bucket of a duration in microseconds.
pub fn bucket_of(micros: u64) -> u16 {
    /// Microseconds below which a bucket is one value: the step from one bound to the next is 1.
    const EXACT: u64 = 2 * PARTS;
    let index = if micros < EXACT {
        usize::try_from(micros).unwrap_or(0)
    } else {
        BOUNDS.partition_point(|bound| *bound <= micros) - 1
    };
    u16::try_from(index).unwrap_or(u16::MAX)
}

/// Where a bucket begins, in microseconds.
pub fn bound_of(bucket: u16) -> u64 {
    BOUNDS
        .get(usize::from(bucket))
        .copied()
        .unwrap_or(BOUNDS[BUCKETS - 1])
}

/// The middle of a bucket: within 1 % of each of its values.
fn middle_of(bucket: u16) -> u64 {
    match BOUNDS.get(usize::from(bucket) + 1) {
        Some(end) => u64::midpoint(bound_of(bucket), end - 1),
        None => BOUNDS[BUCKETS - 1],
    }
}

/// Counts of durations by bucket, and the greatest duration exactly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Buckets in use, sorted, and beside them how many durations each holds, never zero. Two lists
    /// take two thirds of what one of pairs would.
    keys: Vec<u16>,
    counts: Vec<u64>,
    max_us: u64,
}

impl Histogram {
    /// Counts `n` durations of `micros` microseconds each.
    pub fn add(&mut self, micros: u64, n: u64) {
        if n > 0 {
            self.add_bucket(bucket_of(micros), n);
            self.max_us = self.max_us.max(micros);
        }
    }

    /// Counts `n` durations of a bucket; the greatest duration is told by [`Histogram::raise_max`].
    pub fn add_bucket(&mut self, bucket: u16, n: u64) {
        let bucket = bucket.min(u16::try_from(BUCKETS - 1).unwrap_or(u16::MAX));
        match self.keys.binary_search(&bucket) {
            _ if n == 0 => {}
            Ok(found) => self.counts[found] = self.counts[found].saturating_add(n),
            Err(place) => {
                if self.keys.len() == self.keys.capacity() {
                    self.keys.reserve_exact(GROWTH);
                    self.counts.reserve_exact(GROWTH);
                }
                self.keys.insert(place, bucket);
                self.counts.insert(place, n);
            }
        }
    }

    /// Takes note of a duration that may be the greatest, already counted.
    pub fn raise_max(&mut self, micros: u64) {
        self.max_us = self.max_us.max(micros);
    }

    /// Adds all that `other` counts.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, n) in other.buckets() {
            self.add_bucket(bucket, n);
        }
        self.raise_max(other.max_us);
    }

    /// How many durations.
    pub fn count(&self) -> u64 {
        let sum = |sum: u64, n: &u64| sum.saturating_add(*n);
        self.counts.iter().fold(0, sum)
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The greatest duration in microseconds, exactly; `None` without any.
    pub fn max(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.max_us)
    }

    /// The duration in microseconds that a share `q` of all does not exceed, by nearest rank and
    /// within 1 %; never above the greatest. `None` without any duration. Ask it only where there
    /// are enough: below 100 durations the 95th percentile says little more than the greatest.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let count = self.count();
        // Exact up to 2^53 durations, more than a century at a million a second.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to the ranks that there are"
        )]
        let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as u64).clamp(1, count.max(1));
        if rank == count {
            return self.max();
        }
        let mut below = 0_u64;
        for (bucket, n) in self.buckets() {
            below = below.saturating_add(n);
            if below >= rank {
                return Some(middle_of(bucket).min(self.max_us));
            }
        }
        None
    }

    /// How many durations are within `threshold_us`, which is first rounded to what buckets can
    /// tell, see [`Histogram::within`].
    pub fn below(&self, threshold_us: u64) -> u64 {
        let end = end_bucket(threshold_us);
        let within = self.buckets().take_while(|(bucket, _)| *bucket < end);
        within.fold(0, |sum, (_, n)| sum.saturating_add(n))
    }

    /// The greatest duration that counts as within `threshold_us`: the end of a bucket, at most 1 %
    /// (half of a bucket) away from it, and the threshold itself below 100 microseconds.
    pub fn within(threshold_us: u64) -> u64 {
        bound_of(end_bucket(threshold_us)).saturating_sub(1)
    }

    /// Bytes on the heap, for the estimate of memory.
    pub(super) fn bytes(&self) -> usize {
        self.keys.capacity() * size_of::<u16>() + self.counts.capacity() * size_of::<u64>()
    }

    /// The buckets in use with their counts, in order.
    pub fn buckets(&self) -> impl ExactSizeIterator<Item = (u16, u64)> + '_ {
        self.keys.iter().copied().zip(self.counts.iter().copied())
    }
}

/// The first bucket that counts as above the threshold.
fn end_bucket(threshold_us: u64) -> u16 {
    let bucket = bucket_of(threshold_us);
    let Some(next) = BOUNDS.get(usize::from(bucket) + 1) else {
        return bucket;
    };
    // Either the bucket before is the last one within, or this one is: the nearer end decides.
    let whole = (next - 1) - threshold_us <= threshold_us.saturating_sub(bound_of(bucket)) + 1;
    bucket + u16::from(whole || bucket == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without a pattern, the same in each run.
    fn noise(mut state: u64) -> impl FnMut() -> u64 {
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        }
    }

    fn distributions() -> Vec<(&'static str, Vec<u64>)> {
        let mut next = noise(0x9e37_79b9_7f4a_7c15);
        let mut unit = || (next() >> 11) as f64 / (1_u64 << 53) as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "test data"
        )]
        let whole = |value: f64| value as u64;
        let mut many = |make: &dyn Fn(f64, f64) -> f64| -> Vec<u64> {
            (0..20_000).map(|_| whole(make(unit(), unit()))).collect()
        };
        let normal =
            |a: f64, b: f64| (-2.0 * (1.0 - a).ln()).sqrt() * (std::f64::consts::TAU * b).cos();
        vec![
            ("uniform", many(&|a, _| a * 5e6)),
            ("tiny", many(&|a, _| a * 300.0)),
            (
                "log-normal",
                many(&|a, b| (normal(a, b) * 1.5 + 10.0).exp()),
            ),
            ("pareto", many(&|a, _| 1000.0 / (1.0 - a).powf(1.2))),
            (
                "two humps",
                many(&|a, b| {
                    if a < 0.9 {
                        2e3 + b * 1e3
                    } else {
                        9e6 + b * 1e6
                    }
                }),
            ),
            (
                "whole milliseconds",
                many(&|a, _| (a * 80.0).floor() * 1000.0),
            ),
            ("one value", vec![123_456; 1000]),
            ("few", vec![5, 900, 1_000_000]),
        ]
    }

    #[test]
    fn quantiles_are_within_one_percent_of_the_sorted_truth() {
        for (name, mut values) in distributions() {
            let mut histogram = Histogram::default();
            for value in &values {
                histogram.add(*value, 1);
            }
            values.sort_unstable();
            for q in [0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0] {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a rank"
                )]
                let rank = ((q * values.len() as f64).ceil() as usize).max(1);
                let (truth, found) = (values[rank - 1], histogram.quantile(q).expect("values"));
                let error = found.abs_diff(truth) as f64;
                assert!(
                    error <= truth as f64 / 100.0,
                    "{name} q {q}: {found} for {truth}"
                );
            }
            assert_eq!(histogram.max(), values.last().copied(), "{name}");
            assert_eq!(histogram.count(), values.len() as u64, "{name}");
        }
    }

    #[test]
    fn every_middle_is_within_one_percent_of_its_whole_bucket() {
        for bucket in 0..u16::try_from(BUCKETS - 1).expect("fits") {
            let (first, last) = (bound_of(bucket), bound_of(bucket + 1) - 1);
            assert_eq!((bucket_of(first), bucket_of(last)), (bucket, bucket));
            let middle = middle_of(bucket);
            assert!(
                (last - middle) * 100 <= middle && (middle - first) * 100 <= first,
                "{bucket}"
            );
        }
        let last = bound_of(u16::MAX);
        assert!(
            (86_400_000_000..88_200_000_000).contains(&last),
            "a day: {last}"
        );
        assert_eq!(usize::from(bucket_of(u64::MAX)), BUCKETS - 1);
    }

    #[test]
    fn merging_in_any_order_gives_the_same() {
        let parts: Vec<Histogram> = distributions()
            .into_iter()
            .map(|(_, values)| {
                let mut part = Histogram::default();
                for value in &values {
                    part.add(*value, 3);
                }
                part
            })
            .collect();
        let mut all = Histogram::default();
        let mut reversed = Histogram::default();
        for (part, other) in parts.iter().zip(parts.iter().rev()) {
            all.merge(part);
            reversed.merge(other);
        }
        let (mut left, mut right) = (parts[0].clone(), parts[1].clone());
        left.merge(&parts[1]);
        left.merge(&parts[2]);
        right.merge(&parts[2]);
        let mut nested = parts[0].clone();
        nested.merge(&right);
        assert_eq!(all, reversed);
        assert_eq!(left, nested);
    }

    #[test]
    fn a_threshold_is_rounded_by_one_percent_at_most() {
        let mut next = noise(7);
        for threshold in (0..5000).chain((0..5000).map(|_| next() % 60_000_000)) {
            let within = Histogram::within(threshold);
            assert!(
                within.abs_diff(threshold) * 100 <= threshold,
                "{threshold} became {within}"
            );
            let mut histogram = Histogram::default();
            histogram.add(within + 1, 2);
            assert_eq!(histogram.below(threshold), 0, "{threshold}");
            histogram.add(within, 5);
            assert_eq!(histogram.below(threshold), 5, "{threshold}");
        }
    }

    #[test]
    fn nothing_overflows_and_nothing_is_made_up() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.quantile(0.95), histogram.max()), (None, None));
        histogram.add(5, 0);
        assert!(histogram.is_empty());
        histogram.add(u64::MAX, u64::MAX);
        histogram.add(u64::MAX, 1);
        histogram.add(0, u64::MAX);
        assert_eq!(histogram.count(), u64::MAX);
        assert_eq!(histogram.max(), Some(u64::MAX));
        assert_eq!(histogram.quantile(0.1), Some(0));
    }
}
