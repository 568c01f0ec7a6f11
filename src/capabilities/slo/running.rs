//! SLOs as the list of capabilities knows them.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::api;
use super::config::SloConfig;
use super::guard::Slo;
use super::intake::Intake;
use super::tasks::{ALIASES, SLO_GUARD};
use crate::platform::config::kind;
use crate::platform::http::Routes;
use crate::platform::scheduler::Task;
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "slo",
    about: "objectives in configs/slo.json: error budgets and burn-rate alerts",
    config: Some(kind::<SloConfig>()),
    build,
};

#[derive(Debug)]
struct Running {
    slo: Arc<Slo>,
    intake: Arc<Intake>,
}

fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    let slo = Slo::open(wiring)?;
    let intake = Intake::new(wiring, slo.live.clone());
    Ok(Arc::new(Running { slo, intake }))
}

impl Capability for Running {
    fn routes(self: Arc<Self>) -> Routes {
        let mut rows = api::routes(&self.slo);
        rows.extend(self.intake.routes());
        rows
    }

    fn tasks(self: Arc<Self>) -> Vec<Arc<dyn Task>> {
        vec![SLO_GUARD.bound_as(&self.slo, ALIASES)]
    }

    fn background(self: Arc<Self>, stop: CancellationToken) -> Vec<(&'static str, Background)> {
        let intake = Arc::clone(&self.intake).run(stop.clone());
        let watch = Arc::clone(&self.slo).watch(stop);
        vec![
            ("slo-intake", Box::pin(intake)),
            ("slo-watch", Box::pin(watch)),
        ]
    }

    fn trouble(&self) -> Option<String> {
        self.intake.trouble()
    }

    fn close(&self) {}
}
