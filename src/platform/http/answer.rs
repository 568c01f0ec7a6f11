//! What goes out: answers with `"ok": true`, and the body type all of them share.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::HttpError;

/// Body of every answer.
pub type Body = axum::body::Body;

/// An answer as the wire sees it.
pub type Answer = http::Response<Body>;

/// Marks an answer that is an error in a form of its own, to be left as it is.
#[derive(Debug, Clone, Copy)]
pub struct Finished;

/// `value` as JSON bytes. Our own types always serialise.
pub fn json_bytes(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .unwrap_or_default()
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
        let mut response = Response::new(Body::from(body));
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
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}
