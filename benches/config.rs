//! How fast a document is read, and how soon a saved one is in force.
//!
//! `cargo bench --bench config`. Prints the reading speed next to that of `serde_json` into a value
//! (which keeps no places), and the time from the end of a save to the swap.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]
#![expect(
    clippy::disallowed_methods,
    reason = "stands outside, as a person at an editor does"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use echopilot::base::json::Tree;
use echopilot::base::problems::Problems;
use echopilot::platform::changes::Changes;
use echopilot::platform::config::{Config, ConfigStore, Live, read, schema_of, typed};
use echopilot::seams::clock::{Clock, SystemClock};
use echopilot::seams::files::RealFiles;
use echopilot::storage::engine::Engine;
use echopilot::storage::files::{FilesEngine, FilesSettings};
use schemars::{JsonSchema, Schema};
use serde::Deserialize;

/// Keys of the document.
const KEYS: usize = 10_000;
/// Saves of each kind.
const SAVES: usize = 60;

/// One flag, plain or with a note, as in the first form of `flags.json`.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only read, never used")]
enum Flag {
    Plain(bool),
    Text(String),
}

struct Flags;

impl Config for Flags {
    const FILE: &'static str = "flags.json";
    const SHIPPED: &'static str = "{}\n";
    type Rules = BTreeMap<String, Flag>;

    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<Self::Rules> {
        typed(tree, problems)
    }

    fn schema() -> Schema {
        schema_of::<Self::Rules>()
    }
}

/// A document of about 1 MB with flat keys.
fn document(round: usize) -> String {
    let members: Vec<_> = (0..KEYS)
        .map(|n| {
            format!(
                "  \"team.area{}.switch_{n:05}\": \"{:060}\"",
                n % 97,
                n + round
            )
        })
        .collect();
    format!("{{\n{}\n}}\n", members.join(",\n"))
}

fn speed(name: &str, bytes: usize, mut run: impl FnMut()) {
    const ROUNDS: usize = 40;
    run();
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed());
    }
    println!(
        "{name}: {:.0} MB/s, {best:?}",
        bytes as f64 / best.as_secs_f64() / 1e6
    );
}

fn reading() {
    let text = document(0);
    println!("document of {} bytes, {KEYS} keys", text.len());
    speed("tree with places and duplicate check", text.len(), || {
        black_box(Tree::parse(black_box(&text)).is_ok());
    });
    speed("whole reading: tree, shape, types", text.len(), || {
        black_box(read::<Flags>("flags.json", black_box(text.as_bytes())).is_ok());
    });
    speed("serde_json into a value", text.len(), || {
        black_box(serde_json::from_str::<serde_json::Value>(black_box(&text)).is_ok());
    });
}

fn reloads(name: &str, live: &Live<BTreeMap<String, Flag>>, mut save: impl FnMut(&str)) {
    let mut times = Vec::with_capacity(SAVES);
    for round in 0..SAVES {
        let text = document(times.len() + round + name.len() * 1000);
        save(&text);
        let start = Instant::now();
        while *live.get().text != *text.as_bytes() {
            std::thread::park_timeout(Duration::from_micros(100));
        }
        times.push(start.elapsed());
    }
    times.sort();
    println!(
        "{name}: median {:?}, worst of {SAVES} {:?}",
        times[SAVES / 2],
        times[SAVES - 1]
    );
}

fn main() {
    reading();
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let settings = FilesSettings::new(folder.path());
    let engine = FilesEngine::open(settings, Arc::new(RealFiles), Arc::clone(&clock)).unwrap();
    let engine: Arc<dyn Engine> = Arc::new(engine);
    let store = ConfigStore::new(Arc::clone(&engine), clock, Changes::default()).unwrap();
    let live = store.register::<Flags>().unwrap();
    let file = folder.path().join("configs/flags.json");
    let other: &Path = &folder.path().join("configs/flags.json.new");
    reloads("save by rename to swap", &live, |text| {
        std::fs::write(other, text).unwrap();
        std::fs::rename(other, &file).unwrap();
    });
    reloads("save in place to swap", &live, |text| {
        std::fs::write(&file, text).unwrap();
    });
    store.close();
    engine.close();
}
