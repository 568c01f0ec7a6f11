//! Access logs of one JSON object a line: the few wanted members are found in one pass over the
//! bytes, without a tree and without an allocation.
//!
//! A member is named by the way to it, `request.headers.User-Agent`; a key that has dots in it
//! itself (`http.status`) is found as well. Of a list the first element counts. A value is
//! unescaped only if it has escapes. Of a repeated key the last one counts, as with most readers.
//! The pass checks quotes, brackets and commas; it does not check how literals are spelt where
//! nobody asked for them.

use super::decimal::{Unit, scaled, span};
use super::instant::{Form, Instants};
use super::line::{Line, Parsed, origin_form};

/// How many members are wanted at most: time, method, path, status, duration and agent, in this
/// order wherever they are listed.
const WANTS: usize = 6;

/// Values nested deeper than this make a line broken: no log is that deep, and the pass must end.
const MAX_DEPTH: usize = 64;

/// Where the members of a request stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// When it was logged.
    pub time: String,
    /// How `time` is written.
    pub form: Form,
    /// Status code.
    pub status: String,
    /// Method, if it is told.
    pub method: Option<String>,
    /// Path, if it is told.
    pub path: Option<String>,
    /// Duration, if it is told.
    pub duration: Option<String>,
    /// Unit of `duration`, where the value has none of its own.
    pub unit: Unit,
    /// Agent, if it is told.
    pub agent: Option<String>,
}

impl Fields {
    /// As Caddy writes its access log.
    pub fn caddy() -> Self {
        Self {
            time: "ts".into(),
            form: Form::UnixSecs,
            status: "status".into(),
            method: Some("request.method".into()),
            path: Some("request.uri".into()),
            duration: Some("duration".into()),
            unit: Unit::Secs,
            agent: Some("request.headers.User-Agent".into()),
        }
    }
}

/// A value as it stands in the line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Raw<'a> {
    #[default]
    Absent,
    /// Insides of a text without escapes.
    Plain(&'a [u8]),
    /// Insides of a text with escapes.
    Escaped(&'a [u8]),
    /// A number, or a word such as `null`.
    Bare(&'a [u8]),
}

/// Reads lines of one JSON object.
#[derive(Debug, Clone)]
pub struct Ndjson {
    /// The way to each wanted member; empty = not wanted.
    ways: [Box<[u8]>; WANTS],
    unit: Unit,
    method: Vec<u8>,
    path: Vec<u8>,
    agent: Vec<u8>,
    key: Vec<u8>,
}

/// Wanted members that may lie below the place the pass is at: which, and how much of the way to
/// each is behind us.
#[derive(Debug, Clone, Copy)]
struct Open {
    mask: u8,
    done: [u16; WANTS],
}

impl Ndjson {
    /// A reader of these fields.
    pub fn new(fields: &Fields) -> Self {
        let way = |path: Option<&String>| path.map(|p| p.as_bytes().into()).unwrap_or_default();
        Self {
            ways: [
                way(Some(&fields.time)),
                way(fields.method.as_ref()),
                way(fields.path.as_ref()),
                way(Some(&fields.status)),
                way(fields.duration.as_ref()),
                way(fields.agent.as_ref()),
            ],
            unit: fields.unit,
            method: Vec::new(),
            path: Vec::new(),
            agent: Vec::new(),
            key: Vec::new(),
        }
    }

    /// Reads a line without its end.
    pub fn read<'a>(&'a mut self, line: &'a [u8], instants: &mut Instants) -> Parsed<'a> {
        let mut found = [Raw::Absent; WANTS];
        let mut all = 0;
        for (bit, way) in self.ways.iter().enumerate() {
            all |= u8::from(!way.is_empty()) << bit;
        }
        let mut pass = Pass {
            line,
            at: 0,
            ways: &self.ways,
            key: &mut self.key,
            found: &mut found,
        };
        let open = Open {
            mask: all,
            done: [0; WANTS],
        };
        if pass.whole(open).is_none() {
            return Parsed::Broken;
        }
        let [time, _, _, status, ..] = found;
        if empty(status) || empty(time) {
            return Parsed::Other;
        }
        self.request(found, instants)
            .map_or(Parsed::Broken, Parsed::Request)
    }

    /// Makes a request of what was found.
    fn request<'a>(
        &'a mut self,
        found: [Raw<'a>; WANTS],
        instants: &mut Instants,
    ) -> Option<Line<'a>> {
        let [time, method, path, status, took, agent] = found;
        let status = scaled(number(status), 0)?;
        Some(Line {
            at: Some(instants.read(number(time))?),
            method: text(method, &mut self.method)?,
            path: origin_form(text(path, &mut self.path)?),
            agent: text(agent, &mut self.agent)?,
            status: u16::try_from(status).ok().filter(|code| *code < 1000)?,
            took_ns: if empty(took) {
                None
            } else {
                Some(span(number(took), self.unit)?)
            },
        })
    }
}

/// A number as it is written, in quotes or not.
fn number(raw: Raw<'_>) -> &[u8] {
    match raw {
        Raw::Plain(text) | Raw::Bare(text) => text,
        Raw::Absent | Raw::Escaped(_) => b"",
    }
}

/// Whether nothing is told.
fn empty(raw: Raw<'_>) -> bool {
    matches!(
        raw,
        Raw::Absent | Raw::Bare(b"null") | Raw::Plain(b"" | b"-")
    )
}

/// The insides of a text, unescaped into `scratch` if needed.
fn text<'a>(raw: Raw<'a>, scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    match raw {
        Raw::Absent | Raw::Bare(b"null") => Some(b""),
        Raw::Plain(text) | Raw::Bare(text) => Some(text),
        Raw::Escaped(text) => {
            unescape(text, scratch)?;
            Some(scratch)
        }
    }
}

