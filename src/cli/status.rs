//! `echopilot status`: whether a daemon runs, and how each of its parts is.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::api::{Api, Ask};
use super::args::Global;
use super::check;
use super::excerpt;
use super::failure::{DONE, FAILED, Failure, Outcome, UNREACHABLE};
use super::output::{Output, Style, plain, safe};
use crate::app::daemon_file::DaemonFile;
use crate::platform::config::ConfigKind;
use crate::seams::files::Files;

/// Tells how the daemon of the home folder, or at `--url`, is.
pub(super) fn run(
    global: &Global,
    kinds: &[ConfigKind],
    files: &dyn Files,
    output: &mut Output,
) -> Outcome {
    let Some(remote) = Api::daemon(global, files)? else {
        return not_running(global, output);
    };
    let known = match &global.url {
        Some(_) => None,
        None => DaemonFile::read(files, &global.home)?,
    };
    let api = Api::Remote(remote);
    let (status, body) = api.call(&Ask::get("/health"))?;
    let report: Value = serde_json::from_slice(&body).unwrap_or_default();
    let ready = status == 200;
    let code = if ready { DONE } else { FAILED };
    let journals = journals(&api);
    let faults = match &known {
        Some(_) => faults(&report, &global.home, kinds, files),
        None => Vec::new(),
    };
    let mut facts = vec![("address", api.address())];
    if let Some(file) = &known {
        facts.push(("pid", file.pid.to_string()));
        facts.push(("started", crate::base::time::stamp(file.started_at)));
    }
    for (name, member) in [("version", "version"), ("uptime", "uptime_secs")] {
        if let Some(value) = report.get(member) {
            let unit = if name == "uptime" { " s" } else { "" };
            facts.push((name, plain(value) + unit));
        }
    }
    let unclean = report.pointer("/runs/last_unclean_at").map(plain);
    if let Some(unclean) = unclean.filter(|at| at != "null" && !at.is_empty()) {
        facts.push(("unclean", format!("the run before the start of {unclean}")));
    }
    if output.json() {
        let mut whole = json!({
            "running": true, "ready": ready, "report": report, "journals": journals,
            "problems": faults.iter().flat_map(|file| file.problems.iter()).collect::<Vec<_>>(),
        });
        for (name, value) in facts.into_iter().filter(|(name, _)| *name != "uptime") {
            whole[name] = json!(value);
        }
        output.value(&whole)?;
        return Ok(code);
    }
    let state = match (ready, report.get("status").and_then(Value::as_str)) {
        (false, _) => output.paint(Style::Red, "running, NOT READY"),
        (true, Some("degraded")) => output.paint(Style::Yellow, "running, ready, degraded"),
        (true, _) => output.paint(Style::Green, "running, ready"),
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
    show_journals(&journals, output)?;
    for file in &faults {
        output.line("")?;
        output.line(&excerpt::told(&file.problems, &file.text, output))?;
    }
    Ok(code)
}

/// Families of the metrics that tell of journals, with the names that `--json` gives them.
const NUMBERS: [(&str, &str); 4] = [
    ("echopilot_journal_lines_total", "last_seq"),
    ("echopilot_journal_segments", "segments"),
    ("echopilot_journal_foreign_lines", "foreign_lines"),
    ("echopilot_journal_refusing", "refusing"),
];

/// Each journal with its numbers. Nothing, where the caller may not read the metrics.
fn journals(api: &Api) -> BTreeMap<String, BTreeMap<&'static str, u64>> {
    let mut journals: BTreeMap<String, BTreeMap<_, _>> = BTreeMap::new();
    let text = api.text(&Ask::get("/metrics")).unwrap_or_default();
    for line in text.lines() {
        let told = line
            .split_once("{journal=\"")
            .and_then(|(family, rest)| Some((family, rest.split_once("\"} ")?)));
        let Some((family, (journal, number))) = told else {
            continue;
        };
        let name = NUMBERS.iter().find(|(known, _)| *known == family);
        if let (Some((_, name)), Ok(number)) = (name, number.parse()) {
            let numbers = journals.entry(journal.to_owned()).or_default();
            numbers.insert(*name, number);
        }
    }
    journals
}

fn show_journals(
    journals: &BTreeMap<String, BTreeMap<&'static str, u64>>,
    output: &mut Output,
) -> Result<(), Failure> {
    if journals.is_empty() {
        return Ok(());
    }
    let row = |(name, numbers): (&String, &BTreeMap<&str, u64>)| {
        let of = |name: &str| numbers.get(name).copied().unwrap_or_default();
        let state = if of("refusing") == 0 {
            output.paint(Style::Green, "ok")
        } else {
            output.paint(Style::Red, "refusing")
        };
        let [seq, segments, foreign] =
            ["last_seq", "segments", "foreign_lines"].map(|name| of(name).to_string());
        vec![safe(name), state, seq, segments, foreign]
    };
    let rows: Vec<Vec<String>> = journals.iter().map(row).collect();
    output.line("")?;
    output.table(
        &["JOURNAL", "STATE", "LAST SEQ", "SEGMENTS", "FOREIGN"],
        &rows,
    )
}

/// Everything wrong with the files on disk, where the daemon says that one is not in force: the
/// same reading that it does.
fn faults(
    report: &Value,
    home: &Path,
    kinds: &[ConfigKind],
    files: &dyn Files,
) -> Vec<check::Checked> {
    let state = report.pointer("/checks/configs/state");
    if state.is_none_or(|state| state == "ok") {
        return Vec::new();
    }
    let found = kinds.iter().filter_map(|kind| {
        let checked = check::check(&home.join("configs").join(kind.file), kind, files).ok()?;
        (!checked.problems.is_empty()).then_some(checked)
    });
    found.collect()
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
