//! Flags through HTTP and files, on the real program.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::daemon::{ADMIN, Client, Daemon, PATIENCE};

fn flags_file(home: &Path) -> std::path::PathBuf {
    home.join("configs").join("flags.json")
}

/// Writes as most editors do: a new file beside the old one, renamed over it.
fn save(home: &Path, text: &str) {
    let new = home.join("configs").join(".flags.json.new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, flags_file(home)).unwrap();
}

fn value_of(daemon: &Daemon, key: &str) -> Value {
    daemon.get("/api/flags/get").expect(200).json()["flags"][key].clone()
}

/// Asks until `good`, for as long as a test may wait at all.
#[track_caller]
fn until(what: &str, mut good: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !good() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}

fn history(daemon: &Daemon, key: &str) -> Vec<Value> {
    let path = format!("/api/flags/history?key={key}");
    daemon.get(&path).expect(200).json()["changes"]
        .as_array()
        .unwrap()
        .clone()
}

#[test]
fn shipped_flags_have_the_values_they_are_known_by() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let all = daemon.get("/api/flags/get").expect(200).json();
    assert_eq!(
        all,
        json!({
            "ok": true,
            "count": 9,
            "flags": {
                "payments.live": true,
                "ui.new_dashboard": false,
                "ab.pricing_v2": false,
                "features.churn_ai": true,
                "features.slo_monitoring": true,
                "AUTOSCALE_ENABLED": false,
                "INCIDENT_AUTORECOVER": false,
                "PRICING_AUTO_APPLY": false,
                "STABILIZE_MODE": false,
            }
        })
    );
}

