//! How one event of the process log is written: always one line, whatever is in it. A terminal gets
//! text with colours, the system's journal text with its priority, everything else JSON.
//!
//! Control characters, line separators and terminal escapes in texts and values are written as
//! escapes (rule H15 of the reliability notes): what a client sent cannot draw on a screen or forge
//! a line.

use std::fmt::{self, Debug, Write as _};
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::base::time;
use crate::seams::clock::Clock;

/// The forms of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStyle {
    /// For eyes: time, level, text, then the fields.
    Text {
        /// Whether the level has a colour.
        colored: bool,
    },
    /// For systemd's journal, which stamps lines itself: `<4>text field=value`.
    Journal,
    /// For machines: one object a line.
    Json,
}

/// Writes events as lines.
#[derive(Debug)]
pub struct LogLines {
    style: LogStyle,
    clock: Arc<dyn Clock>,
}

impl LogLines {
    /// Lines in `style`, stamped by `clock`.
    pub fn new(style: LogStyle, clock: Arc<dyn Clock>) -> Self {
        Self { style, clock }
    }

    fn line(&self, level: Level, target: &str, fields: &Fields) -> String {
        let mut line = String::with_capacity(128);
        match self.style {
            LogStyle::Journal => {
                // Writing to a string cannot fail.
                let _infallible = write!(line, "<{}>", priority(level));
                push_text(&mut line, fields);
            }
            LogStyle::Text { colored } => {
                let stamp = time::stamp(self.clock.now());
                let (on, off) = if colored { color(level) } else { ("", "") };
                let _infallible = write!(line, "{stamp} {on}{level:>5}{off} ");
                push_text(&mut line, fields);
            }
            LogStyle::Json => {
                let stamp = time::stamp(self.clock.now());
                let name = level.as_str().to_ascii_lowercase();
                let _infallible = write!(line, r#"{{"ts":"{stamp}","level":"{name}","text":"#);
                push_quoted(&mut line, &fields.message);
                line.push_str(",\"target\":");
                push_quoted(&mut line, target);
                for (name, value) in &fields.others {
                    line.push(',');
                    push_quoted(&mut line, name);
                    line.push(':');
                    value.push_json(&mut line);
                }
                line.push('}');
            }
        }
        line
    }
}

impl<S, N> FormatEvent<S, N> for LogLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _spans: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let meta = event.metadata();
        writeln!(
            writer,
            "{}",
            self.line(*meta.level(), meta.target(), &fields)
        )
    }
}

/// Priorities of syslog (RFC 5424, section 6.2.1), as the journal reads them before a line.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

fn color(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::ERROR => ("\x1b[31m", "\x1b[0m"),
        Level::WARN => ("\x1b[33m", "\x1b[0m"),
        Level::INFO => ("\x1b[32m", "\x1b[0m"),
        _ => ("\x1b[2m", "\x1b[0m"),
    }
}

/// A field's value.
#[derive(Debug)]
enum Value {
    Text(String),
    /// A number or a truth: the same in JSON and in text.
    Plain(String),
}

impl Value {
    fn push_json(&self, line: &mut String) {
        match self {
            Self::Text(text) => push_quoted(line, text),
            Self::Plain(text) => line.push_str(text),
        }
    }
}

/// What an event carries.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn take(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Text(text) | Value::Plain(text)) => self.message = text,
            (name, value) => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.take(field, Value::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, Value::Text(value.to_owned()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, Value::Plain(value.to_string()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, Value::Plain(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, Value::Plain(value.to_string()));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        // The whole chain: each error tells its own level only.
        let mut text = value.to_string();
        let mut next = value.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        self.take(field, Value::Text(text));
    }
}

fn push_text(line: &mut String, fields: &Fields) {
    push_escaped(line, &fields.message, "");
    for (name, value) in &fields.others {
        line.push(' ');
        line.push_str(name);
        line.push('=');
        match value {
            Value::Text(text) if !is_word(text) => push_quoted(line, text),
            Value::Text(text) | Value::Plain(text) => line.push_str(text),
        }
    }
}

/// Whether `text` can stand as a value without quotes.
fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '=');
    !text.is_empty() && text.chars().all(plain)
}

fn push_quoted(line: &mut String, text: &str) {
    line.push('"');
    push_escaped(line, text, "\"\\");
    line.push('"');
}

/// `text` with what could leave its line or steer a terminal as escapes that JSON knows.
fn push_escaped(line: &mut String, text: &str, also: &str) {
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\t' => line.push_str("\\t"),
            c if also.contains(c) => {
                line.push('\\');
                line.push(c);
            }
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let _infallible = write!(line, "\\u{:04x}", u32::from(c));
            }
            c => line.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::seams::clock::ManualClock;

    const NASTY: &str = "a\n\u{1b}[31mred\u{7f}\u{9b}\u{2028}\"b\"\\";

    fn line(style: LogStyle) -> String {
        let clock = Arc::new(ManualClock::at(DateTime::UNIX_EPOCH));
        let fields = Fields {
            message: NASTY.to_owned(),
            others: vec![
                ("count", Value::Plain("7".to_owned())),
                ("user", Value::Text(NASTY.to_owned())),
                ("file", Value::Text("flags.json".to_owned())),
            ],
        };
        LogLines::new(style, clock).line(Level::WARN, "it", &fields)
    }

    #[test]
    fn h15_every_style_is_one_line_without_control_characters() {
        for style in [
            LogStyle::Text { colored: false },
            LogStyle::Journal,
            LogStyle::Json,
        ] {
            let line = line(style);
            let bad = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            assert!(!line.contains(bad), "{line:?}");
        }
    }

    #[test]
    fn h15_json_gives_back_what_was_said() {
        let read: serde_json::Value = serde_json::from_str(&line(LogStyle::Json)).unwrap();
        assert_eq!(read["text"], NASTY);
        assert_eq!(read["user"], NASTY);
        assert_eq!(read["count"], 7);
        assert_eq!(read["level"], "warn");
        assert_eq!(read["ts"], "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn text_is_read_with_ease() {
        let journal = line(LogStyle::Journal);
        assert!(journal.starts_with("<4>a\\n"), "{journal}");
        assert!(journal.ends_with(" file=flags.json"), "{journal}");
        let text = line(LogStyle::Text { colored: true });
        let start = "1970-01-01T00:00:00.000Z \u{1b}[33m WARN\u{1b}[0m a\\n\\u001b[31mred";
        assert!(text.starts_with(start), "{text}");
    }
}
