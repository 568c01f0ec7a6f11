//! An alert storm: 20,000 distinct alerts in a minute, as Prometheus sends them, 64 in a call, and
//! then all of them once more, while a client reads flags; `cargo bench --bench alerts`.
//! `secs=60`, `alerts=20000`, `channels=1`, `severity=warning`.
//!
//! Bars: resident memory grows by at most 40 MB; the reader's 99th percentile stays within 20 % of
//! that without alerts, measured in the same run before and after; the storm is told in a few
//! notices.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark stands outside: it times, it prints, and it fails loudly"
)]

#[path = "http/process.rs"]
#[expect(dead_code, reason = "the HTTP bench uses more of it")]
mod process;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use process::{KEY, Process};

/// Alerts in one call: what Prometheus sends together at most.
const BATCH: u64 = 64;
/// Reads a second: one client that polls, and notices what waits.
const READS: u64 = 200;

/// A word of the command line, `name=7`.
fn asked(name: &str) -> Option<String> {
    let args = std::env::args();
    let mut found = args.filter_map(|arg| Some(arg.strip_prefix(&format!("{name}="))?.to_owned()));
    found.next_back()
}

fn number(name: &str, default: u64) -> u64 {
    asked(name).map_or(default, |text| text.parse().unwrap())
}

/// A keep-alive connection.
struct Line(BufReader<TcpStream>);

impl Line {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// The body of the answer, which must be 200.
    fn ask(&mut self, request: &[u8]) -> Vec<u8> {
        self.0.get_mut().write_all(request).unwrap();
        let (mut line, mut length, mut status) = (String::new(), 0, String::new());
        while line != "\r\n" {
            line.clear();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "{status}");
            let lower = line.to_ascii_lowercase();
            if lower.starts_with("http/1.1 ") {
                status.clone_from(&lower);
            }
            if let Some(text) = lower.strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        let ok = status.starts_with("http/1.1 200");
        assert!(ok, "{status}{}", String::from_utf8_lossy(&body));
        body
    }
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Dash-Key: {KEY}\r\n\r\n").into_bytes()
}

/// The call that sends alerts `from..to`, as a rule on many machines makes them.
fn post(from: u64, to: u64, severity: &str) -> Vec<u8> {
    let mut body = String::from("[");
    for number in from..to {
        let comma = if number > from { "," } else { "" };
        let (host, job) = (format!("node-{number:05}.example.net:9100"), number % 40);
        write!(
            body,
            r#"{comma}{{"labels":{{"alertname":"InstanceDown","instance":"{host}","job":"job-{job}","region":"eu-{}","severity":"{severity}"}},"#,
            number % 7
        )
        .unwrap();
        write!(
            body,
            r#""annotations":{{"summary":"{host} of job-{job} has been down for more than 5 minutes","runbook_url":"https://runbooks.example.net/InstanceDown"}},"#
        )
        .unwrap();
        write!(
            body,
            r#""startsAt":"2026-01-01T00:00:00.123456789Z","endsAt":"2099-01-01T00:00:00Z","generatorURL":"http://prometheus.example.net:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1"}}"#
        )
        .unwrap();
    }
    body.push(']');
    let length = body.len();
    let head = format!(
        "POST /api/v2/alerts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    (head + &body).into_bytes()
}

/// A receiver of notices that says 200 to everything and counts.
fn receiver() -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::Relaxed);
            let mut text = vec![0; 1 << 16];
            drop(stream.set_read_timeout(Some(Duration::from_millis(200))));
            while stream.read(&mut text).is_ok_and(|read| read == text.len()) {}
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    (port, count)
}

