//! Answers as Alertmanager's clients read them: bare JSON, and a JSON string for a refusal. What
//! every route of ours may say, such as that storage is full, the server puts into that form.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;

use super::super::silences::SilenceError;
use crate::platform::http::{HttpError, json_bytes};
use crate::storage::engine::StorageError;

/// Why a call is refused.
#[derive(Debug)]
pub(super) enum Fault {
    /// In Alertmanager's form.
    Said(StatusCode, String),
    /// In our own.
    Http(Box<HttpError>),
}

impl Fault {
    /// 400.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self::Said(StatusCode::BAD_REQUEST, text.into())
    }
}

impl From<StorageError> for Fault {
    fn from(error: StorageError) -> Self {
        Self::Http(Box::new(error.into()))
    }
}

impl From<SilenceError> for Fault {
    fn from(error: SilenceError) -> Self {
        let text = error.to_string();
        match error {
            SilenceError::Unknown { .. } => Self::Said(StatusCode::NOT_FOUND, text),
            SilenceError::Over { .. } | SilenceError::Refused { .. } => Self::bad(text),
            SilenceError::Storage(error) => error.into(),
            SilenceError::Lost => Self::Http(Box::new(HttpError::internal(&text))),
        }
    }
}

/// A success, without the member `ok` that our own answers have.
#[derive(Debug)]
pub(super) struct Bare<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Bare<T> {
    fn into_response(self) -> Response {
        answer(StatusCode::OK, &self.0)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        match self {
            Self::Http(error) => error.into_response(),
            Self::Said(status, text) => answer(status, &text),
        }
    }
}

fn answer(status: StatusCode, value: &impl Serialize) -> Response {
    let mut response = Response::new(axum::body::Body::from(json_bytes(value)));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
