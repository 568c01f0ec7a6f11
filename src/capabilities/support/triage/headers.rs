//! The header of a mail, cut into fields by hand: any bytes, any number of lines, in one pass.
//! What a field means is asked of `mail-parser`, one short value at a time.

use std::borrow::Cow;

use mail_parser::parsers::MessageStream;
use mail_parser::{Address, HeaderValue};

use super::super::model::Party;

/// Bytes of one field that are looked at (our own choice: the longest honest `References` and
/// `To` are some thousand).
const LONGEST_FIELD: usize = 16 * 1024;
/// Bytes of a field's name at most; RFC 5322 allows a line of 998.
const LONGEST_NAME: usize = 76;
/// Fields that are kept (our own choice: a header of 256 KiB can hold some more). Those after are
/// counted only.
const MOST_FIELDS: usize = 20_000;

/// One field.
#[derive(Debug)]
struct Field<'m> {
    /// Its name in lower case.
    name: String,
    /// What stands after the colon, folds included.
    value: &'m [u8],
}

/// The fields of a header, in their order.
#[derive(Debug, Default)]
pub(super) struct Headers<'m> {
    fields: Vec<Field<'m>>,
    /// Bytes of the header with the empty line at its end.
    pub(super) length: usize,
    /// Fields there are, kept or not.
    pub(super) count: usize,
}

impl<'m> Headers<'m> {
    /// Cuts the header that begins `bytes`; it ends at the first empty line or with the bytes.
    pub(super) fn of(bytes: &'m [u8]) -> Self {
        let mut headers = Self::default();
        let mut at = 0;
        // Where the field that is being read begins; none before the first.
        let mut open: Option<usize> = None;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let line = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            let text = rest.get(..line).unwrap_or_default();
            let folded = text
                .first()
                .is_some_and(|byte| matches!(byte, b' ' | b'\t'));
            let is_empty = text.trim_ascii().is_empty() && !folded;
            if !(folded && open.is_some()) {
                headers.close(bytes, open.replace(at), at);
            }
            at += line;
            if is_empty {
                open = None;
                break;
            }
        }
        headers.close(bytes, open, at);
        headers.length = at;
        headers
    }

    fn close(&mut self, bytes: &'m [u8], start: Option<usize>, end: usize) {
        let Some(field) = start.and_then(|start| bytes.get(start..end)) else {
            return;
        };
        let head = field
            .get(..LONGEST_NAME.min(field.len()))
            .unwrap_or_default();
        let Some(colon) = memchr::memchr(b':', head) else {
            return;
        };
        let (name, value) = field.split_at(colon);
        let name = name.trim_ascii();
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            return;
        }
        self.count += 1;
        if self.fields.len() < MOST_FIELDS {
            let value = value.get(1..).unwrap_or_default();
            self.fields.push(Field {
                name: String::from_utf8_lossy(name).to_ascii_lowercase(),
                value: value
                    .get(..LONGEST_FIELD.min(value.len()))
                    .unwrap_or_default(),
            });
        }
    }

    /// All values of the field `name`, as they stand there.
    pub(super) fn raw(&self, name: &str) -> impl Iterator<Item = &'m [u8]> {
        self.fields
            .iter()
            .filter(move |field| field.name == name)
            .map(|field| field.value)
    }

    /// Whether there is a field `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(name).next().is_some()
    }

    /// The first field whose name begins so.
    pub(super) fn name_like(&self, start: &str) -> Option<&str> {
        let field = self
            .fields
            .iter()
            .find(|field| field.name.starts_with(start))?;
        Some(&field.name)
    }

    /// All values of `name` on one line each, undecoded.
    pub(super) fn lines(&self, name: &str) -> impl Iterator<Item = Cow<'m, str>> {
        self.raw(name).map(one_line)
    }

    /// The first value of `name` on one line, undecoded.
    pub(super) fn line(&self, name: &str) -> Option<Cow<'m, str>> {
        self.lines(name).next()
    }

    /// The first value of `name` in lower case, without comments and parameters: `no` of
    /// `No; (by hand)`.
    pub(super) fn token(&self, name: &str) -> Option<String> {
        let line = self.line(name)?;
        let plain = without_comments(&line);
        let token = plain.split([';', ',']).next().unwrap_or_default();
        Some(token.trim().to_ascii_lowercase())
    }

    /// The first value of `name` that says anything, encoded words decoded.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.raw(name).map(decoded).find(|text| !text.is_empty())
    }

    /// Everybody in all fields `name`.
    pub(super) fn parties(&self, name: &str) -> Vec<Party> {
        self.raw(name)
            .flat_map(parties)
            .take(MOST_PARTIES)
            .collect()
    }

    /// Message ids in all fields `name`, each once, without brackets.
    pub(super) fn ids(&self, name: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for value in self.raw(name) {
            for id in ids(value) {
                if !found.contains(&id) && found.len() < MOST_PARTIES {
                    found.push(id);
                }
            }
        }
        found
    }
}

