//! Anomalies: is a value unlike the last ones of its series.
//!
//! score = min(|z| / 5.5, distance outside the quartiles / (2.75 · IQR)) − 1 over the last 500
//! samples, an anomaly when above 0; see [`logic`]. Both tests must agree, and for 150 samples
//! after an anomaly the next one must be 1.15 times as far out.
//!
//! Reads `configs/anomalies.json`; sole writer of `logs/anomalies.ndjson`, where every value stands
//! before it counts, so that windows survive any end of the process. A series is made by its first
//! value: pushed to `POST /api/anomalies/{series}/samples`, or fed each minute by the task
//! `anomalies-feed` from what is counted anyway. An anomaly is an alert event `anomaly:SERIES`,
//! which ends after ten values within the limits. `GET /ops/anomaly_ai` asks the series `latency`.

pub mod event;
pub mod logic;
pub mod model;
pub mod replay;

mod api;
mod config;
mod service;
mod tasks;
mod view;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::config::AnomaliesConfig;
use self::event::STREAM;
use self::service::Anomalies;
use self::tasks::Feeding;
use crate::platform::config::kind;
use crate::platform::http::Routes;
use crate::platform::samples::Samples;
use crate::platform::scheduler::Task;
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "anomalies",
    about: "values that are unlike the last ones of their series",
    config: Some(kind::<AnomaliesConfig>()),
    build,
};

#[derive(Debug)]
struct Running {
    anomalies: Arc<Anomalies>,
    samples: Samples,
}

fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    let live = wiring.config::<AnomaliesConfig>()?;
    let journal = wiring.opened(STREAM)?;
    let (clock, alerts) = (Arc::clone(&wiring.clock), wiring.alerts.clone());
    Ok(Arc::new(Running {
        anomalies: Anomalies::open(journal, clock, live, alerts)?,
        samples: wiring.samples.clone(),
    }))
}

impl Capability for Running {
    fn routes(self: Arc<Self>) -> Routes {
        api::routes(&self.anomalies)
    }

    fn tasks(self: Arc<Self>) -> Vec<Arc<dyn Task>> {
        let (anomalies, samples) = (Arc::clone(&self.anomalies), self.samples.clone());
        vec![Arc::new(Feeding::new(anomalies, samples))]
    }

    fn background(self: Arc<Self>, _stop: CancellationToken) -> Vec<(&'static str, Background)> {
        Vec::new()
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    fn close(&self) {
        self.anomalies.close();
    }
}