/// One pass over a line.
struct Pass<'p, 'a> {
    line: &'a [u8],
    at: usize,
    ways: &'p [Box<[u8]>; WANTS],
    key: &'p mut Vec<u8>,
    found: &'p mut [Raw<'a>; WANTS],
}

impl<'a> Pass<'_, 'a> {
    /// The line is one object and nothing else.
    fn whole(&mut self, open: Open) -> Option<()> {
        self.blank();
        self.expect(b'{')?;
        self.members(open, 1)?;
        self.blank();
        (self.at == self.line.len()).then_some(())
    }

    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn blank(&mut self) {
        while let Some(b' ' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Members of an object whose brace is behind us, up to its end.
    fn members(&mut self, open: Open, depth: usize) -> Option<()> {
        self.blank();
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.blank();
            self.expect(b'"')?;
            let (key, escapes) = self.insides()?;
            let key = if escapes {
                unescape(key, self.key)?;
                &self.key[..]
            } else {
                key
            };
            let (inner, here) = below(self.ways, open, key);
            self.blank();
            self.expect(b':')?;
            self.blank();
            self.value(inner, here, depth)?;
            self.blank();
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// A value: `here` are the members it is itself, `inner` those that may lie within it.
    fn value(&mut self, inner: Open, here: u8, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                let (text, escapes) = self.insides()?;
                let raw = if escapes {
                    Raw::Escaped(text)
                } else {
                    Raw::Plain(text)
                };
                self.keep(here, raw);
                Some(())
            }
            b'{' if inner.mask != 0 && depth < MAX_DEPTH => {
                self.at += 1;
                self.members(inner, depth + 1)
            }
            b'[' if here != 0 => self.list(here),
            b'{' | b'[' => self.skip(),
            _ => {
                let bare = self.bare()?;
                self.keep(here, Raw::Bare(bare));
                Some(())
            }
        }
    }

    /// A wanted list: its first element counts, if that is no list or object.
    fn list(&mut self, here: u8) -> Option<()> {
        let start = self.at;
        self.at += 1;
        self.blank();
        let plain = !matches!(self.peek()?, b']' | b'[' | b'{');
        if plain {
            let nothing = Open {
                mask: 0,
                done: [0; WANTS],
            };
            self.value(nothing, here, MAX_DEPTH)?;
        }
        self.at = start;
        self.skip()
    }

    fn keep(&mut self, here: u8, raw: Raw<'a>) {
        if here == 0 {
            return;
        }
        for (bit, slot) in self.found.iter_mut().enumerate() {
            if here >> bit & 1 == 1 {
                *slot = raw;
            }
        }
    }

    /// Insides of a text whose first quote is behind us, and whether they have escapes.
    fn insides(&mut self) -> Option<(&'a [u8], bool)> {
        let start = self.at;
        let mut escapes = false;
        loop {
            let rest = self.line.get(self.at..)?;
            let found = memchr::memchr2(b'"', b'\\', rest)?;
            if rest.get(found) == Some(&b'"') {
                let end = self.at + found;
                self.at = end + 1;
                return Some((self.line.get(start..end)?, escapes));
            }
            escapes = true;
            self.at += found + 2;
        }
    }

    /// A number or a word.
    fn bare(&mut self) -> Option<&'a [u8]> {
        let rest = self.line.get(self.at..)?;
        let end = rest
            .iter()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.'))
            .unwrap_or(rest.len());
        self.at += end;
        (end > 0).then(|| rest.get(..end))?
    }

    /// A whole list or object that nobody asked for.
    fn skip(&mut self) -> Option<()> {
        let mut kinds = 0_u64;
        let mut depth = 0;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    self.insides()?;
                    continue;
                }
                open @ (b'{' | b'[') => {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return None;
                    }
                    kinds = kinds << 1 | u64::from(open == b'{');
                }
                close @ (b'}' | b']') => {
                    if u64::from(close == b'}') != kinds & 1 {
                        return None;
                    }
                    kinds >>= 1;
                    depth -= 1;
                }
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }
}

