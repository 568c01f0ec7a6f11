//! The HTTP side as a whole: the real program on core 0, beside it hyper alone on the same core
//! with the same answers, and the load on core 1. Rounds are interleaved, the ratio is the median
//! of the rounds' ratios.
//!
//! `cargo bench --bench http` runs everything and prints one table. After `--`: names of parts
//! (`flags assign log batch save start`), `rounds=5`, `millis=1000`.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench stands outside: it reads clocks and files and talks"
)]

mod bare;
mod load;
mod process;
mod save;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use load::{CONNECTIONS, Load, Prepared, Round};
use process::{KEY, Process};
use save::Way;

/// Lines of a batch, as the goal is stated.
const LINES: usize = 100;
/// Users that the load is about.
const USERS: usize = 1024;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, folder, ..] = arguments.as_slice()
        && first == "bare-server"
    {
        bare::serve(Path::new(folder));
        return;
    }
    let plan = Plan::read(&arguments);
    let folder = tempfile::Builder::new()
        .prefix("http-bench-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap();
    println!("{:<46} {:>12} {:>26}", "what", "bar", "measured");
    if plan.wants("start") {
        start(folder.path());
    }
    let pinned = process::step_aside();
    if !pinned {
        eprintln!("no `taskset` or a single core: the figures are not of one core");
    }
    if plan.wants("save") {
        saves(folder.path(), pinned);
    }
    loads(&plan, folder.path(), pinned);
}

struct Plan {
    parts: Vec<String>,
    rounds: usize,
    span: Duration,
}

impl Plan {
    fn read(arguments: &[String]) -> Self {
        let number = |name: &str, usual| {
            let found = arguments.iter().find_map(|word| word.strip_prefix(name));
            found.map_or(usual, |digits| digits.parse().unwrap())
        };
        let words = arguments.iter().filter(|word| !word.contains(['=', '-']));
        Self {
            parts: words.cloned().collect(),
            rounds: number("rounds=", 5) as usize,
            span: Duration::from_millis(number("millis=", 1000)),
        }
    }

    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|word| word == part)
    }
}

fn row(what: &str, bar: &str, measured: &str, held: Option<bool>) {
    let mark = match held {
        Some(true) => "held",
        Some(false) => "MISSED",
        None => "",
    };
    println!("{what:<46} {bar:>12} {measured:>26} {mark}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A home with limits that the load never meets.
fn home(folder: &Path, name: &str, durability: &str) -> PathBuf {
    let home = folder.join(name);
    fs::create_dir_all(home.join("configs")).unwrap();
    let text = format!(
        r#"{{"limits":{{"per_key_per_minute":60000000,"max_connections_per_ip":4096}},
            "journals":{{"durability":{{"experiments":"{durability}"}}}}}}"#
    );
    fs::write(home.join("configs/echopilot.json"), text).unwrap();
    home
}

/// From the start of the process to the first answer, and the memory it then holds.
fn start(folder: &Path) {
    let request = get("/api/flags/get");
    let once = |name: &str| {
        let began = Instant::now();
        let daemon = Process::daemon(&folder.join(name), false);
        daemon.ask(&request);
        (began.elapsed().as_secs_f64() * 1e3, daemon)
    };
    let mut resident = Vec::new();
    let mut fresh = Vec::new();
    let mut again = Vec::new();
    for round in 0..7 {
        let name = format!("start-{round}");
        fs::create_dir_all(folder.join(&name)).unwrap();
        let (took, daemon) = once(&name);
        std::thread::sleep(Duration::from_millis(300));
        resident.push(daemon.resident_mb());
        drop(daemon);
        fresh.push(took);
        again.push(once(&name).0);
    }
    let (fresh, again) = (median(fresh), median(again));
    let show = |ms: f64| format!("{ms:.1} ms");
    row(
        "start to first answer, empty folder",
        "",
        &show(fresh),
        None,
    );
    let held = Some(again < 30.0);
    row(
        "start to first answer, empty logs",
        "< 30 ms",
        &show(again),
        held,
    );
    let resident = median(resident);
    let held = Some(resident <= 15.0);
    row(
        "memory when idle",
        "<= 15 MB",
        &format!("{resident:.1} MB"),
        held,
    );
}

fn saves(folder: &Path, pinned: bool) {
    let home = home(folder, "saves", "always");
    let daemon = Process::daemon(&home, pinned);
    for (way, what, bound_ms) in [
        (Way::Rename, "1 MB flags.json, rename -> served, p99", 12.0),
        (
            Way::InPlace,
            "1 MB flags.json, in place -> served, p99",
            300.0,
        ),
    ] {
        let times = save::times(&daemon, &home, way, 100);
        let at = |place: usize| times[place].as_secs_f64() * 1e3;
        let shown = format!("{:.1} ms (p50 {:.1})", at(98), at(49));
        let bar = format!("< {bound_ms} ms");
        row(what, &bar, &shown, Some(at(98) < bound_ms));
    }
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nX-Dash-Key: {KEY}\r\n\r\n")
}

