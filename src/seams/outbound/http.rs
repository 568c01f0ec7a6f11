//! One request and its answer over an open connection, by hyper's HTTP/1.1 client.

use std::pin::pin;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::error::{OutboundError, Stage};
use super::real::Trip;
use super::{Contact, Request, Response};

/// Bytes of an answer's head at most, and of what is read ahead: 32 KiB, as we allow of requests.
const MOST_HEAD: usize = 32 * 1024;
/// Headers of an answer at most.
const MOST_HEADERS: usize = 100;

/// Who we are, to those who are called.
const AGENT: &str = concat!("echopilot/", env!("CARGO_PKG_VERSION"));

/// An answer that is not yet told who gave it.
pub(super) struct Answer {
    head: http::response::Parts,
    body: Bytes,
    is_cut: bool,
}

impl Answer {
    /// With who gave it.
    pub(super) fn from(self, contact: Contact) -> Response {
        Response {
            status: self.head.status.as_u16(),
            headers: self.head.headers,
            body: self.body,
            is_cut: self.is_cut,
            contact,
        }
    }
}

/// Sends `request` and reads the answer, of the body no more than asked for.
pub(super) async fn exchange<S>(
    trip: &Trip<'_>,
    stream: S,
    request: &Request,
) -> Result<Answer, OutboundError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    trip.enters(Stage::Answer);
    let broken = |error: hyper::Error| trip.unanswered(told(&error));
    let head = prepared(request).map_err(|error| trip.unanswered(error.to_string()))?;
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MOST_HEAD).max_headers(MOST_HEADERS);
    let opened = builder.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = opened.map_err(broken)?;
    // The connection is driven here, beside the request: no task outlives the call.
    let mut connection = pin!(connection.fuse());
    let answer = {
        let mut sent = pin!(sender.send_request(head));
        loop {
            tokio::select! {
                biased;
                answer = &mut sent => break answer.map_err(broken)?,
                ended = &mut connection => ended.map_err(broken)?,
            }
        }
    };
    trip.took(|timings, span| timings.first_byte = Some(span));
    let (head, mut incoming) = answer.into_parts();
    let reading = read(&mut incoming, request.most_body);
    let mut reading = pin!(reading);
    let (body, is_cut) = loop {
        tokio::select! {
            biased;
            read = &mut reading => break read.map_err(broken)?,
            ended = &mut connection => ended.map_err(broken)?,
        }
    };
    Ok(Answer { head, body, is_cut })
}

fn prepared(request: &Request) -> Result<http::Request<Full<Bytes>>, http::Error> {
    let mut head = http::Request::builder()
        .method(request.method.clone())
        .uri(request.url.request_target())
        .body(Full::new(request.body.clone()))?;
    let mut headers = request.headers.clone();
    if !headers.contains_key(HOST) {
        headers.insert(HOST, HeaderValue::from_str(&request.url.authority())?);
    }
    if !headers.contains_key(USER_AGENT) {
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    }
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    *head.headers_mut() = headers;
    Ok(head)
}

/// The body up to `most` bytes, and whether there was more. Does not wait for the rest.
async fn read(incoming: &mut Incoming, most: usize) -> Result<(Bytes, bool), hyper::Error> {
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        let room = most - body.len();
        body.extend_from_slice(data.get(..room).unwrap_or(&data));
        if data.len() > room {
            return Ok((body.freeze(), true));
        }
    }
    Ok((body.freeze(), false))
}

/// hyper's error with what is behind it: its own words alone say little.
fn told(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}
