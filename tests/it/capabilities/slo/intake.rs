//! Samples on their way in, with the real program: access logs that are written, rotated and cut
//! while the program is killed; pages of metrics; what callers push; its own requests.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use echopilot::platform::samples::Histogram;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::storage::support::until;

/// What the journal of samples says of a series: requests, bad ones, durations.
fn counted(home: &Path, series: &str) -> (u64, u64, Histogram) {
    let (mut total, mut bad, mut durations) = (0, 0, Histogram::default());
    let text = fs::read_to_string(home.join("logs/samples.ndjson")).unwrap_or_default();
    for line in text.lines() {
        // The last line may be on its way.
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        for row in line["rows"].as_array().into_iter().flatten() {
            if row["series"] != series {
                continue;
            }
            total += row["total"].as_u64().unwrap_or(0);
            bad += row["bad"].as_u64().unwrap_or(0);
            for (bucket, n) in row["buckets"].as_object().into_iter().flatten() {
                durations.add_bucket(bucket.parse().unwrap(), n.as_u64().unwrap());
            }
            durations.raise_max(row["max_us"].as_u64().unwrap_or(0));
        }
    }
    (total, bad, durations)
}

/// A home with these sources.
fn home(sources: &Value) -> TempDir {
    let home = TempDir::new().unwrap();
    fs::create_dir_all(home.path().join("configs")).unwrap();
    let text = json!({ "sources": sources }).to_string();
    fs::write(home.path().join("configs/slo.json"), text).unwrap();
    home
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// A program that writes an access log and is rotated.
struct Site {
    path: PathBuf,
    log: File,
    dice: Dice,
    rotated: u32,
    /// Requests that count, the bad ones among them, and their durations in microseconds.
    total: u64,
    bad: u64,
    took_us: Vec<u64>,
}

impl Site {
    fn open(folder: &Path) -> Self {
        let path = folder.join("access.log");
        let log = append(&path);
        let (dice, took_us) = (Dice(0x2545_f491_4f6c_dd1d), Vec::new());
        Self {
            path,
            log,
            dice,
            rotated: 0,
            total: 0,
            bad: 0,
            took_us,
        }
    }

    /// Writes so many lines in one go, some of which do not count.
    fn write(&mut self, lines: u32) {
        let mut text = String::new();
        let now = chrono::Utc::now().format("%d/%b/%Y:%H:%M:%S +0000");
        for _ in 0..lines {
            let (path, agent, status) = match self.dice.roll(20) {
                0 => ("/health", "kube-probe/1.29", 500),
                1 => ("/", "SomeBot/2.0", 200),
                2 => ("/pay", "Mozilla/5.0 (X11; \\x22)", 502),
                _ => ("/pay?x=1", "Mozilla/5.0", 200),
            };
            // Whole milliseconds as nginx writes them, over three orders of magnitude.
            let millis = 1 + self.dice.roll(10) * self.dice.roll(10) * self.dice.roll(40);
            writeln!(
                text,
                "192.0.2.7 - - [{now}] \"GET {path} HTTP/1.1\" {status} 5 \"-\" \"{agent}\" {}.{:03}",
                millis / 1000,
                millis % 1000
            )
            .unwrap();
            if path.starts_with("/pay") {
                self.total += 1;
                self.bad += u64::from(status >= 500);
                self.took_us.push(millis * 1000);
            }
            if self.dice.roll(500) == 0 {
                text.push_str("\x16\x03 broken\n");
            }
        }
        self.log.write_all(text.as_bytes()).unwrap();
    }

    /// As logrotate does, in one of its two ways.
    fn rotate(&mut self) {
        self.rotated += 1;
        let to = self
            .path
            .with_file_name(format!("access.log.{}", 1000 - self.rotated));
        if self.rotated.is_multiple_of(2) {
            fs::copy(&self.path, to).unwrap();
            self.log.set_len(0).unwrap();
        } else {
            fs::rename(&self.path, to).unwrap();
            // The program goes on writing to the old one for a while.
            self.write(7);
            self.log = append(&self.path);
        }
    }
}

fn append(path: &Path) -> File {
    let mut options = OpenOptions::new();
    options.create(true).append(true).open(path).unwrap()
}

#[test]
fn an_access_log_counts_exactly_over_rotations_and_kills() {
    let logs = TempDir::new().unwrap();
    let mut site = Site::open(logs.path());
    site.write(100);
    let home = home(&json!({ "nginx": { "access_log": {
        "path": site.path, "begin": "start",
        "exclude": { "path_prefixes": ["/health"], "user_agents": ["bot"] },
        "series": { "web": {}, "pay": { "path_prefixes": ["/pay"] } }
    } } }));
    let mut daemon = Daemon::start(home.path());
    until("the first lines are counted", || {
        counted(home.path(), "web").0 == site.total
    });
    for round in 0..4 {
        for _ in 0..6 {
            // Before the writing: all of it may be counted by the time it is asked for.
            let before = counted(home.path(), "web").0;
            site.write(500);
            site.rotate();
            site.write(1500);
            // Some of it is read before the next rotation, some is not.
            if round % 2 == 0 {
                until("something is counted", || {
                    counted(home.path(), "web").0 > before
                });
            }
        }
        daemon.kill();
        site.write(300);
        if round == 1 {
            site.rotate();
            site.write(300);
        }
        daemon = Daemon::start(home.path());
    }
    until("all lines are counted", || {
        counted(home.path(), "web").0 >= site.total
    });
    let sources = daemon.get("/api/slo/sources").json();
    let nginx = &sources["sources"]["nginx"];
    assert_eq!(
        (&nginx["lost"], &nginx["behind_bytes"]),
        (&json!(0), &json!(0)),
        "{nginx}"
    );
    daemon.kill();
    let (total, bad, durations) = counted(home.path(), "web");
    assert_eq!((total, bad), (site.total, site.bad));
    assert_eq!(counted(home.path(), "pay").0, site.total);
    site.took_us.sort_unstable();
    for (q, rank) in [(0.5, 50), (0.95, 95), (0.99, 99)] {
        let truth = site.took_us[(site.took_us.len() * rank).div_ceil(100) - 1];
        let found = durations.quantile(q).unwrap();
        assert!(
            found.abs_diff(truth) * 100 <= truth,
            "{q}: {found} for {truth}"
        );
    }
}

/// A home that takes pushed samples.
fn pushed() -> TempDir {
    home(&json!({
        "jobs": { "pushed": { "series": ["billing-run", "mails"] } },
        "own": { "own": { "series": "echopilot" } },
    }))
}

fn push(daemon: &Daemon, query: &str, body: &Value) -> (u16, Value) {
    let answer = daemon.post(&format!("/api/slo/samples{query}"), &body.to_string());
    (answer.status, answer.json())
}

#[test]
fn samples_that_are_no_samples_are_refused_with_the_cure() {
    let home = pushed();
    let daemon = Daemon::start(home.path());
    let push = |query: &str, body: &Value| push(&daemon, query, body);
    for (query, body, status, code) in [
        (
            "",
            json!({ "series": "biling-run", "good": 1 }),
            404,
            "unknown_series",
        ),
        (
            "?create_series=true",
            json!({ "series": "Nö", "good": 1 }),
            400,
            "bad_series",
        ),
        (
            "?create_series=true",
            json!({ "series": "echopilot", "good": 1 }),
            409,
            "series_taken",
        ),
        (
            "",
            json!({ "series": "mails", "good": 1, "ok": true }),
            400,
            "bad_sample",
        ),
        (
            "",
            json!({ "series": "mails", "duration_ms": -1 }),
            400,
            "bad_sample",
        ),
        (
            "",
            json!({ "series": "mails", "good": 1, "ts": "2999-01-01T00:00:00Z" }),
            400,
            "bad_ts",
        ),
        (
            "",
            json!({ "series": "mails", "good": 1, "id": "" }),
            400,
            "bad_id",
        ),
        ("", json!({ "series": "mails", "god": 1 }), 400, "bad_body"),
    ] {
        let (found, told) = push(query, &body);
        assert_eq!(
            (found, &told["error"]),
            (status, &json!(code)),
            "{body}: {told}"
        );
    }
    let (_, told) = push("", &json!({ "series": "biling-run", "good": 1 }));
    assert_eq!(told["nearest"], "billing-run");
    let good = json!({ "series": "mails", "good": 1 });
    let bad = json!({ "series": "other", "good": 1 });
    let (status, told) = push("", &json!({ "samples": [good, bad] }));
    assert_eq!((status, &told["sample"]), (404, &json!(1)));
    daemon.stop();
    assert_eq!(
        counted(home.path(), "mails").0,
        0,
        "nothing of a refused call counts"
    );
}

#[test]
fn pushed_samples_count_once_by_id_and_soon_without() {
    let home = pushed();
    let daemon = Daemon::start(home.path());
    let push = |query: &str, body: &Value| push(&daemon, query, body);
    let with_id = json!({ "series": "billing-run", "good": 99, "bad": 1, "id": "run-1" });
    let (status, told) = push("", &with_id);
    assert_eq!(
        (status, &told["durable"], &told["repeated"]),
        (200, &json!(true), &json!(false))
    );
    assert_eq!(
        counted(home.path(), "billing-run").0,
        100,
        "it is in the journal"
    );
    let (status, told) = push("", &with_id);
    assert_eq!((status, &told["repeated"]), (200, &json!(true)));
    let (status, told) = push(
        "",
        &json!({ "samples": [
        { "series": "mails", "duration_ms": 12.5 },
        { "series": "mails", "duration_ms": 900, "ok": false },
    ] }),
    );
    assert_eq!(
        (status, &told["durable"], &told["accepted"]),
        (202, &json!(false), &json!(2))
    );
    until("they are in the journal", || {
        counted(home.path(), "mails").0 == 2
    });
    assert_eq!(counted(home.path(), "mails").2.max(), Some(900_000));
    let (_, told) = push("", &json!({ "series": "biling-run", "good": 1 }));
    assert_eq!(told["nearest"], "billing-run");
    let (status, _) = push(
        "?create_series=true",
        &json!({ "series": "new-one", "good": 3 }),
    );
    assert_eq!(status, 202);
    let mut client = daemon.client();
    let ndjson = [("content-type", "application/x-ndjson")];
    let lines = b"{\"series\":\"new-one\",\"good\":1}\n\n{\"series\":\"new-one\",\"bad\":1}\n";
    let mut send = || {
        let path = "/api/slo/samples?id=batch-1";
        client.call("POST", path, &ndjson, lines).unwrap().status
    };
    assert_eq!((send(), send()), (200, 200));
    until("the made series is counted", || {
        counted(home.path(), "new-one").0 == 5
    });
    // All of these calls were requests of our own.
    let own = || counted(home.path(), "echopilot");
    until("own requests are counted", || {
        own().0 >= 6 && !own().2.is_empty()
    });
    assert_eq!(own().1, 0);
    daemon.kill();
    assert_eq!(
        counted(home.path(), "billing-run").0,
        100,
        "and counted once"
    );
}

#[test]
fn an_edit_of_the_sources_takes_effect_and_trouble_is_told() {
    let logs = TempDir::new().unwrap();
    let path = logs.path().join("access.log");
    let source = |format: &str| {
        json!({ "log": { "access_log": {
            "path": path, "begin": "start", "log_format": format } } })
    };
    let home = home(&source("$status $msec"));
    let daemon = Daemon::start(home.path());
    let status = || daemon.get("/api/slo/sources").json()["sources"]["log"].clone();
    until("its absence is told", || {
        let status = status();
        status["trouble"]
            .as_str()
            .is_some_and(|text| text.contains("not there"))
    });
    let now = chrono::Utc::now().timestamp();
    let mut log = append(&path);
    for _ in 0..30 {
        writeln!(log, "{now} 503").unwrap();
    }
    until("a format that does not fit is told", || {
        let status = status();
        status["trouble"]
            .as_str()
            .is_some_and(|text| text.contains("format"))
    });
    let text = json!({ "sources": source("$msec $status") }).to_string();
    let fresh = home.path().join("configs/slo.json.new");
    fs::write(&fresh, text).unwrap();
    fs::rename(fresh, home.path().join("configs/slo.json")).unwrap();
    until("the new format is in force", || status()["broken"] == 0);
    writeln!(log, "{now} 503").unwrap();
    until("lines of the new format count", || {
        counted(home.path(), "log").0 == 1
    });
    assert_eq!(counted(home.path(), "log").1, 1);
    assert!(status()["trouble"].is_null(), "{}", status());
}

/// Serves pages of metrics: each call the next one, the last one for ever.
fn serve_pages(pages: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut pages = pages.into_iter().peekable();
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while stream.read_line(&mut line).unwrap_or(0) > 2 {
                line.clear();
            }
            let Some(page) = pages.peek().cloned() else {
                return;
            };
            if pages.len() > 1 {
                pages.next();
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", page.len());
            // The client may have gone away.
            let _gone = stream.get_mut().write_all((head + &page).as_bytes());
        }
    });
    address
}

