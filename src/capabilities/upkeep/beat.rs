//! The heartbeat, and the look at every part that goes on record.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::Upkeep;
use super::event::{Beat, HealthChecked};
use crate::platform::alerts::{Finding, Severity};
use crate::platform::health::{Check, State};
use crate::platform::lifecycle;
use crate::platform::scheduler::{Pass, Summary, TaskError};
use crate::seams::files::read_whole;

/// Parts that no alert is made of: the first is not well while it starts and stops, the second
/// would tell of itself, the third tells more of itself than one sentence.
const UNTOLD: [&str; 3] = ["daemon", "alerts", "backups"];

/// One line of life; tells the service manager how we are, and makes an alert of each part that is
/// not well. That we live, it hears from the watchdog.
pub(super) async fn beat(upkeep: &Upkeep, pass: &Pass) -> Result<Summary, TaskError> {
    let checks = upkeep.wiring.health.checks();
    tell(upkeep, pass, &checks);
    let told = |(name, state): &Check| reason(state).map(|why| ((*name).to_owned(), why));
    let line = Beat {
        uptime_secs: upkeep.wiring.clock.uptime().as_secs(),
        resident_bytes: resident_bytes(upkeep),
        status: status(&checks).to_owned(),
        troubles: checks.iter().filter_map(told).collect(),
    };
    lifecycle::notify_status(&format!("{}, {} alerts", line.status, open_alerts(upkeep)));
    upkeep.write("upkeep.beat", pass, &line).await?;
    Ok(Summary::ok(json!({ "status": line.status })))
}

/// The same look for the record, each part named.
pub(super) async fn monitor(upkeep: &Upkeep, pass: &Pass) -> Result<Summary, TaskError> {
    let checks = upkeep.wiring.health.checks();
    let told = |(name, state): &Check| {
        let words = reason(state).unwrap_or_else(|| "ok".to_owned());
        ((*name).to_owned(), words)
    };
    let mut alerts = BTreeMap::new();
    for active in upkeep.wiring.alerts.active() {
        let severity = format!("{:?}", active.finding.severity).to_lowercase();
        *alerts.entry(severity).or_default() += 1;
    }
    let line = HealthChecked {
        status: status(&checks).to_owned(),
        checks: checks.iter().map(told).collect(),
        alerts,
    };
    upkeep.write("upkeep.health_checked", pass, &line).await?;
    let output = json!({ "status": line.status, "alerts": line.alerts });
    Ok(Summary::ok(output))
}

fn tell(upkeep: &Upkeep, pass: &Pass, checks: &[Check]) {
    // A part that another version had is not here to say that it is well.
    for said in upkeep.wiring.alerts.said_by("upkeep") {
        let key = &said.finding.key;
        let part = key.strip_prefix("health:");
        if part.is_some_and(|part| checks.iter().all(|(name, _)| *name != part)) {
            let how = "there is no such part any more";
            upkeep.wiring.alerts.resolve(key, pass.now, how);
        }
    }
    for (name, state) in checks.iter().filter(|(name, _)| !UNTOLD.contains(name)) {
        let key = format!("health:{name}");
        let (severity, why) = match state {
            State::Ok => {
                let how = format!("`{name}` is well again");
                upkeep.wiring.alerts.resolve(&key, pass.now, how);
                continue;
            }
            State::Degraded(why) => (Severity::Warning, why),
            State::Failed(why) => (Severity::Critical, why),
        };
        let finding = Finding {
            key,
            source: "upkeep".to_owned(),
            severity,
            summary: format!("`{name}`: {why}"),
            started_at: pass.now,
            labels: [("part".to_owned(), (*name).to_owned())].into(),
            ..Finding::default()
        };
        upkeep.wiring.alerts.raise(finding, pass.now);
    }
}

/// The worst of all parts, in one word.
pub(super) fn status(checks: &[Check]) -> &'static str {
    let any = |wanted: fn(&State) -> bool| checks.iter().any(|(_, state)| wanted(state));
    if any(|state| matches!(state, State::Failed(_))) {
        "failed"
    } else if any(|state| matches!(state, State::Degraded(_))) {
        "degraded"
    } else {
        "ok"
    }
}

fn reason(state: &State) -> Option<String> {
    match state {
        State::Ok => None,
        State::Degraded(why) => Some(format!("degraded: {why}")),
        State::Failed(why) => Some(format!("failed: {why}")),
    }
}

fn open_alerts(upkeep: &Upkeep) -> usize {
    upkeep.wiring.alerts.active().len()
}

/// Memory of the process in RAM, as proc(5) shows it.
fn resident_bytes(upkeep: &Upkeep) -> Option<u64> {
    /// Bytes of `/proc/self/statm` at most: seven numbers.
    const MOST: u64 = 256;
    let path = Path::new("/proc/self/statm");
    let mut file = upkeep.wiring.seams.files.open_read(path).ok()?;
    let text = String::from_utf8(read_whole(&mut *file, MOST).ok()?).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
