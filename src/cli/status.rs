//! `echopilot status`: whether a daemon runs, and how each of its parts is.

use serde_json::{Value, json};

use super::api::{Api, Ask};
use super::args::Global;
use super::failure::{DONE, FAILED, Outcome, UNREACHABLE};
use super::output::{Output, Style, plain, safe};
use crate::app::daemon_file::DaemonFile;
use crate::seams::files::Files;

/// Tells how the daemon of the home folder, or at `--url`, is.
pub(super) fn run(global: &Global, files: &dyn Files, output: &mut Output) -> Outcome {
    let Some(remote) = Api::daemon(global, files)? else {
        return not_running(global, output);
    };
    let known = match &global.url {
        Some(_) => None,
        None => DaemonFile::read(files, &global.home)?,
    };
    let (status, body) = Api::Remote(remote).call(&Ask::get("/health"))?;
    let report: Value = serde_json::from_slice(&body).unwrap_or_default();
    let ready = status == 200;
    let code = if ready { DONE } else { FAILED };
    let mut facts = vec![];
    if let Some(file) = &known {
        facts.push(("address", format!("http://{}", file.address)));
        facts.push(("pid", file.pid.to_string()));
        facts.push(("version", file.version.clone()));
        facts.push(("started", crate::base::time::stamp(file.started_at)));
    } else if let Some(url) = &global.url {
        facts.push(("address", url.clone()));
    }
    if output.json() {
        let mut whole = json!({ "running": true, "ready": ready, "report": report });
        for (name, value) in facts {
            whole[name] = json!(value);
        }
        output.value(&whole)?;
        return Ok(code);
    }
    let state = if ready {
        output.paint(Style::Green, "running, ready")
    } else {
        output.paint(Style::Red, "running, NOT READY")
    };
    output.line(&format!("{:<9}{state}", "daemon"))?;
    for (name, value) in facts {
        output.line(&format!("{name:<9}{value}"))?;
    }
    let rows = rows(&report, output);
    if !rows.is_empty() {
        output.line("")?;
        output.table(&["PART", "STATE", "REASON"], &rows)?;
    }
    Ok(code)
}

fn rows(report: &Value, output: &Output) -> Vec<Vec<String>> {
    let checks = report.get("checks").and_then(Value::as_object);
    let row = |(name, check): (&String, &Value)| {
        let of = |name: &str| check.get(name).map(plain).unwrap_or_default();
        let state = of("state");
        let style = match state.as_str() {
            "ok" => Style::Green,
            "degraded" => Style::Yellow,
            _ => Style::Red,
        };
        vec![safe(name), output.paint(style, &state), of("reason")]
    };
    checks.into_iter().flatten().map(row).collect()
}

fn not_running(global: &Global, output: &mut Output) -> Outcome {
    if output.json() {
        output.value(&json!({ "running": false, "ready": false }))?;
    } else {
        let state = output.paint(Style::Dim, "not running");
        output.line(&format!(
            "{:<9}{state} on `{}`",
            "daemon",
            global.home.display()
        ))?;
        output.next("echopilot serve");
    }
    Ok(UNREACHABLE)
}