fn configure(home: &Path, port: u16, channels: u64) {
    let configs = home.join("configs");
    fs::create_dir_all(&configs).unwrap();
    let rows: Vec<String> = (0..channels)
        .map(|number| {
            format!(r#""hook{number}":{{"type":"webhook","url":"http://127.0.0.1:{port}/"}}"#)
        })
        .collect();
    let text = format!("{{\"channels\":{{{}}}}}", rows.join(","));
    fs::write(configs.join("alerts.json"), text).unwrap();
    let open = format!(r#"{{"outbound":{{"allow":["127.0.0.0/8"],"ports":[{port}]}}}}"#);
    fs::write(configs.join("echopilot.json"), open).unwrap();
}

/// Reads flags evenly until told to stop. Gives the times to the answers in microseconds, sorted.
fn read(address: &str, stop: &AtomicBool) -> Vec<u128> {
    let (mut line, request) = (Line::connect(address), get("/api/flags/get"));
    let (began, mut times) = (Instant::now(), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let due = Duration::from_micros(times.len() as u64 * 1_000_000 / READS);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let sent = Instant::now();
        line.ask(&request);
        times.push(sent.elapsed().as_micros());
    }
    times.sort_unstable();
    times
}

fn share(times: &[u128], percent: usize) -> u128 {
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

/// Reads while `work` goes on; prints and gives the 99th percentile.
fn round(daemon: &Process, what: &str, work: impl FnOnce()) -> f64 {
    let stop = Arc::new(AtomicBool::new(false));
    let (address, told) = (daemon.address.clone(), Arc::clone(&stop));
    let reader = std::thread::spawn(move || read(&address, &told));
    let (spent, began) = (daemon.spent(), Instant::now());
    work();
    stop.store(true, Ordering::Relaxed);
    let times = reader.join().unwrap();
    let busy = daemon.spent().saturating_sub(spent).as_secs_f64() / began.elapsed().as_secs_f64();
    println!(
        "{what:<28} reads: p50 {:>5} us, p99 {:>5} us, max {:>6} us; {:>4.1} % of a core, {:.1} MB",
        share(&times, 50),
        share(&times, 99),
        times.last().unwrap(),
        100.0 * busy,
        daemon.resident_mb(),
    );
    share(&times, 99) as f64
}

/// Sends all alerts evenly over `span`.
fn storm(daemon: &Process, alerts: u64, span: Duration, severity: &str) {
    let (mut line, began) = (Line::connect(&daemon.address), Instant::now());
    for from in (0..alerts).step_by(usize::try_from(BATCH).unwrap()) {
        std::thread::sleep(
            span.mul_f64(from as f64 / alerts as f64)
                .saturating_sub(began.elapsed()),
        );
        line.ask(&post(from, (from + BATCH).min(alerts), severity));
    }
    std::thread::sleep(span.saturating_sub(began.elapsed()));
}

fn main() {
    if std::env::args().any(|arg| arg == "--test" || arg == "--list") {
        return;
    }
    let (alerts, span) = (number("alerts", 20_000), number("secs", 60));
    let span = Duration::from_secs(span);
    let severity = asked("severity").unwrap_or_else(|| "warning".to_owned());
    let home = tempfile::TempDir::new().unwrap();
    let (port, told) = receiver();
    configure(home.path(), port, number("channels", 1));
    let daemon = Process::daemon(home.path(), true);
    process::step_aside();
    std::thread::sleep(Duration::from_secs(5));
    let quiet = || std::thread::sleep(span / 2);
    let before = round(&daemon, "without alerts", quiet);
    let resident = daemon.resident_mb();
    let during = round(&daemon, "alerts, all new", || {
        storm(&daemon, alerts, span, &severity);
    });
    let grown = daemon.resident_mb() - resident;
    let again = round(&daemon, "alerts, repeated", || {
        storm(&daemon, alerts, span, &severity);
    });
    let after = round(&daemon, "without, holding them all", quiet);
    let most = daemon.resident_mb() - resident;
    let count = Line::connect(&daemon.address).ask(&get("/api/alerts"));
    let count: serde_json::Value = serde_json::from_slice(&count).unwrap();
    let held = count["count"].as_u64().unwrap();
    assert!(held >= alerts, "{held} are held");
    let lines = |name: &str| {
        let text = fs::read_to_string(home.path().join("logs").join(name)).unwrap_or_default();
        text.lines().filter(|line| line.contains("queued")).count()
    };
    let calm = f64::midpoint(before, after);
    println!(
        "{held} alerts: memory +{grown:.1} MB, +{most:.1} MB at the end (bar 40); p99 x{:.2} while new, \
         x{:.2} while repeated (bar 1.20); {} notices queued, {} deliveries",
        during / calm,
        again / calm,
        lines("notices.ndjson"),
        told.load(Ordering::Relaxed),
    );
}
