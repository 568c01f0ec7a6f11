//! The server: an accept loop of its own on hyper's HTTP/1 connections, with a bound on everything
//! a client can make it hold (rules H1 to H3).

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::{self, Debug};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{self, HeaderValue};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tracing::{error, warn};

use super::edge::{Admitted, Declared, Edge, Origin, Shares};
use super::finish::{DateCache, Pass};
use super::intake::Bounds;
use super::patience::{Awaits, Patience, Watch};
use super::spare::SpareHandle;
use super::stream::ClientStream;
use super::{Answer, Call, Caller, Endless, HotAnswer, HttpError, LiveRules, Scope, Table};
use crate::platform::auth::Gate;
use crate::platform::lifecycle::{Tasks, within};
use crate::platform::telemetry::{HttpMetrics, Refusal};
use crate::seams::clock::Clock;

/// Headers of a request at most (rule H2).
const MAX_HEADERS: usize = 64;
/// Bytes of a request head at most (rule H2).
const MAX_HEAD: usize = 32 * 1024;
/// Wait after a failed accept (rule H3): long enough for a handle to come free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a server is made of, besides its table.
#[derive(Debug, Clone)]
pub struct ServerParts {
    /// Who may call.
    pub gate: Arc<Gate>,
    /// What is allowed.
    pub rules: LiveRules,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where connections run.
    pub tasks: Tasks,
}

/// The server.
#[derive(Clone)]
pub struct Server {
    edge: Arc<Edge>,
    tasks: Tasks,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    watch: Arc<Watch>,
}

