//! Text to tree, RFC 8259 to the letter: one pass, recursion bounded by [`MAX_DEPTH`].

use std::collections::HashMap;

use super::MAX_DEPTH;
use super::fault::{Fault, Wanted, unexpected};
use super::tree::{Duplicate, Kind, Raw, Tree};

/// Members up to which a duplicate key is looked for by comparing each with each; beyond, a hash
/// map is faster (measured: equal at about 12 keys of 20 bytes).
const FEW_MEMBERS: usize = 12;

/// Digits up to which a number without exponent is finite: the greatest double has 309.
const SURELY_FINITE: usize = 300;

/// Bytes that end the plain run of a string: `"`, `\`, and control characters.
const STOPS: [bool; 256] = {
    let mut stops = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        stops[byte] = true;
        byte += 1;
    }
    stops[b'"' as usize] = true;
    stops[b'\\' as usize] = true;
    stops
};

pub(super) fn parse(source: &str) -> Result<Tree<'_>, Fault> {
    if u32::try_from(source.len()).is_err() {
        return Err(Fault::new(
            0,
            "more than 4 GiB",
            "a document of a few MiB",
            "split it",
        ));
    }
    let mut parser = Parser {
        source,
        bytes: source.as_bytes(),
        at: 0,
        // Measured on our documents: one node in 24 to 60 bytes of text.
        nodes: Vec::with_capacity(source.len() / 32 + 8),
        texts: Vec::new(),
        duplicates: Vec::new(),
        opened: Vec::with_capacity(MAX_DEPTH),
    };
    parser.value(Wanted::Value)?;
    match parser.peek() {
        None => Ok(Tree {
            source,
            nodes: parser.nodes,
            texts: parser.texts,
            duplicates: parser.duplicates,
        }),
        Some(_) => Err(parser.unexpected(Wanted::End)),
    }
}

struct Parser<'s> {
    source: &'s str,
    bytes: &'s [u8],
    at: usize,
    nodes: Vec<Raw>,
    texts: Vec<Box<str>>,
    duplicates: Vec<Duplicate>,
    /// Offsets of the objects and arrays that are open.
    opened: Vec<usize>,
}

