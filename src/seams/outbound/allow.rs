//! What calls may reach beyond the open internet: the owner's rules. Without any, a name that leads
//! to this machine or its neighbours is refused, whoever answers for the name.

use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::address::{Net, Special, special};
use super::url::{Host, Target, UrlFault, port_number};

/// Ports that HTTP may use without a rule: those that web servers have, so that no request can be
/// made to talk to a mail server or a database (our own choice, the usual four).
pub const WEB_PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// Leading bits that a network in a rule must fix: /8 as `10.0.0.0/8`, the widest private one.
const LEAST_BITS_V4: u32 = 8;
/// Leading bits that an IPv6 network in a rule must fix: /7 as `fc00::/7`, the widest private one.
const LEAST_BITS_V6: u32 = 7;

/// One rule: an address, a network or a host name, with or without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    what: What,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Net(Net),
    Name(String),
}

impl FromStr for Rule {
    type Err = UrlFault;

    /// Reads `127.0.0.1`, `127.0.0.1:8080`, `10.0.0.0/8`, `[::1]:8080`, `localhost:3000`.
    fn from_str(text: &str) -> Result<Self, UrlFault> {
        let (what, port) = match text.rsplit_once(':') {
            Some((what, port)) if !what.contains(':') || what.ends_with(']') => {
                let port = port_number(port).ok_or_else(|| UrlFault {
                    found: format!("`{text}` has no usable port"),
                    hint: "write a number from 1 to 65535, or leave the port away".into(),
                })?;
                (what, Some(port))
            }
            _ => (text, None),
        };
        let what = match what.split_once('/') {
            Some((first, length)) => What::Net(network(text, first, length)?),
            None => match Host::parse(what)? {
                Host::Name(name) => What::Name(name),
                Host::Address(address) => What::Net(Net::of(address)),
            },
        };
        Ok(Self { what, port })
    }
}

fn network(text: &str, first: &str, length: &str) -> Result<Net, UrlFault> {
    let fault = |found: &str, hint: &str| UrlFault {
        found: format!("`{text}` {found}"),
        hint: hint.into(),
    };
    let first: IpAddr = first
        .parse()
        .map_err(|_| fault("is not a network", "write it as `10.0.0.0/8`"))?;
    let least = match first {
        IpAddr::V4(_) => LEAST_BITS_V4,
        IpAddr::V6(_) => LEAST_BITS_V6,
    };
    let net = length
        .parse()
        .ok()
        .and_then(|length| Net::new(first, length))
        .ok_or_else(|| {
            fault(
                "is not a network",
                "the bits behind the length must be 0, as in `10.0.0.0/8`",
            )
        })?;
    if net.length() < least {
        return Err(fault(
            "is too wide: it would open nearly everything",
            "name the networks that are yours, such as `10.0.0.0/8`",
        ));
    }
    Ok(net)
}

impl Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.what, self.port) {
            (What::Net(net), None) => write!(f, "{net}"),
            (What::Net(net), Some(port)) => match net.to_string() {
                text if text.contains(':') => write!(f, "[{text}]:{port}"),
                text => write!(f, "{text}:{port}"),
            },
            (What::Name(name), None) => f.write_str(name),
            (What::Name(name), Some(port)) => write!(f, "{name}:{port}"),
        }
    }
}

impl Rule {
    fn opens(&self, host: &Host, address: SocketAddr, special: Special) -> bool {
        if self.port.is_some_and(|port| port != address.port()) {
            return false;
        }
        // The machine's credentials are handed out to who names their address, never by a network
        // that was opened in passing, nor by whoever answers for a name.
        let is_harmless = special != Special::Metadata;
        match &self.what {
            What::Name(name) => is_harmless && matches!(host, Host::Name(asked) if asked == name),
            What::Net(net) => {
                net.holds(address.ip().to_canonical()) && (is_harmless || net.is_single())
            }
        }
    }

    fn names_port(&self, host: &Host, address: SocketAddr) -> bool {
        self.port == Some(address.port())
            && match &self.what {
                What::Name(name) => matches!(host, Host::Name(asked) if asked == name),
                What::Net(net) => net.holds(address.ip().to_canonical()),
            }
    }
}

/// Why an address may not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is not a host of the open internet, and no rule opens it.
    Address(Special),
    /// The port is none that HTTP may use.
    Port,
}

/// The rules in force.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allow {
    place: &'static str,
    rules: Vec<Rule>,
    ports: Vec<u16>,
}

impl Allow {
    /// The rules, further ports for HTTP, and where they are written (as in "`outbound.allow` of
    /// `configs/echopilot.json`"), so that a refusal can say where to add one.
    pub fn new(place: &'static str, rules: Vec<Rule>, ports: Vec<u16>) -> Self {
        Self {
            place,
            rules,
            ports,
        }
    }

    /// These rules and `target`, host and port as they are named: for what the environment or a
    /// credential names, which nobody who may only edit files or call us can set.
    #[must_use]
    pub fn and(&self, target: &Target) -> Self {
        let what = match &target.host {
            Host::Name(name) => What::Name(name.clone()),
            Host::Address(address) => What::Net(Net::of(*address)),
        };
        let mut own = self.clone();
        own.rules.push(Rule {
            what,
            port: Some(target.port),
        });
        own
    }

    /// Where the rules are written; empty where nobody may write any.
    pub fn place(&self) -> &'static str {
        self.place
    }

    /// Whether `address`, which `host` led to, may be reached. `web` = by HTTP: the other calls
    /// carry nothing that a caller chose, so they may use any port.
    pub fn check(&self, host: &Host, address: SocketAddr, web: bool) -> Result<(), Refusal> {
        if let Some(special) = special(address.ip()) {
            let open = self
                .rules
                .iter()
                .any(|rule| rule.opens(host, address, special));
            // Who opened something private, port or not, has chosen what talks to it.
            return open.then_some(()).ok_or(Refusal::Address(special));
        }
        let port = address.port();
        let known = !web
            || WEB_PORTS.contains(&port)
            || self.ports.contains(&port)
            || self.rules.iter().any(|rule| rule.names_port(host, address));
        known.then_some(()).ok_or(Refusal::Port)
    }
}
