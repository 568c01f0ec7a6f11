//! `echopilot task`: what the daemon does by itself, when, and how it went.

use serde_json::{Value, json};

use super::api::{Api, Ask};
use super::failure::{DONE, FAILED, Failure, Outcome};
use super::output::{Output, Style, elements, of};
use super::query::{segment, with_query};
use super::watch_args::{TaskRunArgs, TaskVerb};

/// Does `verb`.
pub(super) fn run(verb: &TaskVerb, api: &Api, output: &mut Output) -> Outcome {
    match verb {
        TaskVerb::List => list(api, output),
        TaskVerb::Run(args) => run_now(args, api, output),
        TaskVerb::Pause { name } => switch(name, "pause", api, output),
        TaskVerb::Resume { name } => switch(name, "resume", api, output),
        TaskVerb::History { name, lines } => history(name, *lines, api, output),
        TaskVerb::Next { name, count } => next(name, *count, api, output),
    }
}

fn path(name: &str, verb: &str) -> String {
    format!("/api/tasks/{}/{verb}", segment(name))
}

fn style(outcome: &str) -> Style {
    match outcome {
        "ok" => Style::Green,
        "failed" => Style::Red,
        "-" => Style::Dim,
        _ => Style::Yellow,
    }
}

/// `10 1 * * *`, with its zone unless that is UTC.
fn cadence(task: &Value) -> String {
    match of(task, "/zone").as_str() {
        "UTC" => of(task, "/cadence"),
        zone => format!("{} {zone}", of(task, "/cadence")),
    }
}

fn list(api: &Api, output: &mut Output) -> Outcome {
    let answer = api.ask(&Ask::get("/api/tasks"))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let mut rows = Vec::new();
    for task in elements(&answer, "tasks") {
        let is_on = |name: &str| task.get(name).is_some_and(|on| *on == true);
        let next = if is_on("paused") {
            format!("paused by {}", of(task, "/paused_by"))
        } else {
            of(task, "/next")
        };
        let outcome = of(task, "/last/outcome");
        let mut state = output.paint(style(&outcome), &outcome);
        if task.get("running").is_some_and(|run| !run.is_null()) {
            state.push_str(", running");
        }
        if is_on("late") {
            state.push_str(&output.paint(Style::Yellow, ", late"));
        }
        rows.push(vec![
            of(task, "/name"),
            cadence(task),
            next,
            of(task, "/last/ended"),
            state,
        ]);
    }
    if rows.is_empty() {
        output.talk("there are no tasks");
        return Ok(DONE);
    }
    output.table(&["TASK", "CADENCE", "NEXT", "LAST", "OUTCOME"], &rows)?;
    if let Some(unknown) = answer.get("unknown").and_then(Value::as_object) {
        for (name, meant) in unknown {
            let meant = meant.as_str();
            let meant = meant.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            output.talk(&format!(
                "`configs/tasks.json` names `{name}`, which is no task{meant}"
            ));
        }
    }
    output.next("echopilot task history NAME");
    Ok(DONE)
}

fn run_now(args: &TaskRunArgs, api: &Api, output: &mut Output) -> Outcome {
    let wait = args.wait.as_deref().filter(|_| !args.no_wait);
    let wait = wait.or_else(|| (!args.no_wait).then_some(USUAL_WAIT));
    let place = with_query(&path(&args.name, "run"), &[("wait", wait)]);
    let answer = api.ask(&Ask::post(place, json!({})))?;
    let outcome = of(&answer, "/record/outcome");
    // A run that failed, was skipped or held did not do what was asked for.
    let code = match outcome.as_str() {
        "ok" | "dry_run" | "-" => DONE,
        _ => FAILED,
    };
    if output.json() {
        output.value(&answer)?;
        return Ok(code);
    }
    let (task, run) = (of(&answer, "/task"), of(&answer, "/run"));
    if outcome == "-" {
        output.line(&format!("{task}: run {run} has begun"))?;
        output.next(&format!("echopilot task history {task}"));
        return Ok(DONE);
    }
    let shown = output.paint(style(&outcome), &outcome);
    let took = of(&answer, "/record/duration_ms");
    let mut line = format!("{task}: {shown}");
    if took != "-" {
        line.push_str(" in ");
        line.push_str(&took);
        line.push_str(" ms");
    }
    for why in ["/record/reason", "/record/error"] {
        let why = of(&answer, why);
        if why != "-" {
            line.push_str(", ");
            line.push_str(&why);
        }
    }
    output.line(&line)?;
    let said = of(&answer, "/record/output");
    if said != "-" {
        output.talk(&said);
    }
    Ok(code)
}

