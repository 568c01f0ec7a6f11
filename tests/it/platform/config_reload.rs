//! Rules C3 to C5: a document is in force as it is on disk, or the last good one is, loudly.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use echopilot::platform::config::Config;
use echopilot::seams::files::{Fault, How, Op};
use echopilot::storage::engine::Revision;

use super::config_world::{Toggles, World, text, wait_until};

/// A way to save a text.
type Save<'w> = &'w dyn Fn(&str);

#[test]
fn c3_every_way_to_save_a_good_text_puts_it_in_force() {
    let world = World::new();
    assert_eq!(world.toggle("pay.live"), Some(true), "the shipped text");
    let ways: [(&str, Save); 6] = [
        ("rename", &|body| world.save_by_rename(body)),
        ("in place", &|body| world.save_in_place(body)),
        ("backup, then a new file", &|body| {
            fs::rename(world.file(), world.file().with_extension("json~")).expect("backup");
            world.save_in_place(body);
        }),
        ("emptied, then written in pieces", &|body| {
            let mut file = OpenOptions::new()
                .write(true)
                .truncate(true)
                .open(world.file());
            let file = file.as_mut().expect("open");
            for piece in body.as_bytes().chunks(16) {
                file.write_all(piece).expect("written");
                file.flush().expect("flushed");
            }
        }),
        ("deleted and made again", &|body| {
            fs::remove_file(world.file()).expect("removed");
            wait_until("the deletion is seen", || world.is_degraded());
            world.save_in_place(body);
        }),
        ("BOM and CRLF", &|body| {
            world.save_by_rename(format!("\u{FEFF}{}", body.replace('\n', "\r\n")));
        }),
    ];
    for (number, (way, save)) in ways.iter().enumerate() {
        let name = format!("by.{number}");
        save(&text(&[&name], true));
        wait_until(way, || world.toggle(&name) == Some(true));
        wait_until(way, || !world.is_degraded());
    }
}

#[test]
fn c3_nothing_bad_is_ever_in_force_and_each_bad_text_is_told_once() {
    let world = World::new();
    let good = world.on_disk();
    let bad: [(&str, &str); 6] = [
        ("", "is empty"),
        ("   \n", "the file is empty"),
        ("{\"count\": 1, \"toggles\": {", "never closed"),
        (
            "{\"count\": 1, \"toggles\": { \"a\": \"yes\" }}",
            "line 1, column 27",
        ),
        (
            "{\"count\": 2, \"toggles\": { \"a\": true }}",
            "`count` is 2, must be 1",
        ),
        ("\u{0}\u{0}\u{0}\u{0}", "U+0000"),
    ];
    for (body, told) in bad {
        world.save_by_rename(body);
        let problems = || {
            world
                .status()
                .degraded
                .map(|degraded| degraded.problems.to_string())
        };
        wait_until(told, || {
            problems().is_some_and(|problems| problems.contains(told))
        });
        assert_eq!(world.toggle("pay.live"), Some(true), "{body:?}");
        world.store().refresh_all();
    }
    fs::remove_file(world.file()).expect("removed");
    wait_until("a deleted file", || {
        world
            .status()
            .degraded
            .is_some_and(|d| d.problems.to_string().contains("does not exist"))
    });
    assert_eq!(
        world.toggle("pay.live"),
        Some(true),
        "deleted is not \"nothing\""
    );

    world.save_by_rename(good);
    wait_until("the good text again", || !world.is_degraded());
    let rejected = || {
        let kinds = world.recorded_kinds();
        let rejected = kinds.iter().filter(|(kind, _)| kind == "config.rejected");
        rejected.count()
    };
    // The state is told first, the line follows.
    wait_until("recorded", || rejected() > bad.len());
    assert_eq!(
        rejected(),
        bad.len() + 1,
        "one line each: {:#?}",
        world.recorded()
    );
    let accepted = world
        .recorded_kinds()
        .iter()
        .filter(|(kind, _)| kind == "config.accepted")
        .count();
    assert_eq!(accepted, 1, "going back to what is in force is no change");
}

#[test]
fn c3_a_rejected_text_is_recorded_with_its_places() {
    let world = World::new();
    let running_on = world.live().get().revision.clone();
    let many: Vec<_> = (0..40).map(|n| format!("\"k{n}\": {n}")).collect();
    world.save_by_rename(format!(
        "{{\"count\": 40, \"toggles\": {{\n{}\n}}}}",
        many.join(",\n")
    ));
    wait_until("rejected", || world.is_degraded());
    let line = world.recorded().pop().expect("a line");
    assert_eq!(line["kind"], "config.rejected");
    assert_eq!(line["running_on"], running_on.as_str());
    assert_eq!(line["count"], 40);
    assert_eq!(line["problems"].as_array().map(Vec::len), Some(20));
    assert_eq!(line["problems"][3]["line"], 5);
    assert_eq!(line["problems"][3]["path"], "toggles.k3");
    assert_eq!(line["problems"][3]["found"], "3");
    assert_eq!(line["problems"][3]["allowed"], "true or false");
}

