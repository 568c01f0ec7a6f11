//! `echopilot alert`: what the watchers have found.

use serde_json::Value;

use super::api::{Api, Ask};
use super::failure::{DONE, Outcome};
use super::output::{Output, Style, elements, of};
use super::watch_args::AlertVerb;

/// Does `verb`.
pub(super) fn run(verb: &AlertVerb, api: &Api, output: &mut Output) -> Outcome {
    match verb {
        AlertVerb::List => list(api, output),
    }
}

/// Severities, the worst first.
const SEVERITIES: [&str; 4] = ["critical", "error", "warning", "info"];

fn list(api: &Api, output: &mut Output) -> Outcome {
    let answer = api.ask(&Ask::get("/api/alerts"))?;
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
            of(alert, "/summary"),
        ]
    };
    let rows: Vec<Vec<String>> = alerts.iter().map(row).collect();
    output.table(&["SEVERITY", "SINCE", "KEY", "FOUND"], &rows)?;
    output.next("echopilot log tail alerts");
    Ok(DONE)
}
