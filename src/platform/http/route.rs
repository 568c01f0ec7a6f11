//! The route table. Authorisation, limits, the API index, the OpenAPI document and the tests of all
//! of these derive from it; nothing is served that is not in it.

use std::fmt::{self, Debug};
use std::pin::Pin;
use std::sync::Arc;

use axum::routing::MethodRouter;
use bytes::Bytes;
use http::{Method, StatusCode, request};
use schemars::Schema;

use super::{Answer, Call, HttpError, Scope};

/// What a hot handler sees: a request whose guards, key and limits have been checked and whose body
/// has been read.
#[derive(Debug)]
pub struct HotCall<'a> {
    /// Method, target and headers.
    pub parts: &'a request::Parts,
    /// The whole body; empty for GET.
    pub body: Bytes,
    /// Who and when.
    pub call: Call,
}

/// What a hot handler gives: an answer at once, or one that waits for storage.
pub enum HotAnswer {
    /// At once.
    Now(Result<Answer, HttpError>),
    /// After waiting.
    Later(Pin<Box<dyn Future<Output = Result<Answer, HttpError>> + Send>>),
}

/// A handler that is called by hand in front of the router, without extractors.
pub type HotHandler = Arc<dyn Fn(HotCall<'_>) -> HotAnswer + Send + Sync>;

/// A query parameter that the example call goes without.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// Its name.
    pub name: &'static str,
    /// What it may be; the first is what holds without it.
    pub values: &'static [&'static str],
    /// What it decides.
    pub about: &'static str,
}

/// The revision that a caller may name in a header, and what comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// `If-Match`: 412 when the file is at another revision.
    Unmoved,
    /// `If-None-Match`: 304 when it is still at this one.
    Moved,
}

/// One row of the table.
#[derive(Clone)]
pub struct Route {
    /// Method.
    pub method: Method,
    /// Path in axum's form: `/api/flags/get`, `/api/v1/users/{id}`.
    pub path: &'static str,
    /// Who may call.
    pub scope: Scope,
    /// One line, for the API index and OpenAPI's summary.
    pub about: &'static str,
    /// Query of an example call, without `?`; also documents the parameters:
    /// `user=user123&exp=pricing_v2`.
    pub query: &'static str,
    /// Body of an example call; empty for none.
    pub body: &'static str,
    /// Query parameters besides those of the example.
    pub choices: &'static [Choice],
    /// The header that makes the call depend on a revision.
    pub condition: Option<Condition>,
    /// Schema of the request body.
    pub takes: Option<fn() -> Schema>,
    /// Schema of a success.
    pub gives: Option<fn() -> Schema>,
    /// Status of a success.
    pub success: StatusCode,
    /// Content type of a success.
    pub media: &'static str,
    /// Most bytes of body that are read; default 64 KiB.
    pub body_limit: usize,
    /// Content types taken besides `application/json`; `*` is every one, and none.
    pub also_takes: &'static [&'static str],
    /// Whether rate limits for keyless callers apply; probes of liveness are exempt.
    pub limited: bool,
    /// How the paths begin under which errors are told as programs of others read them: as
    /// `application/json`, and those of 400, 404 and 500 as a JSON string. Holds for every path
    /// that begins so, with a row or without.
    pub bare_errors: Option<&'static str>,
    /// The handler behind axum's router.
    pub handler: Option<MethodRouter>,
    /// The handler in front of it.
    pub hot: Option<HotHandler>,
}

/// Body bytes read at most, unless a route says otherwise (rule H2 of the reliability notes).
const DEFAULT_BODY_LIMIT: usize = 64 * 1024;

impl Route {
    /// A row without a handler yet.
    pub fn new(method: Method, path: &'static str, scope: Scope, about: &'static str) -> Self {
        Self {
            method,
            path,
            scope,
            about,
            query: "",
            body: "",
            choices: &[],
            condition: None,
            takes: None,
            gives: None,
            success: StatusCode::OK,
            media: "application/json",
            body_limit: DEFAULT_BODY_LIMIT,
            also_takes: &[],
            limited: true,
            bare_errors: None,
            handler: None,
            hot: None,
        }
    }

    /// GET `path`.
    pub fn get(path: &'static str, scope: Scope, about: &'static str) -> Self {
        Self::new(Method::GET, path, scope, about)
    }

    /// POST `path`.
    pub fn post(path: &'static str, scope: Scope, about: &'static str) -> Self {
        Self::new(Method::POST, path, scope, about)
    }

    /// The example's query.
    #[must_use]
    pub fn query(mut self, query: &'static str) -> Self {
        self.query = query;
        self
    }

    /// The example's body and the schema of bodies.
    #[must_use]
    pub fn takes<T: schemars::JsonSchema>(mut self, body: &'static str) -> Self {
        self.body = body;
        self.takes = Some(|| schemars::schema_for!(T));
        self
    }

    /// The schema of a success.
    #[must_use]
    pub fn gives<T: schemars::JsonSchema>(mut self) -> Self {
        self.gives = Some(|| schemars::schema_for!(T));
        self
    }

    /// A success is 201.
    #[must_use]
    pub fn creates(mut self) -> Self {
        self.success = StatusCode::CREATED;
        self
    }

    /// A success is 202: the work goes on after the answer.
    #[must_use]
    pub fn accepts(mut self) -> Self {
        self.success = StatusCode::ACCEPTED;
        self
    }

    /// A success is plain text.
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.media = "text/plain";
        self
    }

    /// Depends on a revision, if the caller names one.
    #[must_use]
    pub fn condition(mut self, condition: Condition) -> Self {
        self.condition = Some(condition);
        self
    }

    /// Served by axum.
    #[must_use]
    pub fn handler(mut self, handler: MethodRouter) -> Self {
        self.handler = Some(handler);
        self
    }

    /// Served by hand.
    #[must_use]
    pub fn hot(mut self, hot: HotHandler) -> Self {
        self.hot = Some(hot);
        self
    }
}

impl Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({:?})", self.method, self.path, self.scope)
    }
}

/// Rows of one capability, or of all.
pub type Routes = Vec<Route>;
