//! Keys when things go wrong: no key is valid that the audit does not know, and when a key was last
//! used is known after a restart (rules H7 and H8 of the reliability notes).

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use echopilot::app::assemble::{App, assemble, open_storage};
use echopilot::app::settings::GivenKeys;
use echopilot::platform::http::{Caller, Role};
use echopilot::platform::wiring::Seams;
use echopilot::seams::clock::{Clock, SystemClock};
use echopilot::seams::files::{Fault, FaultyFiles, Files, How, Op, RealFiles};
use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::daemon::{ADMIN, Client, Daemon};

fn assembled(home: &Path, files: &Arc<FaultyFiles>) -> App {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let files: Arc<dyn Files> = Arc::clone(files) as _;
    let engine = open_storage(home, &files, &clock).unwrap();
    let seams = Seams::new(files, clock);
    assemble(home, seams, engine, &GivenKeys::default(), None).unwrap()
}

async fn make_key(app: &App) -> (u16, Value) {
    let request = http::Request::post("/api/admin/keys")
        .header("content-type", "application/json")
        .body(Bytes::from_static(br#"{"role":"admin","name":"care"}"#))
        .unwrap();
    let caller = Caller {
        name: "care".into(),
        role: Some(Role::Admin),
    };
    let answer = app.server.dispatch(request, caller).await;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

fn forever(op: Op) -> Fault {
    Fault {
        op,
        at: 1,
        forever: true,
        how: How::Enospc,
    }
}

fn kinds(home: &Path) -> Vec<String> {
    let text = fs::read_to_string(home.join("logs/keys.ndjson")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| line["kind"].as_str().unwrap().to_owned())
        .filter(|kind| kind.starts_with("key."))
        .collect()
}

#[tokio::test]
async fn h08_a_key_that_the_audit_cannot_take_is_not_made() {
    let home = tempfile::tempdir().unwrap();
    let files = Arc::new(FaultyFiles::over(Arc::new(RealFiles)));
    let app = assembled(home.path(), &files);
    let before = fs::read(home.path().join("configs/keys.json")).unwrap();
    files.fail(forever(Op::Write));
    let (status, body) = make_key(&app).await;
    assert_eq!((status, &body["error"]), (503, &"storage_full".into()));
    assert!(body["key"].is_null(), "{body}");
    let after = fs::read(home.path().join("configs/keys.json")).unwrap();
    assert!(before == after, "the document is as it was");
    let now = app.clock.now();
    assert!(
        !app.gate.ring().has_role(Role::Admin, now),
        "nobody is let in"
    );
    files.heal();
    app.close();
}

#[tokio::test]
async fn h08_a_key_that_the_document_cannot_take_is_told_to_the_audit() {
    let home = tempfile::tempdir().unwrap();
    let files = Arc::new(FaultyFiles::over(Arc::new(RealFiles)));
    let app = assembled(home.path(), &files);
    files.fail(forever(Op::WriteNew));
    let (status, body) = make_key(&app).await;
    assert_eq!(status, 503, "{body}");
    let now = app.clock.now();
    assert!(
        !app.gate.ring().has_role(Role::Admin, now),
        "nobody is let in"
    );
    files.heal();
    assert_eq!(kinds(home.path()), ["key.created", "key.abandoned"]);
    assert_eq!(make_key(&app).await.0, 201, "it works again");
    assert!(app.gate.ring().has_role(Role::Admin, now));
    app.close();
}

/// Asks as admin.
fn ask(daemon: &Daemon, method: &str, path: &str, body: &str) -> Value {
    let bearer = format!("Bearer {ADMIN}");
    let mut client = Client::connect(&daemon.address, None).unwrap();
    let headers = [("Authorization", bearer.as_str())];
    let answer = client.call(method, path, &headers, body.as_bytes());
    answer.unwrap().json()
}

#[test]
fn h08_the_last_use_of_a_key_is_known_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let body = r#"{"role":"reader","name":"grafana"}"#;
    let made = ask(&daemon, "POST", "/api/admin/keys", body);
    let key = made["key"].as_str().unwrap();
    let mut client = Client::connect(&daemon.address, Some(key)).unwrap();
    client
        .call("GET", "/api/flags/get", &[], b"")
        .unwrap()
        .expect(200);
    let used = |daemon: &Daemon| {
        let list = ask(daemon, "GET", "/api/admin/keys", "");
        list["keys"][0]["last_used_at"].as_str().unwrap().to_owned()
    };
    let first = used(&daemon);
    assert_eq!(daemon.stop(), Some(0));
    let daemon = Daemon::start(home.path());
    assert_eq!(used(&daemon), first);
    let listed = std::process::Command::new(env!("CARGO_BIN_EXE_echopilot"))
        .args(["key", "list", "--home"])
        .arg(home.path())
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains(&first), "{listed}");
}

#[test]
fn h08_every_key_that_ends_soon_is_named() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let mut ids = Vec::new();
    for days in [3, 10, 100] {
        let secs = days * 86_400;
        let body = format!(r#"{{"role":"reader","expires_in_secs":{secs}}}"#);
        let made = ask(&daemon, "POST", "/api/admin/keys", &body);
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let health = String::from_utf8(daemon.get("/readyz?verbose").body).unwrap();
    assert!(
        health.contains(&ids[0]) && health.contains(&ids[1]),
        "{health}"
    );
    assert!(!health.contains(&ids[2]), "{health}");
}

#[test]
fn the_history_of_a_flag_names_the_key_that_changed_it() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let mut admin = Client::connect(&daemon.address, Some(ADMIN)).unwrap();
    let mut called = Vec::new();
    for (name, value) in [("alice", "true"), ("", "false")] {
        let body = format!(r#"{{"role":"dash","name":"{name}"}}"#);
        let made = admin.call("POST", "/api/admin/keys", &[], body.as_bytes());
        let made = made.unwrap().expect(201).json();
        let id = made["id"].as_str().unwrap();
        called.push(match name {
            "" => format!("key:{id}"),
            name => format!("key:{name}({id})"),
        });
        let mut holder = Client::connect(&daemon.address, made["key"].as_str()).unwrap();
        let body = format!(r#"{{"key":"named.once","value":{value},"create":true}}"#);
        let set = holder.call("POST", "/api/flags/set", &[], body.as_bytes());
        set.unwrap().expect(200);
    }
    let history = daemon.get("/api/flags/history?key=named.once").json();
    let actors = history["changes"].as_array().unwrap().iter();
    let actors: Vec<_> = actors.map(|one| one["actor"].as_str().unwrap()).collect();
    assert_eq!(actors, called, "{history}");
}
