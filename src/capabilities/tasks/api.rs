//! Tasks over HTTP: translates in, calls one verb, translates out.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::StatusCode;
use http::header::LOCATION;
use serde::Deserialize;

use super::reply::{DueReply, HistoryReply, ListReply, NextReply, QueueReply, RunReply, TaskReply};
use crate::base::calendar::{Span, Zone};
use crate::base::time;
use crate::platform::http::{
    Call, Choice, HotAnswer, HttpError, QueryParams, Reply, Route, Routes, Scope, json, json_bytes,
};
use crate::platform::lifecycle::within;
use crate::platform::scheduler::{Scheduler, TaskFault};
use crate::seams::clock::Clock;

/// Seconds that an answer may wait for a run at most: proxies give up after a minute.
const MOST_WAIT_SECS: u64 = 55;
/// Records given where the caller names no number.
const DEFAULT_RECORDS: usize = 20;
/// Records given at most in one answer.
const MOST_RECORDS: usize = 1000;
/// Due times given where the caller names no number.
const DEFAULT_DUE: usize = 10;
/// Due times given at most in one answer.
const MOST_DUE: usize = 1000;

/// What a call for a run may decide.
static RUN_CHOICES: [Choice; 1] = [Choice {
    name: "wait",
    values: &["0s", "30s"],
    about: "how long to wait for the run to end, up to 55s",
}];

/// What handlers share.
#[derive(Debug)]
struct Desk {
    scheduler: Scheduler,
    clock: Arc<dyn Clock>,
}

type Tasks = State<Arc<Desk>>;

/// The rows of the route table.
pub(super) fn routes(scheduler: &Scheduler, clock: &Arc<dyn Clock>) -> Routes {
    let desk = Arc::new(Desk {
        scheduler: scheduler.clone(),
        clock: Arc::clone(clock),
    });
    let state = || Arc::clone(&desk);
    vec![
        Route::get(
            "/api/tasks",
            Scope::Read,
            "all tasks: when due, how they went, what they run by",
        )
        .gives::<ListReply>()
        .handler(get(list).with_state(state())),
        Route::get("/api/tasks/{name}", Scope::Read, "one task")
            .gives::<TaskReply>()
            .handler(get(one).with_state(state())),
        Route::get(
            "/api/tasks/{name}/history",
            Scope::Read,
            "the newest runs of a task, oldest of them first",
        )
        .query("limit=20")
        .gives::<HistoryReply>()
        .handler(get(history).with_state(state())),
        Route::get(
            "/api/tasks/{name}/next",
            Scope::Read,
            "the next due times of a task",
        )
        .query("count=10")
        .gives::<NextReply>()
        .handler(get(next).with_state(state())),
        Route::get(
            "/api/tasks/{name}/runs/{run}",
            Scope::Read,
            "one run of a task",
        )
        .gives::<RunReply>()
        .handler(get(one_run).with_state(state())),
        run_row(&desk),
        Route::post(
            "/api/tasks/{name}/pause",
            Scope::Operate,
            "stop running a task by itself, over restarts",
        )
        .gives::<TaskReply>()
        .handler(post(pause).with_state(state())),
        Route::post(
            "/api/tasks/{name}/resume",
            Scope::Operate,
            "run a task by itself again, from its next due time on",
        )
        .gives::<TaskReply>()
        .handler(post(resume).with_state(state())),
        queue_row(&desk),
    ]
}

fn run_row(desk: &Arc<Desk>) -> Route {
    let about = "run a task now; 202 with the run's name, or 200 with its record after `wait`";
    let mut row = Route::post("/api/tasks/{name}/run", Scope::Operate, about)
        .gives::<RunReply>()
        .accepts()
        .handler(post(run).with_state(Arc::clone(desk)));
    row.choices = &RUN_CHOICES;
    row
}

