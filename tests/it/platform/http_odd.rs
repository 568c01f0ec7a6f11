//! Requests that no honest client sends, and some that look odd but are sound: each has one fixed
//! answer. Raw bytes on a socket of the real program.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::http_odd_bodies::{BODIES, KEYS};
use super::http_odd_table::{HEADS, LINES, Odd, TARGETS};
use crate::daemon::{Daemon, PATIENCE};

/// Starts the program with limits that these tests do not meet.
fn daemon(home: &Path) -> Daemon {
    std::fs::create_dir_all(home.join("configs")).unwrap();
    let limits = r#"{"limits":{"loopback_per_ip_per_minute":60000,
        "keyless_total_per_minute":60000,"failed_auth_per_ip_per_minute":60000}}"#;
    std::fs::write(home.join("configs/echopilot.json"), limits).unwrap();
    Daemon::start(home)
}

/// How long a server that waits for more is waited for before we say that no more will come.
const PAUSE: Duration = Duration::from_millis(200);

/// Everything that comes back: read until `answers` are there or the server says no more, then
/// to the end, so that an answer too many is seen too.
fn exchange(address: &str, request: &[u8], answers: usize) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PAUSE)).unwrap();
    // The server may close while we still send: what it said is read all the same.
    let _refused = stream.write_all(request);
    let (mut heard, mut ended) = (Vec::new(), false);
    let mut piece = [0; 16384];
    loop {
        if !ended && count(&heard) >= answers {
            ended = true;
            stream.shutdown(Shutdown::Write).ok();
        }
        match stream.read(&mut piece) {
            Ok(0) => return heard,
            Ok(count) => heard.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock && !ended => {
                ended = true;
                stream.shutdown(Shutdown::Write).ok();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
            }
            Err(_) => return heard,
        }
    }
}

fn count(bytes: &[u8]) -> usize {
    match told(bytes).as_str() {
        "closed" => 0,
        words => words.split(", ").count(),
    }
}

/// One answer as the tables write it: status and machine word, `-` where there is none.
struct Told {
    word: String,
    head: String,
    length: usize,
}

/// The first answer in `bytes`.
fn first(bytes: &[u8]) -> Option<Told> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let status = head.get(9..12)?.to_owned();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    // An answer to HEAD tells a length that does not follow.
    let sent = length.min(bytes.len() - end);
    let body = &bytes[end..end + sent];
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let code = body["error"].as_str().unwrap_or("-");
    Some(Told {
        word: format!("{status} {code}"),
        head,
        length: end + sent,
    })
}

/// All answers in `bytes`, in the tables' words.
fn told(bytes: &[u8]) -> String {
    let mut words = Vec::new();
    let mut rest = bytes;
    while let Some(answer) = first(rest) {
        let status: u16 = answer.word[..3].parse().unwrap();
        // Those that hyper gives itself, before a request is known, carry nothing but a status.
        if status != 100 && !answer.word.ends_with('-') {
            assert!(answer.head.contains("x-content-type-options: nosniff"));
            assert!(answer.head.contains("x-request-id: "));
        }
        words.push(answer.word);
        rest = &rest[answer.length..];
    }
    if words.is_empty() {
        return "closed".to_owned();
    }
    words.join(", ")
}

