//! `echopilot backup` and `echopilot restore`: with the real program under load, killed, and on a
//! full disk.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{program, run};
use crate::daemon::{Client, DASH, Daemon};

/// Names in a folder of backups that a person would take for one.
fn backups(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let named = entries.map(|entry| entry.expect("an entry").path());
    let mut found: Vec<_> = named
        .filter(|path| {
            let name = path.file_name().expect("a name").to_string_lossy();
            !name.starts_with('.') && name != "configs"
        })
        .collect();
    found.sort();
    found
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Makes segments short, so that the journal rotates while it is backed up.
fn short_segments(home: &Path) {
    fs::create_dir_all(home.join("configs")).expect("a folder");
    let settings = r#"{ "journals": { "segment_bytes": 65536 } }"#;
    fs::write(home.join("configs/echopilot.json"), settings).expect("the settings");
}

/// All lines of the journal, in the order of their segments.
fn journal(home: &Path, name: &str) -> Vec<String> {
    let logs = home.join("logs");
    let mut names: Vec<_> = fs::read_dir(&logs)
        .expect("the logs")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .filter(|file| file.starts_with(&format!("{name}.")) && file.ends_with(".ndjson"))
        .collect();
    names.sort();
    let texts = names
        .iter()
        .map(|file| fs::read_to_string(logs.join(file)).expect("a segment"));
    texts
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn ids(lines: &[String]) -> BTreeSet<String> {
    let values = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line"));
    values
        .filter_map(|value| Some(value.get("id")?.as_str()?.to_owned()))
        .collect()
}

/// Logs events until told to stop; gives how many were acknowledged so far.
struct Load {
    stop: Arc<AtomicBool>,
    told: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn on(daemon: &Daemon) -> Self {
        let (stop, told) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let threads = (0..4)
            .map(|writer| {
                let (stop, told) = (Arc::clone(&stop), Arc::clone(&told));
                let address = daemon.address.clone();
                std::thread::spawn(move || {
                    let mut client = Client::connect(&address, Some(DASH)).expect("a connection");
                    for number in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let body = format!(
                            r#"{{"event":"signup","user":"user123","exp":"pricing_v2",
                                "variant":"A","id":"{writer}-{number}"}}"#
                        );
                        let sent = client.call("POST", "/api/exp/log", &[], body.as_bytes());
                        sent.expect("an answer").expect(200);
                        told.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        Self {
            stop,
            told,
            threads,
        }
    }

    /// Waits until `more` further events are acknowledged; gives how many are.
    fn wait_for(&self, more: usize) -> usize {
        let goal = self.told.load(Ordering::Relaxed) + more;
        let begun = Instant::now();
        while self.told.load(Ordering::Relaxed) < goal {
            assert!(begun.elapsed() < Duration::from_secs(30), "no progress");
            std::thread::yield_now();
        }
        self.told.load(Ordering::Relaxed)
    }

    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("the writers end well");
        }
        self.told.load(Ordering::Relaxed)
    }
}

#[test]
fn c08_a_backup_under_load_restores_equal_by_seq_count_and_chain() {
    let home = tempfile::tempdir().expect("a folder");
    let outside = tempfile::tempdir().expect("a folder");
    short_segments(home.path());
    let daemon = Daemon::start(home.path());
    let load = Load::on(&daemon);
    let mut taken = Vec::new();
    for _ in 0..3 {
        let before = load.wait_for(150);
        let ran = run(home.path(), &["backup", "--json"]).expect(0);
        taken.push((before, ran.json()));
    }
    let all = load.end();
    assert_eq!(daemon.stop(), Some(0));
    let lines = journal(home.path(), "experiments");
    assert_eq!(ids(&lines).len(), all);
    assert!(
        lines.len() > all,
        "the journal was rotated: its segments have opening lines"
    );

    for (round, (before, told)) in taken.iter().enumerate() {
        let to = outside.path().join(format!("new-{round}"));
        let folder = told["folder"].as_str().expect("a folder");
        let back = run(
            home.path(),
            &["restore", folder, "--to", text(&to), "--json"],
        )
        .expect(0);
        let kept = journal(&to, "experiments");
        assert_eq!(kept, lines[..kept.len()], "a beginning of what happened");
        assert!(
            ids(&kept).len() >= *before,
            "what was acknowledged before is in it"
        );
        for one in back.json()["journals"].as_array().expect("journals") {
            let manifest = told["journals"].as_array().expect("journals");
            let manifest = manifest.iter().find(|other| other["name"] == one["name"]);
            for member in ["lines", "last_seq", "h"] {
                assert_eq!(one[member], manifest.expect("it is told")[member], "{one}");
            }
        }
        let verified = run(&to, &["verify", "--json"]).expect(0).json();
        assert_eq!(verified["ok"], true, "{verified}");
        let served = Daemon::start(&to);
        served.get("/api/flags/get").expect(200);
        let again = r#"{"event":"signup","user":"user123","exp":"pricing_v2","variant":"A",
            "id":"0-0"}"#;
        served.post("/api/exp/log", again).expect(200);
        drop(served);
        let after = journal(&to, "experiments");
        assert_eq!(
            ids(&after).len(),
            ids(&kept).len(),
            "a known id is not written twice"
        );
    }
}

#[test]
fn c08_a_kill_during_a_backup_leaves_nothing_that_looks_like_one() {
    let home = super::begun();
    let outside = tempfile::tempdir().expect("a folder");
    run(home.path(), &["flag", "set", "ui.new_dashboard", "true"]).expect(0);
    // Enough files that the kills fall into the middle.
    let lines = "{\"by\":\"hand\"}\n".repeat(40_000);
    for number in 0..20 {
        let name = format!("logs/old.{number:020}-{number:020}.ndjson");
        fs::write(home.path().join(name), &lines).expect("a segment");
    }
    let to = outside.path().join("kept");
    let command = || {
        let mut command = program(home.path());
        command.args(["backup", "--quiet", "--to", text(&to)]);
        command.stdout(std::process::Stdio::null());
        command
    };
    let begun = Instant::now();
    assert!(command().status().expect("it runs").success());
    let whole = begun.elapsed();
    for path in backups(&to) {
        fs::remove_dir_all(path).expect("it can go");
    }
    let mut cut = 0;
    for round in 0..20_u32 {
        let mut child = command().spawn().expect("it runs");
        let begun = Instant::now();
        while begun.elapsed() < whole * round / 20 {
            std::thread::yield_now();
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        // Nothing, or a whole one.
        for path in backups(&to) {
            let new = outside.path().join(format!("new-{round}"));
            run(home.path(), &["restore", text(&path), "--to", text(&new)]).expect(0);
            fs::remove_dir_all(path).expect("it can go");
        }
        cut += usize::from(to.join(".building.tmp").exists());
    }
    assert!(cut > 3, "only {cut} kills fell into the middle");
    let ran = run(home.path(), &["backup", "--to", text(&to)]).expect(0);
    assert!(!to.join(".building.tmp").exists(), "{ran:#?}");
    assert_eq!(backups(&to), [PathBuf::from(ran.out.trim_end())]);
}

#[test]
fn c08_a_flag_is_restored_to_what_it_was_and_a_revoked_key_stays_revoked() {
    let home = tempfile::tempdir().expect("a folder");
    let daemon = Daemon::start(home.path());
    let set = |value: &str| {
        run(home.path(), &["flag", "set", "ui.new_dashboard", value]).expect(0);
    };
    set("true");
    let made = run(home.path(), &["key", "new", "dash", "--json"])
        .expect(0)
        .json();
    // The instant of the last line so far; everything later has a later one.
    let last = run(home.path(), &["log", "tail", "configs", "-n", "1"]).expect(0);
    let then = last.json()["ts"].as_str().expect("an instant").to_owned();
    let clock = Instant::now();
    while clock.elapsed() < Duration::from_millis(3) {
        std::thread::yield_now();
    }
    set("false");
    let id = made["id"].as_str().expect("an id");
    run(home.path(), &["key", "revoke", id]).expect(0);
    assert_eq!(daemon.stop(), Some(0));

    let ran = run(home.path(), &["backup"]).expect(0);
    let name = Path::new(ran.out.trim_end()).file_name().expect("a name");
    let name = name.to_str().expect("UTF-8");
    let new = home.path().join("new");
    let args = ["restore", name, "--to", text(&new), "--until", &then];
    let back = run(home.path(), &args).expect(0);
    assert!(
        back.err.contains("`keys.json` is the one of the backup"),
        "{back:#?}"
    );
    assert!(
        back.err
            .contains(&format!("next: echopilot serve --home {}", new.display())),
        "{back:#?}"
    );
    let flag = run(&new, &["flag", "get", "ui.new_dashboard"]).expect(0);
    assert_eq!(flag.out, "true\n");
    let keys = run(&new, &["key", "list", "--json"]).expect(0);
    let same = run(home.path(), &["key", "list", "--json"]).expect(0);
    assert!(same.out.contains("revoked"), "{same:#?}");
    assert_eq!(keys.out, same.out);
}

#[test]
fn c08_what_cannot_be_backed_up_or_restored_is_refused_in_words() {
    let home = tempfile::tempdir().expect("a folder");
    let nothing = run(home.path(), &["backup"]).expect(1);
    assert!(nothing.err.contains("nothing to back up"), "{nothing:#?}");
    assert!(
        fs::read_dir(home.path())
            .expect("it is there")
            .next()
            .is_none(),
        "nothing is left"
    );

    fs::create_dir(home.path().join("configs")).expect("a home is begun");
    run(home.path(), &["flag", "list"]).expect(0);
    let ran = run(home.path(), &["backup"]).expect(0);
    let folder = ran.out.trim_end();
    let to = home.path().join("new");
    let restore = |from: &str, more: &[&str]| {
        let args: Vec<_> = ["restore", from, "--to", text(&to)]
            .iter()
            .chain(more)
            .copied()
            .collect();
        run(home.path(), &args).expect(1)
    };
    let none = restore("yesterday", &[]);
    assert!(
        none.err.contains(&format!("the newest one is `{folder}`")),
        "{none:#?}"
    );
    let odd = restore(folder, &["--until", "yesterday"]);
    assert!(odd.err.contains("no instant and no line"), "{odd:#?}");
    let unknown = restore(folder, &["--until", "flags:3"]);
    assert!(unknown.err.contains("feature_flags"), "{unknown:#?}");
    let far = restore(folder, &["--until", "feature_flags:3000"]);
    assert!(far.err.contains("there is no line 3000"), "{far:#?}");

    let document = Path::new(folder).join("configs/flags.json");
    let good = fs::read(&document).expect("a file");
    fs::write(&document, "{}").expect("a file");
    let bad = restore(folder, &[]);
    assert!(
        bad.err.contains("`configs/flags.json`: it has 2 bytes"),
        "{bad:#?}"
    );
    fs::write(&document, good).expect("a file");
    assert!(!to.exists());
    fs::create_dir(&to).expect("a folder");
    run(home.path(), &["restore", folder, "--to", text(&to)]).expect(0);
    let occupied = restore(folder, &[]);
    assert!(
        occupied.err.contains("is not an empty folder"),
        "{occupied:#?}"
    );
}
