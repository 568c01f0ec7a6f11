//! A page of metrics in the text format 0.0.4 of Prometheus or in `OpenMetrics`, line by line and
//! borrowed from the page. Timestamps and exemplars are passed over; so are lines that cannot be
//! read, and counted.

use std::borrow::Cow;
use std::collections::HashMap;

/// What `# TYPE` says of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Type {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counters by upper bound.
    Histogram,
    /// Anything else, or nothing was said.
    #[default]
    Other,
}

/// One sample.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'p> {
    /// Its whole name, suffixes included.
    pub name: &'p str,
    /// What stands between its braces, after a name in quotes.
    labels: &'p str,
    /// Its value; may be infinite or no number.
    pub value: f64,
    /// Of which type its family is said to be.
    pub kind: Type,
}

impl<'p> Sample<'p> {
    /// The value of a label; empty where there is none.
    pub fn label(&self, name: &str) -> Cow<'p, str> {
        let found = self.labels().find(|(label, _)| *label == name);
        found.map(|(_, value)| value).unwrap_or_default()
    }

    /// Its labels in order.
    pub fn labels(&self) -> Labels<'p> {
        Labels { rest: self.labels }
    }
}

/// Labels of a sample.
#[derive(Debug, Clone)]
pub struct Labels<'p> {
    rest: &'p str,
}

impl<'p> Iterator for Labels<'p> {
    type Item = (&'p str, Cow<'p, str>);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.trim_start_matches([' ', '\t', ',']);
        let (name, rest) = rest.split_once('=')?;
        let (value, rest) = quoted(rest.trim_start())?;
        self.rest = rest;
        let name = name.trim();
        Some((name.trim_matches('"'), unescaped(value)))
    }
}

/// Insides of the text in quotes that begins here, escapes left as they are, and what comes after.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut from = 0;
    loop {
        let at = from + inner.get(from..)?.find(['"', '\\'])?;
        if inner.get(at..)?.starts_with('"') {
            return Some((inner.get(..at)?, inner.get(at + 1..)?));
        }
        let escaped = inner.get(at + 1..)?.chars().next()?;
        from = at + 1 + escaped.len_utf8();
    }
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => out.push('\n'),
                Some(c) => out.push(c),
                None => {}
            },
            (c, false) => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// A page, read from its beginning to its end.
#[derive(Debug)]
pub struct Page<'p> {
    lines: std::str::Lines<'p>,
    types: HashMap<&'p str, Type>,
    /// Lines that could not be read.
    pub broken: u64,
    /// Whether `# EOF` was seen; what comes after it is no part of the page.
    pub ended: bool,
}

impl<'p> Page<'p> {
    /// The page `text`.
    pub fn new(text: &'p str) -> Self {
        Self {
            lines: text.lines(),
            types: HashMap::new(),
            broken: 0,
            ended: false,
        }
    }

    fn comment(&mut self, line: &'p str) {
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("EOF"), None, None) => self.ended = true,
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let kind = match kind {
                    "counter" => Type::Counter,
                    "gauge" => Type::Gauge,
                    "histogram" => Type::Histogram,
                    _ => Type::Other,
                };
                self.types.insert(name.trim_matches('"'), kind);
            }
            _ => {}
        }
    }

    /// The type of the family that a sample of this name belongs to.
    fn kind(&self, name: &str) -> Type {
        let family = |name: &str| self.types.get(name).copied();
        let suffixes = ["_total", "_bucket", "_count", "_sum", "_created"];
        let shorter = || suffixes.iter().find_map(|s| family(name.strip_suffix(s)?));
        family(name).or_else(shorter).unwrap_or_default()
    }

    fn sample(&self, line: &'p str) -> Option<Sample<'p>> {
        let end = line.find(['{', ' ', '\t']).unwrap_or(line.len());
        let (mut name, rest) = line.split_at(end);
        let mut labels = "";
        let rest = match rest.strip_prefix('{') {
            None => rest,
            Some(inner) => {
                let (inside, after) = braced(inner)?;
                labels = inside;
                after
            }
        };
        if name.is_empty() {
            // A name that is no plain word stands in quotes within the braces.
            let (inner, after) = quoted(labels.trim_start())?;
            (name, labels) = (inner, after);
        }
        let value = rest.split_ascii_whitespace().next()?;
        Some(Sample {
            name,
            labels,
            value: number(value)?,
            kind: self.kind(name),
        })
    }
}

impl<'p> Iterator for Page<'p> {
    type Item = Sample<'p>;

    fn next(&mut self) -> Option<Sample<'p>> {
        while !self.ended {
            let line = self.lines.next()?.trim();
            if line.starts_with('#') {
                self.comment(line);
            } else if let Some(sample) = self.sample(line) {
                return Some(sample);
            } else {
                self.broken += u64::from(!line.is_empty());
            }
        }
        None
    }
}

/// Insides of the braces that were just opened, and what comes after them.
fn braced(text: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find(['"', '}'])?;
        let rest = text.get(at..)?;
        if rest.starts_with('}') {
            return Some((text.get(..at)?, text.get(at + 1..)?));
        }
        let (_, after) = quoted(rest)?;
        from = text.len() - after.len();
    }
}

/// A value, with the words that the format has for what is no plain number.
fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        text if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => {
            text.parse().ok()
        }
        _ => None,
    }
}
