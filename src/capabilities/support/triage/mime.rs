//! The parts of a mail. Walked by hand: `mail-parser` reads mails inside mails without end, and
//! 50 KB of them, once encoded, overflow the stack, which nothing can catch. Its decoders are used.

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::parsers::MessageStream;
use mail_parser::{ContentType, HeaderValue};

use super::super::model::Attachments;
use super::headers::Headers;
use super::html;

/// Parts inside parts that are followed.
const DEEPEST: usize = 10;
/// Parts of one mail that are looked at (our own choice).
const MOST_PARTS: usize = 100;
/// Bytes of decoded text that are kept of one mail (our own choice; the mail is 64 KiB at most).
const MOST_TEXT: usize = 64 * 1024;

/// What the parts of a mail say.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The text that people read; plain text where there is a choice.
    pub(super) text: String,
    /// What came along.
    pub(super) attachments: Attachments,
    /// Type of the whole, such as `multipart/report`, in lower case.
    pub(super) top: String,
    /// The `report-type` of the whole, in lower case.
    pub(super) report: String,
    /// Types of all parts seen, in lower case, the whole first.
    pub(super) types: Vec<String>,
    /// The text of parts for machines: `message/delivery-status`.
    pub(super) status: String,
    /// What was odd.
    pub(super) oddities: Vec<&'static str>,
    /// Text of HTML parts, for mails that have no other.
    html: String,
}

/// Reads the parts of a mail: `headers` are its own, `body` is what follows them.
pub(super) fn parts_of(headers: &Headers<'_>, body: &[u8]) -> Parts {
    let mut parts = Parts::default();
    parts.walk(headers, body, 0);
    if parts.text.trim().is_empty() {
        parts.text = std::mem::take(&mut parts.html);
    }
    parts
}

impl Parts {
    fn walk(&mut self, headers: &Headers<'_>, body: &[u8], depth: usize) {
        let kind = Type::of(headers);
        if depth == 0 {
            self.top.clone_from(&kind.name);
            self.report.clone_from(&kind.report);
        }
        self.types.push(kind.name.clone());
        if let Some(boundary) = &kind.boundary {
            if depth >= DEEPEST {
                self.odd("parts nested more than 10 deep");
                return;
            }
            for part in split(body, boundary.as_bytes()) {
                if self.types.len() >= MOST_PARTS {
                    self.odd("more than 100 parts");
                    return;
                }
                let inner = Headers::of(part);
                let rest = part.get(inner.length..).unwrap_or_default();
                self.walk(&inner, rest, depth + 1);
            }
        } else {
            self.leaf(headers, &kind, body);
        }
    }

    fn leaf(&mut self, headers: &Headers<'_>, kind: &Type, body: &[u8]) {
        let shown = kind.name.starts_with("text/") && !kind.is_attached;
        if !shown && !matches!(kind.name.as_str(), STATUS | NOTIFIED) {
            // A mail inside a report is what came back, not something that was sent along.
            if self.top != "multipart/report" {
                self.attachments.count += 1;
                self.attachments.bytes += attached(headers, body);
            }
            return;
        }
        let bytes = self.transferred(headers, body);
        let text = self.charted(&bytes, &kind.charset);
        match kind.name.as_str() {
            STATUS | NOTIFIED => push(&mut self.status, &text),
            "text/html" | "text/x-amp-html" => {
                let plain = html::text_of(&text);
                push(&mut self.html, &plain);
            }
            _ => push(&mut self.text, &text),
        }
    }

    /// `body` without its transfer encoding; what is not what it claims to be is taken as it is.
    fn transferred(&mut self, headers: &Headers<'_>, body: &[u8]) -> Vec<u8> {
        let decoded = match headers.token("content-transfer-encoding").as_deref() {
            Some("base64") => {
                let plain: Vec<u8> = body
                    .iter()
                    .copied()
                    .filter(|byte| !byte.is_ascii_whitespace())
                    .collect();
                // The mail may be cut within a group of four.
                base64_decode(plain.get(..plain.len() / 4 * 4).unwrap_or_default())
            }
            Some("quoted-printable") => quoted_printable_decode(body),
            _ => return body.to_vec(),
        };
        decoded.unwrap_or_else(|| {
            self.odd("an encoding that does not hold");
            body.to_vec()
        })
    }