impl Parser<'_> {
    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at).copied() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other,
            }
        }
    }

    fn unexpected(&self, wanted: Wanted) -> Fault {
        unexpected(self.source, self.at, wanted, self.opened.last().copied())
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) -> u32 {
        let index = small(self.nodes.len());
        self.nodes.push(Raw {
            kind,
            start: small(start),
            end: small(end),
            after: index + 1,
            text: 0,
        });
        index
    }

    fn value(&mut self, wanted: Wanted) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'{') => self.nested(Kind::Object),
            Some(b'[') => self.nested(Kind::Array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(Kind::True, "true", wanted),
            Some(b'f') => self.word(Kind::False, "false", wanted),
            Some(b'n') => self.word(Kind::Null, "null", wanted),
            _ => Err(self.unexpected(wanted)),
        }
    }

    fn word(&mut self, kind: Kind, word: &str, wanted: Wanted) -> Result<(), Fault> {
        let end = self.at + word.len();
        let whole = self.bytes.get(self.at..end) == Some(word.as_bytes());
        if !whole || self.bytes.get(end).is_some_and(u8::is_ascii_alphanumeric) {
            return Err(self.unexpected(wanted));
        }
        self.push(kind, self.at, end);
        self.at = end;
        Ok(())
    }

    fn nested(&mut self, kind: Kind) -> Result<(), Fault> {
        if self.opened.len() == MAX_DEPTH {
            return Err(Fault::new(
                self.at,
                format!("{} levels of `{{` and `[`", MAX_DEPTH + 1),
                format!("at most {MAX_DEPTH}"),
                "flatten the document",
            ));
        }
        let start = self.at;
        self.opened.push(start);
        let index = self.push(kind, start, start);
        self.at += 1;
        match kind {
            Kind::Object => self.members()?,
            _ => self.elements()?,
        }
        self.opened.pop();
        let (after, end) = (small(self.nodes.len()), small(self.at));
        if let Some(node) = self.nodes.get_mut(index as usize) {
            node.after = after;
            node.end = end;
        }
        Ok(())
    }

    fn elements(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        let mut wanted = Wanted::Value;
        loop {
            self.value(wanted)?;
            let end = self.at;
            match self.peek() {
                Some(b',') => wanted = Wanted::Element(self.at),
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.unexpected(Wanted::Comma(']', end))),
            }
            self.at += 1;
        }
    }

    fn members(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let mut wanted = Wanted::FirstKey;
        let first = small(self.nodes.len());
        let mut count = 0;
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.unexpected(wanted));
            }
            self.string()?;
            if self.peek() != Some(b':') {
                return Err(self.unexpected(Wanted::Colon));
            }
            self.at += 1;
            self.value(Wanted::Value)?;
            count += 1;
            let end = self.at;
            match self.peek() {
                Some(b',') => wanted = Wanted::Key(self.at),
                Some(b'}') => {
                    self.at += 1;
                    self.note_duplicates(first, count);
                    return Ok(());
                }
                _ => return Err(self.unexpected(Wanted::Comma('}', end))),
            }
            self.at += 1;
        }
    }

    /// Looks for keys that appear twice among the members from node `first` on.
    fn note_duplicates(&mut self, first: u32, count: usize) {
        let mut found = Vec::new();
        if count <= FEW_MEMBERS {
            let mut seen: [(&str, u32); FEW_MEMBERS] = [("", 0); FEW_MEMBERS];
            let mut known = 0;
            self.each_key(first, |key, index| {
                match seen.iter().take(known).find(|(earlier, _)| *earlier == key) {
                    Some((_, earlier)) => found.push((*earlier, index)),
                    None => {
                        if let Some(slot) = seen.get_mut(known) {
                            *slot = (key, index);
                            known += 1;
                        }
                    }
                }
            });
        } else {
            let mut seen: HashMap<&str, u32> = HashMap::with_capacity(count);
            self.each_key(first, |key, index| match seen.get(key) {
                Some(earlier) => found.push((*earlier, index)),
                None => drop(seen.insert(key, index)),
            });
        }
        for (earlier, index) in found {
            let start = |index: u32| {
                self.nodes
                    .get(index as usize)
                    .map_or(0, |n| n.start as usize)
            };
            let (first, second) = (start(earlier), start(index));
            self.duplicates.push(Duplicate {
                first,
                second,
                key: index,
            });
        }
    }

    fn each_key<'p>(&'p self, first: u32, mut seen: impl FnMut(&'p str, u32)) {
        let mut index = first;
        while let Some(key) = self.nodes.get(index as usize) {
            let text = match key.kind {
                Kind::Escaped => self.texts.get(key.text as usize).map(|text| &**text),
                _ => self
                    .source
                    .get(key.start as usize + 1..key.end as usize - 1),
            };
            seen(text.unwrap_or_default(), index);
            let Some(value) = self.nodes.get(index as usize + 1) else {
                break;
            };
            index = value.after;
        }
    }

    fn string(&mut self) -> Result<u32, Fault> {
        let start = self.at;
        let mut at = start + 1;
        while let Some(byte) = self.bytes.get(at).copied() {
            if STOPS[byte as usize] {
                break;
            }
            at += 1;
        }
        if self.bytes.get(at) == Some(&b'"') {
            self.at = at + 1;
            return Ok(self.push(Kind::Plain, start, at + 1));
        }
        let text = self.escaped(start, at)?;
        let index = self.push(Kind::Escaped, start, self.at);
        let place = small(self.texts.len());
        self.texts.push(text.into_boxed_str());
        if let Some(node) = self.nodes.get_mut(index as usize) {
            node.text = place;
        }
        Ok(index)
    }

    /// The rest of a string whose plain run ends at `at`.
    fn escaped(&mut self, start: usize, mut at: usize) -> Result<String, Fault> {
        let mut text = String::new();
        let mut run = start + 1;
        loop {
            let byte = self.bytes.get(at).copied();
            match byte {
                Some(byte) if !STOPS[byte as usize] => at += 1,
                Some(b'"') => {
                    text.push_str(self.source.get(run..at).unwrap_or_default());
                    self.at = at + 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    text.push_str(self.source.get(run..at).unwrap_or_default());
                    at = self.escape(at, &mut text)?;
                    run = at;
                }
                other => return Err(self.unclosed(start, at, other)),
            }
        }
    }

    fn unclosed(&self, start: usize, at: usize, byte: Option<u8>) -> Fault {
        let super::tree::Place { line, column } = super::tree::Place::of(self.source, start);
        let opened = format!("the string that begins at line {line}, column {column}");
        match byte {
            None => Fault::new(
                self.source.len(),
                "the end of the file",
                "`\"`",
                format!("{opened} is never closed; was the file cut off?"),
            ),
            Some(b'\n' | b'\r') => Fault::new(
                at,
                "the end of the line",
                "`\"`",
                format!("close {opened} on its line; a line break inside text is written \\n"),
            ),
            Some(b'\t') => Fault::new(at, "a tab", "text or `\"`", "write a tab as \\t"),
            Some(byte) => Fault::new(
                at,
                format!("the control character U+{byte:04X}"),
                "text or `\"`",
                format!("write it as \\u{byte:04x}, or delete it"),
            ),
        }
    }

    /// Resolves the escape at `at` and gives the offset after it.
    fn escape(&self, at: usize, text: &mut String) -> Result<usize, Fault> {
        let simple = match self.bytes.get(at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{C}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(at, text),
            other => {
                let found = match other {
                    Some(byte) if byte.is_ascii_graphic() => format!("`\\{}`", char::from(*byte)),
                    _ => "a lone `\\`".into(),
                };
                let allowed = "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u0000";
                return Err(Fault::new(
                    at,
                    found,
                    allowed,
                    "write a backslash itself as \\\\",
                ));
            }
        };
        text.push(simple);
        Ok(at + 2)
    }

    fn unicode(&self, at: usize, text: &mut String) -> Result<usize, Fault> {
        let Some(high) = self.four(at + 2) else {
            let hint = "\\u takes four hexadecimal digits, as in \\u00e9";
            return Err(Fault::new(
                at,
                "an incomplete `\\u`",
                "four hexadecimal digits",
                hint,
            ));
        };
        if let Some(single) = char::from_u32(high) {
            text.push(single);
            return Ok(at + 6);
        }
        let low = match self.bytes.get(at + 6..at + 8) {
            Some(b"\\u") if high < 0xDC00 => self.four(at + 8),
            _ => None,
        };
        // UTF-16 surrogates: RFC 8259 §7, Unicode 15 §3.9 D91.
        let pair = low
            .filter(|low| (0xDC00..0xE000).contains(low))
            .and_then(|low| char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)));
        let Some(pair) = pair else {
            return Err(Fault::new(
                at,
                "half of a surrogate pair",
                "both halves, or the character itself",
                "write the character itself; the file is UTF-8",
            ));
        };
        text.push(pair);
        Ok(at + 12)
    }

    fn four(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 4)?;
        digits.iter().try_fold(0, |sum, digit| {
            Some(sum * 16 + char::from(*digit).to_digit(16)?)
        })
    }

    fn digits(&self, mut at: usize) -> usize {
        while self.bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    }

    fn number(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let first = start + usize::from(self.bytes.get(start) == Some(&b'-'));
        let mut at = self.digits(first);
        if at == first {
            return Err(self.unexpected(Wanted::Value));
        }
        let bad = |found: &str, hint: &str| Fault::new(start, found, "a number", hint);
        if at > first + 1 && self.bytes.get(first) == Some(&b'0') {
            return Err(bad(
                "a number with a leading zero",
                "remove the leading zeros",
            ));
        }
        if self.bytes.get(at) == Some(&b'.') {
            let end = self.digits(at + 1);
            if end == at + 1 {
                return Err(bad(
                    "a number without digits after its point",
                    "remove the point",
                ));
            }
            at = end;
        }
        if matches!(self.bytes.get(at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.bytes.get(at + 1), Some(b'+' | b'-')));
            let end = self.digits(at + 1 + sign);
            if end == at + 1 + sign {
                return Err(bad(
                    "a number without digits after its `e`",
                    "write as in 1e6",
                ));
            }
            at = end;
        }
        if self
            .bytes
            .get(at)
            .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
        {
            let hint = "numbers are written as in 12, -3.5 or 1e6, without units or separators; \
                        text and versions stand in double quotes";
            return Err(bad("a number that runs into other characters", hint));
        }
        // Only an exponent or very many digits can leave the range; the rest is not worth parsing.
        let text = self.source.get(start..at).unwrap_or_default();
        let large =
            at - start > SURELY_FINITE || memchr::memchr2(b'e', b'E', text.as_bytes()).is_some();
        if large && text.parse::<f64>().is_ok_and(f64::is_infinite) {
            let hint = "the greatest double is about 1.8e308";
            return Err(bad("a number out of range", hint));
        }
        self.push(Kind::Number, start, at);
        self.at = at;
        Ok(())
    }
}

/// Offsets fit: [`parse`] refuses longer texts.
fn small(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}
