//! One suite for every engine: what callers may rely on, whatever is below.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{TimeDelta, TimeZone, Utc};
use echopilot::seams::clock::{Clock as _, ManualClock};
use echopilot::storage::engine::{
    DocumentError, Engine, Expect, Mark, Position, Revision, Seek, StorageError,
};
use echopilot::storage::lines::Lines;
use echopilot::storage::memory::MemoryEngine;

use super::support::{self, OPTIONS, Place, append, appended, bytes_after, numbered, wait};

fn clock() -> Arc<ManualClock> {
    let noon = Utc.with_ymd_and_hms(2026, 11, 21, 12, 0, 0).unwrap();
    Arc::new(ManualClock::at(noon))
}

fn on_every_engine(check: impl Fn(&dyn Engine, &ManualClock)) {
    let time = clock();
    let memory = MemoryEngine::new(time.clone());
    memory.open("x", OPTIONS).unwrap();
    check(&memory, &time);
    let place = Place::new();
    let time = clock();
    let files = place.engine_by(time.clone());
    Engine::open(&files, "x", OPTIONS).unwrap();
    check(&files, &time);
    files.close();
}

#[test]
fn seq_is_gapless_from_one_and_groups_stay_together() {
    on_every_engine(|engine, _| {
        assert_eq!(append(engine, 1).unwrap(), Position { first: 1, last: 1 });
        let mut lines = Lines::new();
        for _ in 0..3 {
            lines.push("thing.happened", morning(), |_| {});
        }
        let placed = wait(engine.append("x", Expect::Any, None, lines, None)).unwrap();
        assert_eq!(placed, Position { first: 2, last: 4 });
        assert_eq!(append(engine, 5).unwrap().first, 5);
        assert_eq!(engine.health("x").unwrap().last_seq, 5);
    });
}

fn morning() -> chrono::DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 21, 9, 15, 2).unwrap()
}

#[test]
fn a_writer_that_expects_another_end_is_told_and_nothing_is_written() {
    on_every_engine(|engine, _| {
        let at = |seq| wait(engine.append("x", Expect::LastSeq(seq), None, numbered(seq), None));
        assert_eq!(at(0).unwrap().last, 1);
        let refused = at(0).unwrap_err();
        assert!(
            matches!(
                refused,
                StorageError::Moved {
                    expected: 0,
                    found: 1,
                    ..
                }
            ),
            "{refused:?}"
        );
        assert_eq!(at(1).unwrap().last, 2);
        assert_eq!(appended(engine), vec![(1, 0), (2, 1)]);
    });
}

#[test]
fn an_empty_group_is_acknowledged_after_everything_before_it() {
    on_every_engine(|engine, _| {
        let first = engine.append("x", Expect::Any, None, numbered(1), None);
        let barrier = engine.append("x", Expect::Any, None, Lines::new(), None);
        assert_eq!(wait(barrier).unwrap(), Position { first: 2, last: 1 });
        assert_eq!(engine.health("x").unwrap().last_seq, 1);
        wait(first).unwrap();
    });
}

#[test]
fn on_commit_comes_once_each_in_order_and_before_the_answer() {
    on_every_engine(|engine, _| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let waiting: Vec<_> = (0..200)
            .map(|number| {
                let seen = Arc::clone(&seen);
                let note = move |outcome: &Result<Position, StorageError>| {
                    seen.lock()
                        .unwrap()
                        .push(outcome.as_ref().ok().map(|p| p.last));
                };
                let expect = if number == 50 {
                    Expect::LastSeq(0)
                } else {
                    Expect::Any
                };
                engine.append("x", expect, None, numbered(number), Some(Box::new(note)))
            })
            .collect();
        let mut last = 0;
        for (number, one) in waiting.into_iter().enumerate() {
            let outcome = wait(one);
            assert_eq!(outcome.is_err(), number == 50);
            last = outcome.map_or(last, |position| position.last);
            assert!(seen.lock().unwrap().len() > number);
        }
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 200);
        let stored: Vec<u64> = seen.iter().copied().flatten().collect();
        assert_eq!(stored, (1..=199).collect::<Vec<_>>());
        assert_eq!(last, 199);
    });
}

