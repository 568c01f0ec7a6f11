//! Rule C8: backups and restores, with every byte flipped and every call failing.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use echopilot::seams::clock::Clock;
use echopilot::seams::files::{Fault, FaultyFiles, Files, How, Op, RealFiles, Space};
use echopilot::storage::backup::{
    BackupError, History, Taken, TextFrom, Until, check, restore, take,
};
use echopilot::storage::engine::{Engine, Expect, Revision};
use echopilot::storage::line;
use echopilot::storage::lines::Lines;

use super::backup_world::{
    HISTORY, Old, SMALL, begin, files_of, named, own_lines, reports, restored, stamp, text, visible,
};
use super::support::{OPTIONS, Place, append, numbered, wait};

#[test]
fn c08_a_backup_restores_to_the_same_lines_texts_and_permissions() {
    let old = Old::new(60);
    // A line that is being written: no part of any backup.
    let torn = fs::OpenOptions::new().append(true).open(old.place.active());
    std::io::Write::write_all(&mut torn.unwrap(), b"{\"seq\":99,\"ts\"").unwrap();
    let taken = old.take();
    let new = old.home().join("new");
    let back = restored(&taken.folder, &new, None).unwrap();

    assert_eq!(own_lines(&new.join("logs")), old.model());
    let (mut before, after) = (reports(old.home()), reports(&new));
    for report in &mut before {
        report.tail_bytes = 0;
    }
    assert_eq!(before, after);
    assert!(after.iter().any(|report| report.segments > 3), "{after:#?}");
    assert!(after.iter().any(|report| report.foreign > 3), "{after:#?}");
    for journal in &back.journals {
        let told = taken.manifest.journals.iter();
        let told = told.clone().find(|one| one.name == journal.name).unwrap();
        assert_eq!(
            (journal.lines, journal.last_seq, &journal.h),
            (told.lines, told.last_seq, &told.h)
        );
    }
    for name in ["flags.json", "keys.json"] {
        let (a, b) = (old.home().join("configs"), new.join("configs"));
        assert_eq!(
            fs::read(a.join(name)).unwrap(),
            fs::read(b.join(name)).unwrap()
        );
        let mode = |folder: &Path| RealFiles.stat(&folder.join(name)).unwrap().mode;
        assert_eq!(mode(&a), mode(&b), "{name}");
    }
    assert!(
        matches!(
            restored(&taken.folder, &new, None),
            Err(BackupError::Occupied { .. })
        ),
        "a folder with something in it is refused"
    );
    // The result is a home: it goes on where it ended.
    let engine = Place {
        folder: tempfile::tempdir().unwrap(),
        files: FaultyFiles::over(Arc::new(RealFiles)),
    };
    fs::remove_dir(engine.folder.path()).unwrap();
    fs::rename(&new, engine.folder.path()).unwrap();
    let opened = engine.with_stream();
    let last = old.model().last().unwrap().0;
    // Its last segment is old enough to be sealed first, which takes a line.
    let first = append(&opened, 1).unwrap().first;
    assert!(
        (last + 1..=last + 2).contains(&first),
        "{first} after {last}"
    );
    opened.close();
    for report in reports(engine.folder.path()) {
        assert_eq!(report.bad_lines, 0, "{report:#?}");
    }
}

