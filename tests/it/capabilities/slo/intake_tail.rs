//! Logs that are followed through everything that happens to them: no line is lost, none counts
//! twice, over renames, copies, cuts and restarts at any moment.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use echopilot::capabilities::slo::intake::tail::{Begin, MAX_LINE, Position, State, Tail};
use echopilot::seams::files::RealFiles;
use tempfile::TempDir;

/// Bytes of a turn that never stops for its budget.
const PLENTY: u64 = u64::MAX;

/// A log, its writer, and whoever follows it.
struct Desk {
    folder: TempDir,
    path: PathBuf,
    log: File,
    tail: Tail,
    /// How often each line was handed over.
    seen: BTreeMap<String, u32>,
    written: u32,
    now: Duration,
}

impl Desk {
    fn open(begin: Begin) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("access.log");
        let log = append(&path);
        let tail = Tail::new(Arc::new(RealFiles), &path, begin, None);
        Self {
            folder,
            path,
            log,
            tail,
            seen: BTreeMap::new(),
            written: 0,
            now: Duration::ZERO,
        }
    }

    /// Writes so many numbered lines.
    fn write(&mut self, lines: u32) {
        for _ in 0..lines {
            self.written += 1;
            writeln!(self.log, "192.0.2.7 - - line {}", self.written).unwrap();
        }
    }

    fn turn(&mut self) -> u64 {
        self.turn_of(PLENTY)
    }

    fn turn_of(&mut self, budget: u64) -> u64 {
        let seen = &mut self.seen;
        let turn = self.tail.turn(self.now, budget, &mut |line| {
            let line = String::from_utf8_lossy(line).into_owned();
            *seen.entry(line).or_default() += 1;
            ControlFlow::Continue(())
        });
        turn.bytes
    }

    /// The process dies and another one begins from `position`.
    fn restart(&mut self, position: Option<Position>) {
        // Through the text, as it is kept.
        let kept = position.map(|position| {
            let value = serde_json::to_value(&position).unwrap();
            serde_json::from_value(value).unwrap()
        });
        self.tail = Tail::new(Arc::new(RealFiles), &self.path, Begin::End, kept);
        self.now = Duration::ZERO;
    }

    /// As logrotate does without options; the writer learns of it when it is told to.
    fn rename(&self, to: &str) {
        fs::rename(&self.path, self.folder.path().join(to)).unwrap();
    }

    fn reopen(&mut self) {
        self.log = append(&self.path);
    }

    /// As logrotate does with `copytruncate`.
    fn copy_and_cut(&self, to: &str) {
        fs::copy(&self.path, self.folder.path().join(to)).unwrap();
        self.log.set_len(0).unwrap();
    }

    /// Every line was handed over once.
    fn whole(&self) {
        let again: Vec<_> = self.seen.iter().filter(|(_, times)| **times != 1).collect();
        assert!(again.is_empty(), "more than once: {again:?}");
        let missing: Vec<_> = (1..=self.written)
            .filter(|line| {
                !self
                    .seen
                    .contains_key(&format!("192.0.2.7 - - line {line}"))
            })
            .collect();
        assert!(missing.is_empty(), "missing: {missing:?}");
        assert_eq!(
            self.seen.len(),
            self.written as usize,
            "nothing else was handed over"
        );
    }
}

fn append(path: &Path) -> File {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
}

#[test]
fn reading_begins_at_the_end_or_at_the_start() {
    for (begin, expected) in [(Begin::End, 2), (Begin::Start, 5)] {
        let mut desk = Desk::open(begin);
        desk.write(3);
        desk.turn();
        desk.write(2);
        desk.turn();
        assert_eq!(desk.seen.len(), expected, "{begin:?}");
    }
    let mut desk = Desk::open(Begin::End);
    fs::remove_file(&desk.path).unwrap();
    desk.turn();
    assert_eq!(desk.tail.state(), &State::Absent);
    assert_eq!(
        desk.tail.position(),
        Some(Position::default()),
        "absence is known"
    );
    let position = desk.tail.position();
    desk.restart(position);
    desk.reopen();
    desk.write(4);
    desk.turn();
    desk.whole();
}