#[test]
fn setting_a_flag_changes_its_value_and_no_other_byte_of_the_file() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("configs")).unwrap();
    let text =
        "{\n\t\"$comment\": \"ours\",\r\n\t\"b\" :  false,\n\t\"a\": 0.10,\n  \"$note\": [1]\n}";
    std::fs::write(flags_file(home.path()), text).unwrap();
    let daemon = Daemon::start(home.path());
    let reply = daemon
        .post("/api/flags/set", r#"{"key":"b","value":true}"#)
        .expect(200)
        .json();
    assert_eq!(reply["before"], json!(false));
    assert_eq!(reply["value"], json!(true));
    let now = std::fs::read_to_string(flags_file(home.path())).unwrap();
    assert_eq!(now, text.replace("false", "true"));
    let body = daemon.get("/api/flags/get").expect(200).body;
    assert!(
        String::from_utf8(body).unwrap().contains(r#""a":0.10"#),
        "a number keeps its form"
    );
}

#[test]
fn each_change_is_one_history_line_with_who_before_after_and_revision() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let set = daemon
        .post(
            "/api/flags/set",
            r#"{"key":"ui.new_dashboard","value":true}"#,
        )
        .expect(200)
        .json();
    let text = std::fs::read_to_string(flags_file(home.path())).unwrap();
    save(
        home.path(),
        &text.replace(
            "\"ui.new_dashboard\": true",
            "\"ui.new_dashboard\": \"beta\"",
        ),
    );
    until("the hand edit is on record", || {
        history(&daemon, "ui.new_dashboard").len() == 3
    });
    let lines = history(&daemon, "ui.new_dashboard");
    let [created, by_key, by_file] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(created["kind"], "flag.created");
    assert_eq!(
        (&by_key["before"], &by_key["after"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(by_key["actor"], "env:dash");
    assert_eq!(by_key["revision"], set["revision"]);
    assert_eq!(
        (&by_file["before"], &by_file["after"]),
        (&json!(true), &json!("beta"))
    );
    assert_eq!(by_file["actor"], "file");
}

#[test]
fn a_change_made_while_the_daemon_was_down_is_on_record_after_the_next_start() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(Daemon::start(home.path()).stop(), Some(0));
    let text = std::fs::read_to_string(flags_file(home.path())).unwrap();
    save(
        home.path(),
        &text.replace("\"STABILIZE_MODE\": false", "\"STABILIZE_MODE\": true"),
    );
    let daemon = Daemon::start(home.path());
    assert_eq!(value_of(&daemon, "STABILIZE_MODE"), json!(true));
    until("it is on record", || {
        history(&daemon, "STABILIZE_MODE").len() == 2
    });
    assert_eq!(history(&daemon, "STABILIZE_MODE")[1]["actor"], "file");
    assert_eq!(daemon.stop(), Some(0));
    let daemon = Daemon::start(home.path());
    assert_eq!(
        history(&daemon, "STABILIZE_MODE").len(),
        2,
        "a start alone changes nothing"
    );
}

#[test]
fn an_unknown_flag_is_named_with_its_nearest_and_made_only_on_request() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let before = std::fs::read(flags_file(home.path())).unwrap();
    let body = r#"{"key":"ui.new_dashbord","value":true}"#;
    let refused = daemon.post("/api/flags/set", body).expect(404);
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    let problem = refused.json();
    assert_eq!(problem["ok"], json!(false));
    assert_eq!(problem["error"], "flag_not_found");
    assert_eq!(problem["nearest"], "ui.new_dashboard");
    assert_eq!(std::fs::read(flags_file(home.path())).unwrap(), before);
    let body = r#"{"key":"ui.new_dashbord","value":true,"create":true}"#;
    daemon.post("/api/flags/set", body).expect(200);
    assert_eq!(value_of(&daemon, "ui.new_dashbord"), json!(true));
    assert_eq!(
        history(&daemon, "ui.new_dashbord")[0]["kind"],
        "flag.created"
    );
}

#[test]
fn whoever_comes_second_gets_412_and_nothing_is_overwritten() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let seen = daemon.get("/api/flags/get").expect(200);
    let tag = seen.header("etag").unwrap().to_owned();
    daemon
        .post("/api/flags/set", r#"{"key":"payments.live","value":false}"#)
        .expect(200);
    let stale = daemon
        .client()
        .call(
            "POST",
            "/api/flags/set",
            &[("If-Match", &tag)],
            br#"{"key":"ab.pricing_v2","value":true}"#,
        )
        .unwrap()
        .expect(412);
    assert_eq!(stale.json()["error"], "revision_moved");
    assert_eq!(value_of(&daemon, "ab.pricing_v2"), json!(false));
    // A person is in the middle of an edit: the file is not what is in force.
    save(home.path(), "{ \"payments.live\": tru");
    daemon
        .post("/api/flags/set", r#"{"key":"payments.live","value":true}"#)
        .expect(412);
    let kept = std::fs::read_to_string(flags_file(home.path())).unwrap();
    assert_eq!(kept, "{ \"payments.live\": tru");
    assert_eq!(value_of(&daemon, "payments.live"), json!(false));
}

#[test]
fn a_definition_or_a_list_is_refused_whole_and_the_last_good_set_stays() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    save(
        home.path(),
        r#"{ "payments.live": false, "x": { "variants": { "on": true } }, "y": [1] }"#,
    );
    until("the refusal shows", || {
        let checks = String::from_utf8(daemon.get("/readyz?verbose").body).unwrap();
        checks.contains("flags.json")
    });
    assert_eq!(value_of(&daemon, "payments.live"), json!(true));
    std::fs::remove_file(flags_file(home.path())).unwrap();
    assert_eq!(
        value_of(&daemon, "payments.live"),
        json!(true),
        "deleted never means nothing"
    );
    std::fs::write(flags_file(home.path()), "").unwrap();
    assert_eq!(
        value_of(&daemon, "payments.live"),
        json!(true),
        "empty never means nothing"
    );
    save(home.path(), r#"{ "payments.live": false }"#);
    until("the good text is in force", || {
        value_of(&daemon, "payments.live") == json!(false)
    });
}

#[test]
fn the_admin_form_shows_strings_and_takes_strings() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let mut admin = Client::connect(&daemon.address, None).unwrap();
    let bearer = format!("Bearer {ADMIN}");
    let auth = [("Authorization", bearer.as_str())];
    let all = admin
        .call("GET", "/api/admin/flags", &auth, b"")
        .unwrap()
        .expect(200)
        .json();
    assert_eq!(all["STABILIZE_MODE"]["value"], "false");
    let at = all["STABILIZE_MODE"]["updated_at"].as_str().unwrap();
    let form: String = at
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(form, "0000-00-00 00:00:00");
    let body = br#"{"key":"STABILIZE_MODE","value":"true"}"#;
    let set = admin
        .call("POST", "/api/admin/flags", &auth, body)
        .unwrap()
        .expect(200)
        .json();
    assert_eq!(set["value"], "true");
    assert_eq!(value_of(&daemon, "STABILIZE_MODE"), json!(true));
    for (bare, word) in [(false, "false"), (true, "true")] {
        let body = format!(r#"{{"key":"STABILIZE_MODE","value":{bare}}}"#);
        let set = admin.call("POST", "/api/admin/flags", &auth, body.as_bytes());
        assert_eq!(set.unwrap().expect(200).json()["value"], word);
        assert_eq!(value_of(&daemon, "STABILIZE_MODE"), json!(bare));
    }
    for odd in [r#""maybe""#, "1", "null"] {
        let body = format!(r#"{{"key":"STABILIZE_MODE","value":{odd}}}"#);
        let told = admin.call("POST", "/api/admin/flags", &auth, body.as_bytes());
        let told = told.unwrap().expect(400).json();
        let problem = told["problems"][0].as_object().unwrap();
        assert_eq!(problem["path"], "value", "{told}");
        for place in ["line", "column"] {
            assert_ne!(
                problem.get(place),
                Some(&json!(0)),
                "a place that is none: {told}"
            );
        }
    }
    daemon.get("/api/admin/flags").expect(403);
}

#[test]
fn an_unchanged_set_is_answered_304_by_its_revision() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let mut client = daemon.client();
    let tag = client
        .call("GET", "/api/flags/get", &[], b"")
        .unwrap()
        .header("etag")
        .unwrap()
        .to_owned();
    let list = format!("\"0000000000000000\", W/{tag}");
    for asked in [tag.as_str(), list.as_str(), "*"] {
        let answer = client
            .call("GET", "/api/flags/get", &[("If-None-Match", asked)], b"")
            .unwrap();
        assert_eq!(answer.status, 304);
    }
    let other = [("If-None-Match", "\"0000000000000000\"")];
    client
        .call("GET", "/api/flags/get", &other, b"")
        .unwrap()
        .expect(200);
}

#[test]
fn no_request_sees_a_missing_flag_while_the_file_is_saved_again_and_again() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let text = std::fs::read_to_string(flags_file(home.path())).unwrap();
    let mut client = daemon.client();
    let last = 60;
    for round in 0..=last {
        let text = text.replace(
            "\"payments.live\": true",
            &format!("\"payments.live\": {round}"),
        );
        match round % 3 {
            0 => save(home.path(), &text),
            1 => std::fs::write(flags_file(home.path()), &text).unwrap(),
            _ => {
                std::fs::remove_file(flags_file(home.path())).unwrap();
                save(home.path(), &text);
            }
        }
        for _ in 0..20 {
            let all = client
                .call("GET", "/api/flags/get", &[], b"")
                .unwrap()
                .expect(200)
                .json();
            assert_eq!(all["count"], json!(9), "{all}");
        }
    }
    let begun = Instant::now();
    until("the last text is in force", || {
        value_of(&daemon, "payments.live") == json!(last)
    });
    assert!(begun.elapsed() < Duration::from_secs(6), "converged late");
}