/// How long `task run` waits for the end where nothing is said.
const USUAL_WAIT: &str = "30s";

fn switch(name: &str, verb: &str, api: &Api, output: &mut Output) -> Outcome {
    let answer = api.ask(&Ask::post(path(name, verb), json!({})))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let task = of(&answer, "/name");
    let is_paused = answer.get("paused").is_some_and(|on| *on == true);
    match (is_paused, verb) {
        (true, "resume") => {
            let told = format!(
                "task `{task}` stays paused by {}",
                of(&answer, "/paused_by")
            );
            return Err(Failure::new(told).hint("take `paused` out of `configs/tasks.json`"));
        }
        (true, _) => {
            output.line(&format!("{task} is paused"))?;
            output.next(&format!("echopilot task resume {task}"));
        }
        (false, _) => output.line(&format!("{task} runs next at {}", of(&answer, "/next")))?,
    }
    Ok(DONE)
}

fn history(name: &str, lines: u32, api: &Api, output: &mut Output) -> Outcome {
    let limit = lines.to_string();
    let place = with_query(&path(name, "history"), &[("limit", Some(limit.as_str()))]);
    let answer = api.ask(&Ask::get(place))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let mut rows = Vec::new();
    for run in elements(&answer, "runs") {
        let outcome = of(run, "/outcome");
        let why = [of(run, "/reason"), of(run, "/error")];
        let why = why.into_iter().find(|why| why != "-").unwrap_or_default();
        rows.push(vec![
            of(run, "/scheduled_for"),
            of(run, "/trigger"),
            millis(run, "/late_ms"),
            millis(run, "/duration_ms"),
            output.paint(style(&outcome), &outcome),
            why,
        ]);
    }
    if rows.is_empty() {
        output.talk("no runs are recorded yet");
        return Ok(DONE);
    }
    output.table(&["DUE", "TRIGGER", "LATE", "TOOK", "OUTCOME", "WHY"], &rows)?;
    Ok(DONE)
}

/// Milliseconds for people: `350 ms`, `12.4 s`, `6.0 h`.
fn millis(run: &Value, pointer: &str) -> String {
    let Some(ms) = run.pointer(pointer).and_then(Value::as_f64) else {
        return "-".to_owned();
    };
    match ms {
        ms if ms.abs() < 1000.0 => format!("{ms} ms"),
        ms if ms.abs() < 120_000.0 => format!("{:.1} s", ms / 1000.0),
        ms if ms.abs() < 7_200_000.0 => format!("{:.1} min", ms / 60_000.0),
        ms => format!("{:.1} h", ms / 3_600_000.0),
    }
}

fn next(name: &str, count: u32, api: &Api, output: &mut Output) -> Outcome {
    let count = count.to_string();
    let place = with_query(&path(name, "next"), &[("count", Some(count.as_str()))]);
    let answer = api.ask(&Ask::get(place))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let row = |due: &Value| vec![of(due, "/at"), of(due, "/local")];
    let rows: Vec<_> = elements(&answer, "next").map(row).collect();
    let zone = of(&answer, "/zone");
    output.table(&["UTC", &zone.to_uppercase()], &rows)?;
    if answer.get("paused").is_some_and(|on| *on == true) {
        output.talk("it is paused: these are the times at which it would run");
    }
    Ok(DONE)
}

#[test]
fn spans_are_told_in_the_unit_that_fits() {
    let told = |ms: f64| millis(&json!({ "x": ms }), "/x");
    assert_eq!(told(350.0), "350 ms");
    assert_eq!(told(12_400.0), "12.4 s");
    assert_eq!(told(21_600_000.0), "6.0 h");
    assert_eq!(millis(&json!({}), "/x"), "-");
}
