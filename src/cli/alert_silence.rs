//! `echopilot alert silence`: alerts that are not told for a time.

use serde_json::{Value, json};

use super::alert_args::{SilenceAddArgs, SilenceVerb};
use super::api::{Api, Ask};
use super::failure::{DONE, Outcome};
use super::output::{Output, Style, elements, of, plain};
use super::query::segment;

/// Does `verb`.
pub(super) fn run(verb: &SilenceVerb, api: &Api, output: &mut Output) -> Outcome {
    match verb {
        SilenceVerb::Add(args) => add(args, api, output),
        SilenceVerb::List => list(api, output),
        SilenceVerb::Expire { ids } => expire(ids, api, output),
    }
}

fn add(args: &SilenceAddArgs, api: &Api, output: &mut Output) -> Outcome {
    let mut body = json!({
        "matchers": args.matchers, "comment": args.comment, "for": args.lasts,
    });
    if let Some(at) = &args.starts_at {
        body["starts_at"] = json!(at);
    }
    if let Some(id) = &args.edits {
        body["edits"] = json!(id);
    }
    let answer = api.ask(&Ask::post("/api/silences", body))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    output.line(&of(&answer, "/id"))?;
    output.talk(&format!("silenced until {}", of(&answer, "/ends_at")));
    output.next(&format!(
        "echopilot alert silence expire {}",
        of(&answer, "/id")
    ));
    Ok(DONE)
}

fn list(api: &Api, output: &mut Output) -> Outcome {
    let answer = api.ask(&Ask::get("/api/silences"))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let row = |silence: &Value| {
        let phase = of(silence, "/phase");
        let style = match phase.as_str() {
            "active" => Style::Green,
            "pending" => Style::Yellow,
            _ => Style::Dim,
        };
        let matchers: Vec<_> = elements(silence, "matchers").map(plain).collect();
        vec![
            of(silence, "/id"),
            output.paint(style, &phase),
            of(silence, "/ends_at"),
            of(silence, "/by"),
            matchers.join(" "),
            of(silence, "/comment"),
        ]
    };
    let rows: Vec<_> = elements(&answer, "silences").map(row).collect();
    if rows.is_empty() {
        output.talk("nothing is silenced");
        return Ok(DONE);
    }
    output.table(&["ID", "STATE", "UNTIL", "BY", "CONDITIONS", "WHY"], &rows)?;
    Ok(DONE)
}

fn expire(ids: &[String], api: &Api, output: &mut Output) -> Outcome {
    for id in ids {
        let path = format!("/api/silences/{}/expire", segment(id));
        let answer = api.ask(&Ask::post(path, json!({})))?;
        if output.json() {
            output.value(&answer)?;
        } else {
            output.line(&format!("{} is over", of(&answer, "/id")))?;
        }
    }
    Ok(DONE)
}