#[test]
fn c4_a_notice_without_a_change_is_nothing() {
    let world = World::new();
    let before = world.live().get_full();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let hook = Arc::new(move |_: &Arc<_>| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    world
        .store()
        .on_accept::<Toggles>(hook)
        .expect("registered");
    assert_eq!(
        calls.load(Ordering::SeqCst),
        1,
        "told of what is in force already"
    );
    world.save_by_rename(world.on_disk());
    world.store().refresh_all();
    world.save_by_rename(text(&["x"], true));
    wait_until("a real change", || world.toggle("x") == Some(true));
    wait_until("the hook", || calls.load(Ordering::SeqCst) == 2);
    assert_eq!(
        world.recorded().len(),
        2,
        "the first text and the real change"
    );
    assert_ne!(before.revision, world.live().get().revision);
}

/// A hand that saves in every way, good and bad; a reader that must never see a mixed rule set.
#[test]
fn c4_after_500_random_saves_the_last_good_text_is_in_force() {
    let world = World::new();
    let stop = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (live, stop) = (world.live().clone(), Arc::clone(&stop));
        move || {
            let mut seen = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let rules = live.get();
                let values: Vec<_> = rules.rules.values().collect();
                let mixed = values.len() > 2 && values.windows(2).any(|pair| pair[0] != pair[1]);
                assert!(!values.is_empty() && !mixed, "{:?}", rules.rules);
                seen += 1;
                std::thread::yield_now();
            }
            seen
        }
    });
    let mut state = 42_u64;
    let mut next = move |bound: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    for round in 0..500_u64 {
        let names: Vec<_> = (0..3 + next(30)).map(|n| format!("t{round}.{n}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let body = text(&names, round % 2 == 0);
        let half = &body[..body.len() / 2];
        match next(7) {
            0 => world.save_by_rename(&body),
            1 => world.save_in_place(&body),
            2 => world.save_in_place(half),
            3 => world.save_by_rename(half),
            4 => drop(fs::remove_file(world.file())),
            5 => world.save_in_place(""),
            _ => drop(fs::rename(
                world.file(),
                world.file().with_extension("moved"),
            )),
        }
    }
    world.save_in_place(text(&["the", "last", "one"], true));
    let took = wait_until("converged", || world.toggle("last") == Some(true));
    assert!(took.as_secs() < 6, "{took:?}");
    wait_until("healthy", || !world.is_degraded());
    stop.store(true, Ordering::Relaxed);
    assert!(reader.join().expect("no mixed rules") > 0);
}

#[test]
fn c5_size_depth_and_doubled_keys_are_bounded() {
    let world = World::new();
    let deep = format!("{{\"count\": {}1{}}}", "[".repeat(40), "]".repeat(40));
    let large = format!(
        "{{\"count\": 0, \"toggles\": {{}}, \"$pad\": \"{}\"}}",
        "x".repeat(6 << 20)
    );
    for (body, told) in [
        (deep, "at most 32"),
        (large, "at most"),
        (
            "{\"count\": 1, \"count\": 1, \"toggles\": {\"a\": true}}".into(),
            "appears twice, first at",
        ),
        (
            "{\"cuont\": 1, \"toggles\": {\"a\": true}}".into(),
            "did you mean `count`?",
        ),
    ] {
        world.save_by_rename(body);
        wait_until(told, || {
            world
                .status()
                .degraded
                .is_some_and(|d| d.problems.to_string().contains(told))
        });
        assert_eq!(world.toggle("pay.live"), Some(true), "{told}");
    }
}

#[test]
fn a_start_on_a_bad_file_runs_on_the_last_good_text() {
    let mut world = World::new();
    world.save_by_rename(text(&["good"], true));
    wait_until("in force", || world.toggle("good") == Some(true));
    let (good, at) = (world.on_disk(), world.live().get().at);
    for bad in [Some("{"), Some(""), None] {
        world.stop();
        match bad {
            Some(body) => world.save_in_place(body),
            None => fs::remove_file(world.file()).expect("removed"),
        }
        world.start();
        assert_eq!(world.toggle("good"), Some(true), "{bad:?}");
        assert!(world.is_degraded(), "{bad:?}");
        assert!(!world.file().exists() || world.on_disk() == bad.unwrap_or_default());
    }
    world.save_by_rename(&good);
    wait_until("healed", || !world.is_degraded());
    world.stop();
    world.start();
    assert_eq!(
        world.live().get().at.timestamp_millis(),
        at.timestamp_millis()
    );
    assert_eq!(
        &*world.live().get().actor,
        "file",
        "author and date outlive a restart"
    );
    let accepted = world
        .recorded_kinds()
        .into_iter()
        .filter(|(kind, _)| kind == "config.accepted");
    assert_eq!(accepted.count(), 2, "restarts accept nothing anew");
}

#[test]
fn a_first_start_on_a_bad_file_runs_on_the_shipped_text_and_leaves_the_file() {
    let mut world = World::new();
    world.stop();
    for part in ["logs", "backups"] {
        fs::remove_dir_all(world.folder.path().join(part)).expect("removed");
    }
    world.save_in_place("not JSON");
    world.start();
    assert_eq!(world.toggle("pay.live"), Some(true));
    assert!(world.is_degraded());
    assert_eq!(world.on_disk(), "not JSON");
}

#[test]
fn l9_a_text_taken_on_a_full_disk_is_served_at_once_and_recorded_later() {
    let full = |world: &World| {
        for op in [Op::OpenAppend, Op::Write, Op::WriteNew] {
            world.files.fail(Fault {
                op,
                at: 1,
                forever: true,
                how: How::Enospc,
            });
        }
    };
    let recorded = |world: &World, body: &str| {
        let revision = Revision::of(body.as_bytes()).to_string();
        let is_line = |line: &serde_json::Value| line["revision"] == *revision;
        let snapshot = format!("backups/configs/toggles/{revision}.json");
        world.recorded().iter().filter(|line| is_line(line)).count() == 1
            && world.folder.path().join(snapshot).exists()
    };
    let mut world = World::new();
    let first = text(&["a"], true);
    world.save_by_rename(&first);
    wait_until("the first text is in force", || {
        world.toggle("a") == Some(true)
    });

    // While it runs.
    full(&world);
    let second = text(&["a"], false);
    world.save_by_rename(&second);
    wait_until("the second text is in force", || {
        world.toggle("a") == Some(false)
    });
    assert!(!recorded(&world, &second));
    world.files.heal();
    wait_until("it is recorded", || recorded(&world, &second));

    // At the start.
    world.stop();
    world.save_by_rename(&first);
    full(&world);
    world.start();
    assert_eq!(world.toggle("a"), Some(true));
    assert_eq!(world.recorded().len(), 3, "nothing can be written");
    world.files.heal();
    // Without being asked to: the file is only looked at.
    let journal = world.folder.path().join("logs/configs.ndjson");
    let lines = || {
        fs::read_to_string(&journal)
            .expect("the journal")
            .lines()
            .count()
    };
    wait_until("it is recorded", || lines() == 4);
    let revisions: Vec<_> = world
        .recorded()
        .iter()
        .map(|line| line["revision"].clone())
        .collect();
    assert_eq!(revisions[1], revisions[3], "the first text, again in force");
}

#[test]
fn l9_a_first_start_on_a_full_disk_writes_its_file_when_there_is_room() {
    let mut world = World::new();
    world.stop();
    for folder in ["configs", "logs", "backups"] {
        let folder = world.folder.path().join(folder);
        fs::remove_dir_all(&folder).expect("it was there");
        fs::create_dir(&folder).expect("a folder");
    }
    for op in [Op::OpenAppend, Op::Write, Op::WriteNew] {
        world.files.fail(Fault {
            op,
            at: 1,
            forever: true,
            how: How::Enospc,
        });
    }
    world.start();
    assert!(world.is_degraded());
    assert!(!world.file().exists());
    world.files.heal();
    wait_until("the file is there and in force", || {
        world.file().exists() && !world.is_degraded()
    });
    assert_eq!(world.on_disk(), Toggles::SHIPPED);
    let journal = world.folder.path().join("logs/configs.ndjson");
    wait_until("it is recorded", || {
        journal.exists()
            && world
                .recorded_kinds()
                .contains(&("config.accepted".into(), "shipped".into()))
    });
    // From then on it is a file like any other.
    let own = text(&["mine"], true);
    world.save_by_rename(&own);
    wait_until("it is in force", || world.toggle("mine") == Some(true));
    assert_eq!(world.on_disk(), own);
}
