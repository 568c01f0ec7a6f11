//! What a good answer is, and what is wrong with a configuration.

use std::time::Duration;

use echopilot::app::assemble::config_kinds;
use echopilot::platform::config::check_text;
use echopilot::seams::outbound::{FakeAnswer, Rcode, Record};
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::world::{World, config};

/// What a probe of `http` settings finds in `answer`: the outcome and the reason.
async fn found(settings: Value, answer: FakeAnswer) -> (String, String) {
    let mut http = json!({ "url": "https://app.example/health?key=secret" });
    http.as_object_mut()
        .unwrap()
        .extend(settings.as_object().unwrap().clone());
    let world = World::begin(&config([("app".to_owned(), json!({ "http": http }))]));
    world
        .net
        .answers("GET https://app.example/health?key=secret", answer);
    let checking = world.ask("POST", "/api/probes/app/check");
    let ((status, told), ()) = tokio::join!(checking, world.pass(1));
    assert_eq!(status, 200, "{told}");
    assert!(!told.to_string().contains("secret"), "{told}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        text(&told["last"]["outcome"]),
        text(&told["last"]["reason"]),
    )
}

#[tokio::test]
async fn an_http_answer_is_good_when_everything_asked_of_it_holds() {
    let body = r#"{"status":"ok","queue":3,"checks":[{"name":"db","ok":true}],"none":null}"#;
    for settings in [
        json!({}),
        json!({ "status": ["200"] }),
        json!({ "status": ["301", "200-204"] }),
        json!({ "body_contains": ["status", "db"] }),
        json!({ "body_pattern": r#""queue":\d"# }),
        json!({ "answer_headers": { "Content-Type": "^application/json" } }),
        json!({ "body_json": [{ "path": "status", "equals": "ok" }] }),
        json!({ "body_json": [{ "path": "$.queue", "equals": 3.0 }] }),
        json!({ "body_json": [{ "path": "checks[0].ok", "equals": true }] }),
        json!({ "body_json": [{ "path": "queue", "at_least": 3, "at_most": 3 }] }),
        json!({ "body_json": [{ "path": "status", "pattern": "^o" }] }),
        json!({ "body_json": [{ "path": "none", "equals": null }, { "path": "checks" }] }),
        json!({ "max_ms": 50 }),
    ] {
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        headers.insert("content-type", json);
        let (outcome, reason) =
            found(settings.clone(), FakeAnswer::http_with(200, headers, body)).await;
        assert_eq!(
            (outcome.as_str(), reason.as_str()),
            ("good", ""),
            "{settings}"
        );
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_http_answer_is_told() {
    let body = r#"{"status":"bad","queue":11}"#;
    for (settings, reason) in [
        (json!({ "status": ["200"] }), "the status is 203, not 200"),
        (
            json!({ "status": ["301", "400-499"] }),
            "the status is 203, not 301 or 400-499",
        ),
        (
            json!({ "answer_headers": { "x-app": "." } }),
            "the answer has no header `x-app`",
        ),
        (
            json!({ "body_contains": ["fine"] }),
            "the body does not contain `fine`; it begins `{",
        ),
        (
            json!({ "body_pattern": "^ok" }),
            "the body does not match `^ok`; it begins `{",
        ),
        (
            json!({ "body_json": [{ "path": "status", "equals": "ok" }] }),
            "`status` is \\\"bad\\\", not \\\"ok\\\"",
        ),
        (
            json!({ "body_json": [{ "path": "a[2].b" }] }),
            "the body has no `a[2].b`",
        ),
        (
            json!({ "body_json": [{ "path": "queue", "at_most": 10 }] }),
            "is 11, not at most 10",
        ),
        (
            json!({ "body_json": [{ "path": "status", "at_least": 1 }] }),
            "not at least 1",
        ),
        (
            json!({ "body_json": [{ "path": "queue", "pattern": "1" }] }),
            "does not match `1`",
        ),
        (json!({ "max_ms": 400 }), "it took 500 ms, more than 400 ms"),
    ] {
        let answer = FakeAnswer::http(203, body).after(Duration::from_millis(500));
        let (outcome, told) = found(settings.clone(), answer).await;
        assert_eq!(outcome, "bad", "{settings}");
        assert!(told.contains(reason), "{settings}: {told}");
    }
    let json = json!({ "body_json": [{ "path": "a" }] });
    let (_, told) = found(json.clone(), FakeAnswer::http(200, "<html>")).await;
    assert!(told.contains("the body is not JSON"), "{told}");
    let long = format!("[{}1]", "1,".repeat(40_000));
    let (_, told) = found(json, FakeAnswer::http(200, long)).await;
    assert!(told.contains("more than 65536 bytes"), "{told}");
    let (_, told) = found(json!({}), FakeAnswer::unknown_name()).await;
    assert!(told.contains("cannot look up `app.example:443`"), "{told}");
}

#[tokio::test]
async fn a_name_servers_answer_is_judged() {
    let record = |kind: &str, data: &str| Record {
        name: "app.example".into(),
        kind: kind.into(),
        ttl: 60,
        data: data.into(),
    };
    let both = || vec![record("CNAME", "b.example"), record("A", "192.0.2.1")];
    let none = Rcode::NAME_ERROR;
    for (settings, rcode, records, reason) in [
        (json!({}), Rcode::NO_ERROR, both(), ""),
        (
            json!({ "answers": ["192.0.2.1"] }),
            Rcode::NO_ERROR,
            both(),
            "",
        ),
        (json!({ "rcode": "NXDOMAIN" }), none, vec![], ""),
        (
            json!({}),
            none,
            vec![],
            "the name server says NXDOMAIN, not NOERROR",
        ),
        (
            json!({ "kind": "MX" }),
            Rcode::NO_ERROR,
            both(),
            "there is no MX record",
        ),
        (
            json!({ "answers": ["192.0.2.9"] }),
            Rcode::NO_ERROR,
            both(),
            "`192.0.2.9` is not among the answers: `b.example`, `192.0.2.1`",
        ),
    ] {
        let mut dns = json!({ "name": "App.example." });
        dns.as_object_mut()
            .unwrap()
            .extend(settings.as_object().unwrap().clone());
        let kind = dns["kind"].as_str().unwrap_or("A").to_owned();
        let world = World::begin(&config([("name".to_owned(), json!({ "dns": dns }))]));
        let call = format!("dns {kind} app.example");
        world.net.answers(&call, FakeAnswer::dns(rcode, records));
        let checking = world.ask("POST", "/api/probes/name/check");
        let ((_, told), ()) = tokio::join!(checking, world.pass(1));
        assert_eq!(
            told["last"]["reason"].as_str().unwrap_or_default(),
            reason,
            "{settings}"
        );
    }
}

fn problems(text: &str) -> String {
    check_text(&config_kinds(), "configs/probes.json", text.as_bytes()).to_string()
}

#[test]
fn everything_wrong_is_told_at_once() {
    let told = problems(
        r#"{
  "connectivity": { "targets": ["1.1.1.1"] },
  "maintenance": [
    { "start": "24:00", "length": "2h" }, { "probes": ["wbe"], "start": "10:00", "length": "8d" }
  ],
  "probes": {
    "web": { "http": { "url": "http://user:hunter2@a.example/" } },
    "two": { "tcp": { "address": "a:1" }, "dns": { "name": "a" } },
    "none": {},
    "host": { "tcp": { "address": "2130706433:1" }, "timeout_secs": 50, "interval_secs": 20 },
    "status": { "http": { "url": "http://a.example", "status": ["2xx", "300-200"] } },
    "text": { "http": { "url": "http://a.example", "body_pattern": "(" } },
    "name": { "dns": { "name": "a b", "kind": "AX", "rcode": "NODOMAIN", "server": "dns" } },
    "tls": { "tls": { "address": "a:443", "warn_days": 2, "critical_days": 9 } },
    "head": { "http": { "url": "http://a.example", "headers": { "Upgrade": "hunter2" } } }
  }
}"#,
    );
    for place in [
        "`connectivity.targets[0]` is \"1.1.1.1\"",
        "`maintenance[0].start`",
        "`maintenance[1].probes[0]` is \"wbe\"",
        "`maintenance[1].length`",
        "`probes.web.http.url` is refused, as the URL has a user name or a password in it",
        "`probes.text.http.body_pattern` is `(`, must be a regular expression",
        "`probes.two` is of 2 kinds, `tcp` and `dns`, must be exactly one of",
        "`probes.none` is without a kind",
        "`probes.host.tcp.address`",
        "`probes.host.timeout_secs` is 50, must be at most `interval_secs`, which is 20",
        "`probes.status.http.status[0]`",
        "`probes.status.http.status[1]`",
        "`probes.text.http.body_pattern`",
        "`probes.name.dns.name`",
        "`probes.name.dns.kind` is \"AX\"",
        "`probes.name.dns.rcode` is \"NODOMAIN\"",
        "`probes.name.dns.server`",
        "`probes.tls.tls.critical_days` is 9",
        "`probes.head.http.headers.Upgrade`",
    ] {
        assert!(told.contains(place), "{told}\nlacks {place}");
    }
    assert!(told.contains("write it as `127.0.0.1`"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    assert_eq!(told.matches("error: cannot apply").count(), 18, "{told}");
}

#[test]
fn parents_must_be_there_and_lead_to_an_end() {
    let parent = |name: &str| format!(r#""tcp": {{ "address": "a:1" }}, "parent": "{name}""#);
    let told = problems(&format!(
        r#"{{ "probes": {{ "a": {{ {} }}, "b": {{ {} }}, "c": {{ {} }}, "leads": {{ {} }},
            "self": {{ {} }}, "lost": {{ {} }} }} }}"#,
        parent("b"),
        parent("c"),
        parent("a"),
        parent("a"),
        parent("self"),
        parent("bb"),
    ));
    for text in [
        "`probes.a.parent` is a circle: a → b → c → a",
        "`probes.b.parent` is a circle: b → c → a → b",
        "`probes.self.parent` is a circle: self → self",
        "`probes.lost.parent` is \"bb\"",
    ] {
        assert!(told.contains(text), "{told}\nlacks {text}");
    }
    assert_eq!(told.matches("error: cannot apply").count(), 5, "{told}");
}

#[test]
fn the_shipped_text_calls_nobody() {
    let kinds = config_kinds();
    let shipped = kinds
        .iter()
        .find(|kind| kind.file == "probes.json")
        .unwrap()
        .shipped;
    assert!(check_text(&kinds, "probes.json", shipped.as_bytes()).is_empty());
    let shipped: Value = serde_json::from_str(shipped).unwrap();
    assert_eq!(shipped["probes"], json!({}));
}

#[test]
fn the_documents_example_is_good() {
    let text = include_str!("../../../../docs/probes.md");
    let blocks: Vec<&str> = text.split("```json\n").skip(1).collect();
    let example = |at: usize| blocks[at].split("```").next().unwrap();
    let told = problems(example(0));
    assert!(told.is_empty(), "{told}");
    let kinds = config_kinds();
    let told = check_text(&kinds, "echopilot.json", example(1).as_bytes());
    assert!(told.is_empty(), "{told}");
}
