//! Support inbox: the mailbox is read every hour, never changed, and what waits for an answer is
//! told. Reads `configs/support.json`; sole writer of `logs/support_mail.ndjson` (compact facts of
//! mails, no bodies), `logs/support_digest.ndjson` and `logs/support_digest.json`.
//!
//! Never marks, moves or deletes a mail, never sends one. See `docs/support.md`.

pub mod model;

pub mod config;
pub mod imap;
pub mod triage;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::config::SupportConfig;
use crate::platform::config::kind;
use crate::platform::http::Routes;
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "support",
    about: "the support mailbox: who waits for an answer, and how urgent it is",
    config: kind::<SupportConfig>(),
    build,
};

#[derive(Debug)]
struct Running;

fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    let _live = wiring.config::<SupportConfig>()?;
    Ok(Arc::new(Running))
}

impl Capability for Running {
    fn routes(self: Arc<Self>) -> Routes {
        Vec::new()
    }

    fn background(self: Arc<Self>, _stop: CancellationToken) -> Vec<(&'static str, Background)> {
        Vec::new()
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    fn close(&self) {}
}
