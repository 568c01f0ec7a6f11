//! Costs: what a month costs and will cost, by item and currency, and what the daemon itself uses.
//!
//! Reads `configs/costs.json`; sole writer of `logs/costs.ndjson` (what was used, what was
//! measured, what each day cost), `logs/cost_report.ndjson` and the reports `cost_report.json`,
//! `cost_prediction.json` and `ledger_keys.json` beside it. Tasks `cost-tracker`,
//! `cost-collector`, `cost-prediction`, `ledger-sync`; `GET /api/costs`, `/api/costs/forecast`,
//! `/api/costs/report`, `POST /api/costs/usage`.
//!
//! Formulas stand in `logic` (months), `outlook` (forecasts) and `watch` (budgets, steps,
//! shares). Amounts of two currencies are never added, and no exchange rate is ever guessed. Never
//! asks a provider for prices, and never sends alerts: it says what it finds to
//! [`crate::platform::alerts`].

pub mod event;
pub mod logic;
pub mod model;
pub mod outlook;

mod api;
mod config;
mod decimal;
mod ledger;
mod legacy;
mod measure;
mod meter;
mod raw;
mod report;
mod service;
mod tasks;
#[cfg(test)]
mod tests;
mod told;
mod view;
mod watch;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::config::CostsConfig;
use self::service::Costs;
use crate::platform::config::kind;
use crate::platform::http::Routes;
use crate::platform::scheduler::Task;
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "costs",
    about: "what a month costs and will cost, budgets, and the daemon's own use",
    config: Some(kind::<CostsConfig>()),
    build,
};

#[derive(Debug)]
struct Running(Arc<Costs>);

fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    let live = wiring.config::<CostsConfig>()?;
    Ok(Arc::new(Running(Costs::open(wiring, live)?)))
}

impl Capability for Running {
    fn routes(self: Arc<Self>) -> Routes {
        api::routes(&self.0)
    }

    fn tasks(self: Arc<Self>) -> Vec<Arc<dyn Task>> {
        tasks::all(&self.0)
    }

    fn background(self: Arc<Self>, stop: CancellationToken) -> Vec<(&'static str, Background)> {
        let costs = Arc::clone(&self.0);
        vec![("costs", Box::pin(costs.run(stop)))]
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    fn close(&self) {
        self.0.close();
    }
}
