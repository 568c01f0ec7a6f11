//! `echopilot flag`: feature flags.

use serde_json::{Value, json};

use super::api::{Api, Ask};
use super::args::{FlagSetArgs, FlagVerb};
use super::failure::{DONE, Failure, Outcome};
use super::output::{Output, Style, plain, safe};
use super::query::with_query;
use crate::base::json::{Node, Tree};
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

/// What the daemon says of the flags, in the order of the file.
fn read(text: &str) -> Result<Tree<'_>, Failure> {
    Tree::parse(text).map_err(|_| Failure::new("the answer of the daemon is not JSON"))
}

fn list(api: &Api, output: &mut Output) -> Outcome {
    let answer = api.text(&Ask::get("/api/flags/get"))?;
    if output.json() {
        output.line(&answer)?;
        return Ok(DONE);
    }
    let tree = read(&answer)?;
    let flags = tree.root().get("flags");
    let rows: Vec<Vec<String>> = flags
        .into_iter()
        .flat_map(Node::members)
        .map(|(key, value)| vec![safe(key.str().unwrap_or_default()), colored(output, value)])
        .collect();
    output.table(&["FLAG", "VALUE"], &rows)?;
    output.next("echopilot flag set KEY VALUE");
    Ok(DONE)
}

/// A value for people: texts without quotes, numbers with the digits they were written with.
fn shown(value: Node<'_>) -> String {
    value.str().map_or_else(|| value.text().to_owned(), safe)
}

fn colored(output: &Output, value: Node<'_>) -> String {
    let style = match value.bool() {
        Some(true) => Style::Green,
        Some(false) => Style::Dim,
        None if value.is_null() => Style::Dim,
        None => Style::Plain,
    };
    output.paint(style, &shown(value))
}

fn get(key: &str, api: &Api, output: &mut Output) -> Outcome {
    let answer = api.text(&Ask::get("/api/flags/get"))?;
    let tree = read(&answer)?;
    let flags = tree.root().get("flags");
    let Some(value) = flags.and_then(|flags| flags.get(key)) else {
        let failure = Failure::new(format!("there is no flag `{key}`"));
        let known = flags.into_iter().flat_map(Node::members);
        return Err(
            match names::nearest(key, known.filter_map(|(key, _)| key.str())) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint("`echopilot flag list` shows all flags"),
            },
        );
    };
    if output.json() {
        let (key, value) = (Value::from(key), value.text());
        output.line(&format!("{{\"key\":{key},\"value\":{value}}}"))?;
    } else {
        output.line(&shown(value))?;
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
    let answer = api.text(&Ask::get(with_query("/api/flags/history", &query)))?;
    if output.json() {
        output.line(&answer)?;
        return Ok(DONE);
    }
    let tree = read(&answer)?;
    let changes = tree.root().get("changes");
    let changes: Vec<Node<'_>> = changes.into_iter().flat_map(Node::elements).collect();
    if changes.is_empty() {
        output.talk("no changes are recorded yet");
        return Ok(DONE);
    }
    output.table(&["WHEN", "FLAG", "BEFORE", "AFTER", "BY"], &rows(&changes))?;
    Ok(DONE)
}

/// One row a change; flags that came into being together, as with a first start, share one.
fn rows(changes: &[Node<'_>]) -> Vec<Vec<String>> {
    let of = |change: Node<'_>, name: &str| change.get(name).map_or("-".to_owned(), shown);
    let together = |a: &Node<'_>, b: &Node<'_>| {
        let made = |change: Node<'_>| of(change, "kind") == "flag.created";
        made(*a)
            && made(*b)
            && ["ts", "actor", "revision"]
                .iter()
                .all(|name| of(*a, name) == of(*b, name))
    };
    let row = |group: &[Node<'_>]| match group {
        [only] => Some(vec![
            of(*only, "ts"),
            of(*only, "key"),
            of(*only, "before"),
            of(*only, "after"),
            of(*only, "actor"),
        ]),
        [first, ..] => Some(vec![
            of(*first, "ts"),
            format!("({} new flags)", group.len()),
            "-".to_owned(),
            "-".to_owned(),
            of(*first, "actor"),
        ]),
        [] => None,
    };
    changes.chunk_by(together).filter_map(row).collect()
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

#[test]
fn flags_that_came_together_share_a_row() {
    let text = r#"[{"kind":"flag.created","ts":"1","key":"a","after":1.50,"actor":"file"},
        {"kind":"flag.created","ts":"1","key":"b","after":2,"actor":"file"},
        {"kind":"flag.created","ts":"2","key":"c","after":2.50,"actor":"file"},
        {"kind":"flag.changed","ts":"2","key":"c","before":2.50,"after":"x","actor":"eve"}]"#;
    let tree = Tree::parse(text).expect("JSON");
    let changes: Vec<Node<'_>> = tree.root().elements().collect();
    let told: Vec<String> = rows(&changes).iter().map(|row| row.join(" ")).collect();
    assert_eq!(
        told,
        [
            "1 (2 new flags) - - file",
            "2 c - 2.50 file",
            "2 c 2.50 x eve"
        ]
    );
}