#[test]
fn half_a_line_waits_for_its_end_and_a_huge_one_is_passed_over() {
    let mut desk = Desk::open(Begin::Start);
    desk.write(1);
    desk.log.write_all(b"192.0.2.7 - - li").unwrap();
    desk.turn();
    assert_eq!(desk.seen.len(), 1);
    desk.log.write_all(b"ne 2\n").unwrap();
    desk.written = 2;
    // A part of a huge line is there when the process dies within it.
    let huge = vec![b'x'; 3 * MAX_LINE];
    desk.log.write_all(&huge).unwrap();
    desk.turn();
    desk.restart(desk.tail.position());
    desk.turn();
    desk.log.write_all(&huge).unwrap();
    desk.turn();
    desk.log.write_all(b"x\n").unwrap();
    desk.write(1);
    desk.log.write_all(&vec![b'y'; MAX_LINE + 1]).unwrap();
    desk.log.write_all(b"\n").unwrap();
    desk.write(1);
    desk.turn();
    desk.whole();
    assert_eq!(
        desk.tail.long(),
        1,
        "the first one was counted before the restart"
    );
}

#[test]
fn a_renamed_log_is_read_on_until_it_is_quiet() {
    let mut desk = Desk::open(Begin::Start);
    desk.write(3);
    desk.turn();
    desk.write(2);
    desk.rename("access.log.1");
    desk.write(2);
    desk.turn();
    // The writer has not reopened yet, somebody else made the new file.
    let mut other = append(&desk.path);
    desk.written += 1;
    writeln!(other, "192.0.2.7 - - line {}", desk.written).unwrap();
    desk.write(2);
    desk.turn();
    desk.write(1);
    desk.turn();
    desk.reopen();
    // The times of files are coarser than this test is fast, and the new one must be the later.
    pass();
    desk.write(5);
    desk.turn();
    desk.whole();
    assert_eq!(desk.tail.position().unwrap().files.len(), 2);
    desk.now += Duration::from_secs(61);
    desk.turn();
    assert_eq!(
        desk.tail.position().unwrap().files.len(),
        1,
        "the old one is let go"
    );
    desk.whole();
}

#[test]
fn copies_and_cuts_lose_nothing_that_the_copy_has() {
    let mut desk = Desk::open(Begin::Start);
    desk.write(9);
    desk.turn();
    for round in 0..20 {
        desk.write(3 + round % 4);
        if round % 3 != 0 {
            desk.turn();
        }
        desk.write(round % 3);
        desk.copy_and_cut(&format!("access.log.{}", 100 - round));
        // So much that the log is as long again as it was, or longer, or shorter.
        desk.write(round);
        desk.turn();
        desk.whole();
        desk.now += Duration::from_secs(40);
    }
    assert_eq!(desk.tail.lost(), (0, None));
}

#[test]
fn a_log_that_is_emptied_without_a_copy_is_said_to_be_lost() {
    let mut desk = Desk::open(Begin::Start);
    desk.write(30);
    desk.turn();
    desk.log.set_len(0).unwrap();
    desk.write(40);
    desk.turn();
    desk.whole();
    let (times, said) = desk.tail.lost();
    assert_eq!(times, 1);
    assert!(said.unwrap().contains("access.log"), "{said:?}");
}

#[test]
fn after_downtime_every_rotated_file_is_found() {
    for copied in [false, true] {
        let mut desk = Desk::open(Begin::Start);
        desk.write(100);
        desk.turn();
        let position = desk.tail.position();
        for round in [3, 2, 1] {
            desk.write(50);
            // The times of files are coarser than this test is fast.
            pass();
            let name = format!("access.log.{round}");
            if copied {
                desk.copy_and_cut(&name);
            } else {
                desk.rename(&name);
                desk.reopen();
            }
            pass();
        }
        // None of these is a part of it.
        let mut other = append(&desk.folder.path().join("access-admin.log"));
        writeln!(other, "not ours").unwrap();
        desk.write(7);
        desk.restart(position);
        desk.turn();
        desk.whole();
        assert_eq!(desk.tail.lost(), (0, None), "copied: {copied}");
        let position = desk.tail.position();
        desk.restart(position);
        desk.write(1);
        desk.turn();
        desk.whole();
    }
}

