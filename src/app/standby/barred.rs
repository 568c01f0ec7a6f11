//! A primary that may not write, or does not know yet whether it may: it serves reads and says why.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Runtime;

use super::reading::{Parts, Reading};
use crate::app::daemon_file::{self, DaemonFile};
use crate::app::guard::{self, Doors};
use crate::app::serve::{ServeOptions, Socket};
use crate::app::settings::GivenKeys;
use crate::platform::auth::{KeySpec, KeyText};
use crate::platform::http::Role;
use crate::platform::lifecycle::{self, Tasks};
use crate::platform::standing::{Part, Standing};
use crate::platform::wiring::Seams;
use crate::seams::clock::Clock;
use crate::seams::files::Files;
use crate::seams::ids::SystemIds;
use crate::storage::engine::Barred;
use crate::storage::files::HeldHome;

/// How often followers that did not answer are asked again.
const ASK: Duration = Duration::from_secs(1);
/// How long requests in work may take to end (rule H6 of the reliability notes).
const DRAIN: Duration = Duration::from_secs(20);

/// What it is served with.
pub(in crate::app) struct Held<'a> {
    pub(in crate::app) options: &'a ServeOptions,
    pub(in crate::app) files: &'a Arc<dyn Files>,
    pub(in crate::app) clock: &'a Arc<dyn Clock>,
}

/// What ends it.
enum Turn {
    Stop,
    Free,
    Other(Arc<Barred>),
}

/// Serves reads until it is told to stop, which gives `None`, or until the home may be written to,
/// which gives the socket.
pub(in crate::app) fn serve_barred(
    held: &Held<'_>,
    runtime: &Runtime,
    mut why: Arc<Barred>,
    mut socket: Option<Socket>,
) -> anyhow::Result<Option<Socket>> {
    let home = &held.options.home;
    let _held = HeldHome::take(held.files, home)?;
    loop {
        tracing::error!("taking no changes: {why}; {}", why.hint());
        let turned = runtime.block_on(one_turn(held, &why, socket.take()));
        daemon_file::remove(&**held.files, home);
        match turned? {
            (Turn::Stop, _) => return Ok(None),
            (Turn::Free, again) => return Ok(Some(again)),
            (Turn::Other(other), again) => (why, socket) = (other, Some(again)),
        }
    }
}

async fn one_turn(
    held: &Held<'_>,
    why: &Arc<Barred>,
    socket: Option<Socket>,
) -> anyhow::Result<(Turn, Socket)> {
    let (tasks, process) = (Tasks::new(), Tasks::new());
    lifecycle::obey_signals(&process).context("cannot take signals")?;
    let token = KeyText::draw(Role::Admin, &SystemIds)?;
    let reading = Reading::begin(
        Parts {
            home: held.options.home.clone(),
            files: Arc::clone(held.files),
            clock: Arc::clone(held.clock),
            given: Arc::new(GivenKeys::read(&**held.files)?),
            local: KeySpec::fixed("local", Role::Admin, token.text.reveal()),
            why: Arc::clone(why),
            standing: Standing::of(Part::Fenced),
        },
        &tasks,
        Arc::default(),
    )?;
    let wanted = held.options.listen;
    let wanted = wanted.unwrap_or_else(|| reading.would_listen());
    let (listener, address, is_shared) = Socket::listen(socket, wanted).await?;
    let file = DaemonFile {
        pid: std::process::id(),
        address,
        started_at: held.clock.now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        token: token.text.reveal().to_owned(),
    };
    if let Err(error) = file.write(&**held.files, &held.options.home) {
        tracing::error!("the command line will not find this daemon: {error:#}");
    }
    lifecycle::notify_ready(&format!("reads only at http://{address}: {why}"));
    tracing::warn!("serving reads only at http://{address}");
    let turn = tokio::select! {
        () = reading.accept(&listener) => Turn::Stop,
        () = process.soft().cancelled() => Turn::Stop,
        turn = changed(held, why) => turn,
    };
    if matches!(turn, Turn::Stop) {
        lifecycle::notify_stopping();
    }
    tasks.soft().cancel();
    reading.end(false).await;
    tasks.stop(&**held.clock, DRAIN).await;
    let socket = Socket {
        listener: listener.into_std().context("cannot go on listening")?,
        is_shared,
    };
    Ok((turn, socket))
}

/// Ends when the reason is another one, or gone.
async fn changed(held: &Held<'_>, why: &Arc<Barred>) -> Turn {
    let seams = Seams::new(Arc::clone(held.files), Arc::clone(held.clock));
    loop {
        held.clock.sleep(ASK).await;
        lifecycle::notify_alive(&format!("reads only: {why}"));
        if matches!(**why, Barred::Fenced { .. }) {
            continue;
        }
        let doors = Doors {
            files: &**held.files,
            clock: &**held.clock,
            outbound: &*seams.outbound,
        };
        match guard::barred(&doors, &held.options.home).await {
            Ok(None) => return Turn::Free,
            Ok(Some(other)) if matches!(*other, Barred::Unanswered { .. }) => {}
            Ok(Some(other)) => return Turn::Other(other),
            Err(error) => tracing::error!("{error:#}"),
        }
    }
}
