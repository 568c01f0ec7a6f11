//! What watching costs: 500 probes at 30 s against a server of our own and 1,000 samples a second,
//! pushed one by one or a hundred at a time, for a minute. Tells the daemon's memory, its share of
//! one core, and how late the latest probe began.
//!
//! `cargo bench --bench watch -- secs=120` runs for longer, `probes=` and `samples=` change the
//! load.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench stands outside: it looks at files and clocks as a person does"
)]

#[path = "http/process.rs"]
#[expect(dead_code, reason = "the HTTP bench uses more of it")]
mod process;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use process::{KEY, Process};

/// A number of the command line, `name=7`.
fn asked(name: &str, default: u64) -> u64 {
    let args = std::env::args();
    let mut found = args.filter_map(|arg| arg.strip_prefix(&format!("{name}="))?.parse().ok());
    found.next_back().unwrap_or(default)
}

/// A server that says 200 to everything, one thread for all connections.
fn target() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            drop(stream.read(&mut head));
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    port
}

fn configure(home: &std::path::Path, probes: u64, port: u16) {
    let configs = home.join("configs");
    fs::create_dir_all(&configs).unwrap();
    let rows: Vec<String> = (0..probes)
        .map(|number| {
            let url = format!("http://127.0.0.1:{port}/{number}");
            format!(r#""p{number:03}":{{"http":{{"url":"{url}"}},"interval_secs":30}}"#)
        })
        .collect();
    let text = format!("{{\"probes\":{{{}}}}}", rows.join(","));
    fs::write(configs.join("probes.json"), text).unwrap();
    let open = format!(r#"{{"outbound":{{"allow":["127.0.0.0/8"],"ports":[{port}]}}}}"#);
    fs::write(configs.join("echopilot.json"), open).unwrap();
    let slo = r#"{"sources":{"echopilot":{"own":{}},"app":{"pushed":{"series":["app"]}}},
        "objectives":{"app":{"series":"app","kind":"availability","target_percent":99.9}}}"#;
    fs::write(configs.join("slo.json"), slo).unwrap();
}

/// One keep-alive connection that pushes.
struct Pusher(BufReader<TcpStream>);

impl Pusher {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    fn push(&mut self, body: &str) {
        let length = body.len();
        let whole = format!(
            "POST /api/slo/samples HTTP/1.1\r\nHost: localhost\r\nX-Dash-Key: {KEY}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.0.get_mut().write_all(whole.as_bytes()).unwrap();
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            let lower = line.to_ascii_lowercase();
            if lower.starts_with("http/1.1 ") {
                assert!(lower.starts_with("http/1.1 2"), "{line}");
            }
            if let Some(text) = lower.strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
    }
}

/// Pushes `per_second` samples a second in groups of `group` for `span`.
fn push(address: &str, per_second: u64, group: u64, span: Duration) -> u64 {
    let mut line = Pusher::connect(address);
    let one = r#"{"series":"app","duration_ms":12.5,"ok":true}"#;
    let body = if group == 1 {
        one.to_owned()
    } else {
        let all = vec![one; usize::try_from(group).unwrap()];
        format!("{{\"samples\":[{}]}}", all.join(","))
    };
    let (began, mut pushed) = (Instant::now(), 0);
    while began.elapsed() < span {
        line.push(&body);
        pushed += group;
        let due = Duration::from_micros(pushed * 1_000_000 / per_second);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    pushed
}

fn main() {
    if std::env::args().any(|arg| arg == "--test" || arg == "--list") {
        return;
    }
    let (secs, probes) = (asked("secs", 60), asked("probes", 500));
    let samples = asked("samples", 1000);
    for group in [100, 1] {
        let home = tempfile::TempDir::new().unwrap();
        configure(home.path(), probes, target());
        let daemon = Process::daemon(home.path(), true);
        // The first looks are spread over half a minute.
        std::thread::sleep(Duration::from_secs(5));
        let (before, began) = (daemon.spent(), Instant::now());
        let pushed = push(&daemon.address, samples, group, Duration::from_secs(secs));
        let (spent, took) = (daemon.spent().saturating_sub(before), began.elapsed());
        let told = daemon.ask(&format!(
            "GET /api/probes HTTP/1.1\r\nHost: localhost\r\nX-Dash-Key: {KEY}\r\n\r\n"
        ));
        let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
        println!(
            "{probes} probes at 30 s, {pushed} samples in groups of {group}: {:.1} % of one core, \
             {:.1} MB, latest probe {} ms late",
            100.0 * spent.as_secs_f64() / took.as_secs_f64(),
            daemon.resident_mb(),
            told["latest_ms"],
        );
    }
}
