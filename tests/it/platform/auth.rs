//! Rules H7, H8 and H18 of the reliability notes: who may call what, for every row of the table and
//! every state that a key can be in.

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use echopilot::platform::auth::{KeySpec, KeyText};
use echopilot::platform::http::{Caller, Role, Scope};
use echopilot::seams::ids::{Ids, SystemIds};
use http::Request;

use super::http_lab::{ADMIN, DASH, Lab, READER};

/// A key of our own making, changed by `change`.
fn made(role: Role, ids: &dyn Ids, change: impl FnOnce(&mut KeySpec)) -> (String, KeySpec) {
    let key = KeyText::draw(role, ids).unwrap();
    let token = key.text.reveal().to_owned();
    let mut spec = KeySpec::fixed(&key.id, role, &token);
    spec.ours = true;
    change(&mut spec);
    (token, spec)
}

/// One state that a key can be in: its name, the role it gives, and the key as it is sent.
type KeyState = (&'static str, Option<Role>, String);

/// Every state that a key can be in, with the keys that the server must know for it.
fn all_states() -> (Vec<KeySpec>, Vec<KeyState>) {
    let hour = TimeDelta::hours(1);
    let (mut specs, mut states) = (Vec::new(), Vec::new());
    let mut add = |name, role: Option<Role>, change: &dyn Fn(&mut KeySpec)| {
        let (token, spec) = made(role.unwrap_or(Role::Admin), &SystemIds, change);
        specs.push(spec);
        states.push((name, role, token));
    };
    add("revoked", None, &|key| key.revoked = true);
    add("expired", None, &|key| {
        key.not_after = Some(Utc::now() - hour);
    });
    add("early", None, &|key| {
        key.not_before = Some(Utc::now() + hour);
    });
    for role in [Role::Reader, Role::Dash, Role::Admin] {
        add(role.name(), Some(role), &|_| {});
    }
    let live = states.last().unwrap().2.clone();
    states.push(("none", None, String::new()));
    states.push(("wrong", None, format!("{}x", &live[..live.len() - 1])));
    states.push(("unknown", None, live.replace("ep_admin_", "ep_admin_f")));
    states.push(("malformed", None, "ep_admin".to_owned()));
    (specs, states)
}

#[tokio::test]
async fn h08_every_route_answers_every_state_of_a_key_as_declared() {
    let lab = Lab::start(|rules| {
        rules.failed_auth_per_minute = 10_000;
        rules.keyless_per_minute = 10_000;
        rules.keyless_total_per_minute = 10_000;
    })
    .await;
    let (specs, states) = all_states();
    lab.gate.replace(specs);
    let slow = ["/never", "/large"];
    let rows = lab.table.rows().iter();
    for route in rows.filter(|route| !slow.contains(&route.path)) {
        let path = route.path.replace("{id}", "7");
        for (state, role, token) in &states {
            let key = if token.is_empty() {
                String::new()
            } else {
                format!("X-Api-Key: {token}\r\n")
            };
            let method = &route.method;
            let text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{key}\r\n");
            let answer = lab.raw(text.as_bytes()).await;
            let expected = match role {
                Some(role) if role.may(route.scope) => None,
                Some(_) => Some(403),
                None if route.scope == Scope::Public && *state == "none" => None,
                None => Some(401),
            };
            let shown = format!("{route:?} with key `{state}`: {answer:?}");
            match expected {
                Some(refusal) => assert_eq!(answer.status, refusal, "{shown}"),
                None => assert!(![401, 403, 0].contains(&answer.status), "{shown}"),
            }
        }
    }
}

#[tokio::test]
async fn h18_unknown_wrong_revoked_and_missing_keys_are_told_the_same() {
    let lab = Lab::start(|_| {}).await;
    let ids = SystemIds;
    let (revoked, spec) = made(Role::Admin, &ids, |key| key.revoked = true);
    let (live, known) = made(Role::Admin, &ids, |_| {});
    lab.gate.replace(vec![spec, known]);
    let wrong = format!("{}x", &live[..live.len() - 1]);
    let mut told = Vec::new();
    for key in ["", "nonsense", &wrong, &revoked] {
        let answer = lab.get("/hot", key).await;
        assert_eq!(answer.status, 401);
        assert_eq!(
            answer.header("www-authenticate"),
            Some("bearer realm=\"echopilot\"")
        );
        let mut body = answer.json();
        body.as_object_mut().unwrap().remove("request_id");
        told.push(body);
    }
    assert!(told.iter().all(|body| *body == told[0]), "{told:?}");
}

#[tokio::test]
async fn h08_a_revoked_key_fails_on_the_very_next_request() {
    let lab = Lab::start(|_| {}).await;
    let (token, mut spec) = made(Role::Reader, &SystemIds, |_| {});
    lab.gate.replace(vec![spec.clone()]);
    let mut client = lab.connect().await;
    let request = format!("GET /hot HTTP/1.1\r\nHost: localhost\r\nX-Dash-Key: {token}\r\n\r\n");
    client.send(request.as_bytes()).await;
    assert_eq!(client.read().await.status, 200);
    assert_eq!(lab.gate.ring().last_used().len(), 1);
    spec.revoked = true;
    lab.gate.replace(vec![spec]);
    client.send(request.as_bytes()).await;
    assert_eq!(client.read().await.status, 401, "on the same connection");
}

#[tokio::test]
async fn h07_one_checker_reads_three_headers_and_no_target() {
    let lab = Lab::start(|_| {}).await;
    let ask = async |target: &str, headers: &str| {
        let text = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        lab.raw(text.as_bytes()).await.status
    };
    assert_eq!(ask("/hot", &format!("X-Dash-Key: {DASH}\r\n")).await, 200);
    assert_eq!(ask("/hot", &format!("X-Api-Key: {DASH}\r\n")).await, 200);
    assert_eq!(
        ask("/hot", &format!("Authorization: bearer {DASH}\r\n")).await,
        200
    );
    assert_eq!(
        ask("/hot", &format!("Authorization: Basic {DASH}\r\n")).await,
        401
    );
    let twice = format!("X-Dash-Key: {DASH}\r\nAuthorization: Bearer {DASH}\r\n");
    assert_eq!(
        ask("/hot", &twice).await,
        200,
        "the same key twice is one key"
    );
    let both = format!("X-Dash-Key: {DASH}\r\nAuthorization: Bearer {ADMIN}\r\n");
    assert_eq!(ask("/hot", &both).await, 400);
    for name in ["key", "api_key", "access_token", "x-dash-key"] {
        assert_eq!(ask(&format!("/hot?{name}={DASH}"), "").await, 401);
    }
}

#[tokio::test]
async fn h09_a_key_may_have_a_bound_of_its_own() {
    let lab = Lab::start(|_| {}).await;
    let (token, spec) = made(Role::Reader, &SystemIds, |key| key.per_minute = Some(2));
    lab.gate.replace(vec![spec.clone()]);
    assert_eq!(
        lab.get("/hot", &token).await.header("ratelimit-policy"),
        Some("\"default\";q=2;w=60")
    );
    assert_eq!(lab.get("/hot", &token).await.status, 200);
    lab.gate.replace(vec![spec]);
    let over = lab.get("/hot", &token).await;
    assert_eq!(
        over.status, 429,
        "an exchange of the ring gives no new share"
    );
    assert_eq!(over.header("retry-after"), Some("30"));
}

#[tokio::test]
async fn calls_without_a_socket_keep_their_scopes() {
    let lab = Lab::start(|rules| rules.keyless_per_minute = 1).await;
    let ask = async |path: &str, role: Option<Role>| {
        let request = Request::get(path).body(Bytes::new()).unwrap();
        let caller = Caller {
            name: "local".into(),
            role,
        };
        lab.server.dispatch(request, caller).await.status().as_u16()
    };
    assert_eq!(ask("/admin", Some(Role::Admin)).await, 200);
    assert_eq!(ask("/admin", Some(Role::Dash)).await, 403);
    assert_eq!(ask("/hot", Some(Role::Reader)).await, 200);
    assert_eq!(ask("/hot", None).await, 401);
    assert_eq!(ask("/open", None).await, 200);
    assert_eq!(ask("/open", None).await, 200, "limits are for the network");
    assert_eq!(ask("/panics", Some(Role::Admin)).await, 500);
    assert_eq!(lab.get("/hot", READER).await.status, 200);
}
