//! `echopilot incident`: what belongs together of what is wrong.

use serde_json::{Value, json};

use super::api::{Api, Ask};
use super::failure::{DONE, FAILED, Outcome};
use super::incident_args::{IncidentActArgs, IncidentVerb};
use super::output::{Output, Style, elements, of};
use super::query::{segment, with_query};

/// Does `verb`.
pub(super) fn run(verb: &IncidentVerb, api: &Api, output: &mut Output) -> Outcome {
    match verb {
        IncidentVerb::List { state, lines } => list(state.as_deref(), *lines, api, output),
        IncidentVerb::Show { id } => show(id, api, output),
        IncidentVerb::Ack(args) => act(args, "acknowledge", api, output),
        IncidentVerb::Resolve(args) => act(args, "resolve", api, output),
        IncidentVerb::Reopen(args) => act(args, "reopen", api, output),
        IncidentVerb::Note { id, text } => {
            let path = format!("/api/incidents/{}/notes", segment(id));
            tell(&api.ask(&Ask::post(path, json!({ "text": text })))?, output)
        }
        IncidentVerb::Export { id } => {
            let path = format!("/api/incidents/{}/export", segment(id));
            output.raw(api.text(&Ask::get(path))?.as_bytes())?;
            Ok(DONE)
        }
        IncidentVerb::Scan => scan(api, output),
    }
}

fn style(state: &str) -> Style {
    match state {
        "open" => Style::Red,
        "acknowledged" => Style::Yellow,
        _ => Style::Green,
    }
}

fn list(state: Option<&str>, lines: u32, api: &Api, output: &mut Output) -> Outcome {
    let limit = lines.to_string();
    let query = [("state", state), ("limit", Some(limit.as_str()))];
    let answer = api.ask(&Ask::get(with_query("/api/incidents", &query)))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let row = |one: &Value| {
        let state = of(one, "/state");
        vec![
            of(one, "/id"),
            output.paint(style(&state), &state),
            of(one, "/severity"),
            of(one, "/started_at"),
            of(one, "/alert_count"),
            of(one, "/title"),
        ]
    };
    let rows: Vec<_> = elements(&answer, "incidents").map(row).collect();
    if rows.is_empty() {
        output.talk("no such incident is known");
        return Ok(DONE);
    }
    let heading = ["INCIDENT", "STATE", "SEVERITY", "SINCE", "ALERTS", "FOUND"];
    output.table(&heading, &rows)?;
    for (name, what) in [
        ("mttd", "found"),
        ("mtta", "acknowledged"),
        ("mttr", "resolved"),
    ] {
        let number = |member: &str| of(&answer, &format!("/stats/{name}/{member}"));
        let (n, median, p90) = (number("n"), number("median_secs"), number("p90_secs"));
        output.talk(&format!(
            "{what} after {median} s, 90 % within {p90} s (n = {n})"
        ));
    }
    output.next("echopilot incident show ID");
    Ok(DONE)
}

fn show(id: &str, api: &Api, output: &mut Output) -> Outcome {
    let answer = api.ask(&Ask::get(format!("/api/incidents/{}", segment(id))))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let state = of(&answer, "/state");
    let state = output.paint(style(&state), &state);
    let (id, severity) = (of(&answer, "/id"), of(&answer, "/severity"));
    output.line(&format!(
        "{id} is {state}, {severity}: {}",
        of(&answer, "/title")
    ))?;
    if answer.get("impact").is_some_and(Value::is_object) {
        let number = |name: &str| of(&answer, &format!("/impact/{name}"));
        let (failed, all) = (number("failed"), number("requests"));
        let burned = number("burned_minutes");
        output.line(&format!(
            "{failed} of {all} requests failed, {burned} min of a full outage"
        ))?;
    }
    let row =
        |one: &Value| ["/name", "/severity", "/started_at", "/ended_at"].map(|at| of(one, at));
    let rows: Vec<_> = elements(&answer, "alerts")
        .map(|one| row(one).to_vec())
        .collect();
    output.table(&["ALERT", "SEVERITY", "SINCE", "ENDED"], &rows)?;
    let row = |one: &Value| ["/score", "/at", "/summary", "/actor"].map(|at| of(one, at));
    let rows: Vec<_> = elements(&answer, "suspects")
        .map(|one| row(one).to_vec())
        .collect();
    if !rows.is_empty() {
        output.table(&["SCORE", "WHEN", "CHANGED BEFORE", "BY"], &rows)?;
    }
    let row = |one: &Value| ["/at", "/what", "/text", "/by"].map(|at| of(one, at));
    let rows: Vec<_> = elements(&answer, "timeline")
        .map(|one| row(one).to_vec())
        .collect();
    output.table(&["WHEN", "WHAT", "TOLD", "BY"], &rows)?;
    output.next(&format!("echopilot incident ack {id}"));
    Ok(DONE)
}

fn act(args: &IncidentActArgs, verb: &str, api: &Api, output: &mut Output) -> Outcome {
    let path = format!("/api/incidents/{}/{verb}", segment(&args.id));
    let text = args.message.as_deref().unwrap_or_default();
    tell(&api.ask(&Ask::post(path, json!({ "text": text })))?, output)
}

fn tell(answer: &Value, output: &mut Output) -> Outcome {
    if output.json() {
        output.value(answer)?;
        return Ok(DONE);
    }
    let (id, state) = (of(answer, "/incident/id"), of(answer, "/incident/state"));
    output.line(&format!("{id} is {state}"))?;
    if answer.get("changed") == Some(&Value::Bool(false)) {
        output.talk("it was before");
    }
    Ok(DONE)
}

fn scan(api: &Api, output: &mut Output) -> Outcome {
    let answer = api.ask(&Ask::post("/api/incidents/scan", json!({})))?;
    let is_clean = answer.get("breach") == Some(&Value::Bool(false));
    if output.json() {
        output.value(&answer)?;
    } else {
        for detail in elements(&answer, "details").filter_map(Value::as_str) {
            output.line(&super::output::safe(detail))?;
        }
        for note in elements(&answer, "notes").filter_map(Value::as_str) {
            output.talk(&super::output::safe(note));
        }
        if is_clean {
            output.talk("nothing is wrong");
        }
    }
    Ok(if is_clean { DONE } else { FAILED })
}
