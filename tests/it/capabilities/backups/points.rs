//! Restores to random points of a past that had everything in it: events, flags changed over HTTP
//! and by hand, experiments, rotations. Each must be the state that was live then, by number, count
//! and chain of every journal, and by what a daemon on it answers. 20 points; 100 by `SLOW=1`.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use echopilot::platform::config::HISTORY;
use echopilot::seams::clock::SystemClock;
use echopilot::seams::files::RealFiles;
use echopilot::storage::backup::{Until, restore, take};
use serde_json::{Value, json};

use super::lab::ends;
use crate::world::World;

type Ends = Vec<(String, u64, Vec<u8>, u64)>;

/// The journals that the calls and edits here write to; each waits until its lines are there.
const OWN: [&str; 3] = ["experiments", "feature_flags", "configs"];

/// What was live at a point.
struct Point {
    at: DateTime<Utc>,
    ends: Ends,
    flags: Value,
    report: Value,
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

fn flags(world: &World) -> Value {
    world.get("/api/flags/get").expect(200)
}

fn report(world: &World) -> Value {
    world.get("/api/exp/list").expect(200)
}

/// Lines on flags and on configurations.
fn recorded(world: &World) -> (usize, usize) {
    let lines = |name: &str| world.journal(name).len();
    (lines("feature_flags"), lines("configs"))
}

/// Waits until a change is on record in both; nobody who made it waits for the second.
fn until_recorded(world: &World, before: (usize, usize)) {
    world.until("the edit is on record", |world| {
        let now = recorded(world);
        now.0 > before.0 && now.1 > before.1
    });
}

/// Something happens.
fn act(world: &World, random: &mut Random, number: u64) {
    match random.below(10) {
        0 => {
            let value = !flags(world)["flags"]["ui.new_dashboard"]
                .as_bool()
                .unwrap_or(false);
            let body = json!({ "key": "ui.new_dashboard", "value": value });
            let before = recorded(world);
            world.post("/api/flags/set", &body).expect(200);
            until_recorded(world, before);
        }
        1 => {
            let path = world.home().join("configs/flags.json");
            let text = std::fs::read_to_string(path).unwrap();
            let mut file: Value = serde_json::from_str(&text).unwrap();
            file["by.hand"] = json!(number);
            let before = recorded(world);
            world.save("flags.json", &file.to_string());
            until_recorded(world, before);
        }
        2 | 3 => {
            let user = random.below(60);
            let path = format!("/api/exp/assign?user=u{user}&exp=pricing_v2");
            world.get(&path).expect(200);
        }
        _ => {
            let user = format!("u{}", random.below(60));
            let variant = world.get(&format!("/api/exp/assign?user={user}&exp=pricing_v2"));
            let variant = variant.expect(200)["variant"].clone();
            let body = json!({ "event": "signup", "user": user, "exp": "pricing_v2",
                "variant": variant, "id": format!("e{number}") });
            world.post("/api/exp/log", &body).expect(200);
        }
    }
}

/// Where the journals of a folder end that have a line: whether an empty file is there as well says
/// nothing.
fn with_lines(home: &Path) -> Ends {
    let mut ends = ends(home);
    ends.retain(|(_, last, ..)| *last > 0);
    ends
}

/// Where every journal stands once all that was begun has come to its end.
fn at_rest(world: &World) -> Ends {
    let mut last = Ends::new();
    world.until("all journals are at rest", |world| {
        world.settle();
        // From one journal to the next, and back into the first.
        world.drain(4);
        let now = with_lines(world.home());
        let is_same = now == last;
        last = now;
        is_same
    });
    last
}

fn past(points: usize, random: &mut Random) -> (World, Vec<Point>) {
    let short = r#"{ "journals": { "segment_bytes": 65536 } }"#;
    let world = World::with_config("echopilot.json", short).start();
    let mut told = Vec::new();
    let mut number = 0;
    while told.len() < points {
        for _ in 0..random.below(60) {
            act(&world, random, number);
            number += 1;
            if random.below(4) == 0 {
                world
                    .clock
                    .advance(Duration::from_millis(random.below(40_000)));
            }
        }
        world.advance(Duration::from_secs(1 + random.below(300)));
        // Reading may write too, so the journals are looked at last.
        let (flags, report) = (flags(&world), report(&world));
        told.push(Point {
            ends: at_rest(&world),
            at: world.now(),
            flags,
            report,
        });
        // Whatever comes now has a later instant.
        world.clock.advance(Duration::from_secs(2));
    }
    (world, told)
}

fn restored(from: &Path, to: &Path, until: &Until) -> Ends {
    restore(&RealFiles, from, to, Some(until), &HISTORY).unwrap();
    with_lines(to)
}

#[test]
fn a_restore_to_any_of_many_points_is_the_live_state_of_that_point() {
    let points = if std::env::var_os("SLOW").is_some() {
        100
    } else {
        20
    };
    let mut random = Random(0x5eed);
    let (mut world, points) = past(points, &mut random);
    let sealed = std::fs::read_dir(world.home().join("logs")).unwrap();
    let sealed = sealed.filter(|one| {
        let name = one.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("experiments.0")
    });
    assert!(sealed.count() > 0, "the journal was rotated meanwhile");
    let outside = tempfile::tempdir().unwrap();
    let to = outside.path().join("kept");
    let taken = take(&RealFiles, &SystemClock::new(), world.home(), &to).unwrap();
    world.stop();

    for (number, point) in points.iter().enumerate() {
        let fresh = World::at(point.at);
        let now = restored(&taken.folder, fresh.home(), &Until::Time(point.at));
        assert_eq!(now, point.ends, "point {number} at {}", point.at);
        // One journal by its line.
        let own = OWN[number % OWN.len()];
        let then = point.ends.iter().find(|one| one.0 == own);
        let then = then.expect("it was written to");
        let line = Until::Line {
            stream: then.0.clone(),
            seq: then.1,
        };
        let new = outside.path().join(format!("line-{number}"));
        let now = restored(&taken.folder, &new, &line);
        assert!(now.contains(then), "point {number}, {line:?}");
        std::fs::remove_dir_all(&new).unwrap();
        if number % 5 == 0 {
            let fresh = fresh.start();
            assert_eq!(flags(&fresh), point.flags, "point {number}");
            assert_eq!(report(&fresh), point.report, "point {number}");
        }
    }
}