impl Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    /// A server of `table`.
    pub fn new(table: Arc<Table>, metrics: Arc<HttpMetrics>, parts: ServerParts) -> Self {
        // The wall clock in the upper bits keeps ids of several runs apart in one log.
        let millis = u64::try_from(parts.clock.now().timestamp_millis()).unwrap_or(0);
        let edge = Edge {
            router: table.router(),
            table,
            gate: parts.gate,
            rules: parts.rules,
            clock: parts.clock,
            metrics,
            dates: DateCache::new(),
            next_id: AtomicU64::new(millis << 20),
            anonymous: Caller {
                name: "anonymous".into(),
                role: None,
            },
            shares: Shares::default(),
        };
        Self {
            edge: Arc::new(edge),
            tasks: parts.tasks,
            open: Arc::default(),
            watch: Arc::default(),
        }
    }

    /// Serves `listener` until the tasks' soft word, then lets requests in work end. Who has
    /// connected by then is served too: with the listener ends the queue in the kernel.
    pub async fn serve(&self, listener: TcpListener) {
        self.accept_until_stop(&listener).await;
        self.admit_queued(listener);
        self.watch.no_more();
    }

    /// The same for a listener that somebody else holds too, such as the service manager: who is in
    /// the kernel's queue is left to the process that comes next.
    pub async fn serve_shared(&self, listener: TcpListener) {
        self.accept_until_stop(&listener).await;
        self.watch.no_more();
    }

    async fn accept_until_stop(&self, listener: &TcpListener) {
        let stop = self.tasks.soft().clone();
        self.look_after_connections();
        let mut failing = false;
        let mut spare = SpareHandle::take();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    failing = false;
                    self.admit(stream, peer);
                }
                Err(error) => {
                    // Told once, not ten times a second: the state lasts until handles come free.
                    if !failing {
                        error!(%error, "cannot accept connections, trying on");
                    }
                    failing = true;
                    if spare.turn_away(&error, listener) {
                        self.edge.metrics.refuse(Refusal::Connections);
                        continue;
                    }
                    within(&*self.edge.clock, ACCEPT_PAUSE, stop.cancelled()).await;
                }
            }
        }
    }

    /// Takes in whoever is in the kernel's queue, without waiting for more.
    fn admit_queued(&self, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else {
            return;
        };
        // Who goes on connecting must not keep us from stopping.
        for _ in 0..self.edge.rules.get().max_connections {
            // An error means that nobody is left, or that nobody can be let in.
            let Ok((stream, peer)) = listener.accept() else {
                return;
            };
            let stream = stream.set_nonblocking(true).map(|()| stream);
            if let Ok(stream) = stream.and_then(TcpStream::from_std) {
                self.admit(stream, peer);
            }
        }
    }

    /// Gets ready for connections that somebody else accepts; see [`Server::adopt`].
    pub fn begin(&self) {
        self.look_after_connections();
    }

    /// Serves a connection that somebody else accepted.
    pub fn adopt(&self, stream: TcpStream, peer: SocketAddr) {
        self.admit(stream, peer);
    }

    fn look_after_connections(&self) {
        let (server, soft) = (self.clone(), self.tasks.soft().clone());
        let hard = self.tasks.hard().clone();
        self.tasks.spawn("patience", async move {
            let drain = || server.edge.rules.get().drain;
            server
                .watch
                .run(&*server.edge.clock, &soft, &hard, drain)
                .await;
        });
    }

    /// Runs a connection, if there is room for it.
    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let metrics = &self.edge.metrics;
        metrics.accepted.fetch_add(1, Ordering::Relaxed);
        let Some(seat) = self.seat(peer.ip().to_canonical()) else {
            // Dropping it closes it: a client over the bound gets no work out of us.
            metrics.refuse(Refusal::Connections);
            return;
        };
        // Answers are small and written whole; waiting for more would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            warn!(%error, "cannot set TCP_NODELAY");
        }
        let rules = self.edge.rules.get();
        let patience = Arc::new(Patience::new(
            Arc::clone(&self.edge.clock),
            rules.head_timeout,
        ));
        self.watch.add(&patience);
        let ambiguous = Arc::new(AtomicBool::new(false));
        let origin = Origin {
            peer: peer.ip(),
            local: stream.local_addr().ok().map(|address| address.ip()),
        };
        let service = Service(Arc::new(Connection {
            edge: Arc::clone(&self.edge),
            origin,
            ambiguous: Arc::clone(&ambiguous),
            patience: Arc::clone(&patience),
        }));
        let stream = ClientStream::new(
            stream,
            Arc::clone(&patience),
            rules.write_stall,
            ambiguous,
            Arc::clone(&self.edge.metrics),
        );
        let connection = http1::Builder::new()
            // `Patience` bounds heads and bodies alike, without a timer for each.
            .header_read_timeout(None)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD)
            .auto_date_header(false)
            .half_close(false)
            .serve_connection(TokioIo::new(stream), service);
        self.tasks.spawn("connection", async move {
            let _seat = seat;
            run_connection(connection, &patience).await;
        });
    }

    /// A place among the open connections; `None` when there is none left.
    fn seat(&self, peer: IpAddr) -> Option<Seat> {
        let rules = self.edge.rules.get();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = &self.edge.metrics;
        if metrics.connections.load(Ordering::Relaxed) >= rules.max_connections as u64 {
            return None;
        }
        // A proxy brings the connections of many clients.
        let proxy = rules
            .trusted_proxies
            .iter()
            .any(|network| network.holds(peer));
        let own = open.entry(peer).or_default();
        if *own >= rules.max_connections_per_ip && !proxy {
            return None;
        }
        *own += 1;
        metrics.connections.fetch_add(1, Ordering::Relaxed);
        Some(Seat {
            open: Arc::clone(&self.open),
            metrics: Arc::clone(metrics),
            peer,
        })
    }

    /// Answers `request` without a socket, as a caller who is known already: network guards and
    /// limits do not apply, scopes do.
    pub async fn dispatch(&self, request: Request<Bytes>, caller: Caller) -> Answer {
        let (parts, body) = request.into_parts();
        let mut pass = self.edge.pass();
        let admitted = self.admit_known(&parts, caller, &mut pass);
        match admitted {
            Ok(admitted) => {
                let body = http_body_util::Full::new(body);
                let clock = Arc::clone(&self.edge.clock);
                let endless = Patience::new(clock, Duration::MAX);
                let edge = Arc::clone(&self.edge);
                edge.carry(admitted, parts, body, pass, &endless).await
            }
            Err(error) => self.edge.finish(Err(error), &pass),
        }
    }

    fn admit_known(
        &self,
        parts: &http::request::Parts,
        caller: Caller,
        pass: &mut Pass,
    ) -> Result<Admitted, HttpError> {
        pass.bare_errors = self.edge.table.has_bare_errors(parts.uri.path());
        let (row, route) = self.edge.table.find(&parts.method, parts.uri.path())?;
        pass.row = Some(row);
        match caller.role {
            Some(role) if !role.may(route.scope) => {
                return Err(HttpError::forbidden(role, route.scope));
            }
            None if route.scope != Scope::Public => return Err(HttpError::unauthorized()),
            _ => {}
        }
        let rules = self.edge.rules.get();
        Ok(Admitted {
            row,
            call: Call {
                caller,
                now: pass.now,
                request_id: pass.request_id,
            },
            bounds: Bounds {
                bytes: route.body_limit,
                gap: rules.body_gap,
                total: rules.body_total,
            },
            total: rules.request_total,
        })
    }
}

