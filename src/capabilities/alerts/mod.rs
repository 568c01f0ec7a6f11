//! Alerts: who is told what, when, by which channel, and that it arrives. Reads
//! `configs/alerts.json`; follows the alert events in `logs/alerts.ndjson`. See `docs/alerts.md`.
//!
//! The router groups what holds, waits, leaves out what is silenced or hidden by something worse,
//! and queues one notice for each channel in the outbox, which delivers it. It decides on states:
//! what holds now against what each channel was last told, which the outbox remembers. Nobody is
//! told twice and nothing is lost, whenever the process ends.

#![expect(dead_code, reason = "the router that uses these parts comes next")]

pub mod model;

mod channels;
mod compat;
mod config;
mod labels;
mod matcher;
mod outbox;
mod read;
mod rules;
mod silences;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::compat::Compat;
use self::config::AlertsConfig;
use self::outbox::Outbox;
use self::silences::Silences;
use crate::platform::config::kind;
use crate::platform::http::Routes;
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "alerts",
    about: "who is told what is wrong, by which channel and when, in configs/alerts.json",
    config: kind::<AlertsConfig>(),
    build,
};

#[derive(Debug)]
struct Running {
    compat: Arc<Compat>,
    silences: Arc<Silences>,
    outbox: Arc<Outbox>,
}

fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    let live = wiring.config::<AlertsConfig>()?;
    let silences = Silences::open(wiring)?;
    Ok(Arc::new(Running {
        compat: Compat::open(wiring, live, Arc::clone(&silences)),
        silences,
        outbox: Outbox::open(wiring)?,
    }))
}

impl Capability for Running {
    fn routes(self: Arc<Self>) -> Routes {
        self.compat.routes()
    }

    fn background(self: Arc<Self>, stop: CancellationToken) -> Vec<(&'static str, Background)> {
        vec![self.compat.background(stop)]
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    fn close(&self) {
        self.silences.close();
    }
}
