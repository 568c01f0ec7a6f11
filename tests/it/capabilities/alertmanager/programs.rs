//! The real programs from Debian against the real program: Prometheus sends, amtool asks and
//! silences, an Alertmanager passes on.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::daemon::{Client, DASH, Daemon, PATIENCE};

/// Waits until `is_so`, with a bound.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < 2 * PATIENCE, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// A program of somebody else, which ends with the test.
struct Foreign(Child);

impl Foreign {
    fn start(program: &str, folder: &Path, args: &[&str]) -> Self {
        let log = fs::File::create(folder.join("log")).unwrap();
        let child = Command::new(program)
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Self(child.unwrap_or_else(|error| panic!("{program}: {error}; see tests/run")))
    }

    fn signal(&self, signal: &str) {
        let pid = self.0.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Alerts of this name at `GET /api/alerts`.
fn held(daemon: &Daemon, name: &str) -> Vec<Value> {
    let told = daemon.get("/api/alerts").expect(200).json();
    let all = told["alerts"].as_array().unwrap().iter();
    all.filter(|one| one["labels"]["alertname"] == name)
        .cloned()
        .collect()
}

/// GET without a key from a program that may close the connection after it.
fn fetch(port: u16, path: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let head = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()
}

fn rules(folder: &Path, expr: Option<&str>) {
    let rule = expr.map_or("[]".to_owned(), |expr| {
        format!(
            "\n  - alert: AlwaysThere\n    expr: {expr}\n    labels: {{severity: page, team: shop}}\n    \
             annotations: {{summary: 'it is {{{{ $value }}}}'}}"
        )
    });
    let text = format!("groups:\n- name: tests\n  interval: 1s\n  rules: {rule}\n");
    fs::write(folder.join("rules.yml"), text).unwrap();
}

#[test]
fn prometheus_sends_its_alerts_here_and_takes_them_back() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "global: {{evaluation_interval: 1s}}\n\
         rule_files: [rules.yml]\n\
         alerting:\n  alertmanagers:\n  - authorization: {{credentials: '{DASH}'}}\n    \
         static_configs: [{{targets: ['{}']}}]\n",
        daemon.address
    );
    fs::write(folder.path().join("prometheus.yml"), config).unwrap();
    rules(folder.path(), Some("vector(1)"));
    let args = [
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        "--web.listen-address=127.0.0.1:0",
        "--rules.alert.resend-delay=1s",
    ];
    let prometheus = Foreign::start("prometheus", folder.path(), &args);
    until("its alert is here", || {
        !held(&daemon, "AlwaysThere").is_empty()
    });
    let alert = &held(&daemon, "AlwaysThere")[0];
    assert_eq!(alert["labels"]["team"], "shop");
    assert_eq!(
        (&alert["severity"], &alert["source"]),
        (&"critical".into(), &"prometheus".into())
    );
    assert_eq!(alert["summary"], "it is 1");
    let key = alert["key"].clone();

    rules(folder.path(), Some("vector(1) > 1"));
    prometheus.signal("-HUP");
    until("it has ended", || held(&daemon, "AlwaysThere").is_empty());
    rules(folder.path(), Some("vector(1)"));
    prometheus.signal("-HUP");
    until("it is here again", || {
        !held(&daemon, "AlwaysThere").is_empty()
    });
    rules(folder.path(), None);
    prometheus.signal("-HUP");
    until("nobody repeats it", || {
        held(&daemon, "AlwaysThere").is_empty()
    });

    let lines = fs::read_to_string(home.path().join("logs/alerts.ndjson")).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let own: Vec<_> = lines.filter(|line| line["key"] == key).collect();
    let kinds: Vec<_> = own
        .iter()
        .map(|line| line["kind"].as_str().unwrap())
        .collect();
    let twice = [
        "alert.fired",
        "alert.resolved",
        "alert.fired",
        "alert.resolved",
    ];
    assert_eq!(kinds, twice, "a repeat each second writes nothing");
    let how = own[3]["summary"].as_str().unwrap();
    assert!(how.contains("the end that its sender gave"), "{how}");
}

/// amtool with a key of ours.
struct Amtool {
    folder: tempfile::TempDir,
    url: String,
}

impl Amtool {
    fn for_url(url: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let client = format!("authorization: {{credentials: '{DASH}'}}\n");
        fs::write(folder.path().join("client.yml"), client).unwrap();
        Self { folder, url }
    }

    /// What it prints; it must end well and complain of nothing.
    #[track_caller]
    fn run(&self, args: &[&str]) -> String {
        let (is_well, out, err) = self.end(&["--http.config.file=client.yml"], args);
        assert!(is_well && err.is_empty(), "{args:?}: {err}{out}");
        out
    }

