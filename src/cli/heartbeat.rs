//! `echopilot heartbeat`: signs of life of jobs.

use serde_json::{Value, json};

use super::api::{Api, Ask};
use super::failure::{DONE, Failure, Outcome};
use super::output::{Output, Style, elements, of, plain};
use super::query::{segment, with_query};
use super::watch_args::{HeartbeatUrlArgs, HeartbeatVerb};

/// Does `verb`.
pub(super) fn run(verb: &HeartbeatVerb, api: &Api, output: &mut Output) -> Outcome {
    match verb {
        HeartbeatVerb::List => list(api, output),
        HeartbeatVerb::Show { name, lines } => show(name, *lines, api, output),
        HeartbeatVerb::Pause { name } => switch(name, "pause", api, output),
        HeartbeatVerb::Resume { name } => switch(name, "resume", api, output),
        HeartbeatVerb::Url(args) => url(args, api, output),
    }
}

fn style(state: &str) -> Style {
    match state {
        "up" | "running" => Style::Green,
        "late" => Style::Yellow,
        "down" => Style::Red,
        _ => Style::Dim,
    }
}

fn list(api: &Api, output: &mut Output) -> Outcome {
    let answer = api.ask(&Ask::get("/api/heartbeats"))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let row = |beat: &Value| {
        let state = of(beat, "/state");
        vec![
            of(beat, "/name"),
            output.paint(style(&state), &state),
            of(beat, "/cadence"),
            of(beat, "/last_ping_at"),
            of(beat, "/deadline_at"),
        ]
    };
    let rows: Vec<_> = elements(&answer, "heartbeats").map(row).collect();
    if rows.is_empty() {
        output.talk("no job is named in `configs/heartbeats.json`");
        return Ok(DONE);
    }
    let heading = ["HEARTBEAT", "STATE", "CADENCE", "LAST SIGNAL", "DOWN FROM"];
    output.table(&heading, &rows)?;
    output.next("echopilot heartbeat show NAME");
    Ok(DONE)
}

fn show(name: &str, lines: u32, api: &Api, output: &mut Output) -> Outcome {
    let limit = lines.to_string();
    let path = format!("/api/heartbeats/{}", segment(name));
    let answer = api.ask(&Ask::get(with_query(&path, &[("limit", Some(&limit))])))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let state = of(&answer, "/state");
    let state = output.paint(style(&state), &state);
    output.line(&format!("{} is {state}", of(&answer, "/name")))?;
    if answer.get("summary").is_some() {
        output.line(&of(&answer, "/summary"))?;
    }
    let row = |line: &Value| {
        let what = match (line.get("signal"), line.get("exit_code")) {
            (Some(_), Some(code)) => format!("exit {}", plain(code)),
            (Some(signal), None) => plain(signal),
            _ => of(line, "/kind").replacen("heartbeat.", "", 1),
        };
        vec![of(line, "/ts"), what, of(line, "/duration_ms"), said(line)]
    };
    let rows: Vec<_> = elements(&answer, "history").map(row).collect();
    if rows.is_empty() {
        output.talk("nothing has been heard of it yet");
        output.next(&format!("echopilot heartbeat url {name}"));
        return Ok(DONE);
    }
    output.table(&["WHEN", "WHAT", "MS", "SAID"], &rows)?;
    Ok(DONE)
}

/// The first line of what was sent, or what was made of it.
fn said(line: &Value) -> String {
    let text = match (line.get("body"), line.get("summary")) {
        (Some(body), _) => body.as_str().unwrap_or_default(),
        (None, Some(summary)) => summary.as_str().unwrap_or_default(),
        _ => return of(line, "/actor"),
    };
    plain(&Value::from(text.lines().next().unwrap_or_default()))
}

fn switch(name: &str, verb: &str, api: &Api, output: &mut Output) -> Outcome {
    let path = format!("/api/heartbeats/{}/{verb}", segment(name));
    let answer = api.ask(&Ask::post(path, json!({})))?;
    if output.json() {
        output.value(&answer)?;
    } else {
        output.line(&format!(
            "{} is {}",
            of(&answer, "/name"),
            of(&answer, "/state")
        ))?;
    }
    Ok(DONE)
}

fn url(args: &HeartbeatUrlArgs, api: &Api, output: &mut Output) -> Outcome {
    let path = format!("/api/heartbeats/{}/key", segment(&args.name));
    let answer = api
        .ask(&Ask::post(path, json!({ "renew": args.renew })))
        .map_err(in_cli_words)?;
    let base = args.base.clone().unwrap_or_else(|| api.address());
    let url = format!("{}{}", base.trim_end_matches('/'), of(&answer, "/path"));
    if output.json() {
        let mut answer = answer;
        answer["url"] = Value::from(url);
        output.value(&answer)?;
        return Ok(DONE);
    }
    output.line(&url)?;
    output.talk("shown this once; only its digest is kept, in `configs/heartbeats.json`");
    output.talk(&format!(
        "at the end of the job: curl -fsS -m 10 --retry 5 '{url}'"
    ));
    Ok(DONE)
}

/// The API's cure is a member of its body; here it is an option.
fn in_cli_words(mut failure: Failure) -> Failure {
    let hint = failure.hint.take();
    failure.hint = hint.map(|hint| hint.replace("add \"renew\": true", "add --renew"));
    failure
}
