//! Retention: packs sealed segments, mends packed ones, and removes what nobody wants to keep, as
//! `journals` in `configs/echopilot.json` says. At night; sooner, and never more than that, when
//! the disk fills.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Upkeep;
use super::event::Tidied as Line;
use crate::platform::scheduler::{Pass, Summary, TaskError};
use crate::platform::wiring::Wiring;
use crate::storage::lines::Lines;
use crate::storage::tidying::{Tidied, TidyPlan};

/// How often it is tried while the disk is filling. Our own choice: a pass that finds nothing costs
/// a look at each sealed segment.
const AGAIN_AFTER: Duration = Duration::from_hours(1);
/// Things left as they are that one line tells of; there may be thousands of segments.
const LEFT_TOLD: usize = 20;

/// One pass as the settings allow.
pub(super) async fn tidy(upkeep: &Upkeep, pass: &Pass) -> Result<Summary, TaskError> {
    let done = go(&upkeep.wiring, pass.now, pass.stop.clone()).await?;
    let line = line_of(&done);
    upkeep.write("upkeep.tidied", pass, &line).await?;
    let output = json!({
        "won_bytes": done.won_bytes(),
        "packed": done.packed,
        "removed": done.removed,
        "mended": done.mended,
        "left": done.left.len(),
        "is_cut_short": done.is_cut_short,
    });
    Ok(Summary::ok(output))
}

fn line_of(done: &Tidied) -> Line {
    Line {
        packed: done.packed,
        packed_from_bytes: done.packed_from_bytes,
        packed_to_bytes: done.packed_to_bytes,
        mended: done.mended,
        removed: done.removed,
        removed_bytes: done.removed_bytes,
        left: done.left.iter().take(LEFT_TOLD).cloned().collect(),
        is_cut_short: done.is_cut_short,
    }
}

async fn go(
    wiring: &Wiring,
    now: DateTime<Utc>,
    stop: CancellationToken,
) -> Result<Tidied, TaskError> {
    let rules = wiring.daemon.get().rules.clone();
    let holds = &wiring.holds;
    let before = rules.retention_days.iter().map(|(journal, days)| {
        let wished = now - TimeDelta::days(i64::from(*days));
        (journal.clone(), holds.within(journal, wished))
    });
    let plan = TidyPlan {
        now,
        pack_after: rules.compress_after,
        remove_before: before.collect::<BTreeMap<_, _>>(),
        is_dry_run: false,
    };
    let engine = Arc::clone(&wiring.engine);
    let work = move || engine.tidy(&plan, &|| stop.is_cancelled());
    let done = tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| TaskError("the thread that tidies died".to_owned()))?;
    Ok(done?)
}

/// The disk is filling: what is due tonight is done now, once an hour, unless `STABILIZE_MODE`
/// holds it.
pub(super) fn hurry(upkeep: &Upkeep, pass: &Pass) {
    let wiring = &upkeep.wiring;
    if !wiring.engine.medium().low || wiring.switches.get().is_stabilized() {
        return;
    }
    let uptime = wiring.clock.uptime().as_secs();
    let last = upkeep.tidied_at.load(Ordering::Relaxed);
    if last > 0 && uptime.saturating_sub(last) < AGAIN_AFTER.as_secs() {
        return;
    }
    upkeep.tidied_at.store(uptime.max(1), Ordering::Relaxed);
    let (wiring, journal) = (wiring.clone(), upkeep.journal.clone());
    let (tasks, now) = (wiring.tasks.clone(), pass.now);
    tasks.clone().spawn("retention-hurry", async move {
        let told = match go(&wiring, now, tasks.soft().clone()).await {
            Ok(done) => {
                let mut lines = Lines::new();
                lines.push_members("upkeep.tidied", now, &line_of(&done));
                let written = journal.append(lines, None, None).await;
                written.map(drop).map_err(TaskError::from)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = told {
            tracing::warn!(%error, "what may go of old journals did not go");
        }
    });
}
