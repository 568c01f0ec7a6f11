//! Logs: the journals over HTTP, for people and their tools. Reads `logs/`; writes nothing and has
//! nothing to configure.
//!
//! Endpoints: `GET /api/logs` lists the journals; `GET /api/logs/{name}` gives pages of lines as
//! they are on disk, by number, time and kind, found by seeking; with `follow=1` it goes on as
//! server-sent events. Lines are never changed, not even foreign ones. Reading never holds up the
//! runtime's thread: it is done on threads of its own, two pages at once.

mod api;
mod batches;
mod follow;
mod page;
mod service;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::service::Logs;
use crate::platform::http::Routes;
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "logs",
    about: "the journals over HTTP: lists, pages, and lines as they come",
    config: None,
    build,
};

#[expect(
    clippy::unnecessary_wraps,
    reason = "others read a configuration and open a journal, which may fail"
)]
fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    Ok(Arc::new(Desk(Arc::new(Logs::new(wiring)))))
}

/// The capability as the platform sees it.
#[derive(Debug)]
struct Desk(Arc<Logs>);

impl Capability for Desk {
    fn routes(self: Arc<Self>) -> Routes {
        api::routes(&self.0)
    }

    fn background(self: Arc<Self>, _stop: CancellationToken) -> Vec<(&'static str, Background)> {
        Vec::new()
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    fn close(&self) {}
}
