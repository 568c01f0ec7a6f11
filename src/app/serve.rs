//! `echopilot serve`: from the lock on the folder to the last sync.

use std::io::{ErrorKind, Write};
use std::net::{self, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::Signal;

use super::assemble::{self, App};
use super::daemon_file::{self, DaemonFile};
use super::first_start;
use super::guard::{self, Doors};
use super::home::must_exist_or_begin;
use super::process_log;
use super::reload;
use super::schema_files;
use super::settings::{self, GivenKeys};
use super::sockets;
use super::standby::{Held, serve_barred};
use crate::platform::auth::{KeySpec, KeyText};
use crate::platform::http::Role;
use crate::platform::lifecycle::{self, Tasks};
use crate::platform::progress::Progress;
use crate::platform::watchdog::Watchdog;
use crate::platform::wiring::Seams;
use crate::seams::clock::{Clock, SystemClock};
use crate::seams::files::{Files, RealFiles};
use crate::seams::ids::SystemIds;
use crate::storage::engine::Barred;

/// What `serve` is told.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Folder with `configs/`, `logs/` and `backups/`.
    pub home: PathBuf,
    /// Address to listen on instead of the configured one.
    pub listen: Option<SocketAddr>,
    /// Say nothing but warnings, errors and the first key, which is said only once.
    pub quiet: bool,
    /// Write one line of JSON as soon as requests are answered.
    pub json: bool,
}

/// Where the daemon speaks.
pub struct Channels<'a> {
    /// For people.
    pub talk: &'a mut dyn Write,
    /// For programs.
    pub data: &'a mut dyn Write,
}

/// How long requests in work may take to end after the stop (rule H6 of the reliability notes).
const DRAIN: Duration = Duration::from_secs(20);

/// Runs the daemon until it is told to stop.
pub fn serve(options: &ServeOptions, to: &mut Channels<'_>) -> anyhow::Result<()> {
    let files: Arc<dyn Files> = Arc::new(RealFiles);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    process_log::begin(&clock, options.quiet)?;
    let socket = sockets::handed_over()?.map(Socket::shared);
    must_exist_or_begin(&*files, &options.home)?;
    serve_on(options, socket, to)
}

/// The same with a process log that is there, and a socket that may be there already.
pub(super) fn serve_on(
    options: &ServeOptions,
    socket: Option<Socket>,
    to: &mut Channels<'_>,
) -> anyhow::Result<()> {
    let files: Arc<dyn Files> = Arc::new(RealFiles);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let given = GivenKeys::read(&*files)?;
    let runtime = assemble::runtime()?;
    lifecycle::raise_handle_limit();
    let hangups = reload::hangups(&runtime)?;
    let turn = may_write(options, &runtime, &files, &clock, socket)?;
    let Turn::Write(socket) = turn else {
        return Ok(());
    };
    let starting = long_work("recovering", &files, &clock);
    let engine = assemble::open_storage(&options.home, &files, &clock)?;
    let outcome = runtime.block_on(async {
        let local = KeyText::draw(Role::Admin, &SystemIds)?;
        let spec = KeySpec::fixed("local", Role::Admin, local.text.reveal());
        let home = &options.home;
        let mut seams = Seams::new(Arc::clone(&files), Arc::clone(&clock));
        seams.secrets = settings::secrets(&files, home);
        let app = assemble::assemble(home, seams, engine, &given, Some(spec))?;
        let given = Given {
            socket,
            hangups,
            starting,
            token: local.text.reveal(),
        };
        let served = run(&app, options, &files, given, to).await;
        let _ending = long_work("saving", &files, &clock);
        daemon_file::remove(&*files, home);
        if served.is_err() {
            app.tasks.end_by("error");
        }
        app.close();
        served
    });
    drop(runtime);
    if outcome.is_ok() {
        tracing::info!("stopped; all journals are closed");
    }
    outcome
}

/// What came of waiting for the right to write.
enum Turn {
    /// It may, on this socket if there is one already.
    Write(Option<Socket>),
    /// It was told to stop before.
    Stop,
}

/// Waits until the home may be written to; reads are served meanwhile.
fn may_write(
    options: &ServeOptions,
    runtime: &Runtime,
    files: &Arc<dyn Files>,
    clock: &Arc<dyn Clock>,
    socket: Option<Socket>,
) -> anyhow::Result<Turn> {
    let seams = Seams::new(Arc::clone(files), Arc::clone(clock));
    let doors = Doors {
        files: &**files,
        clock: &**clock,
        outbound: &*seams.outbound,
    };
    let why = runtime.block_on(guard::barred(&doors, &options.home))?;
    let home = options.home.display();
    match why {
        None => Ok(Turn::Write(socket)),
        Some(why) if matches!(*why, Barred::Standby { .. }) => anyhow::bail!(
            "`{home}` is the home of a standby: {why}\n\
             hint: `echopilot promote --home {home}` makes it the primary, \
             `echopilot standby --from …` goes on following"
        ),
        Some(why) => {
            let held = Held {
                options,
                files,
                clock,
            };
            let socket = serve_barred(&held, runtime, why, socket)?;
            Ok(socket.map_or(Turn::Stop, |socket| Turn::Write(Some(socket))))
        }
    }
}

/// A socket that listens already.
pub(super) struct Socket {
    pub(super) listener: net::TcpListener,
    /// Whether the service manager holds it too.
    pub(super) is_shared: bool,
}

