//! Which counters of a scraped page are meant: a name and conditions on labels, written as
//! Prometheus writes a selector, `http_requests_total{code=~"5..",path!="/health"}`.

use std::fmt::{self, Display};

use regex::Regex;

/// Bytes of a selector at most.
const MAX_BYTES: usize = 1024;

/// How a label is compared.
#[derive(Debug, Clone)]
enum Test {
    Is(String),
    IsNot(String),
    Matches(Regex),
    MatchesNot(Regex),
}

/// A selector. A label that a counter does not have is the empty text, as with Prometheus.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: String,
    tests: Vec<(String, Test)>,
}

/// What is wrong with a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatcherFault(String);

impl Display for MatcherFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fault<T>(what: impl Into<String>) -> Result<T, MatcherFault> {
    Err(MatcherFault(what.into()))
}

impl Matcher {
    /// Reads a selector.
    pub fn parse(text: &str) -> Result<Self, MatcherFault> {
        if text.len() > MAX_BYTES {
            return fault(format!("it has {} bytes, at most {MAX_BYTES}", text.len()));
        }
        let (name, rest) = match text.split_once('{') {
            Some((name, rest)) => (name.trim(), Some(rest)),
            None => (text.trim(), None),
        };
        if name.is_empty() || !name.chars().all(is_name) || name.starts_with(is_digit) {
            return fault(format!("`{name}` is no name of a metric"));
        }
        let mut tests = Vec::new();
        if let Some(rest) = rest {
            let Some(mut rest) = rest.trim_end().strip_suffix('}') else {
                return fault("its `{` is never closed");
            };
            rest = rest.trim();
            while !rest.is_empty() {
                let (condition, after) = one(rest)?;
                tests.push(condition);
                rest = match after.trim_start() {
                    "" => "",
                    after => match after.strip_prefix(',') {
                        Some(after) => after.trim_start(),
                        None => return fault("conditions are divided by commas"),
                    },
                };
            }
        }
        Ok(Self {
            name: name.into(),
            tests,
        })
    }

    /// The name of the metric.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a counter with these labels is meant; `label` gives the value of one, empty where
    /// there is none.
    pub fn takes<'l>(&self, label: impl Fn(&str) -> std::borrow::Cow<'l, str>) -> bool {
        self.tests.iter().all(|(name, test)| {
            let value = label(name);
            match test {
                Test::Is(text) => value == text.as_str(),
                Test::IsNot(text) => value != text.as_str(),
                Test::Matches(regex) => regex.is_match(&value),
                Test::MatchesNot(regex) => !regex.is_match(&value),
            }
        })
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// One condition, and what comes after it.
fn one(text: &str) -> Result<((String, Test), &str), MatcherFault> {
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    let (label, rest) = text.split_at(end);
    if label.is_empty() {
        return fault(format!("a name of a label is missing before `{text}`"));
    }
    let rest = rest.trim_start();
    let (operator, rest) = ["=~", "!~", "!=", "="]
        .iter()
        .find_map(|operator| Some((*operator, rest.strip_prefix(operator)?)))
        .map_or_else(
            || fault("after a label stands one of `=`, `!=`, `=~`, `!~`"),
            Ok,
        )?;
    let (value, rest) = quoted(rest.trim_start())?;
    let regex = |value: &str| {
        // As with Prometheus, the whole value must match.
        Regex::new(&format!("^(?s:{value})$"))
            .map_err(|_| MatcherFault(format!("`{value}` is no regular expression")))
    };
    let condition = match operator {
        "=~" => Test::Matches(regex(&value)?),
        "!~" => Test::MatchesNot(regex(&value)?),
        "!=" => Test::IsNot(value),
        _ => Test::Is(value),
    };
    Ok(((label.into(), condition), rest))
}

/// A text in double or single quotes, and what comes after it.
fn quoted(text: &str) -> Result<(String, &str), MatcherFault> {
    let mut chars = text.char_indices();
    let Some((_, quote @ ('"' | '\''))) = chars.next() else {
        return fault("the value of a label stands in quotes");
    };
    let mut value = String::new();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Ok((value, text.get(at + 1..).unwrap_or_default()));
        }
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c)) => value.push(c),
                None => break,
            },
            (c, false) => value.push(c),
        }
    }
    fault("a quote is never closed")
}
