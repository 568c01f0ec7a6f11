//! Alerts on the command line, with a daemon and without.

use serde_json::{Value, json};

use crate::cli::{begun, run};
use crate::daemon::Daemon;

#[test]
fn a_route_is_tried_from_the_files_alone() {
    let home = begun();
    let labels = [
        "alert",
        "route",
        "--dry-run",
        "level=warning",
        "source=probes",
    ];
    let ran = run(home.path(), &labels).expect(0);
    assert!(ran.out.contains("default -> slack"), "{ran:#?}");
    assert!(
        ran.out
            .contains(r#"group default:{alertname="",source="probes"}"#),
        "{ran:#?}"
    );
    let ran = run(home.path(), &["alert", "route", "level"]).expect(1);
    assert!(ran.err.contains("must be LABEL=VALUE"), "{ran:#?}");
}

#[test]
fn silences_are_made_listed_and_ended() {
    let home = begun();
    let _daemon = Daemon::start(home.path());
    let words = [
        "alert",
        "silence",
        "add",
        "source=probes",
        "--for",
        "2h",
        "-c",
        "moving",
    ];
    let ran = run(home.path(), &words).expect(0);
    let id = ran.out.trim().to_owned();
    assert_eq!(id.len(), 36, "{ran:#?}");
    let ran = run(home.path(), &["alert", "silence", "list", "--json"]).expect(0);
    let listed: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        listed["silences"][0]["matchers"],
        json!(["source=\"probes\""])
    );
    assert_eq!(listed["silences"][0]["comment"], "moving");
    let tried = ["alert", "route", "source=probes"];
    let ran = run(home.path(), &tried).expect(0);
    assert!(ran.out.contains(&format!("silenced by {id}")), "{ran:#?}");
    let ran = run(home.path(), &["alert", "silence", "expire", &id]).expect(0);
    assert!(ran.out.contains("is over"), "{ran:#?}");
    let ran = run(home.path(), &["alert", "silence", "list"]).expect(0);
    assert!(ran.out.contains("expired"), "{ran:#?}");
    let ran = run(home.path(), &["alert", "ack", "probe:absent"]).expect(1);
    assert!(
        ran.err.contains("nothing holds under `probe:absent`"),
        "{ran:#?}"
    );
    run(home.path(), &["alert", "groups"]).expect(0);
}

#[test]
fn every_fault_of_the_file_is_told_with_its_place() {
    let home = begun();
    let text = r#"{
  "levels": { "warning": ["slcak"] },
  "repeat_interval": "2m",
  "group_by": ["...", "host"],
  "routes": [{ "match": ["severity"] }, { "channels": ["*"] }],
  "inhibit": [{ "source": ["a=b"] }],
  "quiet_hours": [{ "start": "25:00", "length": "1h" }],
  "escalate": [{ "steps": [{ "after": "1s", "channels": ["absent"] }] }]
}"#;
    std::fs::write(home.path().join("configs/alerts.json"), text).unwrap();
    let ran = run(home.path(), &["check"]).expect(1);
    let told = format!("{}{}", ran.out, ran.err);
    for place in [
        "levels.warning[0]",
        "repeat_interval",
        "group_by",
        "routes[0].match[0]",
        "routes[1].match",
        "inhibit[0].target",
        "quiet_hours[0].start",
        "escalate[0].steps[0].after",
        "escalate[0].steps[0].channels[0]",
    ] {
        assert!(told.contains(place), "{place}: {told}");
    }
}
