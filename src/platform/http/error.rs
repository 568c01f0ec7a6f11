//! Errors as RFC 9457 problem documents, one form for all: what failed, what is allowed, the cure.

use http::StatusCode;
use serde_json::{Map, Value, json};

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
        }
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
        serde_json::to_vec(&members).unwrap_or_default()
    }
}
