//! What an address is: a host of the open internet, or something that a name from outside must not
//! lead us to. From the special-purpose registries of IANA (RFC 6890 and its updates, read in 2026)
//! and the metadata addresses of the large clouds. Knows nothing of rules, see `allow`.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not simply a host of the open internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// `0.0.0.0/8` and `::`: this host on this network.
    Unspecified,
    /// This machine.
    Loopback,
    /// A private network (RFC 1918, RFC 4193).
    Private,
    /// The link only (RFC 3927, RFC 4291).
    LinkLocal,
    /// Shared by a provider's customers (RFC 6598).
    CarrierNat,
    /// Where clouds tell a machine its secrets.
    Metadata,
    /// A group of hosts.
    Multicast,
    /// Every host of a network.
    Broadcast,
    /// For books (RFC 5737, RFC 3849, RFC 9637).
    Documentation,
    /// For measuring network devices (RFC 2544, RFC 5180).
    Benchmark,
    /// A tunnel or a translation that hides the true target (Teredo, `::a.b.c.d`).
    Tunnel,
    /// Set aside by IANA for something else than hosts.
    Reserved,
}

impl Special {
    /// One word, for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link_local",
            Self::CarrierNat => "carrier_nat",
            Self::Metadata => "metadata",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Documentation => "documentation",
            Self::Benchmark => "benchmark",
            Self::Tunnel => "tunnel",
            Self::Reserved => "reserved",
        }
    }
}

impl Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "the unspecified address",
            Self::Loopback => "a loopback address",
            Self::Private => "an address of a private network",
            Self::LinkLocal => "a link-local address",
            Self::CarrierNat => "an address of a provider's shared network",
            Self::Metadata => "a cloud's metadata address",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "a broadcast address",
            Self::Documentation => "an address for documentation",
            Self::Benchmark => "an address for measurements",
            Self::Tunnel => "an address of a tunnel",
            Self::Reserved => "a reserved address",
        })
    }
}

/// IPv4 addresses that are not hosts of the open internet; the first match holds.
const V4: [([u8; 4], u32, Special); 20] = [
    ([169, 254, 169, 254], 32, Special::Metadata),
    ([169, 254, 170, 2], 32, Special::Metadata),
    ([100, 100, 100, 200], 32, Special::Metadata),
    ([168, 63, 129, 16], 32, Special::Metadata),
    ([192, 0, 0, 192], 32, Special::Metadata),
    ([0, 0, 0, 0], 8, Special::Unspecified),
    ([10, 0, 0, 0], 8, Special::Private),
    ([100, 64, 0, 0], 10, Special::CarrierNat),
    ([127, 0, 0, 0], 8, Special::Loopback),
    ([169, 254, 0, 0], 16, Special::LinkLocal),
    ([172, 16, 0, 0], 12, Special::Private),
    ([192, 0, 0, 0], 24, Special::Reserved),
    ([192, 0, 2, 0], 24, Special::Documentation),
    ([192, 88, 99, 0], 24, Special::Tunnel),
    ([192, 168, 0, 0], 16, Special::Private),
    ([198, 18, 0, 0], 15, Special::Benchmark),
    ([198, 51, 100, 0], 24, Special::Documentation),
    ([203, 0, 113, 0], 24, Special::Documentation),
    ([224, 0, 0, 0], 4, Special::Multicast),
    ([255, 255, 255, 255], 32, Special::Broadcast),
];

/// IPv6 addresses that are not hosts of the open internet; the first match holds. What is not
/// within `2000::/3` and not here is reserved.
const V6: [([u16; 8], u32, Special); 18] = [
    (
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254],
        128,
        Special::Metadata,
    ),
    ([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128, Special::Metadata),
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, Special::Unspecified),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, Special::Loopback),
    ([0, 0, 0, 0, 0, 0, 0, 0], 96, Special::Tunnel),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, Special::Private),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, Special::Tunnel),
    ([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, Special::Benchmark),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, Special::Reserved),
    (
        [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0],
        32,
        Special::Documentation,
    ),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, Special::Documentation),
    ([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16, Special::Reserved),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Special::Private),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, Special::LinkLocal),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, Special::Private),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Special::Multicast),
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64, Special::Reserved),
    ([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, Special::Reserved),
];

/// What is special about `address`; `None` for a host of the open internet. An IPv6 address that
/// only wraps an IPv4 one (mapped, translated, NAT64, 6to4) is what the wrapped one is.
pub fn special(address: IpAddr) -> Option<Special> {
    match address {
        IpAddr::V4(v4) => special_v4(v4),
        IpAddr::V6(v6) => match wrapped(v6) {
            Some(v4) => special_v4(v4),
            None => special_v6(v6),
        },
    }
}

fn special_v4(address: Ipv4Addr) -> Option<Special> {
    let bits = u32::from(address);
    let found = V4.iter().find(|(net, length, _)| {
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        bits & mask == u32::from(Ipv4Addr::from(*net))
    });
    match found {
        Some((_, _, special)) => Some(*special),
        // 240.0.0.0/4, reserved for future use since 1989.
        None => (bits >> 28 == 0xf).then_some(Special::Reserved),
    }
}

fn special_v6(address: Ipv6Addr) -> Option<Special> {
    let bits = u128::from(address);
    let found = V6.iter().find(|(net, length, _)| {
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
        bits & mask == u128::from(Ipv6Addr::from(*net))
    });
    match found {
        Some((_, _, special)) => Some(*special),
        // Global unicast is 2000::/3 alone (RFC 4291, IANA's address space registry).
        None => (bits >> 125 != 1).then_some(Special::Reserved),
    }
}

/// The IPv4 address that packets to `address` end at.
fn wrapped(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let pair = match s {
        // Mapped ::ffff:a.b.c.d, translated ::ffff:0:a.b.c.d, NAT64 64:ff9b::a.b.c.d.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        // 6to4 2002:aabb:ccdd::/48.
        | [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from(
        (u32::from(pair.0) << 16) | u32::from(pair.1),
    ))
}

/// A network: all addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Net {
    first: IpAddr,
    length: u32,
}

impl Net {
    /// The addresses that share the first `length` bits with `first`; `None` when bits behind them
    /// are set or `length` is more than an address has.
    pub fn new(first: IpAddr, length: u32) -> Option<Self> {
        let net = Self { first, length };
        let fits = length <= net.width();
        (fits && (bits(first) & !net.mask()) == 0).then_some(net)
    }

    /// One address alone.
    pub fn of(address: IpAddr) -> Self {
        let length = if address.is_ipv4() { 32 } else { 128 };
        Self {
            first: address,
            length,
        }
    }

    /// Whether `address` is one of it.
    pub fn holds(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && bits(address) & self.mask() == bits(self.first)
    }

    /// Whether it is one address.
    pub fn is_single(&self) -> bool {
        self.length == self.width()
    }

    /// How many leading bits its addresses share.
    pub fn length(&self) -> u32 {
        self.length
    }

    fn width(&self) -> u32 {
        if self.first.is_ipv4() { 32 } else { 128 }
    }

    fn mask(&self) -> u128 {
        let ones = u128::MAX.checked_shl(self.width() - self.length);
        ones.unwrap_or(0)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

impl Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}/{}", self.first, self.length)
        }
    }
}
