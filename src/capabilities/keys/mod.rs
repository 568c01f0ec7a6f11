//! Keys: who may call the HTTP API. Entries stand in `configs/keys.json`, digests only; every
//! making, rotation and revocation is a line of `logs/keys.ndjson`. Several keys of one role may be
//! live, so that a rotation has an overlap. A key that was taken back fails on the next request.
//!
//! `GET|POST /api/admin/keys`, `POST /api/admin/keys/{id}/rotate`, `POST
//! /api/admin/keys/{id}/revoke`.

mod api;
mod config;
mod service;
mod usage;

use std::sync::Arc;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use self::config::KeysConfig;
use self::service::Keys;
use self::usage::Usage;
use crate::platform::config::kind;
use crate::platform::http::Routes;
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};
use crate::seams::clock::Clock;

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "keys",
    about: "keys of the HTTP API in configs/keys.json, with their history",
    config: Some(kind::<KeysConfig>()),
    build,
};

/// Days before a key's end at which it is told (rule H8 of the reliability notes).
const WARN_DAYS: i64 = 14;

#[derive(Debug)]
struct Running {
    keys: Arc<Keys>,
    usage: Arc<Usage>,
    clock: Arc<dyn Clock>,
}

fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    let keys = Keys::open(wiring)?;
    let usage = Usage::recall(&wiring.engine, &wiring.gate);
    Ok(Arc::new(Running {
        keys,
        usage,
        clock: Arc::clone(&wiring.clock),
    }))
}

impl Capability for Running {
    fn routes(self: Arc<Self>) -> Routes {
        api::routes(&self.keys)
    }

    fn background(self: Arc<Self>, stop: CancellationToken) -> Vec<(&'static str, Background)> {
        let keep = Arc::clone(&self.usage).keep(Arc::clone(&self.clock), stop);
        vec![("keys-usage", Box::pin(keep))]
    }

    fn trouble(&self) -> Option<String> {
        let ring = self.keys.gate().ring();
        let soon = ring.expiring(self.clock.now(), TimeDelta::days(WARN_DAYS));
        let told: Vec<String> = soon
            .iter()
            .map(|(id, end)| format!("key `{id}` ends on {}", end.format("%Y-%m-%d")))
            .collect();
        (!told.is_empty()).then(|| {
            let all = told.join(", ");
            format!("{all}: `echopilot key rotate ID` makes the next one")
        })
    }

    fn close(&self) {
        self.usage.save();
    }
}
