//! The real program, killed at random points between finding and delivery, against a real server
//! that remembers every identity it was shown.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::bench::SIGNING;
use crate::daemon::{Client, Daemon, PATIENCE};

/// What a call brought, and when.
#[derive(Debug, Clone)]
struct Heard {
    id: String,
    body: Value,
    at: Instant,
}

/// A server on this machine that takes signed calls.
struct Service {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Service {
    /// A server that answers as `answer` says; it is told how many calls came before. An empty
    /// answer closes the connection, as a crash over there does.
    fn start(answer: impl Fn(usize) -> &'static str + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let kept = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(one) = read(&stream) else { continue };
                let before = {
                    let mut kept = kept.lock().unwrap();
                    kept.push(one);
                    kept.len() - 1
                };
                let answer = answer(before);
                (&stream).write_all(answer.as_bytes()).ok();
            }
        });
        Self { address, heard }
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// A daemon that calls it.
    fn daemon(&self, home: &Path) -> Daemon {
        let url = format!("http://{}/hook", self.address);
        Daemon::start_with(home, |command: &mut Command| {
            command
                .env("ALERT_WEBHOOK_URL", url)
                .env("ALERT_WEBHOOK_SECRET", SIGNING);
        })
    }
}

/// A whole request; `None` for one that was cut off, as by a kill.
fn read(mut stream: &TcpStream) -> Option<Heard> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let header = |name: &str| {
                let line = head.lines().find_map(|line| line.strip_prefix(name));
                line.map(|value| value.trim().to_owned())
            };
            let length: usize = header("content-length:")?.parse().ok()?;
            if bytes.len() >= end + 4 + length {
                let body = bytes.get(end + 4..end + 4 + length)?;
                return Some(Heard {
                    id: header("webhook-id:")?,
                    body: serde_json::from_slice(body).ok()?,
                    at: Instant::now(),
                });
            }
        }
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&part[..read]),
        }
    }
}

const TAKEN: &str = "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n";

/// A home whose jobs each alarm by themselves, at once, on the webhook alone.
fn home(jobs: usize) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let configs = home.path().join("configs");
    std::fs::create_dir_all(&configs).unwrap();
    let job = |number: usize| {
        let digest = Sha256::digest(format!("key-{number}").as_bytes());
        let digest: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let rules = json!({ "every": "1d", "key_sha256": digest.concat() });
        (format!("job-{number}"), rules)
    };
    let jobs: serde_json::Map<String, Value> = (0..jobs).map(job).collect();
    let write = |name: &str, body: &Value| {
        std::fs::write(configs.join(name), body.to_string()).unwrap();
    };
    write("heartbeats.json", &json!({ "heartbeats": jobs }));
    let alerts = json!({
        "channels": { "hook": { "webhook": {} } },
        "levels": { "info": ["log"], "warning": ["log"], "error": ["hook"], "critical": ["hook"] },
        "group_by": ["..."], "group_wait": "0s", "critical_wait": "0s",
    });
    write("alerts.json", &alerts);
    home
}

/// Says that job `number` has failed; whether that is on record.
fn fails(daemon: &Daemon, number: usize) -> bool {
    let path = format!("/ping/key-{number}/fail");
    let Ok(mut client) = Client::connect(&daemon.address, None) else {
        return false;
    };
    client
        .call("POST", &path, &[], b"")
        .is_ok_and(|answer| answer.status == 200)
}