/// Parties or ids that are read from one kind of field (our own choice).
const MOST_PARTIES: usize = 200;

/// `value` without folds and control characters.
fn one_line(value: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(value.trim_ascii());
    if text.chars().any(char::is_control) {
        let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        Cow::Owned(plain.collect())
    } else {
        text
    }
}

/// `line` without what stands in brackets, which may be nested.
fn without_comments(line: &str) -> String {
    let mut depth = 0_u32;
    line.chars()
        .filter(|c| {
            match c {
                '(' => depth += 1,
                ')' => {
                    let was = depth;
                    depth = depth.saturating_sub(1);
                    return was == 0;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}

/// `value` with its end of line, without which `mail-parser` reads nothing.
fn ended(value: &[u8]) -> Vec<u8> {
    let mut line = value.trim_ascii_end().to_vec();
    line.extend_from_slice(b"\r\n");
    line
}

/// Free text: encoded words decoded, raw 8-bit bytes read as UTF-8 or else as Windows-1252.
pub(super) fn decoded(value: &[u8]) -> String {
    let text = match std::str::from_utf8(value) {
        Ok(_) => None,
        Err(_) => mail_parser::decoders::charsets::map::charset_decoder(b"windows-1252"),
    };
    let recoded = text.map(|decode| decode(value));
    let line = ended(recoded.as_deref().map_or(value, str::as_bytes));
    match MessageStream::new(&line).parse_unstructured() {
        HeaderValue::Text(text) => tidy(&text),
        _ => String::new(),
    }
}

/// Everybody in a field of addresses.
pub(super) fn parties(value: &[u8]) -> Vec<Party> {
    let line = ended(value);
    let HeaderValue::Address(list) = MessageStream::new(&line).parse_address() else {
        return Vec::new();
    };
    let addresses = match list {
        Address::List(list) => list,
        Address::Group(groups) => groups
            .into_iter()
            .flat_map(|group| group.addresses)
            .collect(),
    };
    let party = |found: mail_parser::Addr<'_>| {
        let address = tidy(found.address.as_deref().unwrap_or_default()).to_lowercase();
        let party = Party {
            name: clip(&tidy(found.name.as_deref().unwrap_or_default()), 120),
            address: clip(address.trim_matches(['<', '>', ' ']), 254),
        };
        (!(party.name.is_empty() && party.address.is_empty())).then_some(party)
    };
    addresses.into_iter().filter_map(party).collect()
}

/// Message ids in a field; what stands outside brackets counts only where there are none.
fn ids(value: &[u8]) -> Vec<String> {
    let line = one_line(value);
    let bracketed: Vec<String> = line
        .split('<')
        .skip(1)
        .filter_map(|part| part.split_once('>'))
        .map(|(id, _)| id.split_whitespace().collect::<String>())
        .filter(|id| !id.is_empty())
        .map(|id| clip(&id, 250))
        .collect();
    if !bracketed.is_empty() || line.contains(['<', '>']) {
        return bracketed;
    }
    let bare = line.split_whitespace().filter(|word| word.contains('@'));
    bare.map(|id| clip(id, 250)).collect()
}

/// `text` with single spaces, without control and direction characters.
pub(super) fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let hidden = [
        '\u{200B}'..='\u{200F}',
        '\u{202A}'..='\u{202E}',
        '\u{2066}'..='\u{2069}',
    ];
    let shown = |c: &char| *c != '\u{FEFF}' && !hidden.iter().any(|range| range.contains(c));
    for c in text.chars().filter(shown) {
        if c.is_whitespace() || c.is_control() {
            if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
        } else {
            out.push(c);
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// At most `most` characters of `text`.
pub(super) fn clip(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => text.get(..end).unwrap_or_default().trim_end().to_owned(),
    }
}
