//! Conditions on labels as Alertmanager writes them: `name=value`, `name!=value`, `name=~regex`,
//! `name!~regex`; the value may stand in double quotes. A regular expression matches whole values.
//!
//! They come from people and over HTTP: length and the size of a compiled expression are bounded,
//! and matching takes time linear in the value, as the regex crate promises.

use std::fmt::{self, Display};

use regex::{Regex, RegexBuilder};

use super::labels::Labelled;

/// Bytes of a condition at most.
const MAX_BYTES: usize = 4096;
/// Bytes of a compiled regular expression at most. Our own choice: some hundred alternatives.
const MAX_COMPILED: usize = 256 << 10;

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// Is this value.
    Is,
    /// Is another value.
    IsNot,
    /// Matches this expression.
    Matches,
    /// Does not match it.
    MatchesNot,
}

impl Op {
    const ALL: [Self; 4] = [Self::Matches, Self::MatchesNot, Self::IsNot, Self::Is];

    /// As it is written.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Is => "=",
            Self::IsNot => "!=",
            Self::Matches => "=~",
            Self::MatchesNot => "!~",
        }
    }

    /// That of Alertmanager's API: whether it is an expression, and whether it shall hold.
    pub(super) const fn of(is_regex: bool, is_equal: bool) -> Self {
        match (is_regex, is_equal) {
            (false, true) => Self::Is,
            (false, false) => Self::IsNot,
            (true, true) => Self::Matches,
            (true, false) => Self::MatchesNot,
        }
    }

    /// Whether the value is a regular expression.
    pub(super) const fn is_regex(self) -> bool {
        matches!(self, Self::Matches | Self::MatchesNot)
    }

    /// Whether the value shall be found.
    pub(super) const fn is_equal(self) -> bool {
        matches!(self, Self::Is | Self::Matches)
    }
}

/// A condition on one label.
#[derive(Debug, Clone)]
pub(super) struct Matcher {
    name: String,
    op: Op,
    value: String,
    regex: Option<Regex>,
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

/// What is wrong with a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MatcherFault {
    /// What was found.
    pub(super) found: String,
    /// What is allowed.
    pub(super) allowed: &'static str,
}

impl Display for MatcherFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not allowed, must be {}", self.found, self.allowed)
    }
}

/// What a condition may be.
const ALLOWED: &str = "`name=value`, `name!=value`, `name=~regex` or `name!~regex`";

impl Matcher {
    /// A condition of its parts.
    pub(super) fn new(name: &str, op: Op, value: &str) -> Result<Self, MatcherFault> {
        let fault = |found: String, allowed| Err(MatcherFault { found, allowed });
        if name.is_empty() {
            return fault("a condition without a name".to_owned(), ALLOWED);
        }
        if name.len() + value.len() > MAX_BYTES {
            let found = format!("a condition of {} bytes", name.len() + value.len());
            return fault(found, "at most 4096 bytes");
        }
        let mut regex = None;
        if op.is_regex() {
            // As with Alertmanager, the whole value must match.
            let compiled = RegexBuilder::new(&format!("^(?s:{value})$"))
                .size_limit(MAX_COMPILED)
                .build();
            match compiled {
                Ok(compiled) => regex = Some(compiled),
                Err(regex::Error::CompiledTooBig(_)) => {
                    let found = format!("the expression `{value}`");
                    return fault(found, "one that compiles to at most 256 KiB");
                }
                Err(_) => return fault(format!("`{value}`"), "a regular expression"),
            }
        }
        Ok(Self {
            name: name.to_owned(),
            op,
            value: value.to_owned(),
            regex,
        })
    }

    /// Reads a condition.
    pub(super) fn parse(text: &str) -> Result<Self, MatcherFault> {
        let fault = || MatcherFault {
            found: format!("`{text}`"),
            allowed: ALLOWED,
        };
        let at = text.find(['=', '!']).ok_or_else(fault)?;
        let (name, rest) = text.split_at(at);
        let name = name.trim();
        // Without quotes such a name is rather a slip than a label.
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || "{}\",~".contains(c)) {
            return Err(fault());
        }
        let (op, value) = Op::ALL
            .into_iter()
            .find_map(|op| Some((op, rest.strip_prefix(op.sign())?)))
            .ok_or_else(fault)?;
        let value = value.trim();
        match value.strip_prefix('"') {
            Some(quoted) => Self::new(name, op, &unquoted(quoted).ok_or_else(fault)?),
            None if value.contains('"') => Err(fault()),
            None => Self::new(name, op, value),
        }
    }

    /// Whether it holds for what has these labels.
    pub(super) fn holds(&self, labels: &(impl Labelled + ?Sized)) -> bool {
        self.takes(labels.label(&self.name))
    }

    /// Whether it holds for a label of this value.
    pub(super) fn takes(&self, value: &str) -> bool {
        let found = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => value == self.value,
        };
        found == self.op.is_equal()
    }

    /// The label.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How it is compared.
    pub(super) const fn op(&self) -> Op {
        self.op
    }

    /// With what.
    pub(super) fn value(&self) -> &str {
        &self.value
    }
}

/// Whether all of `matchers` hold for what has these labels.
pub(super) fn all_hold(matchers: &[Matcher], labels: &(impl Labelled + ?Sized)) -> bool {
    matchers.iter().all(|matcher| matcher.holds(labels))
}

/// The text up to the quote that ends it, which must be the last character.
fn unquoted(text: &str) -> Option<String> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(value),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                c @ ('"' | '\\') => value.push(c),
                // What a regular expression means by it is left to it.
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
}

/// `name="value"`, which reads back as itself.
impl Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.name, self.op.sign(), quoted(&self.value))
    }
}

/// `value` in double quotes, which reads back as itself.
pub(super) fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for c in value.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '"' | '\\' => text.extend(['\\', c]),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn a_condition_holds_as_with_alertmanager() {
        let web = labels(&[("job", "web"), ("env", "prod")]);
        let holds = |text: &str| Matcher::parse(text).unwrap().holds(&web);
        for text in [
            "job=web",
            "job=\"web\"",
            "job = web",
            "job!=api",
            "job=~w.b",
            "job=~\"web|api\"",
            "job!~api",
            "team=\"\"",
            "team=",
            "team!=ops",
            "team=~.*",
            "job=~\"w\\w+\"",
        ] {
            assert!(holds(text), "{text}");
        }
        for text in [
            "job=we", "job=~we", "job=~eb", "job!~web", "job!=web", "team=ops", "team=~.+",
        ] {
            assert!(!holds(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in [
            "",
            "job",
            "=web",
            "job~web",
            "job=\"web",
            "job=\"web\"x",
            "job=we\"b",
            "a b=c",
            "{job=web",
            "job=~(",
            "job=~\"a{10000}{10000}\"",
        ] {
            let fault = Matcher::parse(text).expect_err(text);
            assert!(fault.to_string().contains("must be"), "{fault}");
        }
        let long = format!("job={}", "x".repeat(5000));
        assert!(Matcher::parse(&long).is_err());
    }

    #[test]
    fn a_condition_reads_back_as_itself() {
        for text in [
            "job=web",
            "a!~\"x\\\"y\\\\\\nz\"",
            "b=~\"\\d+\"",
            "c!=\"\"",
            "é=ü",
        ] {
            let read = Matcher::parse(text).unwrap();
            let again = Matcher::parse(&read.to_string()).unwrap();
            assert_eq!(read, again, "{text}");
            assert_eq!(read.value(), again.value());
        }
    }
}
