//! Every row that the running program declares, by every state a caller's key can be in (rules H7
//! and H8): the table decides, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::daemon::{ADMIN, Answer, Client, DASH, Daemon};

/// A caller: what is sent, and the role that it should count for.
struct Caller {
    state: String,
    token: Option<String>,
    role: Option<&'static str>,
}

/// One row of the program's own description.
struct Row {
    method: String,
    target: String,
    scope: String,
    body: String,
}

/// A key as it would stand in `configs/keys.json`, with its text.
fn entry(number: u8, role: &str, more: &Value) -> (String, String, Value) {
    let id = format!("{number:08x}");
    let text = format!("ep_{role}_{id}_{}", format!("{number:02x}").repeat(32));
    let digest = Sha256::digest(text.as_bytes());
    let digest: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut entry = json!({
        "role": role, "sha256": digest.concat(), "created_at": "2026-01-01T00:00:00Z",
    });
    let members = entry.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    (id, text, entry)
}

/// Writes a home whose keys are in all states. Gives the callers.
fn home_with_keys(home: &Path) -> Vec<Caller> {
    let good = |state: &str, token: &str, role| Caller {
        state: state.to_owned(),
        token: Some(token.to_owned()),
        role: Some(role),
    };
    let mut callers = vec![
        good("dash of the environment", DASH, "dash"),
        good("admin of the environment", ADMIN, "admin"),
    ];
    let states = [
        ("live", json!({}), true),
        (
            "within its time",
            json!({"not_before": "2026-01-01T00:00:00Z", "not_after": "2999-01-01T00:00:00Z"}),
            true,
        ),
        (
            "revoked",
            json!({"revoked_at": "2026-01-02T00:00:00Z"}),
            false,
        ),
        (
            "to be revoked",
            json!({"revoked_at": "2999-01-02T00:00:00Z"}),
            false,
        ),
        (
            "expired",
            json!({"not_after": "2026-01-02T00:00:00Z"}),
            false,
        ),
        (
            "not yet valid",
            json!({"not_before": "2999-01-01T00:00:00Z"}),
            false,
        ),
    ];
    let mut keys = BTreeMap::new();
    let mut number = 1;
    for role in ["reader", "dash", "admin"] {
        for (state, more, live) in &states {
            let (id, text, entry) = entry(number, role, more);
            number += 1;
            callers.push(Caller {
                state: format!("{state} {role}"),
                role: live.then_some(role),
                token: Some(text.clone()),
            });
            if *state == "live" {
                callers.extend(near_misses(&text));
            }
            keys.insert(id, entry);
        }
    }
    fs::create_dir_all(home.join("configs")).unwrap();
    let write = |name: &str, body: &Value| {
        fs::write(home.join("configs").join(name), body.to_string()).unwrap();
    };
    write("keys.json", &json!({ "keys": keys }));
    write(
        "echopilot.json",
        &json!({ "limits": {
            "loopback_per_ip_per_minute": 60_000, "keyless_total_per_minute": 60_000,
            "failed_auth_per_ip_per_minute": 60_000,
        }}),
    );
    callers
}

/// What is nearly the key `text`, and what is none at all.
fn near_misses(text: &str) -> Vec<Caller> {
    let (head, _last) = text.split_at(text.len() - 1);
    let tokens = [
        ("a wrong end", format!("{head}x")),
        ("a missing end", head.to_owned()),
        ("more at the end", format!("{text}0")),
        (
            "another role",
            text.replacen("reader", "admin", 1)
                .replacen("dash", "admin", 1),
        ),
        ("no prefix", text.replacen("ep_", "", 1)),
        ("no secret", text.rsplit_once('_').unwrap().0.to_owned()),
        ("another case", text.to_uppercase()),
        ("malformed", "ep__".to_owned()),
        ("a guess", "admin".to_owned()),
        ("very long", "a".repeat(5000)),
    ];
    let near = tokens.into_iter().filter(|(_, token)| token != text);
    near.map(|(state, token)| Caller {
        state: format!("{state} instead of {text}"),
        token: Some(token),
        role: None,
    })
    .collect()
}

/// The rows as the running program describes them, each with its own example.
fn rows(daemon: &Daemon) -> Vec<Row> {
    let described = daemon.get("/openapi.json").expect(200).json();
    let mut rows = Vec::new();
    for (path, operations) in described["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().unwrap();
            let query: Vec<String> = parameters
                .iter()
                .filter(|one| one["in"] == "query")
                .map(|one| format!("{}={}", text(&one["name"]), text(&one["example"])))
                .collect();
            let body = &operation["requestBody"]["content"]["application/json"]["example"];
            rows.push(Row {
                method: method.to_uppercase(),
                target: format!("{}?{}", filled(path), query.join("&")),
                scope: text(&operation["x-scope"]),
                body: if body.is_null() {
                    String::new()
                } else {
                    body.to_string()
                },
            });
        }
    }
    rows
}