    /// What it complains of; it must not end well.
    #[track_caller]
    fn fail(&self, flags: &[&str], args: &[&str]) -> String {
        let (is_well, out, err) = self.end(flags, args);
        assert!(!is_well && out.is_empty(), "{args:?}: {err}{out}");
        err
    }

    fn end(&self, flags: &[&str], args: &[&str]) -> (bool, String, String) {
        let output = Command::new("amtool")
            .arg(format!("--alertmanager.url={}", self.url))
            .args(flags)
            .args(args)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .output()
            .expect("amtool, see tests/run");
        let (out, err) = (output.stdout, output.stderr);
        (
            output.status.success(),
            String::from_utf8(out).unwrap(),
            String::from_utf8(err).unwrap(),
        )
    }
}

#[test]
fn amtool_asks_adds_and_silences() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let amtool = Amtool::for_url(format!("http://{}", daemon.address));
    for host in ["a", "b"] {
        let host = format!("host={host}");
        let summary = "--annotation=summary=it is full";
        amtool.run(&["alert", "add", "Disk", &host, "severity=error", summary]);
    }
    let table = amtool.run(&["alert", "query"]);
    assert_eq!(table.matches("it is full").count(), 2, "{table}");
    let one = amtool.run(&["alert", "query", "Disk", "host=~a|c"]);
    assert_eq!(one.matches("it is full").count(), 1, "{one}");
    assert_eq!(held(&daemon, "Disk")[0]["severity"], "error");

    let silenced = ["host=a", "-a", "alice", "-c", "known", "-d", "2h"];
    let id = amtool.run(&[&["silence", "add"], &silenced[..]].concat());
    let id = id.trim();
    let list = amtool.run(&["silence", "query"]);
    assert!(
        list.contains(id) && list.contains("alice") && list.contains("known"),
        "{list}"
    );
    let left = amtool.run(&["alert", "query", "Disk"]);
    assert_eq!(left.matches("it is full").count(), 1, "{left}");
    let hidden = amtool.run(&["-o", "json", "alert", "query", "--silenced"]);
    let hidden: Value = serde_json::from_str(&hidden).unwrap();
    assert_eq!(hidden[0]["status"]["silencedBy"][0], id);
    amtool.run(&["silence", "update", id, "-c", "for longer", "-d", "3h"]);
    let list = amtool.run(&["silence", "query", "host=a"]);
    assert!(list.contains("for longer"), "{list}");
    let ids = amtool.run(&["silence", "query", "-q"]);
    amtool.run(&["silence", "expire", ids.trim()]);
    assert_eq!(amtool.run(&["silence", "query", "-q"]).trim(), "");
    assert_eq!(
        amtool
            .run(&["alert", "query", "-s"])
            .matches("it is full")
            .count(),
        0
    );
    assert!(
        amtool
            .run(&["silence", "query", "--expired"])
            .contains("for longer")
    );
    assert!(amtool.run(&["config", "show"]).contains("receivers"));
    assert!(amtool.run(&["config", "routes", "show"]).contains("log"));
    assert!(amtool.run(&["cluster", "show"]).contains("disabled"));
}

#[test]
fn amtool_can_read_what_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let amtool = Amtool::for_url(format!("http://{}", daemon.address));
    // Of a status that Alertmanager does not have amtool tells the status; it reads no body.
    for args in [
        &["alert", "query"][..],
        &["alert", "add", "Disk"],
        &["silence", "query"],
        &["config", "show"],
    ] {
        let told = amtool.fail(&[], args);
        assert!(
            told.contains("(status 401)") && !told.contains("consumer"),
            "{args:?}: {told}"
        );
    }
    // What it does read it prints in our words: those of the handlers, and those of the server.
    let key = ["--http.config.file=client.yml"];
    let told = amtool.fail(&key, &["alert", "query", "--receiver=("]);
    assert!(
        told.contains("[400]") && told.contains("receiver"),
        "{told}"
    );
}

