//! The last step of every answer: errors become problem documents, and the headers that all answers
//! carry are put on (rules H11 and H18).

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::answer::HEADERS;
use super::{Answer, Body, Finished, HttpError};
use crate::base::digits::Digits;
use crate::base::hex;
use crate::platform::limits::{Quota, Verdict};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// One request on its way through: what its answer must carry, and what is counted of it.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    pub(super) request_id: u64,
    pub(super) now: DateTime<Utc>,
    /// Uptime at which its head was read.
    pub(super) started: Duration,
    /// Its row of the table, once found.
    pub(super) row: Option<usize>,
    /// What is left of the caller's share, with `RateLimit-Policy`.
    pub(super) share: Option<(Verdict, HeaderValue)>,
    /// Whether errors are told as [`super::Route::bare_errors`] says.
    pub(super) bare_errors: bool,
}

impl Pass {
    pub(super) fn note_share(&mut self, quota: &Quota, verdict: Verdict) {
        self.share = Some((verdict, quota.policy().clone()));
    }
}

/// The current second as `Date` wants it, made once a second.
#[derive(Debug)]
pub(super) struct DateCache {
    made: ArcSwap<(i64, HeaderValue)>,
}

impl DateCache {
    pub(super) fn new() -> Self {
        Self {
            made: ArcSwap::from_pointee((i64::MIN, HeaderValue::from_static(""))),
        }
    }

    fn at(&self, now: DateTime<Utc>) -> HeaderValue {
        let made = self.made.load();
        let second = now.timestamp();
        if made.0 == second {
            return made.1.clone();
        }
        let text = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        self.made.store(Arc::new((second, value.clone())));
        value
    }
}

/// `result` as it goes out.
pub(super) fn finish(result: Result<Answer, HttpError>, pass: &Pass, dates: &DateCache) -> Answer {
    let id = hex::sixteen(&pass.request_id.to_be_bytes());
    let mut answer = match result {
        Ok(mut answer) => match answer.extensions_mut().remove::<HttpError>() {
            Some(error) => problem(&error, pass, &id, std::mem::take(answer.headers_mut())),
            None if is_foreign_error(&answer) => {
                let headers = std::mem::take(answer.headers_mut());
                problem(&of_status(answer.status()), pass, &id, headers)
            }
            None => answer,
        },
        Err(error) => problem(&error, pass, &id, HeaderMap::new()),
    };
    let headers = answer.headers_mut();
    headers.reserve(HEADERS.saturating_sub(headers.len()));
    headers.insert(header::DATE, dates.at(pass.now));
    // Copied, not formatted: the id is hex already.
    if let Ok(id) = HeaderValue::from_bytes(&id) {
        headers.insert(X_REQUEST_ID, id);
    }
    if let Some((verdict, policy)) = &pass.share {
        headers.insert(RATE_LIMIT, share_value(*verdict));
        headers.insert(RATE_LIMIT_POLICY, policy.clone());
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CORP, HeaderValue::from_static("same-origin"));
    answer
}

/// Bytes of a share's text at most: its words, and two numbers of 32 bits.
const SHARE: usize = 40;

fn share_value(verdict: Verdict) -> HeaderValue {
    let mut text = [0; SHARE];
    let mut end = 0;
    let mut put = |piece: &[u8]| {
        if let Some(place) = text.get_mut(end..end + piece.len()) {
            place.copy_from_slice(piece);
            end += piece.len();
        }
    };
    put(b"\"default\";r=");
    put(Digits::of(u64::from(verdict.remaining)).as_bytes());
    put(b";t=");
    put(Digits::of(u64::from(verdict.reset_secs)).as_bytes());
    let text = text.get(..end).unwrap_or_default();
    HeaderValue::from_bytes(text).unwrap_or(HeaderValue::from_static("\"default\""))
}

/// An error that did not come from us, such as a refusal by one of axum's extractors.
fn is_foreign_error(answer: &Answer) -> bool {
    let status = answer.status();
    let json = || {
        let kind = answer.headers().get(header::CONTENT_TYPE);
        kind.is_some_and(|kind| memchr::memmem::find(kind.as_bytes(), b"json").is_some())
    };
    (status.is_client_error() || status.is_server_error())
        && !json()
        && answer.extensions().get::<Finished>().is_none()
}

fn of_status(status: StatusCode) -> HttpError {
    let (code, detail) = match status {
        StatusCode::NOT_FOUND => ("route_not_found", "there is nothing at this path"),
        StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "this path has no such method"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (
            "unsupported_media_type",
            "the body is not of a kind that is taken here",
        ),
        status if status.is_server_error() => ("internal", "the server failed on this request"),
        _ => ("bad_request", "the request is not what this route takes"),
    };
    HttpError::new(status, code, detail).hint("see `GET /openapi.json`")
}

fn problem(error: &HttpError, pass: &Pass, id: &[u8; 16], mut headers: HeaderMap) -> Answer {
    let is_text = matches!(error.status.as_u16(), 400 | 404 | 500);
    let body = if pass.bare_errors && is_text {
        error.text()
    } else {
        error.body(std::str::from_utf8(id).unwrap_or_default())
    };
    let kind = if pass.bare_errors {
        "application/json"
    } else {
        "application/problem+json"
    };
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(secs) = error.retry_after_secs {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
    }
    if let Some((name, value)) = error.header.as_deref() {
        headers.insert(name.clone(), value.clone());
    }
    let mut answer = Answer::new(Body::from(body));
    *answer.status_mut() = error.status;
    *answer.headers_mut() = headers;
    answer
}
