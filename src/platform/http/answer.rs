//! What goes out: answers with `"ok": true`, and the body type all of them share.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::{Body, HttpError};
use crate::base::escape::escape_steering;

/// An answer as the wire sees it.
pub type Answer = http::Response<Body>;

/// Headers on one answer at most: the handler's own and those that every answer carries. Room for
/// them is made once, before the first.
pub(super) const HEADERS: usize = 12;

/// An answer of bytes that are there, 200 unless changed.
pub fn prepared(body: impl Into<Bytes>, content_type: &'static str) -> Answer {
    let mut answer = Answer::new(Body::from(body));
    let headers = answer.headers_mut();
    headers.reserve(HEADERS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// [`prepared`] of JSON.
pub fn json(body: impl Into<Bytes>) -> Answer {
    prepared(body, "application/json")
}

/// Marks an answer that is an error in a form of its own, to be left as it is.
#[derive(Debug, Clone, Copy)]
pub struct Finished;

/// Marks an answer whose body goes on until one side ends it, such as server-sent events. It is
/// exempt from the bound on a request; a client that does not take it is not (rule H1). Its
/// connection is not used again.
#[derive(Debug, Clone, Copy)]
pub struct Endless;

/// `value` as JSON bytes that no screen is steered by. Our own types always serialise.
pub fn json_bytes(value: &impl Serialize) -> Bytes {
    let mut json = serde_json::to_vec(value).unwrap_or_default();
    escape_steering(&mut json, 0);
    Bytes::from(json)
}

/// A success: `value`'s members after `"ok": true`.
#[derive(Debug)]
pub struct Reply<T> {
    status: StatusCode,
    headers: HeaderMap,
    value: T,
}

impl<T: Serialize> Reply<T> {
    /// 200.
    pub fn ok(value: T) -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            value,
        }
    }

    /// 201.
    pub fn created(value: T) -> Self {
        Self {
            status: StatusCode::CREATED,
            ..Self::ok(value)
        }
    }

    /// 202: it has begun and is not done.
    pub fn accepted(value: T) -> Self {
        Self {
            status: StatusCode::ACCEPTED,
            ..Self::ok(value)
        }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// With a revision as `ETag`.
    #[must_use]
    pub fn etag(mut self, revision: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(&format!("\"{revision}\"")) {
            self.headers.insert(ETAG, value);
        }
        self
    }
}

#[derive(Serialize)]
struct WithOk<'a, T> {
    ok: bool,
    #[serde(flatten)]
    value: &'a T,
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        let body = json_bytes(&WithOk {
            ok: true,
            value: &self.value,
        });
        let mut response = Response::new(axum::body::Body::from(body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}

impl IntoResponse for HttpError {
    /// The server's edge fills in the request id: it finds the error in the extensions.
    fn into_response(self) -> Response {
        let mut response = Response::new(axum::body::Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}
