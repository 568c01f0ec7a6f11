//! Telling appenders how it went: many at once, with one wake-up across threads.

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::engine::{Appending, Position, StorageError};

/// The outcome of an append.
pub(super) type Outcome = Result<Position, StorageError>;

/// Who waits for an outcome.
#[derive(Debug)]
pub(super) struct Reply {
    sender: oneshot::Sender<Outcome>,
    runtime: Option<Handle>,
}

/// A waiter and the future it is told by.
pub(super) fn channel(runtime: Option<Handle>) -> (Reply, Appending) {
    let (sender, receiver) = oneshot::channel();
    let waiting = Box::pin(async move { receiver.await.unwrap_or(Err(StorageError::Closed)) });
    (Reply { sender, runtime }, waiting)
}

/// A future that is there already.
pub(super) fn ready(outcome: Outcome) -> Appending {
    Box::pin(std::future::ready(outcome))
}

/// Tells everybody. Waking each task from here would cost a system call each, because the runtime
/// sleeps in another thread; one small task on the runtime itself wakes them all for the price of
/// one.
pub(super) fn tell_all(told: Vec<(Reply, Outcome)>) {
    let runtime = match told.as_slice() {
        [] => return,
        [_] => None,
        [(first, _), ..] => first.runtime.clone(),
    };
    let tell = move || {
        for (reply, outcome) in told {
            // Nobody waits any more: the append stands all the same.
            let _gone = reply.sender.send(outcome);
        }
    };
    match runtime {
        Some(runtime) => drop(runtime.spawn(async move { tell() })),
        None => tell(),
    }
}