impl Socket {
    /// One of the service manager.
    pub(super) fn shared(listener: net::TcpListener) -> Self {
        let is_shared = true;
        Self {
            listener,
            is_shared,
        }
    }

    /// Goes on listening on it, or begins to listen on `wanted`.
    pub(super) async fn listen(this: Option<Self>, wanted: SocketAddr) -> anyhow::Result<Bound> {
        let Some(Self {
            listener,
            is_shared,
        }) = this
        else {
            return bind(wanted).await;
        };
        let listener = TcpListener::from_std(listener).context("cannot serve the given socket")?;
        let address = listener.local_addr().context("cannot tell the port")?;
        Ok((listener, address, is_shared))
    }
}

/// What a daemon is begun with, besides its options.
struct Given<'a> {
    /// The socket of the service manager, or of whoever served reads before.
    socket: Option<Socket>,
    hangups: Signal,
    /// Ends where the start does.
    starting: Option<Progress>,
    /// The key of the command line.
    token: &'a str,
}

/// Tells a service manager, if there is one, that work that may be long goes on.
fn long_work(
    doing: &'static str,
    files: &Arc<dyn Files>,
    clock: &Arc<dyn Clock>,
) -> Option<Progress> {
    if !settings::has_service_manager() {
        return None;
    }
    let telling = Progress::tell(doing, files, clock);
    telling
        .inspect_err(|error| tracing::warn!(%error, "nobody is told of a long start or end"))
        .ok()
}

async fn run(
    app: &App,
    options: &ServeOptions,
    files: &Arc<dyn Files>,
    given: Given<'_>,
    to: &mut Channels<'_>,
) -> anyhow::Result<()> {
    lifecycle::obey_signals(&app.tasks).context("cannot take signals")?;
    let configured = app.daemon.get().rules.listen;
    let wanted = options.listen.unwrap_or(configured);
    let (listener, address, is_shared) = Socket::listen(given.socket, wanted).await?;
    if is_shared {
        sockets::tell(address, options.listen, configured);
    }
    let first = first_start::make_key_if_none(app).await?;
    let file = DaemonFile {
        pid: std::process::id(),
        address,
        started_at: app.clock.now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        token: given.token.to_owned(),
    };
    if let Err(error) = file.write(&**files, &options.home) {
        // On a full or read-only disk: flags must be served all the same.
        tracing::error!("the command line will not find this daemon: {error:#}");
    }
    warn_if_open(address);
    app.start_background();
    reload::heed(app, given.hangups);
    app.vitals.add_runtime(&app.tasks, &app.clock);
    app.health.set_ready();
    drop(given.starting);
    lifecycle::notify_ready(&format!("serving http://{address}"));
    greet(to, options, address, first.as_deref());
    schema_files::begin(app, files);
    let watchdog = begin_watchdog(app);
    if is_shared {
        app.server.serve_shared(listener).await;
    } else {
        app.server.serve(listener).await;
    }
    // Parts that have ended do not turn.
    drop(watchdog);
    app.health.set_stopping();
    lifecycle::notify_stopping();
    stop(&app.tasks, &*app.clock).await;
    Ok(())
}

/// Without it the daemon serves all the same, and the service manager soon starts another.
fn begin_watchdog(app: &App) -> Option<Watchdog> {
    let (engine, clock) = (Arc::clone(&app.engine), Arc::clone(&app.clock));
    let begun = Watchdog::start(app.vitals.clone(), engine, clock);
    begun
        .inspect_err(|error| tracing::error!(%error, "cannot start the watchdog"))
        .ok()
}

/// Where it listens, and whether the service manager holds the listener too.
pub(super) type Bound = (TcpListener, SocketAddr, bool);

async fn bind(wanted: SocketAddr) -> anyhow::Result<Bound> {
    let listener = TcpListener::bind(wanted).await.map_err(|error| {
        let why = unbound(error.kind());
        anyhow::Error::new(error).context(format!("cannot listen on {wanted}\nhint: {why}"))
    })?;
    let address = listener.local_addr().context("cannot tell the port")?;
    Ok((listener, address, false))
}

fn warn_if_open(address: SocketAddr) {
    if !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "listening beyond this machine without TLS: put a proxy with TLS in front"
        );
    }
}

/// The cure for an address that cannot be had.
const fn unbound(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::AddrInUse => {
            "another program has the port (`ss -ltnp` names it); take any free one with \
             `--listen 127.0.0.1:0`, or set `listen` in `configs/echopilot.json`"
        }
        ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege; listen on a higher one and put a proxy in front"
        }
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address; `ip address` lists those it has"
        }
        _ => "choose another address with `--listen` or `listen` in `configs/echopilot.json`",
    }
}

async fn stop(tasks: &Tasks, clock: &dyn Clock) {
    if !tasks.stop(clock, DRAIN).await {
        tracing::warn!("some requests were still in work when patience ended");
    }
}

/// A closed channel must not end the daemon: what cannot be said is not said.
fn greet(to: &mut Channels<'_>, options: &ServeOptions, address: SocketAddr, first: Option<&str>) {
    let text = match first {
        Some(key) => first_start::instructions(&options.home, address, key),
        None if options.quiet => String::new(),
        None => first_start::greeting(&options.home, address),
    };
    let _unsaid = to
        .talk
        .write_all(text.as_bytes())
        .and_then(|()| to.talk.flush());
    if options.json {
        let pid = std::process::id();
        let ready = serde_json::json!({ "address": address.to_string(), "pid": pid });
        let _unsaid = writeln!(to.data, "{ready}").and_then(|()| to.data.flush());
    }
}
