//! Engines in temporary folders, and the few steps that most storage tests share.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use echopilot::seams::clock::{Clock, SystemClock};
use echopilot::seams::files::{FaultyFiles, Files, RealFiles};
use echopilot::storage::engine::{
    Durability, Engine, Expect, Mark, Position, StorageError, StreamOptions,
};
use echopilot::storage::files::{FilesEngine, FilesSettings};
use echopilot::storage::line;
use echopilot::storage::lines::Lines;

/// Options under which a segment never ends by itself.
pub const OPTIONS: StreamOptions = StreamOptions {
    durability: Durability::Always,
    segment_bytes: 64 << 20,
    segment_age: Duration::from_hours(24),
};

/// A folder, and the engine that owns it for now.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub files: FaultyFiles,
}

impl Place {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            files: FaultyFiles::over(Arc::new(RealFiles)),
        }
    }

    pub fn engine(&self) -> FilesEngine {
        self.engine_by(Arc::new(SystemClock::new()))
    }

    pub fn engine_by(&self, clock: Arc<dyn Clock>) -> FilesEngine {
        let mut settings = FilesSettings::new(self.folder.path());
        settings.reserve_bytes = 0;
        let files: Arc<dyn Files> = Arc::new(self.files.clone());
        FilesEngine::open(settings, files, clock).unwrap()
    }

    /// An engine with the stream `x` open.
    pub fn with_stream(&self) -> FilesEngine {
        self.with_stream_of(OPTIONS)
    }

    pub fn with_stream_of(&self, options: StreamOptions) -> FilesEngine {
        let engine = self.engine();
        engine.open("x", options).unwrap();
        engine
    }

    pub fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    pub fn active(&self) -> PathBuf {
        self.logs().join("x.ndjson")
    }

    /// File names in `logs/` that begin with `start`.
    pub fn names(&self, start: &str) -> Vec<String> {
        let mut names = RealFiles.list(&self.logs()).unwrap();
        names.retain(|name| name.starts_with(start));
        names
    }
}

/// One line with `"n":number`.
pub fn numbered(number: u64) -> Lines {
    let mut lines = Lines::new();
    lines.push("thing.happened", SystemClock::new().now(), |out| {
        out.extend_from_slice(format!("\"n\":{number}").as_bytes());
    });
    lines
}

/// Appends and waits, as a thread without a runtime does.
pub fn append(engine: &dyn Engine, number: u64) -> Result<Position, StorageError> {
    wait(engine.append("x", Expect::Any, None, numbered(number), None))
}

/// Waits for a future on this thread.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Everything a stream holds after `from`.
pub fn bytes_after(engine: &dyn Engine, from: &Mark) -> Result<(Vec<u8>, Mark), StorageError> {
    let mut all = Vec::new();
    let mut end = *from;
    engine.scan("x", from, &mut |chunk| {
        all.extend_from_slice(chunk.bytes);
        end = chunk.end.unwrap_or(end);
        ControlFlow::Continue(())
    })?;
    Ok((all, end))
}

/// The lines of ours that a test appended: their `seq` and their number.
pub fn appended(engine: &dyn Engine) -> Vec<(u64, u64)> {
    let (all, _) = bytes_after(engine, &Mark::default()).unwrap();
    own_numbers(&all)
}

/// The same of bytes that are there already.
pub fn own_numbers(all: &[u8]) -> Vec<(u64, u64)> {
    let own = all
        .split_inclusive(|byte| *byte == b'\n')
        .filter_map(|whole| line::parse(whole.strip_suffix(b"\n")?));
    own.filter_map(|own| {
        let text = std::str::from_utf8(own.members).ok()?;
        Some((own.seq, text.strip_prefix("\"n\":")?.parse().ok()?))
    })
    .collect()
}

/// Waits until `reached`, at most a minute: a bound for what hangs, with room for a machine that is
/// slow and busy.
pub fn until(what: &str, reached: impl FnMut() -> bool) {
    until_within(Duration::from_mins(1), what, reached);
}

/// Waits until `reached`, at most `bound`.
pub fn until_within(bound: Duration, what: &str, mut reached: impl FnMut() -> bool) {
    let clock = SystemClock::new();
    let mut pause = Duration::from_millis(2);
    while !reached() {
        assert!(clock.uptime() < bound, "waited in vain until {what}");
        std::thread::park_timeout(pause);
        // Many tests wait at once, and looking costs the others time.
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Reads a file past every fault.
pub fn read(path: &Path) -> Vec<u8> {
    let mut file = RealFiles.open_read(path).unwrap();
    echopilot::seams::files::read_whole(&mut *file, u64::MAX).unwrap()
}
