//! A test notice over HTTP, and what is left of it.

use std::sync::Arc;

use echopilot::base::secret::Secret;
use echopilot::seams::outbound::{FakeAnswer, FakeOutbound};
use serde_json::{Value, json};

use super::bench::SLACK;
use crate::world::{World, noon};

#[test]
fn a_test_that_failed_is_told_once_and_not_kept_as_undelivered() {
    let config = json!({ "channels": { "team": { "slack": {} } } });
    let mut world = World::at(noon())
        .config("alerts.json", &config.to_string())
        .with_seams(|seams| {
            let fake = FakeOutbound::new(Arc::clone(&seams.clock));
            fake.answers(
                &format!("POST {SLACK}"),
                FakeAnswer::http(404, "no_service"),
            );
            seams.outbound = Arc::new(fake);
            let secret = Secret::new(SLACK.into());
            seams.secrets.give("SLACK_WEBHOOK_URL", secret);
        })
        .start();
    let told = world
        .post("/api/alerts/test", &json!({ "channel": "team" }))
        .expect(200);
    assert_eq!(told["results"][0]["outcome"], "failed", "{told}");
    for turn in ["as it was", "after a restart"] {
        world.until("it is on record", |world| {
            world.journal_of("notices", "notice.dead").len() == 1
        });
        let told = world.get("/api/alerts/channels").expect(200);
        assert_eq!(told["dead"], json!([]), "{turn}");
        // That the channel is broken is worth knowing all the same.
        let channel: &Value = &told["channels"][0];
        assert_eq!(channel["state"], "broken", "{turn}: {channel}");
        world.restart();
    }
}
