//! Alerts: who is told what, when, by which channel, and that it arrives. Reads
//! `configs/alerts.json`; follows the alert events in `logs/alerts.ndjson`. See `docs/alerts.md`.
//!
//! The router groups what holds, waits, leaves out what is silenced or hidden by something worse,
//! and queues one notice for each channel in the outbox, which delivers it. It decides on states:
//! what holds now against what each channel was last told, which the outbox remembers. Nobody is
//! told twice and nothing is lost, whenever the process ends.

pub mod channels;
pub mod model;
pub mod outbox;

mod api;
mod compat;
mod config;
mod flapping;
mod groups;
mod inhibited;
mod judge;
mod labels;
mod logic;
mod matcher;
mod notice;
mod read;
mod report;
mod router;
mod rules;
mod service;
mod silences;

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::compat::Compat;
use self::config::AlertsConfig;
use self::outbox::Outbox;
use self::router::Router;
use self::service::Service;
use self::silences::Silences;
use crate::platform::config::kind;
use crate::platform::http::Routes;
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "alerts",
    about: "who is told what is wrong, by which channel and when, in configs/alerts.json",
    config: Some(kind::<AlertsConfig>()),
    build,
};

#[derive(Debug)]
struct Running {
    compat: Arc<Compat>,
    service: Arc<Service>,
    wiring: Wiring,
    /// Counts accepted changes of the file.
    edits: watch::Sender<u64>,
    /// What is wrong with the router, in one sentence.
    trouble: watch::Sender<Option<String>>,
}

fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    let live = wiring.config::<AlertsConfig>()?;
    let edits = watch::Sender::new(0);
    let told = edits.clone();
    wiring
        .configs
        .on_accept::<AlertsConfig>(Arc::new(move |_accepted| {
            told.send_modify(|count| *count += 1);
        }))?;
    let silences = Silences::open(wiring)?;
    let outbox = Outbox::open(wiring, live.clone())?;
    let compat = Compat::open(wiring, live.clone(), Arc::clone(&silences));
    let service = Service {
        live,
        silences,
        outbox,
        alerts: wiring.alerts.clone(),
    };
    Ok(Arc::new(Running {
        compat,
        service: Arc::new(service),
        wiring: wiring.clone(),
        edits,
        trouble: watch::Sender::new(None),
    }))
}

impl Capability for Running {
    fn routes(self: Arc<Self>) -> Routes {
        let mut rows = api::routes(&self.service);
        rows.extend(silences::api::routes(&self.service.silences));
        rows.extend(self.compat.routes());
        rows.extend(self.service.outbox.routes());
        rows
    }

    fn background(self: Arc<Self>, stop: CancellationToken) -> Vec<(&'static str, Background)> {
        let router = Router {
            live: self.service.live.clone(),
            silences: Arc::clone(&self.service.silences),
            outbox: Arc::clone(&self.service.outbox),
            alerts: self.wiring.alerts.clone(),
            clock: Arc::clone(&self.wiring.clock),
            engine: Arc::clone(&self.wiring.engine),
            edits: self.edits.subscribe(),
            trouble: self.trouble.clone(),
        };
        let mut all = self.service.outbox.background(&stop);
        all.push(self.compat.background(stop.clone()));
        all.push(("alerts-router", Box::pin(router.run(stop))));
        all
    }

    fn trouble(&self) -> Option<String> {
        let own = self.trouble.borrow().clone();
        own.or_else(|| self.service.outbox.trouble())
    }

    fn close(&self) {
        self.service.silences.close();
    }
}
