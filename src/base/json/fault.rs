//! Why a text is not JSON: where, what stands there, what could stand there, how to mend it.

use super::tree::Place;

/// The first place where a text stops being JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Byte offset in the text without its BOM.
    pub offset: usize,
    /// What stands there.
    pub found: String,
    /// What could stand there.
    pub expected: String,
    /// The cure.
    pub hint: String,
}

impl Fault {
    pub(super) fn new(
        offset: usize,
        found: impl Into<String>,
        expected: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            offset,
            found: found.into(),
            expected: expected.into(),
            hint: hint.into(),
        }
    }
}

/// What was to come, where [`unexpected`] is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A value, wherever one is needed.
    Value,
    /// The value after the comma that stands at this offset, in an array.
    Element(usize),
    /// A key, or the end of an object that has none yet.
    FirstKey,
    /// The key after the comma that stands at this offset.
    Key(usize),
    /// The colon after a key.
    Colon,
    /// `,` or the closing bracket; the value before ends at this offset.
    Comma(char, usize),
    /// Nothing more.
    End,
}

impl Wanted {
    fn text(self) -> String {
        match self {
            Self::Value | Self::Element(_) => "a value".into(),
            Self::FirstKey => "a key in double quotes, or `}`".into(),
            Self::Key(_) => "a key in double quotes".into(),
            Self::Colon => "`:`".into(),
            Self::Comma(close, _) => format!("`,` or `{close}`"),
            Self::End => "the end of the file".into(),
        }
    }
}

/// The fault at `offset`, where `wanted` should be. `opened` is where the innermost open object or
/// array begins.
pub(super) fn unexpected(
    source: &str,
    offset: usize,
    wanted: Wanted,
    opened: Option<usize>,
) -> Fault {
    let rest = source.get(offset..).unwrap_or_default();
    let Some(next) = rest.chars().next() else {
        return ended(source, wanted, opened);
    };
    if let (Wanted::Key(comma), '}') | (Wanted::Element(comma), ']') = (wanted, next) {
        return Fault::new(
            comma,
            format!("a comma before `{next}`"),
            format!("no comma after the last {}", last_thing(wanted)),
            "remove this comma",
        );
    }
    let hint = hint_for(source, rest, next, wanted);
    Fault::new(offset, found(rest, next), wanted.text(), hint)
}

fn last_thing(wanted: Wanted) -> &'static str {
    match wanted {
        Wanted::Key(_) => "member",
        _ => "element",
    }
}

fn ended(source: &str, wanted: Wanted, opened: Option<usize>) -> Fault {
    let hint = match opened {
        None => "an empty document is never taken for \"no settings\"; write `{}` for that".into(),
        Some(at) => {
            let Place { line, column } = Place::of(source, at);
            let what = if source.get(at..).is_some_and(|rest| rest.starts_with('{')) {
                "object"
            } else {
                "array"
            };
            format!(
                "the {what} that begins at line {line}, column {column} is never closed; \
                 was the file cut off?"
            )
        }
    };
    Fault::new(source.len(), "the end of the file", wanted.text(), hint)
}

fn hint_for(source: &str, rest: &str, next: char, wanted: Wanted) -> String {
    if rest.starts_with("//") || rest.starts_with("/*") || next == '#' {
        return "JSON has no comments; put the text under a key such as \"$comment\"".into();
    }
    match next {
        '\'' => return "use double quotes, \"…\", not single ones".into(),
        '“' | '”' | '„' | '‘' | '’' => {
            return "these are typographic quotes; use plain double quotes, \"…\"".into();
        }
        '\u{A0}' | '\u{200B}' | '\u{FEFF}' => {
            return "this character is invisible but is no space; delete it".into();
        }
        '\0' => return "zero bytes: the file was damaged, or is not UTF-8".into(),
        _ => {}
    }
    match wanted {
        Wanted::Value | Wanted::Element(_) => value_hint(rest, next),
        Wanted::FirstKey | Wanted::Key(_) => match next {
            ',' => "remove the extra comma".into(),
            ']' => "close the object with `}`".into(),
            _ => format!("keys stand in double quotes: \"{}\"", bare(rest)),
        },
        Wanted::Colon => "write `:` between a key and its value".into(),
        Wanted::Comma(close, end) => match next {
            '}' | ']' => format!("close with `{close}`, or remove this `{next}`"),
            ':' if close == ']' => "an array has no keys; use `{` and `}`".into(),
            _ => {
                let Place { line, column } = Place::of(source, end);
                format!("put a comma after the value that ends at line {line}, column {column}")
            }
        },
        Wanted::End => match next {
            '}' | ']' | ',' => format!("remove this `{next}`"),
            _ => "a document is one value; remove what follows it".into(),
        },
    }
}

fn value_hint(rest: &str, next: char) -> String {
    let word = bare(rest);
    match word {
        "True" | "TRUE" | "yes" | "on" => return "write `true`".into(),
        "False" | "FALSE" | "no" | "off" => return "write `false`".into(),
        "None" | "nil" | "NULL" | "Null" | "undefined" => return "write `null`".into(),
        "NaN" | "Infinity" | "inf" | "nan" => {
            return "JSON has no such number; write a finite one, or `null`".into();
        }
        _ => {}
    }
    match next {
        '-' => "JSON has no such number; write a finite one, or `null`".into(),
        '+' => "write the number without `+`".into(),
        '.' => "write `0` before the point".into(),
        ',' => "a value is missing before this comma, or the comma is one too many".into(),
        '}' | ']' => format!("a value is missing before `{next}`"),
        ':' => "remove the extra colon".into(),
        _ if !word.is_empty() => format!("text stands in double quotes: \"{word}\""),
        _ => "a value is a string, a number, true, false, null, `{…}` or `[…]`".into(),
    }
}

/// What stands at the start of `rest`, short and in backticks.
fn found(rest: &str, next: char) -> String {
    if next.is_control() {
        return format!("the control character U+{:04X}", u32::from(next));
    }
    let word = bare(rest);
    if !word.is_empty() {
        return format!("`{word}`");
    }
    match next {
        '\u{A0}' | '\u{200B}' | '\u{FEFF}' => format!("U+{:04X}", u32::from(next)),
        _ if rest.starts_with("//") || rest.starts_with("/*") => "a comment".into(),
        _ => format!("`{next}`"),
    }
}

/// The word at the start of `rest`, at most 40 characters of it.
fn bare(rest: &str) -> &str {
    /// Characters: a longer word would hide the rest of the message.
    const LONGEST: usize = 40;
    let end = rest
        .char_indices()
        .take(LONGEST)
        .find(|(_, c)| !(c.is_alphanumeric() || matches!(c, '_' | '$' | '.')))
        .map_or_else(
            || {
                rest.char_indices()
                    .nth(LONGEST)
                    .map_or(rest.len(), |(at, _)| at)
            },
            |(at, _)| at,
        );
    rest.get(..end).unwrap_or_default()
}