    /// `bytes` as text. A charset that is not known, or wrong, is read as UTF-8, else Windows-1252.
    fn charted(&mut self, bytes: &[u8], charset: &str) -> String {
        let is_utf8 = matches!(charset, "" | "utf-8" | "utf8" | "us-ascii" | "ascii");
        let decoder = if is_utf8 {
            None
        } else {
            charset_decoder(charset.as_bytes())
        };
        let text = match (decoder, std::str::from_utf8(bytes)) {
            (Some(decode), _) => decode(bytes),
            (None, Ok(text)) => {
                if !is_utf8 {
                    self.odd("a charset that is not known");
                }
                text.to_owned()
            }
            (None, Err(fault)) if fault.error_len().is_none() => {
                // Cut within a character.
                String::from_utf8_lossy(bytes)
                    .trim_end_matches('\u{FFFD}')
                    .to_owned()
            }
            (None, Err(_)) => {
                self.odd("8-bit text without its charset");
                match charset_decoder(b"windows-1252") {
                    Some(decode) => decode(bytes),
                    None => String::from_utf8_lossy(bytes).into_owned(),
                }
            }
        };
        text.replace('\0', "")
    }

    fn odd(&mut self, what: &'static str) {
        if !self.oddities.contains(&what) {
            self.oddities.push(what);
        }
    }
}

/// What tells machines how a delivery went.
const STATUS: &str = "message/delivery-status";
/// What tells machines that a mail was read.
const NOTIFIED: &str = "message/disposition-notification";

fn push(into: &mut String, text: &str) {
    let room = MOST_TEXT.saturating_sub(into.len());
    let end = text.floor_char_boundary(room.min(text.len()));
    if !into.is_empty() {
        into.push('\n');
    }
    into.push_str(text.get(..end).unwrap_or_default());
}

/// Bytes of an attachment without its encoding, near enough.
fn attached(headers: &Headers<'_>, body: &[u8]) -> u64 {
    let bytes = body
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .count() as u64;
    match headers.token("content-transfer-encoding").as_deref() {
        Some("base64") => bytes / 4 * 3,
        _ => body.len() as u64,
    }
}

/// The parts between the lines `--boundary`, up to `--boundary--`.
fn split<'m>(body: &'m [u8], boundary: &[u8]) -> Vec<&'m [u8]> {
    let mut found = Vec::new();
    let mut open: Option<usize> = None;
    let mut at = 0;
    while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
        let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let line = rest.get(..length).unwrap_or_default();
        let after = line
            .strip_prefix(b"--")
            .and_then(|line| line.strip_prefix(boundary));
        if let Some(after) = after.map(<[u8]>::trim_ascii)
            && matches!(after, b"" | b"--")
        {
            found.extend(open.and_then(|start| body.get(start..at)));
            open = (after.is_empty()).then_some(at + length);
            if open.is_none() || found.len() > MOST_PARTS {
                return found;
            }
        }
        at += length;
    }
    // The mail ends, or was cut, within a part.
    found.extend(open.and_then(|start| body.get(start..)));
    found
}

/// What a part says it is.
#[derive(Debug, Default)]
struct Type {
    name: String,
    charset: String,
    report: String,
    boundary: Option<String>,
    is_attached: bool,
}

impl Type {
    fn of(headers: &Headers<'_>) -> Self {
        let found = headers
            .raw("content-type")
            .find_map(|value| content(value, read));
        let mut kind = found.unwrap_or_default();
        if !kind.name.contains('/') {
            "text/plain".clone_into(&mut kind.name);
        }
        if !kind.name.starts_with("multipart/") {
            kind.boundary = None;
        } else if kind.boundary.is_none() {
            // Without a boundary there are no parts: what is there is text.
            "text/plain".clone_into(&mut kind.name);
        }
        let held = headers.raw("content-disposition").next();
        kind.is_attached = held.is_some_and(|value| content(value, is_attachment).unwrap_or(false));
        kind
    }
}

fn read(kind: &ContentType<'_>) -> Type {
    let attribute = |name| kind.attribute(name).map(str::to_owned).unwrap_or_default();
    let name = match kind.subtype() {
        Some(sub) => format!("{}/{sub}", kind.ctype()),
        None => kind.ctype().to_owned(),
    };
    Type {
        name: super::headers::clip(&name.to_ascii_lowercase(), 80),
        charset: attribute("charset").trim().to_ascii_lowercase(),
        report: attribute("report-type").trim().to_ascii_lowercase(),
        boundary: kind
            .attribute("boundary")
            .map(|text| text.trim_end().to_owned())
            .filter(|text| !text.is_empty()),
        is_attached: false,
    }
}

fn is_attachment(kind: &ContentType<'_>) -> bool {
    kind.is_attachment()
}

fn content<T>(value: &[u8], take: impl Fn(&ContentType<'_>) -> T) -> Option<T> {
    let mut line = value.trim_ascii_end().to_vec();
    line.extend_from_slice(b"\r\n");
    match MessageStream::new(&line).parse_content_type() {
        HeaderValue::ContentType(kind) => Some(take(&kind)),
        _ => None,
    }
}
