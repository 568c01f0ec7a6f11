//! What the server allows: times, sizes, counts, names. Held in an `ArcSwap`, so a reload applies
//! to the next request.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use crate::platform::limits::Quota;

/// The server's rules. The defaults are rules H1 to H4 and H9 of the reliability notes.
#[derive(Debug, Clone)]
pub struct HttpRules {
    /// For a whole request head, and for silence between requests.
    pub head_timeout: Duration,
    /// Between two pieces of a body.
    pub body_gap: Duration,
    /// For a whole body.
    pub body_total: Duration,
    /// For a whole request, from its head to its answer.
    pub request_total: Duration,
    /// For a client that does not take its answer.
    pub write_stall: Duration,
    /// For requests in work when the daemon stops.
    pub drain: Duration,
    /// Open connections in all.
    pub max_connections: usize,
    /// Open connections of one address.
    pub max_connections_per_ip: usize,
    /// Requests being worked on.
    pub max_in_work: usize,
    /// Names that `Host` may carry, lower case, without port; `*` allows all. The address on which
    /// the connection came in is always allowed.
    pub allowed_hosts: Vec<String>,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Requests a minute of one address without a key.
    pub keyless_per_minute: u32,
    /// Requests a minute of one address of this machine without a key.
    pub loopback_per_minute: u32,
    /// Requests a minute of all addresses together without a key.
    pub keyless_total_per_minute: u32,
    /// Requests a minute of one key that has no limit of its own.
    pub key_per_minute: u32,
    /// Wrong keys a minute of one address.
    pub failed_auth_per_minute: u32,
    /// Addresses remembered for limits; the longest unseen goes first.
    pub remembered_addresses: usize,
}

impl Default for HttpRules {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(10),
            body_gap: Duration::from_secs(10),
            body_total: Duration::from_secs(30),
            request_total: Duration::from_mins(1),
            write_stall: Duration::from_secs(30),
            drain: Duration::from_secs(20),
            max_connections: 4096,
            max_connections_per_ip: 256,
            max_in_work: 1024,
            allowed_hosts: vec![
                "localhost".to_owned(),
                "127.0.0.1".to_owned(),
                "::1".to_owned(),
            ],
            trusted_proxies: Vec::new(),
            keyless_per_minute: 20,
            loopback_per_minute: 20,
            keyless_total_per_minute: 200,
            // A key is trusted; the bound stops a loop gone wild, not a busy application.
            key_per_minute: 60_000_000,
            failed_auth_per_minute: 10,
            remembered_addresses: 100_000,
        }
    }
}

/// Rules with what is worked out from them once.
#[derive(Debug)]
pub struct InForce {
    rules: HttpRules,
    pub(super) keyless: Quota,
    pub(super) loopback: Quota,
    pub(super) keyless_total: Quota,
    pub(super) key: Quota,
    pub(super) failed: Quota,
}

impl InForce {
    fn new(rules: HttpRules) -> Self {
        Self {
            keyless: Quota::per_minute(rules.keyless_per_minute),
            loopback: Quota::per_minute(rules.loopback_per_minute),
            keyless_total: Quota::per_minute(rules.keyless_total_per_minute),
            key: Quota::per_minute(rules.key_per_minute),
            failed: Quota::per_minute(rules.failed_auth_per_minute),
            rules,
        }
    }
}

impl Deref for InForce {
    type Target = HttpRules;

    fn deref(&self) -> &HttpRules {
        &self.rules
    }
}

/// The rules in force; cheap to clone, never locks.
#[derive(Debug, Clone)]
pub struct LiveRules(Arc<ArcSwap<InForce>>);

impl LiveRules {
    /// Rules that are in force from now on.
    pub fn new(rules: HttpRules) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(InForce::new(rules))))
    }

    /// What is in force now.
    pub fn get(&self) -> Guard<Arc<InForce>> {
        self.0.load()
    }

    /// Puts other rules in force, from the next request on.
    pub fn set(&self, rules: HttpRules) {
        self.0.store(Arc::new(InForce::new(rules)));
    }
}

/// A range of addresses: `10.0.0.0/8`, `::1`, `127.0.0.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads the usual form; `None` when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let base: IpAddr = address.parse().ok()?;
        let all = if base.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= all)?,
            None => all,
        };
        Some(Self { base, bits })
    }

    /// Whether `address` lies in it.
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                base.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                base.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

/// The client's address: the peer's own, or, where the peer is a trusted proxy, the first address
/// from the right of `X-Forwarded-For` that is not one.
pub fn client_address(peer: IpAddr, forwarded: Option<&[u8]>, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address| trusted.iter().any(|network| network.holds(address));
    let mut client = peer.to_canonical();
    if trusted.is_empty() || !is_trusted(client) {
        return client;
    }
    let hops = forwarded.and_then(|value| std::str::from_utf8(value).ok());
    for hop in hops.unwrap_or_default().rsplit(',') {
        let Ok(address) = hop.trim().parse::<IpAddr>() else {
            break;
        };
        client = address.to_canonical();
        if !is_trusted(client) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn h09_forwarded_addresses_count_only_from_trusted_peers() {
        let trusted = [Network::parse("10.0.0.0/8").unwrap()];
        let client = |peer: &str, forwarded: &str| {
            client_address(address(peer), Some(forwarded.as_bytes()), &trusted).to_string()
        };
        assert_eq!(client("192.0.2.1", "203.0.113.9"), "192.0.2.1");
        assert_eq!(client("10.0.0.1", "203.0.113.9"), "203.0.113.9");
        assert_eq!(
            client("10.0.0.1", "6.6.6.6, 203.0.113.9, 10.2.3.4"),
            "203.0.113.9"
        );
        assert_eq!(client("10.0.0.1", "6.6.6.6, nonsense"), "10.0.0.1");
        assert_eq!(client("10.0.0.1", ""), "10.0.0.1");
        assert_eq!(client("::ffff:10.0.0.1", "203.0.113.9"), "203.0.113.9");
    }

    #[test]
    fn networks_hold_their_range() {
        let holds = |net: &str, at: &str| Network::parse(net).unwrap().holds(address(at));
        assert!(holds("0.0.0.0/0", "1.2.3.4"));
        assert!(holds("192.0.2.0/24", "192.0.2.255"));
        assert!(!holds("192.0.2.0/24", "192.0.3.0"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1"));
        assert!(!holds("::1", "::2"));
        assert!(Network::parse("10.0.0.0/33").is_none());
        assert!(Network::parse("host").is_none());
    }
}
