//! SLOs as the list of capabilities knows them.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::api;
use super::config::SloConfig;
use super::guard::Slo;
use super::tasks::SloGuard;
use crate::platform::config::kind;
use crate::platform::http::Routes;
use crate::platform::scheduler::Task;
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "slo",
    about: "objectives in configs/slo.json: error budgets and burn-rate alerts",
    config: kind::<SloConfig>(),
    build,
};

#[derive(Debug)]
struct Running(Arc<Slo>);

fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    Ok(Arc::new(Running(Slo::open(wiring)?)))
}

impl Capability for Running {
    fn routes(self: Arc<Self>) -> Routes {
        api::routes(&self.0)
    }

    fn tasks(self: Arc<Self>) -> Vec<Arc<dyn Task>> {
        vec![Arc::new(SloGuard(Arc::clone(&self.0)))]
    }

    fn background(self: Arc<Self>, stop: CancellationToken) -> Vec<(&'static str, Background)> {
        vec![("slo-watch", Box::pin(Arc::clone(&self.0).watch(stop)))]
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    fn close(&self) {}
}
