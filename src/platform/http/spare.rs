//! A handle that is kept only to be given up: when the process or the system has no handle left,
//! accepting fails and clients would wait in the kernel without an answer. Giving up the spare one
//! lets each of them be accepted and closed at once (rule H3 of the reliability notes).

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use futures_util::FutureExt as _;
use tokio::net::TcpListener;

/// The handle, while we have it.
#[derive(Debug)]
pub(super) struct SpareHandle(Option<OwnedFd>);

impl SpareHandle {
    pub(super) fn take() -> Self {
        Self(duplicate())
    }

    /// After `error` of an accept: whether it was about handles and a client was turned away.
    pub(super) fn turn_away(&mut self, error: &io::Error, listener: &TcpListener) -> bool {
        let known = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
        let wanting = known
            .iter()
            .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
        if !wanting || self.0.take().is_none() {
            // Without the spare one nobody can be turned away; perhaps it can be had again.
            self.0 = self.0.take().or_else(duplicate);
            return false;
        }
        let turned_away = listener.accept().now_or_never();
        let turned_away = turned_away.is_some_and(|accepted| accepted.map(drop).is_ok());
        self.0 = duplicate();
        turned_away
    }
}

/// Any open file will do; standard error is there, and costs nothing.
fn duplicate() -> Option<OwnedFd> {
    io::stderr().as_fd().try_clone_to_owned().ok()
}