/// Waits until `is_so`.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < 4 * PATIENCE, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// The alert that a call tells of.
fn key(heard: &Heard) -> String {
    heard.body["data"]["alerts"][0]["key"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// For each notice without an end on record: when it is tried again, if that is known.
fn waiting(home: &Path) -> Vec<Option<chrono::DateTime<chrono::Utc>>> {
    let log = std::fs::read_to_string(home.join("logs/notices.ndjson")).unwrap();
    let mut open = BTreeMap::new();
    for line in log.lines() {
        // The last one may be half written while we look.
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let (Some(kind), Some(id)) = (line["kind"].as_str(), line["id"].as_str()) else {
            continue;
        };
        let retry_at = line["retry_at"].as_str().and_then(|at| at.parse().ok());
        match kind {
            "notice.queued" | "notice.failed" => {
                open.insert(id.to_owned(), retry_at);
            }
            _ => {
                open.remove(id);
            }
        }
    }
    open.into_values().collect()
}

#[test]
fn killed_anywhere_between_finding_and_delivery_nothing_is_lost_or_doubled() {
    let kills = if std::env::var_os("SLOW").is_some() {
        1_000
    } else {
        40
    };
    // Some calls arrive and are not answered: whether they did, only the identity tells.
    let calm = Arc::new(AtomicBool::new(false));
    let is_calm = Arc::clone(&calm);
    let service = Service::start(move |before| {
        let answers = is_calm.load(Ordering::Relaxed) || before % 7 != 3;
        if answers { TAKEN } else { "" }
    });
    let home = home(kills);
    let mut points = 0x9e37_79b9_u64;
    for number in 0..kills {
        let daemon = service.daemon(home.path());
        until("the signal is on record", || fails(&daemon, number));
        // From nothing to beyond the delivery, which takes some milliseconds.
        points ^= points << 13;
        points ^= points >> 7;
        points ^= points << 17;
        std::thread::park_timeout(Duration::from_micros(points % 40_000));
        daemon.kill();
    }
    calm.store(true, Ordering::Relaxed);
    let daemon = service.daemon(home.path());
    let jobs = |heard: &[Heard]| {
        let keys = heard.iter().map(key);
        keys.filter(|key| key.starts_with("heartbeat:"))
            .collect::<BTreeSet<String>>()
    };
    let begun = Instant::now();
    while jobs(&service.heard()).len() < kills {
        let last = daemon.get("/api/alerts/channels").expect(200).json();
        if begun.elapsed() > 2 * PATIENCE {
            let log = std::fs::read_to_string(home.path().join("logs/notices.ndjson")).unwrap();
            let alerts = std::fs::read_to_string(home.path().join("logs/alerts.ndjson")).unwrap();
            let heard = jobs(&service.heard());
            panic!(
                "{} of {kills}: {heard:?}\n{last:#}\n{log}\n{alerts}",
                heard.len()
            );
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    // In the end nothing waits but for a later rung of the ladder, which is minutes away.
    until("nothing waits", || {
        let rungs = waiting(home.path());
        let now = chrono::Utc::now();
        rungs
            .iter()
            .all(|rung| rung.is_some_and(|at| at > now + chrono::TimeDelta::minutes(1)))
    });
    assert_eq!(daemon.stop(), Some(0));
    let mut bodies: BTreeMap<String, Value> = BTreeMap::new();
    let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in service.heard() {
        let known = bodies.entry(one.id.clone()).or_insert(one.body.clone());
        assert_eq!(*known, one.body, "one identity, one body");
        let known = ids.entry(key(&one)).or_default();
        if !known.contains(&one.id) {
            known.push(one.id);
        }
    }
    let doubled: Vec<_> = ids.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(doubled.is_empty(), "{doubled:#?}");
}

#[test]
fn the_real_program_keeps_to_retry_after() {
    const WAIT: &str = "HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
    let service = Service::start(|before| if before == 0 { WAIT } else { TAKEN });
    let home = home(1);
    let daemon = service.daemon(home.path());
    until("the signal is on record", || fails(&daemon, 0));
    until("the second try", || service.heard().len() > 1);
    let heard = service.heard();
    let passed = (heard[1].at - heard[0].at).as_secs_f64();
    assert_eq!(heard[0].id, heard[1].id);
    // A busy machine may be late; it is never early, and on an idle one it is within the bar.
    assert!(passed > 6.5, "{passed} s");
    if std::env::var_os("SLOW").is_some() {
        assert!(passed < 7.5, "{passed} s");
    }
    assert_eq!(daemon.stop(), Some(0));
}
