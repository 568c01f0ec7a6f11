//! `echopilot alert`: what is wrong now, and who is told of it.

use serde_json::{Map, Value, json};

use super::alert_args::{AlertRouteArgs, AlertVerb};
use super::api::{Api, Ask};
use super::failure::{DONE, Failure, Outcome};
use super::output::{Output, Style, elements, of, plain};
use super::query::with_query;
use super::{alert_channels, alert_silence};

/// Does `verb`.
pub(super) fn run(verb: &AlertVerb, api: &Api, output: &mut Output) -> Outcome {
    match verb {
        AlertVerb::List => list(api, output),
        AlertVerb::Groups => groups(api, output),
        AlertVerb::Ack { keys } => acknowledge(keys, api, output),
        AlertVerb::Route(args) => route(args, api, output),
        AlertVerb::Channels => alert_channels::channels(api, output),
        AlertVerb::Test { channel, level } => {
            alert_channels::test(channel.as_deref(), level, api, output)
        }
        AlertVerb::Retry { id } => alert_channels::retry(id, api, output),
        AlertVerb::Silence(verb) => alert_silence::run(verb, api, output),
    }
}

/// Severities, the worst first.
const SEVERITIES: [&str; 4] = ["critical", "error", "warning", "info"];

/// All pages of `GET /api/alerts` as one.
fn all(api: &Api) -> Result<Value, Failure> {
    let mut all = api.ask(&Ask::get("/api/alerts"))?;
    while let Some(next) = all.get("next").and_then(Value::as_str) {
        let query = [("after", Some(next))];
        let mut page = api.ask(&Ask::get(with_query("/api/alerts", &query)))?;
        let more = page["alerts"].take();
        if let (Some(known), Value::Array(more)) = (all["alerts"].as_array_mut(), more) {
            known.extend(more);
            page["count"] = known.len().into();
        }
        page["alerts"] = all["alerts"].take();
        all = page;
    }
    Ok(all)
}

fn list(api: &Api, output: &mut Output) -> Outcome {
    let answer = all(api)?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let mut alerts: Vec<&Value> = elements(&answer, "alerts").collect();
    if alerts.is_empty() {
        output.talk("nothing is wrong");
        return Ok(DONE);
    }
    let rank = |alert: &Value| {
        let severity = of(alert, "/severity");
        SEVERITIES.iter().position(|one| *one == severity)
    };
    alerts.sort_by_key(|alert| (rank(alert), of(alert, "/started_at")));
    let row = |alert: &&Value| {
        let severity = of(alert, "/severity");
        let style = match severity.as_str() {
            "critical" | "error" => Style::Red,
            "warning" => Style::Yellow,
            _ => Style::Dim,
        };
        vec![
            output.paint(style, &severity),
            of(alert, "/started_at"),
            of(alert, "/key"),
            found(alert),
        ]
    };
    let rows: Vec<Vec<String>> = alerts.iter().map(row).collect();
    output.table(&["SEVERITY", "SINCE", "KEY", "FOUND"], &rows)?;
    output.next("echopilot log tail alerts");
    Ok(DONE)
}

/// What was found; where another program found it, whose key tells nobody anything, with its name.
fn found(alert: &Value) -> String {
    let (key, name) = (of(alert, "/key"), of(alert, "/name"));
    let summary = of(alert, "/summary");
    // Without a summary of its own it says its name again.
    if name == key {
        summary
    } else if name.split(" (").next() == Some(summary.as_str()) {
        name
    } else {
        format!("{name}: {summary}")
    }
}

fn joined(value: &Value, name: &str) -> String {
    let all: Vec<_> = elements(value, name).map(plain).collect();
    all.join(", ")
}

