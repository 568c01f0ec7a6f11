//! `echopilot probe`: what the outside sees.

use serde_json::{Value, json};

use super::api::{Api, Ask};
use super::failure::{DONE, FAILED, Failure, Outcome};
use super::output::{Output, Style, plain, safe};
use super::watch_args::ProbeVerb;
use crate::base::names;

/// Does `verb`.
pub(super) fn run(verb: &ProbeVerb, api: &Api, output: &mut Output) -> Outcome {
    match verb {
        ProbeVerb::List => list(api, output),
        ProbeVerb::Show { name } => show(name, api, output),
        ProbeVerb::Check { name } => check(name, api, output),
    }
}

fn list(api: &Api, output: &mut Output) -> Outcome {
    let answer = api.ask(&Ask::get("/api/probes"))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let probes = answer.get("probes").and_then(Value::as_array);
    let rows: Vec<Vec<String>> = probes
        .into_iter()
        .flatten()
        .map(|probe| row(probe, output))
        .collect();
    if rows.is_empty() {
        output.talk("no probe is configured: they stand in `configs/probes.json`");
        return Ok(DONE);
    }
    let heading = ["PROBE", "STATE", "UPTIME 24H", "MS", "TARGET", "LAST FAULT"];
    output.table(&heading, &rows)?;
    if let Some(since) = answer.get("offline_since").and_then(Value::as_str) {
        output.talk(&format!("this machine is offline since {since}"));
    }
    output.next("echopilot probe show PROBE");
    Ok(DONE)
}

fn row(probe: &Value, output: &Output) -> Vec<String> {
    let at = |way: &str| probe.pointer(way).filter(|value| !value.is_null());
    let text = |way: &str| at(way).map_or("-".to_owned(), |value| safe(&plain(value)));
    vec![
        text("/name"),
        state(probe, output),
        percent(at("/uptime/24h")),
        text("/last/timings_ms/total"),
        text("/target"),
        text("/last/reason"),
    ]
}

fn state(probe: &Value, output: &Output) -> String {
    let word = probe.get("state").map(plain).unwrap_or_default();
    let style = match word.as_str() {
        "up" => Style::Green,
        "down" => Style::Red,
        _ => Style::Dim,
    };
    output.paint(style, &word)
}

/// Three digits behind the point: a minute of a month still shows.
fn percent(share: Option<&Value>) -> String {
    let share = share.and_then(Value::as_f64);
    share.map_or("-".to_owned(), |share| format!("{:.3} %", share * 100.0))
}

fn show(name: &str, api: &Api, output: &mut Output) -> Outcome {
    let answer = api.ask(&Ask::get("/api/probes"))?;
    let probes = answer.get("probes").and_then(Value::as_array);
    let all: Vec<&Value> = probes.into_iter().flatten().collect();
    let Some(probe) = all.iter().find(|probe| named(probe) == Some(name)) else {
        let failure = Failure::new(format!("there is no probe `{name}`"));
        let nearest = names::nearest(name, all.iter().filter_map(|probe| named(probe)));
        return Err(match nearest {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure.hint("`echopilot probe list` shows all probes"),
        });
    };
    told(probe, output)?;
    Ok(DONE)
}

fn named(probe: &Value) -> Option<&str> {
    probe.get("name").and_then(Value::as_str)
}

fn check(name: &str, api: &Api, output: &mut Output) -> Outcome {
    let path = format!("/api/probes/{name}/check");
    if !names::is_name(name) {
        return Err(Failure::new(format!("`{name}` is no name of a probe"))
            .hint("`echopilot probe list` shows all probes"));
    }
    let probe = api.ask(&Ask::post(path, json!({})))?;
    told(&probe, output)?;
    let outcome = probe.pointer("/last/outcome").and_then(Value::as_str);
    Ok(if outcome == Some("good") {
        DONE
    } else {
        FAILED
    })
}

/// Everything about one probe, a fact a line.
fn told(probe: &Value, output: &mut Output) -> Result<(), Failure> {
    if output.json() {
        return output.value(probe);
    }
    let mut rows = Vec::new();
    let facts = [
        ("probe", "/name"),
        ("target", "/target"),
        ("state", "/state"),
        ("since", "/since"),
        ("failing since", "/failing_since"),
        ("parent", "/parent"),
        ("maintained until", "/maintained_until"),
        ("last look", "/last/at"),
        ("outcome", "/last/outcome"),
        ("reason", "/last/reason"),
        ("hint", "/last/hint"),
        ("status", "/last/status"),
        ("resolve ms", "/last/timings_ms/resolve"),
        ("connect ms", "/last/timings_ms/connect"),
        ("tls ms", "/last/timings_ms/tls"),
        ("first byte ms", "/last/timings_ms/first_byte"),
        ("total ms", "/last/timings_ms/total"),
        ("certificate ends", "/certificate/not_after"),
        ("days left", "/certificate/days_left"),
    ];
    for (name, way) in facts {
        if let Some(value) = probe.pointer(way).filter(|value| !value.is_null()) {
            let value = if way == "/state" {
                state(probe, output)
            } else {
                safe(&plain(value))
            };
            rows.push(vec![name.to_owned(), value]);
        }
    }
    for window in ["1h", "24h", "7d", "30d", "90d"] {
        let share = probe.pointer(&format!("/uptime/{window}"));
        rows.push(vec![format!("uptime {window}"), percent(share)]);
    }
    output.table(&["FACT", "VALUE"], &rows)
}
