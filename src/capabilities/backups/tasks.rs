//! The tasks: a backup every night, replicas every two hours, a restore as a proof every week.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use super::service::Backups;
use crate::platform::scheduler::{DefaultCadence, Pass, Task, Work};

/// How long a run may take: 100 GB at 30 MB/s, what a small machine's disk reads beside its work.
const LIMIT: Duration = Duration::from_mins(55);

/// One row of the task loop.
struct Row {
    name: &'static str,
    about: &'static str,
    cadence: DefaultCadence,
    run: for<'a> fn(&'a Backups, &'a Pass) -> Work<'a>,
}

const ROWS: [Row; 3] = [
    Row {
        name: "backup",
        about: "a backup of the home, read back; the old ones go",
        cadence: DefaultCadence::utc("40 2 * * *"),
        run: |backups, pass| Box::pin(backups.take(pass)),
    },
    Row {
        name: "replica-sync",
        about: "brings the copies elsewhere up to date and checks them",
        cadence: DefaultCadence::every_secs(2 * 3600),
        run: |backups, pass| Box::pin(backups.sync(pass)),
    },
    Row {
        name: "restore-drill",
        about: "restores the newest backup aside and compares it with the journals",
        cadence: DefaultCadence::utc("20 4 * * SUN"),
        run: |backups, pass| Box::pin(backups.prove(pass)),
    },
];

/// All tasks of `backups`.
pub(super) fn all(backups: &Arc<Backups>) -> Vec<Arc<dyn Task>> {
    let bound = |row| {
        let backups = Arc::clone(backups);
        Arc::new(Bound { row, backups }) as Arc<dyn Task>
    };
    ROWS.iter().map(bound).collect()
}

/// A row bound to what it works with.
struct Bound {
    row: &'static Row,
    backups: Arc<Backups>,
}

impl Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound")
            .field("name", &self.row.name)
            .finish_non_exhaustive()
    }
}

impl Task for Bound {
    fn name(&self) -> &'static str {
        self.row.name
    }

    fn about(&self) -> &'static str {
        self.row.about
    }

    fn cadence(&self) -> DefaultCadence {
        self.row.cadence
    }

    fn limit(&self) -> Duration {
        LIMIT
    }

    fn run<'a>(&'a self, pass: &'a Pass) -> Work<'a> {
        (self.row.run)(&self.backups, pass)
    }
}
