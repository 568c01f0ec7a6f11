//! `configs/tasks.json`: cadences and bounds of tasks, where they differ from their own.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use crate::base::calendar::{Cadence, CalendarError, Cron, Span, Zone};
use crate::base::json::{Path, Tree};
use crate::base::names;
use crate::base::problems::Problems;
use crate::platform::config::{Config, schema_of, typed};
use crate::platform::scheduler::{LoopRules, Missed, Overlap, Override, rules};

/// Seconds that any span of the file may have, at most: a year (our own choice).
const MOST_SECS: u64 = 366 * 86_400;

/// The file.
#[derive(Debug)]
pub(super) struct TasksConfig;

/// Cadences and bounds of tasks, where they differ from their own.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(title = "echopilot: tasks")]
#[serde(deny_unknown_fields)]
struct RawTasks {
    /// Runs of all tasks at one time; others wait. Default 16.
    #[serde(default = "default_running")]
    #[schemars(range(min = 1, max = 10_000))]
    max_running: usize,
    /// By the name of a task or an alias of it; `echopilot task list` shows all.
    tasks: BTreeMap<String, RawTask>,
}

fn default_running() -> usize {
    rules::DEFAULT_MOST_RUNNING
}

/// One task. What is left out stays as the task has it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawTask {
    /// Again and again after this span, such as "3m", "6h" or "1d"; at least "1s". Its due times
    /// are the multiples of it since 1970-01-01T00:00Z. Instead of `cron`.
    every: Option<String>,
    /// By the calendar, such as "10 1 * * *": minute, hour, day of month, month, day of week.
    /// Instead of `every`.
    cron: Option<String>,
    /// IANA zone that `cron` is meant in, such as "Europe/London". Default UTC.
    zone: Option<String>,
    /// Whether it does not run until this is taken out. Due times that pass are not made up for.
    paused: bool,
    /// Seconds by which its start is delayed at most, always by the same part of it. Default 0.
    #[schemars(range(max = 31_622_400))]
    jitter_secs: Option<u64>,
    /// Seconds that a run may take with all its tries; then it is ended and has failed. Default:
    /// the task's own.
    #[schemars(range(min = 1, max = 31_622_400))]
    timeout_secs: Option<u64>,
    /// What becomes of due times that passed while nothing ran: once = one run for all of them,
    /// skip = none, all = one run each within the window, oldest first. Default once.
    #[schemars(with = "Option<MissedWord>")]
    missed: Option<Missed>,
    /// Seconds after which a missed due time is not made up for. Default: a day with `all`, else
    /// without end.
    #[schemars(range(min = 1, max = 31_622_400))]
    missed_window_secs: Option<u64>,
    /// What becomes of a due time that comes while the run before is still going: skip = nothing,
    /// latest = the latest of them follows at once. Default skip.
    #[schemars(with = "Option<OverlapWord>")]
    overlap: Option<Overlap>,
    /// Seconds after its due time from which a run counts as late or missed. Default: half the
    /// span from one due time to the next, 30 at least and 300 at most.
    #[schemars(range(min = 1, max = 31_622_400))]
    late_after_secs: Option<u64>,
    /// Seconds from which a run counts as too long and is alerted. Default: half of the timeout.
    #[schemars(range(min = 1, max = 31_622_400))]
    slow_after_secs: Option<u64>,
}

/// The words for missed due times, for the schema.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum MissedWord {
    Once,
    Skip,
    All,
}

/// The words for overlapping due times, for the schema.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum OverlapWord {
    Skip,
    Latest,
}

impl Config for TasksConfig {
    const FILE: &'static str = "tasks.json";
    const SHIPPED: &'static str = include_str!("../../../configs/tasks.json");
    type Rules = LoopRules;

    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<LoopRules> {
        let raw: RawTasks = typed(tree, problems)?;
        let before = problems.count();
        let mut tasks = BTreeMap::new();
        for (name, task) in raw.tasks {
            let place = Path::root().key("tasks").key(&name);
            if !names::is_name(&name) {
                let allowed = "a name such as `ops-sentinel`";
                let hint = "`echopilot task list` shows the names of all tasks";
                problems.not_allowed(&place, format!("`{name}`"), allowed, hint);
            }
            check_spans(&task, &place, problems);
            let over = Override {
                cadence: cadence(&task, &place, problems),
                is_paused: task.paused,
                jitter: task.jitter_secs.map(Duration::from_secs),
                timeout: task.timeout_secs.map(Duration::from_secs),
                missed: task.missed,
                missed_window: task.missed_window_secs.map(Duration::from_secs),
                overlap: task.overlap,
                late_after: task.late_after_secs.map(Duration::from_secs),
                slow_after: task.slow_after_secs.map(Duration::from_secs),
            };
            tasks.insert(name, over);
        }
        (problems.count() == before).then_some(LoopRules {
            most_running: raw.max_running,
            tasks,
        })
    }

    fn schema() -> Schema {
        schema_of::<RawTasks>()
    }
}

fn check_spans(task: &RawTask, place: &Path, problems: &mut Problems) {
    let spans = [
        ("jitter_secs", task.jitter_secs, 0),
        ("timeout_secs", task.timeout_secs, 1),
        ("missed_window_secs", task.missed_window_secs, 1),
        ("late_after_secs", task.late_after_secs, 1),
        ("slow_after_secs", task.slow_after_secs, 1),
    ];
    for (key, secs, least) in spans {
        let bad = secs.filter(|secs| !(least..=MOST_SECS).contains(secs));
        if let Some(secs) = bad {
            let allowed = format!("{least}..={MOST_SECS} seconds");
            problems.out_of_range(place.key(key), secs, allowed, "");
        }
    }
}

/// The cadence that is written, if one is.
fn cadence(task: &RawTask, place: &Path, problems: &mut Problems) -> Option<Cadence> {
    if task.every.is_some() && task.cron.is_some() {
        let hint = "remove one: `every` for an interval, `cron` for the calendar";
        problems.not_allowed(place, "both `every` and `cron`", "one of them", hint);
        return None;
    }
    if task.zone.is_some() && task.cron.is_none() {
        let hint = "an interval has no zone; write `cron` for times of the day";
        problems.not_allowed(
            place.key("zone"),
            "without `cron`",
            "beside `cron` only",
            hint,
        );
        return None;
    }
    let mut read = |key: &str, found: Result<Cadence, CalendarError>| {
        let tell = |error: CalendarError| {
            problems.not_allowed(place.key(key), error.found, error.allowed, error.hint);
        };
        found.map_err(tell).ok()
    };
    if let Some(every) = &task.every {
        return read("every", Span::parse(every).and_then(Cadence::every));
    }
    let cron = task.cron.as_ref()?;
    let zone = match task.zone.as_deref().map_or(Ok(Zone::UTC), Zone::parse) {
        Ok(zone) => zone,
        Err(error) => return read("zone", Err(error)),
    };
    read(
        "cron",
        Cron::parse(cron).map(|cron| Cadence::cron(cron, zone)),
    )
}
