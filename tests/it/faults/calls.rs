//! Rules L6, L7, L10: single calls that fail, and limits that a system sets.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::{
    Load, MENDED_WITHIN, REFUSED_WITHIN, assert_nothing_lost, assert_reads, assert_refusal, log,
    rounds, within,
};
use crate::daemon::{Client, Daemon};

/// Has `command` run by `wrapper`, such as `prlimit --nofile=64`.
pub fn under(command: &mut Command, wrapper: &[&str]) {
    let mut outer = Command::new(wrapper[0]);
    outer
        .args(&wrapper[1..])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    *command = outer;
}

/// A tracer that makes calls of the daemon fail.
struct Tracer(Child);

impl Tracer {
    /// Begins to; all threads are traced when this returns.
    fn attach(daemon: &Daemon, options: &[&str]) -> Self {
        Self::begin(daemon, Path::new("/dev/null"), options)
    }

    /// Writes whole calls of one kind to `trace`, and changes nothing.
    fn attach_to(daemon: &Daemon, trace: &Path, options: &[&str], call: &str) -> Self {
        let kind = format!("trace={call}");
        let whole = ["-s", "1000000", "-e", &kind];
        Self::begin(daemon, trace, &[options, &whole].concat())
    }

    fn begin(daemon: &Daemon, trace: &Path, options: &[&str]) -> Self {
        let mut child = Command::new("strace")
            .args(["-f", "-p", &daemon.pid().to_string(), "-o"])
            .arg(trace)
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace is there");
        let mut told = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        assert!(line.contains("attached"), "{line}");
        // It goes on talking of each thread; what it says must not fill the pipe.
        std::thread::spawn(move || told.lines().map_while(Result::ok).for_each(drop));
        Self(child)
    }

    /// Ends it, and with it the faults.
    fn detach(mut self) {
        super::sh(&format!("kill -INT {}", self.0.id()));
        self.0.wait().unwrap();
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Logs `count` events on one connection; gives how many were refused.
fn log_some(daemon: &Daemon, acked: &mut BTreeMap<String, u64>, prefix: &str, count: u32) -> u32 {
    let mut client = daemon.client();
    let mut refused = 0;
    for number in 0..count {
        let id = format!("{prefix}-{number}");
        let begun = Instant::now();
        let event = super::event(&id);
        let answer = client
            .call("POST", "/api/exp/log", &[], event.as_bytes())
            .unwrap();
        if answer.status == 200 {
            acked.insert(id, answer.json()["seq"].as_u64().unwrap());
        } else {
            assert_refusal(&answer);
            assert!(begun.elapsed() < REFUSED_WITHIN, "{:?}", begun.elapsed());
            refused += 1;
        }
    }
    refused
}

#[test]
fn l07_the_kth_sync_fails_once_and_nothing_acknowledged_is_lost() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let mut acked = BTreeMap::new();
    let mut refused = 0;
    for k in 1..=rounds(30, 100) {
        let inject = format!("inject=fdatasync:error=EIO:when={k}");
        let tracer = Tracer::attach(&daemon, &["-e", "trace=fdatasync", "-e", &inject]);
        refused += log_some(&daemon, &mut acked, &k.to_string(), k + 2);
        tracer.detach();
    }
    assert_eq!(
        refused, 0,
        "one failed sync costs a segment and no caller anything"
    );
    let health = daemon.get("/metrics").body;
    assert!(String::from_utf8_lossy(&health).contains("echopilot_journal_segments"));
    let suspects = std::fs::read_dir(home.path().join("logs"))
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with("experiments")
                && name.to_string_lossy().contains("suspect")
        });
    assert!(suspects.count() >= 25, "each failed sync seals its segment");
    assert_nothing_lost(daemon, &acked);
}

#[test]
fn l07_l08_from_the_kth_on_all_syncs_fail_and_it_mends_once_they_do_not() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let mut acked = BTreeMap::new();
    for k in 1..=rounds(3, 30) {
        let inject = format!("inject=fdatasync:error=EIO:when={k}+");
        let tracer = Tracer::attach(&daemon, &["-e", "trace=fdatasync", "-e", &inject]);
        let refused = log_some(&daemon, &mut acked, &format!("ever{k}"), k + 4);
        assert!(refused >= 4, "{refused} of {} refused", k + 4);
        assert_reads(&daemon);
        let flags = daemon.get("/api/flags/get");
        assert_eq!(flags.header("x-echopilot-degraded"), Some("storage_failed"));
        assert_eq!(daemon.get("/readyz").status, 503);
        tracer.detach();
        let mut attempt = 0;
        within(MENDED_WITHIN, "lines are accepted again", || {
            attempt += 1;
            log_some(&daemon, &mut acked, &format!("mended{k}-{attempt}"), 1) == 0
        });
    }
    assert_nothing_lost(daemon, &acked);
}

