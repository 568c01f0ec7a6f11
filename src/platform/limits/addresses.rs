//! Buckets per client address, in a table that cannot grow without end.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Quota, Verdict, decide, nanos};

/// A share of the table that makes room at once when it is full: one in sixteen, so that the work
/// of finding the oldest is spread over many requests.
const EVICTED_SHARE: usize = 16;

/// One bucket per address.
#[derive(Debug, Default)]
pub struct Addresses {
    buckets: Mutex<HashMap<IpAddr, u64>>,
}

impl Addresses {
    /// Takes one request of `address` out of its bucket, remembering at most `most` addresses.
    pub fn take(&self, address: IpAddr, quota: &Quota, now: Duration, most: usize) -> Verdict {
        let (now, address) = (nanos(now), prefix(address));
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= most && !buckets.contains_key(&address) {
            make_room(&mut buckets, now);
        }
        let full_at = buckets.entry(address).or_default();
        let (next, verdict) = decide(*full_at, now, quota);
        *full_at = next;
        verdict
    }

    /// How many addresses are remembered.
    pub fn len(&self) -> usize {
        self.buckets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Forgets full buckets, which say nothing, and if that is not enough those nearest to full: they
/// belong to the longest unseen or the most modest.
fn make_room(buckets: &mut HashMap<IpAddr, u64>, now: u64) {
    let before = buckets.len();
    buckets.retain(|_, full_at| *full_at > now);
    let wanted = before / EVICTED_SHARE + 1;
    if before - buckets.len() >= wanted {
        return;
    }
    let mut ages: Vec<u64> = buckets.values().copied().collect();
    let place = wanted.min(ages.len().saturating_sub(1));
    if let Some(oldest) = ages
        .get(place)
        .is_some()
        .then(|| *ages.select_nth_unstable(place).1)
    {
        buckets.retain(|_, full_at| *full_at > oldest);
    }
}

/// One subscriber of IPv6 commonly holds a /64 (RFC 6177), so that is what counts as one address.
fn prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6((six.to_bits() >> 64 << 64).into()),
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h09_the_table_is_bounded_and_forgets_the_oldest() {
        let (table, quota) = (Addresses::default(), Quota::per_minute(2));
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        for n in 0..1000 {
            table.take(address(n), &quota, Duration::from_millis(u64::from(n)), 100);
        }
        assert!(table.len() <= 101, "{}", table.len());
        let now = Duration::from_secs(1);
        assert_eq!(
            table.take(address(999), &quota, now, 100).remaining,
            0,
            "still known"
        );
        assert_eq!(
            table.take(address(1), &quota, now, 100).remaining,
            1,
            "forgotten"
        );
    }

    #[test]
    fn one_ipv6_subscriber_is_one_address() {
        let (table, quota) = (Addresses::default(), Quota::per_minute(1));
        let take = |text: &str| {
            table
                .take(text.parse().unwrap(), &quota, Duration::ZERO, 10)
                .allowed
        };
        assert!(take("2001:db8::1"));
        assert!(!take("2001:db8::2"));
        assert!(take("2001:db8:0:1::1"));
    }
}
