//! `echopilot flag`: feature flags.

use serde_json::{Value, json};

use super::api::{Api, Ask};
use super::args::{FlagSetArgs, FlagVerb};
use super::failure::{DONE, Failure, Outcome};
use super::output::{Output, Style, plain, safe};
use super::query::with_query;
use crate::base::names;

/// Does `verb`.
pub(super) fn run(verb: &FlagVerb, api: &Api, output: &mut Output) -> Outcome {
    match verb {
        FlagVerb::List => list(api, output),
        FlagVerb::Get { key } => get(key, api, output),
        FlagVerb::Set(args) => set(args, api, output),
        FlagVerb::History { key, lines } => history(key.as_deref(), *lines, api, output),
    }
}

fn list(api: &Api, output: &mut Output) -> Outcome {
    let answer = api.ask(&Ask::get("/api/flags/get"))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let flags = answer.get("flags").and_then(Value::as_object);
    let rows: Vec<Vec<String>> = flags
        .into_iter()
        .flatten()
        .map(|(key, value)| vec![safe(key), colored(output, value)])
        .collect();
    output.table(&["FLAG", "VALUE"], &rows)?;
    output.next("echopilot flag set KEY VALUE");
    Ok(DONE)
}

fn colored(output: &Output, value: &Value) -> String {
    let style = match value {
        Value::Bool(true) => Style::Green,
        Value::Bool(false) | Value::Null => Style::Dim,
        _ => Style::Plain,
    };
    output.paint(style, &plain(value))
}

fn get(key: &str, api: &Api, output: &mut Output) -> Outcome {
    let answer = api.ask(&Ask::get("/api/flags/get"))?;
    let flags = answer.get("flags").and_then(Value::as_object);
    let Some(value) = flags.and_then(|flags| flags.get(key)) else {
        let failure = Failure::new(format!("there is no flag `{key}`"));
        let known = flags.into_iter().flatten().map(|(key, _)| key.as_str());
        return Err(match names::nearest(key, known) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure.hint("`echopilot flag list` shows all flags"),
        });
    };
    if output.json() {
        output.value(&json!({ "key": key, "value": value }))?;
    } else {
        output.line(&plain(value))?;
    }
    Ok(DONE)
}

/// true, false, null and numbers as JSON; everything else is a text.
fn value_of(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_))) => value,
        _ => Value::from(text),
    }
}

fn set(args: &FlagSetArgs, api: &Api, output: &mut Output) -> Outcome {
    let mut body = json!({ "key": args.key, "value": value_of(&args.value) });
    if args.create {
        body["create"] = Value::Bool(true);
    }
    let mut ask = Ask::post("/api/flags/set", body);
    ask.if_match = args.if_match.as_deref();
    let answer = api
        .ask(&ask)
        .map_err(|failure| in_cli_words(failure, args))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let of = |name: &str| answer.get(name).map(plain).unwrap_or_default();
    let was = match (answer.get("before"), answer.get("changed")) {
        (_, Some(Value::Bool(false))) => "unchanged".to_owned(),
        (Some(before), _) => format!("was {}", plain(before)),
        (None, _) => "new".to_owned(),
    };
    output.line(&format!("{} = {} ({was})", safe(&args.key), of("value")))?;
    output.talk(&format!(
        "`configs/flags.json` is at revision {}",
        of("revision")
    ));
    output.next(&format!("echopilot flag history {}", args.key));
    Ok(DONE)
}

/// The API's cure for an unknown flag is a member of its body; here it is an option.
fn in_cli_words(failure: Failure, args: &FlagSetArgs) -> Failure {
    let Failure {
        code,
        message,
        hint,
    } = failure;
    let hint = hint.map(|hint| {
        hint.replace(
            "add \"create\": true",
            &format!("add --create to `flag set {}`", args.key),
        )
    });
    Failure {
        code,
        message,
        hint,
    }
}

fn history(key: Option<&str>, lines: u32, api: &Api, output: &mut Output) -> Outcome {
    let limit = lines.to_string();
    let query = [("key", key), ("limit", Some(limit.as_str()))];
    let answer = api.ask(&Ask::get(with_query("/api/flags/history", &query)))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let changes = answer.get("changes").and_then(Value::as_array);
    let shown = |change: &Value, name: &str| change.get(name).map_or("-".to_owned(), plain);
    let rows: Vec<Vec<String>> = changes
        .into_iter()
        .flatten()
        .map(|change| {
            ["ts", "key", "before", "after", "actor"]
                .map(|name| shown(change, name))
                .into()
        })
        .collect();
    if rows.is_empty() {
        output.talk("no changes are recorded yet");
        return Ok(DONE);
    }
    output.table(&["WHEN", "FLAG", "BEFORE", "AFTER", "BY"], &rows)?;
    Ok(DONE)
}

#[test]
fn a_value_is_what_a_person_means_by_it() {
    assert_eq!(value_of("true"), json!(true));
    assert_eq!(value_of("-3.5"), json!(-3.5));
    assert_eq!(value_of("null"), Value::Null);
    assert_eq!(value_of("blue"), json!("blue"));
    assert_eq!(value_of("\"true\""), json!("true"));
    assert_eq!(value_of("{\"a\":1}"), json!("{\"a\":1}"));
}
