//! The real program under faults of the real system: full and read-only disks, failing calls,
//! limits, people at the files, two owners at once. What is acknowledged stays, what cannot be
//! written is refused clearly, what can be read is served, and all of it mends by itself.

mod calls;
mod disk;
mod hands;
mod owners;
mod watched;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use echopilot::seams::clock::SystemClock;
use echopilot::seams::files::RealFiles;
use echopilot::storage::engine::{Engine, Mark};
use echopilot::storage::files::{FilesEngine, FilesSettings};
use echopilot::storage::line;

use crate::daemon::{Answer, Client, Daemon, PATIENCE};

/// A refusal must be there within this time. Source: goal figures of the reliability reference.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
/// Writing must go on within this time once the cause is gone. Source: as above.
const MENDED_WITHIN: Duration = Duration::from_secs(5);

/// `fast` by default, `slow` where `SLOW=1` asks for the release figures.
pub fn rounds(fast: u32, slow: u32) -> u32 {
    if std::env::var_os("SLOW").is_some() {
        slow
    } else {
        fast
    }
}

/// Waits until `reached`, at most `bound`.
#[track_caller]
pub fn within(bound: Duration, what: &str, mut reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < bound, "waited {bound:?} in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Runs a shell command, which must succeed.
#[track_caller]
fn sh(script: &str) {
    let status = Command::new("sh").args(["-ec", script]).status().unwrap();
    assert!(status.success(), "{script}: {status}");
}

/// Whether this is a process with a mount table of its own. Where it is not, the test named `name`
/// is run again in one that is, and its outcome taken over.
fn alone(name: &str) -> bool {
    /// Set in the process that may mount.
    const INSIDE: &str = "ECHOPILOT_TEST_ALONE";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let flags = if is_root() { "-m" } else { "-rm" };
    let output = Command::new("unshare")
        .arg(flags)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare (package util-linux) is there");
    let text = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{told}");
    assert!(
        text.contains("1 passed"),
        "no test is called {name}: {text}"
    );
    false
}

/// Whether this process is the machine's root, or one of a container.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// An event as the API takes it; `user123` is known to be in A.
pub fn event(id: &str) -> String {
    format!(
        r#"{{"event":"signup","user":"user123","exp":"pricing_v2","variant":"A","value":1.5,"id":"{id}"}}"#
    )
}

/// Logs one event on a connection of its own.
fn log(daemon: &Daemon, id: &str) -> Answer {
    daemon.post("/api/exp/log", &event(id))
}

/// What callers were told.
#[derive(Debug, Default)]
struct Told {
    /// `seq` by id.
    acked: BTreeMap<String, u64>,
    /// How often, by code.
    refused: BTreeMap<String, u32>,
    slowest_refusal: Duration,
}

/// Connections that log events without pause, the ledger outside the program.
struct Load {
    told: Arc<Mutex<Told>>,
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(daemon: &Daemon, writers: usize, prefix: &str) -> Self {
        let mut load = Self {
            told: Arc::default(),
            count: Arc::default(),
            stop: Arc::default(),
            threads: Vec::new(),
        };
        for writer in 0..writers {
            let (told, stop) = (Arc::clone(&load.told), Arc::clone(&load.stop));
            let count = Arc::clone(&load.count);
            let mut client = daemon.client();
            let prefix = format!("{prefix}-{writer}");
            load.threads.push(std::thread::spawn(move || {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    if !one(&mut client, &format!("{prefix}-{number}"), &told) {
                        return;
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        load
    }

    /// Waits until `more` calls were answered with 200 from now on.
    fn acknowledge(&self, more: usize) {
        let goal = self.told.lock().unwrap().acked.len() + more;
        within(PATIENCE, "events are acknowledged", || {
            self.told.lock().unwrap().acked.len() >= goal
        });
    }

    /// Ids acknowledged so far.
    fn acked(&self) -> BTreeSet<String> {
        self.told.lock().unwrap().acked.keys().cloned().collect()
    }

    fn end(self) -> Told {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a writer of the load");
        }
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

/// Whether the connection is still good.
fn one(client: &mut Client, id: &str, told: &Mutex<Told>) -> bool {
    let begun = Instant::now();
    let Ok(answer) = client.call("POST", "/api/exp/log", &[], event(id).as_bytes()) else {
        return false;
    };
    let took = begun.elapsed();
    let mut told = told.lock().unwrap();
    if answer.status == 200 {
        let seq = answer.json()["seq"].as_u64().unwrap();
        told.acked.insert(id.to_owned(), seq);
    } else {
        let code = assert_refusal(&answer);
        *told.refused.entry(code).or_default() += 1;
        told.slowest_refusal = told.slowest_refusal.max(took);
    }
    true
}

/// Rule L8: what a refusal by storage looks like. Gives its code.
#[track_caller]
fn assert_refusal(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 503, "{text}");
    assert!(answer.header("retry-after").is_some(), "{}", answer.head);
    let code = answer.json()["error"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        matches!(&*code, "storage_full" | "storage_failed"),
        "{text}"
    );
    code
}

/// Flags and assignments are served whatever becomes of the disk.
#[track_caller]
fn assert_reads(daemon: &Daemon) {
    let mut client = daemon.client();
    for number in 0..5 {
        let flags = client
            .call("GET", "/api/flags/get", &[], b"")
            .unwrap()
            .expect(200);
        assert_eq!(flags.json()["flags"]["payments.live"], true);
        let path = format!("/api/exp/assign?user=reader{number}&exp=pricing_v2");
        client.call("GET", &path, &[], b"").unwrap().expect(200);
        client.call("GET", "/livez", &[], b"").unwrap().expect(200);
    }
}

/// What is on disk once the daemon is gone.
#[derive(Debug)]
pub struct Kept {
    /// `seq`s by id.
    ids: BTreeMap<String, Vec<u64>>,
    /// Numbers of all lines, in order.
    seqs: Vec<u64>,
}

pub fn kept(home: &Path) -> Kept {
    let mut settings = FilesSettings::new(home);
    settings.reserve_bytes = 0;
    let clock = Arc::new(SystemClock::new());
    let engine = FilesEngine::open(settings, Arc::new(RealFiles), clock).unwrap();
    let mut kept = Kept {
        ids: BTreeMap::new(),
        seqs: Vec::new(),
    };
    let scanned = engine.scan("experiments", &Mark::default(), &mut |chunk| {
        for whole in chunk.bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(own) = line::parse(whole.strip_suffix(b"\n").unwrap_or(whole)) else {
                continue;
            };
            kept.seqs.push(own.seq);
            let members = [b"{", own.members, b"}"].concat();
            let members: serde_json::Value = serde_json::from_slice(&members).unwrap();
            if let Some(id) = members["id"].as_str() {
                kept.ids.entry(id.to_owned()).or_default().push(own.seq);
            }
        }
        ControlFlow::Continue(())
    });
    scanned.unwrap();
    kept
}

impl Kept {
    /// Every acknowledged id is there once, at the number that was told.
    #[track_caller]
    pub fn assert_holds(&self, acked: &BTreeMap<String, u64>) {
        for (id, seq) in acked {
            assert_eq!(
                self.ids.get(id),
                Some(&vec![*seq]),
                "`{id}`, acknowledged at {seq}"
            );
        }
        assert!(
            self.ids.values().all(|seqs| seqs.len() == 1),
            "an id is there twice"
        );
    }

    /// Numbers run on without a gap.
    #[track_caller]
    pub fn assert_gapless(&self) {
        let gap = self.seqs.windows(2).find(|pair| pair[1] != pair[0] + 1);
        assert_eq!(gap, None);
    }
}

/// `echopilot verify` of all journals: exit code and what it says.
pub fn verify(home: &Path) -> (i32, serde_json::Value) {
    let ran = crate::cli::run(home, &["verify", "--json"]);
    (ran.code, ran.json())
}

/// Stops the daemon and checks that everything told is kept, in an unbroken chain.
#[track_caller]
fn assert_nothing_lost(daemon: Daemon, acked: &BTreeMap<String, u64>) {
    let home = daemon.home().to_owned();
    assert_eq!(daemon.stop(), Some(0), "it ends as it should");
    let kept = kept(&home);
    kept.assert_holds(acked);
    kept.assert_gapless();
    let (code, report) = verify(&home);
    assert_eq!(code, 0, "{report:#}");
}
