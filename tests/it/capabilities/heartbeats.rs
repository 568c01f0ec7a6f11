//! Heartbeats as jobs and operators see them: over HTTP, in the journal, in the alert events, over
//! restarts and edits, to the exact instant.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::world::{World, at};

mod command;
mod lives;
mod outgoing;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// The configuration of heartbeats by name, each with a key that is `key-of-NAME`.
fn config(beats: &[(&str, Value)]) -> String {
    let mut all = serde_json::Map::new();
    for (name, rules) in beats {
        let mut rules = rules.clone();
        let digest = Sha256::digest(format!("key-of-{name}").as_bytes());
        let digest: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        rules["key_sha256"] = json!(digest.concat());
        all.insert((*name).to_owned(), rules);
    }
    json!({ "heartbeats": all }).to_string()
}

/// Tasks that are not ours and wait for time to pass: the loop would never rest.
const OTHERS: &str = r#"{ "tasks": { "ops-sentinel": { "paused": true } } }"#;

/// A world with this configuration, not yet running.
fn before(text: &str) -> World {
    World::with_config("heartbeats.json", text).config("tasks.json", OTHERS)
}

fn world(beats: &[(&str, Value)]) -> World {
    before(&config(beats)).start()
}

/// One job that is due each hour, with ten minutes of grace.
fn hourly() -> World {
    world(&[("job", json!({ "every": "1h", "grace": "10m" }))])
}

#[track_caller]
fn ping(world: &World, rest: &str) {
    let answer = world.post(&format!("/ping/key-of-{rest}"), &Value::Null);
    assert_eq!(answer.expect(200), "OK");
}

fn beat(world: &World, name: &str) -> Value {
    world.get(&format!("/api/heartbeats/{name}")).expect(200)
}

/// Waits until the heartbeat `name` is in `state`.
#[track_caller]
fn until(world: &World, name: &str, state: &str) {
    world.until(&format!("`{name}` is {state}"), |world| {
        beat(world, name)["state"] == state
    });
}

/// The alert events of heartbeats that have not ended, by key.
fn alerts(world: &World) -> Vec<Value> {
    let all = world.get("/api/alerts").expect(200);
    let all = all["alerts"].as_array().unwrap();
    let own = all.iter().filter(|alert| alert["source"] == "heartbeats");
    own.cloned().collect()
}

/// Lines of alert events of heartbeats, of one kind.
fn lines(world: &World, kind: &str) -> Vec<Value> {
    let mut lines = world.journal_of("alerts", kind);
    lines.retain(|line| line["source"] == "heartbeats");
    lines
}

#[test]
fn a_job_that_is_silent_is_down_when_period_and_grace_have_passed_and_not_before() {
    let world = hourly();
    assert_eq!(beat(&world, "job")["state"], "new");
    world.advance(HOUR * 30);
    assert_eq!(
        beat(&world, "job")["state"],
        "new",
        "nobody waits for it yet"
    );

    ping(&world, "job");
    let told = beat(&world, "job");
    assert_eq!(told["state"], "up");
    assert_eq!(told["due_at"], "2026-11-22T19:00:00.000Z");
    assert_eq!(told["deadline_at"], "2026-11-22T19:10:00.000Z");
    world.advance(HOUR);
    assert_eq!(beat(&world, "job")["state"], "late");
    world.advance(MINUTE * 9 + SECOND * 59);
    assert_eq!(beat(&world, "job")["state"], "late");
    assert_eq!(alerts(&world), [] as [Value; 0]);
    world.advance(SECOND);
    until(&world, "job", "down");
    world.until("it is told", |world| alerts(world).len() == 1);
    let alert = &alerts(&world)[0];
    assert_eq!(alert["key"], "heartbeat:job");
    assert_eq!(alert["severity"], "error");
    assert_eq!(alert["started_at"], "2026-11-22T19:00:00.000Z");

    world.advance(HOUR + MINUTE * 55);
    ping(&world, "job");
    assert_eq!(beat(&world, "job")["state"], "up");
    world.until("it has ended", |world| alerts(world).is_empty());
    let ended = &lines(&world, "alert.resolved")[0];
    let text = ended["summary"].as_str().unwrap();
    assert!(text.contains("after 2h 5m of downtime"), "{text}");
    let kinds: Vec<Value> = world
        .journal("heartbeats")
        .iter()
        .map(|line| line["kind"].clone())
        .collect();
    let mut kinds: Vec<_> = kinds.iter().filter_map(Value::as_str).collect();
    kinds.retain(|kind| kind.starts_with("heartbeat."));
    assert_eq!(
        kinds,
        [
            "heartbeat.pinged",
            "heartbeat.went_down",
            "heartbeat.pinged",
            "heartbeat.came_up"
        ]
    );
}

