//! Backups: the home is backed up every night, copied elsewhere every two hours, and restored every
//! week as a proof. Reads `configs/backups.json`; sole writer of `logs/backups.ndjson` and of the
//! folders in `backups/` that are named by their time.
//!
//! Tasks: `backup`, `replica-sync`, `restore-drill`. Never writes to the files that it backs up,
//! and never takes away a backup that a person named. See `docs/backup.md`.

pub mod config;
pub mod event;
pub mod model;
pub mod reach;

mod api;
mod logic;
mod replicas;
mod service;
mod tasks;
#[cfg(test)]
mod tests;
mod view;
mod watch;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::config::BackupsConfig;
use self::service::Backups;
use crate::platform::config::kind;
use crate::platform::http::Routes;
use crate::platform::scheduler::Task;
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "backups",
    about: "backups that restore, and copies elsewhere, by configs/backups.json",
    config: Some(kind::<BackupsConfig>()),
    build,
};

#[derive(Debug)]
struct Running(Arc<Backups>);

fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    let backups = Backups::open(wiring)?;
    backups.announce(wiring);
    Ok(Arc::new(Running(backups)))
}

impl Capability for Running {
    fn routes(self: Arc<Self>) -> Routes {
        api::routes(&self.0)
    }

    fn tasks(self: Arc<Self>) -> Vec<Arc<dyn Task>> {
        tasks::all(&self.0)
    }

    fn background(self: Arc<Self>, stop: CancellationToken) -> Vec<(&'static str, Background)> {
        let watch = Arc::clone(&self.0).keep_watch(stop);
        vec![("backups-watch", Box::pin(watch))]
    }

    fn trouble(&self) -> Option<String> {
        self.0.trouble()
    }

    fn close(&self) {}
}
