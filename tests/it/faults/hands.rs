//! Rules L12, L15, L16: people at an active journal, under load. What they remove is gone, what
//! they add is kept, and no line that they did not touch is lost.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Load, kept, log, sh, verify};
use crate::daemon::Daemon;

/// What a person does, and whether lines written before may be gone then.
const DEEDS: [(&str, bool); 11] = [
    ("mv $F $F.mine", true),
    ("truncate -s 0 $F", true),
    ("rm $F", true),
    (": > $F", true),
    ("cp $F $F.tmp; mv $F.tmp $F", false),
    ("sed -i 's/nothing of this/kind/' $F", false),
    ("echo foo >> $F", false),
    ("printf bar >> $F", false),
    ("printf '{\"remark\":\"mine\"}' >> $F", false),
    ("head -c 700 /dev/zero >> $F", false),
    ("for i in 1 2 3 4 5 6 7 8 9; do echo $i >> $F; done", false),
];

fn act(home: &Path, deed: &str) {
    let file = home.join("logs/experiments.ndjson").display().to_string();
    sh(&deed.replace("$F", &file));
}

#[test]
fn l15_l16_people_at_an_active_log_lose_no_line_they_did_not_remove() {
    let rounds = super::rounds(3, 30);
    for (deed, removes) in DEEDS {
        let home = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(home.path());
        let load = Load::start(&daemon, 4, "load");
        let mut exempt = BTreeSet::new();
        for _ in 0..rounds {
            load.acknowledge(30);
            act(home.path(), deed);
            if removes {
                // Whatever was on its way during the deed may have been removed with the rest.
                exempt = load.acked();
                let begun = load.count.load(std::sync::atomic::Ordering::Relaxed);
                super::within(crate::daemon::PATIENCE, "calls go round", || {
                    load.count.load(std::sync::atomic::Ordering::Relaxed) >= begun + 4
                });
                exempt.extend(load.acked());
            }
        }
        load.acknowledge(30);
        let mut told = load.end();
        assert!(told.refused.is_empty(), "{deed}: {:?}", told.refused);
        let last = log(&daemon, "the-last").expect(200).json()["seq"].as_u64();
        assert_eq!(daemon.stop(), Some(0), "{deed}");
        told.acked.insert("the-last".to_owned(), last.unwrap());
        told.acked.retain(|id, _| !exempt.contains(id));
        let found = kept(home.path());
        for (id, seq) in &told.acked {
            assert_eq!(
                found.ids.get(id),
                Some(&vec![*seq]),
                "`{deed}` lost `{id}` at {seq}"
            );
        }
        assert!(
            found.seqs.is_sorted_by(|one, next| one < next),
            "{deed}: numbers run on"
        );
        if !removes {
            found.assert_gapless();
        }
        // Zeros are never a person's words: each run of them is named, and nothing else is.
        let runs = if deed.contains("zero") { rounds } else { 0 };
        let (code, report) = verify(home.path());
        assert_eq!(code, i32::from(runs > 0), "{deed}: {report:#}");
        assert_eq!(
            of_experiments(&report)["bad_lines"],
            runs,
            "{deed}: {report:#}"
        );
    }
}

/// What `verify` says of the journal that the events are in.
fn of_experiments(report: &serde_json::Value) -> &serde_json::Value {
    let mut journals = report["journals"].as_array().unwrap().iter();
    journals
        .find(|one| one["journal"] == "experiments")
        .unwrap()
}

#[test]
fn l15_a_line_deleted_by_hand_is_named_by_verify_and_nothing_else_is_touched() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let load = Load::start(&daemon, 4, "load");
    load.acknowledge(30);
    act(home.path(), "sed -i 2d $F");
    load.acknowledge(30);
    let mut told = load.end();
    assert_eq!(daemon.stop(), Some(0));
    let removed: Vec<_> = told.acked.iter().filter(|(_, seq)| **seq == 2).collect();
    assert_eq!(removed.len(), 1, "the first lines are events");
    told.acked.retain(|_, seq| *seq != 2);
    let found = kept(home.path());
    found.assert_holds(&told.acked);
    let (code, report) = verify(home.path());
    assert_eq!(code, 1, "{report:#}");
    let experiments = of_experiments(&report);
    assert_eq!(experiments["bad_lines"], 1, "{experiments:#}");
    assert_eq!(experiments["bad"][0]["line"], 2, "{experiments:#}");
}

/// An editor that puts the old file aside and then writes the text anew may truncate the segment
/// that was begun in between: what is in that is the editor's doing. What comes after is kept.
#[test]
fn l15_an_editor_that_moves_the_log_aside_and_writes_it_anew_is_survived() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let load = Load::start(&daemon, 4, "load");
    for _ in 0..super::rounds(5, 50) {
        load.acknowledge(20);
        // There is an instant in which the daemon itself gives the file another name.
        act(home.path(), "mv $F $F~ && cp $F~ $F && rm $F~ || true");
    }
    load.acknowledge(20);
    assert!(load.end().refused.is_empty());
    let after = Load::start(&daemon, 4, "after");
    after.acknowledge(50);
    let told = after.end();
    assert_eq!(daemon.stop(), Some(0));
    kept(home.path()).assert_holds(&told.acked);
}
