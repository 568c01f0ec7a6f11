//! Flags: what is switched on, by hand, by API or by command line. Reads and edits
//! `configs/flags.json`; sole writer of `logs/feature_flags.ndjson`.
//!
//! Reads are answered from an answer prepared per revision. Each change, whoever made it, becomes
//! one history line with actor, before, after and revision. Bare values only, so far: definitions
//! and targeting are refused at load, never guessed.

pub mod event;
pub mod model;

mod api;
mod config;
mod logic;
mod recorder;
mod service;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::config::FlagsConfig;
use self::service::Flags;
use crate::platform::config::kind;
use crate::platform::hands::SET_FLAG;
use crate::platform::http::Routes;
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};
use crate::seams::clock::Clock;

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "flags",
    about: "feature flags in configs/flags.json, with their history",
    config: Some(kind::<FlagsConfig>()),
    build,
};

/// Pause before a history line that storage refused is tried again.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Running {
    flags: Arc<Flags>,
    clock: Arc<dyn Clock>,
}

fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    let flags = Flags::open(wiring)?;
    let own = Arc::clone(&flags);
    wiring.hands.offer(SET_FLAG, move |order| {
        let flags = Arc::clone(&own);
        Box::pin(async move { flags.set_for(order).await })
    });
    Ok(Arc::new(Running {
        flags,
        clock: Arc::clone(&wiring.clock),
    }))
}

impl Capability for Running {
    fn routes(self: Arc<Self>) -> Routes {
        api::routes(&self.flags)
    }

    fn background(self: Arc<Self>, stop: CancellationToken) -> Vec<(&'static str, Background)> {
        let retry = async move {
            while stop
                .run_until_cancelled(self.clock.sleep(RETRY))
                .await
                .is_some()
            {
                if self.flags.recorder().is_behind() {
                    self.flags.recorder().pump();
                }
            }
        };
        vec![("flags-history", Box::pin(retry))]
    }

    fn trouble(&self) -> Option<String> {
        let behind = self.flags.recorder().is_behind();
        behind.then(|| "changes of flags wait for storage to be written to the history".to_owned())
    }

    fn close(&self) {}
}
