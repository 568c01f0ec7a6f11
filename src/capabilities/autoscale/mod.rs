//! Autoscale: a worker more or less, by rule, behind gates, and never by surprise.
//!
//! Gates in order: `STABILIZE_MODE`, `AUTOSCALE_ENABLED`, the profit guard, the rule: [`logic`].
//! The task `autoscale` ticks each minute. A step is carried out by a command or a signed call, and
//! only planned as shipped. Reads and, for auto-tune, edits `configs/autoscale.json`; sole writer
//! of `logs/autoscale.ndjson`, where each step stands before it is carried out.
//!
//! The queue and the workers are told by the application (`POST /api/autoscale/observations`); P95
//! too, or it is taken from a series of samples. What is not known is never made up: no worker goes
//! on a guess. There is no ledger yet, so the margin is not known and the profit guard open.

pub mod event;
pub mod logic;
pub mod tune;

mod api;
mod config;
mod executor;
mod service;
mod tasks;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::config::AutoscaleConfig;
use self::event::STREAM;
use self::executor::Carrier;
use self::service::{Autoscale, Parts};
use self::tasks::Ticking;
use crate::platform::config::kind;
use crate::platform::http::Routes;
use crate::platform::scheduler::Task;
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};
use crate::seams::clock::Clock;

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "autoscale",
    about: "workers by load, behind gates; targets by what is measured",
    config: Some(kind::<AutoscaleConfig>()),
    build,
};

#[derive(Debug)]
struct Running(Arc<Autoscale>);

fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    let autoscale = Autoscale::open(Parts {
        live: wiring.config::<AutoscaleConfig>()?,
        configs: wiring.configs.clone(),
        journal: wiring.opened(STREAM)?,
        samples: wiring.samples.clone(),
        switches: wiring.switches.clone(),
        carrier: Carrier::new(wiring),
    })?;
    show(wiring, &autoscale);
    Ok(Arc::new(Running(autoscale)))
}

/// Puts the headline numbers on `/metrics`; the margin only once it is known.
fn show(wiring: &Wiring, autoscale: &Arc<Autoscale>) {
    let (own, clock): (_, Arc<dyn Clock>) = (Arc::clone(autoscale), Arc::clone(&wiring.clock));
    wiring.metrics.add(move |page| {
        let look = own.look(clock.now());
        page.gauge("echopilot_autoscale_workers", "workers of the application");
        page.sample(&[], f64::from(look.standing.workers));
        let frozen = logic::is_profit_frozen(&look.seen, &look.rules.rules.rule);
        page.gauge(
            "echopilot_profit_frozen",
            "1 while the margin is too small for another worker",
        );
        page.sample(&[], f64::from(u8::from(frozen)));
        if let Some(margin) = look.seen.margin_percent {
            page.gauge("echopilot_profit_margin_pct", "profit margin in percent");
            page.sample(&[], margin);
        }
    });
}

impl Capability for Running {
    fn routes(self: Arc<Self>) -> Routes {
        api::routes(&self.0)
    }

    fn tasks(self: Arc<Self>) -> Vec<Arc<dyn Task>> {
        vec![Arc::new(Ticking(Arc::clone(&self.0)))]
    }

    fn background(self: Arc<Self>, _stop: CancellationToken) -> Vec<(&'static str, Background)> {
        Vec::new()
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    fn close(&self) {}
}
