//! `echopilot deploy`: releases.

use serde_json::{Map, Value};

use super::api::{Api, Ask};
use super::failure::{DONE, Outcome};
use super::incident_args::{DeployAddArgs, DeployVerb};
use super::output::{Output, elements, of};
use super::query::with_query;

/// Does `verb`.
pub(super) fn run(verb: &DeployVerb, api: &Api, output: &mut Output) -> Outcome {
    match verb {
        DeployVerb::Add(args) => add(args, api, output),
        DeployVerb::List { service, lines } => list(service.as_deref(), *lines, api, output),
    }
}

fn add(args: &DeployAddArgs, api: &Api, output: &mut Output) -> Outcome {
    let given = [
        ("service", Some(&args.service)),
        ("version", Some(&args.version)),
        ("id", args.id.as_ref()),
        ("actor", args.actor.as_ref()),
        ("url", args.link.as_ref()),
        ("at", args.at.as_ref()),
    ];
    let given = given.into_iter();
    let body: Map<String, Value> = given
        .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?.as_str()))))
        .collect();
    let answer = api.ask(&Ask::post("/api/deploys", body.into()))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let told = ["/deploy/service", "/deploy/version", "/deploy/id"].map(|at| of(&answer, at));
    let [service, version, id] = told;
    output.line(&format!("{service} {version} is on record as {id}"))?;
    if answer.get("recorded") == Some(&Value::Bool(false)) {
        output.talk("it was before: the same id is written once");
    }
    Ok(DONE)
}

fn list(service: Option<&str>, lines: u32, api: &Api, output: &mut Output) -> Outcome {
    let limit = lines.to_string();
    let query = [("service", service), ("limit", Some(limit.as_str()))];
    let answer = api.ask(&Ask::get(with_query("/api/deploys", &query)))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let row = |one: &Value| ["/at", "/service", "/version", "/actor", "/id"].map(|at| of(one, at));
    let rows: Vec<_> = elements(&answer, "deploys")
        .map(|one| row(one).to_vec())
        .collect();
    if rows.is_empty() {
        output.talk("no release was told");
        output.next("echopilot deploy add SERVICE VERSION");
        return Ok(DONE);
    }
    output.table(&["WHEN", "SERVICE", "VERSION", "BY", "ID"], &rows)?;
    Ok(DONE)
}