#[test]
fn errors_of_the_call_reach_on_commit_too() {
    on_every_engine(|engine, _| {
        let called = Arc::new(Mutex::new(0));
        let count = || {
            let called = Arc::clone(&called);
            Some(Box::new(move |outcome: &Result<_, _>| {
                assert!(outcome.is_err());
                *called.lock().unwrap() += 1;
            }) as echopilot::storage::engine::OnCommit)
        };
        let unknown = wait(engine.append("nobody", Expect::Any, None, numbered(1), count()));
        assert!(
            matches!(unknown, Err(StorageError::NoStream { .. })),
            "{unknown:?}"
        );
        engine.close();
        let closed = wait(engine.append("x", Expect::Any, None, numbered(1), count()));
        assert!(matches!(closed, Err(StorageError::Closed)), "{closed:?}");
        assert_eq!(*called.lock().unwrap(), 2);
    });
}

#[test]
fn a_scan_goes_on_from_a_mark_and_refuses_one_that_does_not_fit() {
    on_every_engine(|engine, _| {
        for number in 1..=3 {
            append(engine, number).unwrap();
        }
        let (first, mark) = bytes_after(engine, &Mark::default()).unwrap();
        assert_eq!(mark.seq, 3);
        for number in 4..=6 {
            append(engine, number).unwrap();
        }
        let (rest, end) = bytes_after(engine, &mark).unwrap();
        assert_eq!(support::own_numbers(&rest), vec![(4, 4), (5, 5), (6, 6)]);
        assert_eq!(end.seq, 6);
        let (all, _) = bytes_after(engine, &Mark::default()).unwrap();
        assert_eq!(all, [first, rest].concat());
        for bad in [
            Mark {
                h: *b"0123456789abcdef",
                ..mark
            },
            Mark {
                offset: mark.offset - 1,
                ..mark
            },
            Mark {
                offset: mark.offset + 100_000,
                ..mark
            },
        ] {
            let refused = bytes_after(engine, &bad);
            assert!(
                matches!(refused, Err(StorageError::BadMark { .. })),
                "{refused:?}"
            );
        }
    });
}

#[test]
fn a_line_is_located_by_number_and_by_time() {
    on_every_engine(|engine, clock| {
        assert_eq!(
            engine.locate("x", &Seek::After(0)).unwrap(),
            Mark::default()
        );
        let noon = clock.now();
        for number in 1..=100 {
            let mut lines = Lines::new();
            lines.push("thing.happened", clock.now(), |_| {});
            wait(engine.append("x", Expect::Any, None, lines, None)).unwrap();
            assert_eq!(engine.health("x").unwrap().last_seq, number);
            clock.advance(Duration::from_secs(1));
        }
        for seq in [0, 1, 2, 50, 99, 100] {
            let mark = engine.locate("x", &Seek::After(seq)).unwrap();
            assert_eq!(mark.seq, seq);
            let (rest, end) = bytes_after(engine, &mark).unwrap();
            assert_eq!((end.seq, rest.is_empty()), (100, seq == 100));
            let at = noon + TimeDelta::seconds(seq.cast_signed());
            assert_eq!(engine.locate("x", &Seek::Since(at)).unwrap(), mark);
        }
        // What is not there yet comes after the end.
        for seek in [
            Seek::After(101),
            Seek::After(u64::MAX),
            Seek::Since(clock.now()),
        ] {
            assert_eq!(engine.locate("x", &seek).unwrap().seq, 100);
        }
        let within = |after, since: i64, until: i64| Seek::Within {
            after,
            since: Some(noon + TimeDelta::seconds(since)),
            until: Some(noon + TimeDelta::seconds(until)),
        };
        for (seek, seq) in [
            (within(0, 30, 40), 30),
            (within(35, 30, 40), 35),
            (within(41, 30, 40), 100),
        ] {
            assert_eq!(engine.locate("x", &seek).unwrap().seq, seq, "{seek:?}");
        }
        let segments = engine.segments("x").unwrap();
        let [only] = &segments[..] else {
            panic!("{segments:?}");
        };
        assert_eq!((only.first, only.last, only.sealed), (1, 100, false));
        for unknown in [
            engine.locate("nobody", &Seek::After(0)).unwrap_err(),
            engine.segments("nobody").unwrap_err(),
        ] {
            assert!(
                matches!(unknown, StorageError::NoStream { .. }),
                "{unknown:?}"
            );
        }
    });
}

#[test]
fn followers_see_the_last_line_grow() {
    on_every_engine(|engine, _| {
        let mut follower = engine.follow("x").unwrap();
        append(engine, 1).unwrap();
        append(engine, 2).unwrap();
        assert_eq!(*wait(follower.wait_for(|seq| *seq == 2)).unwrap(), 2);
    });
}

