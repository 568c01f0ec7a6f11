//! Keys, over HTTP only: made, used, rotated, taken back; and no secret is ever seen again (rules
//! H7, H8 and H14 of the reliability notes).

use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use bytes::Bytes;
use echopilot::app::assemble::{App, assemble, open_storage};
use echopilot::app::settings::GivenKeys;
use echopilot::platform::http::{Caller, Role};
use echopilot::platform::wiring::Seams;
use echopilot::seams::clock::{Clock, SystemClock};
use echopilot::seams::files::{Files, RealFiles};
use echopilot::storage::engine::Mark;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A whole process without a socket, on a folder of its own.
struct Desk(App, TempDir);

impl Desk {
    fn open() -> Self {
        let home = TempDir::new().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let files: Arc<dyn Files> = Arc::new(RealFiles);
        let engine = open_storage(home.path(), &files, &clock).unwrap();
        let app = assemble(
            home.path(),
            Seams::new(files, clock),
            engine,
            &GivenKeys::default(),
            None,
        )
        .unwrap();
        Self(app, home)
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(Bytes::from(body))
            .unwrap();
        let caller = Caller {
            name: "desk".into(),
            role: Some(Role::Admin),
        };
        let answer = self.0.server.dispatch(request, caller).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    fn opens(&self, key: &Value) -> bool {
        let ring = self.0.gate.ring();
        ring.find(key.as_str().unwrap().as_bytes(), self.0.clock.now())
            .is_some()
    }

    fn journal(&self, name: &str) -> String {
        let mut text = String::new();
        let read = self.0.engine.scan(name, &Mark::default(), &mut |chunk| {
            text.push_str(&String::from_utf8_lossy(chunk.bytes));
            ControlFlow::Continue(())
        });
        read.unwrap();
        text
    }
}

#[tokio::test]
async fn h08_a_key_lives_from_its_making_to_its_revocation() {
    let desk = Desk::open();
    let (status, first) = desk
        .ask(
            "POST",
            "/api/admin/keys",
            json!({ "role": "dash", "name": "first" }),
        )
        .await;
    assert_eq!(status, 201, "{first}");
    assert!(
        first["key"].as_str().unwrap().starts_with("ep_dash_"),
        "{first}"
    );
    assert!(desk.opens(&first["key"]));

    let id = first["id"].as_str().unwrap();
    let path = format!("/api/admin/keys/{id}/rotate");
    let (status, second) = desk
        .ask("POST", &path, json!({ "overlap_secs": 3600 }))
        .await;
    assert_eq!(status, 201, "{second}");
    assert_eq!(
        (&second["role"], &second["name"]),
        (&json!("dash"), &json!("first"))
    );
    assert!(
        desk.opens(&first["key"]) && desk.opens(&second["key"]),
        "both live in the overlap"
    );

    let (status, _) = desk
        .ask("POST", &format!("/api/admin/keys/{id}/revoke"), Value::Null)
        .await;
    assert_eq!(status, 200);
    assert!(!desk.opens(&first["key"]) && desk.opens(&second["key"]));
    let (status, told) = desk.ask("POST", &path, json!({})).await;
    assert_eq!((status, &told["error"]), (409, &json!("key_revoked")));

    let (_, list) = desk.ask("GET", "/api/admin/keys", Value::Null).await;
    assert_eq!(list["count"], 2);
    let found: Vec<_> = list["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["state"])
        .collect();
    assert!(
        found.contains(&&json!("revoked")) && found.contains(&&json!("live")),
        "{list}"
    );
    let kinds = ["key.created", "key.rotated", "key.revoked"];
    let journal = desk.journal("keys");
    assert!(kinds.iter().all(|kind| journal.contains(kind)), "{journal}");
    assert_eq!(
        journal.matches("\"actor\":\"desk\"").count(),
        3,
        "{journal}"
    );
}

#[tokio::test]
async fn h14_a_secret_is_shown_once_and_kept_nowhere() {
    let desk = Desk::open();
    let (_, made) = desk
        .ask("POST", "/api/admin/keys", json!({ "role": "admin" }))
        .await;
    let secret = made["key"]
        .as_str()
        .unwrap()
        .rsplit('_')
        .next()
        .unwrap()
        .to_owned();
    let (_, list) = desk.ask("GET", "/api/admin/keys", Value::Null).await;
    let digest = "sha256";
    assert!(
        !list.to_string().contains(&secret) && !list.to_string().contains(digest),
        "{list}"
    );
    let path = desk.1.path().join("configs/keys.json");
    let permissions = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(permissions & 0o777, 0o600, "for its owner's eyes");
    let file = std::fs::read(&path).unwrap();
    assert!(!String::from_utf8(file).unwrap().contains(&secret));
    for journal in ["keys", "configs"] {
        assert!(!desk.journal(journal).contains(&secret), "{journal}");
    }
}

#[tokio::test]
async fn h18_unknown_keys_and_roles_are_refused_in_words() {
    let desk = Desk::open();
    let (status, told) = desk
        .ask("POST", "/api/admin/keys/00000000/revoke", Value::Null)
        .await;
    assert_eq!((status, &told["error"]), (404, &json!("key_not_found")));
    let (status, told) = desk
        .ask("POST", "/api/admin/keys", json!({ "role": "root" }))
        .await;
    assert_eq!((status, &told["error"]), (400, &json!("bad_role")));
    let (status, _) = desk
        .ask(
            "POST",
            "/api/admin/keys",
            json!({ "role": "dash", "rank": 1 }),
        )
        .await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn h08_a_key_revoked_while_it_is_rotated_stays_revoked() {
    let desk = Desk::open();
    for _round in 0..20 {
        let made = desk
            .ask("POST", "/api/admin/keys", json!({ "role": "dash" }))
            .await
            .1;
        let id = made["id"].as_str().unwrap();
        let (rotate, revoke) = (
            format!("/api/admin/keys/{id}/rotate"),
            format!("/api/admin/keys/{id}/revoke"),
        );
        let (rotated, revoked) = tokio::join!(
            desk.ask("POST", &rotate, json!({ "overlap_secs": 3600 })),
            desk.ask("POST", &revoke, Value::Null),
        );
        assert_eq!(revoked.0, 200, "{}", revoked.1);
        assert!(
            matches!(rotated.0, 201 | 409 | 412),
            "{} {}",
            rotated.0,
            rotated.1
        );
        assert!(
            !desk.opens(&made["key"]),
            "revoked, and alive again by the rotation"
        );
    }
}
