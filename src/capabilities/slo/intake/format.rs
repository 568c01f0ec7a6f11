//! The log format of nginx, compiled once from the text that stands in nginx's own configuration
//! into a list of cuts. A line is then read from left to right, one search for a delimiter per
//! variable.
//!
//! Values in quotes may hold escaped quotes (`\"`; nginx itself writes `\x22`). A variable of an
//! upstream may hold blanks of its own (`0.001, 0.002 : 0.003`, one part for each server asked);
//! its parts are added up.

use std::fmt::{self, Display};

use super::decimal::{Unit, scaled};
use super::instant::{Form, Instants};
use super::line::{Line, origin_form, request};

/// The format nginx calls `combined`; it tells no duration.
pub const COMBINED: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status \
                            $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";

/// What a variable is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    Nothing,
    At(Form),
    Method,
    Path,
    Request,
    Status,
    Agent,
    Took,
    Upstream,
}

impl Want {
    fn of(name: &str) -> Self {
        match name {
            "time_local" => Self::At(Form::Local),
            "time_iso8601" => Self::At(Form::Rfc3339),
            "msec" => Self::At(Form::UnixSecs),
            "request" => Self::Request,
            "request_method" => Self::Method,
            "request_uri" | "uri" => Self::Path,
            "status" => Self::Status,
            "http_user_agent" => Self::Agent,
            "request_time" => Self::Took,
            "upstream_response_time" => Self::Upstream,
            _ => Self::Nothing,
        }
    }
}

/// One variable and the text after it.
#[derive(Debug, Clone)]
struct Cut {
    want: Want,
    /// Whether quotes stand around it.
    quoted: bool,
    /// Whether it may hold `, ` and ` : `.
    listed: bool,
    /// The text up to the next variable; empty = the value goes to the end of the line.
    until: Box<[u8]>,
}

/// Why a format cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormatFault {
    /// Nothing stands between two variables.
    Touching(String, String),
    /// A `$` without a name.
    Nameless,
    /// None of these variables is there.
    Missing(&'static str),
}

impl Display for FormatFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Touching(one, other) => {
                write!(f, "nothing stands between `${one}` and `${other}`")
            }
            Self::Nameless => f.write_str("a `$` has no name after it"),
            Self::Missing(what) => write!(f, "it has no {what}"),
        }
    }
}

/// A format, ready to read lines.
#[derive(Debug, Clone)]
pub struct Format {
    lead: Box<[u8]>,
    cuts: Vec<Cut>,
    form: Form,
    timed: bool,
}

impl Format {
    /// Compiles the text of a `log_format`.
    pub fn compile(text: &str) -> Result<Self, FormatFault> {
        let mut pieces = text.split('$');
        let lead = pieces.next().unwrap_or_default();
        let mut named: Vec<(&str, &str)> = Vec::new();
        for piece in pieces {
            let (name, after) = variable(piece)?;
            if let Some((before, "")) = named.last() {
                return Err(FormatFault::Touching((*before).into(), name.into()));
            }
            named.push((name, after));
        }
        let mut before = lead;
        let mut cuts = Vec::with_capacity(named.len());
        for (name, after) in &named {
            cuts.push(Cut {
                want: Want::of(name),
                quoted: before.ends_with('"') && after.starts_with('"'),
                listed: name.starts_with("upstream_"),
                until: after.as_bytes().into(),
            });
            before = after;
        }
        let has = |want: &[Want]| cuts.iter().any(|cut| want.contains(&cut.want));
        if !has(&[Want::Status]) {
            return Err(FormatFault::Missing("`$status`"));
        }
        let form = cuts.iter().find_map(|cut| match cut.want {
            Want::At(form) => Some(form),
            _ => None,
        });
        let times = FormatFault::Missing("`$time_local`, `$time_iso8601` or `$msec`");
        Ok(Self {
            timed: has(&[Want::Took, Want::Upstream]),
            lead: lead.as_bytes().into(),
            form: form.ok_or(times)?,
            cuts,
        })
    }

