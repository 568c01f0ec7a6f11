//! Rules C1–C4, C6, C7 and L9: documents on disk, the lock on the home, the clock, the reserve.

use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{TimeDelta, TimeZone};
use echopilot::seams::clock::{Clock, ManualClock, SystemClock};
use echopilot::seams::files::{Fault, How, Op, RealFiles, Space};
use echopilot::storage::engine::{DocumentError, Durability, Engine, Revision, StreamOptions};
use echopilot::storage::files::{FilesEngine, FilesSettings, OpenError};

use super::support::{OPTIONS, Place, append, appended, read, until, until_within};

fn config(place: &Place, name: &str) -> std::path::PathBuf {
    place.folder.path().join("configs").join(name)
}

/// Names that were told, by a watching engine.
fn watched(engine: &FilesEngine) -> Arc<Mutex<Vec<String>>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&told);
    let changed = Box::new(move |name: &str| note.lock().unwrap().push(name.to_owned()));
    engine.watch_documents(changed).unwrap();
    told
}

#[test]
fn c01_a_save_keeps_mode_and_old_text_and_leaves_nothing_behind() {
    let place = Place::new();
    let engine = place.engine();
    let path = config(&place, "a.json");
    std::fs::write(&path, "{\"a\":1}").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660)).unwrap();
    let old = Revision::of(b"{\"a\":1}");
    engine.replace("a.json", Some(&old), b"{\"a\":2}").unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o660
    );
    let kept = place
        .folder
        .path()
        .join(format!("backups/configs/a/{old}.json"));
    assert_eq!(read(&kept), b"{\"a\":1}");
    assert_eq!(
        std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1
    );
    engine.replace("keys.json", None, b"{}").unwrap();
    let keys = std::fs::metadata(config(&place, "keys.json")).unwrap();
    assert_eq!(keys.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_report_stands_beside_the_journals_and_never_in_the_place_of_one() {
    let place = Place::new();
    let engine = place.engine();
    let logs = place.folder.path().join("logs");
    engine.save_report("slo_report.json", b"{\"n\":1}").unwrap();
    engine.save_report("slo_report.json", b"{\"n\":2}").unwrap();
    assert_eq!(read(&logs.join("slo_report.json")), b"{\"n\":2}");
    for name in ["alerts.ndjson", "../a.json", ".a.json"] {
        engine.save_report(name, b"{}").unwrap_err();
    }
    assert_eq!(engine.streams(), ["storage"], "a report is no journal");
    // What a crash leaves behind is swept at the next start.
    let torn = logs.join(".slo_report.json.1-1.tmp");
    std::fs::write(&torn, "{").unwrap();
    engine.close();
    drop(engine);
    drop(place.engine());
    assert!(!torn.exists());
}

#[test]
fn c01_whatever_fails_the_document_is_the_old_or_the_new_one() {
    for op in [
        Op::WriteNew,
        Op::Rename,
        Op::SyncDir,
        Op::OpenRead,
        Op::Stat,
        Op::Remove,
    ] {
        for how in [How::Eio, How::Enospc] {
            for at in 1..=8 {
                let place = Place::new();
                let engine = place.engine();
                let one = engine.replace("a.json", None, b"{\"a\":1}").unwrap();
                place.files.fail(Fault {
                    op,
                    at,
                    forever: false,
                    how,
                });
                let outcome = engine.replace("a.json", Some(&one), b"{\"a\":2}");
                place.files.heal();
                let text = read(&config(&place, "a.json"));
                let whole = if outcome.is_ok() {
                    vec![&b"{\"a\":2}"[..]]
                } else {
                    vec![&b"{\"a\":1}"[..], b"{\"a\":2}"]
                };
                assert!(whole.contains(&&*text), "{op:?} {at}: {text:?}");
                let left = std::fs::read_dir(config(&place, "")).unwrap().count();
                assert!(
                    left == 1 || op == Op::Remove,
                    "{op:?} {at} leaves {left} files"
                );
            }
        }
    }
}

#[test]
fn c02_an_edit_by_hand_is_never_overwritten() {
    let place = Place::new();
    let engine = place.engine();
    let one = engine.replace("a.json", None, b"{\"a\":1}").unwrap();
    std::fs::write(config(&place, "a.json"), "{\"a\":\"by hand\"}").unwrap();
    let refused = engine
        .replace("a.json", Some(&one), b"{\"a\":2}")
        .unwrap_err();
    assert!(
        matches!(refused, DocumentError::Moved { .. }),
        "{refused:?}"
    );
    assert_eq!(read(&config(&place, "a.json")), b"{\"a\":\"by hand\"}");
}

#[test]
fn c03_absent_empty_too_large_and_links_are_told_apart() {
    let place = Place::new();
    let engine = place.engine();
    assert!(matches!(
        engine.load("a.json"),
        Err(DocumentError::Absent { .. })
    ));
    std::fs::write(config(&place, "a.json"), "").unwrap();
    assert!(matches!(
        engine.load("a.json"),
        Err(DocumentError::Empty { .. })
    ));
    std::fs::write(config(&place, "a.json"), vec![b' '; (5 << 20) + 1]).unwrap();
    let large = engine.load("a.json").unwrap_err();
    assert!(matches!(large, DocumentError::TooLarge { .. }), "{large:?}");
    std::os::unix::fs::symlink("/etc/hostname", config(&place, "b.json")).unwrap();
    assert!(matches!(
        engine.load("b.json"),
        Err(DocumentError::Link { .. })
    ));
    for name in ["../a.json", "a/b.json", ".a.json", ""] {
        assert!(engine.load(name).is_err(), "{name}");
    }
}

#[test]
fn c03_c04_renames_are_told_at_once_and_writes_in_place_once_settled() {
    let place = Place::new();
    let engine = place.engine();
    std::fs::write(config(&place, "a.json"), "{}").unwrap();
    let told = watched(&engine);
    assert!(engine.has_change_notices());
    let clock = SystemClock::new();
    let hears = |name: &str, change: &dyn Fn()| {
        told.lock().unwrap().clear();
        let begun = clock.uptime();
        change();
        until("it is told", || {
            told.lock().unwrap().iter().any(|n| n == name)
        });
        clock.uptime().saturating_sub(begun)
    };
    let renamed = hears("a.json", &|| {
        std::fs::write(config(&place, ".a.swp"), "{\"a\":1}").unwrap();
        std::fs::rename(config(&place, ".a.swp"), config(&place, "a.json")).unwrap();
    });
    assert!(renamed < Duration::from_millis(100), "{renamed:?}");
    let written = hears("a.json", &|| {
        std::fs::write(config(&place, "a.json"), "{\"a\":2}").unwrap();
    });
    assert!(
        written >= Duration::from_millis(150),
        "not settled: {written:?}"
    );
    assert!(written < Duration::from_secs(2), "{written:?}");
    hears("a.json", &|| {
        std::fs::remove_file(config(&place, "a.json")).unwrap();
    });
    hears("b.json", &|| {
        std::fs::write(config(&place, "b.json"), "{}").unwrap();
    });
}

#[test]
fn c06_a_second_opener_is_told_who_holds_the_home_even_without_the_pid_file() {
    let place = Place::new();
    let engine = place.engine();
    let open = || {
        let settings = FilesSettings::new(place.folder.path());
        FilesEngine::open(settings, Arc::new(RealFiles), Arc::new(SystemClock::new()))
    };
    let Err(OpenError::Held { pid, .. }) = open() else {
        panic!("two owners");
    };
    assert_eq!(pid, Some(std::process::id()));
    std::fs::remove_file(place.folder.path().join(".echopilot/pid")).unwrap();
    let Err(OpenError::Held { pid, .. }) = open() else {
        panic!("two owners");
    };
    assert_eq!(pid, Some(std::process::id()), "the system knows it too");
    engine.close();
    open().unwrap().close();
}

#[test]
fn c07_a_step_of_the_wall_clock_is_noted_once() {
    let place = Place::new();
    let noon = chrono::Utc
        .with_ymd_and_hms(2026, 11, 21, 12, 0, 0)
        .unwrap();
    let clock = Arc::new(ManualClock::at(noon));
    let engine = place.engine_by(clock.clone());
    clock.step_wall(TimeDelta::days(-30));
    let noted = || {
        let text = String::from_utf8(read(&place.logs().join("storage.ndjson"))).unwrap();
        text.matches("\"kind\":\"clock.stepped\"").count()
    };
    until("the step is noted", || noted() == 1);
    engine.open("x", OPTIONS).unwrap();
    assert_eq!(append(&engine, 1).unwrap().last, 1);
    engine.close();
    assert_eq!(noted(), 1);
}

#[test]
fn l09_the_reserve_is_made_given_away_when_full_and_made_again() {
    let place = Place::new();
    let reserve = place.folder.path().join(".echopilot/.reserve");
    let mut settings = FilesSettings::new(place.folder.path());
    settings.reserve_bytes = 1 << 20;
    let files = Arc::new(place.files.clone());
    let (total, available) = (100 << 30, 50 << 30);
    files.set_space(Some(Space { total, available }));
    let engine = FilesEngine::open(settings, files, Arc::new(SystemClock::new())).unwrap();
    engine.open("x", OPTIONS).unwrap();
    // The file is there a moment before its size.
    until("the reserve is made", || {
        std::fs::metadata(&reserve).is_ok_and(|made| made.len() == 1 << 20)
    });
    place.files.set_space(Some(Space {
        total,
        available: total / 100,
    }));
    until("lines are refused", || append(&engine, 1).is_err());
    until("the reserve is given away", || !reserve.exists());
    place.files.set_space(Some(Space { total, available }));
    // Rule L9 and the goal of the reliability table: by itself, within five seconds.
    until_within(Duration::from_secs(5), "it lifts", || {
        append(&engine, 2).is_ok()
    });
    until("the reserve is back", || reserve.exists());
    engine.close();
}

#[test]
fn l02_l07_lines_acknowledged_before_their_sync_survive_a_failed_one() {
    let place = Place::new();
    let options = StreamOptions {
        durability: Durability::Interval(Duration::from_millis(300)),
        ..OPTIONS
    };
    let engine = place.with_stream_of(options);
    let before = place.files.count(Op::Sync);
    for number in 1..=5 {
        append(&engine, number).unwrap();
    }
    assert_eq!(
        place.files.count(Op::Sync),
        before,
        "acknowledged before the sync"
    );
    place.files.fail(Fault {
        op: Op::Sync,
        at: 1,
        forever: false,
        how: How::Eio,
    });
    until("the sync has failed", || place.files.fired() > 0);
    until("lines are accepted", || append(&engine, 9).is_ok());
    let numbers: Vec<u64> = appended(&engine)
        .iter()
        .map(|(_, number)| *number)
        .collect();
    assert_eq!(numbers, vec![1, 2, 3, 4, 5, 9]);
    engine.close();
    let again = place.with_stream();
    assert_eq!(again.health("x").unwrap().damage, 0);
    assert_eq!(appended(&again).len(), 6);
}
