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
fn what_no_alert_can_have_is_refused_and_not_taken_for_something_else() {
    let home = begun();
    let tried = |label: &str| run(home.path(), &["alert", "route", "--dry-run", label]).expect(1);
    let ran = tried("level=eror");
    assert!(
        ran.err
            .contains("`level` is `eror`, must be info, warning, error or critical")
            && ran.err.contains("hint: such as `level=error`"),
        "{ran:#?}"
    );
    for condition in ["x=~('", "x!=y", "x!~y", "x~=y"] {
        let ran = tried(condition);
        assert!(
            ran.err.contains("must be LABEL=VALUE") && ran.err.contains("this is a condition"),
            "{ran:#?}"
        );
        assert!(ran.out.is_empty(), "{ran:#?}");
    }
    // Nor by those who ask over HTTP.
    let daemon = Daemon::start(home.path());
    for labels in [r#"{"level":"bogus"}"#, r#"{"x!":"y"}"#, r#"{"":"y"}"#] {
        let asked = format!(r#"{{"labels":{labels}}}"#);
        let told = daemon.post("/api/alerts/route", &asked).expect(400).json();
        assert_eq!(told["error"], "bad_labels", "{told}");
    }
    // A severity may be a word of others; a value may be anything.
    let asked = r#"{"labels":{"severity":"page","path":"~/x=(","level":"warning"}}"#;
    let told = daemon.post("/api/alerts/route", asked).expect(200).json();
    assert_eq!(told["level"], "warning", "{told}");
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
