//! Logs that are rotated while they are looked at: the writer goes on between any two calls that
//! the follower makes, and the file system's clock is as coarse as such clocks are.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use echopilot::capabilities::slo::intake::tail::{Begin, Position, Tail};
use echopilot::seams::files::{
    Access, AppendFile, Files, Hold, Make, ReadFile, RealFiles, Space, Stat,
};
use tempfile::TempDir;

/// What the writer, or the program that rotates, does in one go.
#[derive(Debug, Clone, Copy)]
enum Step {
    Write(u64),
    /// Every set-aside file gets the next higher number.
    Shift,
    Rename,
    Reopen,
    /// The copy is there and holds nothing.
    Copy,
    /// This many hundredths of the log are in the copy.
    CopyTo(u64),
    Cut,
}

#[derive(Debug)]
struct Writer {
    path: PathBuf,
    log: File,
    script: VecDeque<Step>,
    dice: u64,
    /// One of so many calls finds that the writer has gone on.
    calls_a_step: u64,
    /// Steps that may still be made before the next turn: two rotations at most.
    left: u32,
    /// The clock, the last change of each inode by it, and its resolution, in nanoseconds.
    clock_ns: u64,
    changed: HashMap<u64, u64>,
    grain_ns: u64,
    written: u64,
    set_aside: u64,
}

impl Writer {
    fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % sides
    }

    fn touch(&mut self, inode: u64) {
        self.clock_ns += self.roll(2_000_000);
        let now = self.clock_ns / self.grain_ns * self.grain_ns;
        self.changed.insert(inode, now);
    }

    fn aside(&self, number: u64) -> PathBuf {
        self.path.with_file_name(format!("access.log.{number}"))
    }

    fn step(&mut self, step: Step) -> io::Result<()> {
        let inode = match step {
            Step::Write(lines) => {
                for _ in 0..lines {
                    self.written += 1;
                    let line = format!("192.0.2.7 - - a line of some length {:9}\n", self.written);
                    self.log.write_all(line.as_bytes())?;
                }
                self.log.metadata()?.ino()
            }
            Step::Shift => {
                for number in (1..=self.set_aside).rev() {
                    fs::rename(self.aside(number), self.aside(number + 1))?;
                }
                self.set_aside += 1;
                return Ok(());
            }
            Step::Rename => return fs::rename(&self.path, self.aside(1)),
            Step::Reopen => {
                self.log = append(&self.path)?;
                self.log.metadata()?.ino()
            }
            Step::Copy => File::create_new(self.aside(1))?.metadata()?.ino(),
            Step::CopyTo(hundredths) => {
                let whole = fs::read(&self.path)?;
                let length = whole.len() as u64 * hundredths / 100;
                let mut copy = OpenOptions::new().append(true).open(self.aside(1))?;
                let (from, to) = (copy.metadata()?.len(), length);
                let part = usize::try_from(from).unwrap()..usize::try_from(to).unwrap();
                copy.write_all(&whole[part])?;
                copy.metadata()?.ino()
            }
            Step::Cut => {
                self.log.set_len(0)?;
                self.log.metadata()?.ino()
            }
        };
        self.touch(inode);
        Ok(())
    }

    fn rotation(&mut self, copies: bool) -> Vec<Step> {
        let mut steps = vec![Step::Shift];
        if copies {
            let part = self.roll(100);
            steps.extend([Step::Copy, Step::CopyTo(part), Step::CopyTo(100), Step::Cut]);
        } else {
            let late = self.roll(3);
            steps.extend([Step::Rename, Step::Write(late), Step::Reopen]);
        }
        steps
    }
}

/// The machine's files, on which the writer goes on whenever it is looked at them.
#[derive(Debug, Clone)]
struct Moving(Arc<Mutex<Writer>>);

impl Moving {
    fn go_on(&self) {
        let mut writer = self.0.lock().unwrap();
        let sides = writer.calls_a_step;
        while writer.left > 0 && writer.roll(sides) == 0 {
            writer.left -= 1;
            let Some(step) = writer.script.pop_front() else {
                return;
            };
            writer.step(step).unwrap();
        }
    }

    fn dated(&self, stat: Stat) -> Stat {
        let writer = self.0.lock().unwrap();
        let changed = writer.changed.get(&stat.inode).copied().unwrap_or(0);
        Stat {
            mtime_ns: i128::from(changed),
            ..stat
        }
    }
}

#[derive(Debug)]
struct MovingFile(Box<dyn ReadFile>, Moving);

impl ReadFile for MovingFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.1.go_on();
        self.0.read_at(buffer, offset)
    }
    fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.0.seek(offset)
    }
    fn stat(&self) -> io::Result<Stat> {
        self.1.go_on();
        Ok(self.1.dated(self.0.stat()?))
    }
}

