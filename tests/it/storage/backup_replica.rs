//! A replica in a folder, with every call failing in turn: whatever is broken off, it is what it
//! was or what it becomes.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use echopilot::seams::files::{Fault, FaultyFiles, Files, How, Op, RealFiles};
use echopilot::storage::backup::BackupError;
use echopilot::storage::backup::sync::{FolderTarget, Options, Synced, sync};

use super::backup_world::{Old, own_lines, restored};

fn synced(old: &Old, files: &dyn Files, to: &Path) -> Result<Synced, BackupError> {
    let options = Options {
        keeps_removed: true,
        reads_back: true,
        is_known: false,
    };
    let mut target = FolderTarget::open(files, to, old.home(), false)?;
    sync(files, &*old.clock, old.home(), &mut target, options)
}

fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn c08_a_replica_is_what_it_was_or_what_it_becomes_wherever_a_run_is_broken_off() {
    let old = Old::new(20);
    let outside = tempfile::tempdir().unwrap();
    let (first, second) = (outside.path().join("first"), outside.path().join("second"));
    synced(&old, &RealFiles, &first).unwrap();
    let before = old.model();
    old.write(12);
    fs::write(old.home().join("configs/flags.json"), "{\"a\": false}\n").unwrap();
    fs::remove_file(old.home().join("configs/keys.json")).unwrap();
    let after = old.model();
    assert!(after.len() > before.len());
    let (mut fired, mut as_before, mut as_after) = (0, 0, 0);
    for op in [
        Op::OpenAppend,
        Op::Write,
        Op::Sync,
        Op::Rename,
        Op::Remove,
        Op::WriteNew,
        Op::SyncDir,
        Op::Stat,
        Op::List,
        Op::OpenRead,
    ] {
        for at in 1.. {
            copy(&first, &second);
            let files = FaultyFiles::over(Arc::new(RealFiles));
            // From here on nothing works any more, as if the process had been killed.
            let (forever, how) = (true, How::Eio);
            files.fail(Fault {
                op,
                at,
                forever,
                how,
            });
            let outcome = synced(&old, &files, &second);
            let is_done = files.fired() == 0;
            let new = outside.path().join("new");
            restored(&second, &new, None).unwrap_or_else(|error| panic!("{op:?} {at}: {error}"));
            let lines = own_lines(&new.join("logs"));
            let flags = fs::read_to_string(new.join("configs/flags.json")).unwrap();
            let keys = new.join("configs/keys.json").exists();
            if lines == before {
                assert_eq!((&*flags, keys), ("{\"a\": true}\n", true), "{op:?} {at}");
                as_before += 1;
            } else {
                assert_eq!(lines, after, "{op:?} {at}: {outcome:?}");
                assert_eq!((&*flags, keys), ("{\"a\": false}\n", false), "{op:?} {at}");
                as_after += 1;
            }
            // The next run goes on from there.
            synced(&old, &RealFiles, &second).unwrap();
            fs::remove_dir_all(&new).unwrap();
            restored(&second, &new, None).unwrap();
            assert_eq!(own_lines(&new.join("logs")), after, "{op:?} {at}");
            fs::remove_dir_all(&new).unwrap();
            fs::remove_dir_all(&second).unwrap();
            if is_done {
                outcome.unwrap();
                break;
            }
            fired += 1;
        }
    }
    assert!(
        fired > 80 && as_before > 20 && as_after > 10,
        "{fired} {as_before} {as_after}"
    );
}

#[test]
fn c08_the_first_run_into_a_folder_leaves_a_replica_or_none() {
    let old = Old::new(8);
    let outside = tempfile::tempdir().unwrap();
    let to = outside.path().join("replica");
    for at in 1.. {
        let files = FaultyFiles::over(Arc::new(RealFiles));
        files.fail(Fault {
            op: Op::Rename,
            at,
            forever: true,
            how: How::Eio,
        });
        let outcome = synced(&old, &files, &to);
        let new = outside.path().join("new");
        match restored(&to, &new, None) {
            Ok(_) => assert_eq!(own_lines(&new.join("logs")), old.model(), "{at}"),
            Err(BackupError::NoBackup { .. }) => assert!(outcome.is_err(), "{at}"),
            Err(error) => panic!("{at}: {error}"),
        }
        let _may_be_absent = fs::remove_dir_all(&new);
        fs::remove_dir_all(&to).unwrap();
        if files.fired() == 0 {
            return;
        }
    }
}
