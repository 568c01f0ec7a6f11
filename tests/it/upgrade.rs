//! Upgrades, and the way back: this version reads what the one before wrote, and the one before
//! reads what this one writes.
//!
//! `tests/fixtures/previous/home` was written by version 0.1.0 (commit 9703ba2) when it was asked
//! what stands in `calls.json`; `config_keys.json` are the settings that it knows. For a new
//! previous version all of it is made anew: start its program on an empty folder, send the calls,
//! stop it, and keep `configs/*.json` and `logs/*.ndjson`.
//! With `ECHOPILOT_PREVIOUS=PROGRAM` that program itself is started on a home of this version.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::cli;
use crate::daemon::{ADMIN, Client, Daemon};
use crate::tidy::tree::repository;

fn fixture(name: &str) -> PathBuf {
    repository().join("tests/fixtures/previous").join(name)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A copy of the home that the previous version wrote.
fn previous_home() -> TempDir {
    let home = TempDir::new().unwrap();
    for folder in ["configs", "logs"] {
        let to = home.path().join(folder);
        fs::create_dir(&to).unwrap();
        for entry in fs::read_dir(fixture("home").join(folder)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    home
}

fn ask(daemon: &Daemon, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let mut client = Client::connect(&daemon.address, None).unwrap();
    let bearer = format!("Bearer {ADMIN}");
    let headers = [
        ("Authorization", &*bearer),
        ("Content-Type", "application/json"),
    ];
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let answer = client
        .call(method, path, &headers, body.as_bytes())
        .unwrap();
    let said = if answer.body.is_empty() {
        Value::Null
    } else {
        answer.json()
    };
    (answer.status, said)
}

/// Sends the calls that the fixture was made with.
fn send_calls(daemon: &Daemon) {
    for call in json(&fixture("calls.json")).as_array().unwrap() {
        let (method, path) = (call[0].as_str().unwrap(), call[1].as_str().unwrap());
        let (status, answer) = ask(daemon, method, path, &call[2]);
        assert!(status < 400, "{method} {path}: {status} {answer}");
    }
}

/// What is the same before and after: told by view of each kind.
fn headlines(daemon: &Daemon) -> BTreeMap<&'static str, Value> {
    let get = |path: &str| {
        let (status, answer) = ask(daemon, "GET", path, &Value::Null);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    };
    let incidents = get("/api/incidents");
    let silences = get("/api/silences");
    [
        ("flags", get("/api/flags/get")["flags"].clone()),
        ("experiments", get("/api/exp/list")["experiments"].clone()),
        ("paused", get("/api/tasks/heartbeat")["paused"].clone()),
        (
            "paused by",
            get("/api/tasks/heartbeat")["paused_by"].clone(),
        ),
        ("incident", incidents["incidents"][0]["id"].clone()),
        ("incident state", incidents["incidents"][0]["state"].clone()),
        ("incident title", incidents["incidents"][0]["title"].clone()),
        ("silence", silences["silences"][0]["id"].clone()),
        (
            "history",
            get("/api/flags/history?key=payments.live")["changes"].clone(),
        ),
    ]
    .into()
}

#[test]
fn this_version_reads_what_the_previous_one_wrote() {
    let home = previous_home();
    let count = lines(home.path()).len();
    let daemon = Daemon::start(home.path());
    let told = headlines(&daemon);
    assert_eq!(told["flags"]["ui.new_dashboard"], true);
    assert_eq!(told["flags"]["payments.live"], false);
    let events = &told["experiments"][0]["variants"][0]["events"][0];
    assert_eq!((&events["n"], &events["sum"]), (&1.into(), &1.5.into()));
    assert_eq!(told["paused"], true);
    assert_eq!(told["paused by"], "env:admin");
    assert_eq!(told["incident state"], "resolved");
    assert_eq!(told["incident title"], "an example");
    assert!(told["silence"].is_string(), "{told:?}");
    // An event that was logged before is known by its id.
    let calls = json(&fixture("calls.json"));
    let again = &calls[5];
    assert_eq!(again[1], "/api/exp/log");
    let (status, answer) = ask(&daemon, "POST", "/api/exp/log", &again[2]);
    let before = lines(&fixture("home"));
    let first = before
        .iter()
        .find(|(_, members)| members.get("id") == Some(&again[2]["id"]));
    assert_eq!(
        (status, &answer["seq"]),
        (200, &first.unwrap().1["seq"]),
        "{answer}"
    );
    send_calls(&daemon);
    assert_eq!(daemon.stop(), Some(0));
    assert!(lines(home.path()).len() > count);
    let ran = cli::run(home.path(), &["verify", "--json"]);
    assert_eq!(ran.code, 0, "{:#}", ran.json());
}

/// A line's journal and its members.
type Line = (String, serde_json::Map<String, Value>);

/// Every line of every journal.
fn lines(home: &Path) -> Vec<Line> {
    let mut found = Vec::new();
    for entry in fs::read_dir(home.join("logs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(stem) = name.strip_suffix(".ndjson") else {
            continue;
        };
        let stream = stem.split('.').next().unwrap().to_owned();
        let text = fs::read_to_string(home.join("logs").join(&name)).unwrap();
        for line in text.lines() {
            let members: Value = serde_json::from_str(line).unwrap();
            found.push((stream.clone(), members.as_object().unwrap().clone()));
        }
    }
    found
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What is in each line of a kind, by journal and kind: members and the types they have.
type Golden = BTreeMap<(String, String), BTreeMap<String, BTreeSet<&'static str>>>;

/// The members that all lines of a kind have: the version that wrote them counts on these.
fn golden(lines: &[Line]) -> Golden {
    let mut golden = Golden::new();
    for (stream, members) in lines {
        let event = members["kind"].as_str().unwrap().to_owned();
        let types = |known: Option<&BTreeSet<&'static str>>, value| {
            let mut types = known.cloned().unwrap_or_default();
            types.insert(kind(value));
            types
        };
        let known = golden.get(&(stream.clone(), event.clone())).cloned();
        let merged = members.iter().filter_map(|(name, value)| match &known {
            None => Some((name.clone(), types(None, value))),
            Some(known) => Some((name.clone(), types(Some(known.get(name)?), value))),
        });
        let merged = merged.collect();
        golden.insert((stream.clone(), event), merged);
    }
    golden
}

/// Kinds of which the previous version reads every member of its own where it is there: what a
/// machine does not tell, or not yet, stands in no reading.
const OPTIONAL: [(&str, &str); 1] = [("ops_sentinel", "host.measured")];
/// What every line has.
const ENVELOPE: [&str; 4] = ["seq", "ts", "kind", "h"];

/// What the previous version would miss in `line`, by what it wrote itself.
fn missed(golden: &Golden, (stream, members): &Line) -> Vec<String> {
    let event = members["kind"].as_str().unwrap();
    // What is new is passed over: the engine's contract says so.
    let Some(wanted) = golden.get(&(stream.clone(), event.to_owned())) else {
        return Vec::new();
    };
    let has_optional = OPTIONAL.contains(&(stream, event));
    let faults = wanted.iter().filter_map(|(name, types)| {
        let fault = match members.get(name) {
            None if has_optional && !ENVELOPE.contains(&&**name) => return None,
            None => "is missing".to_owned(),
            Some(value) => {
                let found = kind(value);
                let fits = types.contains(found) || found == "null" || types.contains("null");
                (!fits).then(|| format!("is {found}, was {types:?}"))?
            }
        };
        Some(format!("{stream} `{event}`: `{name}` {fault}"))
    });
    faults.collect()
}

/// A home that this version wrote by the same calls.
fn written_now() -> TempDir {
    let home = TempDir::new().unwrap();
    let daemon = Daemon::start(home.path());
    send_calls(&daemon);
    assert_eq!(daemon.stop(), Some(0));
    home
}

#[test]
fn lines_of_this_version_have_all_that_the_previous_one_reads() {
    let golden = golden(&lines(&fixture("home")));
    let written = lines(written_now().path());
    let known = written.iter().filter(|(stream, members)| {
        let event = members["kind"].as_str().unwrap();
        golden.contains_key(&(stream.clone(), event.to_owned()))
    });
    let compared: BTreeSet<_> = known
        .map(|(stream, members)| (stream, members["kind"].as_str().unwrap()))
        .collect();
    assert!(
        compared.len() >= 25,
        "only these are compared: {compared:?}"
    );
    let missed: BTreeSet<_> = written
        .iter()
        .flat_map(|line| missed(&golden, line))
        .collect();
    assert!(missed.is_empty(), "{missed:#?}");
    // The comparison itself: a member that is gone and one of another type are found.
    let mut bad = written
        .iter()
        .find(|(stream, _)| stream == "experiments")
        .unwrap()
        .clone();
    bad.1.remove("h");
    bad.1.insert("seq".to_owned(), "one".into());
    assert_eq!(missed_count(&golden, &bad), 2);
}

fn missed_count(golden: &Golden, line: &Line) -> usize {
    missed(golden, line).len()
}

#[test]
fn shipped_configurations_have_no_setting_that_the_previous_version_refuses() {
    let known = json(&fixture("config_keys.json"));
    let mut compared = 0;
    for (file, keys) in known.as_object().unwrap() {
        let path = repository().join("configs").join(file);
        let Ok(text) = fs::read(&path) else {
            continue;
        };
        compared += 1;
        let shipped: Value = serde_json::from_slice(&text).unwrap();
        let keys = keys.as_array().unwrap();
        for name in shipped.as_object().unwrap().keys() {
            let is_note = name.starts_with('$');
            assert!(
                is_note || keys.contains(&Value::from(&**name)),
                "`{file}`: `{name}`"
            );
        }
    }
    assert!(compared >= 12, "{compared} files are compared");
}

#[test]
#[expect(clippy::print_stderr, reason = "what is not done here is said aloud")]
fn the_previous_program_reads_a_home_of_this_version() {
    let Some(program) = std::env::var_os("ECHOPILOT_PREVIOUS") else {
        eprintln!("upgrade: ECHOPILOT_PREVIOUS names no program of the previous version: not run");
        return;
    };
    let home = written_now();
    let daemon = Daemon::start(home.path());
    let told = headlines(&daemon);
    assert_eq!(daemon.stop(), Some(0));
    let daemon = Daemon::start_with(home.path(), |command| {
        let mut previous = Command::new(&program);
        previous.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => previous.env(name, value),
                None => previous.env_remove(name),
            };
        }
        previous.stdin(std::process::Stdio::null());
        previous.stdout(std::process::Stdio::null());
        previous.stderr(std::process::Stdio::piped());
        *command = previous;
    });
    assert_eq!(headlines(&daemon), told);
    let (status, health) = ask(&daemon, "GET", "/health", &Value::Null);
    assert_eq!(
        (status, &health["status"]),
        (200, &"ok".into()),
        "{health:#}"
    );
    send_calls(&daemon);
    assert_eq!(daemon.stop(), Some(0));
    let output = Command::new(&program)
        .args(["verify", "--json", "--home"])
        .arg(home.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    // And back again.
    let daemon = Daemon::start(home.path());
    assert_eq!(headlines(&daemon)["flags"], told["flags"]);
    assert_eq!(daemon.stop(), Some(0));
}