impl Files for Moving {
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        self.go_on();
        let file = RealFiles.open_read(path)?;
        Ok(Box::new(MovingFile(file, self.clone())))
    }
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.go_on();
        Ok(self.dated(RealFiles.stat(path)?))
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.go_on();
        RealFiles.list(path)
    }
    fn open_append(&self, _: &Path, _: Make) -> io::Result<Box<dyn AppendFile>> {
        panic!("a log is only read")
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        panic!("a log is only read")
    }
    fn link(&self, _: &Path, _: &Path) -> io::Result<()> {
        panic!("a log is only read")
    }
    fn remove(&self, _: &Path) -> io::Result<()> {
        panic!("a log is only read")
    }
    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        panic!("a log is only read")
    }
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        panic!("a log is only read")
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        panic!("a log is only read")
    }
    fn write_new(&self, _: &Path, _: &[u8], _: Access) -> io::Result<()> {
        panic!("a log is only read")
    }
    fn reserve(&self, _: &Path, _: u64) -> io::Result<()> {
        panic!("a log is only read")
    }
    fn space(&self, _: &Path) -> io::Result<Space> {
        panic!("a log is only read")
    }
    fn remote_kind(&self, _: &Path) -> io::Result<Option<&'static str>> {
        panic!("a log is only read")
    }
    fn lock_dir(&self, _: &Path) -> io::Result<Option<Box<dyn Hold>>> {
        panic!("a log is only read")
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// A writer with so many rotations before it.
fn writer(folder: &Path, seed: u64) -> Moving {
    let path = folder.join("access.log");
    let mut writer = Writer {
        log: append(&path).unwrap(),
        path,
        script: VecDeque::new(),
        dice: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        calls_a_step: 1,
        left: 0,
        clock_ns: 1_000_000_000,
        changed: HashMap::new(),
        grain_ns: 1,
        written: 0,
        set_aside: 0,
    };
    writer.calls_a_step = [3, 8, 20, 60][usize::try_from(writer.roll(4)).unwrap()];
    writer.grain_ns = [1, 10_000_000, 1_000_000_000][usize::try_from(writer.roll(3)).unwrap()];
    let by_copy = writer.roll(2) == 0;
    writer.step(Step::Write(20)).unwrap();
    for _ in 0..12 {
        for _ in 0..writer.roll(3) {
            let lines = writer.roll(40);
            writer.script.push_back(Step::Write(lines));
        }
        let rotation = writer.rotation(by_copy);
        writer.script.extend(rotation);
    }
    Moving(Arc::new(Mutex::new(writer)))
}

/// What was handed over, how often.
type Seen = BTreeMap<String, u32>;

fn turn(tail: &mut Tail, now: Duration, budget: u64, seen: &mut Seen) -> u64 {
    let taken = tail.turn(now, budget, &mut |line| {
        let line = String::from_utf8_lossy(line).into_owned();
        *seen.entry(line).or_default() += 1;
        ControlFlow::Continue(())
    });
    taken.bytes
}

fn walk(seed: u64) {
    let folder = TempDir::new().unwrap();
    let files = writer(folder.path(), seed);
    let path = folder.path().join("access.log");
    let follow = |position: Option<Position>| {
        Tail::new(Arc::new(files.clone()), &path, Begin::Start, position)
    };
    let (mut tail, mut now, mut found) = (follow(None), Duration::ZERO, Seen::new());
    let (mut kept, mut counted) = (None, Seen::new());
    // First sight is not what this is about: nothing moves until it is over.
    let script = std::mem::take(&mut files.0.lock().unwrap().script);
    turn(&mut tail, now, u64::MAX, &mut found);
    files.0.lock().unwrap().script = script;
    let roll = |sides: u64| files.0.lock().unwrap().roll(sides);
    let mut idle = 0;
    while idle < 3 {
        let budget = if roll(4) == 0 { 900 } else { u64::MAX };
        files.0.lock().unwrap().left = 10;
        let bytes = turn(&mut tail, now, budget, &mut found);
        let done = files.0.lock().unwrap().script.is_empty();
        idle = if bytes == 0 && done { idle + 1 } else { 0 };
        let pause = Duration::from_millis(roll(40) * 1000);
        now += pause;
        files.0.lock().unwrap().clock_ns += u64::try_from(pause.as_nanos()).unwrap();
        match roll(8) {
            0 | 1 => (kept, counted) = (tail.position(), found.clone()),
            2 if kept.is_some() => {
                // It dies: what was counted since is forgotten, and the writer goes on.
                tail = follow(kept.clone());
                found.clone_from(&counted);
                for _ in 0..roll(4) {
                    files.go_on();
                }
                idle = 0;
            }
            _ => {}
        }
    }
    let written = files.0.lock().unwrap().written;
    let wrong: Vec<_> = found.iter().filter(|(_, times)| **times != 1).collect();
    assert!(wrong.is_empty(), "seed {seed}: more than once: {wrong:?}");
    let line = |number| format!("192.0.2.7 - - a line of some length {number:9}");
    let missing: Vec<_> = (1..=written)
        .filter(|n| !found.contains_key(&line(*n)))
        .collect();
    assert!(missing.is_empty(), "seed {seed}: missing: {missing:?}");
    assert_eq!(
        found.len() as u64,
        written,
        "seed {seed}: nothing else was handed over"
    );
    assert_eq!(tail.lost(), (0, None), "seed {seed}");
}

#[test]
fn no_line_is_lost_or_counts_twice_when_a_log_is_rotated_while_it_is_looked_at() {
    for seed in 1..=150 {
        walk(seed);
    }
}
