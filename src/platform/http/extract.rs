//! Extractors that refuse in our own words: JSON bodies with every problem at once, queries without
//! unknown parameters, and `If-Match`.

use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::header::IF_MATCH;
use http::request::Parts;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::HttpError;
use crate::base::problems::Problems;
use crate::platform::config::typed;
use crate::storage::engine::Revision;

/// A JSON body, checked against the schema of its type. Unknown members are refused.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned + JsonSchema + 'static> JsonBody<T> {
    /// Reads a body.
    pub fn read(body: &[u8]) -> Result<T, HttpError> {
        if body.is_empty() {
            return Err(HttpError::bad_request(
                "empty_body",
                "the request has no body, JSON is needed",
            )
            .hint("send it with `-H 'Content-Type: application/json' -d '{…}'`"));
        }
        let mut problems = Problems::new("body");
        let value = problems
            .parse(body)
            .and_then(|tree| typed::<T>(&tree, &mut problems))
            .filter(|_| problems.is_empty());
        value.ok_or_else(|| refused("body", &problems))
    }
}

/// What is wrong with `what`, all of it.
pub(super) fn refused(what: &str, problems: &Problems) -> HttpError {
    let first = problems.iter().next();
    let detail = first.map_or("the body is not what this route takes", |problem| {
        &problem.message
    });
    let mut error = HttpError::bad_request("bad_body", format!("cannot take the {what}: {detail}"));
    if let Some(problem) = first {
        error = error.hint(problem.hint.clone());
        if let Some(nearest) = &problem.nearest {
            error = error.with("nearest", nearest.as_str());
        }
    }
    let all: Vec<_> = problems
        .iter()
        .filter_map(|one| serde_json::to_value(one).ok())
        .collect();
    error.with("problems", all)
}

impl<S: Send + Sync, T: DeserializeOwned + JsonSchema + 'static> FromRequest<S> for JsonBody<T> {
    type Rejection = HttpError;

    async fn from_request(request: Request, state: &S) -> Result<Self, HttpError> {
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|_| HttpError::bad_request("bad_body", "the body cannot be read"))?;
        Self::read(&body).map(Self)
    }
}

/// The query as a struct with `deny_unknown_fields`.
#[derive(Debug)]
pub struct QueryParams<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryParams<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, HttpError> {
        axum::extract::Query::<T>::try_from_uri(&parts.uri)
            .map(|query| Self(query.0))
            .map_err(|rejection| {
                use std::error::Error as _;
                let why = rejection
                    .source()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                HttpError::bad_request("bad_query", format!("cannot take the query: {why}"))
                    .hint("`echopilot api` lists the parameters of each route")
            })
    }
}

/// The revision in `If-Match`, if the caller names one. `*` means: whatever is there.
#[derive(Debug)]
pub struct BasedOn(pub Option<Revision>);

impl<S: Send + Sync> FromRequestParts<S> for BasedOn {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, HttpError> {
        let Some(value) = parts.headers.get(IF_MATCH) else {
            return Ok(Self(None));
        };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self(None));
        }
        let bare = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .unwrap_or(text);
        Revision::parse(bare)
            .map(|revision| Self(Some(revision)))
            .ok_or_else(|| {
                HttpError::bad_request("bad_if_match", "`If-Match` holds no revision of ours")
                    .hint("send the `ETag` of the answer that you based the change on")
            })
    }
}