#[test]
fn c08_a_restore_to_any_point_is_the_past_as_it_was() {
    let old = Old::new(60);
    let model = old.model();
    let taken = old.take();
    let last = model.len();
    // Points between lines, on lines, before the first and after the last, in an order of no
    // meaning; one restore by instant and one by line for each.
    for round in 0..30 {
        let at = (round * 31 + 17) % (last + 1);
        let to = old.home().join(format!("at-{round}"));
        let keep = at;
        let ts = match at.checked_sub(1) {
            Some(index) => stamp(&model[index].1),
            None => begin() - TimeDelta::seconds(1),
        };
        restored(&taken.folder, &to, Some(&Until::Time(ts))).unwrap();
        // Lines of one millisecond stay together.
        let keep = model
            .iter()
            .take_while(|(_, t, _)| stamp(t) <= ts)
            .count()
            .max(keep);
        assert_eq!(own_lines(&to.join("logs")), model[..keep], "round {round}");
        for report in reports(&to) {
            assert_eq!(report.bad_lines, 0, "round {round}: {report:#?}");
        }

        let to = old.home().join(format!("line-{round}"));
        let (stream, seq) = ("x".to_owned(), at as u64);
        let back = restored(&taken.folder, &to, Some(&Until::Line { stream, seq })).unwrap();
        assert_eq!(own_lines(&to.join("logs")), model[..at], "round {round}");
        for journal in back.journals.iter().filter(|one| one.name != "x") {
            assert_eq!(journal.last_seq, journal.backup_last_seq, "{journal:?}");
        }
    }
    let beyond = Until::Line {
        stream: "x".to_owned(),
        seq: last as u64 + 1,
    };
    let unknown = Until::Line {
        stream: "y".to_owned(),
        seq: 1,
    };
    let to = old.home().join("never");
    assert!(matches!(
        restored(&taken.folder, &to, Some(&beyond)),
        Err(BackupError::NoLine { .. })
    ));
    assert!(matches!(
        restored(&taken.folder, &to, Some(&unknown)),
        Err(BackupError::NoStream { .. })
    ));
    assert!(!to.exists());
}

#[test]
fn c08_every_flipped_byte_missing_file_and_cut_manifest_is_named() {
    let old = Old::new(12);
    let taken = old.take();
    let backup = &*taken.folder;
    check(&RealFiles, backup).unwrap();
    let files = files_of(backup);
    assert!(files.len() > 5, "{files:?}");
    for file in &files {
        let path = backup.join(file);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(&path, &bad).unwrap();
            assert_eq!(
                named(check(&RealFiles, backup)),
                [file.as_str()],
                "byte {at}"
            );
        }
        fs::remove_file(&path).unwrap();
        match check(&RealFiles, backup) {
            Err(BackupError::NoBackup { .. }) => assert_eq!(file, "manifest.json"),
            other => assert_eq!(named(other), [file.as_str()], "missing"),
        }
        fs::write(&path, &good).unwrap();
    }
    let manifest = backup.join("manifest.json");
    let good = fs::read(&manifest).unwrap();
    for length in 0..good.len() {
        fs::write(&manifest, &good[..length]).unwrap();
        assert_eq!(named(check(&RealFiles, backup)), ["manifest.json"]);
    }
    fs::write(&manifest, &good).unwrap();
    let more = backup.join("logs/x.00000000000000000001-00000000000000000001.ndjson");
    fs::write(&more, "{}\n").unwrap();
    let file = more.strip_prefix(backup).unwrap().to_str().unwrap();
    let to = old.home().join("never");
    assert_eq!(named(restored(backup, &to, None)), [file]);
    assert_eq!(
        visible(old.home()).iter().find(|name| *name == "never"),
        None
    );
    fs::remove_file(&more).unwrap();
    check(&RealFiles, backup).unwrap();
}

/// Every kind of call that a backup and a restore make.
const OPS: [Op; 10] = [
    Op::OpenAppend,
    Op::OpenRead,
    Op::Write,
    Op::Sync,
    Op::Stat,
    Op::Rename,
    Op::Link,
    Op::WriteNew,
    Op::SyncDir,
    Op::List,
];

/// Lets each call fail in turn, once and from then on, until `run` ends without meeting the fault.
fn sweep(mut run: impl FnMut(&dyn Files, &str)) {
    let mut fired = 0;
    for op in OPS {
        let hows = match op {
            Op::Write => vec![How::Enospc, How::Short],
            Op::Sync | Op::OpenRead => vec![How::Eio],
            _ => vec![How::Enospc],
        };
        for how in hows {
            for forever in [false, true] {
                for at in 1.. {
                    let files = FaultyFiles::over(Arc::new(RealFiles));
                    let fault = Fault {
                        op,
                        at,
                        forever,
                        how,
                    };
                    files.fail(fault);
                    run(&files, &format!("{fault:?}"));
                    if files.fired() == 0 {
                        break;
                    }
                    fired += 1;
                }
            }
        }
    }
    assert!(fired > 100, "only {fired} calls were made to fail");
}

