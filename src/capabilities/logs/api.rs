//! The routes: translate in, call one verb, translate out. Only here are status codes known.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LINK};
use http::{StatusCode, Uri};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::page::{Ask, Page, Place};
use super::service::{Logs, LogsError, Summary};
use crate::base::calendar;
use crate::platform::http::{
    Call, Choice, Endless, HttpError, QueryParams, Reply, Route, Routes, Scope,
};
use crate::storage::engine::Seek;
use crate::storage::filter::Filter;

/// Lines of a page where none are asked for.
const LIMIT: usize = 100;
/// Lines of a page at most; its bytes are bounded as well.
const LIMIT_MAX: usize = 10_000;
/// Seconds after which a client that found no place may come again.
const CROWDED_SECS: u32 = 10;

const X_NEXT_AFTER: HeaderName = HeaderName::from_static("x-next-after");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const LAST_EVENT_ID: &str = "last-event-id";

const FOLLOW: Choice = Choice {
    name: "follow",
    values: &["0", "1"],
    about: "1: go on with lines as they come, as server-sent events",
};

/// The rows of the route table.
pub(super) fn routes(logs: &Arc<Logs>) -> Routes {
    let state = || Arc::clone(logs);
    let about = "the journals: bytes, segments, first and last line, durability";
    let list = Route::get("/api/logs", Scope::Read, about)
        .gives::<ListReply>()
        .handler(get(list).with_state(state()));
    let about = "lines of a journal as they are on disk, by number, time and kind; or as they come";
    let mut lines = Route::get("/api/logs/{name}", Scope::Read, about)
        .query("after=0&limit=100&from=2026-11-21T09:15:00Z&to=2026-11-21T10:15:00Z&kind=flag.*")
        .handler(get(lines).with_state(state()));
    lines.media = "application/x-ndjson";
    lines.choices = &[FOLLOW];
    vec![list, lines]
}

/// One journal.
#[derive(Serialize, JsonSchema)]
struct JournalReply {
    /// Its name.
    name: String,
    /// Bytes of all its files.
    bytes: u64,
    /// Its files, the one that is written to included.
    segments: usize,
    /// Number of the first line that is there; 0 where there is none.
    first_seq: u64,
    /// Number of the last line.
    last_seq: u64,
    /// Instant of the last line.
    last_ts: Option<String>,
    /// When a line counts as written: `always`, `interval:1s` or `os`; absent where this version
    /// does not write the journal.
    durability: Option<String>,
    /// Why no lines are taken, if so: `storage_full` or `storage_failed`.
    refusing: Option<&'static str>,
}

/// Reply of `GET /api/logs`.
#[derive(Serialize, JsonSchema)]
struct ListReply {
    /// How many.
    count: usize,
    /// By name.
    journals: Vec<JournalReply>,
}

async fn list(State(logs): State<Arc<Logs>>) -> Result<Reply<ListReply>, HttpError> {
    let found = logs.list().await.map_err(refused)?;
    let journals: Vec<JournalReply> = found.into_iter().map(told).collect();
    Ok(Reply::ok(ListReply {
        count: journals.len(),
        journals,
    }))
}

fn told(summary: Summary) -> JournalReply {
    let segments = &summary.segments;
    let last = segments.last().map_or(0, |segment| segment.last);
    let first = segments.first().map_or(0, |segment| segment.first);
    let durability = summary.health.as_ref().and_then(|health| health.durability);
    JournalReply {
        bytes: segments.iter().map(|segment| segment.bytes).sum(),
        segments: segments.len(),
        first_seq: if last == 0 { 0 } else { first },
        last_seq: last,
        last_ts: summary.last_ts,
        durability: durability.map(|durability| durability.to_string()),
        refusing: summary.health.and_then(|health| health.refusing),
        name: summary.name,
    }
}

/// Query of `GET /api/logs/{name}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinesQuery {
    after: Option<String>,
    skip: Option<String>,
    limit: Option<String>,
    from: Option<String>,
    to: Option<String>,
    kind: Option<String>,
    follow: Option<String>,
}

async fn lines(
    State(logs): State<Arc<Logs>>,
    call: Call,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    QueryParams(query): QueryParams<LinesQuery>,
) -> Result<Response, HttpError> {
    let after = whole(query.after.as_deref(), "after", 0, u64::MAX)?;
    let since = instant(query.from.as_deref(), "from", call.now)?;
    let until = instant(query.to.as_deref(), "to", call.now)?;
    let kinds = kinds(query.kind.as_deref())?;
    let filter = Filter::new(&kinds, since, until);
    let follow = match query.follow.as_deref() {
        None | Some("0") => false,
        Some("1") => true,
        Some(other) => return Err(bad("follow", other, "0 or 1")),
    };
    if !follow {
        let skip = whole(query.skip.as_deref(), "skip", 0, u64::MAX)?;
        let limit = whole(query.limit.as_deref(), "limit", 1, LIMIT_MAX as u64)?;
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        let ask = Ask {
            from: Place {
                after: after.unwrap_or(0),
                skip: skip.unwrap_or(0),
            },
            since,
            until,
            limit: limit.unwrap_or(LIMIT),
            filter,
        };
        let page = logs.page(&name, ask).await.map_err(refused)?;
        return Ok(paged(page, &uri));
    }
    for (given, word) in [
        (&query.to, "to"),
        (&query.limit, "limit"),
        (&query.skip, "skip"),
    ] {
        if given.is_some() {
            let text = format!("`{word}` cannot be asked for with `follow=1`, which has no end");
            return Err(HttpError::bad_request("bad_parameter", text)
                .hint("leave it out, or leave out `follow`"));
        }
    }
    let known = last_event_id(&headers)?.or(after);
    let from = match (known, since) {
        (None, None) => None,
        (after, since) => Some(Seek::Within {
            after: after.unwrap_or(0),
            since,
            until: None,
        }),
    };
    let pieces = logs.follow(&name, from, filter).map_err(refused)?;
    Ok(streamed(pieces))
}

