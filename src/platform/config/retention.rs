//! Which journals may lose their oldest lines, and how young they must stay.
//!
//! Most journals are the state itself: what is cut from them is forgotten by the next start. Those
//! that are listed here mean the same without their beginning, either because nothing is worked
//! out from it, or because what still counts is held back (see [`crate::platform::holds`]).

use std::collections::BTreeMap;

use crate::base::json::Path;
use crate::base::problems::Problems;

/// A journal that may be cut, and the fewest days that must stay of it.
struct Cuttable {
    journal: &'static str,
    days: u32,
}

/// Most days that can be asked for: a century.
const MOST_DAYS: u32 = 36_500;

/// All that may be cut.
const CUTTABLE: [Cuttable; 7] = [
    // A run each three minutes; disks are projected from 72 hours at most.
    Cuttable {
        journal: "ops_sentinel",
        days: 7,
    },
    // Minutes are kept for 35 days in memory; hours and days stand in `samples_tiers`.
    Cuttable {
        journal: "samples",
        days: 40,
    },
    // Nothing is worked out from it; this month of starts and removals is for people.
    Cuttable {
        journal: "storage",
        days: 30,
    },
    // Digests are only read by people.
    Cuttable {
        journal: "support_digest",
        days: 1,
    },
    // How far each mailbox is read is held back; mails older than `support.json` keeps count no
    // more anyhow.
    Cuttable {
        journal: "support_mail",
        days: 30,
    },
    // A task may be due once a year; pauses are held back.
    Cuttable {
        journal: "task_runs",
        days: 400,
    },
    // Beats, snapshots and audits are only read by people.
    Cuttable {
        journal: "upkeep",
        days: 1,
    },
];

/// Names of the journals that may be cut.
pub fn cuttable() -> impl Iterator<Item = &'static str> {
    CUTTABLE.iter().map(|one| one.journal)
}

/// Notes what must not be cut, or not so far.
pub(super) fn check(raw: &BTreeMap<String, u32>, problems: &mut Problems) {
    for (journal, days) in raw {
        let path = Path::from("journals.retention_days").key(journal);
        let known = CUTTABLE.iter().find(|one| one.journal == journal);
        match known {
            None => {
                let names: Vec<String> = cuttable().map(|name| format!("`{name}`")).collect();
                problems.not_allowed(
                    path,
                    format!("the key `{journal}`"),
                    format!("one of {}", names.join(", ")),
                    "every other journal is the state itself and is kept whole; \
                     `compress_after_days` makes it small",
                );
            }
            Some(one) if !(one.days..=MOST_DAYS).contains(days) => problems.out_of_range(
                path,
                *days,
                format!("{}..={MOST_DAYS}", one.days),
                "younger lines are still needed; remove the key to keep all of them",
            ),
            Some(_) => {}
        }
    }
}
