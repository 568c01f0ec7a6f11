//! Host: how the machine is, every 3 minutes, and which of its figures are too bad. Reads
//! `configs/host.json`; sole writer of `logs/ops_sentinel.ndjson`; task `ops-sentinel`;
//! `GET /api/host`.
//!
//! Formulas:
//! - rates are differences of counters over monotonic time; a counter that went back says nothing;
//! - a warning is raised by so many bad readings in a row and cleared by so many good ones, with
//!   two thresholds ([`logic::judge`]); an unknown figure does neither;
//! - a disk is full in `room ÷ loss per hour`, by a line of least squares ([`forecast`]).
//!
//! Never acts on the machine, and never sends alerts: it says what it finds to
//! [`crate::platform::alerts`].

pub mod config;
pub mod event;
pub mod forecast;
pub mod logic;
pub mod model;

mod api;
mod service;
#[cfg(test)]
mod tests;
mod text;
mod view;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::api::OPS_SENTINEL;
use self::config::HostFile;
use self::service::Sentinel;
use crate::platform::config::kind;
use crate::platform::http::Routes;
use crate::platform::scheduler::Task;
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "host",
    about: "the machine's processors, memory, disks and units, with warnings",
    config: Some(kind::<HostFile>()),
    build,
};

#[derive(Debug)]
struct Running(Arc<Sentinel>);

fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    let live = wiring.config::<HostFile>()?;
    let sentinel = Sentinel::open(wiring, live)?;
    let counted = Arc::clone(&sentinel);
    wiring
        .metrics
        .add(move |page| api::families(&counted, page));
    Ok(Arc::new(Running(sentinel)))
}

impl Capability for Running {
    fn routes(self: Arc<Self>) -> Routes {
        api::routes(&self.0)
    }

    fn tasks(self: Arc<Self>) -> Vec<Arc<dyn Task>> {
        vec![OPS_SENTINEL.bound(&self.0)]
    }

    fn background(self: Arc<Self>, _stop: CancellationToken) -> Vec<(&'static str, Background)> {
        let first = async move { self.0.begin().await };
        vec![("host-first-reading", Box::pin(first))]
    }

    fn trouble(&self) -> Option<String> {
        self.0.blind()
    }

    fn close(&self) {
        self.0.close();
    }
}
