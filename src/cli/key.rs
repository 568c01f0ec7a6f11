//! `echopilot key`: API keys. A key's text is shown once, here, and stored nowhere.

use serde_json::{Value, json};

use super::api::{Api, Ask};
use super::args::{KeyNewArgs, KeyVerb};
use super::failure::{DONE, Failure, Outcome};
use super::output::{Output, Style, plain};
use super::query::segment;
use crate::base::calendar::Span;

/// Does `verb`.
pub(super) fn run(verb: &KeyVerb, api: &Api, output: &mut Output) -> Outcome {
    match verb {
        KeyVerb::New(args) => new(args, api, output),
        KeyVerb::List => list(api, output),
        KeyVerb::Rotate { id, overlap } => rotate(id, overlap.as_deref(), api, output),
        KeyVerb::Revoke { id } => revoke(id, api, output),
    }
}

/// Seconds of a span as the API takes them.
fn seconds(option: &str, text: Option<&str>) -> Result<Option<u64>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let span = Span::parse(text).map_err(|error| {
        Failure::new(format!(
            "`{option}` is {}, must be {}",
            error.found, error.allowed
        ))
        .hint(error.hint)
    })?;
    Ok(Some(span.as_secs()))
}

fn new(args: &KeyNewArgs, api: &Api, output: &mut Output) -> Outcome {
    let mut body = json!({ "role": args.role });
    if let Some(name) = &args.name {
        body["name"] = json!(name);
    }
    if let Some(secs) = seconds("--expires-in", args.expires_in.as_deref())? {
        body["expires_in_secs"] = json!(secs);
    }
    let answer = api.ask(&Ask::post("/api/admin/keys", body))?;
    show_new(&answer, output)
}

/// The key itself is data, so that `KEY=$(echopilot key new dash)` works.
fn show_new(answer: &Value, output: &mut Output) -> Outcome {
    if output.json() {
        output.value(answer)?;
        return Ok(DONE);
    }
    let key = answer.get("key").map(plain).unwrap_or_default();
    let id = answer.get("id").map(plain).unwrap_or_default();
    output.line(&key)?;
    output.talk("this is the only time the key is shown: only its hash is kept");
    output.talk("when it is not needed any more, revoke it");
    output.next(&format!("echopilot key revoke {id}"));
    Ok(DONE)
}

fn list(api: &Api, output: &mut Output) -> Outcome {
    let answer = api.ask(&Ask::get("/api/admin/keys"))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let mut rows = Vec::new();
    for key in answer
        .get("keys")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let of = |name: &str| match key.get(name) {
            None | Some(Value::Null) => "-".to_owned(),
            Some(value) => plain(value),
        };
        let state = of("state");
        let style = match state.as_str() {
            "live" => Style::Green,
            "revoked" | "expired" => Style::Dim,
            _ => Style::Yellow,
        };
        let state = output.paint(style, &state);
        rows.push(vec![
            of("id"),
            of("role"),
            of("name"),
            state,
            of("not_after"),
            of("last_used_at"),
        ]);
    }
    if rows.is_empty() {
        output.talk("there are no keys");
    } else {
        output.table(
            &["ID", "ROLE", "NAME", "STATE", "UNTIL", "LAST USED"],
            &rows,
        )?;
    }
    output.next("echopilot key new dash --name NAME");
    Ok(DONE)
}

fn rotate(id: &str, overlap: Option<&str>, api: &Api, output: &mut Output) -> Outcome {
    let mut body = json!({});
    if let Some(secs) = seconds("--overlap", overlap)? {
        body["overlap_secs"] = json!(secs);
    }
    let path = format!("/api/admin/keys/{}/rotate", segment(id));
    let answer = api.ask(&Ask::post(path, body))?;
    show_new(&answer, output)
}

fn revoke(id: &str, api: &Api, output: &mut Output) -> Outcome {
    let path = format!("/api/admin/keys/{}/revoke", segment(id));
    let answer = api.ask(&Ask::post(path, json!({})))?;
    if output.json() {
        output.value(&answer)?;
    } else {
        output.line(&format!("{id} is revoked"))?;
        output.talk("every request with it is refused from now on");
    }
    Ok(DONE)
}
