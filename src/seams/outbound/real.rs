//! The real door: looks up, checks, connects, speaks, and never waits beyond the bounds of a call.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::allow::Allow;
use super::dns::{self, Found, Question};
use super::error::{OutboundError, Stage};
use super::http;
use super::names::Names;
use super::tls::{CertInfo, Tls};
use super::url::{Host, Target};
use super::wire::{Opened, Wire};
use super::{Call, Contact, Limits, Outbound, Request, Response, Timings};
use crate::seams::clock::Clock;
use crate::seams::ids::Ids;

/// Other machines, over the machine's own network.
#[derive(Debug)]
pub struct SystemOutbound {
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    names: Names,
    tls: Tls,
}

impl SystemOutbound {
    /// The door; opens nothing yet.
    pub fn new(clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self {
            clock,
            ids,
            names: Names::default(),
            tls: Tls::default(),
        }
    }

    /// Runs `work` within the bounds of `trip`.
    async fn bounded<T>(
        &self,
        trip: &Trip<'_>,
        work: impl Future<Output = Result<T, OutboundError>>,
    ) -> Result<T, OutboundError> {
        let mut work = pin!(work);
        tokio::select! {
            biased;
            outcome = &mut work => outcome,
            () = self.clock.sleep(trip.limits.total) => Err(trip.late(trip.limits.total)),
        }
    }

    /// Looks up and checks: all addresses that may be connected to, in the system's order. Only
    /// the address that was checked here is ever connected to.
    async fn reach(
        &self,
        trip: &Trip<'_>,
        allow: &Allow,
        to: &Target,
        web: bool,
    ) -> Result<Vec<SocketAddr>, OutboundError> {
        let found: Arc<[IpAddr]> = match &to.host {
            Host::Address(address) => Arc::new([*address]),
            Host::Name(name) => {
                trip.enters(Stage::Resolve);
                let found = self.names.look_up(name).await;
                trip.took(|timings, span| timings.resolve = Some(span));
                found.map_err(|source| OutboundError::Resolve {
                    host: name.clone(),
                    source,
                })?
            }
        };
        let (mut open, mut refused) = (Vec::new(), None);
        for address in found.iter().map(|ip| SocketAddr::new(*ip, to.port)) {
            match allow.check(&to.host, address, web) {
                Ok(()) => open.push(address),
                Err(refusal) => refused = refused.or(Some((address, refusal))),
            }
        }
        match refused {
            Some((address, refusal)) if open.is_empty() => Err(OutboundError::Refused {
                host: trip.host.clone(),
                address,
                refusal,
                place: allow.place(),
            }),
            _ => Ok(open),
        }
    }

    /// Opens a connection to the first of `addresses` that takes one.
    async fn connect(
        &self,
        trip: &Trip<'_>,
        addresses: &[SocketAddr],
    ) -> Result<(TcpStream, SocketAddr), OutboundError> {
        trip.enters(Stage::Connect);
        let begun = self.clock.uptime();
        let mut last = None;
        for (index, &address) in addresses.iter().enumerate() {
            // A silent first address leaves its share of the time to the others.
            let left = trip
                .limits
                .connect
                .saturating_sub(self.clock.uptime().saturating_sub(begun));
            let share = left / u32::try_from(addresses.len() - index).unwrap_or(1);
            let opened = tokio::select! {
                biased;
                opened = TcpStream::connect(address) => opened,
                () = self.clock.sleep(share) => {
                    last = Some(trip.late(trip.limits.connect));
                    continue;
                }
            };
            match opened {
                Ok(stream) => {
                    trip.took(|timings, span| timings.connect = Some(span));
                    // What we send is sent at once; where that is refused it still arrives.
                    let _slower = stream.set_nodelay(true);
                    return Ok((stream, address));
                }
                Err(error) => last = Some(trip.unconnected(address, error)),
            }
        }
        Err(last.unwrap_or_else(|| OutboundError::Resolve {
            host: trip.host.clone(),
            source: io::ErrorKind::NotFound.into(),
        }))
    }

    /// Speaks TLS over an open connection.
    async fn agree<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        trip: &Trip<'_>,
        stream: S,
        name: &Host,
    ) -> Result<(SslStream<S>, Option<CertInfo>), OutboundError> {
        trip.enters(Stage::Tls);
        let agreed = self.tls.over(stream, name).await;
        trip.took(|timings, span| timings.tls = Some(span));
        agreed.map_err(|(fault, cert)| OutboundError::Tls {
            host: trip.host.clone(),
            fault,
            cert: cert.map(Box::new),
        })
    }
}

