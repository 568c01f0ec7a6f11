//! Experiments as the list of capabilities knows them.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::config::ExperimentsConfig;
use super::event::STREAM;
use super::service::Experiments;
use crate::platform::config::kind;
use crate::platform::http::Routes;
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "experiments",
    about: "assignments, exposures and events of A/B tests, exactly counted",
    config: Some(kind::<ExperimentsConfig>()),
    build,
};

#[derive(Debug)]
struct Running(Arc<Experiments>);

fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    let live = wiring.config::<ExperimentsConfig>()?;
    wiring.journal(STREAM)?;
    let (engine, clock) = (Arc::clone(&wiring.engine), Arc::clone(&wiring.clock));
    let opened = Experiments::open(engine, clock, live, wiring.daemon.clone())?;
    Ok(Arc::new(Running(opened)))
}

impl Capability for Running {
    fn routes(self: Arc<Self>) -> Routes {
        Arc::clone(&self.0).routes()
    }

    fn background(self: Arc<Self>, _stop: CancellationToken) -> Vec<(&'static str, Background)> {
        Vec::new()
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    fn close(&self) {
        self.0.close();
    }
}