#[test]
fn l06_writes_opens_and_renames_of_the_log_fail_and_nothing_acknowledged_is_lost() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let path = home
        .path()
        .join("logs/experiments.ndjson")
        .display()
        .to_string();
    let mut acked = BTreeMap::new();
    for call in ["write", "openat", "/^rename", "ftruncate"] {
        for error in ["ENOSPC", "EIO", "EINTR"] {
            for when in ["1", "2", "2+"] {
                // With the write or the sync failing too, the other calls are made at all.
                let inject = format!("inject={call}:error={error}:when={when}");
                let cause = match call {
                    "write" => "trace=write".to_owned(),
                    "ftruncate" => "inject=write:error=EIO:when=2".to_owned(),
                    _ => "inject=fdatasync:error=EIO:when=2".to_owned(),
                };
                let what = format!("{call} {error} {when}");
                let tracer = Tracer::attach(&daemon, &["-P", &path, "-e", &cause, "-e", &inject]);
                log_some(&daemon, &mut acked, &what, 5);
                assert_reads(&daemon);
                tracer.detach();
                let mut attempt = 0;
                within(MENDED_WITHIN, &what, || {
                    attempt += 1;
                    log_some(&daemon, &mut acked, &format!("{what}-mended-{attempt}"), 1) == 0
                });
            }
        }
    }
    assert_nothing_lost(daemon, &acked);
}

fn limit(daemon: &Daemon, limit: &str) {
    super::sh(&format!("prlimit --pid {} {limit}", daemon.pid()));
}

#[test]
fn l10_a_file_size_limit_is_an_error_of_the_write_and_not_our_death() {
    let home = tempfile::tempdir().unwrap();
    // From the very start: also what is written before the server runs must not kill.
    let daemon = Daemon::start_with(home.path(), |command| {
        under(command, &["prlimit", "--fsize=100:unlimited"]);
    });
    assert_reads(&daemon);
    assert_eq!(assert_refusal(&log(&daemon, "too-long")), "storage_failed");
    assert_eq!(daemon.get("/readyz").status, 503);
    limit(&daemon, "--fsize=16384:unlimited");
    within(MENDED_WITHIN, "lines are accepted again", || {
        log(&daemon, "first").status == 200
    });
    // More than one file may hold: the lines go on in another.
    let load = Load::start(&daemon, 4, "load");
    load.acknowledge(600);
    assert_reads(&daemon);
    let told = load.end();
    limit(&daemon, "--fsize=unlimited");
    assert_nothing_lost(daemon, &told.acked);
}

#[test]
fn running_out_of_file_handles_is_survived() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(home.path(), |command| {
        under(command, &["prlimit", "--nofile=64"]);
    });
    let load = Load::start(&daemon, 2, "load");
    load.acknowledge(5);
    let mut reader = daemon.client();
    let held: Vec<_> = (0..150)
        .map_while(|_| Client::connect(&daemon.address, None).ok())
        .collect();
    assert!(held.len() > 64, "only {} connections", held.len());
    load.acknowledge(50);
    for _ in 0..20 {
        reader
            .call("GET", "/api/flags/get", &[], b"")
            .unwrap()
            .expect(200);
    }
    // A log moved away now cannot be made anew: there is no handle for it.
    drop(held);
    within(MENDED_WITHIN, "new callers are answered", || {
        Client::connect(&daemon.address, Some(crate::daemon::DASH))
            .and_then(|mut client| client.call("GET", "/api/flags/get", &[], b""))
            .is_ok_and(|answer| answer.status == 200)
    });
    load.acknowledge(20);
    let told = load.end();
    assert_nothing_lost(daemon, &told.acked);
}

#[test]
fn l01_a_log_has_one_writer_thread_one_appending_handle_and_whole_lines_in_each_write() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let path = home.path().join("logs/experiments.ndjson");
    log(&daemon, "first").expect(200);
    let before = handles(&daemon, &path);
    let trace = home.path().join("trace");
    let traced = Tracer::attach_to(
        &daemon,
        &trace,
        &["-P", &path.display().to_string()],
        "write",
    );
    let load = Load::start(&daemon, 8, "load");
    load.acknowledge(200);
    load.end();
    traced.detach();
    assert_eq!(
        handles(&daemon, &path),
        before,
        "one handle, for as long as the segment lives"
    );
    assert_eq!(before.len(), 1);
    // Octal 2000 is O_APPEND: open(2) on x86 and ARM.
    assert_ne!(before[0].1 & 0o2000, 0, "flags {:o}", before[0].1);
    let name = |task: &Path| std::fs::read_to_string(task.join("comm")).unwrap();
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
    let writers: Vec<_> = tasks
        .map(|task| task.unwrap().path())
        .filter(|task| name(task).starts_with("log-experiments"))
        .collect();
    assert_eq!(writers.len(), 1);
    let writer = writers[0]
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    let text = std::fs::read_to_string(&trace).unwrap();
    let calls: Vec<_> = text
        .lines()
        .filter(|line| line.contains(" write("))
        .collect();
    assert!(calls.len() >= 20, "{text}");
    for line in calls {
        assert!(line.starts_with(&writer), "another thread wrote: {line}");
        assert!(
            line.contains(r#""{\"seq\":"#),
            "begins within a line: {line}"
        );
        assert!(line.contains(r#"\"}\n", "#), "ends within a line: {line}");
    }
}

/// Numbers and flags of the daemon's handles on a file.
fn handles(daemon: &Daemon, path: &Path) -> Vec<(String, u32)> {
    let folder = format!("/proc/{}", daemon.pid());
    let fds = std::fs::read_dir(format!("{folder}/fd")).unwrap();
    let ours = fds
        .map(|fd| fd.unwrap())
        .filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target == path));
    ours.map(|fd| {
        let number = fd.file_name().to_string_lossy().into_owned();
        let info = std::fs::read_to_string(format!("{folder}/fdinfo/{number}")).unwrap();
        let flags = info
            .lines()
            .find_map(|line| line.strip_prefix("flags:"))
            .unwrap();
        (number, u32::from_str_radix(flags.trim(), 8).unwrap())
    })
    .collect()
}
