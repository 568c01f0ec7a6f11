//! Incidents: what belongs together of what the watchers find, from its first bad sample until it
//! is over, with what was changed just before. Reads `configs/incidents.json`; sole writer of
//! `logs/incidents.ndjson` and, for releases that are told, of `logs/deploys.ndjson`.
//!
//! Follows the alert events: errors and critical ones open an incident or join one (`logic`);
//! likely causes (`suspects`) are attached to the alerts, so that whoever tells people of them
//! tells those too. Nothing is sent from here. `incident-scan` looks into the reports of other
//! parts each five minutes. Acknowledging an incident acknowledges its alerts, and the other way
//! round; `/ack/{token}` does it by a signed link. Recovery actions are done only with the flag
//! `INCIDENT_AUTORECOVER` and never under `STABILIZE_MODE`: `recovery.rs`.

pub mod event;
pub mod model;

mod api;
mod config;
mod deploys;
mod deploys_api;
mod export;
mod follow;
mod links;
mod logic;
mod page;
mod recovery;
mod reply;
mod scan;
mod service;
mod stats;
mod suspects;
mod tasks;
#[cfg(test)]
mod tests;
mod timeline;
mod view;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::config::IncidentsConfig;
use self::service::Incidents;
use self::tasks::{ALIASES, SCANNING};
use crate::platform::config::kind;
use crate::platform::http::Routes;
use crate::platform::scheduler::Task;
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "incidents",
    about: "what belongs together of what is wrong, with its likely causes",
    config: Some(kind::<IncidentsConfig>()),
    build,
};

#[derive(Debug)]
struct Running(Arc<Incidents>);

fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    let incidents = Incidents::open(wiring)?;
    show(wiring, &incidents);
    Ok(Arc::new(Running(incidents)))
}

/// Puts the headline number on `/metrics`.
fn show(wiring: &Wiring, incidents: &Arc<Incidents>) {
    let own = Arc::clone(incidents);
    wiring.metrics.add(move |page| {
        let book = own.book();
        let live = book.newest().filter(|one| one.is_live()).count();
        page.gauge(
            "echopilot_incidents_live",
            "incidents that are not resolved",
        );
        page.sample(&[], live as f64);
    });
}

impl Capability for Running {
    fn routes(self: Arc<Self>) -> Routes {
        let mut rows = api::routes(&self.0);
        rows.extend(page::routes(&self.0));
        rows.extend(deploys_api::routes(&self.0));
        rows
    }

    fn tasks(self: Arc<Self>) -> Vec<Arc<dyn Task>> {
        vec![SCANNING.bound_as(&self.0, ALIASES)]
    }

    fn background(self: Arc<Self>, stop: CancellationToken) -> Vec<(&'static str, Background)> {
        vec![("incidents", Box::pin(Arc::clone(&self.0).follow(stop)))]
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    fn close(&self) {}
}
