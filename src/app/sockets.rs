//! Socket activation: the listening socket that the service manager opened for us. It keeps it open
//! while we are restarted, so that clients wait in the kernel's queue instead of being refused.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context as _;
use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

use super::settings;

/// What to do about a socket that cannot be served.
const CURE: &str = "one `ListenStream=HOST:PORT` with an IP address belongs in `echopilot.socket`";

/// The socket that was handed over; `None` where none was meant for this process. To be called
/// before anything runs beside this: what told of it is taken out of the environment.
pub(super) fn handed_over() -> anyhow::Result<Option<TcpListener>> {
    if !settings::is_given_sockets() {
        return Ok(None);
    }
    // Closes all of them to programs that we start, also those that are refused below.
    let given = sd_notify::listen_fds_with_names()
        .with_context(|| format!("cannot take the sockets of the service manager\nhint: {CURE}"))?;
    let names: Vec<String> = given.map(|(_, name)| name).collect();
    let mut all = ListenFd::from_env();
    match names.as_slice() {
        [] => Ok(None),
        [name] => take(&mut all, name).map(Some),
        _ => anyhow::bail!(
            "the service manager handed over {} sockets (`{}`), one is served\nhint: {CURE}; \
             `ListenStream=[::]:5000` with `BindIPv6Only=both` takes IPv4 and IPv6",
            names.len(),
            names.join("`, `")
        ),
    }
}

fn take(all: &mut ListenFd, name: &str) -> anyhow::Result<TcpListener> {
    let taken = all.take_tcp_listener(0);
    let listener = taken.ok().flatten().filter(|listener| {
        let is_listening = socket_acceptconn(listener);
        is_listening.unwrap_or(false)
    });
    let listener = listener.with_context(|| {
        format!("the socket `{name}` of the service manager is no TCP listener\nhint: {CURE}")
    })?;
    listener
        .set_nonblocking(true)
        .context("cannot serve the socket of the service manager")?;
    Ok(listener)
}

/// Says where the socket is, if somebody asked for another place.
pub(super) fn tell(at: SocketAddr, asked: Option<SocketAddr>, configured: SocketAddr) {
    let differs = |wanted: SocketAddr| wanted != at && wanted.port() != 0;
    if let Some(asked) = asked.filter(|asked| differs(*asked)) {
        tracing::warn!(
            "`--listen {asked}` is not heeded: the service manager handed over {at}, which is \
             served; `ListenStream=` in `echopilot.socket` names it"
        );
    } else if asked.is_none() && differs(configured) {
        tracing::warn!(
            "`listen` in `configs/echopilot.json` is {configured}, which is not heeded: the service \
             manager handed over {at}; `ListenStream=` in `echopilot.socket` names it"
        );
    }
}
