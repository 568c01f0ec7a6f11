//! A home with a past to back up, and looking at what became of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use echopilot::seams::clock::{Clock, ManualClock};
use echopilot::seams::files::{Files, RealFiles};
use echopilot::storage::anchors::Anchors;
use echopilot::storage::backup::{BackupError, History, Restored, Taken, Until, restore, take};
use echopilot::storage::engine::{Engine, Expect, StreamOptions};
use echopilot::storage::line;
use echopilot::storage::lines::Lines;
use echopilot::storage::verify::{StreamReport, verify};

use super::support::{OPTIONS, Place, wait};

/// Small segments, so that a few lines make several.
pub const SMALL: StreamOptions = StreamOptions {
    segment_bytes: 700,
    ..OPTIONS
};

/// No configuration is taken back in these tests.
pub const HISTORY: History = History {
    stream: "configs",
    accepted: |_| None,
    newest_only: &[],
};

/// A home with a stream of `lines` lines, a second apart or less, in several segments, one of them
/// compressed, with lines of somebody else in between.
pub struct Old {
    pub place: Place,
    pub clock: Arc<ManualClock>,
}

pub fn begin() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

impl Old {
    pub fn new(lines: u64) -> Self {
        let clock = Arc::new(ManualClock::at(begin()));
        let place = Place::new();
        let old = Self { place, clock };
        old.write(lines);
        fs::write(old.home().join("configs/flags.json"), "{\"a\": true}\n").unwrap();
        let keys = old.home().join("configs/keys.json");
        RealFiles
            .write_new(&keys, b"{}\n", echopilot::seams::files::Access::PRIVATE)
            .unwrap();
        old.compress_first();
        old
    }

    pub fn write(&self, lines: u64) {
        let engine = self.place.engine_by(Arc::clone(&self.clock) as _);
        engine.open("x", SMALL).unwrap();
        for number in 0..lines {
            if number % 7 == 3 {
                let mut by_hand = fs::OpenOptions::new()
                    .append(true)
                    .open(self.place.active())
                    .unwrap();
                std::io::Write::write_all(&mut by_hand, b"{\"note\":\"by hand\"}\n").unwrap();
            }
            self.clock
                .advance(Duration::from_millis(100 + number * 37 % 900));
            let mut one = Lines::new();
            one.push("thing.happened", self.clock.now(), |out| {
                out.extend_from_slice(format!("\"n\":{number}").as_bytes());
            });
            wait(engine.append("x", Expect::Any, None, one, None)).unwrap();
        }
        engine.close();
    }

    /// Compresses the oldest sealed segment, as a person may.
    pub fn compress_first(&self) {
        let Some(first) = self.place.names("x.0").into_iter().next() else {
            return;
        };
        let path = self.place.logs().join(first);
        let packed = zstd::encode_all(&*fs::read(&path).unwrap(), 3).unwrap();
        fs::write(path.with_extension("ndjson.zst"), packed).unwrap();
        fs::remove_file(path).unwrap();
    }

    pub fn home(&self) -> &Path {
        self.place.folder.path()
    }

    pub fn to(&self) -> PathBuf {
        self.home().join("kept")
    }

    pub fn take_by(&self, files: &dyn Files) -> Result<Taken, BackupError> {
        take(files, &*self.clock, self.home(), &self.to())
    }

    pub fn take(&self) -> Taken {
        self.take_by(&RealFiles).unwrap()
    }

    /// Own lines of `x`: `seq`, `ts` and `h`, in order.
    pub fn model(&self) -> Vec<(u64, String, String)> {
        own_lines(&self.place.logs())
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Own lines of the stream `x` below `logs`, read without the program's help but for `line::parse`.
pub fn own_lines(logs: &Path) -> Vec<(u64, String, String)> {
    let mut names = RealFiles.list(logs).unwrap();
    names.retain(|name| name.starts_with("x."));
    // Sealed ones begin with a digit, which sorts before the active one's `n`.
    let mut found = Vec::new();
    for name in names {
        let mut bytes = fs::read(logs.join(&name)).unwrap();
        if name.strip_suffix(".zst").is_some() {
            bytes = zstd::decode_all(&*bytes).unwrap();
        }
        let own = bytes.split(|byte| *byte == b'\n').filter_map(line::parse);
        found.extend(own.map(|own| (own.seq, text(own.ts), text(&own.h))));
    }
    found
}

pub fn restored(from: &Path, to: &Path, until: Option<&Until>) -> Result<Restored, BackupError> {
    restore(&RealFiles, from, to, until, &HISTORY)
}

pub fn reports(home: &Path) -> Vec<StreamReport> {
    verify(&RealFiles, &home.join("logs"), &Anchors::default()).unwrap()
}

pub fn visible(folder: &Path) -> Vec<String> {
    let mut names = RealFiles.list(folder).unwrap();
    names.retain(|name| !name.starts_with('.'));
    names
}

/// The files that a damaged backup names.
pub fn named(outcome: Result<impl Sized, BackupError>) -> Vec<String> {
    match outcome {
        Err(BackupError::Damaged { faults, .. }) => {
            faults.into_iter().map(|fault| fault.file).collect()
        }
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("the damage was not seen"),
    }
}

pub fn all_files(folder: &Path, above: &str, found: &mut Vec<String>) {
    for name in RealFiles.list(&folder.join(above)).unwrap() {
        let path = if above.is_empty() {
            name
        } else {
            format!("{above}/{name}")
        };
        if folder.join(&path).is_dir() {
            all_files(folder, &path, found);
        } else {
            found.push(path);
        }
    }
}

pub fn files_of(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    all_files(folder, "", &mut found);
    found
}

pub fn stamp(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}
