//! Limits on requests: a token bucket per key, per address, and one for all callers without a key.
//! The bucket is kept as one instant (the generic cell rate algorithm), so it costs eight bytes and
//! one compare-and-swap.

mod addresses;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderValue;

pub use addresses::Addresses;

/// The span that quotas count in: one minute, in nanoseconds.
const WINDOW_NS: u64 = 60_000_000_000;

/// So many requests a minute, which may come all at once.
#[derive(Debug, Clone)]
pub struct Quota {
    per_minute: u32,
    /// Nanoseconds in which one request is earned back.
    interval_ns: u64,
    policy: HeaderValue,
}

impl Quota {
    /// `count` requests a minute; at least one.
    pub fn per_minute(count: u32) -> Self {
        let count = count.max(1);
        let policy = format!("\"default\";q={count};w=60");
        Self {
            per_minute: count,
            interval_ns: (WINDOW_NS / u64::from(count)).max(1),
            policy: HeaderValue::try_from(policy)
                .unwrap_or(HeaderValue::from_static("\"default\"")),
        }
    }

    /// The count a minute.
    pub fn count(&self) -> u32 {
        self.per_minute
    }

    /// The value of `RateLimit-Policy`.
    pub fn policy(&self) -> &HeaderValue {
        &self.policy
    }
}

/// What a bucket said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request may go on.
    pub allowed: bool,
    /// Requests that may follow at once.
    pub remaining: u32,
    /// Seconds until the bucket is full again.
    pub reset_secs: u32,
    /// Seconds until one request may come, when none may now.
    pub retry_secs: u32,
}

/// One caller's share.
#[derive(Debug, Default)]
pub struct Bucket {
    /// The uptime, in nanoseconds, at which the bucket is full again.
    full_at: AtomicU64,
}

impl Bucket {
    /// Takes one request out, at uptime `now`.
    pub fn take(&self, quota: &Quota, now: Duration) -> Verdict {
        let now = nanos(now);
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            let (next, verdict) = decide(full_at, now, quota);
            if !verdict.allowed {
                return verdict;
            }
            match self.full_at.compare_exchange_weak(
                full_at,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return verdict,
                Err(found) => full_at = found,
            }
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX / 4)
}

/// The bucket after one request at `now`, and the verdict on it.
fn decide(full_at: u64, now: u64, quota: &Quota) -> (u64, Verdict) {
    let before = full_at.max(now);
    let after = before + quota.interval_ns;
    let used = after - now;
    let allowed = used <= quota.interval_ns * u64::from(quota.per_minute);
    let (state, used) = if allowed {
        (after, used)
    } else {
        (before, before - now)
    };
    let free = (quota.interval_ns * u64::from(quota.per_minute)).saturating_sub(used);
    let verdict = Verdict {
        allowed,
        remaining: u32::try_from(free / quota.interval_ns).unwrap_or(u32::MAX),
        reset_secs: whole_secs(used),
        retry_secs: if allowed {
            0
        } else {
            whole_secs(quota.interval_ns.saturating_sub(free)).max(1)
        },
    };
    (state, verdict)
}

/// `ns` in seconds, rounded up: who waits that long has waited long enough.
fn whole_secs(ns: u64) -> u32 {
    u32::try_from(ns.div_ceil(1_000_000_000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h09_a_bucket_gives_its_count_at_once_and_earns_it_back_evenly() {
        let (bucket, quota) = (Bucket::default(), Quota::per_minute(20));
        let at = Duration::from_secs(1000);
        for left in (0..20).rev() {
            let verdict = bucket.take(&quota, at);
            assert!(verdict.allowed);
            assert_eq!(verdict.remaining, left);
        }
        let refused = bucket.take(&quota, at);
        assert_eq!((refused.allowed, refused.remaining), (false, 0));
        assert_eq!((refused.retry_secs, refused.reset_secs), (3, 60));
        assert!(
            !bucket
                .take(&quota, at + Duration::from_millis(2999))
                .allowed
        );
        assert!(bucket.take(&quota, at + Duration::from_secs(3)).allowed);
        let full = bucket.take(&quota, at + Duration::from_secs(200));
        assert_eq!((full.remaining, full.reset_secs), (19, 3));
    }
}
