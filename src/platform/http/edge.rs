//! One request, from its head to its answer: guards, route, key, limits, body, handler, headers.
//! The order is the design: nothing is read before it is bounded, nothing is looked up before the
//! request is sound, nothing is run before the caller may.

use std::future::poll_fn;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::request::Parts;
use http::{Request, StatusCode};
use hyper::body::Body as _;
use tower::ServiceExt as _;

use super::Table;
use super::finish::{DateCache, Pass, finish};
use super::guard::{Seen, ambiguous_length};
use super::intake::{self, Bounds};
use super::patience::{Awaits, Patience};
use super::rules::{InForce, LiveRules, client_address};
use super::{Answer, Body, Call, Caller, HotAnswer, HotCall, HttpError, Route, Scope};
use crate::platform::auth::Gate;
use crate::platform::limits::{Addresses, Bucket};
use crate::platform::telemetry::{HttpMetrics, Refusal};
use crate::seams::clock::Clock;

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    /// Address of the peer.
    pub(super) peer: IpAddr,
    /// Our own address on this connection.
    pub(super) local: Option<IpAddr>,
}

/// Everything that requests share.
pub(super) struct Edge {
    pub(super) table: Arc<Table>,
    pub(super) gate: Arc<Gate>,
    pub(super) rules: LiveRules,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<HttpMetrics>,
    pub(super) router: axum::Router,
    pub(super) dates: DateCache,
    pub(super) next_id: AtomicU64,
    pub(super) anonymous: Caller,
    pub(super) shares: Shares,
}

/// What callers without a key have left.
#[derive(Debug, Default)]
pub(super) struct Shares {
    keyless: Addresses,
    keyless_total: Bucket,
    failed: Addresses,
}

/// A request that may go on.
pub(super) struct Admitted {
    pub(super) row: usize,
    pub(super) call: Call,
    pub(super) bounds: Bounds,
    pub(super) total: Duration,
}

impl Edge {
    /// A fresh pass for a request whose head has just been read.
    pub(super) fn pass(&self) -> Pass {
        Pass {
            request_id: self.next_id.fetch_add(1, Ordering::Relaxed),
            now: self.clock.now(),
            started: self.clock.uptime(),
            row: None,
            share: None,
            bare_errors: false,
        }
    }

    /// Everything that is decided on the head alone.
    pub(super) fn admit(
        &self,
        parts: &Parts,
        origin: Origin,
        declared: Declared,
        pass: &mut Pass,
    ) -> Result<Admitted, HttpError> {
        pass.bare_errors = self.table.has_bare_errors(parts.uri.path());
        let rules = self.rules.get();
        let seen = Seen::of(parts);
        seen.check(&parts.uri, &rules, origin.local)?;
        if seen.is_chunked() && declared.hidden_length {
            return Err(ambiguous_length());
        }
        let forwarded = seen.forwarded.map(http::HeaderValue::as_bytes);
        let client = client_address(origin.peer, forwarded, &rules.trusted_proxies);
        let found = self.table.find(&parts.method, parts.uri.path());
        let row = found.as_ref().ok().map(|(row, _)| *row);
        pass.row = row;
        let scope = found
            .as_ref()
            .map_or(Scope::Public, |(_, route)| route.scope);
        let limited = found.as_ref().map_or(true, |(_, route)| route.limited);
        let token = seen.credentials.token()?;
        let caller = self.identify(token, scope, client, limited, &rules, pass)?;
        let (row, route) = found?;
        check_content_type(route, &seen, declared.length)?;
        let bounds = Bounds {
            bytes: route.body_limit,
            gap: rules.body_gap,
            total: rules.body_total,
        };
        if declared.length > bounds.bytes as u64 {
            return Err(bounds.too_large());
        }
        Ok(Admitted {
            row,
            call: Call {
                caller,
                now: pass.now,
                request_id: pass.request_id,
            },
            bounds,
            total: rules.request_total,
        })
    }

