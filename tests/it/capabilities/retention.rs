//! The task `retention`: what it packs and removes over two years, what it must not, and what a
//! kill in the middle costs.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use echopilot::platform::config::{DaemonConfig, cuttable, read};
use echopilot::seams::clock::{Clock, ManualClock, SystemClock};
use echopilot::seams::files::{Files, RealFiles};
use echopilot::storage::anchors::Anchors;
use echopilot::storage::engine::{Durability, Engine, Expect, Mark, StreamOptions};
use echopilot::storage::files::{FilesEngine, FilesSettings};
use echopilot::storage::lines::Lines;
use echopilot::storage::verify::{StreamReport, verify};
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::world::World;

/// A fortnight, in hours.
const FORTNIGHT: u64 = 14 * 24;

fn reports(home: &Path) -> Vec<StreamReport> {
    verify(&RealFiles, &home.join("logs"), &Anchors::default()).unwrap()
}

fn report(world: &World, journal: &str) -> StreamReport {
    let all = reports(world.home());
    all.into_iter().find(|one| one.stream == journal).unwrap()
}

fn files(home: &Path, start: &str) -> Vec<String> {
    let mut names = RealFiles.list(&home.join("logs")).unwrap();
    names.retain(|name| name.starts_with(start));
    names
}

#[track_caller]
fn tidy(world: &World) -> Value {
    let answer = world.post("/api/tasks/retention/run?wait=30s", &Value::Null);
    assert!(answer.status < 300, "{}", answer.body);
    world.settle();
    let runs = world.journal_of("task_runs", "task.finished");
    let last = runs.iter().rfind(|run| run["task"] == "retention");
    last.expect("a record").clone()
}

#[test]
fn two_years_on_a_stepped_clock_keep_what_counts_and_no_more() {
    let settings = r#"{ "journals": { "retention_days": { "upkeep": 30, "task_runs": 400 } } }"#;
    let mut world = World::with_config("echopilot.json", settings).start();
    world
        .post("/api/tasks/self-heal/pause", &Value::Null)
        .expect(200);
    let set = json!({ "key": "ui.new_dashboard", "value": true });
    world.post("/api/flags/set", &set).expect(200);
    for _ in 0..2 * 26 {
        world.advance(Duration::from_hours(FORTNIGHT));
        world.settle();
        let record = tidy(&world);
        assert_eq!(record["outcome"], "ok", "{record}");
    }
    for one in reports(world.home()) {
        assert_eq!(one.bad, Vec::new(), "{}", one.stream);
    }
    let upkeep = report(&world, "upkeep");
    assert!(
        upkeep.begins_at > 50 && upkeep.removed_at.is_some(),
        "{upkeep:?}"
    );
    let first = world.journal("upkeep").first().unwrap()["ts"]
        .as_str()
        .unwrap()
        .to_owned();
    let first: chrono::DateTime<chrono::Utc> = first.parse().unwrap();
    assert!(world.now() - first < TimeDelta::days(30 + 28), "{first}");
    // The pause of the first day still holds, and so its line is there.
    assert_eq!(report(&world, "task_runs").begins_at, 1);
    assert_eq!(
        report(&world, "feature_flags").begins_at,
        1,
        "state is never cut"
    );
    let old = files(world.home(), "task_runs.0");
    assert!(old.len() > 40 && is_packed(&old[0]), "{old:?}");
    // Without its checkpoints it means the same.
    world.stop();
    std::fs::remove_dir_all(world.home().join("logs/.views")).unwrap();
    let world = world.start();
    let paused = world.get("/api/tasks/self-heal").expect(200);
    assert_eq!(paused["paused"], true, "{paused}");
    let flags = world.get("/api/flags/get").expect(200);
    assert_eq!(flags["flags"]["ui.new_dashboard"], true);
    world
        .post("/api/tasks/self-heal/resume", &Value::Null)
        .expect(200);
    assert!(tidy(&world)["output"]["removed"].as_u64().unwrap() > 10);
    assert!(report(&world, "task_runs").begins_at > 100);
    let told = world.journal_of("storage", "segment.removed");
    let about: BTreeSet<&str> = told
        .iter()
        .filter_map(|line| line["about"].as_str())
        .collect();
    assert_eq!(about, BTreeSet::from(["task_runs", "upkeep"]));
    assert!(
        told[0]["last_h"].as_str().unwrap().len() == 16,
        "{}",
        told[0]
    );
}

#[test]
fn stabilize_mode_holds_it_and_a_filling_disk_brings_it_forward() {
    let world = World::new();
    for _ in 0..4 {
        world.advance(Duration::from_hours(25));
        world.settle();
    }
    let packed = |world: &World| {
        let all = files(world.home(), "");
        all.iter().filter(|name| is_packed(name)).count()
    };
    assert_eq!(packed(&world), 0, "a week has not passed");
    let stabilized = |value: bool| {
        let set = json!({ "key": "STABILIZE_MODE", "value": value });
        world.post("/api/flags/set", &set).expect(200);
    };
    stabilized(true);
    let tib = 1 << 40;
    let space = echopilot::seams::files::Space {
        total: tib,
        available: tib / 20,
    };
    world.files.set_space(Some(space));
    world.until("the filling is known", |world| {
        world.app().engine.medium().low
    });
    assert_eq!(tidy(&world)["outcome"], "frozen");
    world.pass(Duration::from_mins(5), Duration::from_secs(30));
    assert_eq!(packed(&world), 0, "frozen");
    stabilized(false);
    world.until("segments are packed", |world| {
        world.pass(Duration::from_mins(1), Duration::from_secs(30));
        packed(world) > 3
    });
    world.until("it is on record", |world| {
        !world.journal_of("upkeep", "upkeep.tidied").is_empty()
    });
}

