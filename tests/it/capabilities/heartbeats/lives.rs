//! What a heartbeat is over restarts, kills, steps of the clock and a disk that refuses.

use chrono::TimeDelta;
use echopilot::seams::files::{Fault, How, Op};
use serde_json::{Value, json};

use super::{
    HOUR, MINUTE, SECOND, alerts, beat, before, config, hourly, lines, ping, until, world,
};
use crate::world::World;

#[test]
fn every_state_outlives_an_orderly_end_and_a_kill() {
    let rules = json!({ "every": "1h", "grace": "10m" });
    let names = ["fresh", "up", "running", "late", "down", "paused"];
    let beats: Vec<_> = names.iter().map(|name| (*name, rules.clone())).collect();
    let mut world = world(&beats);
    ping(&world, "late");
    ping(&world, "down/fail");
    ping(&world, "paused");
    world
        .post("/api/heartbeats/paused/pause", &Value::Null)
        .expect(200);
    world.advance(MINUTE * 59);
    ping(&world, "up");
    ping(&world, "running/start?rid=r");
    world.advance(MINUTE * 2);
    let states = |world: &World| {
        let list = world.get("/api/heartbeats").expect(200);
        let all = list["heartbeats"].as_array().unwrap().clone();
        all.into_iter()
            .map(|beat| {
                (
                    beat["name"].clone(),
                    beat["state"].clone(),
                    beat["due_at"].clone(),
                )
            })
            .collect::<Vec<_>>()
    };
    let then = states(&world);
    let told: Vec<_> = then
        .iter()
        .map(|(_, state, _)| state.as_str().unwrap())
        .collect();
    assert_eq!(told, ["down", "new", "late", "paused", "running", "up"]);
    world.until("one is told of", |world| alerts(world).len() == 1);
    for life in 0..6 {
        if life % 2 == 0 {
            world.kill();
            world = world.start();
        } else {
            world.restart();
        }
        assert_eq!(states(&world), then, "life {life}");
        assert_eq!(alerts(&world).len(), 1);
    }
    assert_eq!(lines(&world, "alert.fired").len(), 1, "told once");
    ping(&world, "running?rid=r");
    let took = beat(&world, "running")["last_duration_ms"]
        .as_u64()
        .unwrap();
    // An orderly end may take a second or two of the stepped clock.
    assert!((120_000..130_000).contains(&took), "{took}");
}

#[test]
fn what_could_not_come_while_we_were_down_is_excused_once_and_not_for_ever() {
    let mut world = hourly();
    ping(&world, "job");
    world.stop();
    world.clock.advance(HOUR * 5);
    world = world.start();
    world.until("it is excused", |world| {
        world.journal_of("heartbeats", "heartbeat.excused").len() == 1
    });
    assert_eq!(beat(&world, "job")["state"], "late");
    // A period and the grace time from the start, however often it starts.
    assert_eq!(
        beat(&world, "job")["deadline_at"],
        "2026-11-21T18:10:00.000Z"
    );
    for _life in 0..3 {
        world.kill();
        world.clock.advance(MINUTE * 20);
        world = world.start();
    }
    assert_eq!(
        beat(&world, "job")["deadline_at"],
        "2026-11-21T18:10:00.000Z"
    );
    world.advance(MINUTE * 9 + SECOND * 59);
    assert_eq!(beat(&world, "job")["state"], "late");
    world.advance(SECOND);
    until(&world, "job", "down");
    world.until("it is told", |world| alerts(world).len() == 1);
    assert_eq!(alerts(&world)[0]["started_at"], "2026-11-21T13:00:00.000Z");
    // What was due only after the start is not excused by it.
    ping(&world, "job");
    world.restart();
    world.advance(MINUTE * 70);
    until(&world, "job", "down");
}

#[test]
fn a_step_of_the_wall_clock_neither_ages_a_heartbeat_nor_keeps_it_young() {
    let every = json!({ "every": "1h", "grace": "10m" });
    let cron = json!({ "cron": "0 15 * * *", "grace": "10m" });
    let world = world(&[("every", every), ("cron", cron)]);
    ping(&world, "every");
    ping(&world, "cron");
    world.step_wall(TimeDelta::hours(4));
    world.advance(MINUTE);
    assert_eq!(beat(&world, "every")["state"], "up");
    assert_eq!(
        beat(&world, "cron")["state"],
        "late",
        "15:00 was stepped over"
    );
    let excused = world.journal_of("heartbeats", "heartbeat.excused");
    assert_eq!(excused.len(), 1, "{excused:?}");
    assert_eq!(excused[0]["name"], "cron");
    world.step_wall(TimeDelta::hours(-4));
    world.advance(MINUTE * 67);
    assert_eq!(beat(&world, "every")["state"], "late");
    world.advance(MINUTE * 2);
    until(&world, "every", "down");
}

#[test]
fn a_signal_is_answered_when_it_is_durable_and_a_refused_one_is_no_alarm() {
    let mut world = hourly();
    ping(&world, "job");
    world.advance(MINUTE * 59);
    world.files.fail(Fault {
        op: Op::Write,
        at: 1,
        forever: true,
        how: How::Enospc,
    });
    let refused = world.post("/ping/key-of-job", &Value::Null);
    assert_eq!(refused.status, 503, "{}", refused.body);
    world.files.heal();
    world.advance(MINUTE * 30);
    assert_eq!(
        beat(&world, "job")["state"],
        "up",
        "the job has done its part"
    );
    world.advance(MINUTE * 40);
    until(&world, "job", "down");
    world.kill();
    world = world.start();
    assert_eq!(beat(&world, "job")["state"], "down");
}

#[test]
fn a_refused_signal_is_no_trouble_any_more_once_nobody_watches_its_job() {
    let world = hourly();
    ping(&world, "job");
    world.files.fail(Fault {
        op: Op::Write,
        at: 1,
        forever: true,
        how: How::Enospc,
    });
    let refused = world.post("/ping/key-of-job", &Value::Null);
    assert_eq!(refused.status, 503, "{}", refused.body);
    world.files.heal();
    let told = |world: &World| {
        let health = world.get("/health").body.to_string();
        health.contains("could not be written")
    };
    assert!(told(&world), "{}", world.get("/health").body);
    world.save("heartbeats.json", &config(&[]));
    world.advance(MINUTE);
    world.until("it is forgotten", |world| !told(world));
}

#[test]
fn lines_of_the_first_version_are_read_for_ever() {
    let golden = include_str!("../../../fixtures/logs/heartbeats.ndjson");
    let rules = json!({ "every": "1h", "grace": "10m" });
    let names = ["backup", "import", "gone"];
    let beats: Vec<_> = names.iter().map(|name| (*name, rules.clone())).collect();
    let world = before(&config(&beats));
    std::fs::create_dir_all(world.home().join("logs")).unwrap();
    std::fs::write(world.home().join("logs/heartbeats.ndjson"), golden).unwrap();
    let world = world.start();
    let backup = beat(&world, "backup");
    assert_eq!(backup["state"], "paused");
    assert_eq!(backup["pings"], 4);
    assert_eq!(backup["last_duration_ms"], 61_500);
    let import = beat(&world, "import");
    assert_eq!(
        (&import["state"], &import["cause"]),
        (&json!("down"), &json!("missed"))
    );
    assert_eq!(import["history"][0]["body"], "3 rows");
    assert_eq!(beat(&world, "gone")["state"], "new");
}