    /// Who calls, if they may call a route of `scope` and have requests left.
    fn identify(
        &self,
        token: Option<&[u8]>,
        scope: Scope,
        client: IpAddr,
        limited: bool,
        rules: &InForce,
        pass: &mut Pass,
    ) -> Result<Caller, HttpError> {
        let Some(token) = token else {
            if limited {
                self.take_keyless(client, rules, pass)?;
            }
            return match scope {
                Scope::Public => Ok(self.anonymous.clone()),
                _ => Err(HttpError::unauthorized()),
            };
        };
        let ring = self.gate.ring();
        let Some(key) = ring.find(token, pass.now) else {
            return Err(self.wrong_key(client, rules, pass));
        };
        let quota = key.quota().unwrap_or(&rules.key);
        let verdict = key.usage().bucket.take(quota, pass.started);
        pass.note_share(quota, verdict);
        if !verdict.allowed {
            self.metrics.refuse(Refusal::Rate);
            let text = format!("this key has used its {} requests a minute", quota.count());
            return Err(HttpError::too_many(
                "rate_limited",
                text,
                verdict.retry_secs,
            ));
        }
        if !key.role().may(scope) {
            return Err(HttpError::forbidden(key.role(), scope));
        }
        Ok(key.caller().clone())
    }

    fn take_keyless(
        &self,
        client: IpAddr,
        rules: &InForce,
        pass: &mut Pass,
    ) -> Result<(), HttpError> {
        let quota = if client.is_loopback() {
            &rules.loopback
        } else {
            &rules.keyless
        };
        let most = rules.remembered_addresses;
        let own = self.shares.keyless.take(client, quota, pass.started, most);
        pass.note_share(quota, own);
        let verdict = if own.allowed {
            self.shares
                .keyless_total
                .take(&rules.keyless_total, pass.started)
        } else {
            own
        };
        if verdict.allowed {
            return Ok(());
        }
        self.metrics.refuse(Refusal::Rate);
        let text = if own.allowed {
            format!(
                "callers without a key have used their {} requests a minute together",
                rules.keyless_total_per_minute
            )
        } else {
            format!(
                "your address has used its {} requests a minute without a key",
                quota.count()
            )
        };
        Err(
            HttpError::too_many("rate_limited", text, verdict.retry_secs)
                .hint("wait, or send a key, which has its own limit"),
        )
    }

    fn wrong_key(&self, client: IpAddr, rules: &InForce, pass: &mut Pass) -> HttpError {
        let quota = &rules.failed;
        let most = rules.remembered_addresses;
        let verdict = self.shares.failed.take(client, quota, pass.started, most);
        pass.note_share(quota, verdict);
        if verdict.allowed {
            return HttpError::unauthorized();
        }
        self.metrics.refuse(Refusal::Auth);
        let text = "too many wrong keys came from your address";
        HttpError::too_many("too_many_failures", text, verdict.retry_secs)
    }

    /// Runs the handler of an admitted request.
    pub(super) async fn run(
        &self,
        admitted: Admitted,
        parts: Parts,
        body: Bytes,
    ) -> Result<Answer, HttpError> {
        let Some(route) = self.table.rows().get(admitted.row) else {
            return Err(HttpError::internal("a route that is not in the table"));
        };
        match self.run_hot(route, &parts, &body, &admitted.call) {
            Some(HotAnswer::Now(result)) => result,
            Some(HotAnswer::Later(later)) => later.await,
            None => self.run_axum(parts, body, admitted.call).await,
        }
    }

    /// The answer of a hot handler; `None` when the row has none.
    pub(super) fn run_hot(
        &self,
        route: &Route,
        parts: &Parts,
        body: &Bytes,
        call: &Call,
    ) -> Option<HotAnswer> {
        let hot = route.hot.as_ref()?;
        let call = HotCall {
            parts,
            body: body.clone(),
            call: call.clone(),
        };
        // State behind a handler is only ever swapped whole, so a panic cannot leave it half done.
        let answer = catch_unwind(AssertUnwindSafe(|| hot(call)));
        Some(answer.unwrap_or_else(|_told| HotAnswer::Now(Err(self.panicked()))))
    }

    async fn run_axum(&self, parts: Parts, body: Bytes, call: Call) -> Result<Answer, HttpError> {
        let mut request = Request::from_parts(parts, axum::body::Body::from(body));
        request.extensions_mut().insert(call);
        let Ok(answer) = self.router.clone().oneshot(request).await;
        Ok(answer.map(Body::Routed))
    }