#[test]
fn journals_that_are_the_state_are_not_cut() {
    let told = |retention: &str| {
        let text = format!(r#"{{ "journals": {{ "retention_days": {retention} }} }}"#);
        let read = read::<DaemonConfig>("configs/echopilot.json", text.as_bytes());
        read.map(|rules| rules.retention_days)
            .map_err(|problems| problems.to_string())
    };
    for journal in [
        "feature_flags",
        "experiments",
        "keys",
        "configs",
        "incidents",
        "unknown",
    ] {
        let refused = told(&format!(r#"{{ "{journal}": 400 }}"#)).unwrap_err();
        let wanted = format!("the key `{journal}`");
        assert!(
            refused.contains(&wanted) && refused.contains("`upkeep`"),
            "{refused}"
        );
        assert!(refused.contains("kept whole"), "{refused}");
    }
    let short = told(r#"{ "samples": 39, "upkeep": 0 }"#).unwrap_err();
    assert!(
        short.contains("`journals.retention_days.samples` is 39"),
        "{short}"
    );
    assert!(
        short.contains("`journals.retention_days.upkeep` is 0"),
        "{short}"
    );
    assert_eq!(told(r#"{ "samples": 40, "upkeep": 1 }"#).unwrap().len(), 2);
    // Each of them is a journal.
    let world = World::new();
    let streams = world.app().engine.streams();
    for journal in cuttable() {
        assert!(
            streams.iter().any(|stream| stream == journal),
            "{journal} in {streams:?}"
        );
    }
}

/// A home with many old sealed segments; gives their lines.
fn old_home(home: &Path) -> Vec<Vec<u8>> {
    let long_ago = SystemClock::new().now() - TimeDelta::days(30);
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(long_ago));
    let mut settings = FilesSettings::new(home);
    settings.reserve_bytes = 0;
    let engine = FilesEngine::open(settings, Arc::new(RealFiles), clock).unwrap();
    let options = StreamOptions {
        durability: Durability::Always,
        segment_bytes: 60_000,
        segment_age: Duration::from_hours(24),
    };
    engine.open("experiments", options).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for number in 0..60 {
        let mut lines = Lines::new();
        for line in 0..500_u64 {
            lines.push("event.logged", long_ago, |out| {
                let noise = (number * 500 + line).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                let text = format!(
                    "\"exp\":\"pricing_v2\",\"variant\":\"A\",\"event\":\"signup\",\
                     \"user\":\"u{noise:x}\""
                );
                out.extend_from_slice(text.as_bytes());
            });
        }
        runtime
            .block_on(engine.append("experiments", Expect::Any, None, lines, None))
            .unwrap();
    }
    let mut text = Vec::new();
    engine
        .scan("experiments", &Mark::default(), &mut |chunk| {
            text.extend_from_slice(chunk.bytes);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    engine.close();
    text.split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

#[test]
fn kills_while_it_packs_lose_nothing() {
    let rounds = if std::env::var_os("SLOW").is_some() {
        60
    } else {
        8
    };
    let home = tempfile::tempdir().unwrap();
    let lines = old_home(home.path());
    let sealed = files(home.path(), "experiments.0").len();
    assert!(sealed > 50, "{sealed}");
    let packed = || {
        let all = files(home.path(), "experiments.0");
        all.iter().filter(|name| is_packed(name)).count()
    };
    for round in 0..rounds {
        let goal = (round + 1) * sealed / (rounds + 2);
        let daemon = Daemon::start(home.path());
        let mut client = daemon.client();
        let asked = client
            .call("POST", "/api/tasks/retention/run", &[], b"")
            .unwrap();
        assert_eq!(asked.status, 202);
        // Sometimes as soon as a temporary file is there, sometimes later.
        while packed() < goal && (round % 2 == 0 || files(home.path(), ".packing").is_empty()) {
            std::thread::yield_now();
        }
        daemon.kill();
        let mut seen = 0;
        for name in files(home.path(), "experiments.0") {
            let twin = files(home.path(), &format!("{name}.zst"));
            seen += usize::from(!twin.is_empty() || is_packed(&name));
        }
        assert!(seen <= sealed + 1);
    }
    let daemon = Daemon::start(home.path());
    let mut client = daemon.client();
    let ran = client
        .call("POST", "/api/tasks/retention/run?wait=50s", &[], b"")
        .unwrap();
    assert_eq!(ran.status, 200, "{}", String::from_utf8_lossy(&ran.body));
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(files(home.path(), ".packing"), Vec::<String>::new());
    let left: BTreeSet<String> = files(home.path(), "experiments.0").into_iter().collect();
    assert!(
        left.iter().filter(|name| !is_packed(name)).count() <= 1,
        "{left:?}"
    );
    let experiments = reports(home.path())
        .into_iter()
        .find(|one| one.stream == "experiments");
    assert_eq!(experiments.unwrap().bad, Vec::new());
    let mut text = Vec::new();
    for name in left {
        let bytes = std::fs::read(home.path().join("logs").join(&name)).unwrap();
        let plain = if is_packed(&name) {
            zstd::decode_all(&*bytes).unwrap()
        } else {
            bytes
        };
        text.extend_from_slice(&plain);
    }
    text.extend(std::fs::read(home.path().join("logs/experiments.ndjson")).unwrap());
    let now: BTreeSet<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    assert!(
        lines.iter().all(|line| now.contains(&**line)),
        "lines are lost"
    );
}

/// Whether a segment of this name is compressed.
fn is_packed(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|ending| ending == "zst")
}
