//! Secrets that were planted are found nowhere (rule H14), and control characters that were sent
//! reach no screen (rule H15).

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::daemon::{ADMIN, Client, DASH, Daemon, PATIENCE};

/// What a client learns and must be the only one to keep.
struct Planted(Vec<(&'static str, String)>);

impl Planted {
    fn add(&mut self, what: &'static str, secret: impl Into<String>) -> String {
        let secret = secret.into();
        self.0.push((what, secret.clone()));
        secret
    }

    /// Which of them stand in `text`.
    fn in_text(&self, text: &[u8]) -> Vec<&'static str> {
        let here = |secret: &str| memchr::memmem::find(text, secret.as_bytes()).is_some();
        let found = self.0.iter().filter(|(_, secret)| here(secret));
        found.map(|(what, _)| *what).collect()
    }
}

/// All files below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// The raw answer to `request`.
fn raw(address: &str, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = request.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    let _reset = stream.read_to_end(&mut answer);
    answer
}

/// Makes, rotates and revokes keys; the secrets are planted. Gives all answers but those that show
/// a new key, which are meant to.
fn use_keys(daemon: &Daemon, planted: &mut Planted) -> Vec<Vec<u8>> {
    let bearer = format!("Bearer {ADMIN}");
    let mut client = Client::connect(&daemon.address, None).unwrap();
    let mut call = |method: &str, path: &str, body: &str| {
        let headers = [("Authorization", bearer.as_str())];
        client
            .call(method, path, &headers, body.as_bytes())
            .unwrap()
    };
    let made = call(
        "POST",
        "/api/admin/keys",
        r#"{"role":"dash","name":"grafana"}"#,
    )
    .json();
    let id = made["id"].as_str().unwrap().to_owned();
    let key = planted.add("a key that was made", made["key"].as_str().unwrap());
    planted.add("its secret part", key.rsplit('_').next().unwrap());
    let rotated = call("POST", &format!("/api/admin/keys/{id}/rotate"), "{}").json();
    let next = planted.add("a key that was rotated", rotated["key"].as_str().unwrap());
    let mut answers = Vec::new();
    for (key, path) in [(&key, "/api/flags/get"), (&next, "/api/admin/keys")] {
        let mut client = Client::connect(&daemon.address, Some(key)).unwrap();
        answers.push(client.call("GET", path, &[], b"").unwrap().body);
    }
    answers.push(call("POST", &format!("/api/admin/keys/{id}/revoke"), "").body);
    answers.push(call("GET", "/api/admin/keys", "").body);
    let mut client = Client::connect(&daemon.address, Some(&key)).unwrap();
    answers.push(client.call("GET", "/api/flags/get", &[], b"").unwrap().body);
    answers
}

/// Sends secrets wherever a careless client could put them.
fn misplace(daemon: &Daemon, planted: &mut Planted) -> Vec<Vec<u8>> {
    let address = daemon.address.as_str();
    let wrong = planted.add("a wrong key", "wrong-key-7f3a9c51d2e84b60");
    let query = planted.add("a key in a query", "query-key-0b7d21e6c94f4a38");
    let path = planted.add("a key in a path", "path-key-5d19a7c03be24f86");
    let header = planted.add("a secret in a header", "header-secret-93c1f0be57d246aa");
    let body = planted.add("a secret in a body", "body-secret-e2460f81b97c4d35");
    let cookie = planted.add("a secret in a cookie", "cookie-secret-14ce8a9d50f7462b");
    let get = |target: &str, lines: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
        raw(address, &request)
    };
    let post = |target: &str, body: &str| {
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nX-Dash-Key: {DASH}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        raw(address, &request)
    };
    vec![
        get("/api/flags/get", &format!("X-Dash-Key: {wrong}\r\n")),
        get(
            "/api/flags/get",
            &format!("Authorization: Bearer {wrong}\r\n"),
        ),
        get(
            "/api/flags/get",
            &format!("Authorization: Basic {wrong}\r\n"),
        ),
        get(&format!("/api/flags/get?key={query}&x-dash-key={DASH}"), ""),
        get(
            &format!("/api/exp/assign?key={query}"),
            &format!("X-Api-Key: {DASH}\r\n"),
        ),
        get(&format!("/api/flags/get/{path}"), ""),
        get(&format!("http://user:{path}@localhost/"), ""),
        get(
            "/nothing",
            &format!("X-Other: {header}\r\nCookie: session={cookie}\r\n"),
        ),
        get("/livez", &format!("Host: {header}\r\n")),
        get(
            "/livez",
            &format!("Referer: http://{header}/\r\nUser-Agent: {header}\r\n"),
        ),
        post("/api/flags/set", &format!(r#"{{"password":"{body}"}}"#)),
        post(
            "/api/flags/set",
            &format!(r#"{{"key":"payments.live","value":{body}}}"#),
        ),
        post("/api/flags/set", &body),
        post(
            "/api/exp/log",
            &format!(r#"{{"event":"e","value":"{body}"}}"#),
        ),
        post("/api/exp/log", &body),
    ]
}

#[test]
fn h14_planted_secrets_are_found_nowhere() {
    let home = tempfile::tempdir().unwrap();
    let given = tempfile::tempdir().unwrap();
    let mut planted = Planted(Vec::new());
    planted.add("DASHBOARD_KEY", DASH);
    planted.add("ADMIN_TOKEN", ADMIN);
    let dash = planted.add(
        "the credential dash_key",
        "credential-dash-61f09ab3c8d74e25",
    );
    fs::write(given.path().join("dash_key"), &dash).unwrap();
    let first = Daemon::start_with(home.path(), |command| {
        command.env("ECHOPILOT_LOG", "debug");
    });
    let mut answers = use_keys(&first, &mut planted);
    answers.extend(misplace(&first, &mut planted));
    answers.push(first.get("/metrics").body);
    for path in [
        "/health",
        "/readyz?verbose",
        "/api",
        "/openapi.json",
        "/api/exp/list",
    ] {
        answers.push(first.get(path).body);
    }
    let local = fs::read(home.path().join(".echopilot/daemon.json")).unwrap();
    let local: serde_json::Value = serde_json::from_slice(&local).unwrap();
    planted.add(
        "the token of the command line",
        local["token"].as_str().unwrap(),
    );
    let heard = stopped(first);
    let second = Daemon::start_with(home.path(), |command| {
        command.env("CREDENTIALS_DIRECTORY", given.path());
    });
    let mut client = Client::connect(&second.address, Some(&dash)).unwrap();
    let answer = client.call("GET", "/api/flags/get", &[], b"").unwrap();
    assert_eq!(answer.status, 200, "the credential counts");
    let token = fs::read(home.path().join(".echopilot/daemon.json")).unwrap();
    assert!(
        !planted
            .in_text(&token)
            .contains(&"the token of the command line"),
        "made anew"
    );
    let heard = [heard, stopped(second)].concat();
    assert!(planted.0.len() >= 12, "{} secrets", planted.0.len());
    let nothing: Vec<&str> = Vec::new();
    for answer in &answers {
        let text = String::from_utf8_lossy(answer);
        assert_eq!(planted.in_text(answer), nothing, "in an answer: {text}");
    }
    assert!(
        heard.lines().count() > 2,
        "the daemon said something: {heard}"
    );
    assert_eq!(
        planted.in_text(heard.as_bytes()),
        nothing,
        "in what was said"
    );
    let files = files(home.path());
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let text = fs::read(&file).unwrap();
        assert_eq!(planted.in_text(&text), nothing, "in {}", file.display());
    }
}

/// Stops `daemon` and gives all that it said after its start.
fn stopped(mut daemon: Daemon) -> String {
    let talk = std::mem::replace(&mut daemon.talk, std::sync::mpsc::channel().1);
    assert_eq!(daemon.stop(), Some(0));
    talk.iter().collect::<Vec<_>>().join("\n")
}

/// The first key is shown once on the way out, and kept nowhere.
#[test]
fn h14_the_first_key_is_told_once_and_kept_nowhere() {
    let home = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start_with(home.path(), |command| {
        command.env_remove("DASHBOARD_KEY");
    });
    let talk = std::mem::replace(&mut daemon.talk, std::sync::mpsc::channel().1);
    let shown = talk
        .iter()
        .find(|line| line.trim().starts_with("ep_dash_"))
        .unwrap();
    let key = shown.trim().to_owned();
    let mut client = Client::connect(&daemon.address, Some(&key)).unwrap();
    assert_eq!(
        client
            .call("GET", "/api/flags/get", &[], b"")
            .unwrap()
            .status,
        200
    );
    assert_eq!(daemon.stop(), Some(0));
    for file in files(home.path()) {
        let text = fs::read(&file).unwrap();
        assert!(
            memchr::memmem::find(&text, key.as_bytes()).is_none(),
            "{}",
            file.display()
        );
    }
}

/// What a client may have put into every text it sends: a bell, a colour, a title, a line of its
/// own, a C1 control, a line separator.
const NASTY: &str = "a\u{7}\u{1b}[31mred\u{1b}]0;title\u{7}\r\nforged\u{9b}2J\u{2028}z\u{7f}";

fn assert_calm(what: &str, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let steers = |c: char| c.is_control() && c != '\n' || c == '\u{2028}';
    assert!(!text.contains(steers), "{what} holds {text:?}");
    let forged = text.lines().any(|line| line.starts_with("forged"));
    assert!(!forged, "{what} holds a line of the client's: {text:?}");
}

#[test]
fn h15_what_clients_send_never_steers_a_terminal() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(home.path(), |command| {
        command.env("ECHOPILOT_LOG", "debug");
    });
    let log = |event: &str, user: &str| {
        let body = json!({ "event": event, "user": user, "exp": "pricing_v2", "variant": "A" });
        daemon.post("/api/exp/log", &body.to_string())
    };
    assert_calm("an error about an event", &log(NASTY, "user").body);
    assert_calm(
        "an error about a user",
        &log("signup", NASTY).expect(400).body,
    );
    log("signup", "a\u{2028}b").expect(200);
    let set = |key: &str, value: serde_json::Value| {
        let body = json!({ "key": key, "value": value, "create": true });
        daemon.post("/api/flags/set", &body.to_string())
    };
    assert_calm("an error about a flag", &set(NASTY, json!(true)).body);
    set("ui.banner", json!(NASTY)).expect(200);
    let bearer = format!("Bearer {ADMIN}");
    let body = json!({ "role": "reader", "name": NASTY }).to_string();
    let headers = [("Authorization", bearer.as_str())];
    let mut client = Client::connect(&daemon.address, None).unwrap();
    let made = client.call("POST", "/api/admin/keys", &headers, body.as_bytes());
    assert_calm("the answer to a new key", &made.unwrap().body);
    let lines: [&[&str]; 7] = [
        &["flag", "list"],
        &["flag", "get", "ui.banner"],
        &["flag", "history"],
        &["key", "list"],
        &["exp", "list"],
        &["status"],
        &["log", "tail", "experiments"],
    ];
    for words in lines {
        let done = Command::new(env!("CARGO_BIN_EXE_echopilot"))
            .args(words)
            .arg("--home")
            .arg(home.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{words:?}: {errors}");
        assert!(!done.stdout.is_empty(), "{words:?}");
        assert_calm(&words.join(" "), &done.stdout);
        assert_calm(&words.join(" "), &done.stderr);
    }
    for file in files(&home.path().join("logs")) {
        if file
            .extension()
            .is_some_and(|extension| extension == "ndjson")
        {
            let text = fs::read(&file).unwrap();
            assert_calm(&file.display().to_string(), &text);
            for line in text
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
            {
                assert!(line.starts_with(b"{\"seq\":"), "{}", file.display());
            }
        }
    }
    assert_calm("what the daemon said", stopped(daemon).as_bytes());
}
