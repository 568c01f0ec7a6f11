//! Incidents through HTTP, the journals and the alert events that they follow.

mod acts;
mod causes;
mod deploys;
mod life;
mod links;
mod recovery;
mod scan;

use std::time::Duration;

use echopilot::base::labels::Labels;
use echopilot::platform::alerts::{Finding, Severity};
use serde_json::{Value, json};

use crate::world::World;

const MINUTE: Duration = Duration::from_mins(1);

/// The watch of the machine tells of the machine that tests run on.
fn quiet(world: World) -> World {
    for task in ["ops-sentinel", "incident-scan"] {
        let path = format!("/api/tasks/{task}/pause");
        world.post(&path, &Value::Null).expect(200);
    }
    world
}

fn world() -> World {
    quiet(World::new())
}

fn finding(world: &World, key: &str, severity: Severity, labels: &[(&str, &str)]) -> Finding {
    Finding {
        key: key.to_owned(),
        source: key.split(':').next().unwrap_or_default().to_owned(),
        severity,
        summary: format!("{key} is bad"),
        started_at: world.now(),
        labels: labels.iter().copied().collect::<Labels>(),
        ..Finding::default()
    }
}

fn raise(world: &World, key: &str, labels: &[(&str, &str)]) {
    let finding = finding(world, key, Severity::Error, labels);
    raise_as(world, finding);
}

/// Raises it and waits until the incidents have seen it.
fn raise_as(world: &World, finding: Finding) {
    world.app().alerts.raise(finding, world.now());
    followed(world);
}

fn end(world: &World, key: &str) {
    world.app().alerts.resolve(key, world.now(), "it is well");
    followed(world);
}

/// Waits until the alert events are on record and dealt with: an event that nobody follows makes
/// no line, so a last one that does is sent after it.
fn followed(world: &World) {
    let alerts = &world.app().alerts;
    world.block_on(alerts.settled()).unwrap();
    let of = |line: &Value, name: &str| line[name].as_u64().unwrap_or(0);
    let journal = world.journal("alerts");
    let last = journal
        .iter()
        .map(|line| of(line, "seq"))
        .max()
        .unwrap_or(0);
    let key = format!("marker:{last}");
    let mut marker = finding(world, &key, Severity::Critical, &[]);
    marker.source.clone_from(&key);
    alerts.raise(marker, world.now());
    world.until("the incidents have followed", |world| {
        let opened = world.journal_of("incidents", "incident.opened");
        opened.iter().any(|line| line["alert"]["key"] == *key)
    });
    alerts.resolve(&key, world.now(), "seen");
    world.until("the marker is gone", |world| {
        let ended = world.journal_of("incidents", "incident.resolved");
        let opened = world.journal_of("incidents", "incident.opened");
        let id = opened.iter().find(|line| line["alert"]["key"] == *key);
        let id = id.map(|line| line["incident"].clone());
        ended
            .iter()
            .any(|line| Some(&line["incident"]) == id.as_ref())
    });
}

/// Incidents but for those of markers, the newest first.
fn all(world: &World) -> Vec<Value> {
    let list = world.get("/api/incidents?limit=500").expect(200);
    let list = list["incidents"].as_array().unwrap().clone();
    let is_real = |one: &Value| !one["dedup_key"].as_str().unwrap().starts_with("marker:");
    list.into_iter().filter(is_real).collect()
}

fn only(world: &World) -> Value {
    let mut list = all(world);
    assert_eq!(list.len(), 1, "{list:?}");
    list.remove(0)
}

fn id(incident: &Value) -> String {
    incident["id"].as_str().unwrap().to_owned()
}

/// Lines of the journal about `id`, by kind.
fn kinds(world: &World, id: &str) -> Vec<String> {
    let journal = world.journal("incidents");
    let own = journal.iter().filter(|line| line["incident"] == id);
    own.map(|line| line["kind"].as_str().unwrap().to_owned())
        .collect()
}

fn say(text: &str) -> Value {
    json!({ "text": text })
}