fn try_all(tables: &[&[Odd]]) {
    let home = tempfile::tempdir().unwrap();
    let daemon = daemon(home.path());
    let mut wrong = Vec::new();
    for (name, request, wanted) in tables.iter().copied().flatten() {
        let answers = wanted.split(", ").count();
        let found = told(&exchange(&daemon.address, &request.bytes(), answers));
        if found != *wanted {
            wrong.push(format!("{name}: wanted `{wanted}`, found `{found}`"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(daemon.get("/api/flags/get").status, 200, "it still serves");
}

#[test]
fn h04_odd_request_lines_have_fixed_answers() {
    try_all(&[LINES]);
}

#[test]
fn h04_odd_targets_have_fixed_answers() {
    try_all(&[TARGETS]);
}

#[test]
fn h02_h04_odd_heads_have_fixed_answers() {
    try_all(&[HEADS]);
}

#[test]
fn h02_odd_bodies_have_fixed_answers() {
    try_all(&[BODIES]);
}

#[test]
fn h07_keys_count_in_three_headers_and_nowhere_else() {
    try_all(&[KEYS]);
}

#[test]
fn h04_the_tables_are_as_long_as_promised() {
    let all = [LINES, TARGETS, HEADS, BODIES, KEYS];
    let count: usize = all.iter().map(|table| table.len()).sum();
    assert!(count >= 60, "{count} odd requests");
}

#[test]
fn h02_a_body_cut_by_the_client_writes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let daemon = daemon(home.path());
    let body = r#"{"key":"payments.live","value":false}"#;
    for missing in [1, 10, body.len()] {
        let sent = &body[..body.len() - missing];
        let request = format!(
            "POST /api/flags/set HTTP/1.1\r\nHost: localhost\r\nX-Dash-Key: {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{sent}",
            crate::daemon::DASH,
            body.len()
        );
        exchange(&daemon.address, request.as_bytes(), 1);
    }
    let flags = daemon.get("/api/flags/get").json();
    assert_eq!(flags["flags"]["payments.live"], true);
}

#[test]
fn h16_names_from_outside_never_reach_a_path() {
    let home = tempfile::tempdir().unwrap();
    let daemon = daemon(home.path());
    let before = tree_at_rest(home.path());
    for name in [
        "../../etc/passwd",
        "..",
        "/etc/passwd",
        "a/b",
        "keys.json",
        "\u{0}",
        "CON",
    ] {
        let set = serde_json::json!({ "key": name, "value": true }).to_string();
        assert_eq!(daemon.post("/api/flags/set", &set).status, 404, "{name:?}");
        let log = serde_json::json!({ "event": "e", "user": "u", "exp": name, "variant": "A" });
        let log = daemon.post("/api/exp/log", &log.to_string());
        assert!(matches!(log.status, 400 | 404), "{name:?}: {}", log.status);
        let encoded = percent(name);
        let mut admin = crate::daemon::Client::connect(&daemon.address, None).unwrap();
        let bearer = format!("Bearer {}", crate::daemon::ADMIN);
        let path = format!("/api/admin/keys/{encoded}/revoke");
        let revoked = admin.call("POST", &path, &[("Authorization", &bearer)], b"");
        let revoked = revoked.unwrap().status;
        assert!(matches!(revoked, 400 | 404), "{name:?}: {revoked}");
    }
    assert_eq!(tree(home.path()), before, "no file came or went");
}

/// Every byte as `%XX`.
fn percent(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        write!(encoded, "%{byte:02x}").unwrap();
    }
    encoded
}

/// No pattern is taken from users yet (rule H17 is about those): what users send is bounded in
/// length and compared, never compiled.
#[test]
fn h17_what_users_send_is_bounded_and_never_a_pattern() {
    let home = tempfile::tempdir().unwrap();
    let daemon = daemon(home.path());
    let long = "x".repeat(100_000);
    for pattern in [".*", "(a+)+$", "[", "%", "_", long.as_str()] {
        let body = serde_json::json!({ "key": pattern, "value": true }).to_string();
        let set = daemon.post("/api/flags/set", &body);
        assert!(matches!(set.status, 404 | 413 | 400), "{}", set.status);
        let answer = String::from_utf8(set.body).unwrap();
        assert!(
            answer.len() < 2000,
            "an error repeats {} bytes",
            answer.len()
        );
        let encoded = percent(pattern);
        let history = daemon.get(&format!("/api/flags/history?key={encoded}"));
        if history.status == 200 {
            assert_eq!(history.json()["count"], 0, "{pattern}");
        }
    }
}

/// The same once the copies of the four accepted documents and their schemas are kept, which is
/// done aside.
fn tree_at_rest(home: &Path) -> Vec<PathBuf> {
    let began = std::time::Instant::now();
    // One snapshot and one schema for each.
    let all = 2 * echopilot::app::assemble::config_kinds().len();
    loop {
        let found = tree(home);
        let kept = |path: &&PathBuf| {
            (path.starts_with(home.join("backups/configs"))
                || path.starts_with(home.join("configs/schema")))
                && path.extension().is_some_and(|e| e == "json")
        };
        if found.iter().filter(kept).count() == all {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{found:?}");
        std::thread::yield_now();
    }
}

/// All files below `folder` that requests could add to; journals grow on purpose.
fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn h02_large_requests_end_in_time_and_cost_no_memory() {
    let home = tempfile::tempdir().unwrap();
    let daemon = daemon(home.path());
    let status = format!("/proc/{}/status", daemon.pid());
    let resident = || -> u64 {
        let text = std::fs::read_to_string(&status).unwrap();
        let line = text.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let before = resident();
    for _ in 0..20 {
        let mut request = b"GET / HTTP/1.1\r\nHost: localhost\r\n".to_vec();
        request.extend(b"X-Filler: ".iter().chain(&vec![b'a'; 500_000]).copied());
        assert_eq!(told(&exchange(&daemon.address, &request, 1)), "431 -");
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB for heads of 500 KB");
    let quiet = daemon.client().call("GET", "/livez", &[], b"").unwrap();
    assert_eq!(quiet.status, 200);
}
