//! `echopilot verify`: walks the chain of every journal. Only reads, with or without a daemon.

use std::path::Path;

use serde_json::{Value, json};

use super::args::VerifyArgs;
use super::failure::{DONE, FAILED, Failure, Outcome};
use super::output::{Output, Style};
use crate::base::names;
use crate::seams::files::{Files, read_whole};
use crate::storage::anchors::Anchors;
use crate::storage::verify::{BadLine, StreamReport, verify};

/// Checks the journals below `home` that `args` names, or all.
pub(super) fn run(
    args: &VerifyArgs,
    home: &Path,
    files: &dyn Files,
    output: &mut Output,
) -> Outcome {
    let logs = home.join("logs");
    let anchors = read_anchors(args, files)?;
    let mut reports =
        verify(files, &logs, &anchors).map_err(|error| Failure::from(anyhow::Error::new(error)))?;
    if reports.is_empty() {
        return Err(
            Failure::new(format!("there is no journal in `{}`", logs.display()))
                .hint("is `--home` the right folder?"),
        );
    }
    for name in &args.names {
        let known = || reports.iter().map(|report| report.stream.as_str());
        if !known().any(|stream| stream == name) {
            let failure = Failure::new(format!("there is no journal `{name}`"));
            return Err(match names::nearest(name, known()) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint("`echopilot log list` names all journals"),
            });
        }
    }
    if !args.names.is_empty() {
        reports.retain(|report| args.names.contains(&report.stream));
    }
    let bad = reports.iter().any(|report| report.bad_lines > 0);
    if output.json() {
        let journals: Vec<Value> = reports.iter().map(told).collect();
        output.value(&json!({ "ok": !bad, "journals": journals }))?;
    } else {
        show(&reports, output)?;
    }
    Ok(if bad { FAILED } else { DONE })
}

fn read_anchors(args: &VerifyArgs, files: &dyn Files) -> Result<Anchors, Failure> {
    let Some(path) = &args.anchors else {
        return Ok(Anchors::default());
    };
    let text = files
        .open_read(path)
        .and_then(|mut file| read_whole(&mut *file, u64::MAX))
        .map_err(|error| Failure::new(format!("cannot read `{}`: {error}", path.display())))?;
    let anchors = Anchors::read(&String::from_utf8_lossy(&text));
    if anchors.count() == 0 {
        let message = format!("there is no anchor in `{}`", path.display());
        return Err(Failure::new(message).hint("journalctl -u echopilot | grep 'chain anchor'"));
    }
    Ok(anchors)
}

fn told(report: &StreamReport) -> Value {
    let place = |bad: &BadLine| {
        json!({
            "file": bad.file,
            "line": bad.line,
            "offset": bad.offset,
            "seq": bad.seq,
            "what": bad.what,
        })
    };
    json!({
        "journal": report.stream,
        "ok": report.bad_lines == 0,
        "lines": report.lines,
        "begins_at": report.begins_at,
        "removed_at": report.removed_at,
        "last_seq": report.last_seq,
        "segments": report.segments,
        "foreign_lines": report.foreign,
        "tail_bytes": report.tail_bytes,
        "anchors": report.anchors,
        "bad_lines": report.bad_lines,
        "bad": report.bad.iter().map(place).collect::<Vec<_>>(),
    })
}

fn show(reports: &[StreamReport], output: &mut Output) -> Result<(), Failure> {
    let rows: Vec<Vec<String>> = reports
        .iter()
        .map(|report| {
            let state = match report.bad_lines {
                0 => output.paint(Style::Green, "ok"),
                _ => output.paint(Style::Red, "BAD"),
            };
            let numbers = [
                report.lines,
                report.segments,
                report.foreign,
                report.bad_lines,
            ];
            let numbers = numbers.iter().map(ToString::to_string);
            [report.stream.clone(), state]
                .into_iter()
                .chain(numbers)
                .collect()
        })
        .collect();
    output.table(
        &["JOURNAL", "STATE", "LINES", "SEGMENTS", "FOREIGN", "BAD"],
        &rows,
    )?;
    for report in reports {
        if let Some(bad) = report.first_bad() {
            output.line(&format!(
                "first bad line of `{}`: `logs/{}`, line {}, seq {}: {}",
                report.stream, bad.file, bad.line, bad.seq, bad.what
            ))?;
        }
        if report.begins_at > 1 {
            let (name, first) = (&report.stream, report.begins_at);
            let why = match &report.removed_at {
                Some(at) => format!("older lines were removed by retention on {at}"),
                None => "older lines are gone, and no record tells when".to_owned(),
            };
            output.talk(&format!("`{name}` begins at line {first}: {why}"));
        }
        if report.tail_bytes > 0 {
            let (name, bytes) = (&report.stream, report.tail_bytes);
            output.talk(&format!(
                "`{name}` ends in {bytes} bytes of an unfinished line"
            ));
        }
    }
    Ok(())
}