#[test]
fn what_a_page_of_metrics_adds_is_counted() {
    let page = |good: u32, bad: u32, fast: u32, all: u32| {
        format!(
            "# TYPE r counter\nr_total{{code=\"200\"}} {good}\nr_total{{code=\"502\"}} {bad}\n\
             took_bucket{{le=\"0.1\"}} {fast}\ntook_bucket{{le=\"+Inf\"}} {all}\n"
        )
    };
    let pages = vec![
        page(1000, 50, 900, 1050),
        page(1100, 51, 990, 1151),
        // The program began anew.
        page(10, 2, 12, 12),
    ];
    let address = serve_pages(pages);
    let home = home(&json!({ "app": { "scrape": {
        "url": format!("http://{address}/metrics"), "every_secs": 1,
        "series": { "shop": {
            "total": "r_total", "bad": "r_total{code=~\"5..\"}", "duration": "took" } }
    } } }));
    let rules = json!({ "outbound": { "allow": [address] } }).to_string();
    fs::write(home.path().join("configs/echopilot.json"), rules).unwrap();
    let daemon = Daemon::start(home.path());
    until("both steps are counted", || {
        counted(home.path(), "shop").0 == 101 + 12
    });
    let (_, bad, durations) = counted(home.path(), "shop");
    assert_eq!(
        (bad, durations.count(), durations.below(100_000)),
        (3, 113, 102)
    );
    let status = daemon.get("/api/slo/sources").json()["sources"]["app"].clone();
    assert!(status["trouble"].is_null(), "{status}");
}
