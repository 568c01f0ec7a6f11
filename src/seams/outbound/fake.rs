//! The door for tests: answers as it was told to, takes as long as it was told to on the clock it
//! was given, and remembers what it was asked. Bounds hold as at the real door; rules do not.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::io::DuplexStream;

use super::address::Special;
use super::allow::{Allow, Refusal};
use super::dns::{Found, Question, Rcode, Record};
use super::error::{OutboundError, Stage};
use super::tls::{CertInfo, TlsFault};
use super::url::{Host, Target};
use super::wire::Opened;
use super::{Call, Contact, Limits, Outbound, Request, Response, Timings};
use crate::seams::clock::Clock;

/// Bytes that an opened connection takes before its writer waits.
const FAR_BYTES: usize = 64 * 1024;

/// What the fake does when it is asked.
#[derive(Debug, Clone)]
pub struct FakeAnswer {
    after: Duration,
    what: What,
    cert: Option<CertInfo>,
}

#[derive(Debug, Clone)]
enum What {
    Http(u16, HeaderMap, Bytes),
    Open,
    Dns(Rcode, Vec<Record>),
    Refused,
    Forbidden,
    Unknown,
    Untrusted(TlsFault),
    Hangs,
}

impl FakeAnswer {
    fn of(what: What) -> Self {
        Self {
            after: Duration::ZERO,
            what,
            cert: None,
        }
    }

    /// An HTTP answer.
    pub fn http(status: u16, body: impl Into<Bytes>) -> Self {
        Self::of(What::Http(status, HeaderMap::new(), body.into()))
    }

    /// An HTTP answer with headers.
    pub fn http_with(status: u16, headers: HeaderMap, body: impl Into<Bytes>) -> Self {
        Self::of(What::Http(status, headers, body.into()))
    }

    /// A connection that opens.
    pub fn open() -> Self {
        Self::of(What::Open)
    }

    /// A name server's answer.
    pub fn dns(rcode: Rcode, records: Vec<Record>) -> Self {
        Self::of(What::Dns(rcode, records))
    }

    /// Nobody listens.
    pub fn refused() -> Self {
        Self::of(What::Refused)
    }

    /// Our own rules do not let us.
    pub fn forbidden() -> Self {
        Self::of(What::Forbidden)
    }

    /// The name has no address.
    pub fn unknown_name() -> Self {
        Self::of(What::Unknown)
    }

    /// TLS is not agreed on.
    pub fn untrusted(fault: TlsFault) -> Self {
        Self::of(What::Untrusted(fault))
    }

    /// Nothing comes, until the bounds of the call end it.
    pub fn hangs() -> Self {
        Self::of(What::Hangs)
    }

    /// So long after it was asked.
    #[must_use]
    pub fn after(mut self, after: Duration) -> Self {
        self.after = after;
        self
    }

    /// With this certificate.
    #[must_use]
    pub fn cert(mut self, cert: CertInfo) -> Self {
        self.cert = Some(cert);
        self
    }
}

/// A door that opens to nowhere.
#[derive(Debug)]
pub struct FakeOutbound {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    answers: HashMap<String, FakeAnswer>,
    asked: Vec<String>,
    requests: Vec<Request>,
    held: Vec<DuplexStream>,
}

impl FakeOutbound {
    /// Everything refuses the connection, until it is told otherwise.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on `call` is answered like this. Calls are named `GET http://host:1234/path?query`,
    /// `tcp host:22`, `tls host:443`, `dns A example.com`.
    pub fn answers(&self, call: &str, answer: FakeAnswer) {
        self.state().answers.insert(call.to_owned(), answer);
    }

