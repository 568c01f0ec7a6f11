//! The outbox: nothing is lost, nothing is doubled where a channel has a key, nobody waits for
//! somebody else, and what a channel asks for is kept to.

use std::time::Duration;

use serde_json::{Value, json};

use bench::{Bench, SLACK, WEBHOOK, firing, resolved, two};

mod bench;
mod buttons;
mod delivery;
mod fates;
mod forms;
mod kept;
mod kills;
mod mail;
mod mishaps;
mod trial;

const SECOND: Duration = Duration::from_secs(1);

/// The body of a request.
fn body(request: &echopilot::seams::outbound::Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}
