//! What the program says: data on standard output, talk on standard error, colour only for people.
//!
//! All writing goes through [`Output`], which gives errors back instead of panicking: the reader of
//! a pipe may leave at any time.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use serde_json::Value;

use super::failure::Failure;

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How a piece of text is set off from the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Not at all.
    Plain,
    /// A heading or the most important word.
    Bold,
    /// Less important.
    Dim,
    /// Good.
    Green,
    /// Deserves a look.
    Yellow,
    /// Bad.
    Red,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Green => "\x1b[32m",
            Self::Yellow => "\x1b[33m",
            Self::Red => "\x1b[31m",
        }
    }
}

/// How the caller wants to be spoken to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manners {
    /// Machine-readable data.
    pub(super) json: bool,
    /// No talk beyond data and errors.
    pub(super) quiet: bool,
    /// Colours.
    pub(super) color: ColorChoice,
    /// `NO_COLOR` is set.
    pub(super) no_color: bool,
}

/// The two channels of the program.
#[derive(Debug)]
pub(super) struct Output {
    out: BufWriter<Stdout>,
    manners: Manners,
    home: String,
    color_out: bool,
    color_err: bool,
}

impl Output {
    /// The process's own channels. `home` is the option that commands to paste need here, or empty.
    pub(super) fn new(manners: Manners, home: String) -> Self {
        let colored = |terminal: bool| match manners.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && !manners.no_color,
        };
        Self {
            out: BufWriter::new(io::stdout()),
            manners,
            home,
            color_out: colored(io::stdout().is_terminal()),
            color_err: colored(io::stderr().is_terminal()),
        }
    }

    /// Whether data goes out as JSON.
    pub(super) const fn json(&self) -> bool {
        self.manners.json
    }

    /// `text` in `style`, where standard output shows colours.
    pub(super) fn paint(&self, style: Style, text: &str) -> String {
        painted(self.color_out, style, text)
    }

    /// One line of data.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes())?;
        self.out.write_all(b"\n")?;
        Ok(())
    }

    /// Data as it is.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.out.write_all(bytes)?)
    }

    /// A JSON document on one line.
    pub(super) fn value(&mut self, value: &Value) -> Result<(), Failure> {
        self.line(&value.to_string())
    }

    /// Rows in aligned columns, the first one a heading.
    pub(super) fn table(&mut self, heading: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        let mut widths: Vec<usize> = heading.iter().map(|cell| width(cell)).collect();
        for row in rows {
            for (most, cell) in widths.iter_mut().zip(row) {
                *most = (*most).max(width(cell));
            }
        }
        let head = aligned(heading.iter().copied(), &widths);
        let head = self.paint(Style::Bold, &head);
        self.line(&head)?;
        for row in rows {
            self.line(&aligned(row.iter().map(String::as_str), &widths))?;
        }
        Ok(())
    }

    /// Hands everything on to the reader.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }

    /// One line of talk, which nobody parses. Lost talk is no failure.
    pub(super) fn talk(&mut self, text: &str) {
        if !self.manners.quiet {
            self.say(text);
        }
    }

    /// What to do next on this home: the command, after a success. Not for machines.
    pub(super) fn next(&mut self, command: &str) {
        let home = self.home.clone();
        self.next_elsewhere(&format!("{command}{home}"));
    }

    /// As [`Output::next`], for a command that names its home itself.
    pub(super) fn next_elsewhere(&mut self, command: &str) {
        if !self.manners.json {
            let line = painted(self.color_err, Style::Dim, &format!("next: {command}"));
            self.talk(&line);
        }
    }

    /// What went wrong, and its cure.
    pub(super) fn failure(&mut self, failure: &Failure) {
        let error = painted(self.color_err, Style::Red, "error:");
        self.say(&format!("{error} {}", failure.message));
        if let Some(hint) = &failure.hint {
            let label = painted(self.color_err, Style::Bold, "hint:");
            self.say(&format!("{label} {hint}"));
        }
    }

    fn say(&mut self, text: &str) {
        // What was said on one channel comes before what is said on the other. A closed channel
        // leaves nobody to tell about it.
        let _closed = self.out.flush();
        let _closed = writeln!(io::stderr().lock(), "{text}");
    }
}

/// `text` as one word of a shell.
pub(super) fn word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", safe(text).replace('\'', "'\\''"))
}

fn painted(color: bool, style: Style, text: &str) -> String {
    if color && style != Style::Plain {
        format!("{}{text}\x1b[0m", style.code())
    } else {
        text.to_owned()
    }
}

/// Columns that `text` takes on a terminal, near enough for names and numbers: colours take none.
fn width(text: &str) -> usize {
    let mut columns = 0;
    let mut escape = false;
    for c in text.chars() {
        match c {
            '\x1b' => escape = true,
            'm' if escape => escape = false,
            _ if escape => {}
            _ => columns += 1,
        }
    }
    columns
}

fn aligned<'a>(cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, most) in cells.zip(widths) {
        line.push_str(cell);
        for _ in width(cell)..most + 2 {
            line.push(' ');
        }
    }
    line.trim_end().to_owned()
}

/// `text` safe to show on a terminal: control characters, which could move the cursor or fake
/// other output, are written as escapes.
pub(super) fn safe(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Bytes for people.
pub(super) fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fitting = units.into_iter().find(|(unit, _)| bytes >= *unit);
    match fitting {
        Some((unit, name)) => {
            let tenths = bytes / (unit / 10);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} bytes"),
    }
}

/// What stands at `pointer`, such as `/last/outcome`, for people; `-` where there is nothing.
pub(super) fn of(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(found) => plain(found),
    }
}

/// The elements of the list `name`; none where there is no list.
pub(super) fn elements<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    let list = value.get(name).and_then(Value::as_array);
    list.into_iter().flatten()
}

/// A JSON value for people: texts without quotes, the rest as JSON.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => safe(text),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_blanks() {
        let widths = [5, 3];
        assert_eq!(aligned(["a", "b"].into_iter(), &widths), "a      b");
        assert_eq!(
            aligned(["\x1b[1ma\x1b[0m", "b"].into_iter(), &widths),
            "\x1b[1ma\x1b[0m      b"
        );
    }

    #[test]
    fn a_word_is_one_word_to_a_shell() {
        assert_eq!(word("/srv/echo-1"), "/srv/echo-1");
        assert_eq!(word("my home"), "'my home'");
        assert_eq!(word("it's"), "'it'\\''s'");
        assert_eq!(word(""), "''");
    }

    #[test]
    fn a_value_cannot_move_the_cursor() {
        assert_eq!(safe("a\x1b[2Jb\u{85}"), "a\\u{1b}[2Jb\\u{85}");
    }
}
