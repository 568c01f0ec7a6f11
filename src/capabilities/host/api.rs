//! The watch over HTTP, on the page of counts and in the task loop: translates in, calls one verb,
//! translates out.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::event::{Readings, WatchLine};
use super::service::Sentinel;
use crate::base::time::stamp;
use crate::platform::http::{HttpError, Reply, Route, Routes, Scope};
use crate::platform::scheduler::{DefaultCadence, Summary, TaskError, TaskRow};
use crate::platform::telemetry::Page;

/// Seconds between two looks (`product.md` §5).
const CADENCE_SECS: u64 = 180;
/// Longest look: two readings whose slowest parts take 5 s each, and the pause between them.
const LIMIT: Duration = Duration::from_secs(30);

/// The rows of the route table.
pub(super) fn routes(sentinel: &Arc<Sentinel>) -> Routes {
    let about = "how the machine is: readings, warnings and forecasts of the latest run";
    vec![
        Route::get("/api/host", Scope::Read, about)
            .gives::<HostReply>()
            .handler(get(latest).with_state(Arc::clone(sentinel))),
    ]
}

/// Answer of `GET /api/host`.
#[derive(Serialize, JsonSchema)]
struct HostReply {
    /// When the latest run was; null before the first.
    measured_at: Option<String>,
    /// What is too bad, by the fixed words.
    warnings: Vec<String>,
    /// The same, one by one.
    active: Vec<ActiveReply>,
    /// What was read; null before the first run.
    readings: Option<Readings>,
}

/// A raised warning.
#[derive(Serialize, JsonSchema)]
struct ActiveReply {
    /// Its word.
    warning: String,
    /// Of what: a mount, a unit, whose handles; null where there is one.
    of: Option<String>,
    /// The first bad reading.
    started_at: Option<String>,
    /// When it was raised.
    since: String,
    /// The figure now; null where it is unknown or without bounds.
    value: Option<f64>,
    /// The warning is raised there.
    warn: f64,
    /// It is cleared there.
    clear: f64,
}

fn active(line: WatchLine) -> Option<ActiveReply> {
    Some(ActiveReply {
        since: stamp(line.since?),
        warning: line.warning,
        of: Some(line.of).filter(|of| !of.is_empty()),
        started_at: line.from.map(stamp),
        value: line.value,
        warn: line.warn,
        clear: line.clear,
    })
}

async fn latest(State(sentinel): State<Arc<Sentinel>>) -> Result<Reply<HostReply>, HttpError> {
    let reply = match sentinel.latest() {
        None => HostReply {
            measured_at: None,
            warnings: Vec::new(),
            active: Vec::new(),
            readings: None,
        },
        Some(latest) => HostReply {
            measured_at: Some(stamp(latest.at)),
            warnings: latest.measured.warnings,
            active: latest
                .measured
                .watches
                .into_iter()
                .filter_map(active)
                .collect(),
            readings: Some(latest.measured.readings),
        },
    };
    Ok(Reply::ok(reply))
}

/// The look as the task loop knows it.
pub(super) static OPS_SENTINEL: TaskRow<Sentinel> = TaskRow {
    name: "ops-sentinel",
    about: "reads the machine and warns of what is too bad",
    cadence: DefaultCadence::every_secs(CADENCE_SECS),
    limit: LIMIT,
    acts: false,
    run: |sentinel, pass| Box::pin(look(sentinel, pass.now)),
};

async fn look(sentinel: &Sentinel, now: DateTime<Utc>) -> Result<Summary, TaskError> {
    let look = sentinel.look(now).await?;
    Ok(Summary::ok(json!({
        "warnings": look.warnings,
        "raised": look.raised,
        "cleared": look.cleared,
        "unknown": look.unknown,
    })))
}

/// Percent as the ratio that counts for machines are told in.
const PERCENT: f64 = 100.0;

/// Adds the latest readings to the page of counts.
pub(super) fn families(sentinel: &Sentinel, page: &mut Page) {
    let Some(latest) = sentinel.latest() else {
        return;
    };
    let readings = latest.measured.readings;
    for (name, help, percent) in [
        (
            "echopilot_host_cpu_ratio",
            "processor time that was not idle",
            readings.cpu_percent,
        ),
        (
            "echopilot_host_memory_used_ratio",
            "memory that cannot be had any more",
            readings.ram_percent,
        ),
    ] {
        if let Some(percent) = percent {
            page.gauge(name, help);
            page.sample(&[], percent / PERCENT);
        }
    }
    let pressures = [
        ("cpu", readings.pressure_cpu_percent),
        ("memory", readings.pressure_memory_percent),
        ("io", readings.pressure_io_percent),
    ];
    if pressures.iter().any(|(_, percent)| percent.is_some()) {
        let help = "time in which a task waited for the resource";
        page.gauge("echopilot_host_pressure_ratio", help);
        for (resource, percent) in pressures {
            if let Some(percent) = percent {
                page.sample(&[("resource", resource)], percent / PERCENT);
            }
        }
    }
    page.gauge("echopilot_host_disk_used_ratio", "room in use, as df says");
    for (mount, volume) in &readings.volumes {
        if let Some(percent) = volume.used_percent {
            page.sample(&[("mount", mount)], percent / PERCENT);
        }
    }
    page.gauge(
        "echopilot_host_warning_active",
        "1 for each warning that is raised",
    );
    for watch in latest.measured.watches {
        if watch.since.is_some() {
            let labels = [("warning", watch.warning.as_str()), ("of", &watch.of)];
            page.sample(&labels, 1.0);
        }
    }
}
