//! A bound on a whole request, armed only when the request has to wait.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::seams::clock::{Clock, Sleep};

/// Runs a future for at most a span, counted from its first wait.
pub(super) struct Bounded<F> {
    work: Pin<Box<F>>,
    span: Duration,
    clock: Arc<dyn Clock>,
    timer: Option<Sleep>,
}

impl<F: Future> Bounded<F> {
    pub(super) fn new(work: F, span: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            work: Box::pin(work),
            span,
            clock,
            timer: None,
        }
    }
}

impl<F: Future> Future for Bounded<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.work.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        let this = &mut *self;
        let timer = this
            .timer
            .get_or_insert_with(|| this.clock.sleep(this.span));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(None)
    }
}
