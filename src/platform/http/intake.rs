//! Reading request bodies: never more bytes and never longer than allowed. The clock is read only
//! when a body keeps us waiting; one that came with its head costs none.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use hyper::body::{Body, Frame};

use super::HttpError;
use super::patience::{Awaits, Patience};

/// Bounds on one body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes at most.
    pub(super) bytes: usize,
    /// Time between two pieces.
    pub(super) gap: Duration,
    /// Time for all of it.
    pub(super) total: Duration,
}

impl Bounds {
    /// The error for a body over the bound.
    pub(super) fn too_large(&self) -> HttpError {
        let text = format!(
            "the body is too large, at most {} bytes are taken",
            self.bytes
        );
        HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", text)
            .with("max_bytes", self.bytes)
            .hint("send less in one call, several calls where it is a list")
    }
}

fn too_slow() -> HttpError {
    let text = "the body did not come in time";
    HttpError::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", text)
}

/// The whole body, or why not.
pub(super) async fn read<B>(
    body: B,
    bounds: Bounds,
    patience: &Patience,
) -> Result<Bytes, HttpError>
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    let mut until = None;
    loop {
        let next = std::future::poll_fn(|cx| poll(body.as_mut(), &mut until, bounds, patience, cx));
        let Some(frame) = next.await? else {
            break;
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.len() + whole.len() + data.len() > bounds.bytes {
            return Err(bounds.too_large());
        }
        // A body in one piece, the common case, is passed on as it is.
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            if whole.is_empty() {
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(if whole.is_empty() {
        first
    } else {
        whole.freeze()
    })
}

/// `until` is the end of the time for the whole body, set at the first wait.
fn poll<B: Body<Data = Bytes>>(
    body: Pin<&mut B>,
    until: &mut Option<Duration>,
    bounds: Bounds,
    patience: &Patience,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Frame<Bytes>>, HttpError>> {
    if let Poll::Ready(frame) = body.poll_frame(cx) {
        if patience.current().0 == Awaits::Body {
            // The next wait sets a deadline of its own.
            patience.wait_for(Awaits::Body, Duration::MAX);
        }
        return Poll::Ready(frame.transpose().map_err(|_cut| {
            HttpError::bad_request("body_broken", "the body ended early or is not well formed")
        }));
    }
    if patience.is_spent_on(Awaits::Body) {
        return Poll::Ready(Err(too_slow()));
    }
    if !matches!(patience.current(), (Awaits::Body, due) if due < FAR) {
        let now = patience.now();
        let until = *until.get_or_insert(now + bounds.total);
        patience.wait_for(Awaits::Body, until.min(now + bounds.gap));
    }
    Poll::Pending
}

/// A deadline that was set by a wait is nearer than this.
const FAR: Duration = Duration::from_millis(u64::MAX >> 2);