fn paged(page: Page, uri: &Uri) -> Response {
    let mut response = Response::new(Body::from(page.body));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    );
    headers.insert(X_NEXT_AFTER, HeaderValue::from(page.end.after));
    if page.more
        && let Ok(link) = HeaderValue::from_str(&next_link(uri, page.end))
    {
        headers.insert(LINK, link);
    }
    response
}

/// The same question from `place` on.
fn next_link(uri: &Uri, place: Place) -> String {
    let skip = match place.skip {
        0 => String::new(),
        skip => format!("&skip={skip}"),
    };
    let mut text = format!("<{}?after={}{skip}", uri.path(), place.after);
    let others = uri.query().unwrap_or_default().split('&').filter(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        !matches!(name, "" | "after" | "skip")
    });
    for pair in others {
        text.push('&');
        text.push_str(pair);
    }
    text + ">; rel=\"next\""
}

fn streamed(pieces: mpsc::Receiver<Bytes>) -> Response {
    let pieces = stream::unfold(pieces, |mut pieces| async {
        let piece = pieces.recv().await?;
        Some((Ok::<_, Infallible>(piece), pieces))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response.extensions_mut().insert(Endless);
    response
}

/// Where a client that comes back has stopped.
fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, HttpError> {
    let Some(value) = headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or("?");
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        let text: String = text.chars().take(32).collect();
        let told = format!("`Last-Event-ID` is `{text}`, the number of a line is needed");
        HttpError::bad_request("bad_last_event_id", told).hint("leave the header out")
    })
}

fn bad(name: &str, found: &str, allowed: &str) -> HttpError {
    let found: String = found.chars().take(64).collect();
    let text = format!("`{name}` is `{found}`, it must be {allowed}");
    HttpError::bad_request("bad_parameter", text)
        .hint("see `docs/logs.md`, or `echopilot api` for an example")
}

fn whole(text: Option<&str>, name: &str, least: u64, most: u64) -> Result<Option<u64>, HttpError> {
    let Some(text) = text else {
        return Ok(None);
    };
    let number = text
        .parse()
        .ok()
        .filter(|number| (least..=most).contains(number));
    number.map(Some).ok_or_else(|| {
        let allowed = match most {
            u64::MAX => format!("a whole number from {least}"),
            most => format!("a whole number from {least} to {most}"),
        };
        bad(name, text, &allowed)
    })
}

fn instant(
    text: Option<&str>,
    name: &str,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, HttpError> {
    let Some(text) = text else {
        return Ok(None);
    };
    calendar::instant(text, now).map(Some).ok_or_else(|| {
        let allowed = "an instant such as 2026-11-21T09:15:00Z, or a span back from now such as 2h";
        bad(name, text, allowed)
    })
}

fn kinds(text: Option<&str>) -> Result<Vec<String>, HttpError> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let kinds: Vec<String> = text.split(',').map(str::to_owned).collect();
    let is_kind = |kind: &String| {
        let word = kind.strip_suffix('*').unwrap_or(kind);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        !kind.is_empty() && word.bytes().all(plain)
    };
    if kinds.iter().all(is_kind) {
        return Ok(kinds);
    }
    let allowed = "kinds such as `flag.changed` or `flag.*`, with commas between them";
    Err(bad("kind", text, allowed))
}

fn refused(error: LogsError) -> HttpError {
    let text = error.to_string();
    match error {
        LogsError::Unknown { nearest, known, .. } => {
            let error = HttpError::not_found("journal_not_found", text);
            match nearest {
                Some(near) => error
                    .hint(format!("did you mean `{near}`?"))
                    .with("nearest", near),
                None => error.hint(format!("there are: {}", known.join(", "))),
            }
        }
        LogsError::Crowded => {
            let full = StatusCode::SERVICE_UNAVAILABLE;
            HttpError::new(full, "too_many_followers", text)
                .hint("wait, or ask for pages: `X-Next-After` tells where the next one begins")
                .retry_after(CROWDED_SECS)
        }
        LogsError::Unreadable { source, .. } => {
            tracing::warn!(error = &source as &dyn std::error::Error, "{text}");
            let failed = StatusCode::SERVICE_UNAVAILABLE;
            HttpError::new(failed, "storage_unreadable", text)
                .hint("`echopilot verify` and the daemon's own log tell more")
                .retry_after(1)
        }
    }
}
