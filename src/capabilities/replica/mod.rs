//! Copies of this home: what a standby fetches from here, who follows, and who may write. Reads the
//! home's files; keeps `.echopilot/followers.json`, and writes `.echopilot/fence.json` when a
//! standby says that it took over. Has nothing to configure.
//!
//! `GET /api/replica`, `/api/replica/epoch`, `/api/replica/files`, `/api/replica/bytes`; `POST
//! /api/replica/followers`, `/api/replica/followers/{id}/forget`, `/api/replica/fence`,
//! `/api/replica/promote`. Bytes and listings are for admins: keys' digests are among them. Never
//! gives `secrets/` or `.echopilot/`, never a byte that is not on the medium.

mod api;
mod service;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::service::Replica;
use crate::platform::http::Routes;
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "replica",
    about: "copies of this home: standbys that follow it, and who may write",
    config: None,
    build,
};

#[derive(Debug)]
struct Running {
    replica: Arc<Replica>,
}

#[expect(clippy::unnecessary_wraps, reason = "the form of every capability")]
fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    let replica = Arc::new(Replica::new(wiring));
    Ok(Arc::new(Running { replica }))
}

impl Capability for Running {
    fn routes(self: Arc<Self>) -> Routes {
        api::routes(&self.replica)
    }

    fn background(self: Arc<Self>, stop: CancellationToken) -> Vec<(&'static str, Background)> {
        let replica = Arc::clone(&self.replica);
        let watch = async move { replica.watch_followers(stop).await };
        vec![("replica-followers", Box::pin(watch))]
    }

    fn trouble(&self) -> Option<String> {
        self.replica.trouble()
    }

    fn close(&self) {}
}