/// What is open below `key`, and what `key` is itself.
fn below(ways: &[Box<[u8]>; WANTS], open: Open, key: &[u8]) -> (Open, u8) {
    let mut inner = Open { mask: 0, ..open };
    let mut here = 0;
    for (bit, way) in ways.iter().enumerate() {
        if open.mask >> bit & 1 == 0 {
            continue;
        }
        let done = usize::from(open.done.get(bit).copied().unwrap_or(0));
        let Some(rest) = way.get(done..).and_then(|left| left.strip_prefix(key)) else {
            continue;
        };
        match rest.first() {
            None => here |= 1 << bit,
            Some(b'.') => {
                inner.mask |= 1 << bit;
                if let Some(done) = inner.done.get_mut(bit) {
                    *done += u16::try_from(key.len() + 1).unwrap_or(u16::MAX);
                }
            }
            Some(_) => {}
        }
    }
    (inner, here)
}

/// Resolves escapes into `out`, which is emptied first.
fn unescape(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.clear();
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, after) = rest.split_at(at);
        out.extend_from_slice(plain);
        let (kind, after) = after.get(1..)?.split_first()?;
        rest = after;
        out.push(match kind {
            b'"' | b'\\' | b'/' => *kind,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                rest = unit(rest, out)?;
                continue;
            }
            _ => return None,
        });
    }
    out.extend_from_slice(rest);
    Some(())
}

/// One `\uXXXX`, or two that form a pair; half a pair alone becomes the replacement character.
fn unit<'a>(text: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (first, rest) = hex(text)?;
    let second = rest.strip_prefix(b"\\u").and_then(hex);
    let (code, rest) = match (first, second) {
        (0xd800..0xdc00, Some((low @ 0xdc00..0xe000, rest))) => {
            (0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00), rest)
        }
        _ => (first, rest),
    };
    let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    Some(rest)
}

fn hex(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_at_checked(4)?;
    let value = digits.iter().try_fold(0, |sum, byte| {
        Some(sum << 4 | char::from(*byte).to_digit(16)?)
    })?;
    Some((value, rest))
}
