//! The door to other machines. Everything that leaves this one (probes, scrapes, webhooks,
//! heartbeats) goes through [`Outbound`]: names are looked up here, every address is checked
//! against the owner's rules ([`Allow`]) and connected to as it was checked, so that a name cannot
//! lead to one place when it is looked at and to another when it is called.
//!
//! Never follows a redirect: it is an answer like any other. Never uses a proxy, never reads the
//! environment, never accepts a certificate that does not hold, never waits beyond its bounds,
//! never keeps more of an answer than was asked for. Keeps no connection: each call has its own.

mod address;
mod allow;
mod dns;
mod error;
mod fake;
mod http;
mod names;
mod real;
mod tls;
mod url;
mod wire;

use std::fmt::{self, Debug};
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use ::http::{HeaderMap, Method};
use bytes::Bytes;

pub use address::{Net, Special, special};
pub use allow::{Allow, Refusal, Rule, WEB_PORTS};
pub use dns::{Found, Question, Rcode, Record, RecordKind};
pub use error::{OutboundError, Stage};
pub use fake::{FakeAnswer, FakeOutbound};
pub use real::SystemOutbound;
pub use tls::{CertInfo, TlsFault};
pub use url::{Host, Target, Url, UrlFault};
pub use wire::{Opened, Wire};

/// How long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until the connection is open, the look-up of the name not counted.
    pub connect: Duration,
    /// Until the answer is there, everything counted.
    pub total: Duration,
}

impl Limits {
    /// 3 s to connect and 10 s in all, rule H12 of the reliability notes.
    pub const DEFAULT: Self = Self {
        connect: Duration::from_secs(3),
        total: Duration::from_secs(10),
    };

    /// This long in all, of which connecting may take no more than by default.
    pub fn of(total: Duration) -> Self {
        Self {
            connect: Self::DEFAULT.connect.min(total),
            total,
        }
    }
}

/// Bytes of an answer's body that are kept unless a call says otherwise: 64 KiB, rule H12.
pub const MOST_BODY: usize = 64 * 1024;

/// An HTTP request.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Headers beside those that the door sets itself: `Host`, `User-Agent`, `Connection`,
    /// `Content-Length`. The first two are kept where they are given.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// How long it may take.
    pub limits: Limits,
    /// Bytes of the answer's body that are kept.
    pub most_body: usize,
}

impl Request {
    /// A request without headers and body, within the default bounds.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            limits: Limits::DEFAULT,
            most_body: MOST_BODY,
        }
    }

    /// A GET within the default bounds.
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }
}

impl Debug for Request {
    /// Without header values and body: they may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// How long each part of a call took; `None` for a part that was not needed or not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// Looking up the name.
    pub resolve: Option<Duration>,
    /// Opening the connection.
    pub connect: Option<Duration>,
    /// Agreeing on TLS.
    pub tls: Option<Duration>,
    /// From the open connection until the answer's head was there.
    pub first_byte: Option<Duration>,
    /// Everything.
    pub total: Duration,
}

/// An HTTP answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status, such as 200.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, or the beginning of it.
    pub body: Bytes,
    /// Whether there was more of the body than is kept.
    pub is_cut: bool,
    /// Who answered, and how long it took.
    pub contact: Contact,
}

/// A connection that was made.
#[derive(Debug, Clone)]
pub struct Contact {
    /// The address that was checked and connected to.
    pub address: SocketAddr,
    /// How long each part took.
    pub timings: Timings,
    /// The certificate that was shown, where TLS was spoken.
    pub cert: Option<CertInfo>,
}

/// A call under way.
pub type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, OutboundError>> + Send + 'a>>;

/// Other machines.
pub trait Outbound: Send + Sync + Debug + 'static {
    /// Sends a request and reads the answer, whatever its status.
    fn http<'a>(&'a self, allow: &'a Allow, request: &'a Request) -> Call<'a, Response>;

    /// Opens a connection and closes it again.
    fn tcp<'a>(&'a self, allow: &'a Allow, to: &'a Target, limits: Limits) -> Call<'a, Contact>;

    /// Opens a connection and agrees on TLS, with the certificate checked for `name` (the target's
    /// own host where it is `None`).
    fn tls<'a>(
        &'a self,
        allow: &'a Allow,
        to: &'a Target,
        name: Option<&'a Host>,
        limits: Limits,
    ) -> Call<'a, Contact>;

    /// Opens a connection and leaves it open for a protocol that is not HTTP, such as IMAP or SMTP;
    /// with TLS at once where `secure`. `limits` hold until it is open: whoever speaks over it
    /// bounds that themselves.
    fn open<'a>(
        &'a self,
        allow: &'a Allow,
        to: &'a Target,
        secure: bool,
        limits: Limits,
    ) -> Call<'a, Opened>;

    /// Agrees on TLS over a connection that was opened without (STARTTLS); the certificate must
    /// hold for the host it was opened to. Nothing that was read before may be kept: whoever speaks
    /// the protocol sees to that.
    fn secure<'a>(&'a self, opened: Opened, to: &'a Target, limits: Limits) -> Call<'a, Opened>;

    /// Asks a name server.
    fn dns<'a>(
        &'a self,
        allow: &'a Allow,
        question: &'a Question,
        limits: Limits,
    ) -> Call<'a, Found>;
}
