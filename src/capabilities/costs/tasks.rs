//! The tasks: the daily report, yesterday's lines, the weekly outlook, the ledger's keys.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use super::service::Costs;
use crate::platform::scheduler::{DefaultCadence, Pass, Task, Work};

/// How long a run may take: the home is walked, or 500 items are reckoned for two months.
const LIMIT: Duration = Duration::from_mins(2);

/// One row of the task loop.
struct Row {
    name: &'static str,
    about: &'static str,
    cadence: DefaultCadence,
    run: for<'a> fn(&'a Costs, &'a Pass) -> Work<'a>,
}

const ROWS: [Row; 4] = [
    Row {
        name: "cost-tracker",
        about: "what the daemon itself uses and costs; writes logs/cost_report.json",
        cadence: DefaultCadence::utc("10 1 * * *"),
        run: |costs, pass| Box::pin(costs.track(pass.now)),
    },
    Row {
        name: "cost-collector",
        about: "yesterday's cost of each item on record, and steps in its use told",
        cadence: DefaultCadence::utc("40 1 * * *"),
        run: |costs, pass| Box::pin(costs.collect(pass.now)),
    },
    Row {
        name: "cost-prediction",
        about: "trend and 30 days ahead of each part; writes logs/cost_prediction.json",
        cadence: DefaultCadence::utc("10 2 * * MON"),
        run: |costs, pass| Box::pin(costs.predict(pass.now)),
    },
    Row {
        name: "ledger-sync",
        about: "costs of 30 days as keys of the ledger; writes logs/ledger_keys.json",
        cadence: DefaultCadence::every_secs(3600),
        run: |costs, pass| Box::pin(costs.sync(pass.now)),
    },
];

/// All tasks of `costs`.
pub(super) fn all(costs: &Arc<Costs>) -> Vec<Arc<dyn Task>> {
    let bound = |row| {
        let costs = Arc::clone(costs);
        Arc::new(Bound { row, costs }) as Arc<dyn Task>
    };
    ROWS.iter().map(bound).collect()
}

/// A row bound to what it works with.
struct Bound {
    row: &'static Row,
    costs: Arc<Costs>,
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
        (self.row.run)(&self.costs, pass)
    }
}
