//! Tasks: what echopilot does by itself, on a schedule that people can read, change and trust.
//!
//! Reads `configs/tasks.json`; the machinery under [`crate::platform::scheduler`] writes
//! `logs/task_runs.ndjson` on its behalf. Each run is a record: when it was due, when it began and
//! ended, how, and why. Tasks belong to the capabilities whose work they do; here they are listed,
//! run by hand, paused, and looked back at. `docs/tasks.md` tells what happens to missed runs, on
//! days on which clocks change, and when a clock is set.

mod api;
mod config;
mod reply;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::config::TasksConfig;
use crate::base::hex;
use crate::platform::config::kind;
use crate::platform::hands::PAUSE_TASK;
use crate::platform::http::Routes;
use crate::platform::scheduler::core::Origin;
use crate::platform::scheduler::{Parts, STREAM, Scheduler};
use crate::platform::wiring::{Background, Capability, Descriptor, Wiring};
use crate::seams::clock::Clock;
use crate::seams::ids::{Ids as _, SystemIds};
use crate::storage::files::boot_id;

/// This capability, for the list of all.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "tasks",
    about: "the task loop: cadences in configs/tasks.json, every run on record",
    config: Some(kind::<TasksConfig>()),
    build,
};

#[derive(Debug)]
struct Running {
    scheduler: Scheduler,
    clock: Arc<dyn Clock>,
}

fn build(wiring: &Wiring) -> anyhow::Result<Arc<dyn Capability>> {
    wiring.config::<TasksConfig>()?;
    let drawn = SystemIds.random()?;
    let origin = Origin {
        boot: boot_id(&*wiring.seams.files),
        runs: hex::of(&drawn[..4]),
    };
    let scheduler = Scheduler::open(Parts {
        engine: Arc::clone(&wiring.engine),
        journal: wiring.opened(STREAM)?,
        clock: Arc::clone(&wiring.clock),
        tasks: wiring.tasks.clone(),
        alerts: wiring.alerts.clone(),
        changes: wiring.changes.clone(),
        switches: wiring.switches.clone(),
        roster: wiring.roster.clone(),
        origin,
    })?;
    scheduler.be_watched(&wiring.vitals);
    let own = scheduler.clone();
    wiring.hands.offer(PAUSE_TASK, move |order| {
        let scheduler = own.clone();
        Box::pin(async move {
            let paused = scheduler.switch(&order.on, true, &order.by).await;
            let status = paused.map_err(|error| error.to_string())?;
            Ok(format!("task `{}` is paused", status.name))
        })
    });
    let held = scheduler.clone();
    wiring.holds.add(STREAM, move || {
        let all = held.list();
        let since = all.iter().filter_map(|status| status.paused.as_ref());
        since.map(|one| one.at).min()
    });
    let followed = scheduler.clone();
    wiring
        .configs
        .on_accept::<TasksConfig>(Arc::new(move |accepted| {
            followed.set_rules(accepted.rules.clone());
        }))?;
    let clock = Arc::clone(&wiring.clock);
    Ok(Arc::new(Running { scheduler, clock }))
}

impl Capability for Running {
    fn routes(self: Arc<Self>) -> Routes {
        api::routes(&self.scheduler, &self.clock)
    }

    fn background(self: Arc<Self>, stop: CancellationToken) -> Vec<(&'static str, Background)> {
        vec![("task-loop", Box::pin(self.scheduler.clone().drive(stop)))]
    }

    fn trouble(&self) -> Option<String> {
        self.scheduler.trouble()
    }

    fn close(&self) {
        self.scheduler.close();
    }
}
