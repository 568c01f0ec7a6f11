//! Whether an answer is a good one. Values in, values out: each fault is one sentence that says
//! what was found and what should have been.

use std::time::Duration;

use serde_json::Value;

use super::model::{CertDays, DnsCheck, HttpCheck, JsonRule};
use crate::base::json::Step;
use crate::seams::outbound::{Found, Response};

/// Characters of what was found that are shown.
const MOST_SHOWN: usize = 80;

/// Text from outside, short, on one line.
fn shown(text: &str) -> String {
    let mut shown: String = text.trim().escape_debug().take(MOST_SHOWN).collect();
    if text.chars().count() > MOST_SHOWN {
        shown.push('…');
    }
    shown
}

/// Whether it took too long.
pub(super) fn in_time(took: Duration, most: Option<Duration>) -> Result<(), String> {
    match most {
        Some(most) if took > most => {
            let (took, most) = (took.as_millis(), most.as_millis());
            Err(format!("it took {took} ms, more than {most} ms"))
        }
        _ => Ok(()),
    }
}

/// What is wrong with an HTTP answer.
pub(super) fn http(check: &HttpCheck, answer: &Response) -> Result<(), String> {
    let status = answer.status;
    if !check.status.iter().any(|range| range.contains(&status)) {
        let good: Vec<String> = check
            .status
            .iter()
            .map(|range| match (range.start(), range.end()) {
                (first, last) if first == last => first.to_string(),
                (first, last) => format!("{first}-{last}"),
            })
            .collect();
        return Err(format!("the status is {status}, not {}", good.join(" or ")));
    }
    for (name, pattern) in &check.headers {
        let mut values = answer.headers.get_all(name).iter();
        let found = |value: &http::HeaderValue| {
            let text = String::from_utf8_lossy(value.as_bytes());
            pattern.is_match(&text)
        };
        if !answer.headers.contains_key(name) {
            return Err(format!("the answer has no header `{name}`"));
        }
        if !values.any(found) {
            return Err(format!("the header `{name}` does not match `{pattern}`"));
        }
    }
    body(check, answer)?;
    in_time(answer.contact.timings.total, check.most)
}

fn body(check: &HttpCheck, answer: &Response) -> Result<(), String> {
    if check.contains.is_empty() && check.pattern.is_none() && check.json.is_empty() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&answer.body);
    let of = if answer.is_cut {
        "the beginning of the body"
    } else {
        "the body"
    };
    for part in &check.contains {
        if !text.contains(part.as_str()) {
            let (part, text) = (shown(part), shown(&text));
            return Err(format!(
                "{of} does not contain `{part}`; it begins `{text}`"
            ));
        }
    }
    if let Some(pattern) = &check.pattern
        && !pattern.is_match(&text)
    {
        let text = shown(&text);
        return Err(format!(
            "{of} does not match `{pattern}`; it begins `{text}`"
        ));
    }
    if check.json.is_empty() {
        return Ok(());
    }
    if answer.is_cut {
        let kept = answer.body.len();
        return Err(format!(
            "the body has more than {kept} bytes, too many to be read as JSON"
        ));
    }
    let value: Value = serde_json::from_slice(&answer.body).map_err(|error| {
        format!(
            "the body is not JSON: {error}; it begins `{}`",
            shown(&text)
        )
    })?;
    check.json.iter().try_for_each(|rule| json(rule, &value))
}

fn json(rule: &JsonRule, body: &Value) -> Result<(), String> {
    let path = &rule.path;
    let found = path
        .steps()
        .iter()
        .try_fold(body, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Index(index) => value.get(index),
        });
    let Some(found) = found else {
        return Err(format!("the body has no `{path}`"));
    };
    let told = || shown(&found.to_string());
    if let Some(wanted) = &rule.equals {
        if !same(found, wanted) {
            return Err(format!(
                "`{path}` is {}, not {}",
                told(),
                shown(&wanted.to_string())
            ));
        }
    } else if found.is_null() {
        return Err(format!("`{path}` is null"));
    }
    if let Some(pattern) = &rule.pattern
        && !found.as_str().is_some_and(|text| pattern.is_match(text))
    {
        return Err(format!(
            "`{path}` is {}, which does not match `{pattern}`",
            told()
        ));
    }
    let number = found.as_f64();
    if let Some(least) = rule.at_least
        && number.is_none_or(|number| number < least)
    {
        return Err(format!("`{path}` is {}, not at least {least}", told()));
    }
    if let Some(most) = rule.at_most
        && number.is_none_or(|number| number > most)
    {
        return Err(format!("`{path}` is {}, not at most {most}", told()));
    }
    Ok(())
}

/// Numbers are the same whatever way they are written.
fn same(found: &Value, wanted: &Value) -> bool {
    match (found.as_f64(), wanted.as_f64()) {
        (Some(found), Some(wanted)) => found.to_bits() == wanted.to_bits(),
        _ => found == wanted,
    }
}

/// What is wrong with a name server's answer.
pub(super) fn dns(check: &DnsCheck, found: &Found) -> Result<(), String> {
    if found.rcode != check.rcode {
        return Err(format!(
            "the name server says {}, not {}",
            found.rcode, check.rcode
        ));
    }
    let kind = check.question.kind.to_string();
    let good = check.rcode == crate::seams::outbound::Rcode::NO_ERROR;
    if check.answers.is_empty() && good && !found.records.iter().any(|one| one.kind == kind) {
        return Err(format!("there is no {kind} record"));
    }
    for wanted in &check.answers {
        let here = |one: &str| one.trim_end_matches('.').eq_ignore_ascii_case(wanted);
        if !found.records.iter().any(|record| here(&record.data)) {
            let all: Vec<String> = found.records.iter().map(|one| shown(&one.data)).collect();
            let all = match all.as_slice() {
                [] => "none".to_owned(),
                all => format!("`{}`", all.join("`, `")),
            };
            return Err(format!(
                "`{}` is not among the answers: {all}",
                shown(wanted)
            ));
        }
    }
    in_time(found.elapsed, check.most)
}

/// How near the end of a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CertLevel {
    /// Far enough.
    Fine,
    /// Near.
    Warning,
    /// Very near, or past.
    Critical,
}

impl CertLevel {
    /// One word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// Whether somebody should know.
    pub(super) fn is_near(self) -> bool {
        self != Self::Fine
    }

    /// The level of a word; fine where it is none.
    pub(super) fn read(word: &str) -> Self {
        let levels = [Self::Warning, Self::Critical];
        let known = levels.into_iter().find(|level| level.word() == word);
        known.unwrap_or(Self::Fine)
    }
}

/// How near the end is, with this many whole days left.
pub(super) fn cert(days: CertDays, left: i64) -> CertLevel {
    if left < i64::from(days.critical) {
        CertLevel::Critical
    } else if left < i64::from(days.warn) {
        CertLevel::Warning
    } else {
        CertLevel::Fine
    }
}
