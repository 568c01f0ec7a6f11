//! `echopilot alert channels`, `alert test`, `alert retry`: how the ways to people are.

use serde_json::{Value, json};

use super::api::{Api, Ask};
use super::failure::{DONE, Failure, Outcome};
use super::output::{Output, Style, elements, of};
use super::query::segment;

fn style(state: &str) -> Style {
    match state {
        "works" | "sent" => Style::Green,
        "failing" | "dry_run" | "waiting" => Style::Yellow,
        "broken" | "disabled" | "failed" => Style::Red,
        _ => Style::Dim,
    }
}

/// Lists the channels, and what never arrived.
pub(super) fn channels(api: &Api, output: &mut Output) -> Outcome {
    let answer = api.ask(&Ask::get("/api/alerts/channels"))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let row = |channel: &Value| {
        let state = of(channel, "/state");
        vec![
            of(channel, "/name"),
            of(channel, "/kind"),
            output.paint(style(&state), &state),
            of(channel, "/waiting"),
            of(channel, "/sent"),
            of(channel, "/dead"),
            of(channel, "/last_sent_at"),
            of(channel, "/reason"),
        ]
    };
    let rows: Vec<_> = elements(&answer, "channels").map(row).collect();
    if rows.is_empty() {
        output.talk("no channel is named in `configs/alerts.json`");
        return Ok(DONE);
    }
    let heading = [
        "CHANNEL",
        "KIND",
        "STATE",
        "WAITING",
        "SENT",
        "DEAD",
        "LAST SENT",
        "REASON",
    ];
    output.table(&heading, &rows)?;
    let row = |dead: &Value| {
        vec![
            of(dead, "/id"),
            of(dead, "/channel"),
            of(dead, "/at"),
            of(dead, "/fallback"),
            of(dead, "/reason"),
        ]
    };
    let rows: Vec<_> = elements(&answer, "dead").map(row).collect();
    if !rows.is_empty() {
        output.talk("\nnotices that never arrived:");
        let heading = ["NOTICE", "CHANNEL", "WHEN", "WENT TO", "REASON"];
        output.table(&heading, &rows)?;
        output.next("echopilot alert retry NOTICE");
        return Ok(DONE);
    }
    output.next("echopilot alert test CHANNEL");
    Ok(DONE)
}

/// Sends a test notice and tells what came of it. Fails where a channel did.
pub(super) fn test(channel: Option<&str>, level: &str, api: &Api, output: &mut Output) -> Outcome {
    let mut body = json!({ "level": level });
    if let Some(channel) = channel {
        body["channel"] = channel.into();
    }
    let answer = api.ask(&Ask::post("/api/alerts/test", body))?;
    let bad: Vec<String> = elements(&answer, "results")
        .filter(|result| !matches!(&*of(result, "/outcome"), "sent" | "dry_run"))
        .map(|result| of(result, "/channel"))
        .collect();
    if output.json() {
        output.value(&answer)?;
    } else {
        let mut count = 0;
        for result in elements(&answer, "results") {
            count += 1;
            let outcome = of(result, "/outcome");
            let painted = output.paint(style(&outcome), &outcome);
            let mut line = format!("{}: {painted}", of(result, "/channel"));
            if result.get("reason").is_some() {
                line = format!("{line}: {}", of(result, "/reason"));
            }
            output.line(&line)?;
            if result.get("hint").is_some() {
                output.line(&format!("  hint: {}", of(result, "/hint")))?;
            }
        }
        if count == 0 {
            output.talk("no channel is named in `configs/alerts.json`");
        }
    }
    match bad.as_slice() {
        [] => Ok(DONE),
        bad => Err(Failure::new(format!(
            "the test notice did not reach `{}`",
            bad.join("`, `")
        ))),
    }
}

/// Sends a notice again that never arrived.
pub(super) fn retry(id: &str, api: &Api, output: &mut Output) -> Outcome {
    let path = format!("/api/alerts/notices/{}/retry", segment(id));
    let answer = api.ask(&Ask::post(path, json!({})))?;
    if output.json() {
        output.value(&answer)?;
    } else {
        let (id, channel) = (of(&answer, "/id"), of(&answer, "/channel"));
        output.line(&format!("`{id}` goes out to `{channel}`"))?;
    }
    Ok(DONE)
}
