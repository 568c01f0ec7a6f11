//! Reading request bodies: never more bytes and never longer than allowed. Clocks are armed only
//! when a body keeps us waiting; one that came with its head costs none.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use hyper::body::{Body, Frame};

use super::HttpError;
use crate::seams::clock::{Clock, Sleep};

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
    }
}

fn too_slow() -> HttpError {
    let text = "the body did not come in time";
    HttpError::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", text)
}

/// The whole body, or why not.
pub(super) async fn read<B>(body: B, bounds: Bounds, clock: &dyn Clock) -> Result<Bytes, HttpError>
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    let mut timers = Timers::default();
    loop {
        let next = std::future::poll_fn(|cx| poll(body.as_mut(), &mut timers, bounds, clock, cx));
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

#[derive(Default)]
struct Timers {
    gap: Option<Sleep>,
    total: Option<Sleep>,
}

fn poll<B: Body<Data = Bytes>>(
    body: Pin<&mut B>,
    timers: &mut Timers,
    bounds: Bounds,
    clock: &dyn Clock,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Frame<Bytes>>, HttpError>> {
    match body.poll_frame(cx) {
        Poll::Ready(frame) => {
            timers.gap = None;
            return Poll::Ready(frame.transpose().map_err(|_cut| {
                HttpError::bad_request("body_broken", "the body ended early or is not well formed")
            }));
        }
        Poll::Pending => {}
    }
    let gap = timers.gap.get_or_insert_with(|| clock.sleep(bounds.gap));
    if gap.as_mut().poll(cx).is_ready() {
        return Poll::Ready(Err(too_slow()));
    }
    let total = timers
        .total
        .get_or_insert_with(|| clock.sleep(bounds.total));
    ready!(total.as_mut().poll(cx));
    Poll::Ready(Err(too_slow()))
}
