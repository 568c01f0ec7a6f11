//! `echopilot log tail`: journals from their files, no daemon needed.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use super::{program, run};
use crate::daemon::PATIENCE;

/// A line as echopilot writes it; the chain value is not looked at by a reader.
fn line(seq: u64, kind: &str) -> String {
    let hour = seq % 24;
    format!(
        "{{\"seq\":{seq},\"ts\":\"2026-11-21T{hour:02}:00:00.000Z\",\"kind\":\"{kind}\",\
         \"h\":\"0123456789abcdef\"}}\n"
    )
}

fn lines(range: std::ops::RangeInclusive<u64>) -> String {
    range.map(|seq| line(seq, "x.done")).collect()
}

struct Logs {
    home: tempfile::TempDir,
}

impl Logs {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        fs::create_dir(home.path().join("logs")).expect("a folder");
        Self { home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("logs").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a journal");
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(self.path(name))
            .expect("a file");
        file.write_all(text.as_bytes()).expect("room");
    }

    fn tail(&self, args: &[&str]) -> String {
        let args: Vec<_> = ["log", "tail"].iter().chain(args).copied().collect();
        run(self.home.path(), &args).expect(0).out
    }
}

fn sealed(name: &str, first: u64, last: u64) -> String {
    format!("{name}.{first:020}-{last:020}.ndjson")
}

#[test]
fn the_newest_lines_come_out_as_they_are_across_segments() {
    let logs = Logs::new();
    logs.write(&sealed("x", 1, 6), &lines(1..=6));
    logs.write(&sealed("x", 7, 8), &lines(7..=8));
    logs.write("x.ndjson", &(lines(9..=10) + "a note\n" + "{\"torn"));
    assert_eq!(
        logs.tail(&["x"]),
        lines(2..=10) + "a note\n",
        "ten by default, no torn line"
    );
    assert_eq!(logs.tail(&["x", "-n", "1"]), "a note\n");
    assert_eq!(
        logs.tail(&["x.ndjson", "-n", "5"]),
        lines(7..=10) + "a note\n"
    );
    assert_eq!(logs.tail(&["x", "-n", "100"]), lines(1..=10) + "a note\n");
    assert_eq!(logs.tail(&["x", "-n", "0"]), "");
}

#[test]
fn kind_and_since_choose_lines() {
    let logs = Logs::new();
    logs.write(
        &sealed("x", 1, 3),
        &(line(1, "a.done") + &line(2, "b.done") + &line(3, "a.done")),
    );
    logs.write(
        "x.ndjson",
        &(line(4, "b.done") + "a note\n" + &line(5, "a.done")),
    );
    assert_eq!(
        logs.tail(&["x", "--kind", "b.done"]),
        line(2, "b.done") + &line(4, "b.done")
    );
    let both = logs.tail(&["x", "--kind", "a.done", "--kind", "b.done", "-n", "2"]);
    assert_eq!(both, line(4, "b.done") + &line(5, "a.done"));
    let since = logs.tail(&["x", "--since", "2026-11-21T03:00:00Z"]);
    assert_eq!(
        since,
        line(3, "a.done") + &line(4, "b.done") + &line(5, "a.done")
    );
    assert_eq!(
        logs.tail(&["x", "--since", "2026-11-21T03:00:00Z", "-n", "1"]),
        line(5, "a.done")
    );
    let wrong = run(
        logs.home.path(),
        &["log", "tail", "x", "--since", "yesterday"],
    )
    .expect(1);
    assert!(wrong.err.contains("`--since` is `yesterday`"), "{wrong:#?}");
}

#[test]
fn compressed_and_suspect_segments_are_read() {
    let logs = Logs::new();
    let packed = zstd::encode_all(lines(1..=3).as_bytes(), 1).expect("it can be packed");
    fs::write(logs.path(&(sealed("x", 1, 3) + ".zst")), packed).expect("a segment");
    let suspect = sealed("x", 4, 5).replace(".ndjson", ".suspect.ndjson");
    logs.write(&suspect, &lines(4..=7));
    logs.write("x.ndjson", &lines(6..=8));
    assert_eq!(
        logs.tail(&["x"]),
        lines(1..=8),
        "what was written twice is shown once"
    );
}

#[test]
fn an_unknown_journal_is_told_with_the_nearest_one() {
    let logs = Logs::new();
    logs.write("experiments.ndjson", "");
    let ran = run(logs.home.path(), &["log", "tail", "experiment"]).expect(1);
    assert!(ran.err.contains("did you mean `experiments`?"), "{ran:#?}");
    assert_eq!(
        run(logs.home.path(), &["log", "list"]).expect(0).out,
        "experiments\n"
    );
    let told = run(logs.home.path(), &["log", "list", "--json"])
        .expect(0)
        .json();
    assert_eq!(told["journals"][0], "experiments");
}

/// A running `log tail -f` and what it shows.
struct Follow {
    child: Child,
    shown: mpsc::Receiver<String>,
}

impl Follow {
    fn start(home: &Path, args: &[&str]) -> Self {
        let mut child = program(home)
            .args(["log", "tail", "-f"])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let (say, shown) = mpsc::channel();
        let out = child.stdout.take().expect("a pipe");
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if say.send(line + "\n").is_err() {
                    break;
                }
            }
        });
        Self { child, shown }
    }

    #[track_caller]
    fn expect(&self, line: &str) {
        let shown = self.shown.recv_timeout(PATIENCE).expect("a line is shown");
        assert_eq!(shown, line);
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn following_goes_on_over_rotations_and_cuts() {
    let logs = Logs::new();
    logs.write("x.ndjson", &lines(1..=2));
    let follow = Follow::start(logs.home.path(), &["x", "-n", "1"]);
    follow.expect(&line(2, "x.done"));
    logs.append("x.ndjson", "{\"seq\":3,");
    logs.append(
        "x.ndjson",
        line(3, "x.done").trim_start_matches("{\"seq\":3,"),
    );
    follow.expect(&line(3, "x.done"));

    // Two rotations between two looks: one whole segment was never the active file we had open.
    logs.append("x.ndjson", &line(4, "x.done"));
    fs::rename(logs.path("x.ndjson"), logs.path(&sealed("x", 1, 4))).expect("a rotation");
    logs.write(&sealed("x", 5, 6), &lines(5..=6));
    logs.write("x.new", &lines(7..=7));
    fs::rename(logs.path("x.new"), logs.path("x.ndjson")).expect("a rotation");
    for seq in 4..=7 {
        follow.expect(&line(seq, "x.done"));
    }
    logs.append("x.ndjson", &line(8, "x.done"));
    follow.expect(&line(8, "x.done"));

    logs.write("x.ndjson", &line(9, "x.done"));
    follow.expect(&line(9, "x.done"));
}

#[test]
fn what_comes_out_is_food_for_jq() {
    let logs = Logs::new();
    logs.write("x.ndjson", &lines(1..=3));
    let mut tail = program(logs.home.path())
        .args(["log", "tail", "x"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let jq = Command::new("jq")
        .args(["-c", ".seq"])
        .stdin(tail.stdout.take().expect("a pipe"))
        .output()
        .expect("jq runs; `tests/run` installs it");
    assert!(tail.wait().expect("it ends").success());
    assert_eq!(String::from_utf8_lossy(&jq.stdout), "1\n2\n3\n");
}