#[test]
fn failures_and_exit_codes_are_down_at_once_and_keep_what_was_sent() {
    let world = hourly();
    ping(&world, "job");
    let log = json!("disk \u{1b}[31mfull");
    world.post("/ping/key-of-job/fail", &log).expect(200);
    let told = beat(&world, "job");
    assert_eq!(
        (&told["state"], &told["cause"]),
        (&json!("down"), &json!("failed"))
    );
    let sent = told["history"].as_array().unwrap();
    assert_eq!(sent[1]["body"], log.to_string());
    ping(&world, "job/0");
    assert_eq!(beat(&world, "job")["state"], "up");
    ping(&world, "job/137");
    let told = beat(&world, "job");
    assert_eq!(told["state"], "down");
    assert_eq!(told["summary"], "`job` failed: exit code 137");
    ping(&world, "job/log");
    ping(&world, "job/start");
    assert_eq!(
        beat(&world, "job")["state"],
        "down",
        "only a success mends it"
    );
    ping(&world, "job/0");
    assert_eq!(beat(&world, "job")["state"], "up");
    for bad in ["256", "-1", "+1", "done", "1.5", ""] {
        let answer = world.post(&format!("/ping/key-of-job/{bad}"), &Value::Null);
        assert!(
            (400..=404).contains(&answer.status),
            "{bad}: {}",
            answer.status
        );
    }
    // What ended counts as samples; a note and a beginning do not.
    let pinged = world.journal_of("heartbeats", "heartbeat.pinged");
    assert_eq!(pinged.len(), 7);
    let now = world.now() + TimeDelta::seconds(1);
    let from = now - TimeDelta::hours(1);
    let counts = world.app().samples.counts("heartbeat:job", from, now);
    assert_eq!((counts.total, counts.bad), (5, 2));
}

#[test]
fn overlapping_runs_have_durations_of_their_own_and_none_may_take_too_long() {
    let world = hourly();
    ping(&world, "job/start?rid=a");
    assert_eq!(beat(&world, "job")["state"], "running");
    world.advance(MINUTE);
    ping(&world, "job/start?rid=b");
    world.advance(MINUTE * 2);
    ping(&world, "job?rid=a");
    assert_eq!(beat(&world, "job")["last_duration_ms"], 180_000);
    world.advance(MINUTE);
    ping(&world, "job/0?rid=b");
    assert_eq!(beat(&world, "job")["last_duration_ms"], 180_000);
    ping(&world, "job?rid=c");
    assert_eq!(beat(&world, "job")["last_duration_ms"], Value::Null);

    ping(&world, "job/start");
    world.advance(MINUTE * 9 + SECOND * 59);
    assert_eq!(beat(&world, "job")["state"], "running");
    world.advance(SECOND);
    until(&world, "job", "down");
    assert_eq!(beat(&world, "job")["cause"], "too_long");
    // Its late end is a success all the same, with its true duration.
    world.advance(MINUTE);
    ping(&world, "job");
    let told = beat(&world, "job");
    assert_eq!(
        (&told["state"], &told["last_duration_ms"]),
        (&json!("up"), &json!(660_000))
    );
}

#[test]
fn a_schedule_goes_by_the_clocks_of_its_zone_on_the_days_that_they_change() {
    let rules = json!({ "cron": "30 1 * * *", "zone": "Europe/London", "grace": "30m" });
    let begin = at("2026-10-24T00:31:00Z");
    let world = World::at(begin)
        .config("heartbeats.json", &config(&[("nightly", rules)]))
        .config("tasks.json", OTHERS)
        .start();
    ping(&world, "nightly");
    // 01:30 happens twice on the 25th; the first one counts, in summer time.
    assert_eq!(
        beat(&world, "nightly")["due_at"],
        "2026-10-25T00:30:00.000Z"
    );
    world.advance(HOUR * 24);
    ping(&world, "nightly");
    assert_eq!(
        beat(&world, "nightly")["due_at"],
        "2026-10-26T01:30:00.000Z"
    );
    world.advance(HOUR * 25 + MINUTE * 28);
    assert_eq!(beat(&world, "nightly")["state"], "late");
    world.advance(MINUTE);
    until(&world, "nightly", "down");
}

#[test]
fn a_pause_holds_whatever_comes_until_somebody_ends_it() {
    let world = world(&[
        ("job", json!({ "every": "1h", "grace": "10m" })),
        ("soft", json!({ "every": "1h", "resumes_by_ping": true })),
    ]);
    ping(&world, "job");
    ping(&world, "soft");
    ping(&world, "job/fail");
    world.until("it is told", |world| alerts(world).len() == 1);
    let paused = world
        .post("/api/heartbeats/job/pause", &Value::Null)
        .expect(200);
    assert_eq!(
        (&paused["state"], &paused["paused_by"]),
        (&json!("paused"), &json!("desk"))
    );
    world
        .post("/api/heartbeats/soft/pause", &Value::Null)
        .expect(200);
    world.until("the alert has ended", |world| alerts(world).is_empty());
    for signal in ["job", "job/fail", "job/start", "job/1", "soft/fail"] {
        ping(&world, signal);
    }
    world.advance(HOUR * 50);
    assert_eq!(beat(&world, "job")["state"], "paused");
    assert_eq!(
        beat(&world, "soft")["state"],
        "paused",
        "a failure ends no pause"
    );
    ping(&world, "soft");
    assert_eq!(beat(&world, "soft")["state"], "up");
    let resumed = world
        .post("/api/heartbeats/job/resume", &Value::Null)
        .expect(200);
    assert_eq!(resumed["state"], "up");
    assert_eq!(
        resumed["due_at"], "2026-11-23T15:00:00.000Z",
        "it counts from the resumption"
    );
    assert_eq!(alerts(&world), [] as [Value; 0]);
    let known = world.post("/api/heartbeats/jbo/pause", &Value::Null);
    assert_eq!(known.expect(404)["nearest"], "job");
}