/// Lets the clock of the file system move on.
fn pass() {
    let folder = TempDir::new().unwrap();
    let stamp = |name: &str| {
        let path = folder.path().join(name);
        fs::write(&path, b"x").unwrap();
        fs::metadata(&path).unwrap().modified().unwrap()
    };
    let first = stamp("a");
    while stamp("b") == first {}
}

#[test]
fn what_was_compressed_meanwhile_is_said_to_be_lost() {
    let mut desk = Desk::open(Begin::Start);
    desk.write(50);
    desk.turn();
    let position = desk.tail.position();
    desk.write(10);
    desk.written -= 10;
    pass();
    fs::remove_file(&desk.path).unwrap();
    fs::write(desk.folder.path().join("access.log.1.gz"), b"packed").unwrap();
    desk.reopen();
    desk.write(10);
    desk.restart(position);
    desk.turn();
    desk.whole();
    let (times, said) = desk.tail.lost();
    assert!(
        times > 0 && said.unwrap().contains("compressed"),
        "{said:?}"
    );
}

#[test]
fn a_log_that_may_not_be_read_says_so_and_is_read_once_it_may() {
    let mut desk = Desk::open(Begin::Start);
    fs::remove_file(&desk.path).unwrap();
    fs::create_dir(&desk.path).unwrap();
    desk.turn();
    let State::Refused(why) = desk.tail.state().clone() else {
        panic!("a folder was read");
    };
    assert!(why.contains("plain file"), "{why}");
    fs::remove_dir(&desk.path).unwrap();
    desk.reopen();
    fs::set_permissions(&desk.path, fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads everything.
    if File::open(&desk.path).is_err() {
        desk.turn();
        let State::Refused(why) = desk.tail.state().clone() else {
            panic!("a locked file was read");
        };
        assert!(
            why.contains("permission denied") && why.contains("hint: "),
            "{why}"
        );
    }
    fs::set_permissions(&desk.path, fs::Permissions::from_mode(0o600)).unwrap();
    desk.write(2);
    desk.turn();
    desk.whole();
    assert_eq!(desk.tail.state(), &State::Reading);
}

#[test]
fn a_backlog_is_read_in_pieces() {
    let mut desk = Desk::open(Begin::Start);
    desk.write(60_000);
    let mut turns = 0;
    while desk.turn_of(100_000) > 0 {
        turns += 1;
    }
    assert!(turns > 3, "{turns} turns");
    desk.whole();
    assert_eq!(desk.tail.behind(), 0);
}

/// A random walk through writing, reading, rotating and dying, with positions kept as old as the
/// last commit; what was handed over after it is taken back, as its counts are.
#[test]
fn no_walk_through_rotations_and_deaths_loses_a_line() {
    for seed in 1..=40_u64 {
        let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut roll = move |sides: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % sides
        };
        let mut desk = Desk::open(Begin::Start);
        let copies = roll(2) == 0;
        let mut names = 1000;
        desk.write(40);
        desk.turn();
        let (mut position, mut kept) = (desk.tail.position(), desk.seen.clone());
        for _ in 0..60 {
            match roll(10) {
                0..=3 => desk.write(u32::try_from(roll(30)).unwrap()),
                4 | 5 => {
                    desk.turn_of(1 + roll(600));
                }
                6 => {
                    position = desk.tail.position();
                    kept.clone_from(&desk.seen);
                }
                7 => {
                    desk.restart(position.clone());
                    desk.seen.clone_from(&kept);
                }
                8 => {
                    pass();
                    names -= 1;
                    let name = format!("access.log.{names}");
                    if copies {
                        desk.copy_and_cut(&name);
                    } else {
                        desk.rename(&name);
                        desk.write(u32::try_from(roll(3)).unwrap());
                        desk.reopen();
                    }
                    pass();
                    // A fingerprint needs a few lines to go by.
                    desk.write(40);
                }
                _ => desk.now += Duration::from_secs(roll(50)),
            }
        }
        while desk.turn() > 0 {}
        desk.whole();
        assert_eq!(desk.tail.lost(), (0, None), "seed {seed}");
    }
}
