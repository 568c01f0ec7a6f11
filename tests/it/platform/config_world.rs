//! A folder of configurations with a store over it, and what a person does to files.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use echopilot::base::json::{Path, Tree};
use echopilot::base::problems::Problems;
use echopilot::platform::changes::Changes;
use echopilot::platform::config::{Config, ConfigStatus, ConfigStore, Live, schema_of, typed};
use echopilot::seams::clock::{Clock, SystemClock};
use echopilot::seams::files::{FaultyFiles, RealFiles};
use echopilot::storage::engine::Engine;
use echopilot::storage::files::{FilesEngine, FilesSettings};
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::Value as Json;

/// Longest wait for anything: rule C4's look every 5 s, and room for a busy machine.
const BOUND: Duration = Duration::from_secs(15);

/// Waits until `is_so`, at most [`BOUND`].
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < BOUND, "not within {BOUND:?}: {what}");
        std::thread::park_timeout(Duration::from_micros(500));
    }
    start.elapsed()
}

/// Switches that must come with their count: a torn or mixed text cannot pass.
pub struct Toggles;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawToggles {
    /// How many switches there are.
    count: usize,
    /// The switches.
    toggles: BTreeMap<String, bool>,
}

impl Config for Toggles {
    const FILE: &'static str = "toggles.json";
    const SHIPPED: &'static str =
        "{\n  \"count\": 2,\n  \"toggles\": { \"pay.live\": true, \"new\": false }\n}\n";
    type Rules = BTreeMap<String, bool>;

    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<Self::Rules> {
        let raw: RawToggles = typed(tree, problems)?;
        if raw.count == raw.toggles.len() {
            return Some(raw.toggles);
        }
        problems.not_allowed(
            Path::from("count"),
            raw.count,
            raw.toggles.len(),
            "count again",
        );
        None
    }

    fn schema() -> Schema {
        schema_of::<RawToggles>()
    }
}

/// A text with the given switches, all `on`, laid out as people do.
pub fn text(names: &[&str], on: bool) -> String {
    let members: Vec<_> = names
        .iter()
        .map(|name| format!("    \"{name}\": {on}"))
        .collect();
    let count = names.len();
    format!(
        "{{\n  \"count\": {count},\n  \"toggles\": {{\n{}\n  }}\n}}\n",
        members.join(",\n")
    )
}

pub struct World {
    pub folder: tempfile::TempDir,
    /// The disk, which may be told to fail.
    pub files: FaultyFiles,
    running: Option<Running>,
}

struct Running {
    engine: Arc<FilesEngine>,
    store: ConfigStore,
    live: Live<BTreeMap<String, bool>>,
}

impl World {
    /// A first start in an empty folder.
    pub fn new() -> Self {
        let mut world = Self {
            folder: tempfile::tempdir().expect("a folder"),
            files: FaultyFiles::over(Arc::new(RealFiles)),
            running: None,
        };
        fs::create_dir_all(world.folder.path().join("configs")).expect("configs");
        world.start();
        world
    }

    pub fn start(&mut self) {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let mut settings = FilesSettings::new(self.folder.path());
        settings.reserve_bytes = 0;
        let files = Arc::new(self.files.clone());
        let engine = FilesEngine::open(settings, files, Arc::clone(&clock));
        let engine = Arc::new(engine.expect("opens"));
        let changes = Changes::default();
        let store = ConfigStore::new(Arc::clone(&engine) as Arc<dyn Engine>, clock, changes);
        let store = store.expect("a store");
        let live = store.register::<Toggles>().expect("never refuses to start");
        self.running = Some(Running {
            engine,
            store,
            live,
        });
    }

    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.store.close();
            running.engine.close();
        }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("started")
    }

    pub fn store(&self) -> &ConfigStore {
        &self.running().store
    }

    pub fn live(&self) -> &Live<BTreeMap<String, bool>> {
        &self.running().live
    }

    pub fn toggle(&self, name: &str) -> Option<bool> {
        self.live().get().rules.get(name).copied()
    }

    pub fn status(&self) -> ConfigStatus {
        self.store().status().remove(0)
    }

    pub fn is_degraded(&self) -> bool {
        self.status().degraded.is_some()
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("configs/toggles.json")
    }

    pub fn on_disk(&self) -> String {
        fs::read_to_string(self.file()).expect("the document")
    }

    /// Saves as most tools do: whole under another name, then into place.
    pub fn save_by_rename(&self, body: impl AsRef<[u8]>) {
        let temporary = self.folder.path().join("configs/toggles.json.new");
        fs::write(&temporary, body).expect("written");
        fs::rename(temporary, self.file()).expect("renamed");
    }

    pub fn save_in_place(&self, body: impl AsRef<[u8]>) {
        fs::write(self.file(), body).expect("written");
    }

    /// The journal `configs`, kind and members of each line, once everything is recorded.
    pub fn recorded(&self) -> Vec<Json> {
        self.store().flush();
        let lines = fs::read_to_string(self.folder.path().join("logs/configs.ndjson"));
        lines
            .expect("the journal")
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line is JSON"))
            .filter(|line: &Json| line["file"] == "toggles.json")
            .collect()
    }

    pub fn recorded_kinds(&self) -> Vec<(String, String)> {
        let word = |line: &Json, key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let pair = |line: &Json| (word(line, "kind"), word(line, "actor"));
        self.recorded().iter().map(pair).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop();
    }
}
