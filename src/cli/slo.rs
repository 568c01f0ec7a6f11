//! `echopilot slo`: objectives, budgets, alerts; and what other rules would have fired.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::api::{Api, Ask};
use super::check;
use super::excerpt;
use super::failure::{DONE, FAILED, Failure, Outcome};
use super::output::{Output, Style, elements, of, plain, safe};
use super::query::segment;
use super::watch_args::{ReplayArgs, SloArgs, SloVerb};
use crate::base::calendar::instant;
use crate::platform::config::ConfigKind;
use crate::seams::clock::Clock;
use crate::seams::files::Files;

/// What a verb needs besides the daemon.
pub(super) struct Around<'a> {
    /// The home folder.
    pub(super) home: &'a Path,
    /// All kinds of configuration.
    pub(super) kinds: &'a [ConfigKind],
    /// The file system.
    pub(super) files: &'a dyn Files,
    /// The clock.
    pub(super) clock: &'a dyn Clock,
}

/// Does what `args` ask for; `api` is reached only where the question is a good one.
pub(super) fn run(
    args: &SloArgs,
    around: &Around<'_>,
    api: impl FnOnce() -> Result<Api, Failure>,
    output: &mut Output,
) -> Outcome {
    match &args.verb {
        None => list(&api()?, output),
        Some(SloVerb::Show { name }) => show(name, &api()?, output),
        Some(SloVerb::Replay(args)) => replay(args, around, api, output),
    }
}

/// A number with two decimals at most; `-` where there is none.
fn number(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer).and_then(Value::as_f64);
    found.map_or("-".to_owned(), |found| {
        let text = format!("{found:.2}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        text.to_owned()
    })
}

fn percent(value: &Value, pointer: &str) -> String {
    match number(value, pointer).as_str() {
        "-" => "-".to_owned(),
        number => format!("{number} %"),
    }
}

fn style(state: &str) -> Style {
    match state {
        "ok" | "quiet" => Style::Green,
        "page" | "exhausted" | "firing" => Style::Red,
        "no_data" => Style::Dim,
        _ => Style::Yellow,
    }
}

fn burn(objective: &Value, window: &str) -> String {
    let mut burns = elements(objective, "burn");
    let found = burns.find(|one| one.get("window").is_some_and(|name| name == window));
    found.map_or("-".to_owned(), |found| number(found, "/burn"))
}

fn row(objective: &Value, output: &Output) -> Vec<String> {
    let state = of(objective, "/state");
    vec![
        of(objective, "/name"),
        output.paint(style(&state), &state),
        percent(objective, "/target_percent"),
        percent(objective, "/actual_percent"),
        percent(objective, "/budget/remaining_percent"),
        format!(
            "{} of {}",
            number(objective, "/budget/remaining_minutes"),
            number(objective, "/budget/total_minutes")
        ),
        burn(objective, "1h"),
        burn(objective, "6h"),
        burn(objective, "3d"),
    ]
}

/// Heading of [`row`].
const HEADING: [&str; 9] = [
    "OBJECTIVE",
    "STATE",
    "TARGET",
    "ACTUAL",
    "BUDGET LEFT",
    "MINUTES LEFT",
    "BURN 1h",
    "6h",
    "3d",
];

fn list(api: &Api, output: &mut Output) -> Outcome {
    let answer = api.ask(&Ask::get("/api/slo"))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let rows: Vec<_> = elements(&answer, "objectives")
        .map(|objective| row(objective, output))
        .collect();
    if rows.is_empty() {
        output.talk("there are no objectives in `configs/slo.json`");
        return Ok(DONE);
    }
    output.table(&HEADING, &rows)?;
    for objective in elements(&answer, "objectives") {
        tell_alerts(objective, output)?;
    }
    output.next("echopilot slo show OBJECTIVE");
    Ok(DONE)
}

fn tell_alerts(objective: &Value, output: &mut Output) -> Result<(), Failure> {
    for alert in elements(objective, "alerts") {
        let severity = of(alert, "/severity");
        let head = output.paint(style(&severity), &severity);
        let (since, text) = (of(alert, "/fired_at"), of(alert, "/text"));
        output.line(&format!("{head} since {since}: {text}"))?;
        output.line(&format!("  {}", of(alert, "/open_still")))?;
    }
    if let Some(end) = objective
        .pointer("/budget/exhausted_at")
        .and_then(Value::as_str)
    {
        let name = of(objective, "/name");
        output.line(&format!(
            "`{name}` has no budget left from {} on if it goes on like this",
            safe(end)
        ))?;
    }
    Ok(())
}

