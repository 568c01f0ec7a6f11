//! A recorded series through the detector, to see what it would have said: `anomaly replay`.
//!
//! A row is `time,value` with anything after it, or a value alone. Times are RFC 3339,
//! `2014-02-27 00:05:00` in UTC, or seconds since 1970. Rows without a time count as five minutes
//! apart, so that each sees a fresh model. Reads text only; never touches a live series.

use std::fmt::Write;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use super::logic::{Detector, Limits, Verdict};
use crate::base::time::stamp;

/// Minutes between rows that tell no time: the age at which a model is made again.
const STEP_MINUTES: i64 = 5;

/// A row that is no sample.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: `{found}` is {fault}")]
pub struct BadRow {
    /// Counted from 1.
    pub line: usize,
    /// What stands there.
    pub found: String,
    /// What it is not.
    pub fault: &'static str,
}

/// What the detector said of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// When, if the file tells.
    pub at: Option<DateTime<Utc>>,
    /// The value.
    pub value: f64,
    /// The verdict, once there are samples enough.
    pub verdict: Option<Verdict>,
}

impl Row {
    /// The row as one line of NDJSON.
    pub fn to_line(&self, line: usize) -> String {
        let mut text = format!("{{\"row\":{line}");
        if let Some(at) = self.at {
            push(&mut text, format_args!(",\"ts\":\"{}\"", stamp(at)));
        }
        push(&mut text, format_args!(",\"value\":{}", self.value));
        match self.verdict {
            None => text.push_str(",\"ready\":false}\n"),
            Some(said) => push(
                &mut text,
                format_args!(
                    ",\"ready\":true,\"score\":{},\"z_score\":{},\"anomaly\":{},\"damped\":{}}}\n",
                    said.score, said.z, said.anomaly, said.damped
                ),
            ),
        }
        text
    }
}

/// A text takes whatever is written to it.
fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _never_fails = text.write_fmt(what);
}

/// Runs all rows of `text` through a new detector; `each` gets them with their line numbers.
pub fn replay<E: From<BadRow>>(
    text: &str,
    limits: &Limits,
    mut each: impl FnMut(usize, &Row) -> Result<(), E>,
) -> Result<(), E> {
    let mut detector = Detector::default();
    let mut now = DateTime::UNIX_EPOCH;
    for (index, line) in text.lines().enumerate() {
        let bad = |found: &str, fault| BadRow {
            line: index + 1,
            found: found.chars().take(80).collect(),
            fault,
        };
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let mut cells = line.split([',', ';', '\t']).map(str::trim);
        let (first, second) = (cells.next().unwrap_or_default(), cells.next());
        let shown = second.unwrap_or(first);
        let Ok(value) = shown.parse::<f64>() else {
            if index == 0 {
                continue;
            }
            return Err(bad(shown, "no number").into());
        };
        let at = match second {
            Some(_) => Some(instant(first).ok_or_else(|| bad(first, "no time"))?),
            None => None,
        };
        now = at.unwrap_or(now + TimeDelta::minutes(STEP_MINUTES));
        let verdict = detector
            .train(value, limits, now)
            .map_err(|_| bad(shown, "no number that can be measured"))?;
        each(index + 1, &Row { at, value, verdict })?;
    }
    Ok(())
}

/// A time as series files write it.
pub fn instant(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.with_timezone(&Utc));
    }
    let forms = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
    let written = forms
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    if let Some(at) = written {
        return Some(at.and_utc());
    }
    let seconds: i64 = text.split('.').next()?.parse().ok()?;
    DateTime::from_timestamp(seconds, 0)
}