#[test]
fn every_error_of_this_api_is_plain_json() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let mut client = Client::connect(&daemon.address, None).unwrap();
    let key = format!("Bearer {DASH}");
    let bearer = [("Authorization", key.as_str())];
    let none: [(&str, &str); 0] = [];
    let long = vec![b'x'; 70 << 10];
    for (status, method, path, headers, body) in [
        (401, "GET", "/api/v2/alerts", &none[..], &b""[..]),
        (404, "GET", "/api/v2/absent", &bearer, b""),
        (405, "PUT", "/api/v2/alerts", &bearer, b"{}"),
        (413, "POST", "/api/v2/silences", &bearer, &long),
        (400, "POST", "/api/v2/alerts", &bearer, b"{"),
    ] {
        let told = client.call(method, path, headers, body).unwrap();
        assert_eq!(told.status, status, "{method} {path}");
        assert_eq!(
            told.header("content-type"),
            Some("application/json"),
            "{method} {path}"
        );
        let body = told.json();
        assert_eq!(body.is_string(), [400, 404].contains(&status), "{body}");
        client = Client::connect(&daemon.address, None).unwrap();
    }
    // Callers without a key have few calls.
    for _call in 0..20 {
        client.call("GET", "/api/v2/alerts", &none, b"").unwrap();
        client = Client::connect(&daemon.address, None).unwrap();
    }
    let told = client.call("GET", "/api/v2/alerts", &none, b"").unwrap();
    assert_eq!(
        (told.status, told.header("content-type")),
        (429, Some("application/json"))
    );
    assert_eq!(told.json()["error"], "rate_limited");
    // What the server refuses itself is said in full where amtool reads it.
    let told = client.call("GET", "/api/v2/absent", &bearer, b"").unwrap();
    let text = told.json().as_str().unwrap().to_owned();
    assert!(text.contains("nothing at this path; hint: "), "{text}");
}

/// Names of the members of an object, sorted.
fn members(value: &Value) -> Vec<String> {
    let mut names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
    names.sort();
    names
}

#[test]
fn an_alertmanager_passes_its_alerts_on_and_both_show_the_same() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let config = format!(
        "route: {{receiver: us, group_by: [alertname], group_wait: 1s, group_interval: 1s}}\n\
         receivers:\n- name: us\n  webhook_configs:\n  - url: http://{}/api/alerts/webhook\n    \
         http_config: {{authorization: {{credentials: '{DASH}'}}}}\n",
        daemon.address
    );
    fs::write(folder.path().join("alertmanager.yml"), config).unwrap();
    let listen = format!("--web.listen-address=127.0.0.1:{port}");
    let args = [
        "--config.file=alertmanager.yml",
        "--storage.path=data",
        "--cluster.listen-address=",
        &listen,
    ];
    let _alertmanager = Foreign::start("prometheus-alertmanager", folder.path(), &args);
    until("it listens", || fetch(port, "/api/v2/status").is_some());
    let amtool = Amtool::for_url(format!("http://127.0.0.1:{port}"));
    let labels = ["Disk", "host=ä b", "severity=critical", "z=", "_x=1"];
    let annotations = [
        "--annotation=summary=it is full",
        "--generator-url=http://p/graph",
    ];
    amtool.run(&[&["alert", "add"], &labels[..], &annotations[..]].concat());
    until("its alert is here", || !held(&daemon, "Disk").is_empty());
    assert_eq!(held(&daemon, "Disk")[0]["source"], "alertmanager");

    let theirs = fetch(port, "/api/v2/alerts").unwrap();
    let ours = daemon
        .get("/api/v2/alerts?filter=alertname%3DDisk")
        .expect(200)
        .json();
    let (theirs, ours) = (&theirs[0], &ours[0]);
    for member in ["fingerprint", "labels", "generatorURL"] {
        assert_eq!(ours[member], theirs[member]);
    }
    assert_eq!(members(ours), members(theirs));
    let started = |alert: &Value| alert["startsAt"].as_str().unwrap()[..23].to_owned();
    assert_eq!(started(ours), started(theirs));
    let theirs = fetch(port, "/api/v2/status").unwrap();
    let ours = daemon.get("/api/v2/status").expect(200).json();
    assert_eq!(members(&ours), members(&theirs));
    assert_eq!(
        members(&ours["versionInfo"]),
        members(&theirs["versionInfo"])
    );

    // The same as a silence, on both sides.
    let silence = r#"{"matchers":[{"name":"a","value":"b","isRegex":false}],"comment":"c",
        "startsAt":"2026-01-01T00:00:00Z","endsAt":"2099-01-01T00:00:00Z","createdBy":"d"}"#;
    daemon.post("/api/v2/silences", silence).expect(200);
    let there = ["a=b", "-a", "d", "-c", "c"];
    amtool.run(&[&["silence", "add"], &there[..]].concat());
    let theirs = fetch(port, "/api/v2/silences").unwrap();
    let ours = daemon.get("/api/v2/silences").expect(200).json();
    assert_eq!(members(&ours[0]), members(&theirs[0]));
    assert_eq!(ours[0]["matchers"], theirs[0]["matchers"]);

    let over = "--end=2026-01-01T00:00:00Z";
    let begun = "--start=2026-01-01T00:00:00Z";
    amtool.run(
        &[
            &["alert", "add"],
            &labels[..],
            &annotations[..],
            &[begun, over],
        ]
        .concat(),
    );
    until("it has ended here", || held(&daemon, "Disk").is_empty());
}
