//! How many lines of an access log are read, judged and counted in a second on one core, from the
//! file to the rows that go to the journal: nginx's `combined` with `$request_time`, and Caddy's
//! JSON.
//!
//! `cargo bench --bench samples [-- LINES]`. Beside it, over the same file: reading it and finding
//! the ends of lines only.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench stands outside: it reads clocks and files and talks"
)]

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use echopilot::capabilities::slo::intake::access::AccessLog;
use echopilot::capabilities::slo::intake::format::{COMBINED, Format};
use echopilot::capabilities::slo::intake::ndjson::Fields;
use echopilot::capabilities::slo::intake::select::{Exclude, Pick, Selector, Statuses};
use echopilot::capabilities::slo::intake::tail::{Begin, Tail};
use echopilot::platform::samples::Rows;
use echopilot::seams::files::RealFiles;

/// Lines of the measured logs: some 200 MB of nginx, 600 MB of Caddy.
const LINES: u64 = 1_000_000;

/// Bytes of a turn, as the daemon reads.
const BUDGET: u64 = 8 << 20;

/// 2026-11-21T09:15:02Z.
const AT: i64 = 1_795_252_502;

/// Agents, as browsers and bots send them.
const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "SomeBot/2.1 (+https://example.org/bot)",
];

fn main() {
    let numbers = std::env::args().find_map(|arg| arg.parse().ok());
    let lines = numbers.unwrap_or(LINES);
    let folder = tempfile::tempdir().unwrap();
    for kind in ["nginx", "caddy"] {
        let line = if kind == "nginx" {
            nginx_line
        } else {
            caddy_line
        };
        let path = folder.path().join(kind);
        let mut file = BufWriter::new(File::create(&path).unwrap());
        for number in 0..lines {
            writeln!(file, "{}", line(number)).unwrap();
        }
        file.into_inner().unwrap().sync_all().unwrap();
        let bytes = std::fs::metadata(&path).unwrap().len();
        for round in 1..=3 {
            let spent = bare(&path, lines);
            report(
                &format!("{kind}, bare read and line ends, round {round}"),
                lines,
                bytes,
                spent,
            );
            let spent = intake(kind, &path, lines);
            report(
                &format!("{kind}, intake, round {round}"),
                lines,
                bytes,
                spent,
            );
        }
    }
}

fn report(what: &str, lines: u64, bytes: u64, spent: Duration) {
    let secs = spent.as_secs_f64();
    println!(
        "{what}: {secs:.3} s, {:.0} lines/s, {:.0} MB/s",
        lines as f64 / secs,
        bytes as f64 / 1e6 / secs
    );
}

/// Numbers without a pattern, the same in each run.
fn noise(number: u64) -> u64 {
    let mut state = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state ^= state >> 32;
    state = state.wrapping_mul(0xd6e8_feb8_6659_fd93);
    state ^ (state >> 32)
}

/// Instant, agent, status and milliseconds of a line.
fn request(number: u64) -> (DateTime<Utc>, &'static str, u16, u64) {
    let dice = noise(number);
    let second = AT + i64::try_from(number / 2000).unwrap();
    let agent = AGENTS[usize::from(dice.to_le_bytes()[0]) % AGENTS.len()];
    let status = if dice.is_multiple_of(50) { 502 } else { 200 };
    let at = DateTime::from_timestamp(second, 0).unwrap();
    (at, agent, status, (dice >> 8) % 900)
}

fn nginx_line(number: u64) -> String {
    let (at, agent, status, millis) = request(number);
    let at = at.format("%d/%b/%Y:%H:%M:%S +0000");
    format!(
        "192.0.2.{} - - [{at}] \"GET /api/items/{number}?page=2 HTTP/1.1\" {status} 5123 \
         \"https://example.org/shop\" \"{agent}\" 0.{millis:03}",
        number % 250
    )
}

fn caddy_line(number: u64) -> String {
    let (at, agent, status, millis) = request(number);
    format!(
        r#"{{"level":"info","ts":{}.{:06},"logger":"http.log.access","msg":"handled request","request":{{"remote_ip":"192.0.2.{}","remote_port":"41342","client_ip":"192.0.2.7","proto":"HTTP/2.0","method":"GET","host":"example.org","uri":"/api/items/{number}?page=2","headers":{{"User-Agent":["{agent}"],"Accept":["*/*"],"Accept-Encoding":["gzip, br"]}},"tls":{{"resumed":false,"version":772,"cipher_suite":4865,"proto":"h2","server_name":"example.org"}}}},"bytes_read":0,"user_id":"","duration":0.{millis:03}929675,"size":10900,"status":{status},"resp_headers":{{"Server":["Caddy"],"Content-Encoding":["gzip"],"Content-Type":["text/html; charset=utf-8"]}}}}"#,
        at.timestamp(),
        number % 1_000_000,
        number % 250
    )
}

/// The limit: the same bytes, without a look at them.
fn bare(path: &Path, lines: u64) -> Duration {
    let began = Instant::now();
    let mut file = File::open(path).unwrap();
    let mut buffer = vec![0; 256 << 10];
    let mut found = 0;
    loop {
        let read = file.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        found += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64;
    }
    assert_eq!(found, lines);
    began.elapsed()
}

/// Everything that the daemon does with a log but the journal's own line.
fn intake(kind: &str, path: &Path, lines: u64) -> Duration {
    let began = Instant::now();
    let mut tail = Tail::new(Arc::new(RealFiles), path, Begin::Start, None);
    let mut log = if kind == "nginx" {
        let format = Format::compile(&format!("{COMBINED} $request_time")).unwrap();
        AccessLog::nginx(format, selector())
    } else {
        AccessLog::ndjson(&Fields::caddy(), selector())
    };
    let now = DateTime::from_timestamp(AT + 1_000_000, 0).unwrap();
    let mut rows = Rows::new();
    loop {
        let turn = tail.turn(Duration::ZERO, BUDGET, &mut |line| log.take(line, now));
        rows.merge(&log.take_rows());
        if turn.bytes == 0 {
            break;
        }
    }
    let spent = began.elapsed();
    let tally = log.tally();
    assert_eq!((tally.counted + tally.excluded, tally.broken), (lines, 0));
    let counted: u64 = rows
        .iter()
        .filter(|row| &*row.series == "web")
        .map(|row| row.counts.total)
        .sum();
    assert_eq!(counted, tally.counted);
    spent
}

/// Bots and health checks left out, two series.
fn selector() -> Selector {
    let exclude = Exclude::new(
        vec!["/health".into()],
        &["bot".to_owned(), "kube-probe".to_owned()],
        Vec::new(),
        Statuses::default(),
    );
    let pick = |series: &str, prefix: &[&str]| Pick {
        series: series.into(),
        path_prefixes: prefix.iter().map(|&text| text.to_owned()).collect(),
        methods: Vec::new(),
    };
    let picks = vec![pick("web", &[]), pick("items", &["/api/items/"])];
    Selector::new(exclude, picks, Statuses::of(["5xx"]).unwrap()).unwrap()
}
