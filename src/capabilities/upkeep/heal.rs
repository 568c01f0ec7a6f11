//! Self-healing: what can be set right without deciding anything.
//!
//! Each journal is given an empty append, at which its writer recovers, sets torn lines aside and
//! seals a segment that is due; each configuration is read again from disk; background work that
//! panicked is started again. Leases need nothing: they end by themselves.

use serde_json::json;

use super::Upkeep;
use super::event::Healed;
use crate::platform::health::State;
use crate::platform::scheduler::{Pass, Summary, TaskError};
use crate::storage::engine::Expect;
use crate::storage::lines::Lines;

/// One pass over everything that can be mended.
pub(super) async fn heal(upkeep: &Upkeep, pass: &Pass) -> Result<Summary, TaskError> {
    let mut done = revive(upkeep);
    let wiring = &upkeep.wiring;
    for stream in wiring.engine.streams() {
        let Some(before) = wiring.engine.health(&stream) else {
            continue;
        };
        let barrier = wiring
            .engine
            .append(&stream, Expect::Any, None, Lines::new(), None);
        let outcome = barrier.await;
        let after = wiring.engine.health(&stream).unwrap_or_default();
        if before.refusing.is_some() && outcome.is_ok() {
            done.push(format!("`{stream}` takes lines again"));
        }
        if after.segments > before.segments {
            done.push(format!("`{stream}` begun in a new segment"));
        }
    }
    let degraded = |upkeep: &Upkeep| {
        let all = upkeep.wiring.configs.status();
        all.iter().filter(|one| one.degraded.is_some()).count()
    };
    let before = degraded(upkeep);
    let configs = wiring.configs.clone();
    tokio::task::spawn_blocking(move || configs.refresh_all())
        .await
        .map_err(|_| TaskError("the thread that read the configurations died".to_owned()))?;
    let mended = before.saturating_sub(degraded(upkeep));
    if mended > 0 {
        done.push(format!("{mended} configurations are in force as on disk"));
    }
    let checks = wiring.health.checks();
    let left = checks.iter().filter_map(|(name, state)| match state {
        State::Ok => None,
        State::Degraded(why) | State::Failed(why) => Some(format!("`{name}`: {why}")),
    });
    let line = Healed {
        done,
        left: left.collect(),
    };
    upkeep.write("upkeep.healed", pass, &line).await?;
    Ok(Summary::ok(json!({ "done": line.done, "left": line.left })))
}

/// Starts background work again that has panicked.
fn revive(upkeep: &Upkeep) -> Vec<String> {
    let fallen = upkeep.wiring.tasks.take_fallen();
    let words = fallen.into_iter().map(|name| {
        if upkeep.wiring.reviver.revive(name) {
            format!("`{name}` had panicked and is started again")
        } else {
            format!("`{name}` had panicked; it ran once and is not repeated")
        }
    });
    words.collect()
}
