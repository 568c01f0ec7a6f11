//! Support inbox: the mailbox is read every hour, never changed, and what waits for an answer is
//! told. Reads `configs/support.json`; sole writer of `logs/support_mail.ndjson` (compact facts of
//! mails, no bodies), `logs/support_digest.ndjson` and `logs/support_digest.json`.
//!
//! Never marks, moves or deletes a mail, never sends one. See `docs/support.md`.

pub mod event;
pub mod imap;
pub mod model;
pub mod view;

mod api;
pub mod config;
mod findings;
mod keeper;
mod reach;
mod report;
mod service;
mod tasks;
pub mod triage;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::config::SupportConfig;
use self::service::Support;
use self::tasks::SUPPORT_INBOX;
use crate::platform::config::kind;
use crate::platform::http::Routes;
use crate::platform::scheduler::Task;
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "support",
    about: "the support mailbox: who waits for an answer, and how urgent it is",
    config: Some(kind::<SupportConfig>()),
    build,
};

#[derive(Debug)]
struct Running(Arc<Support>);

fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    Ok(Arc::new(Running(Support::open(wiring)?)))
}

impl Capability for Running {
    fn routes(self: Arc<Self>) -> Routes {
        api::routes(&self.0)
    }

    fn tasks(self: Arc<Self>) -> Vec<Arc<dyn Task>> {
        vec![SUPPORT_INBOX.bound(&self.0)]
    }

    fn background(self: Arc<Self>, _stop: CancellationToken) -> Vec<(&'static str, Background)> {
        Vec::new()
    }

    fn trouble(&self) -> Option<String> {
        // Its own alert events tell what is wrong; a mail server that is down is no fault of ours.
        None
    }

    fn close(&self) {}
}
