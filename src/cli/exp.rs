//! `echopilot exp`: experiments.

use serde_json::{Value, json};

use super::api::{Api, Ask};
use super::args::{ExpLogArgs, ExpVerb};
use super::failure::{DONE, Outcome};
use super::output::{Output, plain};
use super::query::with_query;

/// Does `verb`.
pub(super) fn run(verb: &ExpVerb, api: &Api, output: &mut Output) -> Outcome {
    match verb {
        ExpVerb::List => list(api, output),
        ExpVerb::Assign { experiment, user } => assign(experiment, user, api, output),
        ExpVerb::Log(args) => log(args, api, output),
    }
}

fn list(api: &Api, output: &mut Output) -> Outcome {
    let answer = api.ask(&Ask::get("/api/exp/list"))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let experiments = answer.get("experiments").and_then(Value::as_array);
    let rows: Vec<Vec<String>> = experiments.into_iter().flatten().map(row).collect();
    output.table(
        &["EXPERIMENT", "STATUS", "VARIANTS (USERS)", "DESCRIPTION"],
        &rows,
    )?;
    output.next("echopilot exp assign EXPERIMENT USER");
    Ok(DONE)
}

fn row(experiment: &Value) -> Vec<String> {
    let of = |of: &Value, name: &str| of.get(name).map(plain).unwrap_or_default();
    let variants = experiment.get("variants").and_then(Value::as_array);
    let variants: Vec<String> = variants
        .into_iter()
        .flatten()
        .map(|variant| format!("{} ({})", of(variant, "name"), of(variant, "exposures")))
        .collect();
    let [name, status, about] = ["name", "status", "description"].map(|name| of(experiment, name));
    vec![name, status, variants.join(" "), about]
}

fn assign(experiment: &str, user: &str, api: &Api, output: &mut Output) -> Outcome {
    let query = [("user", Some(user)), ("exp", Some(experiment))];
    let answer = api.ask(&Ask::get(with_query("/api/exp/assign", &query)))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let variant = answer.get("variant").map(plain).unwrap_or_default();
    output.line(&variant)?;
    output.next(&format!(
        "echopilot exp log {experiment} {user} {variant} EVENT"
    ));
    Ok(DONE)
}

fn log(args: &ExpLogArgs, api: &Api, output: &mut Output) -> Outcome {
    let mut body = json!({
        "event": args.event,
        "user": args.user,
        "exp": args.experiment,
        "variant": args.variant,
    });
    if let Some(value) = args.value {
        body["value"] = json!(value);
    }
    if let Some(id) = &args.id {
        body["id"] = json!(id);
    }
    let answer = api.ask(&Ask::post("/api/exp/log", body))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    match answer.get("seq") {
        Some(seq) => output.line(&format!("line {seq} of `logs/experiments.ndjson`"))?,
        None => output.line("logged")?,
    }
    output.next("echopilot log tail experiments -n 1");
    Ok(DONE)
}