#[test]
fn c08_a_full_or_failing_disk_leaves_nothing_that_looks_like_a_backup() {
    let old = Old::new(12);
    sweep(|files, fault| {
        // The second one of each round would share segments with the first.
        match old.take_by(files) {
            Ok(taken) => {
                check(&RealFiles, &taken.folder).unwrap_or_else(|error| panic!("{fault}: {error}"));
                fs::remove_dir_all(&taken.folder).unwrap();
            }
            Err(_) => assert!(visible(&old.to()).is_empty(), "{fault}"),
        }
    });
    // Whatever was left half built does not stand in the way.
    let taken = old.take();
    assert_eq!(RealFiles.list(&old.to()).unwrap().len(), 1);
    let full = FaultyFiles::over(Arc::new(RealFiles));
    full.set_space(Some(Space {
        total: 1 << 30,
        available: 10,
    }));
    let elsewhere = old.home().join("elsewhere");
    let refused = take(&full, &*old.clock, old.home(), &elsewhere);
    assert!(
        matches!(refused, Err(BackupError::Room { .. })),
        "{refused:?}"
    );
    assert!(RealFiles.list(&elsewhere).unwrap().is_empty());

    sweep(|files, fault| {
        let to = old.home().join("new");
        match restore(files, &taken.folder, &to, None, &HISTORY) {
            Ok(_) => {
                assert_eq!(own_lines(&to.join("logs")), old.model(), "{fault}");
                fs::remove_dir_all(&to).unwrap();
            }
            Err(_) => assert!(!to.exists(), "{fault}"),
        }
    });
}

#[test]
fn c08_a_sealed_segment_is_written_once_while_it_stays_the_same() {
    let old = Old::new(40);
    let first = old.take();
    assert_eq!(first.linked_bytes, 0);
    let second = old.take();
    assert_ne!(first.folder, second.folder, "two backups of one second");
    let sealed: Vec<_> = old.place.names("x.0");
    let inode = |taken: &Taken, name: &str| {
        let path = taken.folder.join("logs").join(name);
        RealFiles.stat(&path).unwrap().inode
    };
    assert!(sealed.len() > 3 && second.linked_bytes > 0, "{sealed:?}");
    for name in &sealed {
        assert_eq!(inode(&first, name), inode(&second, name));
        assert_ne!(
            RealFiles.stat(&old.place.logs().join(name)).unwrap().inode,
            inode(&first, name),
            "no name is shared with the home: an edit there must not reach a backup"
        );
    }
    // The newest backup rots in one file, the home is changed in another: both are told, and the
    // next backup has copies of its own.
    let rotten = second.folder.join("logs").join(&sealed[1]);
    let changed = old.place.logs().join(&sealed[2]);
    for path in [&rotten, &changed] {
        let mut bytes = fs::read(path).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    }
    let third = old.take();
    for (name, about) in [(&sealed[1], "is damaged"), (&sealed[2], "was changed")] {
        assert_ne!(inode(&second, name), inode(&third, name));
        let told = third
            .notes
            .iter()
            .any(|note| note.contains(name) && note.contains(about));
        assert!(told, "{:#?}", third.notes);
    }
    check(&RealFiles, &third.folder).unwrap();
    assert_eq!(
        named(check(&RealFiles, &second.folder)),
        [format!("logs/{}", sealed[1])]
    );
    // A journal that was bad when it was backed up is restored as it was.
    let to = old.home().join("new");
    restored(&third.folder, &to, None).unwrap();
    assert_eq!(reports(&to), reports(old.home()));
}

#[test]
fn c08_two_backups_at_once_do_not_mix() {
    let old = Old::new(4);
    let building = old.to().join(".building.tmp");
    RealFiles.create_dir_all(&building).unwrap();
    fs::write(building.join("left"), "by a killed process").unwrap();
    let hold = RealFiles.lock_dir(&building).unwrap();
    assert!(matches!(
        old.take_by(&RealFiles),
        Err(BackupError::Busy { .. })
    ));
    assert!(building.join("left").exists());
    drop(hold);
    let taken = old.take();
    assert!(!building.exists() && !taken.folder.join("left").exists());
}