    /// Every call so far, in order.
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    /// Every HTTP request so far, whole, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    async fn answer(
        &self,
        call: String,
        host: String,
        limits: Limits,
    ) -> Result<(What, Contact), OutboundError> {
        let answer = {
            let mut state = self.state();
            let answer = state.answers.get(&call).cloned();
            state.asked.push(call);
            answer.unwrap_or_else(FakeAnswer::refused)
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let hangs = matches!(answer.what, What::Hangs) || answer.after > limits.total;
        let after = if hangs { limits.total } else { answer.after };
        if !after.is_zero() {
            self.clock.sleep(after).await;
        }
        if hangs {
            return Err(OutboundError::Deadline {
                host,
                stage: Stage::Answer,
                after,
            });
        }
        match answer.what {
            What::Refused => Err(OutboundError::Connect {
                host,
                address,
                source: io::ErrorKind::ConnectionRefused.into(),
            }),
            What::Forbidden => Err(OutboundError::Refused {
                host,
                address,
                refusal: Refusal::Address(Special::Private),
                place: "",
            }),
            What::Unknown => Err(OutboundError::Resolve {
                host,
                source: io::ErrorKind::NotFound.into(),
            }),
            What::Untrusted(fault) => Err(OutboundError::Tls {
                host,
                fault,
                cert: answer.cert.map(Box::new),
            }),
            what => {
                let timings = Timings {
                    first_byte: Some(after),
                    total: after,
                    ..Timings::default()
                };
                let contact = Contact {
                    address,
                    timings,
                    cert: answer.cert,
                };
                Ok((what, contact))
            }
        }
    }
}

fn unfit(host: String) -> OutboundError {
    OutboundError::Answer {
        host,
        found: "the fake was told to answer another kind of call".into(),
    }
}

impl Outbound for FakeOutbound {
    fn http<'a>(&'a self, _allow: &'a Allow, request: &'a Request) -> Call<'a, Response> {
        Box::pin(async move {
            let (origin, path) = (request.url.origin(), request.url.request_target());
            let call = format!("{} {origin}{path}", request.method);
            let host = request.url.target().to_string();
            self.state().requests.push(request.clone());
            match self.answer(call, host.clone(), request.limits).await? {
                (What::Http(status, headers, body), contact) => Ok(Response {
                    status,
                    headers,
                    is_cut: body.len() > request.most_body,
                    body: body.slice(..body.len().min(request.most_body)),
                    contact,
                }),
                _ => Err(unfit(host)),
            }
        })
    }

    fn tcp<'a>(&'a self, _allow: &'a Allow, to: &'a Target, limits: Limits) -> Call<'a, Contact> {
        Box::pin(async move {
            let answer = self.answer(format!("tcp {to}"), to.to_string(), limits);
            Ok(answer.await?.1)
        })
    }

    fn tls<'a>(
        &'a self,
        _allow: &'a Allow,
        to: &'a Target,
        _name: Option<&'a Host>,
        limits: Limits,
    ) -> Call<'a, Contact> {
        Box::pin(async move {
            let answer = self.answer(format!("tls {to}"), to.to_string(), limits);
            Ok(answer.await?.1)
        })
    }

    fn open<'a>(
        &'a self,
        _allow: &'a Allow,
        to: &'a Target,
        secure: bool,
        limits: Limits,
    ) -> Call<'a, Opened> {
        Box::pin(async move {
            let kind = if secure { "tls" } else { "tcp" };
            let contact = self
                .answer(format!("open {kind} {to}"), to.to_string(), limits)
                .await?
                .1;
            // The far side is silent: tests of protocols talk to servers of their own.
            let (near, far) = tokio::io::duplex(FAR_BYTES);
            self.state().held.push(far);
            Ok(Opened {
                wire: Box::new(near),
                is_secure: secure,
                contact,
            })
        })
    }

    fn secure<'a>(&'a self, opened: Opened, to: &'a Target, limits: Limits) -> Call<'a, Opened> {
        Box::pin(async move {
            let answer = self.answer(format!("secure {to}"), to.to_string(), limits);
            answer.await?;
            Ok(Opened {
                is_secure: true,
                ..opened
            })
        })
    }

    fn dns<'a>(
        &'a self,
        _allow: &'a Allow,
        question: &'a Question,
        limits: Limits,
    ) -> Call<'a, Found> {
        Box::pin(async move {
            let call = format!("dns {} {}", question.kind, question.name);
            match self.answer(call, question.name.clone(), limits).await? {
                (What::Dns(rcode, records), contact) => Ok(Found {
                    rcode,
                    records,
                    server: question.server.unwrap_or(contact.address),
                    elapsed: contact.timings.total,
                }),
                _ => Err(unfit(question.name.clone())),
            }
        })
    }
}