/// `path` with every parameter filled in.
fn filled(path: &str) -> String {
    let fill = |part: &'_ str| {
        if part.starts_with('{') {
            "absent"
        } else {
            part
        }
        .to_owned()
    };
    path.split('/').map(fill).collect::<Vec<_>>().join("/")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn call(daemon: &Daemon, row: &Row, token: Option<&str>) -> Answer {
    let bearer = format!("Bearer {}", token.unwrap_or_default());
    let headers = [("Authorization", bearer.as_str())];
    let headers = if token.is_some() { &headers[..] } else { &[] };
    let mut client = Client::connect(&daemon.address, None).unwrap();
    let body = row.body.as_bytes();
    client
        .call(&row.method, &row.target, headers, body)
        .unwrap()
}

/// What the table says of a caller of `role` at a row of `scope`.
fn declared(scope: &str, role: Option<&str>, has_token: bool) -> &'static str {
    match (scope, role) {
        ("public", None) if !has_token => "let in",
        (_, None) => "401 key_required",
        ("public" | "read", Some(_))
        | ("operate", Some("dash" | "admin"))
        | ("admin", Some("admin")) => "let in",
        _ => "403 role_not_allowed",
    }
}

fn found(answer: &Answer) -> String {
    match answer.status {
        401 | 403 => format!("{} {}", answer.status, text(&answer.json()["error"])),
        // The row's own answer, whatever it is, but none that hides who was let in.
        429 | 500.. => format!("{}", answer.status),
        _ => "let in".to_owned(),
    }
}

/// Everything that a request could have changed.
fn contents(home: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for folder in ["configs", "logs"] {
        for entry in fs::read_dir(home.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            // What the daemon notes about itself and its files, in its own time, is nobody's
            // request: reports are written in its own time, and of the journals only those count
            // that nothing but requests write to.
            let by_requests = path.ends_with("keys.ndjson") || path.ends_with("experiments.ndjson");
            let is_config =
                folder == "configs" && path.extension().is_some_and(|end| end == "json");
            if is_config || by_requests {
                found.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn h08_every_row_answers_every_caller_as_the_table_declares() {
    let home = tempfile::tempdir().unwrap();
    let callers = home_with_keys(home.path());
    let daemon = Daemon::start(home.path());
    let rows = rows(&daemon);
    assert!(rows.len() >= 19, "{} rows", rows.len());
    let none = Caller {
        state: "no key".to_owned(),
        token: None,
        role: None,
    };
    let (good, bad): (Vec<_>, Vec<_>) = callers
        .into_iter()
        .chain([none])
        .partition(|caller| caller.role.is_some());
    assert!(
        good.len() >= 8 && bad.len() >= 36,
        "{} and {}",
        good.len(),
        bad.len()
    );
    let before = contents(home.path());
    let mut wrong = Vec::new();
    let mut asked = 0;
    let mut ask = |caller: &Caller, row: &Row| {
        let answer = call(&daemon, row, caller.token.as_deref());
        asked += 1;
        let (found, has_token) = (found(&answer), caller.token.is_some());
        let declared = declared(&row.scope, caller.role, has_token);
        if found != declared {
            let Row { method, target, .. } = row;
            wrong.push(format!(
                "{method} {target}, {}: {found}, not {declared}",
                caller.state
            ));
        }
    };
    for caller in &bad {
        for row in &rows {
            ask(caller, row);
        }
    }
    let after = contents(home.path());
    let changed: Vec<_> = after
        .iter()
        .filter(|(path, text)| before.get(*path) != Some(text))
        .map(|(path, _)| path)
        .collect();
    assert!(
        changed.is_empty(),
        "callers who were refused changed {changed:?}"
    );
    assert_eq!(before.len(), after.len(), "no file went");
    for caller in &good {
        for row in &rows {
            ask(caller, row);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(asked > 800, "{asked} requests");
}

#[test]
fn h08_what_administers_is_for_admins_and_what_writes_is_not_for_readers() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    for row in rows(&daemon) {
        if row.target.starts_with("/api/admin/") {
            assert_eq!(row.scope, "admin", "{}", row.target);
        }
        // Jobs call with the key of one heartbeat, which is all that it opens; a signed link opens
        // one incident.
        let opens_one = row.target.starts_with("/ping/") || row.target.starts_with("/ack/");
        if row.method != "GET" && !opens_one {
            assert!(
                matches!(row.scope.as_str(), "operate" | "admin"),
                "{}",
                row.target
            );
        }
        // An old primary asks before it writes, and has no key of whoever took over.
        let tells_a_number = row.target.starts_with("/api/replica/epoch");
        if row.target.starts_with("/api/") && !tells_a_number {
            assert_ne!(row.scope, "public", "{}", row.target);
        }
    }
}

#[test]
fn h18_every_refused_key_is_told_the_same() {
    let home = tempfile::tempdir().unwrap();
    let callers = home_with_keys(home.path());
    let daemon = Daemon::start(home.path());
    let row = &rows(&daemon)[1];
    let mut told = std::collections::BTreeSet::new();
    for caller in callers.iter().filter(|caller| caller.role.is_none()) {
        let answer = call(&daemon, row, caller.token.as_deref()).expect(401);
        let mut body = answer.json();
        body.as_object_mut().unwrap().remove("request_id");
        let shape = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
        let head: Vec<String> = answer.head.lines().map(shape).collect();
        told.insert(format!("{body} {head:?}"));
    }
    assert_eq!(told.len(), 1, "{told:#?}");
}