impl Outbound for SystemOutbound {
    fn http<'a>(&'a self, allow: &'a Allow, request: &'a Request) -> Call<'a, Response> {
        Box::pin(async move {
            let to = request.url.target();
            let trip = Trip::new(&*self.clock, to.to_string(), request.limits);
            let work = async {
                let addresses = self.reach(&trip, allow, to, true).await?;
                let (stream, address) = self.connect(&trip, &addresses).await?;
                if request.url.is_secure() {
                    let (stream, cert) = self.agree(&trip, stream, &to.host).await?;
                    let answer = http::exchange(&trip, stream, request).await?;
                    Ok(answer.from(trip.contact(address, cert)))
                } else {
                    let answer = http::exchange(&trip, stream, request).await?;
                    Ok(answer.from(trip.contact(address, None)))
                }
            };
            self.bounded(&trip, work).await
        })
    }

    fn tcp<'a>(&'a self, allow: &'a Allow, to: &'a Target, limits: Limits) -> Call<'a, Contact> {
        Box::pin(async move {
            let trip = Trip::new(&*self.clock, to.to_string(), limits);
            let work = async {
                let addresses = self.reach(&trip, allow, to, false).await?;
                let (_open, address) = self.connect(&trip, &addresses).await?;
                Ok(trip.contact(address, None))
            };
            self.bounded(&trip, work).await
        })
    }

    fn tls<'a>(
        &'a self,
        allow: &'a Allow,
        to: &'a Target,
        name: Option<&'a Host>,
        limits: Limits,
    ) -> Call<'a, Contact> {
        Box::pin(async move {
            let trip = Trip::new(&*self.clock, to.to_string(), limits);
            let work = async {
                let addresses = self.reach(&trip, allow, to, false).await?;
                let (stream, address) = self.connect(&trip, &addresses).await?;
                let name = name.unwrap_or(&to.host);
                let (_agreed, cert) = self.agree(&trip, stream, name).await?;
                Ok(trip.contact(address, cert))
            };
            self.bounded(&trip, work).await
        })
    }

    fn open<'a>(
        &'a self,
        allow: &'a Allow,
        to: &'a Target,
        secure: bool,
        limits: Limits,
    ) -> Call<'a, Opened> {
        Box::pin(async move {
            let trip = Trip::new(&*self.clock, to.to_string(), limits);
            let work = async {
                let addresses = self.reach(&trip, allow, to, false).await?;
                let (stream, address) = self.connect(&trip, &addresses).await?;
                let (wire, cert): (Box<dyn Wire>, _) = if secure {
                    let (stream, cert) = self.agree(&trip, stream, &to.host).await?;
                    (Box::new(stream), cert)
                } else {
                    (Box::new(stream), None)
                };
                Ok(Opened {
                    wire,
                    is_secure: secure,
                    contact: trip.contact(address, cert),
                })
            };
            self.bounded(&trip, work).await
        })
    }

    fn secure<'a>(&'a self, opened: Opened, to: &'a Target, limits: Limits) -> Call<'a, Opened> {
        Box::pin(async move {
            let trip = Trip::new(&*self.clock, to.to_string(), limits);
            let address = opened.contact.address;
            let work = async {
                let (stream, cert) = self.agree(&trip, opened.wire, &to.host).await?;
                Ok(Opened {
                    wire: Box::new(stream),
                    is_secure: true,
                    contact: trip.contact(address, cert),
                })
            };
            self.bounded(&trip, work).await
        })
    }

    fn dns<'a>(
        &'a self,
        allow: &'a Allow,
        question: &'a Question,
        limits: Limits,
    ) -> Call<'a, Found> {
        Box::pin(async move {
            let trip = Trip::new(&*self.clock, question.name.clone(), limits);
            let work = dns::ask(&*self.clock, &*self.ids, &trip, allow, question);
            self.bounded(&trip, work).await
        })
    }
}

/// One call under way: where to, how far it has come, and how long each part took.
#[derive(Debug)]
pub(super) struct Trip<'a> {
    clock: &'a dyn Clock,
    /// Host and port as they were asked for.
    pub(super) host: String,
    limits: Limits,
    begun: Duration,
    state: Mutex<(Stage, Duration, Timings)>,
}

impl<'a> Trip<'a> {
    fn new(clock: &'a dyn Clock, host: String, limits: Limits) -> Self {
        let begun = clock.uptime();
        Self {
            clock,
            host,
            limits,
            begun,
            state: Mutex::new((Stage::Check, begun, Timings::default())),
        }
    }

    fn state(&self) -> MutexGuard<'_, (Stage, Duration, Timings)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stage begins now.
    pub(super) fn enters(&self, stage: Stage) {
        let now = self.clock.uptime();
        let mut held = self.state();
        (held.0, held.1) = (stage, now);
    }

    /// Notes how long it is since the stage began.
    pub(super) fn took(&self, note: impl FnOnce(&mut Timings, Duration)) {
        let now = self.clock.uptime();
        let mut held = self.state();
        let span = now.saturating_sub(held.1);
        note(&mut held.2, span);
    }

    /// Since the call began.
    pub(super) fn elapsed(&self) -> Duration {
        self.clock.uptime().saturating_sub(self.begun)
    }

    fn contact(&self, address: SocketAddr, cert: Option<CertInfo>) -> Contact {
        let mut timings = self.state().2;
        timings.total = self.elapsed();
        Contact {
            address,
            timings,
            cert,
        }
    }

    fn late(&self, after: Duration) -> OutboundError {
        OutboundError::Deadline {
            host: self.host.clone(),
            stage: self.state().0,
            after,
        }
    }

    /// The far side's answer was none.
    pub(super) fn unanswered(&self, found: impl Into<String>) -> OutboundError {
        OutboundError::Answer {
            host: self.host.clone(),
            found: found.into(),
        }
    }

    /// A connection that was not made: by our own fault where this machine has run out of
    /// something, so that nobody takes it for a fault of the far side.
    pub(super) fn unconnected(&self, address: SocketAddr, source: io::Error) -> OutboundError {
        let own = [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::ADDRNOTAVAIL,
            Errno::PERM,
        ];
        let host = self.host.clone();
        match Errno::from_io_error(&source) {
            Some(errno) if own.contains(&errno) => OutboundError::Local {
                host,
                stage: Stage::Connect,
                found: source.to_string(),
            },
            _ => OutboundError::Connect {
                host,
                address,
                source,
            },
        }
    }
}