#[test]
fn a_document_is_replaced_only_where_it_was_left() {
    on_every_engine(|engine, _| {
        let absent = engine.load("a.json").unwrap_err();
        assert!(matches!(absent, DocumentError::Absent { .. }), "{absent:?}");
        let one = engine.replace("a.json", None, b"{\"a\":1}").unwrap();
        assert!(matches!(
            engine.replace("a.json", None, b"{}"),
            Err(DocumentError::Moved { .. })
        ));
        let two = engine.replace("a.json", Some(&one), b"{\"a\":2}").unwrap();
        assert_eq!(two, Revision::of(b"{\"a\":2}"));
        let late = engine
            .replace("a.json", Some(&one), b"{\"a\":3}")
            .unwrap_err();
        assert!(
            matches!(&late, DocumentError::Moved { found, .. } if *found == two),
            "{late:?}"
        );
        assert_eq!(engine.load("a.json").unwrap().body, b"{\"a\":2}");
        assert_eq!(engine.snapshot("a.json", &one).unwrap().body, b"{\"a\":1}");
        engine.keep_snapshot("a.json", b"{\"a\":9}").unwrap();
        let kept = Revision::of(b"{\"a\":9}");
        assert_eq!(engine.snapshot("a.json", &kept).unwrap().revision, kept);
        assert!(engine.snapshot("b.json", &kept).is_err());
    });
}

#[test]
fn a_replaced_document_is_told_to_the_watcher() {
    on_every_engine(|engine, _| {
        let told = Arc::new(Mutex::new(Vec::new()));
        let note = Arc::clone(&told);
        engine
            .watch_documents(Box::new(move |name| {
                note.lock().unwrap().push(name.to_owned());
            }))
            .unwrap();
        engine.replace("a.json", None, b"{}").unwrap();
        let revision = Revision::of(b"{}");
        engine.replace("a.json", Some(&revision), b"[]").unwrap();
        support::until("the watcher hears of it", || {
            told.lock().unwrap().iter().any(|name| name == "a.json")
        });
    });
}

/// Whoever replaces a document may hold what the watcher needs.
#[test]
fn the_watcher_is_told_on_a_thread_of_the_engine_s_own() {
    on_every_engine(|engine, _| {
        let held = Arc::new(Mutex::new(0));
        let needed = Arc::clone(&held);
        let own = std::thread::current().id();
        engine
            .watch_documents(Box::new(move |_| {
                assert_ne!(std::thread::current().id(), own);
                *needed.lock().unwrap() += 1;
            }))
            .unwrap();
        let before = {
            let holding = held.lock().unwrap();
            engine.replace("a.json", None, b"{}").unwrap();
            *holding
        };
        support::until("the watcher hears of it", || *held.lock().unwrap() > before);
    });
}

#[test]
fn derived_files_are_replaced_whole_and_may_be_missing() {
    on_every_engine(|engine, _| {
        assert_eq!(engine.load_derived("x.view"), None);
        engine.save_derived("x.view", b"one").unwrap();
        engine.save_derived("x.view", b"two").unwrap();
        assert_eq!(engine.load_derived("x.view").unwrap(), b"two");
    });
}

#[test]
fn a_lease_is_held_by_one_and_its_fence_only_grows() {
    on_every_engine(|engine, clock| {
        let ttl = Duration::from_secs(10);
        let first = engine.lease("job", "a", ttl).unwrap();
        assert_eq!(engine.lease("job", "a", ttl), Some(first.clone()));
        assert_eq!(engine.lease("job", "b", ttl), None);
        clock.advance(Duration::from_secs(11));
        let second = engine.lease("job", "b", ttl).unwrap();
        assert!(second.fence > first.fence);
        assert_eq!(engine.lease("job", "a", ttl), None);
    });
}

#[test]
fn stream_names_are_not_paths() {
    on_every_engine(|engine, _| {
        for name in ["", "../x", "a/b", "A", "a.b", "-a", &"a".repeat(65)] {
            let refused = engine.open(name, OPTIONS);
            assert!(
                matches!(refused, Err(StorageError::NoStream { .. })),
                "{name}"
            );
        }
        engine.open(&"a".repeat(64), OPTIONS).unwrap();
        assert!(engine.streams().contains(&"x".to_owned()));
    });
}
