//! `echopilot log`: journals, read from their files. Works while the daemon is down, writes
//! nothing.
//!
//! Lines come out as they are in the files, so that `log tail x | jq` and `tail -f logs/x.ndjson`
//! show the same.

mod follow;
mod segments;

use std::collections::VecDeque;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::args::{LogVerb, TailArgs};
use super::failure::{DONE, Failure, Outcome};
use super::output::Output;
use crate::base::{calendar, names};
use crate::seams::clock::Clock;
use crate::seams::files::Files;
use crate::storage::filter::Filter;
use segments::Journal;

/// Lines shown where no number and no instant is given, as by `tail`.
const DEFAULT_LINES: usize = 10;

/// Does `verb` on the journals below `home`.
pub(super) fn run(
    verb: &LogVerb,
    home: &Path,
    files: &dyn Files,
    clock: &dyn Clock,
    output: &mut Output,
) -> Outcome {
    let logs = home.join("logs");
    match verb {
        LogVerb::List => list(&logs, files, output),
        LogVerb::Tail(args) => tail(args, &logs, files, clock, output),
    }
}

fn list(logs: &Path, files: &dyn Files, output: &mut Output) -> Outcome {
    let names = segments::journals(files, logs)?;
    if output.json() {
        output.value(&json!({ "journals": names }))?;
    } else if names.is_empty() {
        output.talk(&format!(
            "there are no journals in `{}` yet",
            logs.display()
        ));
    } else {
        for name in &names {
            output.line(name)?;
        }
        output.next("echopilot log tail NAME -f");
    }
    Ok(DONE)
}

fn tail(
    args: &TailArgs,
    logs: &Path,
    files: &dyn Files,
    clock: &dyn Clock,
    output: &mut Output,
) -> Outcome {
    let since = match &args.since {
        Some(text) => Some(calendar::instant(text, clock.now()).ok_or_else(|| {
            Failure::new(format!(
                "`--since` is `{text}`, which is no span and no instant"
            ))
            .hint("write 90s, 15m, 2h, 7d, or an instant such as 2026-11-21T09:15:00Z")
        })?),
        None => None,
    };
    let name = args.name.strip_suffix(".ndjson").unwrap_or(&args.name);
    let known = segments::journals(files, logs)?;
    if !known.iter().any(|journal| journal == name) {
        let failure = Failure::new(format!(
            "there is no journal `{name}` in `{}`",
            logs.display()
        ));
        return Err(
            match names::nearest(name, known.iter().map(String::as_str)) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None if known.is_empty() => failure.hint("is `--home` the right folder?"),
                None => failure.hint(format!(
                    "there are: {}",
                    known.into_iter().collect::<Vec<_>>().join(", ")
                )),
            },
        );
    }
    let filter = Filter::new(&args.kind, since, None);
    let most = match (args.lines, since) {
        (Some(lines), _) => lines,
        (None, Some(_)) => usize::MAX,
        (None, None) => DEFAULT_LINES,
    };
    let mut journal = Journal::open(files, logs, name)?;
    show(&mut journal, &filter, since, most, output)?;
    if args.follow {
        follow::run(&mut journal, &filter, clock, output)?;
    }
    Ok(DONE)
}

/// The newest `most` lines that pass, oldest first.
fn show(
    journal: &mut Journal<'_>,
    filter: &Filter,
    since: Option<DateTime<Utc>>,
    most: usize,
    output: &mut Output,
) -> Result<(), Failure> {
    if most == usize::MAX {
        let from = since.map_or(Ok(0), |since| journal.first_since(since))?;
        journal.lines_from(from, &mut |line| {
            if filter.passes(line) {
                output.raw(line)
            } else {
                Ok(())
            }
        })?;
        return output.flush();
    }
    // From the newest segment backwards, until there is enough: most tails touch one file.
    let mut parts: Vec<VecDeque<Vec<u8>>> = Vec::new();
    let mut missing = most;
    for segment in journal.newest_first() {
        if missing == 0 && !segment.is_active() {
            break;
        }
        let mut newest = VecDeque::new();
        let mut older = false;
        journal.lines_of(&segment, &mut |line| {
            older |= filter.is_older(line);
            if filter.passes(line) {
                newest.push_back(line.to_vec());
                if newest.len() > missing {
                    newest.pop_front();
                }
            }
            Ok(())
        })?;
        missing -= newest.len();
        parts.push(newest);
        if older {
            break;
        }
    }
    for line in parts.iter().rev().flatten() {
        output.raw(line)?;
    }
    output.flush()
}
