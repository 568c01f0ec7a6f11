//! The tasks: the daily report, yesterday's lines, the weekly outlook, the ledger's keys.

use std::sync::Arc;
use std::time::Duration;

use super::service::Costs;
use crate::platform::scheduler::{DefaultCadence, Task, TaskRow};

/// How long a run may take: the home is walked, or 500 items are reckoned for two months.
const LIMIT: Duration = Duration::from_mins(2);

static ROWS: [TaskRow<Costs>; 4] = [
    TaskRow {
        name: "cost-tracker",
        about: "what the daemon itself uses and costs; writes logs/cost_report.json",
        cadence: DefaultCadence::utc("10 1 * * *"),
        limit: LIMIT,
        acts: false,
        run: |costs, pass| Box::pin(costs.track(pass.now)),
    },
    TaskRow {
        name: "cost-collector",
        about: "yesterday's cost of each item on record, and steps in its use told",
        cadence: DefaultCadence::utc("40 1 * * *"),
        limit: LIMIT,
        acts: false,
        run: |costs, pass| Box::pin(costs.collect(pass.now)),
    },
    TaskRow {
        name: "cost-prediction",
        about: "trend and 30 days ahead of each part; writes logs/cost_prediction.json",
        cadence: DefaultCadence::utc("10 2 * * MON"),
        limit: LIMIT,
        acts: false,
        run: |costs, pass| Box::pin(costs.predict(pass.now)),
    },
    TaskRow {
        name: "ledger-sync",
        about: "costs of 30 days as keys of the ledger; writes logs/ledger_keys.json",
        cadence: DefaultCadence::every_secs(3600),
        limit: LIMIT,
        acts: false,
        run: |costs, pass| Box::pin(costs.sync(pass.now)),
    },
];

/// All tasks of `costs`.
pub(super) fn all(costs: &Arc<Costs>) -> Vec<Arc<dyn Task>> {
    ROWS.iter().map(|row| row.bound(costs)).collect()
}
