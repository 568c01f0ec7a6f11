//! The sign of life of echopilot itself.

use std::sync::{Arc, Mutex};

use echopilot::seams::outbound::{FakeAnswer, FakeOutbound};
use serde_json::{Value, json};

use super::{MINUTE, before};
use crate::world::World;

fn runs(world: &World) -> Vec<Value> {
    let history = world
        .get("/api/tasks/outgoing-heartbeat/history")
        .expect(200);
    history["runs"].as_array().unwrap().clone()
}

#[test]
fn a_watcher_is_called_each_minute_as_long_as_we_are_well() {
    let door: Arc<Mutex<Option<Arc<FakeOutbound>>>> = Arc::default();
    let made = Arc::clone(&door);
    let config = json!({ "outgoing": { "url": "https://watcher.example.com/ping/secret-of-us" } });
    let world = before(&config.to_string())
        .with_seams(move |seams| {
            let fake = FakeOutbound::new(Arc::clone(&seams.clock));
            *made.lock().unwrap() = Some(Arc::new(fake));
            seams.outbound = made.lock().unwrap().clone().unwrap();
        })
        .start();
    let fake = door.lock().unwrap().clone().unwrap();
    fake.answers(
        "GET https://watcher.example.com/ping/secret-of-us",
        FakeAnswer::http(200, "OK"),
    );
    world.pass(MINUTE * 3, MINUTE);
    assert_eq!(fake.asked().len(), 3, "{:?}", fake.asked());
    let last = runs(&world).pop().unwrap();
    assert_eq!(last["outcome"], "ok", "{last}");
    assert!(!last.to_string().contains("secret-of-us"), "{last}");
}

#[test]
fn nobody_is_called_where_nobody_is_named() {
    let world = before("{}").start();
    world.pass(MINUTE, MINUTE);
    let last = runs(&world).pop().unwrap();
    assert_eq!(last["outcome"], "skipped");
    let reason = last["reason"].as_str().unwrap();
    assert!(reason.contains("configs/heartbeats.json"), "{reason}");
}
