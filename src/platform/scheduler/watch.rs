//! Each task is its own heartbeat: late, missed, too long or failing raises a finding, and the next
//! good run ends it. Keys are `task:NAME:late`, `task:NAME:slow` and `task:NAME:failed`.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::core::{Moment, Row};
use super::driver::Parts;
use super::event::RunRecord;
use super::plan::{DueSlot, MOST_COUNTED};
use super::task::{Outcome, Trigger};
use crate::base::time;
use crate::platform::alerts::{Alerts, Finding, Severity};

/// Who finds it.
const SOURCE: &str = "tasks";

/// Something for the alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It holds.
    Raise(Finding),
    /// It does not hold any more.
    Resolve {
        /// Its identity.
        key: String,
        /// How it ended.
        how: String,
    },
}

impl Notice {
    /// Tells it.
    pub fn tell(self, alerts: &Alerts, now: DateTime<Utc>) {
        match self {
            Self::Raise(finding) => alerts.raise(finding, now),
            Self::Resolve { key, how } => alerts.resolve(&key, now, how),
        }
    }
}

/// Ends what was found about tasks that are no more: no run of theirs will.
pub(super) fn forget_strangers(parts: &Parts, now: DateTime<Utc>) {
    let known: BTreeSet<&str> = parts
        .roster
        .tasks()
        .iter()
        .map(|task| task.name())
        .collect();
    for said in parts.alerts.said_by(SOURCE) {
        let task = said.finding.labels.get("task");
        if let Some(task) = task.filter(|task| !known.contains(task)) {
            let how = format!("there is no task `{task}` any more");
            parts.alerts.resolve(&said.finding.key, now, how);
        }
    }
}

fn key(task: &str, what: &str) -> String {
    format!("task:{task}:{what}")
}

fn found(
    row: &Row,
    what: &str,
    severity: Severity,
    summary: String,
    since: DateTime<Utc>,
) -> Notice {
    let task = row.task.name();
    Notice::Raise(Finding {
        key: key(task, what),
        source: SOURCE.to_owned(),
        severity,
        summary,
        started_at: since,
        labels: [("task", task)].into(),
        ..Finding::default()
    })
}

/// A slot was not seen in time, or others before it were not seen at all: nothing ran, or the clock
/// jumped.
pub(super) fn late(row: &Row, due: DueSlot, now: DateTime<Utc>, notices: &mut Vec<Notice>) {
    let (task, was) = (row.task.name(), time::stamp(due.at));
    let late = spelled(now - due.at);
    let missed = match due.missed {
        0 => String::new(),
        MOST_COUNTED.. => format!("; at least {MOST_COUNTED} due times before it were missed"),
        count => format!("; {count} due times before it were missed"),
    };
    let done = if due.is_dropped {
        "is not made up for"
    } else {
        "runs"
    };
    let summary = format!("task `{task}` was due at {was} and {done}, {late} late{missed}");
    notices.push(found(row, "late", Severity::Warning, summary, due.at));
}

/// A run that waits for a place.
pub(super) fn waiting(row: &Row, now: DateTime<Utc>, notices: &mut Vec<Notice>) {
    let Some(queued) = row.queued.as_ref().filter(|queued| {
        queued.trigger == Trigger::Schedule
            && now - queued.slot.at - row.rules.jitter > row.rules.late_after
    }) else {
        return;
    };
    let (task, was) = (row.task.name(), time::stamp(queued.slot.at));
    let summary = format!("task `{task}` was due at {was} and waits for other tasks to end");
    notices.push(found(
        row,
        "late",
        Severity::Warning,
        summary,
        queued.slot.at,
    ));
}

/// A run that goes on for long.
pub(super) fn slow(row: &Row, at: Moment, notices: &mut Vec<Notice>) {
    let Some(running) = &row.running else { return };
    let took = at.uptime.saturating_sub(running.began);
    if took <= row.rules.slow_after {
        return;
    }
    let (task, usual) = (row.task.name(), row.rules.slow_after.as_secs_f64());
    let summary = format!("task `{task}` has been running for more than {usual} s");
    notices.push(found(
        row,
        "slow",
        Severity::Warning,
        summary,
        running.started,
    ));
}

/// What a record says of its task's health.
pub(super) fn after(row: &Row, record: &RunRecord, now: DateTime<Utc>, notices: &mut Vec<Notice>) {
    let task = row.task.name();
    if record.outcome == Outcome::Failed {
        let failed = row.past.failed_in_row;
        if failed >= row.rules.failures {
            let error = record.error.as_ref().or(record.reason.as_ref());
            let error = error.map_or("no reason told", String::as_str);
            let times = if failed == 1 {
                "has failed".to_owned()
            } else {
                format!("has failed {failed} times in a row")
            };
            let summary = format!("task `{task}` {times}: {error}");
            notices.push(found(row, "failed", Severity::Error, summary, now));
        }
        return;
    }
    if record.attempt == 0 {
        // It did not begin: that says nothing of how the task is.
        return;
    }
    let run = &record.run;
    let mut resolve = |what: &str, how: String| {
        notices.push(Notice::Resolve {
            key: key(task, what),
            how,
        });
    };
    resolve(
        "late",
        format!("run `{run}` of task `{task}` has ended well"),
    );
    resolve(
        "failed",
        format!("run `{run}` of task `{task}` has ended well"),
    );
    let took = record.duration_ms.unwrap_or(0);
    if u128::from(took) <= row.rules.slow_after.as_millis() {
        resolve(
            "slow",
            format!("run `{run}` of task `{task}` took {took} ms"),
        );
    }
}

/// A span for people: `6 h 2 min`, `40 s`.
pub(super) fn spelled(span: TimeDelta) -> String {
    let secs = span.num_seconds().max(0);
    let (days, hours, minutes) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}