fn groups(api: &Api, output: &mut Output) -> Outcome {
    let answer = api.ask(&Ask::get("/api/alerts/groups"))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    if elements(&answer, "groups").next().is_none() {
        output.talk("nothing is wrong");
        return Ok(DONE);
    }
    for group in elements(&answer, "groups") {
        let name = output.paint(Style::Bold, &of(group, "/group"));
        output.line(&name)?;
        let told = group.get("told_at").and_then(Value::as_object);
        let told = told.into_iter().flatten();
        let told: Vec<_> = told
            .map(|(channel, at)| format!("{channel} at {}", plain(at)))
            .collect();
        let told = if told.is_empty() {
            "nobody yet".to_owned()
        } else {
            told.join(", ")
        };
        let channels = joined(group, "channels");
        output.line(&format!("  for {channels}; told: {told}"))?;
        for alert in elements(group, "alerts") {
            output.line(&format!(
                "  {} {}  {}{}",
                of(alert, "/level"),
                of(alert, "/key"),
                found(alert),
                hidden(alert)
            ))?;
        }
    }
    Ok(DONE)
}

/// Why nobody is told of an alert.
fn hidden(alert: &Value) -> String {
    let mut why = Vec::new();
    for id in elements(alert, "silenced_by") {
        why.push(format!("silenced by {}", plain(id)));
    }
    if let Some(by) = alert.get("inhibited_by").and_then(Value::as_str) {
        why.push(format!("hidden by {by}"));
    }
    if let Some(by) = alert.get("acknowledged_by").and_then(Value::as_str) {
        why.push(format!("taken up by {by}"));
    }
    if why.is_empty() {
        return String::new();
    }
    format!(" ({})", plain(&Value::from(why.join(", "))))
}

fn acknowledge(keys: &[String], api: &Api, output: &mut Output) -> Outcome {
    let ask = Ask::post("/api/alerts/acknowledge", json!({ "keys": keys }));
    let answer = api.ask(&ask)?;
    if output.json() {
        output.value(&answer)?;
    } else {
        output.line(&format!("{} taken up", of(&answer, "/acknowledged")))?;
    }
    let unknown = joined(&answer, "unknown");
    if unknown.is_empty() {
        return Ok(DONE);
    }
    Err(Failure::new(format!("nothing holds under `{unknown}`"))
        .hint("`echopilot alert list` shows what holds"))
}

/// Whether it is rather `name=~regex`, `name!=value` or `name!~regex` than a label with its value.
fn is_condition(pair: &str) -> bool {
    let (name, rest) = pair.split_at(pair.find(['=', '!']).unwrap_or(pair.len()));
    name.contains('~') || ["=~", "!=", "!~"].iter().any(|sign| rest.starts_with(sign))
}

fn route(args: &AlertRouteArgs, api: &Api, output: &mut Output) -> Outcome {
    let mut labels = Map::new();
    for pair in &args.labels {
        let refused = || Failure::new(format!("`{pair}` is not allowed, must be LABEL=VALUE"));
        if is_condition(pair) {
            return Err(refused().hint(
                "this is a condition; an alert has values, such as `probe=web`. Conditions belong \
                 into routes and `echopilot alert silence add`",
            ));
        }
        let Some((name, value)) = pair.split_once('=') else {
            return Err(refused().hint("such as `level=critical`"));
        };
        labels.insert(name.to_owned(), Value::from(value));
    }
    let ask = Ask::post("/api/alerts/route", json!({ "labels": labels }));
    let answer = api.ask(&ask)?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    for way in elements(&answer, "routes") {
        let channels = joined(way, "channels");
        let channels = if channels.is_empty() {
            "nobody, it is only on record".to_owned()
        } else {
            channels
        };
        output.line(&format!("{} -> {channels}", of(way, "/route")))?;
        output.line(&format!("  group {}", of(way, "/group")))?;
        let quiet = way.get("quiet").and_then(Value::as_object);
        for (channel, end) in quiet.into_iter().flatten() {
            output.line(&format!("  {channel} is quiet until {}", plain(end)))?;
        }
    }
    for step in elements(&answer, "escalation") {
        let (after, channels) = (of(step, "/after_secs"), joined(step, "channels"));
        output.line(&format!("after {after} s without anybody: {channels}"))?;
    }
    for id in elements(&answer, "silenced_by") {
        output.line(&format!("silenced by {}", plain(id)))?;
    }
    if let Some(by) = answer.get("inhibited_by").and_then(Value::as_str) {
        output.line(&format!("hidden by {by}"))?;
    }
    Ok(DONE)
}