#[test]
fn c08_configurations_are_those_of_the_time_where_the_journal_tells() {
    fn accepted(own: &line::OwnLine<'_>) -> Option<(String, Revision)> {
        let revision = text(own.members)
            .strip_prefix("\"rev\":\"")?
            .get(..16)?
            .to_owned();
        let revision = Revision::parse(&revision)?;
        Some(("flags.json".to_owned(), revision))
    }
    let history = History {
        stream: "x",
        accepted,
        newest_only: &["keys.json"],
    };
    let old = Old::new(4);
    let engine = old.place.engine_by(Arc::clone(&old.clock) as _);
    engine.open("x", SMALL).unwrap();
    let mut instants = vec![old.clock.now()];
    for text in ["{\"a\": 1}\n", "{\"a\": 2}\n", "{\"a\": 3}\n"] {
        old.clock.advance(Duration::from_secs(5));
        engine.keep_snapshot("flags.json", text.as_bytes()).unwrap();
        let revision = Revision::of(text.as_bytes());
        let mut lines = Lines::new();
        lines.push("config.accepted", old.clock.now(), |out| {
            out.extend_from_slice(format!("\"rev\":\"{revision}\"").as_bytes());
        });
        wait(engine.append("x", Expect::Any, None, lines, None)).unwrap();
        fs::write(old.home().join("configs/flags.json"), text).unwrap();
        instants.push(old.clock.now());
    }
    engine.close();
    let lost = Revision::of(b"{\"a\": 2}\n");
    fs::remove_file(
        old.home()
            .join(format!("backups/configs/flags/{lost}.json")),
    )
    .unwrap();
    let taken = old.take();
    let expected = [
        ("{\"a\": 3}\n", TextFrom::Untold),
        ("{\"a\": 1}\n", TextFrom::Then),
        ("{\"a\": 3}\n", TextFrom::Lost(lost)),
        ("{\"a\": 3}\n", TextFrom::Then),
    ];
    for (round, (at, (text, from))) in instants.into_iter().zip(expected).enumerate() {
        let to = old.home().join(format!("new-{round}"));
        let until = Until::Time(at);
        let back = restore(&RealFiles, &taken.folder, &to, Some(&until), &history).unwrap();
        assert_eq!(
            fs::read_to_string(to.join("configs/flags.json")).unwrap(),
            text
        );
        let found: Vec<_> = back
            .documents
            .iter()
            .map(|one| (&*one.name, &one.from))
            .collect();
        assert_eq!(
            found,
            [("flags.json", &from), ("keys.json", &TextFrom::Newest)]
        );
    }
}

#[test]
fn c08_a_segment_whose_sync_failed_is_backed_up_and_cut_like_any_other() {
    let old = Old::new(6);
    let engine = old.place.engine_by(Arc::clone(&old.clock) as _);
    engine.open("x", OPTIONS).unwrap();
    for number in 0..6 {
        if number == 3 {
            old.place.files.fail(Fault {
                op: Op::Sync,
                at: 1,
                forever: false,
                how: How::Eio,
            });
        }
        old.clock.advance(Duration::from_secs(1));
        wait(engine.append("x", Expect::Any, None, numbered(number), None)).unwrap();
    }
    engine.close();
    let suspect = |home: &Path| {
        let names = RealFiles.list(&home.join("logs")).unwrap();
        names.iter().filter(|name| name.contains("suspect")).count()
    };
    assert_eq!(suspect(old.home()), 1);
    let taken = old.take();
    let last = taken
        .manifest
        .journals
        .iter()
        .find(|one| one.name == "x")
        .unwrap()
        .last_seq;
    for seq in 0..=last {
        let to = old.home().join(format!("new-{seq}"));
        let stream = "x".to_owned();
        restored(&taken.folder, &to, Some(&Until::Line { stream, seq })).unwrap();
        let found = reports(&to)
            .into_iter()
            .find(|one| one.stream == "x")
            .unwrap_or_default();
        assert_eq!(
            (found.lines, found.last_seq, found.bad_lines),
            (seq, seq, 0)
        );
    }
    assert_eq!(suspect(&old.home().join(format!("new-{last}"))), 1);
}
