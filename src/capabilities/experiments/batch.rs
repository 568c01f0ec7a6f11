//! The batch form of the log call: NDJSON in, one fate per line out.
//!
//! Lines end in `\n` or `\r\n`; the last one need not. Blank lines are passed over and counted for
//! line numbers. `?mode=each` (the default) writes what is good; `?mode=all` writes everything or
//! nothing. `results` has one entry for each line. With `?results=brief` those that were plainly
//! accepted are left out: they stand in the journal as `first_seq`..=`last_seq`, in order.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::errors::lost;
use super::event::push_whole;
use super::query;
use super::record::{Fate, Recorded};
use super::service::Experiments;
use crate::base::digits;
use crate::platform::http::{Answer, HotAnswer, HotCall, HttpError, json};

/// Lines of a batch at most: each may need a line of answer.
const MAX_LINES: usize = 10_000;

/// What was asked for besides the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Options {
    all: bool,
    /// Plainly accepted lines are left out of `results`.
    brief: bool,
}

/// Answers a batch.
pub(super) fn answer(own: &Arc<Experiments>, hot: &HotCall<'_>) -> HotAnswer {
    match try_answer(own, hot) {
        Ok(answer) => answer,
        Err(error) => HotAnswer::Now(Err(error)),
    }
}

fn try_answer(own: &Arc<Experiments>, hot: &HotCall<'_>) -> Result<HotAnswer, HttpError> {
    let options = options(hot.parts.uri.query().unwrap_or_default())?;
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    for (text, number) in hot.body.split(|byte| *byte == b'\n').zip(1_u32..) {
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if !text.iter().all(u8::is_ascii_whitespace) {
            numbers.push(number);
            texts.push(text);
        }
    }
    if texts.len() > MAX_LINES {
        let detail = format!(
            "the batch has {} lines, at most {MAX_LINES} are taken",
            texts.len()
        );
        let error = HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_lines", detail);
        return Err(error.hint("send several batches"));
    }
    let seen = own.live.get();
    let mut recorded = own.record(&seen.rules, hot.call.now, options.all, texts.into_iter());
    let rejected = recorded
        .fates
        .iter()
        .filter(|fate| matches!(fate, Fate::Refused(_)))
        .count();
    if rejected > 0 && (options.all || rejected == recorded.fates.len()) {
        return Err(all_refused(&recorded, &numbers, rejected));
    }
    Ok(HotAnswer::Later(Box::pin(async move {
        let first = recorded.settled().await.map_err(HttpError::from)?.first;
        Ok(report(&recorded, &numbers, first, rejected, options))
    })))
}

fn options(text: &str) -> Result<Options, HttpError> {
    let [mode, results] = query::parse(text, ["mode", "results"])?;
    let choose = |name: &str, found: Option<&str>, [usual, other]: [&str; 2]| match found {
        None => Ok(false),
        Some(word) if word == usual => Ok(false),
        Some(word) if word == other => Ok(true),
        Some(_) => {
            let detail = format!("the query parameter `{name}` must be `{usual}` or `{other}`");
            Err(HttpError::bad_request("bad_parameter", detail).hint("leave it out for the first"))
        }
    };
    Ok(Options {
        all: choose("mode", mode.as_deref(), ["each", "all"])?,
        brief: choose("results", results.as_deref(), ["full", "brief"])?,
    })
}

/// A line's refusal, as the same members that a single call's error has.
fn refused(line: u32, error: &HttpError) -> Value {
    let mut members = error.more.clone();
    members.insert("line".to_owned(), json!(line));
    members.insert("ok".to_owned(), json!(false));
    members.insert("error".to_owned(), json!(error.code));
    members.insert("status".to_owned(), json!(error.status.as_u16()));
    members.insert("detail".to_owned(), json!(error.detail));
    Value::Object(members)
}

fn all_refused(recorded: &Recorded, numbers: &[u32], rejected: usize) -> HttpError {
    let results: Vec<Value> = recorded
        .fates
        .iter()
        .zip(numbers)
        .filter_map(|(fate, line)| match fate {
            Fate::Refused(refusal) => Some(refused(*line, &refusal.clone().into())),
            Fate::Written(_) | Fate::Repeated(_) => None,
        })
        .collect();
    let count = recorded.fates.len();
    let detail = format!("{rejected} of {count} lines are refused, nothing was written");
    HttpError::bad_request("batch_refused", detail)
        .hint("mend the lines in `results`; `?mode=each` writes the good ones of a mixed batch")
        .with("rejected", rejected)
        .with("results", results)
}

/// Adds a line that is on record, by hand: there may be thousands of them.
fn settled(results: &mut Vec<u8>, line: u32, seq: u64, duplicate: bool) {
    comma(results);
    results.extend_from_slice(b"{\"line\":");
    digits::push(results, u64::from(line));
    results.extend_from_slice(b",\"ok\":true,\"seq\":");
    digits::push(results, seq);
    if duplicate {
        results.extend_from_slice(b",\"duplicate\":true");
    }
    results.push(b'}');
}

fn push_refused(results: &mut Vec<u8>, line: u32, error: &HttpError) {
    comma(results);
    results.extend_from_slice(&serde_json::to_vec(&refused(line, error)).unwrap_or_default());
}

fn comma(results: &mut Vec<u8>) {
    if !results.is_empty() {
        results.push(b',');
    }
}

/// The answer once the lines are on record.
fn report(
    recorded: &Recorded,
    numbers: &[u32],
    first: u64,
    rejected: usize,
    options: Options,
) -> Answer {
    let accepted = u64::from(recorded.written());
    let mut results = Vec::with_capacity(recorded.fates.len() * 32);
    let mut duplicates = 0;
    let mut lost_lines = 0;
    for (fate, line) in recorded.fates.iter().zip(numbers) {
        match fate {
            Fate::Written(_) if options.brief => {}
            Fate::Written(place) => settled(&mut results, *line, first + u64::from(*place), false),
            Fate::Repeated(id) => {
                if let Some(seq) = recorded.line_of(*id) {
                    duplicates += 1;
                    settled(&mut results, *line, seq, true);
                } else {
                    lost_lines += 1;
                    push_refused(&mut results, *line, &lost());
                }
            }
            Fate::Refused(refusal) => {
                push_refused(&mut results, *line, &refusal.clone().into());
            }
        }
    }
    let mut out = Vec::with_capacity(160 + results.len());
    let rejected = u64::try_from(rejected).unwrap_or(u64::MAX) + lost_lines;
    out.extend_from_slice(b"{\"ok\":true");
    let mut member = |name: &str, value: u64| {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        push_whole(&mut out, i64::try_from(value).unwrap_or(i64::MAX));
    };
    member("accepted", accepted);
    member("duplicates", duplicates);
    member("rejected", rejected);
    if accepted > 0 {
        member("first_seq", first);
        member("last_seq", first + accepted - 1);
    }
    out.extend_from_slice(b",\"results\":[");
    out.extend_from_slice(&results);
    out.push(b']');
    out.push(b'}');
    json(out)
}