    /// Reads the body and runs the handler, within the bounds of the request, panics fenced.
    pub(super) async fn carry<B>(
        self: Arc<Self>,
        admitted: Admitted,
        parts: Parts,
        body: B,
        pass: Pass,
        patience: &Patience,
    ) -> Answer
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
    {
        let Some(_place) = self.place() else {
            return self.busy(&pass);
        };
        let until = pass.started + admitted.total;
        let bounds = admitted.bounds;
        let result = self.fenced(until, patience, async {
            let body = intake::read(body, bounds, patience).await?;
            patience.wait_for(Awaits::Answer, until);
            self.run(admitted, parts, body).await
        });
        self.finish(result.await, &pass)
    }

    /// Waits for the answer of a hot handler, within the bound of the request, panics fenced.
    pub(super) async fn wait(
        self: Arc<Self>,
        later: impl Future<Output = Result<Answer, HttpError>> + Send,
        total: Duration,
        pass: Pass,
        patience: &Patience,
    ) -> Answer {
        let Some(_place) = self.place() else {
            return self.busy(&pass);
        };
        let until = pass.started + total;
        self.finish(self.fenced(until, patience, later).await, &pass)
    }

    async fn fenced(
        &self,
        until: Duration,
        patience: &Patience,
        work: impl Future<Output = Result<Answer, HttpError>> + Send,
    ) -> Result<Answer, HttpError> {
        patience.wait_for(Awaits::Answer, until);
        let mut fenced = pin!(AssertUnwindSafe(work).catch_unwind());
        let outcome = poll_fn(|cx| match fenced.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if patience.is_spent_on(Awaits::Answer) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        match outcome.await {
            Some(Ok(result)) => result,
            Some(Err(_told)) => Err(self.panicked()),
            None => Err(HttpError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "timed_out",
                "the request was not done in time",
            )
            .retry_after(1)),
        }
    }

    fn busy(&self, pass: &Pass) -> Answer {
        self.metrics.refuse(Refusal::Work);
        let text = "the server has too many requests in work";
        let busy = HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text);
        self.finish(Err(busy.retry_after(1)), pass)
    }

    /// The answer as it goes out, counted.
    pub(super) fn finish(&self, result: Result<Answer, HttpError>, pass: &Pass) -> Answer {
        let answer = finish(result, pass, &self.dates);
        let took = self.clock.uptime().saturating_sub(pass.started);
        let sent = answer.body().size_hint().lower();
        self.metrics
            .answered(pass.row, answer.status().as_u16(), took, sent);
        answer
    }

    fn panicked(&self) -> HttpError {
        self.metrics.panics.fetch_add(1, Ordering::Relaxed);
        HttpError::internal("a request handler panicked")
    }

    /// A place among the requests in work, given back on drop; `None` when all are taken.
    fn place(&self) -> Option<Place> {
        let most = self.rules.get().max_in_work as u64;
        let before = self.metrics.in_work.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&self.metrics));
        (before < most).then_some(place)
    }
}

/// One of the requests in work.
struct Place(Arc<HttpMetrics>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_work.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is known of a body before it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Declared {
    /// Bytes at least.
    pub(super) length: u64,
    /// Whether a `Content-Length` was sent that hyper took away.
    pub(super) hidden_length: bool,
}

/// Bodies are JSON, or what the row takes besides. An empty body needs no type.
fn check_content_type(route: &Route, seen: &Seen<'_>, length: u64) -> Result<(), HttpError> {
    if length == 0 && !seen.is_chunked() {
        return Ok(());
    }
    let kind = seen.content_type.map(http::HeaderValue::as_bytes);
    let kind = kind.map(|kind| kind.split(|byte| *byte == b';').next().unwrap_or_default());
    let kind = kind.unwrap_or_default().trim_ascii();
    let taken = |allowed: &str| kind.eq_ignore_ascii_case(allowed.as_bytes());
    let any = route.also_takes.contains(&"*");
    if any || taken("application/json") || route.also_takes.iter().any(|allowed| taken(allowed)) {
        return Ok(());
    }
    let mut allowed = vec!["application/json"];
    allowed.extend(route.also_takes);
    let text = format!("the body must be one of: {}", allowed.join(", "));
    Err(HttpError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        text,
    )
    .hint("with curl: -H 'Content-Type: application/json'"))
}