/// One open connection, given back on drop.
struct Seat {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    metrics: Arc<HttpMetrics>,
    peer: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.metrics.connections.fetch_sub(1, Ordering::Relaxed);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.peer) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.peer);
            }
        }
    }
}

type ClientConnection = http1::Connection<TokioIo<ClientStream>, Service>;

/// Drives a connection to its end; it ends earlier when the patience with it does.
async fn run_connection(connection: ClientConnection, patience: &Patience) {
    let mut connection = pin!(connection);
    let mut asked = false;
    poll_fn(|cx| {
        patience.register(cx.waker());
        // Errors here are the client's doing (reset, malformed head): its connection is closed, and
        // there is nobody to tell.
        let mut polled = connection.as_mut().poll(cx).map(drop);
        // Only after a look for what has come: a request that was sent is answered.
        if polled.is_pending() && patience.is_closing() && !asked {
            asked = true;
            connection.as_mut().graceful_shutdown();
            polled = connection.as_mut().poll(cx).map(drop);
        }
        if patience.is_over() {
            return Poll::Ready(());
        }
        polled
    })
    .await;
}

/// What the requests of one connection share.
struct Connection {
    edge: Arc<Edge>,
    origin: Origin,
    /// Whether a head came in that tells the end of its body in two ways.
    ambiguous: Arc<AtomicBool>,
    patience: Arc<Patience>,
}

struct Service(Arc<Connection>);

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Answer;
    type Error = Infallible;
    type Future = Serving;

    fn call(&self, request: Request<Incoming>) -> Serving {
        let connection = &*self.0;
        let edge = &connection.edge;
        let (parts, body) = request.into_parts();
        let mut pass = edge.pass();
        let declared = connection.declared(&body);
        let admitted = match edge.admit(&parts, connection.origin, declared, &mut pass) {
            Ok(admitted) => admitted,
            Err(error) => return connection.done(edge.finish(Err(error), &pass), &pass),
        };
        let route = edge.table.rows().get(admitted.row);
        if body.is_end_stream()
            && let Some(route) = route
            && let Some(hot) = edge.run_hot(route, &parts, &Bytes::new(), &admitted.call)
        {
            return match hot {
                HotAnswer::Now(result) => connection.done(edge.finish(result, &pass), &pass),
                HotAnswer::Later(later) => {
                    let connection = Arc::clone(&self.0);
                    Serving::Later(Box::pin(async move {
                        let (edge, patience) = (Arc::clone(&connection.edge), &connection.patience);
                        let answer = edge.wait(later, admitted.total, pass, patience).await;
                        connection.given(answer, patience.now())
                    }))
                }
            };
        }
        let connection = Arc::clone(&self.0);
        Serving::Later(Box::pin(async move {
            let (edge, patience) = (Arc::clone(&connection.edge), &connection.patience);
            let answer = edge.carry(admitted, parts, body, pass, patience).await;
            connection.given(answer, patience.now())
        }))
    }
}

impl Connection {
    /// An answer that is there already; the next head is waited for from the time of this one.
    fn done(&self, answer: Answer, pass: &Pass) -> Serving {
        Serving::Now(Some(self.given(answer, pass.started)))
    }

    /// `answer` as it is given at `now`: the last one here says so, and hyper then closes.
    fn given(&self, mut answer: Answer, now: Duration) -> Answer {
        let endless = answer.extensions_mut().remove::<Endless>().is_some();
        if endless {
            self.patience.wait_for(Awaits::Answer, Duration::MAX);
        } else {
            self.patience.wait_for_head(now);
        }
        if endless || self.patience.is_stopping() {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(header::CONNECTION, close);
        }
        answer
    }

    /// What can be said of the body from its head.
    fn declared(&self, body: &Incoming) -> Declared {
        Declared {
            length: body.size_hint().lower(),
            hidden_length: self.ambiguous.load(Ordering::Relaxed),
        }
    }
}

/// An answer that is there, or one that is being worked on. Only the latter costs an allocation.
enum Serving {
    Now(Option<Answer>),
    Later(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

impl Future for Serving {
    type Output = Result<Answer, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Now(answer) => answer
                .take()
                .map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
            Self::Later(work) => work.as_mut().poll(cx).map(Ok),
        }
    }
}