fn queue_row(desk: &Arc<Desk>) -> Route {
    let desk = Arc::clone(desk);
    Route::get("/ops/queue_health", Scope::Public, "how the task loop is")
        .gives::<QueueReply>()
        .hot(Arc::new(move |call| {
            let reply = QueueReply::of(&desk.scheduler.queue(), call.call.now);
            HotAnswer::Now(Ok(json(json_bytes(&reply))))
        }))
}

async fn list(State(desk): Tasks) -> Reply<ListReply> {
    let tasks: Vec<TaskReply> = desk.scheduler.list().into_iter().map(Into::into).collect();
    Reply::ok(ListReply {
        count: tasks.len(),
        unknown: desk.scheduler.strangers().into_iter().collect(),
        tasks,
    })
}

async fn one(State(desk): Tasks, Path(name): Path<String>) -> Result<Reply<TaskReply>, HttpError> {
    Ok(Reply::ok(desk.scheduler.status(&name)?.into()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    limit: Option<usize>,
}

async fn history(
    State(desk): Tasks,
    Path(name): Path<String>,
    QueryParams(query): QueryParams<HistoryQuery>,
) -> Result<Reply<HistoryReply>, HttpError> {
    let limit = bounded(
        "limit",
        query.limit.unwrap_or(DEFAULT_RECORDS),
        MOST_RECORDS,
    )?;
    let task = desk.scheduler.status(&name)?.name;
    let runs = read(&desk, move |scheduler| scheduler.history(task, limit)).await?;
    Ok(Reply::ok(HistoryReply {
        task: task.to_owned(),
        count: runs.len(),
        runs,
    }))
}

/// Reads the journal where that may take its time.
async fn read<T: Send + 'static>(
    desk: &Arc<Desk>,
    ask: impl FnOnce(&Scheduler) -> Result<T, TaskFault> + Send + 'static,
) -> Result<T, HttpError> {
    let desk = Arc::clone(desk);
    let found = tokio::task::spawn_blocking(move || ask(&desk.scheduler))
        .await
        .map_err(|_| HttpError::internal("the thread that read the runs of a task died"))?;
    Ok(found?)
}

fn bounded(name: &str, found: usize, most: usize) -> Result<usize, HttpError> {
    if (1..=most).contains(&found) {
        return Ok(found);
    }
    let detail = format!("`{name}` is {found}, must be in 1..={most}");
    Err(HttpError::bad_request("bad_query", detail))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NextQuery {
    count: Option<usize>,
}

async fn next(
    State(desk): Tasks,
    Path(name): Path<String>,
    QueryParams(query): QueryParams<NextQuery>,
) -> Result<Reply<NextReply>, HttpError> {
    let count = bounded("count", query.count.unwrap_or(DEFAULT_DUE), MOST_DUE)?;
    let status = desk.scheduler.status(&name)?;
    let zone = Zone::parse(&status.rules.zone).unwrap_or(Zone::UTC);
    let due = |at| DueReply {
        at: time::stamp(at),
        local: zone
            .local(at)
            .map(|local| local.format("%Y-%m-%d %H:%M:%S").to_string())
            .unwrap_or_default(),
    };
    let next = desk.scheduler.next(&name, count)?;
    let task: TaskReply = status.clone().into();
    Ok(Reply::ok(NextReply {
        task: status.name,
        cadence: status.rules.cadence,
        zone: status.rules.zone,
        paused: task.is_paused(),
        next: next.into_iter().map(due).collect(),
    }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunQuery {
    wait: Option<String>,
}

async fn run(
    State(desk): Tasks,
    Path(name): Path<String>,
    QueryParams(query): QueryParams<RunQuery>,
) -> Result<Reply<RunReply>, HttpError> {
    let wait = query.wait.as_deref().map(span).transpose()?;
    let ticket = desk.scheduler.run(&name)?;
    let record = match wait {
        Some(wait) => within(&*desk.clock, wait.as_duration(), ticket.done).await,
        None => None,
    };
    let place = format!("/api/tasks/{}/runs/{}", ticket.task, ticket.run);
    let reply = match record {
        Some(Ok(record)) => Reply::ok(RunReply {
            task: record.task.clone(),
            run: ticket.run,
            state: "ended",
            record: Some(record),
        }),
        _ => Reply::accepted(RunReply {
            task: ticket.task.to_owned(),
            run: ticket.run,
            state: "waiting",
            record: None,
        }),
    };
    Ok(reply.header(LOCATION, &place))
}

fn span(text: &str) -> Result<Span, HttpError> {
    let span = Span::parse(text).map_err(|error| {
        let told = format!("`wait` is {}, must be {}", error.found, error.allowed);
        HttpError::bad_request("bad_query", told).hint(error.hint)
    })?;
    if span.as_secs() > MOST_WAIT_SECS {
        let told = format!("`wait` is `{text}`, must be at most {MOST_WAIT_SECS}s");
        return Err(HttpError::bad_request("bad_query", told)
            .hint("ask for the run's own address, the `Location` of the answer, until it ended"));
    }
    Ok(span)
}

async fn one_run(
    State(desk): Tasks,
    Path((name, run)): Path<(String, String)>,
) -> Result<Reply<RunReply>, HttpError> {
    let status = desk.scheduler.status(&name)?;
    let reply = |state, record| {
        Reply::ok(RunReply {
            task: status.name.to_owned(),
            run: run.clone(),
            state,
            record,
        })
    };
    if status.running.as_ref().is_some_and(|(own, _)| *own == run) {
        return Ok(reply("running", None));
    }
    if status.waiting.as_ref() == Some(&run) {
        return Ok(reply("waiting", None));
    }
    if let Some(last) = status.last.clone().filter(|last| last.run == run) {
        return Ok(reply("ended", Some(last)));
    }
    let (task, wanted) = (status.name, run.clone());
    let found = read(&desk, move |scheduler| scheduler.record(task, &wanted)).await?;
    let found = found.ok_or_else(|| {
        let told = format!("task `{}` has no run `{run}`", status.name);
        HttpError::not_found("run_not_found", told).hint(format!(
            "`echopilot task history {}` lists runs",
            status.name
        ))
    })?;
    Ok(reply("ended", Some(found)))
}

async fn pause(
    State(desk): Tasks,
    Path(name): Path<String>,
    call: Call,
) -> Result<Reply<TaskReply>, HttpError> {
    let status = desk
        .scheduler
        .switch(&name, true, &call.caller.name)
        .await?;
    Ok(Reply::ok(status.into()))
}

async fn resume(
    State(desk): Tasks,
    Path(name): Path<String>,
    call: Call,
) -> Result<Reply<TaskReply>, HttpError> {
    let status = desk
        .scheduler
        .switch(&name, false, &call.caller.name)
        .await?;
    Ok(Reply::ok(status.into()))
}

impl From<TaskFault> for HttpError {
    fn from(fault: TaskFault) -> Self {
        let told = fault.to_string();
        match fault {
            TaskFault::Unknown { nearest, .. } => {
                let refused = Self::not_found("task_not_found", told);
                match nearest {
                    Some(name) => refused
                        .hint(format!("did you mean `{name}`?"))
                        .with("nearest", name),
                    None => refused.hint("`echopilot task list` lists all tasks"),
                }
            }
            TaskFault::Running { task, run } => {
                Self::new(StatusCode::CONFLICT, "task_running", told)
                    .hint(format!(
                        "`echopilot task history {task}` tells how it ended"
                    ))
                    .with("run", run)
            }
            TaskFault::Asleep => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "loop_not_running", told)
                    .hint("start the daemon: `echopilot serve`")
                    .retry_after(5)
            }
            TaskFault::Elsewhere => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "loop_elsewhere", told)
                    .hint("ask the host that holds the lease `task-loop`")
                    .retry_after(60)
            }
            TaskFault::Storage(error) => error.into(),
        }
    }
}
