//! Heartbeats: signs of life that jobs of yours send, and the alarm when one does not come. Reads
//! `configs/heartbeats.json`; sole writer of `logs/heartbeats.ndjson`. See `docs/heartbeats.md`.
//!
//! A job calls `/ping/KEY` when it has done its work; a heartbeat is down when that does not happen
//! in time, when a run takes too long or when the job says that it failed. Echopilot's own sign of
//! life to a watcher elsewhere is the task `outgoing-heartbeat`. Of keys only digests are kept.

pub mod event;
pub mod model;

mod api;
mod config;
mod logic;
mod outgoing;
mod ping;
mod service;
mod view;
mod watch;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::config::HeartbeatsConfig;
use self::outgoing::OutgoingHeartbeat;
use self::service::Heartbeats;
use crate::platform::config::kind;
use crate::platform::http::Routes;
use crate::platform::scheduler::Task;
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "heartbeats",
    about: "signs of life of your jobs, and of echopilot itself, in configs/heartbeats.json",
    config: Some(kind::<HeartbeatsConfig>()),
    build,
};

#[derive(Debug)]
struct Running {
    heartbeats: Arc<Heartbeats>,
    outgoing: Arc<OutgoingHeartbeat>,
}

fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    let heartbeats = Heartbeats::open(wiring)?;
    let outgoing = OutgoingHeartbeat::new(wiring, heartbeats.live.clone());
    Ok(Arc::new(Running {
        heartbeats,
        outgoing: Arc::new(outgoing),
    }))
}

impl Capability for Running {
    fn routes(self: Arc<Self>) -> Routes {
        let mut rows = api::routes(&self.heartbeats);
        rows.extend(ping::routes(&self.heartbeats));
        rows
    }

    fn tasks(self: Arc<Self>) -> Vec<Arc<dyn Task>> {
        vec![Arc::clone(&self.outgoing) as Arc<dyn Task>]
    }

    fn background(self: Arc<Self>, stop: CancellationToken) -> Vec<(&'static str, Background)> {
        let watch = Arc::clone(&self.heartbeats).keep_watch(stop);
        vec![("heartbeats-watch", Box::pin(watch))]
    }

    fn trouble(&self) -> Option<String> {
        self.heartbeats.trouble()
    }

    fn close(&self) {
        self.heartbeats.kept.close();
    }
}
