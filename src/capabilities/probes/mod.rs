//! Probes: what the outside sees, asked again and again. HTTP, TCP, TLS and DNS by
//! `configs/probes.json`; sole writer of `logs/probes.ndjson`; each look is a sample of the series
//! `probe:NAME`, of which uptime and objectives are made.
//!
//! A probe is down after N failures in a row and up after M successes; its alert event is
//! `probe:NAME`, that of its certificate `probe:NAME:certificate`. A failing child has its parent
//! looked at first and alerts nobody while that is down. A failure counts only while this machine
//! is online. Planned failures count for nothing. Looks never wait for each other.
//!
//! `GET /api/probes`, `POST /api/probes/{name}/check`, `GET /ops/uptime`.

pub mod event;
pub mod model;

mod api;
mod board;
mod config;
mod judge;
mod logic;
mod look;
mod raw;
mod record;
mod restored;
mod service;
mod target;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::config::ProbesConfig;
use self::service::Probes;
use crate::platform::config::kind;
use crate::platform::http::Routes;
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "probes",
    about: "what the outside sees: HTTP, TCP, TLS and DNS by configs/probes.json, with its history",
    config: Some(kind::<ProbesConfig>()),
    build,
};

#[derive(Debug)]
struct Running {
    probes: Arc<Probes>,
}

fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    let probes = Probes::open(wiring)?;
    Ok(Arc::new(Running { probes }))
}

impl Capability for Running {
    fn routes(self: Arc<Self>) -> Routes {
        api::routes(&self.probes)
    }

    fn background(self: Arc<Self>, stop: CancellationToken) -> Vec<(&'static str, Background)> {
        let looks = Arc::clone(&self.probes).run(stop.clone());
        let lines = Arc::clone(&self.probes).keep_trying(stop);
        vec![
            ("probes", Box::pin(looks)),
            ("probes-history", Box::pin(lines)),
        ]
    }

    fn trouble(&self) -> Option<String> {
        self.probes.trouble()
    }

    fn close(&self) {}
}
