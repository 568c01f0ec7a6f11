//! The same handlers without a daemon: the command line takes the folder's lock, puts the process
//! together, dispatches one request, and lets go.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;
use tokio::runtime::Runtime;

use super::assemble::{self, App};
use super::guard::{self, Doors};
use super::home::must_be_ours;
use super::settings::GivenKeys;
use crate::platform::http::{Caller, Role};
use crate::platform::wiring::Seams;
use crate::seams::clock::{Clock, SystemClock};
use crate::seams::files::{Files, RealFiles};
use crate::storage::files::FilesReader;

/// A process put together for a few calls.
#[derive(Debug)]
pub struct LocalApi {
    app: App,
    runtime: Runtime,
}

impl LocalApi {
    /// Takes `home`; an [`crate::storage::files::OpenError`] in the chain says who holds it.
    pub fn open(home: &Path) -> anyhow::Result<Self> {
        let files: Arc<dyn Files> = Arc::new(RealFiles);
        must_be_ours(&*files, home)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let runtime = assemble::runtime()?;
        let seams = Seams::new(Arc::clone(&files), Arc::clone(&clock));
        let doors = Doors {
            files: &*files,
            clock: &*clock,
            outbound: &*seams.outbound,
        };
        let engine = match runtime.block_on(guard::barred(&doors, home))? {
            None => assemble::open_storage(home, &files, &clock)?,
            // Reads are answered; every change says why it is refused.
            Some(why) => Arc::new(FilesReader::new(Arc::clone(&files), home, why)),
        };
        let given = GivenKeys::default();
        let app =
            runtime.block_on(async { assemble::assemble(home, seams, engine, &given, None) })?;
        app.health.set_ready();
        Ok(Self { app, runtime })
    }

    /// Where a daemon on this home would listen.
    pub fn would_listen(&self) -> std::net::SocketAddr {
        self.app.daemon.get().rules.listen
    }

    /// Dispatches one request in the name of `local`. Gives status and body.
    pub fn call(&self, request: Request<Bytes>) -> anyhow::Result<(u16, Vec<u8>)> {
        let caller = Caller {
            name: "local".into(),
            role: Some(Role::Admin),
        };
        self.runtime.block_on(async {
            let answer = self.app.server.dispatch(request, caller).await;
            let status = answer.status().as_u16();
            let body = answer
                .into_body()
                .collect()
                .await
                .context("the answer broke off")?;
            Ok((status, body.to_bytes().to_vec()))
        })
    }
}

impl Drop for LocalApi {
    fn drop(&mut self) {
        self.app.close();
    }
}