fn post(kind: &str, body: &str) -> String {
    format!(
        "POST /api/exp/log HTTP/1.1\r\nHost: localhost\r\nX-Dash-Key: {KEY}\r\n\
         Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn event(user: usize) -> String {
    let id = "#".repeat(load::DIGITS);
    let variant = ["A", "B"][user % 2];
    let who = format!(r#""event":"purchase","user":"user_{user:08}","exp":"pricing_v2""#);
    format!(r#"{{{who},"variant":"{variant}","value":12.5,"id":"bench-{id}"}}"#)
}

/// Requests of one kind for one connection.
fn requests(kind: &str, connection: usize) -> Vec<Prepared> {
    let mine = (0..USERS / CONNECTIONS).map(|turn| connection + turn * CONNECTIONS);
    let text = |user: usize| match kind {
        "flags" => get("/api/flags/get"),
        "assign" => get(&format!(
            "/api/exp/assign?user=user_{user:08}&exp=pricing_v2"
        )),
        "log" => post("application/json", &event(user)),
        _ => {
            let mut body = String::new();
            for line in 0..LINES {
                writeln!(body, "{}", event(user * LINES + line)).unwrap();
            }
            post("application/x-ndjson", &body)
        }
    };
    mine.map(|user| Prepared::new(&text(user))).collect()
}

/// One server under one kind of load, and what all its rounds found.
struct Series<'a> {
    server: &'a Process,
    load: Load,
    rounds: Vec<(Round, Duration)>,
}

impl<'a> Series<'a> {
    fn new(server: &'a Process, kind: &str) -> Self {
        let load = Load::connect(&server.address, |number| requests(kind, number));
        Self {
            server,
            load,
            rounds: Vec::new(),
        }
    }

    fn run(&mut self, span: Duration) {
        let before = self.server.spent();
        let round = self.load.run(span);
        assert!(
            round.refused == 0,
            "{} requests were refused",
            round.refused
        );
        let spent = self.server.spent().saturating_sub(before);
        self.rounds.push((round, spent));
    }

    fn warm_up(&mut self) {
        self.run(Duration::from_millis(300));
        self.rounds.clear();
    }

    fn rates(&self) -> Vec<f64> {
        self.rounds.iter().map(|(round, _)| round.rate).collect()
    }

    /// Processor time of one answer, in microseconds.
    fn cost(&self) -> f64 {
        let each =
            |(round, spent): &(Round, Duration)| spent.as_secs_f64() * 1e6 / round.answers as f64;
        median(self.rounds.iter().map(each).collect())
    }

    fn summary(&self, what: &str) {
        let each = |pick: &dyn Fn(&(Round, Duration)) -> f64| {
            median(self.rounds.iter().map(pick).collect())
        };
        let rate = each(&|(round, _)| round.rate);
        let cost = self.cost();
        // Below 100 % the server waited: for the disk, for the load, or for a share of its core.
        let busy = rate * cost / 1e4;
        let p50 = each(&|(round, _)| round.p50.as_secs_f64() * 1e6);
        let p99 = each(&|(round, _)| round.p99.as_secs_f64() * 1e6);
        println!(
            "  {what:<28} {rate:>8.0}/s {cost:>6.1} us cpu, core {busy:.0} %, \
             p50 {p50:.0} p99 {p99:.0} us"
        );
    }

    fn ratio_to(&self, other: &Self) -> f64 {
        let pairs = self.rates().into_iter().zip(other.rates());
        median(pairs.map(|(own, other)| own / other).collect())
    }
}

fn compare(plan: &Plan, series: &mut [Series<'_>]) {
    for one in series.iter_mut() {
        one.warm_up();
    }
    for _ in 0..plan.rounds {
        for one in series.iter_mut() {
            one.run(plan.span);
        }
    }
}

/// A bar on the ratio of rates; the ratio of processor time a request, which other work on the
/// machine disturbs less, stands beside it.
fn bar(what: &str, least: f64, own: &Series<'_>, other: &Series<'_>) {
    let ratio = own.ratio_to(other);
    let held = Some(ratio >= least);
    let shown = format!("{ratio:.3} (by cpu {:.3})", other.cost() / own.cost());
    row(what, &format!(">= {least:.2}"), &shown, held);
}

fn loads(plan: &Plan, folder: &Path, pinned: bool) {
    let always = Process::daemon(&home(folder, "always", "always"), pinned);
    let system = Process::daemon(&home(folder, "os", "os"), pinned);
    let bodies = folder.join("bare");
    fs::create_dir_all(&bodies).unwrap();
    let sample = event(1).replace('#', "0");
    for (name, request) in [
        ("flags", get("/api/flags/get")),
        (
            "assign",
            get("/api/exp/assign?user=user_00000001&exp=pricing_v2"),
        ),
        ("log", post("application/json", &sample)),
    ] {
        fs::write(bodies.join(name), always.ask(&request)).unwrap();
    }
    let bare = Process::bare(&bodies, pinned);
    for (kind, what, least) in [
        ("flags", "GET /api/flags/get : bare hyper", 0.80),
        ("assign", "GET /api/exp/assign : bare hyper", 0.75),
    ] {
        if plan.wants(kind) {
            let mut both = [Series::new(&always, kind), Series::new(&bare, kind)];
            compare(plan, &mut both);
            bar(what, least, &both[0], &both[1]);
            both[0].summary("echopilot");
            both[1].summary("bare hyper");
        }
    }
    if plan.wants("log") {
        let servers = [&always, &system, &bare];
        let mut all = servers.map(|server| Series::new(server, "log"));
        compare(plan, &mut all);
        bar("POST /api/exp/log, synced : os", 0.90, &all[0], &all[1]);
        bar(
            "POST /api/exp/log, synced : bare POST",
            0.60,
            &all[0],
            &all[2],
        );
        all[0].summary("echopilot, always");
        all[1].summary("echopilot, os");
        all[2].summary("bare hyper, read and check");
    }
    if plan.wants("batch") {
        let mut one = [Series::new(&always, "batch")];
        compare(plan, &mut one);
        let events = median(one[0].rates()) * LINES as f64;
        let held = Some(events >= 500_000.0);
        row(
            "NDJSON, 100 lines with ids",
            ">= 500000/s",
            &format!("{events:.0} events/s"),
            held,
        );
        one[0].summary("echopilot, calls");
    }
}