fn show(name: &str, api: &Api, output: &mut Output) -> Outcome {
    let answer = api.ask(&Ask::get(format!("/api/slo/{}", segment(name))))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    output.table(&HEADING, &[row(&answer, output)])?;
    tell_alerts(&answer, output)?;
    output.line("")?;
    let rule = |rule: &Value| {
        let state = of(rule, "/state");
        vec![
            of(rule, "/rule"),
            output.paint(style(&state), &state),
            number(rule, "/factor"),
            format!("{} {}", number(rule, "/long_burn"), of(rule, "/long")),
            format!("{} {}", number(rule, "/short_burn"), of(rule, "/short")),
            of(rule, "/bad"),
        ]
    };
    let rules: Vec<_> = elements(&answer, "rules").map(rule).collect();
    output.table(&["RULE", "STATE", "ABOVE", "LONG", "SHORT", "BAD"], &rules)?;
    output.line("")?;
    let seen = |day: &&Value| day.get("requests").is_some_and(|n| *n != 0);
    let day = |day: &Value| {
        let date = of(day, "/from");
        vec![
            date.split('T').next().unwrap_or_default().to_owned(),
            of(day, "/requests"),
            of(day, "/bad"),
            percent(day, "/consumed_percent"),
            percent(day, "/remaining_percent"),
        ]
    };
    let days: Vec<_> = elements(&answer, "days").filter(seen).map(day).collect();
    output.table(&["DAY", "REQUESTS", "BAD", "TOOK", "LEFT"], &days)?;
    output.next("echopilot slo replay --config FILE");
    Ok(DONE)
}

fn replay(
    args: &ReplayArgs,
    around: &Around<'_>,
    api: impl FnOnce() -> Result<Api, Failure>,
    output: &mut Output,
) -> Outcome {
    let now = around.clock.now();
    let from = when("--from", args.from.as_deref(), now)?;
    let until = when("--to", args.to.as_deref(), now)?;
    let own = || around.home.join("configs/slo.json");
    let path = args.config.clone().unwrap_or_else(own);
    let Some(kind) = around.kinds.iter().find(|kind| kind.file == "slo.json") else {
        return Err(Failure::new("this program knows no `slo.json`"));
    };
    let checked = check::check(&path, kind, around.files)?;
    if !checked.problems.is_empty() {
        if output.json() {
            output.value(&json!({ "ok": false, "problems": checked.problems }))?;
        } else {
            output.line(&excerpt::told(&checked.problems, &checked.text, output))?;
        }
        return Ok(FAILED);
    }
    let body = json!({
        "config": String::from_utf8_lossy(&checked.text),
        "name": path.display().to_string(),
        "from": from,
        "until": until,
    });
    let answer = api()?.ask(&Ask::post("/api/slo/replay", body))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    tell_replay(&answer, output)
}

fn when(option: &str, text: Option<&str>, now: DateTime<Utc>) -> Result<Option<String>, Failure> {
    let Some(text) = text else { return Ok(None) };
    if let Some(at) = instant(text, now) {
        return Ok(Some(at.to_rfc3339()));
    }
    let told = format!("`{option}` is `{text}`, must be a span or an instant");
    Err(Failure::new(told).hint("write `7d`, or 2026-11-21T09:15:00Z"))
}

fn tell_replay(answer: &Value, output: &mut Output) -> Outcome {
    let mut rows = Vec::new();
    for objective in elements(answer, "objectives") {
        let name = of(objective, "/name");
        if objective.get("from").is_none_or(Value::is_null) {
            let series = of(objective, "/series");
            output.talk(&format!(
                "`{name}`: no sample of the series `{series}` on record"
            ));
        }
        for alert in elements(objective, "alerts") {
            let severity = of(alert, "/severity");
            let rules: Vec<_> = elements(alert, "rules").map(plain).collect();
            rows.push(vec![
                name.clone(),
                output.paint(style(&severity), &severity),
                of(alert, "/started_at"),
                of(alert, "/fired_at"),
                of(alert, "/resolved_at"),
                of(alert, "/minutes"),
                rules.join(" "),
            ]);
        }
    }
    if rows.is_empty() {
        output.line("nothing would have fired")?;
        return Ok(DONE);
    }
    let heading = [
        "OBJECTIVE",
        "ALERT",
        "BEGAN",
        "FIRED",
        "RESOLVED",
        "MINUTES",
        "RULES",
    ];
    output.table(&heading, &rows)?;
    Ok(DONE)
}
