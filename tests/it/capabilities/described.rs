//! The API's description against the real program: statuses, parameters and content types that are
//! served are described.

use serde_json::Value;

use crate::daemon::{ADMIN, Answer, Client, Daemon};

/// The real program, and what it says of itself.
struct Desk {
    _home: tempfile::TempDir,
    _daemon: Daemon,
    admin: Client,
    openapi: Value,
}

impl Desk {
    fn open() -> Self {
        let home = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(home.path());
        let admin = Client::connect(&daemon.address, Some(ADMIN)).unwrap();
        let openapi = daemon.get("/openapi.json").json();
        Self {
            _home: home,
            _daemon: daemon,
            admin,
            openapi,
        }
    }

    /// Calls the operation at `path`, with `named` for what stands in braces, and asserts that all
    /// of the call and of its answer is described.
    fn call(
        &mut self,
        (method, path): (&str, &str),
        named: &str,
        query: &str,
        header: Option<(&str, &str)>,
        body: &str,
    ) -> Answer {
        let operation = self.openapi["paths"][path][method.to_lowercase()].clone();
        let described = |name: &str, place: &str| {
            let all = operation["parameters"].as_array().unwrap().iter();
            let found = all
                .filter(|one| one["name"] == name && one["in"] == place)
                .count();
            assert_eq!(found, 1, "{name} in {place}: {operation}");
        };
        for (name, _) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            described(name, "query");
        }
        match header {
            Some(("Content-Type", kind)) => {
                let taken = &operation["requestBody"]["content"][kind];
                assert!(taken.is_object(), "{operation}");
            }
            Some((name, _)) => described(name, "header"),
            None => {}
        }
        let mark = if query.is_empty() { "" } else { "?" };
        let target = path.replace("{id}", named) + mark + query;
        let headers: Vec<_> = header.into_iter().collect();
        let answer = self.admin.call(method, &target, &headers, body.as_bytes());
        let answer = answer.unwrap();
        let told = &operation["responses"][answer.status.to_string()];
        assert!(told.is_object(), "{} of {operation}", answer.status);
        if let Some(kind) = answer.header("content-type")
            && answer.status < 300
        {
            let kind = kind.split(';').next().unwrap();
            assert!(told["content"][kind].is_object(), "{kind} of {operation}");
        }
        answer
    }
}

#[test]
fn what_the_program_answers_is_described() {
    let mut desk = Desk::open();
    let new = r#"{"role":"reader","name":"described"}"#;
    let made = desk.call(("POST", "/api/admin/keys"), "", "", None, new);
    let id = made.expect(201).json()["id"].as_str().unwrap().to_owned();
    let rotate = ("POST", "/api/admin/keys/{id}/rotate");
    desk.call(rotate, &id, "", None, "{}").expect(201);
    let revoke = ("POST", "/api/admin/keys/{id}/revoke");
    desk.call(revoke, &id, "", None, "").expect(200);

    let get = ("GET", "/api/flags/get");
    let tag = desk.call(get, "", "", None, "").expect(200);
    let tag = tag.header("etag").unwrap().to_owned();
    let known = Some(("If-None-Match", tag.as_str()));
    desk.call(get, "", "", known, "").expect(304);
    let (based, moved) = (Some(("If-Match", tag.as_str())), "\"0123456789abcdef\"");
    let set = ("POST", "/api/flags/set");
    let body = r#"{"key":"described","value":true,"create":true}"#;
    let done = desk.call(set, "", "", based, body).expect(200);
    desk.call(set, "", "", based, body).expect(412);
    let admin_set = ("POST", "/api/admin/flags");
    let body = r#"{"key":"described","value":"false"}"#;
    desk.call(admin_set, "", "", Some(("If-Match", moved)), body)
        .expect(412);
    let tag = done.header("etag").unwrap().to_owned();
    let done = desk
        .call(admin_set, "", "", Some(("If-Match", &tag)), body)
        .expect(200);
    assert!(done.header("etag").is_some_and(|now| now != tag));

    for path in [
        "/livez",
        "/readyz",
        "/health",
        "/metrics",
        "/api",
        "/api/exp/list",
    ] {
        desk.call(("GET", path), "", "", None, "").expect(200);
    }
}

/// No reader may have to choose which of two members counts: derived readers refuse the second.
#[derive(serde::Deserialize)]
struct Said {
    ok: bool,
}

#[test]
fn an_answer_says_once_that_all_is_well() {
    let mut desk = Desk::open();
    let paths: Vec<String> = desk.openapi["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, operations)| operations["get"].is_object())
        .map(|(path, _)| path.replace("{objective}", "echopilot-latency"))
        .map(|path| path.replace("{name}", "heartbeat"))
        .collect();
    let mut looked = 0;
    for path in paths {
        let answer = desk.admin.call("GET", &path, &[], b"").unwrap();
        let text = String::from_utf8(answer.body.clone()).unwrap();
        if answer.status != 200 || path.ends_with("/openapi.json") || !text.contains("\"ok\":") {
            continue;
        }
        let said: Said =
            serde_json::from_str(&text).unwrap_or_else(|fault| panic!("{path}: {fault}"));
        assert!(said.ok, "{path}");
        looked += 1;
    }
    assert!(looked > 15, "{looked}");
}

#[test]
fn both_forms_of_the_log_call_are_described() {
    let mut desk = Desk::open();
    let log = ("POST", "/api/exp/log");
    let event = r#"{"event":"signup","user":"u","exp":"pricing_v2","variant":"A"}"#;
    desk.call(log, "", "", None, event).expect(200);
    let lines = Some(("Content-Type", "application/x-ndjson"));
    let answer = desk
        .call(log, "", "mode=all&results=full", lines, event)
        .expect(200)
        .json();
    let batch = &desk.openapi["components"]["schemas"]["BatchReply"]["properties"];
    for (name, _) in answer.as_object().unwrap() {
        assert!(batch[name].is_object(), "`{name}` of {batch}");
    }
    let parameters = desk.openapi["paths"]["/api/exp/log"]["post"]["parameters"].clone();
    for one in parameters.as_array().unwrap() {
        for value in one["schema"]["enum"].as_array().unwrap() {
            let query = format!(
                "{}={}",
                one["name"].as_str().unwrap(),
                value.as_str().unwrap()
            );
            desk.call(log, "", &query, lines, event).expect(200);
        }
    }
}