    /// Whether lines tell how long requests took.
    pub fn timed(&self) -> bool {
        self.timed
    }

    /// How its instants are written.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Reads a line without its end; `None` where it is not of this format.
    pub fn read<'a>(&self, line: &'a [u8], instants: &mut Instants) -> Option<Line<'a>> {
        let mut found = Line::default();
        let mut status = None;
        let mut upstream = None;
        let mut rest = line.strip_prefix(&*self.lead)?;
        for cut in &self.cuts {
            let (value, after) = cut.apply(rest)?;
            rest = after;
            match cut.want {
                Want::At(form) if form == self.form => found.at = Some(instants.read(value)?),
                Want::Nothing | Want::At(_) => {}
                Want::Method => found.method = value,
                Want::Path => found.path = origin_form(value),
                Want::Request => (found.method, found.path) = request(value),
                Want::Status => status = Some(status_of(value)?),
                Want::Agent => found.agent = value,
                Want::Took => found.took_ns = told(value, |text| scaled(text, SECS))?,
                Want::Upstream => upstream = told(value, sum)?,
            }
        }
        found.status = status?;
        found.took_ns = found.took_ns.or(upstream);
        rest.is_empty().then_some(found)
    }
}

/// Decimal places from seconds to nanoseconds.
const SECS: u32 = 9;

/// `Some(None)` for `-`, which is how nginx writes that there is no value.
#[expect(
    clippy::option_option,
    reason = "no value and a broken one are not the same"
)]
fn told(value: &[u8], read: impl FnOnce(&[u8]) -> Option<u64>) -> Option<Option<u64>> {
    if value == b"-" {
        return Some(None);
    }
    read(value).map(Some)
}

/// All times of a request that was handed from server to server, in nanoseconds.
fn sum(value: &[u8]) -> Option<u64> {
    let parts = value.split(|byte| matches!(byte, b',' | b':'));
    parts.map(<[u8]>::trim_ascii).try_fold(0_u64, |sum, part| {
        let took = if part == b"-" {
            0
        } else {
            scaled(part, Unit::Secs.power())?
        };
        sum.checked_add(took)
    })
}

/// A status of three digits.
fn status_of(value: &[u8]) -> Option<u16> {
    let &[a, b, c] = value else { return None };
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    Some(digit(a)? * 100 + digit(b)? * 10 + digit(c)?)
}

/// Name of the variable that begins `piece`, and the text after it.
fn variable(piece: &str) -> Result<(&str, &str), FormatFault> {
    if let Some(braced) = piece.strip_prefix('{') {
        return braced
            .split_once('}')
            .filter(|(name, _)| !name.is_empty())
            .ok_or(FormatFault::Nameless);
    }
    let end = piece
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(piece.len());
    match piece.split_at(end) {
        ("", _) => Err(FormatFault::Nameless),
        found => Ok(found),
    }
}

impl Cut {
    /// The value that begins `rest`, and what comes after its delimiter.
    fn apply<'a>(&self, rest: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let Some((first, _)) = self.until.split_first() else {
            return Some((rest, b""));
        };
        let mut from = 0;
        loop {
            let at = from + memchr::memchr(*first, rest.get(from..)?)?;
            let (value, after) = rest.split_at(at);
            if let Some(after) = after.strip_prefix(&*self.until)
                && !(self.quoted && escaped(value))
                && !(self.listed && goes_on(value, after))
            {
                return Some((value, after));
            }
            from = at + 1;
        }
    }
}

/// Whether what comes after `value` is escaped by it.
fn escaped(value: &[u8]) -> bool {
    let slashes = value.iter().rev().take_while(|byte| **byte == b'\\');
    slashes.count() % 2 == 1
}

/// Whether a blank between these two belongs to a list and ends nothing.
fn goes_on(value: &[u8], after: &[u8]) -> bool {
    value.ends_with(b",") || value.ends_with(b" :") || after.starts_with(b": ")
}
