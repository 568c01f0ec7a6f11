//! The query of a hot request: read in one pass, without copying where nothing is encoded.

use std::borrow::Cow;

/// What is wrong with a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryFault {
    /// A parameter that the route does not know.
    Unknown(String),
    /// A parameter given twice.
    Twice(&'static str),
    /// A value that is not percent-encoded UTF-8.
    Encoding(String),
}

/// The values of the parameters `names`, in that order.
pub fn parse<'a, const N: usize>(
    query: &'a str,
    names: [&'static str; N],
) -> Result<[Option<Cow<'a, str>>; N], QueryFault> {
    let mut values = [const { None }; N];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name).ok_or_else(|| QueryFault::Encoding(name.to_owned()))?;
        let Some(at) = names.iter().position(|known| *known == name) else {
            return Err(QueryFault::Unknown(name.into_owned()));
        };
        if values[at].is_some() {
            return Err(QueryFault::Twice(names[at]));
        }
        values[at] = Some(decode(value).ok_or_else(|| QueryFault::Encoding(name.into_owned()))?);
    }
    Ok(values)
}

/// `text` with `%XX` and `+` resolved; `None` when a `%` is not followed by two digits, or when the
/// result is not UTF-8.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => digit(bytes.next()?)? << 4 | digit(bytes.next()?)?,
            other => other,
        });
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}
