//! What is written to `logs/experiments.ndjson`, member by member, and how it is read back.
//!
//! `exposure.recorded`: `"exp","variant","user","revision"`, once per user and variant.
//! `event.logged`: `"exp","variant","event","user"` and, where given, `"value"` and `"id"`.
//! The order never changes: the members up to the user's text, the *prefix*, name the group a line
//! is counted in, and reading takes them in one piece. Lines with the members in another order are
//! read too, only slower.

use std::borrow::Cow;
use std::io::Write;

use serde::Deserialize;

/// The stream.
pub const STREAM: &str = "experiments";
/// A user was given a variant for the first time.
pub const EXPOSURE: &str = "exposure.recorded";
/// An application told what a user did.
pub const EVENT: &str = "event.logged";

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub struct ExperimentLine<'a> {
    /// The experiment's name.
    pub exp: Cow<'a, str>,
    /// The variant's name.
    pub variant: Cow<'a, str>,
    /// The event's name; `None` for an exposure.
    pub event: Option<Cow<'a, str>>,
    /// The user, as the application calls him.
    pub user: Cow<'a, str>,
    /// A number that belongs to the event.
    pub value: Option<f64>,
    /// The client's idempotency id.
    pub id: Option<Cow<'a, str>>,
}

/// Appends the members up to the opening quote of the user.
pub fn push_prefix(out: &mut Vec<u8>, exp: &str, variant: &str, event: Option<&str>) {
    out.extend_from_slice(b"\"exp\":\"");
    push_text(out, exp);
    out.extend_from_slice(b"\",\"variant\":\"");
    push_text(out, variant);
    if let Some(event) = event {
        out.extend_from_slice(b"\",\"event\":\"");
        push_text(out, event);
    }
    out.extend_from_slice(b"\",\"user\":\"");
}

/// Appends the members of an exposure after its prefix.
pub fn push_exposure(out: &mut Vec<u8>, user: &str, revision: &str) {
    push_text(out, user);
    out.extend_from_slice(b"\",\"revision\":\"");
    push_text(out, revision);
    out.push(b'"');
}

/// Appends the members of an event after its prefix.
pub fn push_event(out: &mut Vec<u8>, user: &str, value: Option<f64>, id: Option<&str>) {
    push_text(out, user);
    out.push(b'"');
    if let Some(value) = value {
        out.extend_from_slice(b",\"value\":");
        push_number(out, value);
    }
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":\"");
        push_text(out, id);
        out.push(b'"');
    }
}

/// Appends `text` as the inside of a JSON string.
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    let plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
    if text.as_bytes().iter().all(plain) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
}

/// Whole numbers up to here are written without a fraction: all of them are exact in a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Appends a finite number so that it reads back the same.
pub fn push_number(out: &mut Vec<u8>, value: f64) {
    let whole = value.fract() == 0.0 && value.abs() <= EXACT;
    // Minus zero would lose its sign as a whole number.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and within the exact range"
    )]
    let written = if whole && (value != 0.0 || value.is_sign_positive()) {
        push_whole(out, value as i64);
        Ok(())
    } else {
        serde_json::to_writer(&mut *out, &value)
    };
    debug_assert!(written.is_ok(), "a vector takes everything");
}

/// Appends a whole number.
pub fn push_whole(out: &mut Vec<u8>, value: i64) {
    let written = write!(out, "{value}");
    debug_assert!(written.is_ok(), "a vector takes everything");
}

/// A line in the order this version writes, with its prefix in one piece; `None` for any other.
pub struct QuickLine<'a> {
    /// The members up to the user's opening quote.
    pub prefix: &'a [u8],
    /// The line.
    pub line: QuickMembers<'a>,
}

/// What follows the prefix, as it stands in the line: nothing in it is escaped.
pub struct QuickMembers<'a> {
    /// The user.
    pub user: &'a [u8],
    /// The number.
    pub value: Option<f64>,
    /// The id.
    pub id: Option<&'a [u8]>,
}

/// Reads members in our own order without unescaping anything; `None` sends the line to
/// [`parse_any`].
pub fn parse_quick(members: &[u8], exposure: bool) -> Option<QuickLine<'_>> {
    let (_, rest) = text(members.strip_prefix(b"\"exp\":\"")?)?;
    let (_, rest) = text(rest.strip_prefix(b",\"variant\":\"")?)?;
    let rest = if exposure {
        rest
    } else {
        text(rest.strip_prefix(b",\"event\":\"")?)?.1
    };
    let rest = rest.strip_prefix(b",\"user\":\"")?;
    let prefix = members.get(..members.len() - rest.len())?;
    let (user, mut rest) = text(rest)?;
    let mut line = QuickMembers {
        user,
        value: None,
        id: None,
    };
    if exposure {
        (_, rest) = text(rest.strip_prefix(b",\"revision\":\"")?)?;
    } else {
        if let Some(more) = rest.strip_prefix(b",\"value\":") {
            let end = memchr::memchr(b',', more).unwrap_or(more.len());
            let (digits, more) = more.split_at_checked(end)?;
            line.value = Some(number(digits)?);
            rest = more;
        }
        if let Some(more) = rest.strip_prefix(b",\"id\":\"") {
            let (id, more) = text(more)?;
            line.id = Some(id);
            rest = more;
        }
    }
    rest.is_empty().then_some(QuickLine { prefix, line })
}

/// The text up to the next quote, and what follows that; `None` when something is escaped.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr2(b'"', b'\\', bytes)?;
    let (text, rest) = bytes.split_at_checked(end)?;
    Some((text, rest.strip_prefix(b"\"")?))
}

/// Digits that always fit a double exactly.
const SHORT_DIGITS: usize = 15;

fn number(text: &[u8]) -> Option<f64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if !digits.first()?.is_ascii_digit() {
        return None;
    }
    if digits.len() <= SHORT_DIGITS && digits.iter().all(u8::is_ascii_digit) {
        let whole = digits
            .iter()
            .fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        let value = whole as f64;
        return Some(if digits.len() < text.len() {
            -value
        } else {
            value
        });
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

#[derive(Deserialize)]
struct AnyLine<'a> {
    kind: &'a str,
    #[serde(borrow)]
    exp: Cow<'a, str>,
    #[serde(borrow)]
    variant: Cow<'a, str>,
    event: Option<String>,
    #[serde(borrow)]
    user: Cow<'a, str>,
    value: Option<f64>,
    id: Option<String>,
}

/// Reads a whole line in any order of members.
pub fn parse_any(line: &[u8]) -> Option<ExperimentLine<'_>> {
    let AnyLine {
        kind,
        exp,
        variant,
        event,
        user,
        value,
        id,
    } = serde_json::from_slice(line).ok()?;
    let event = match (kind, event) {
        (EXPOSURE, _) => None,
        (EVENT, Some(event)) => Some(event.into()),
        _ => return None,
    };
    Some(ExperimentLine {
        exp,
        variant,
        event,
        user,
        value,
        id: id.map(Into::into),
    })
}
