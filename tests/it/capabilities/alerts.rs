//! The alert router as people see it: which notices are queued, when, for whom, over every end of
//! the process. On the stepped clock; a notice is one line `notice.queued`.

use std::cell::Cell;
use std::time::Duration;

use echopilot::platform::alerts::{Finding, Severity};
use serde_json::{Value, json};

use crate::world::World;

mod commands;
mod grouped;
mod hidden;
mod lives;
mod routed;
mod watched;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// A configuration with the channels `chat`, `pager` and `mail` and the shipped levels, and what
/// else `more` says.
fn config(more: &Value) -> String {
    let mut config = json!({
        "channels": { "chat": channel(), "pager": channel(), "mail": channel() },
        "levels": { "info": ["log"], "warning": ["chat"], "error": ["chat", "pager"] },
    });
    let members = config.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    // What tells that the router has looked.
    let sentinel = json!({
        "match": ["alertname=sentinel"], "channels": ["mail"], "group_by": ["..."],
        "group_wait": "0s",
    });
    let routes = members.entry("routes").or_insert_with(|| json!([]));
    routes.as_array_mut().unwrap().insert(0, sentinel);
    config.to_string()
}

/// A channel that needs nobody else.
fn channel() -> Value {
    json!({ "slack": {} })
}

/// A world with this configuration, running, with tasks paused that would hold it up.
fn world(more: &Value) -> World {
    let others = r#"{ "tasks": { "ops-sentinel": { "paused": true } } }"#;
    let world = World::with_config("alerts.json", &config(more));
    world.config("tasks.json", others).start()
}

/// Says that `key` holds.
fn raise(world: &World, key: &str, severity: Severity) {
    raise_with(world, key, severity, &[]);
}

/// Says that `key` holds, with labels.
fn raise_with(world: &World, key: &str, severity: Severity, labels: &[(&str, &str)]) {
    let finding = Finding {
        key: key.into(),
        source: "tests".into(),
        severity,
        summary: format!("`{key}` is not well"),
        started_at: world.now(),
        labels: labels.iter().copied().collect(),
        ..Finding::default()
    };
    let alerts = &world.app().alerts;
    alerts.raise(finding, world.now());
    world.block_on(alerts.settled()).unwrap();
}

/// Says that `key` does not hold any more.
fn resolve(world: &World, key: &str) {
    let alerts = &world.app().alerts;
    alerts.resolve(key, world.now(), format!("`{key}` is well again"));
    world.block_on(alerts.settled()).unwrap();
}

/// What a notice says, shortly: channel, reason, and the keys of its alerts, ended ones with `-`.
fn told(world: &World) -> Vec<String> {
    queued(world).iter().map(short).collect()
}

/// The notices of what tests raise: tasks are late on a stepped clock, and that is told too.
fn queued(world: &World) -> Vec<Value> {
    let mut all = world.journal_of("notices", "notice.queued");
    all.retain(|notice| {
        let alert = &notice["alerts"][0];
        alert["labels"]["source"] == "tests" && alert["labels"]["alertname"] != "sentinel"
    });
    all
}

fn short(notice: &Value) -> String {
    let alerts = notice["alerts"].as_array().unwrap();
    let key = |alert: &Value| {
        let ended = alert["status"] == "resolved";
        let sign = if ended { "-" } else { "" };
        format!("{sign}{}", alert["key"].as_str().unwrap())
    };
    let keys: Vec<_> = alerts.iter().map(key).collect();
    let text = |name: &str| notice[name].as_str().unwrap().to_owned();
    format!("{} {} {}", text("channel"), text("reason"), keys.join(" "))
}

/// Waits until the router has looked, whatever it found: what is due by now is queued. Lets some
/// seconds pass, for looks are that far apart.
fn looked(world: &World) {
    thread_local!(static COUNT: Cell<u32> = const { Cell::new(0) });
    let number = COUNT.get() + 1;
    COUNT.set(number);
    let key = format!("sentinel:{number}");
    raise(world, &key, Severity::Critical);
    let tries = Cell::new(0);
    world.until("the router has looked", |world| {
        tries.set(tries.get() + 1);
        if tries.get() % 20 == 1 {
            world.clock.advance(SECOND);
        }
        let all = world.journal_of("notices", "notice.queued");
        all.iter()
            .any(|one| short(one).ends_with(&format!(" {key}")))
    });
    resolve(world, &key);
}
