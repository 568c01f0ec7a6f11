//! Enough of Rust's grammar to judge a source: code without comments and texts, functions,
//! constants. Lines keep their numbers.

use std::fs;
use std::path::Path;

use super::tree::repository;

/// One source file.
pub struct Source {
    /// Path from the repository's folder.
    pub name: String,
    /// As written.
    pub text: String,
    /// Comments and the insides of texts blanked out.
    pub code: String,
}

/// A function with a body.
pub struct Function {
    /// Its name.
    pub name: String,
    /// Lines between its braces.
    pub lines: usize,
}

impl Source {
    /// Reads a file of the repository.
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(repository().join(path)).expect("a source");
        let code = blank(&text);
        Self {
            name: path.display().to_string(),
            text,
            code,
        }
    }

    /// All functions that have a body.
    pub fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("fn ") {
            let before = self.code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &self.code[at + 3..];
            let name: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if !name.is_empty()
                && let Some(lines) = body_lines(rest)
            {
                found.push(Function { name, lines });
            }
        }
        found
    }

    /// Numeric constants without a doc comment above them.
    pub fn bare_constants(&self) -> Vec<String> {
        let text: Vec<_> = self.text.lines().collect();
        let mut bare = Vec::new();
        for (index, line) in self.code.lines().enumerate() {
            let Some(name) = numeric_constant(line) else {
                continue;
            };
            let mut above = text[..index].iter().rev().map(|line| line.trim());
            let doc = above
                .find(|line| !line.starts_with("#["))
                .unwrap_or_default();
            if !doc.starts_with("///") {
                bare.push(format!("line {}: `{name}`", index + 1));
            }
        }
        bare
    }
}

/// The name, if `line` defines a constant of a numeric type.
fn numeric_constant(line: &str) -> Option<&str> {
    let line = line.trim();
    let line = line
        .strip_prefix("pub(crate) ")
        .or(line.strip_prefix("pub "))
        .unwrap_or(line);
    let (name, rest) = line.strip_prefix("const ")?.split_once(':')?;
    let kind = rest.split(['=', ';']).next()?.trim();
    let number = [
        "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128",
    ]
    .into_iter()
    .chain([
        "isize",
        "f32",
        "f64",
        "Duration",
        "TimeDelta",
        "NonZeroUsize",
    ])
    .any(|number| kind == number);
    let plain = name
        .chars()
        .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    (number && plain).then_some(name)
}

/// Lines between the braces of the function whose name begins `rest`; `None` without a body.
fn body_lines(rest: &str) -> Option<usize> {
    let mut depth = 0_i32;
    let start = rest.char_indices().find_map(|(at, c)| {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return Some(Some(at)),
            ';' if depth == 0 => return Some(None),
            _ => {}
        }
        None
    })??;
    let mut depth = 0_i32;
    let end = rest[start..].char_indices().find_map(|(at, c)| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })?;
    let body = &rest[start + 1..start + end];
    Some(body.lines().filter(|line| !line.trim().is_empty()).count())
}

/// `text` with comments and the insides of texts and characters replaced by blanks.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let hidden = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_text(&out, rest) {
            length
        } else if c == '"' {
            quoted(rest, '"')
        } else if c == '\'' && is_character(rest) {
            quoted(rest, '\'')
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        let (gone, left) = rest.split_at(hidden);
        out.extend(gone.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = left;
    }
    out
}

/// Length of the raw text that begins here, such as `r#"…"#`.
fn raw_text(before: &str, rest: &str) -> Option<usize> {
    let marks = rest.strip_prefix('r')?;
    let inside_word = before.ends_with(|c: char| c.is_alphanumeric() && c != 'b' || c == '_');
    let hashes = marks.chars().take_while(|c| *c == '#').count();
    if inside_word || !marks[hashes..].starts_with('"') {
        return None;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let open = 1 + hashes + 1;
    rest[open..]
        .find(&close)
        .map(|end| open + end + close.len())
}

/// Length of a text in quotes, escapes heeded.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if !escaped && c == quote {
            return at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    rest.len()
}

/// Whether the `'` that begins `rest` opens a character and not a lifetime.
fn is_character(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => true,
        (Some(_), Some(next)) => next == '\'',
        _ => false,
    }
}

#[test]
fn comments_and_texts_are_blanked() {
    let code = blank("a \"x } y\" 'z' 'life b'}' // c\nr#\"{\"# /* { */ b\"\\\"\" end");
    assert!(!code.contains(['{', '}', '"', 'x', 'z', 'c']), "{code}");
    assert!(
        code.contains("'life") && code.contains("end") && code.contains('\n'),
        "{code}"
    );
}

#[test]
fn a_body_is_counted_between_its_braces() {
    assert_eq!(
        body_lines("f(a: [u8; 3]) -> X where Y: Z {\n one\n\n two { }\n}\n more"),
        Some(2)
    );
    assert_eq!(body_lines("f(a: u8);\n fn g() { }"), None);
}

#[test]
fn constants_of_a_numeric_type_are_seen() {
    assert_eq!(numeric_constant("    pub const A_B: u64 = 3;"), Some("A_B"));
    assert_eq!(numeric_constant("const NAME: &str = \"x\";"), None);
    assert_eq!(numeric_constant("const fn f(x: u64) -> u64 {"), None);
}