#[test]
fn keys_are_shown_once_and_open_one_heartbeat() {
    let world = world(&[("other", json!({ "every": "1h" }))]);
    world.save(
        "heartbeats.json",
        r#"{"heartbeats":{"job":{"every":"1h"}}}"#,
    );
    world.until("the edit is seen", |world| {
        world.get("/api/heartbeats").expect(200)["heartbeats"][0]["name"] == "job"
    });
    let gone = world.get("/ping/key-of-other");
    let absent = world.get("/ping/nothing");
    let mut told = [gone.expect(404), absent.expect(404)];
    for body in &mut told {
        body["request_id"] = Value::Null;
    }
    assert_eq!(told[0], told[1], "no key is told from another");

    let draw = |renew: bool| {
        let body = json!({ "renew": renew });
        world.post("/api/heartbeats/job/key", &body)
    };
    let first = draw(false).expect(201);
    let path = first["path"].as_str().unwrap();
    assert_eq!(path, format!("/ping/{}", first["key"].as_str().unwrap()));
    assert_eq!(world.get(path).expect(200), "OK");
    assert_eq!(world.call("HEAD", path, &Value::Null).status, 200);
    assert_eq!(beat(&world, "job")["pings"], 2);
    assert_eq!(draw(false).expect(409)["error"], "has_key");
    let second = draw(true).expect(201);
    world.get(path).expect(404);
    assert_eq!(
        world.get(second["path"].as_str().unwrap()).expect(200),
        "OK"
    );
    for file in ["configs/heartbeats.json", "logs/heartbeats.ndjson"] {
        let text = std::fs::read_to_string(world.home().join(file)).unwrap();
        for key in [&first["key"], &second["key"]] {
            assert!(!text.contains(key.as_str().unwrap()), "{file}");
        }
    }
}

#[test]
fn a_loop_gone_wild_is_held_and_others_are_not() {
    let world = world(&[
        ("wild", json!({ "every": "1h" })),
        ("calm", json!({ "every": "1h" })),
    ]);
    for _call in 0..120 {
        ping(&world, "wild");
    }
    let held = world.get("/ping/key-of-wild");
    assert_eq!(held.expect(429)["error"], "rate_limited");
    ping(&world, "calm");
    world.advance(SECOND);
    ping(&world, "wild");
}

#[test]
fn an_edit_keeps_what_is_known_and_excuses_what_it_changes() {
    let beats = |period: &str, with_other: bool| {
        let mut beats = vec![("job", json!({ "every": period, "grace": "10m" }))];
        if with_other {
            beats.push(("other", json!({ "every": "1h", "grace": "10m" })));
        }
        config(&beats)
    };
    let world = before(&beats("1d", true)).start();
    ping(&world, "job");
    ping(&world, "other");
    world.advance(MINUTE * 69);
    world.save("heartbeats.json", &beats("30m", true));
    world.until("the edit is seen", |world| {
        beat(world, "job")["cadence"] == "30m"
    });
    world.until("it is excused", |world| {
        !world
            .journal_of("heartbeats", "heartbeat.excused")
            .is_empty()
    });
    let told = beat(&world, "job");
    assert_eq!(
        (&told["state"], &told["pings"]),
        (&json!("late"), &json!(1))
    );
    assert_eq!(
        told["deadline_at"], "2026-11-21T13:49:00.000Z",
        "a period and the grace time"
    );
    world.advance(MINUTE);
    until(&world, "other", "down");
    assert_eq!(beat(&world, "job")["state"], "late");
    world.save("heartbeats.json", &beats("30m", false));
    world.until("what is not watched is told of no more", |world| {
        alerts(world).is_empty()
    });
    world.save("heartbeats.json", &beats("30m", true));
    world.until("it is back", |world| {
        world.get("/api/heartbeats/other").status == 200
    });
    assert_eq!(beat(&world, "other")["state"], "new", "its past is over");
    world.advance(MINUTE * 39);
    until(&world, "job", "down");
}

#[test]
fn a_name_alone_is_an_address_only_where_the_file_says_so() {
    let slug = json!({ "every": "1h", "grace": "10m", "slug": true });
    let world = world(&[("open-job", slug), ("job", json!({ "every": "1h" }))]);
    assert_eq!(world.post("/ping/open-job", &Value::Null).expect(200), "OK");
    assert_eq!(beat(&world, "open-job")["state"], "up");
    assert_eq!(world.post("/ping/job", &Value::Null).status, 404);
    assert_eq!(beat(&world, "job")["state"], "new");
}
