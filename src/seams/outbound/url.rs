//! Where a call goes: a host, a port, and for HTTP the rest of the URL. Read strictly: what two
//! programs could read differently (odd spellings of numbers, user names, backslashes) is refused.

use std::fmt::{self, Debug, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a URL at most: what servers take in a request line (RFC 9112 asks for 8,000).
const MOST_BYTES: usize = 8_000;
/// Bytes of a host name at most, by RFC 1035.
const MOST_NAME: usize = 253;
/// Bytes of one label of a host name at most, by RFC 1035.
const MOST_LABEL: usize = 63;

/// Why a URL or a host is refused: what was found, and the cure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found}")]
pub struct UrlFault {
    /// What is wrong, in one clause.
    pub found: String,
    /// The cure.
    pub hint: String,
}

impl UrlFault {
    fn new(found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            found: found.into(),
            hint: hint.into(),
        }
    }

    /// What was found, in words that go on after "is". The text itself may carry a secret.
    pub fn refused(&self) -> String {
        format!("refused, as {}", self.found)
    }
}

/// A machine, by name or by address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name in lower case, without the dot at its end.
    Name(String),
    /// An address; an IPv4 address in IPv6 form is the IPv4 address.
    Address(IpAddr),
}

impl Host {
    /// Reads a host name, an IPv4 address, or an IPv6 address with or without brackets.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        let inside = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if inside.is_some() || text.contains(':') {
            let address: Result<Ipv6Addr, _> = inside.unwrap_or(text).parse();
            return match address {
                Ok(address) => Ok(Self::Address(IpAddr::V6(address).to_canonical())),
                Err(_) => Err(UrlFault::new(
                    format!("`{text}` is not an IPv6 address"),
                    "write it as `[2606:4700::1111]`, without a zone",
                )),
            };
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Address(IpAddr::V4(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let labels_fit = name
            .split('.')
            .all(|label| !label.is_empty() && label.len() <= MOST_LABEL);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !labels_fit || name.len() > MOST_NAME || !name.bytes().all(plain) {
            return Err(UrlFault::new(
                format!("`{}` is not a host name", shown(text)),
                "letters, digits, `-` and dots; names in other scripts in their `xn--` form",
            ));
        }
        // Some programs read an address where the last label is a number.
        let last = name.rsplit('.').next().unwrap_or_default();
        let digits = last.bytes().all(|byte| byte.is_ascii_digit());
        if !digits && number(last).is_none() {
            return Ok(Self::Name(name));
        }
        Err(match meant(&name) {
            Some(meant) => UrlFault::new(
                format!("`{text}` is an IPv4 address in an odd spelling"),
                format!("write it as `{meant}`"),
            ),
            None => UrlFault::new(
                format!("`{text}` ends like an IPv4 address and is none"),
                "write four numbers from 0 to 255 with dots, or a name",
            ),
        })
    }
}

/// The IPv4 address that some programs read in `name` (the rules of the URL standard: decimal,
/// `0x…`, `0…` octal, one to four parts of which the last fills what is left).
fn meant(name: &str) -> Option<Ipv4Addr> {
    let numbers: Option<Vec<u64>> = name.split('.').map(number).collect();
    let numbers = numbers?;
    let (tail, heads) = numbers.split_last()?;
    let room = 8 * 4_u32.checked_sub(u32::try_from(heads.len()).ok()?)?;
    if room == 0 || heads.iter().any(|&part| part > 255) || tail.checked_shr(room) != Some(0) {
        return None;
    }
    let head = heads.iter().fold(0, |sum, part| (sum << 8) | part);
    let whole = head.checked_shl(room)? | tail;
    u32::try_from(whole).ok().map(Ipv4Addr::from)
}

/// A number as the C library reads it.
fn number(text: &str) -> Option<u64> {
    if let Some(hex) = text.strip_prefix("0x") {
        return match hex {
            "" => Some(0),
            hex => u64::from_str_radix(hex, 16).ok(),
        };
    }
    match text.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => u64::from_str_radix(octal, 8).ok(),
        _ if text.starts_with('+') => None,
        _ => text.parse().ok(),
    }
}

/// A text from outside, short and without what a terminal would obey.
fn shown(text: &str) -> String {
    text.escape_debug().take(80).collect()
}

impl Display for Host {
    /// As in a URL: IPv6 in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The machine.
    pub host: Host,
    /// The port.
    pub port: u16,
}

impl Target {
    /// Reads `host:port`, such as `db.example.com:5432` or `[::1]:22`.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        let fault = || {
            UrlFault::new(
                format!("`{}` is not a host with a port", shown(text)),
                "write `db.example.com:5432` or `[::1]:5432`, ports from 1 to 65535",
            )
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(fault)?;
        if host.contains(':') && !host.starts_with('[') {
            return Err(fault());
        }
        Ok(Self {
            host: Host::parse(host)?,
            port: port_number(port).ok_or_else(fault)?,
        })
    }
}

/// A port from 1 to 65535, in digits alone.
pub(super) fn port_number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port: u16 = text.parse().ok().filter(|_| digits)?;
    (port > 0).then_some(port)
}

impl Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// An `http` or `https` URL, checked. Shown without its query.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    secure: bool,
    target: Target,
    path: String,
    query: Option<String>,
}

impl Url {
    /// Reads a URL; the part behind `#` is dropped, as it never leaves a client.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        let bad_byte = |byte: u8| !byte.is_ascii_graphic() || b"\\\"<>^`{|}".contains(&byte);
        if text.len() > MOST_BYTES || text.bytes().any(bad_byte) {
            return Err(UrlFault::new(
                "the URL has characters that do not belong in one, or is too long",
                format!("at most {MOST_BYTES} printable ASCII characters; write others as `%20`"),
            ));
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            other => {
                let found = match other {
                    "" => "the URL has no scheme".to_owned(),
                    _ => format!("the URL begins with `{}`", shown(scheme)),
                };
                return Err(UrlFault::new(
                    found,
                    "begin it with `https://` or `http://`",
                ));
            }
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, tail) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err(UrlFault::new(
                "the URL has a user name or a password in it",
                "send credentials in a header, such as `Authorization`",
            ));
        }
        let target = Self::target_of(authority, if secure { 443 } else { 80 })?;
        let (path, query) = match tail.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (tail, None),
        };
        let path = if path.is_empty() { "/" } else { path }.to_owned();
        Ok(Self {
            secure,
            target,
            path,
            query,
        })
    }

    fn target_of(authority: &str, default_port: u16) -> Result<Target, UrlFault> {
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port_number(port)),
            _ => (authority, Some(default_port)),
        };
        let Some(port) = port else {
            return Err(UrlFault::new(
                format!("`{authority}` has no usable port"),
                "write a number from 1 to 65535, or leave the port away",
            ));
        };
        if host.contains(':') && !host.starts_with('[') {
            return Err(UrlFault::new(
                format!("`{authority}` has more than one `:`"),
                "write an IPv6 address in brackets, such as `http://[::1]:8080/`",
            ));
        }
        let host = Host::parse(host)?;
        Ok(Target { host, port })
    }

    /// Whether it is `https`.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Where to connect.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What goes into the request line: path and query.
    pub fn request_target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// What goes into the `Host` header: the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let Target { host, port } = &self.target;
        match (self.secure, port) {
            (true, 443) | (false, 80) => host.to_string(),
            _ => self.target.to_string(),
        }
    }

    /// Scheme, host and port: what may be told anywhere.
    pub fn origin(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }
}

impl Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

impl Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}
