//! Lines of the first version stay readable for ever.

use std::time::Duration;

use echopilot::capabilities::alerts::outbox::event;
use echopilot::capabilities::alerts::outbox::lane::Condition;
use echopilot::capabilities::alerts::outbox::state::{Clocks, State};

use crate::world::at;

#[test]
fn lines_of_the_first_version_mean_what_they_meant() {
    let golden = include_str!("../../../fixtures/logs/notices.ndjson");
    let now = Clocks {
        wall: at("2026-11-20T16:00:01Z"),
        uptime: Duration::ZERO,
    };
    let mut state = State::default();
    let mut count = 0;
    for line in golden.lines() {
        let (seq, at, event) = event::read(line.as_bytes()).expect(line);
        state.fold(seq, at, event, now);
        count += 1;
    }
    assert_eq!(count, 12);
    let waiting: Vec<String> = state
        .lanes
        .values()
        .flat_map(|lane| lane.waiting.values())
        .map(|one| one.notice.id.clone())
        .collect();
    assert_eq!(waiting, ["digest-mail-0123456789abcdef"]);
    let disabled = &state.lanes["hook"].condition;
    assert!(
        matches!(disabled, Condition::Disabled { definition, .. } if definition == "0123456789abcdef")
    );
    let dry = &state.lanes["slack"].condition;
    assert!(matches!(dry, Condition::DryRun { missing } if missing == "SLACK_WEBHOOK_URL"));
    let first = state
        .told("default{alertname=\"ProbeDown\"}", "slack")
        .unwrap();
    assert_eq!(first.alerts.len(), 1);
    assert_eq!(state.told("g3", "mail"), None);
    assert_eq!(
        state.dead.len(),
        1,
        "what never arrived is known over restarts"
    );
    assert!(state.is_known("n-1"));
}
