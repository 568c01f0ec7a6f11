//! Errors as RFC 9457 problem documents, one form for all: what failed, what is allowed, the cure.

use http::header::{ALLOW, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{Role, Scope};
use crate::base::escape::escape_steering;

/// An answer that is not a success.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct HttpError {
    /// Status of the answer.
    pub status: StatusCode,
    /// Stable machine word, such as `flag_not_found`; the member `error`.
    pub code: &'static str,
    /// What failed, which thing in backticks, what was found, what is allowed.
    pub detail: String,
    /// The cure.
    pub hint: String,
    /// Seconds for `Retry-After`.
    pub retry_after_secs: Option<u32>,
    /// Further members, such as `nearest` or `problems`.
    pub more: Map<String, Value>,
    /// A further header, such as `Allow`. Boxed, because few errors have one and all are moved.
    pub header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl HttpError {
    /// An error of `status` with its machine word and text.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let (detail, hint, more) = (detail.into(), String::new(), Map::new());
        Self {
            status,
            code,
            detail,
            hint,
            retry_after_secs: None,
            more,
            header: None,
        }
    }

    /// 405, naming the methods that are allowed.
    pub fn method_not_allowed(method: &Method, allowed: &str) -> Self {
        // Any token may be a method: a long one is not worth repeating.
        let name = method.as_str().get(..16).unwrap_or(method.as_str());
        let text = format!("this path has no method `{name}`, allowed are {allowed}");
        let error = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", text);
        error.header(ALLOW, allowed)
    }

    /// 401, the same for every reason (rule H18).
    pub fn unauthorized() -> Self {
        let text = "this route needs a valid key";
        Self::new(StatusCode::UNAUTHORIZED, "key_required", text)
            .hint(
                "send `X-Dash-Key: KEY` or `Authorization: Bearer KEY`; \
                 `echopilot key new` makes a key",
            )
            .header(WWW_AUTHENTICATE, "Bearer realm=\"echopilot\"")
    }

    /// 403, for a key whose role is not enough.
    pub fn forbidden(role: Role, scope: Scope) -> Self {
        let text = format!("a key of role `{}` may not call this route", role.name());
        Self::new(StatusCode::FORBIDDEN, "role_not_allowed", text)
            .hint(format!("use a key of role {}", scope.roles()))
    }

    /// 429.
    pub fn too_many(code: &'static str, detail: impl Into<String>, retry_secs: u32) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail).retry_after(retry_secs)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.header = Some(Box::new((name, value)));
        }
        self
    }

    /// 400.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 404.
    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// 500 for what only a bug can cause; `what` goes to the log, never to the caller.
    pub fn internal(what: &str) -> Self {
        tracing::error!("internal error: {what}");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the server failed on this request",
        )
        .hint("see the server's log for this request id; please report it")
    }

    /// Adds the cure.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// Adds `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, secs: u32) -> Self {
        self.retry_after_secs = Some(secs);
        self
    }

    /// The body as a JSON string: what failed, and the cure.
    pub(super) fn text(&self) -> Vec<u8> {
        let told = if self.hint.is_empty() {
            self.detail.clone()
        } else {
            format!("{}; hint: {}", self.detail, self.hint)
        };
        let mut body = serde_json::to_vec(&told).unwrap_or_default();
        escape_steering(&mut body, 0);
        body
    }

    /// The body, `application/problem+json`.
    pub fn body(&self, request_id: &str) -> Vec<u8> {
        let mut members = Map::new();
        members.insert("ok".into(), json!(false));
        members.insert("error".into(), json!(self.code));
        members.insert("type".into(), json!("about:blank"));
        members.insert(
            "title".into(),
            json!(self.status.canonical_reason().unwrap_or("Error")),
        );
        members.insert("status".into(), json!(self.status.as_u16()));
        members.insert("detail".into(), json!(self.detail));
        if !self.hint.is_empty() {
            members.insert("hint".into(), json!(self.hint));
        }
        members.insert("request_id".into(), json!(request_id));
        members.extend(self.more.clone());
        let mut body = serde_json::to_vec(&members).unwrap_or_default();
        // Errors repeat what was sent, and are read on terminals.
        escape_steering(&mut body, 0);
        body
    }
}
